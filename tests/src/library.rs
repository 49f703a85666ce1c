//! The folders of the block library as tests see them: which blocks to visit, and the files recorded beside them.

use std::path::{Path, PathBuf};

use nervure_back::File;
use nervure_core::AnyBlock;
use nervure_sim::cache::digest;
use serde_json::{Map, Value, json};

use crate::{Built, blessing, registry, target};

/// Cells that take no logic of their own: pads, the clock, inverters that a lookup table absorbs, and the multiplexers
/// beside lookup tables.
const FREE: [&str; 6] = ["IBUF", "OBUF", "BUFG", "INV", "MUXF7", "MUXF8"];

/// The blocks under test: all of them, or the one that `NERVURE_ONLY` names.
pub fn blocks() -> Vec<&'static dyn AnyBlock> {
    let only = std::env::var("NERVURE_ONLY").ok();
    let wanted = |b: &&dyn AnyBlock| only.as_ref().is_none_or(|name| name == b.name());
    let blocks: Vec<_> = registry().blocks().filter(wanted).collect();
    assert!(!blocks.is_empty(), "no block is called {only:?}");
    blocks
}

/// The block's folder.
pub fn folder(block: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../templates").join(block)
}

/// The files of the module that computes layer 0: its own and those of its kernels and memories.
pub fn own_files(built: &Built) -> (String, Vec<&File>) {
    let modules = &built.design.modules;
    let own = &modules.iter().find(|m| m.node == Some(0)).expect("layer 0 has a module").name;
    let belongs = |path: &str, module: &str| {
        let rest = path.strip_prefix("rtl/").and_then(|p| p.strip_prefix(module));
        rest.is_some_and(|r| r.starts_with(['.', '_']))
    };
    // A module whose name is longer and fits, too, is the closer one.
    let other = |path: &str| {
        modules
            .iter()
            .any(|m| m.name.len() > own.len() && m.name.starts_with(own.as_str()) && belongs(path, &m.name))
    };
    let files = built.files.iter().filter(|f| belongs(&f.path, own) && !other(&f.path)).collect();
    (own.clone(), files)
}

/// The Verilog of those files, one after the other: what a golden file holds.
pub fn golden_text(files: &[&File]) -> String {
    let verilog = files.iter().filter(|f| f.path.ends_with(".v"));
    verilog.map(|f| f.text.as_str()).collect::<Vec<_>>().join("\n")
}

/// Compares `text` with the file, or writes it when blessing. Returns what is wrong.
pub fn recorded(file: &Path, text: &str) -> Option<String> {
    let old = std::fs::read_to_string(file).ok();
    if old.as_deref() == Some(text) {
        return None;
    }
    if blessing() {
        std::fs::write(file, text).expect("a recorded file is written");
        return None;
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let Some(old) = old else {
        return Some(format!("{name} is missing; NERVURE_BLESS=1 writes it"));
    };
    let differ = |(a, b): &(&str, &str)| a != b;
    let line = old.lines().zip(text.lines()).take_while(|pair| !differ(pair)).count();
    let (was, is) = (old.lines().nth(line).unwrap_or_default(), text.lines().nth(line).unwrap_or_default());
    Some(format!(
        "{name} is stale from line {}:\n  was {was}\n  is  {is}\nNERVURE_BLESS=1 rewrites it",
        line + 1
    ))
}

/// The areas recorded for the block's examples.
pub fn areas(block: &str) -> Map<String, Value> {
    let text = std::fs::read_to_string(folder(block).join("area.json")).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// The entry of `area.json` for an example: the recorded one where the emitted text is still the same, a new Yosys run
/// when blessing. Errors: a stale or missing entry.
pub fn area(built: &Built, example: &str, recorded: &Map<String, Value>) -> Result<Value, String> {
    let (top, files) = own_files(built);
    let texts = files.iter().map(|f| f.text.as_bytes());
    let cells = format!("{:?}", target().cells);
    let sha = digest(texts.chain([target().synth.as_bytes(), cells.as_bytes()]));
    if let Some(entry) = recorded.get(example)
        && entry["sha256"] == json!(sha)
    {
        return Ok(entry.clone());
    }
    if !blessing() {
        return Err(format!("area.json: example {example} is stale or missing; NERVURE_BLESS=1 runs Yosys"));
    }
    let toolbox = crate::bench().toolbox;
    let s =
        nervure_sim::synth::synth(toolbox, &built.rtl(), &top, target(), "").map_err(|e| format!("{e:#}"))?;
    let s = s.expect("this is no dry run");
    let unknown: Vec<&String> = s.unlisted.iter().filter(|cell| !FREE.contains(&cell.as_str())).collect();
    if !unknown.is_empty() {
        return Err(format!("target {} does not say what these cells count as: {unknown:?}", s.target));
    }
    let tool = s.version.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    Ok(json!({
        "sha256": sha, "tool": tool, "target": s.target,
        "lut": s.lut, "ff": s.ff, "bram": s.bram, "dsp": s.dsp, "carry": s.carry,
    }))
}
