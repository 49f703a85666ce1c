//! The register bus: memories that are written at run time, behind one AXI4-Lite port of the design. Deliberately absent: what
//! the memories mean (their blocks say it in a line), and registers of blocks.

use std::fmt::Write;

use nervure_core::{Bank, Design, Memory, Module, Registry};
use serde_json::{Value, json};

use crate::render::{File, print};

/// What the register at address 0 reads as: `NERV`.
const ID: u32 = 0x4e45_5256;

/// What all memories hear.
const SHARED: [&str; 4] = ["bus_free", "bus_write", "bus_wdata", "bus_wstrb"];

/// Name of a bank among the nets of the top module: unique, for modules and memories are.
fn net(design: &Design, bank: &Bank) -> String {
    let module = &design.modules[bank.module].name;
    let own = module.strip_prefix(&format!("{}_", design.name)).unwrap_or(module);
    format!("bus_{own}_{}", design.held(bank).name)
}

/// Bits of an address on the bus.
fn address_bits(design: &Design) -> usize {
    let end = design.banks().last().map_or(Design::REGISTERS, |b| b.base + (1 << b.size_bits()));
    (u64::BITS - (end - 1).leading_zeros()) as usize
}

/// The AXI4-Lite ports of the top module.
pub(crate) fn ports(design: &Design) -> Vec<String> {
    if design.banks().is_empty() {
        return Vec::new();
    }
    let top = address_bits(design) - 1;
    let port = |text: &str| text.to_owned();
    vec![
        format!("input  wire [{top}:0] s_axil_awaddr"),
        port("input  wire s_axil_awvalid"),
        port("output wire s_axil_awready"),
        port("input  wire [31:0] s_axil_wdata"),
        port("input  wire [3:0] s_axil_wstrb"),
        port("input  wire s_axil_wvalid"),
        port("output wire s_axil_wready"),
        port("output wire [1:0] s_axil_bresp"),
        port("output wire s_axil_bvalid"),
        port("input  wire s_axil_bready"),
        format!("input  wire [{top}:0] s_axil_araddr"),
        port("input  wire s_axil_arvalid"),
        port("output wire s_axil_arready"),
        port("output wire [31:0] s_axil_rdata"),
        port("output wire [1:0] s_axil_rresp"),
        port("output wire s_axil_rvalid"),
        port("input  wire s_axil_rready"),
    ]
}

/// What the top module prints of the bus; null without one.
pub(crate) fn context(design: &Design) -> Value {
    let banks = design.banks();
    if banks.is_empty() {
        return Value::Null;
    }
    let mut list: Vec<[String; 2]> = ["clk", "rst_n"].map(|p| [p.into(), p.into()]).to_vec();
    for port in ports(design) {
        let name = port.rsplit(' ').next().unwrap_or_default().to_owned();
        list.push([name.clone(), name]);
    }
    let input = format!("s_axis_{}", design.inputs[0].name);
    list.push(["taken".into(), format!("{input}_tvalid & {input}_tready")]);
    list.push(["taken_last".into(), format!("{input}_tlast")]);
    list.push(["held".into(), "bus_held".into()]);
    for (n, output) in design.outputs.iter().enumerate() {
        let m = format!("m_axis_{}", output.name);
        list.push([format!("output_{n}_ends"), format!("{m}_tvalid & {m}_tready & {m}_tlast")]);
    }
    for bank in &banks {
        let name = net(design, bank);
        for part in ["select", "address", "rdata"] {
            list.push([format!("{name}_{part}"), format!("{name}_{part}")]);
        }
    }
    list.extend(SHARED.map(|p| [p.into(), p.into()]));
    let named: Vec<Value> = banks
        .iter()
        .map(|b| json!({"name": net(design, b), "bus_bits": b.row_bits + b.column_bits}))
        .collect();
    json!({"module": format!("{}_bus", design.name), "connections": list, "banks": named})
}

/// Ports of a module whose memories are on the bus.
pub(crate) fn module_ports(module: &Module, design: &Design) -> Vec<String> {
    let mut list = Vec::new();
    for bank in design.banks().iter().filter(|b| std::ptr::eq(&raw const design.modules[b.module], module)) {
        let (name, bits) = (&design.held(bank).name, bank.row_bits + bank.column_bits);
        list.push(format!("input  wire bus_{name}_select"));
        list.push(format!("input  wire [{}:0] bus_{name}_address", bits - 1));
        list.push(format!("output wire [31:0] bus_{name}_rdata"));
    }
    if !list.is_empty() {
        list.push("input  wire bus_free".into());
        list.push("input  wire bus_write".into());
        list.push("input  wire [31:0] bus_wdata".into());
        list.push("input  wire [3:0] bus_wstrb".into());
    }
    list
}

/// What the top module connects to those.
pub(crate) fn connections(design: &Design, module: usize) -> Vec<[String; 2]> {
    let mut list = Vec::new();
    for bank in design.banks().iter().filter(|b| b.module == module) {
        let (name, net) = (&design.held(bank).name, net(design, bank));
        for part in ["select", "address", "rdata"] {
            list.push([format!("bus_{name}_{part}"), format!("{net}_{part}")]);
        }
    }
    if !list.is_empty() {
        list.extend(SHARED.map(|p| [p.into(), p.into()]));
    }
    list
}

/// The module of a memory that is written at run time.
pub(crate) fn bank(
    registry: &Registry,
    module: &str,
    memory: &Memory,
    file: &str,
    style: &str,
    origin: &str,
) -> File {
    let width = memory.width;
    let (row_bits, columns) = (nervure_core::num::counter_bits(memory.words.len()), width.div_ceil(32));
    let column_bits = if columns > 1 { nervure_core::num::counter_bits(columns) } else { 0 };
    let bytes: Vec<Value> = (0..width.div_ceil(8))
        .map(|byte| {
            let (lo, hi) = (8 * byte, (8 * byte + 7).min(width - 1));
            json!({"strobe": byte % 4, "column": byte / 4, "lo": lo, "hi": hi,
                "from_lo": lo % 32, "from_hi": hi % 32})
        })
        .collect();
    let mut unused = Vec::new();
    if width < 32 {
        unused.push(format!("bus_wdata[31:{width}]"));
        let strobes = width.div_ceil(8);
        unused.extend((strobes < 4).then(|| format!("bus_wstrb[3:{strobes}]")));
    }
    let header = vec![
        format!("{module}: a memory that the register bus writes"),
        format!("{origin}. Do not edit."),
        format!("Its contents after configuration are those of {file}; reset leaves them as they are."),
    ];
    let context = json!({
        "module": module, "header": header, "file": file, "style": style, "width": width, "depth": memory.words.len(),
        "row_bits": row_bits, "column_bits": column_bits, "bus_bits": row_bits + column_bits,
        "padded": 32usize << column_bits, "bytes": bytes, "unused": unused.join(", "),
    });
    File { path: format!("rtl/{module}.v"), text: print(registry, "bank.v", None, &context) }
}

/// The bus of a design, and its register map for people and for tools; nothing without memories on it.
pub(crate) fn files(design: &Design, registry: &Registry, origin: &str) -> Vec<File> {
    let banks = design.banks();
    if banks.is_empty() {
        return Vec::new();
    }
    let module = format!("{}_bus", design.name);
    let bits = address_bits(design);
    let list: Vec<Value> = banks
        .iter()
        .map(|b| {
            json!({"name": net(design, b), "bus_bits": b.row_bits + b.column_bits, "size_bits": b.size_bits(),
                "page": format!("{:x}", b.base >> b.size_bits())})
        })
        .collect();
    let header = vec![
        format!("{module}: weights at run time over AXI4-Lite"),
        format!("{origin}. Do not edit."),
        "The address map is in registers/registers.md.".into(),
    ];
    let outputs: Vec<String> = (0..design.outputs.len()).map(|n| format!("output_{n}")).collect();
    let context = json!({
        "module": module, "header": header, "axil": ports(design), "outputs": outputs, "banks": list,
        "address_bits": bits, "id": format!("{ID:08x}"),
    });
    let bus = File { path: format!("rtl/{module}.v"), text: print(registry, "bus.v", None, &context) };
    let map = File { path: "registers/registers.md".into(), text: markdown(design, &banks) };
    let rdl = File { path: "registers/registers.rdl".into(), text: system_rdl(design, &banks) };
    vec![bus, map, rdl]
}

fn markdown(design: &Design, banks: &[Bank]) -> String {
    let mut out = format!(
        "# Registers of `{}`\n\nAXI4-Lite, 32 bits, port `s_axil`; addresses in bytes. One access at a time.\n\n\
         | address | name | access | bits | |\n|---|---|---|---|---|\n\
         | 0x0000 | `ID` | read | 31:0 | 0x{ID:08x} |\n\
         | 0x0004 | `CONTROL` | read, write | 0 `hold` | 1: no further sample begins. 0 after reset |\n\
         | 0x0008 | `STATUS` | read | 0 `idle` | 1: no sample is in the design |\n",
        design.name
    );
    for b in banks {
        let m = design.held(b);
        let layer = nervure_core::ident::comment(&design.modules[b.module].layer);
        let file = format!("{}_{}.mem", design.modules[b.module].name, m.name);
        let what = m.run_time.as_deref().unwrap_or_default();
        let stride = 4u64 << b.column_bits;
        let last = b.base + (m.words.len() as u64 - 1) * stride;
        writeln!(
            out,
            "| 0x{:04x} to 0x{last:04x}, every {stride} | layer `{layer}`, `{}`: {} words | read, write | {}:0 | {what} \
             After configuration: `rtl/{file}` |",
            b.base,
            m.name,
            m.words.len(),
            m.width - 1
        )
        .expect("writing to a string");
    }
    out += "\nA word of more than 32 bits lies in consecutive addresses, lowest bits first; bits beyond it read as zero. Byte strobes count.\n\n\
        Memories are read and written while `hold` and `idle` are both 1: set `hold`, wait for `idle`, write, clear `hold`. At any other\n\
        time, and at an address that is not listed, an access has no effect and is answered with SLVERR: no sample is computed with\n\
        weights of which only a part is new. Samples that wait at the input meanwhile wait as for any beat that is not taken.\n\n\
        Reset clears `hold` and leaves memories as they are. What to write is in the `.mem` files of a build of the same network\n\
        with other weights: line n, counted from 0, is word n.\n";
    out
}

fn system_rdl(design: &Design, banks: &[Bank]) -> String {
    let mut out = format!(
        "// Registers of {0}; what they mean is in registers.md.\n\
         addrmap {0}_registers {{\n  default regwidth = 32;\n  default accesswidth = 32;\n  lsb0;\n\n\
         \x20 reg {{ default sw = r; default hw = na; field {{}} VALUE[31:0] = 32'h{ID:08x}; }} ID @ 0x0;\n\
         \x20 reg {{ default sw = rw; default hw = r; field {{}} hold[0:0] = 1'b0; }} CONTROL @ 0x4;\n\
         \x20 reg {{ default sw = r; default hw = w; field {{}} idle[0:0]; }} STATUS @ 0x8;\n",
        design.name
    );
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
