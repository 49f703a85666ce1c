//! Synthesis figures: a Yosys run, counted.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use nervure_core::Target;
use serde::Serialize;
use serde_json::Value;

use crate::tool::{Call, Toolbox, quote};
use crate::verilate::{names, sources};

/// Size of a design after synthesis.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Synthesis {
    /// Target's name.
    pub target: String,
    /// Lookup tables, those used as memory or shift register included.
    pub lut: u64,
    /// Flip-flops.
    pub ff: u64,
    /// Block RAMs; a half is half of one.
    pub bram: f64,
    /// Hard multipliers.
    pub dsp: u64,
    /// Carry cells.
    pub carry: u64,
    /// Every cell by its Yosys name.
    pub cells: BTreeMap<String, u64>,
    /// Cells that no list of the target names.
    pub unlisted: Vec<String>,
    /// First line of what Yosys says of its version.
    pub version: String,
}

/// Runs the target's command on the Verilog in folder `rtl`; `None` in a dry run. `extra` is Yosys script text that runs
/// last, such as `write_json top.json`, in folder `rtl`.
pub fn synth(
    toolbox: &Toolbox,
    rtl: &Path,
    top: &str,
    target: &Target,
    extra: &str,
) -> Result<Option<Synthesis>> {
    let version = toolbox.find("yosys")?.version;
    let files = sources(rtl)?;
    let scratch = tempfile::tempdir()?;
    let stat = scratch.path().join("stat.json");
    let script =
        script(&names(&files).map(|n| n.to_string_lossy().into_owned()).collect::<Vec<_>>(), top, target);
    let script = format!("{script}; tee -q -o {} stat -json; {extra}", quote(&stat.to_string_lossy()));
    toolbox.must(&Call::new("yosys").args(["-q", "-p", &script]).within(rtl))?;
    if toolbox.is_dry() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&stat).context("Yosys wrote no statistics")?;
    let cells = cells(&text)?;
    Ok(Some(Synthesis { version, ..count(cells, target) }))
}

/// The Yosys commands that read `files` and map them to `target`.
pub fn script(files: &[String], top: &str, target: &Target) -> String {
    let files: Vec<String> = files.iter().map(|f| quote(f)).collect();
    format!("read_verilog {}; {}", files.join(" "), target.synth.replace("TOP", top))
}

/// Cells of the whole design in the output of `stat -json`.
///
/// Yosys 0.23 writes `\` in names unescaped and text before the object; both are mended here.
pub(crate) fn cells(text: &str) -> Result<BTreeMap<String, u64>> {
    let (from, to) = (text.find('{').unwrap_or(0), text.rfind('}').map_or(text.len(), |i| i + 1));
    let value: Value = serde_json::from_str(&text[from..to])
        .or_else(|_| serde_json::from_str(&text[from..to].replace('\\', "\\\\")))
        .context("the statistics of Yosys are not JSON")?;
    let by_type =
        value["design"]["num_cells_by_type"].as_object().context("the statistics of Yosys have no design")?;
    Ok(by_type.iter().map(|(name, n)| (name.clone(), n.as_u64().unwrap_or(0))).collect())
}

/// Adds cells up by what the target says they count as. Weights of `bram` are in halves.
pub fn count(cells: BTreeMap<String, u64>, target: &Target) -> Synthesis {
    let weight = |kind: &str, cell: &str| {
        let list = target.cells.get(kind)?;
        list.iter().find(|(name, _)| name == cell).map(|(_, w)| u64::from(*w))
    };
    let sum = |kind: &str| cells.iter().filter_map(|(cell, n)| Some(n * weight(kind, cell)?)).sum::<u64>();
    let (lut, ff, dsp, carry) = (sum("lut"), sum("ff"), sum("dsp"), sum("carry"));
    let bram = sum("bram") as f64 / 2.0;
    let listed = |cell: &str| target.cells.keys().any(|kind| weight(kind, cell).is_some());
    let unlisted = cells.keys().filter(|cell| !listed(cell)).cloned().collect();
    Synthesis {
        target: target.name.clone(),
        lut,
        ff,
        bram,
        dsp,
        carry,
        cells,
        unlisted,
        version: String::new(),
    }
}
