//! `nervure synth`.

use anyhow::{Context, Result};
use nervure_sim::asic::needs_liberty;
use serde_json::json;

use super::asic::{asic, refuse};
use super::build::synthesise;
use crate::args::SynthArgs;
use crate::console::Console;
use crate::figures;
use crate::folder::manifest;
use crate::table::table;

/// Yosys figures of a build directory.
pub(crate) fn synth(console: &Console, args: &SynthArgs) -> Result<bool> {
    let registry = nervure_templates::registry();
    let manifest = manifest(&args.dir)?;
    let built_for = manifest["target"].as_str().unwrap_or("xc7");
    let target = registry.target(args.target.as_deref().unwrap_or(built_for))?;
    let top = manifest["top"].as_str().context("the manifest names no top module")?;
    if target.name != built_for {
        console.note(&format!(
            "note: scheduled for {built_for}; build with --target {} for its own clock",
            target.name
        ));
    }
    if needs_liberty(target) {
        return asic(console, args, target, &manifest);
    }
    refuse(args, target)?;
    let toolbox = console.toolbox();
    let found = synthesise(console, &toolbox, &args.dir.join("rtl"), top, target)?;
    let Some(found) = found else {
        console.commands("", "");
        return Ok(true);
    };
    let mut object = json!({"name": manifest["name"], "synth": figures::synthesis(&found)});
    object["synth"]["cells"] = json!(found.cells);
    object["synth"]["version"] = json!(found.version);
    console.result(&object, || {
        let row = |name: &str, n: String| vec![name.to_owned(), n];
        let mut rows = vec![
            row("target", target.title.clone()),
            row("LUT", found.lut.to_string()),
            row("FF", found.ff.to_string()),
            row("block RAM", found.bram.to_string()),
            row("DSP", found.dsp.to_string()),
            row("carry", found.carry.to_string()),
        ];
        if !found.unlisted.is_empty() {
            rows.push(row("not counted", found.unlisted.join(", ")));
        }
        table(&rows)
    });
    Ok(true)
}
