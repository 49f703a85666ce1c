//! The register map, for people and for tools.

use std::fmt::Write;

use nervure_core::{Bank, Bus, Design};

use super::{ID, modules, net};
use crate::render::File;

/// `registers/registers.md` and `registers/registers.rdl`.
pub(super) fn files(design: &Design, banks: &[Bank]) -> [File; 2] {
    let file = |path: &str, text| File { path: format!("registers/{path}"), text };
    [file("registers.md", markdown(design, banks)), file("registers.rdl", system_rdl(design, banks))]
}

/// How the registers are reached.
fn access(design: &Design) -> String {
    match design.bus {
        Bus::AxiLite => "AXI4-Lite, 32 bits, port `s_axil`; addresses in bytes. One access at a time.".into(),
        Bus::I2c => format!(
            "I2C, a slave at the address on `i2c_address`. A transfer that writes begins with the {} byte(s) of the pointer,\n\
             high byte first, then come data; one that reads begins at the pointer. The pointer is an address in bytes and moves\n\
             on with every byte; registers lie lowest byte first. A byte that is refused is not acknowledged when written, and\n\
             0xff when read. `i2c_sda_low` pulls the data line down; the clock is never stretched. At most {} kHz.",
            design.pointer_bytes(),
            (1000 * design.clock_mhz / modules::CLOCKS).min(1000)
        ),
    }
}

fn markdown(design: &Design, banks: &[Bank]) -> String {
    let (live, stores) = (super::live(design), super::stores(design));
    let mut out = format!(
        "# Registers of `{}`\n\n{}\n\n\
         | address | name | access | bits | |\n|---|---|---|---|---|\n\
         | 0x0000 | `ID` | read | 31:0 | 0x{ID:08x} |\n\
         | 0x0004 | `CONTROL` | read, write | 0 `hold` | 1: no further sample begins. 0 after reset |\n\
         | 0x0008 | `STATUS` | read | 0 `idle` | 1: no sample is in the design |\n",
        design.name,
        access(design)
    );
    if stores {
        out += "| | | | 1 `pending` | 1: stores have not swapped yet |\n\
            | | | | 2 `checking` | 1: the checksum is being made |\n\
            | 0x000c | `COMMIT` | read, write | 0 | write 1: what was written to stores comes into use before the next sample. Reads as `pending` |\n\
            | 0x0010 | `CHECK` | read, write | 0 `active` | a write begins a checksum: 0 of the words that wait, 1 of those in use |\n\
            | 0x0014 | `CRC` | read | 31:0 | the checksum: CRC-32 (IEEE 802.3, as `zlib.crc32`) of all words of all stores in the order of their \
            addresses, four bytes each, lowest first |\n";
    }
    for b in banks {
        let m = design.held(b);
        let layer = nervure_core::ident::comment(&design.modules[b.module].layer);
        let name = format!("{}_{}.mem", design.modules[b.module].name, m.name);
        let file = if b.buffered { format!("registers/{name}") } else { format!("rtl/{name}") };
        let what = m.run_time.as_deref().unwrap_or_default();
        let begins = if b.buffered && !b.copies { "After reset" } else { "After configuration" };
        let stride = 4u64 << b.column_bits;
        let last = b.base + (m.words.len() as u64 - 1) * stride;
        writeln!(
            out,
            "| 0x{:04x} to 0x{last:04x}, every {stride} | layer `{layer}`, `{}`: {} words | read, write | {}:0 | {what} \
             {begins}: `{file}` |",
            b.base,
            m.name,
            m.words.len(),
            m.width - 1
        )
        .expect("writing to a string");
    }
    out += "\nA word of more than 32 bits lies in consecutive addresses, lowest bits first; bits beyond it read as zero. Byte strobes count.\n";
    if live {
        out += "\nMemories are read and written while `hold` and `idle` are both 1: set `hold`, wait for `idle`, write, clear `hold`. At any other\n\
            time, and at an address that is not listed, an access has no effect and is answered with SLVERR: no sample is computed with\n\
            weights of which only a part is new. Samples that wait at the input meanwhile wait as for any beat that is not taken.\n\
            Reset clears `hold` and leaves memories as they are.\n";
    }
    if stores {
        out += "\nStores are written and read while samples run: what is written waits, and what is read is what waits. `COMMIT` holds the\n\
            next sample back until the last one has left, brings all stores' words into use in one cycle, and goes on. While\n\
            `pending` or `checking` is 1, accesses to stores, `COMMIT` and `CHECK` are refused, and `CRC` while `checking` is 1. Reset makes\n\
            both what waits and what is in use the weights of the network.\n";
    }
    if banks.iter().any(|b| b.copies) {
        out += "\nMemories of two halves are stores whose words lie in a memory; what comes into use is copied into the other half, and `pending`\n\
            stays 1 until that is done (two cycles a word). Reset leaves their words as they are: after it, load all of them again if\n\
            any were written and not committed, or `pending` was 1. Where a word has a gap behind it, up to a power of two of 32 bits, the\n\
            gap reads as zero and is part of the checksum.\n";
    }
    out += "\nWhat to write is in the `.mem` files of a build of the same network with other weights: line n, counted from 0, is word n.\n";
    out
}

fn system_rdl(design: &Design, banks: &[Bank]) -> String {
    let stores = super::stores(design);
    let more = if stores { " field {} pending[1:1]; field {} checking[2:2];" } else { "" };
    let mut out = format!(
        "// Registers of {0}; what they mean is in registers.md.\n\
         addrmap {0}_registers {{\n  default regwidth = 32;\n  default accesswidth = 32;\n  lsb0;\n\n\
         \x20 reg {{ default sw = r; default hw = na; field {{}} VALUE[31:0] = 32'h{ID:08x}; }} ID @ 0x0;\n\
         \x20 reg {{ default sw = rw; default hw = r; field {{}} hold[0:0] = 1'b0; }} CONTROL @ 0x4;\n\
         \x20 reg {{ default sw = r; default hw = w; field {{}} idle[0:0];{more} }} STATUS @ 0x8;\n",
        design.name
    );
    if stores {
        out += "  reg { default sw = rw; default hw = rw; field {} commit[0:0] = 1'b0; } COMMIT @ 0xc;\n\
            \x20 reg { default sw = rw; default hw = r; field {} active[0:0] = 1'b0; } CHECK @ 0x10;\n\
            \x20 reg { default sw = r; default hw = w; field {} VALUE[31:0]; } CRC @ 0x14;\n";
    }
    for b in banks {
        let m = design.held(b);
        let entries = m.words.len() << b.column_bits;
        let what = m.run_time.as_deref().unwrap_or_default();
        writeln!(
            out,
            "\n  external mem {{\n    desc = \"{what}\";\n    mementries = {entries};\n    memwidth = 32;\n    sw = rw;\n  }} {} @ 0x{:x};",
            net(design, b),
            b.base
        )
        .expect("writing to a string");
    }
    out + "};\n"
}
