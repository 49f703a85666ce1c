//! Hardening against upsets, as passes over rendered Verilog: every flip-flop of a design becomes three and a vote, and constant
//! memories hold code words.
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
    /// Constant memories, by a code.
    pub memories: bool,
}

impl Guard {
    /// Every register, held three times.
    pub const TMR: Self = Self { registers: true, memories: false };
    /// Constant memories, by a code.
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

/// The files with constant memories coded, and decoders for them.
fn coded(
    design: &Design,
    registry: &Registry,
    files: Vec<File>,
    cell: &str,
    done: &mut Hardened,
) -> Result<Vec<File>, Diagnostic> {
    // Of the memories that templates name, those that no bus writes.
    let mut widths = BTreeMap::new();
    for module in &design.modules {
        if let Body::Template(t) = &module.body {
            for m in t.memories.iter().filter(|m| m.run_time.is_none()) {
                widths.insert(format!("{}_{}.mem", module.name, m.name), m.width);
            }
        }
    }
    let (mut out, mut codes) = (Vec::with_capacity(files.len()), BTreeSet::new());
    let (mut modules, mut encode) = (BTreeSet::new(), BTreeMap::new());
    for file in files {
        let Some(module) = verilog(&file).map(ToOwned::to_owned) else {
            out.push(file);
            continue;
        };
        let found = read::read(&file.text).map_err(|why| refused(&module, &why))?;
        let done_here = ecc::protect(&file.text, &found, cell, &|name| widths.get(name).copied());
        for (memory, name, width) in done_here.memories {
            done.coded_memories.push(format!("{module}.{memory}"));
            encode.insert(format!("rtl/{name}"), width);
            modules.insert(module.clone());
        }
        codes.extend(done_here.codes);
        out.push(File { text: done_here.text, ..file });
    }
    for file in &mut out {
        if let Some(width) = encode.get(&file.path) {
            file.text = code::encoded(&file.text, *width);
        }
        if file.path == format!("rtl/{}.v", design.name) && !modules.is_empty() {
            let found = read::read(&file.text).map_err(|why| refused(&design.name, &why))?;
            file.text = ecc::gather(&file.text, &found, &modules);
        }
    }
    out.extend(codes.into_iter().map(|code| File {
        path: format!("rtl/{}.v", ecc::decoder(cell, code)),
        text: print(registry, "ecc.v", None, &ecc::context(cell, code, &origin(design))),
    }));
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
