//! Hardening against upsets, as a pass over rendered Verilog: every flip-flop of a design becomes three and a vote.
//!
//! A clocked block becomes the logic of the next values, and each register an instance of one module that holds it three
//! times. What is held goes through the vote and back, so that a flip is gone a cycle later, whether the register loads or
//! holds. Cycles and bits stay as they are. See `docs/hardening.md`.
//!
//! Deliberately absent: voters in triplicate and clocks in triplicate (an upset of logic or of the clock tree), and any
//! knowledge of blocks: this reads the style in which all of them are written, and refuses what it does not understand.

mod read;
mod rewrite;
mod token;

use std::collections::{BTreeMap, BTreeSet};

use nervure_core::{Design, Diagnostic, Registry};
use serde::Serialize;
use serde_json::json;

use crate::render::{File, origin, print};

/// What was hardened, for the manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Hardened {
    /// How: `tmr`.
    pub mode: String,
    /// Registers that are held three times, as they are declared.
    pub registers: usize,
    /// Memories that are constants in logic: nothing in them can be upset.
    pub constant_memories: Vec<String>,
    /// Memories whose words are not protected.
    pub unprotected_memories: Vec<String>,
}

/// The files with every register of the design held three times, and what was done.
///
/// `files` are those of [`crate::render`] for `design`. Errors: `E0601` for a module that is not understood.
pub fn harden(
    design: &Design,
    registry: &Registry,
    files: Vec<File>,
) -> Result<(Vec<File>, Hardened), Diagnostic> {
    let taken = |name: &str| files.iter().any(|f| f.path == format!("rtl/{name}.v"));
    let free = |part: &str| {
        let mut name = format!("{}_{part}", design.name);
        while taken(&name) {
            name += "_";
        }
        name
    };
    let (cell, flop) = (free("tmr"), free("flop"));
    let mut done = Hardened { mode: "tmr".into(), ..Hardened::default() };
    let mut out = Vec::with_capacity(files.len() + 2);
    for file in files {
        let Some(module) = verilog(&file) else {
            out.push(file);
            continue;
        };
        let refuse = |why: String| {
            Diagnostic::new(
                "E0601",
                format!("module `{module}` cannot be hardened: {why}"),
                "build without `--harden`, and report it: every block should be written so that it can",
            )
        };
        let found = read::read(&file.text).map_err(refuse)?;
        let (text, registers) = rewrite::triplicate(&file.text, &found, &cell).map_err(refuse)?;
        done.registers += registers;
        for memory in found.declared.iter().filter(|d| d.array.is_some()) {
            let name = format!("{module}.{}", memory.name);
            let written = found.clocked.iter().flat_map(|c| c.body.assignments()).any(|a| a.name == memory.name);
            let list = if written { &mut done.unprotected_memories } else { &mut done.constant_memories };
            list.push(name);
        }
        out.push(File { text, ..file });
    }
    if done.registers > 0 {
        let context = json!({"cell": cell, "flop": flop, "origin": origin(design)});
        for (module, template) in [(&cell, "tmr.v"), (&flop, "flop.v")] {
            out.push(File { path: format!("rtl/{module}.v"), text: print(registry, template, None, &context) });
        }
        out.sort_by(|a, b| a.path.cmp(&b.path));
    }
    Ok((out, done))
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
    /// Modules by the names of their instances.
    pub instances: BTreeMap<String, String>,
}

/// The registers and instances of a module that this crate has rendered. Errors: what was not understood.
pub fn storage(text: &str) -> Result<Storage, String> {
    let found = read::read(text)?;
    let registers = rewrite::registers(&found)?.into_iter().map(|d| d.name.clone()).collect();
    Ok(Storage { registers, instances: found.instances })
}

#[cfg(test)]
mod tests;
