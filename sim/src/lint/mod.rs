//! Four readers of the same Verilog, all of which must stay silent.

mod shape;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cache::{Cache, digest};
use crate::cosim::Bench;
use crate::tool::{Call, quote};
use crate::verilate::{names, sources};

/// Something that a reader said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LintFinding {
    /// `verilator`, `iverilog`, `yosys` or `sv-parser`.
    pub tool: &'static str,
    /// What it said.
    pub text: String,
}

/// Deeply nested expressions take stack to parse; only touched pages cost memory.
const STACK: usize = 256 << 20;

/// Reads the Verilog in folder `rtl` with Verilator, Icarus, Yosys (which also looks for latches, loops and undriven
/// wires) and sv-parser, at once. The answer is empty when all is well.
pub fn lint(bench: &Bench, rtl: &Path, top: &str) -> Result<Vec<LintFinding>> {
    let Bench { toolbox, cache } = *bench;
    for tool in ["verilator", "iverilog", "yosys"] {
        toolbox.find(tool)?;
    }
    let files = sources(rtl)?;
    let said = |tool: &'static str, call: Call| -> Result<Option<LintFinding>> {
        let out = toolbox.run(&call.within(rtl))?;
        let text = out.text();
        let text = if text.is_empty() && !out.success { "failed without a word".into() } else { text };
        Ok((!text.is_empty()).then_some(LintFinding { tool, text }))
    };
    let verilator =
        Call::new("verilator").args(["--lint-only", "-Wall", "--no-timing", "--language", "1364-2005"]);
    let verilator = verilator.args(["--top-module", top]).args(names(&files));
    let iverilog =
        Call::new("iverilog").args(["-g2005", "-Wall", "-t", "null", "-s", top]).args(names(&files));
    let script = format!(
        "read_verilog {}; hierarchy -check -top {top}; proc; check -assert; select -assert-none t:$dlatch*",
        names(&files).map(|n| quote(&n.to_string_lossy())).collect::<Vec<_>>().join(" ")
    );
    let yosys = Call::new("yosys").args(["-q", "-p", &script]);
    std::thread::scope(|scope| {
        let tools = [("verilator", verilator), ("iverilog", iverilog), ("yosys", yosys)];
        let tools: Vec<_> =
            tools.into_iter().map(|(tool, call)| scope.spawn(move || said(tool, call))).collect();
        let mut findings = Vec::new();
        let parsed = if toolbox.is_dry() { Ok(Vec::new()) } else { parse(cache, &files) };
        for tool in tools {
            findings.extend(tool.join().expect("running a command does not panic")?);
        }
        findings.extend(parsed?);
        Ok(findings)
    })
}

#[cfg(feature = "sv-parser")]
fn parse_one(text: &str, file: &Path) -> Option<String> {
    let defines = std::collections::HashMap::new();
    sv_parser::parse_sv_str::<_, PathBuf, _>(text, file, &defines, &[], true, false)
        .err()
        .map(|e| e.to_string())
}

#[cfg(not(feature = "sv-parser"))]
fn parse_one(_: &str, _: &Path) -> Option<String> {
    None
}

/// Parses every file with sv-parser, files shared among threads; findings in the order of the files.
///
/// A file that parsed once is not parsed again, and of declarations that differ in names and numbers only it sees one: the
/// parser takes far longer than all the others, twenty seconds for an unrolled network of five thousand lines.
pub fn parse(cache: &Cache, files: &[PathBuf]) -> Result<Vec<LintFinding>> {
    if cfg!(not(feature = "sv-parser")) {
        return Ok(Vec::new());
    }
    let queue = Mutex::new(files.iter().enumerate());
    let findings = Mutex::new(Vec::new());
    let work = || -> Result<()> {
        loop {
            let next = queue.lock().expect("no panic while it is held").next();
            let Some((i, file)) = next else { return Ok(()) };
            let text =
                std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            let key = digest([b"sv-parser 0.13, distinct", text.as_bytes()]);
            if cache.has("parsed", &key) {
                continue;
            }
            if let Some(error) = parse_one(&shape::distinct(&text), file) {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let finding = LintFinding { tool: "sv-parser", text: format!("{name}: {error}") };
                findings.lock().expect("no panic while it is held").push((i, finding));
            } else {
                cache.entry("parsed", &key, |_| Ok(()))?;
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(files.len());
    std::thread::scope(|scope| -> Result<()> {
        let start = |_| std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let running = (0..threads).map(start).collect::<std::io::Result<Vec<_>>>()?;
        running.into_iter().try_for_each(|t| t.join().expect("the parser does not panic"))
    })?;
    let mut findings = findings.into_inner().expect("no panic while it was held");
    findings.sort_by_key(|(i, _)| *i);
    Ok(findings.into_iter().map(|(_, f)| f).collect())
}
