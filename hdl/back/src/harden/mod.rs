//! Hardening against upsets, as passes over rendered Verilog: every flip-flop of a design becomes three and a vote, and memories
//! of weights hold code words.
//!
//! A clocked block becomes the logic of the next values, and each register an instance of one module that holds it three
//! times. What is held goes through the vote and back, so that a flip is gone a cycle later, whether the register loads or
//! holds. Cycles and bits stay as they are. See `docs/hardening.md`.
//!
//! Deliberately absent: voters in triplicate and clocks in triplicate (an upset of logic or of the clock tree), and any
//! knowledge of blocks: this reads the style in which all of them are written, and refuses what it does not understand.

mod code;
mod ecc;
mod read;
mod rewrite;
mod token;

use std::collections::{BTreeMap, BTreeSet};

use nervure_core::block::Body;
use nervure_core::{Design, Diagnostic, Registry};
use serde::Serialize;
use serde_json::json;

use crate::render::{File, origin, print};

/// What was hardened, for the manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Hardened {
    /// How: `tmr`, `ecc` or `tmr,ecc`.
    pub mode: String,
    /// Registers that are held three times, as they are declared.
    pub registers: usize,
    /// Memories whose words are coded: one flip in a word is corrected, two are seen.
    pub coded_memories: Vec<String>,
    /// Memories that are constants in logic: nothing in them can be upset.
    pub constant_memories: Vec<String>,
    /// Memories whose words are not protected.
    pub unprotected_memories: Vec<String>,
}

/// What is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guard {
    /// Every register, held three times.
    pub registers: bool,
    /// Memories of weights, by a code.
    pub memories: bool,
}

impl Guard {
    /// Every register, held three times.
    pub const TMR: Self = Self { registers: true, memories: false };
    /// Memories of weights, by a code.
    pub const ECC: Self = Self { registers: false, memories: true };
    /// Both.
    pub const BOTH: Self = Self { registers: true, memories: true };
}

/// The files with what `guard` names protected, and what was done.
///
/// `files` are those of [`crate::render`] for `design`. Errors: `E0601` for a module that is not understood.
pub fn harden(
    design: &Design,
    registry: &Registry,
    files: Vec<File>,
    guard: Guard,
) -> Result<(Vec<File>, Hardened), Diagnostic> {
    let taken = |name: &str| files.iter().any(|f| f.path == format!("rtl/{name}.v"));
    let free = |part: &str| {
        let mut name = format!("{}_{part}", design.name);
        while taken(&name) {
            name += "_";
        }
        name
    };
    let (cell, flop, decoder) = (free("tmr"), free("flop"), free("ecc"));
    let modes = [(guard.registers, "tmr"), (guard.memories, "ecc")];
    let modes: Vec<&str> = modes.into_iter().filter(|(on, _)| *on).map(|(_, name)| name).collect();
    let mut done = Hardened { mode: modes.join(","), ..Hardened::default() };
    let files = if guard.memories { coded(design, registry, files, &decoder, &mut done)? } else { files };
    let mut out = Vec::with_capacity(files.len() + 2);
    for file in files {
        let Some(module) = verilog(&file) else {
            out.push(file);
            continue;
        };
        let refuse = |why: String| refused(module, &why);
        let found = read::read(&file.text).map_err(refuse)?;
        let (text, registers) = if guard.registers {
            rewrite::triplicate(&file.text, &found, &cell).map_err(refuse)?
        } else {
            (file.text.clone(), 0)
        };
        done.registers += registers;
        for memory in found.declared.iter().filter(|d| d.array.is_some() && !d.coded()) {
            let name = format!("{module}.{}", memory.name);
            let written =
                found.clocked.iter().flat_map(|c| c.body.assignments()).any(|a| a.name == memory.name);
            let exposed = written || !guard.registers;
            let list = if exposed { &mut done.unprotected_memories } else { &mut done.constant_memories };
            list.push(name);
        }
        out.push(File { text, ..file });
    }
    if done.registers > 0 {
        let context = json!({"cell": cell, "flop": flop, "origin": origin(design)});
        for (module, template) in [(&cell, "tmr.v"), (&flop, "flop.v")] {
            out.push(File {
                path: format!("rtl/{module}.v"),
                text: print(registry, template, None, &context),
            });
        }
        out.sort_by(|a, b| a.path.cmp(&b.path));
    }
    Ok((out, done))
}

/// What is said of a module that is not understood.
fn refused(module: &str, why: &str) -> Diagnostic {
    Diagnostic::new(
        "E0601",
        format!("module `{module}` cannot be hardened: {why}"),
        "build without `--harden`, and report it: every block should be written so that it can",
    )
}

/// The files with memories of weights coded, and decoders and encoders for them.
fn coded(
    design: &Design,
    registry: &Registry,
    files: Vec<File>,
    cell: &str,
    done: &mut Hardened,
) -> Result<Vec<File>, Diagnostic> {
    let mut widths = BTreeMap::new();
    for module in &design.modules {
        if let Body::Template(t) = &module.body {
            widths.extend(t.memories.iter().map(|m| (format!("{}_{}.mem", module.name, m.name), m.width)));
        }
    }
    let mut read = Vec::with_capacity(files.len());
    for file in files {
        let found = match verilog(&file) {
            Some(module) => Some(read::read(&file.text).map_err(|why| refused(module, &why))?),
            None => None,
        };
        read.push((file, found));
    }
    let (mut codes, mut puts) = (BTreeSet::new(), BTreeSet::new());
    let (mut flags, mut encode) = (BTreeMap::new(), BTreeMap::new());
    for (file, found) in &mut read {
        let (Some(found), Some(module)) = (found, verilog(file).map(ToOwned::to_owned)) else { continue };
        let here = ecc::protect(&file.text, found, cell, &|name| widths.get(name).copied());
        for (memory, name, pieces) in here.memories {
            done.coded_memories.push(format!("{module}.{memory}"));
            codes.extend(&pieces);
            puts.extend(pieces.iter().filter(|_| here.written));
            encode.insert(format!("rtl/{name}"), pieces);
            flags.insert(module.clone(), here.flags.clone());
        }
        file.text = here.text;
    }
    // The modules around them, up to the design.
    let mut told: BTreeSet<String> = flags.keys().cloned().collect();
    loop {
        let more = read.iter().filter_map(|(file, found)| {
            let within = found.as_ref()?.instances.values().any(|m| told.contains(m));
            verilog(file).filter(|module| within && !told.contains(*module)).map(ToOwned::to_owned)
        });
        let more: Vec<String> = more.collect();
        if more.is_empty() {
            break;
        }
        told.extend(more);
    }
    let without = read.iter().filter(|(_, f)| f.as_ref().is_some_and(|f| !f.names.contains("rst_n")));
    let bare: BTreeSet<String> =
        without.filter_map(|(file, _)| verilog(file).map(ToOwned::to_owned)).collect();
    let mut out = Vec::with_capacity(read.len());
    for (mut file, found) in read {
        if let Some(pieces) = encode.get(&file.path) {
            file.text = code::encoded(&file.text, pieces);
        }
        if let (Some(found), Some(module)) = (found, verilog(&file).filter(|m| told.contains(*m))) {
            let own = flags.remove(module).unwrap_or_default();
            file.text = ecc::gather(&file.text, &found, own, &told, &bare);
        }
        out.push(file);
    }
    let module = |name: String, template: &str, code| File {
        path: format!("rtl/{name}.v"),
        text: print(registry, template, None, &ecc::context(cell, code, &origin(design))),
    };
    out.extend(codes.into_iter().map(|code| module(ecc::decoder(cell, code), "ecc.v", code)));
    out.extend(puts.into_iter().map(|code| module(ecc::encoder(cell, code), "ecc_put.v", code)));
    out.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(out)
}

/// Name of the module that a file holds.
fn verilog(file: &File) -> Option<&str> {
    file.path.strip_prefix("rtl/")?.strip_suffix(".v")
}

/// What of a module holds state, and where more may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Storage {
    /// Names of registers, in whatever generate block; memories are not among them.
    pub registers: BTreeSet<String>,
    /// Names of memories of code words, and of the registers that hold one.
    pub coded: BTreeSet<String>,
    /// Modules by the names of their instances.
    pub instances: BTreeMap<String, String>,
}

/// The registers and instances of a module that this crate has rendered. Errors: what was not understood.
pub fn storage(text: &str) -> Result<Storage, String> {
    let found = read::read(text)?;
    let registers = rewrite::registers(&found)?.into_iter().map(|d| d.name.clone()).collect();
    let coded = found.declared.iter().filter(|d| d.coded()).map(|d| d.name.clone()).collect();
    Ok(Storage { registers, coded, instances: found.instances })
}

#[cfg(test)]
mod tests;
