//! `nervure synth --liberty`: a build in standard cells.

use anyhow::Result;
use nervure_core::{Diagnostic, Target};
use nervure_sim::asic::{Asic, AsicOptions, asic as map};
use nervure_sim::golden::{self, GoldenOptions};
use nervure_sim::{Bench, Cache, Subject};
use serde_json::{Value, json};

use super::verify::opened;
use crate::args::SynthArgs;
use crate::console::Console;
use crate::figures::rounded;
use crate::table::table;

/// Samples that the netlist is simulated on.
const SAMPLES: usize = 100;

/// Refuses liberty files that `target` has no use for. Errors: `E0506`.
pub(super) fn refuse(args: &SynthArgs, target: &Target) -> Result<(), Diagnostic> {
    if args.liberty.is_empty() {
        return Ok(());
    }
    let message = format!("target `{}` has cells of its own, and no use for a liberty file", target.name);
    Err(Diagnostic::new("E0506", message, "add `--target asic`, or leave `--liberty` out"))
}

/// Maps, counts, and asks OpenSTA. Fails when the clock is missed.
pub(super) fn asic(console: &Console, args: &SynthArgs, target: &Target, manifest: &Value) -> Result<bool> {
    if args.liberty.is_empty() {
        return Err(Diagnostic::new(
            "E0506",
            format!("target `{}` maps to a liberty file, and none is named", target.name),
            "add `--liberty FILE.lib`, or `FILE.lib.gz`; once for each file of a library in several",
        )
        .into());
    }
    let registry = nervure_templates::registry();
    let compiled = opened(&args.dir, manifest, &registry)?;
    let samples = nervure_front::samples(&args.dir.join("sim/samples.npz"), &compiled.network)?.take(SAMPLES);
    let trace = golden::run(&compiled.network, &samples, GoldenOptions::default(), &|_| ())?;
    let (toolbox, cache) = (console.toolbox(), Cache::open());
    let bench = Bench { toolbox: &toolbox, cache: &cache };
    let rtl = args.dir.join("rtl");
    let subject = Subject { design: &compiled.design, network: &compiled.network, rtl: &rtl };
    let clock_mhz = args.clock.unwrap_or(compiled.design.clock_mhz);
    let samples = (!args.no_energy).then_some((&samples, &trace));
    let options = AsicOptions { liberty: &args.liberty, clock_mhz, samples };
    let stage = console.stage("synth", 0);
    let Some(found) = map(&bench, &subject, target, &options)? else {
        console.commands("", "");
        return Ok(true);
    };
    stage.done(&format!("{} cells, {:.2} kGE", found.cells, found.kge));
    let interval = manifest["design"]["interval_cycles"].as_f64();
    let power = found.timing.and_then(|t| t.power_mw);
    let settled = found.timing.and_then(|t| t.settled_mw);
    let energy = |mw: Option<f64>| mw.zip(interval).map(|(mw, cycles)| mw * cycles / f64::from(clock_mhz));
    let (energy, settled) = (energy(power), energy(settled));
    let met = found.timing.is_none_or(|t| t.worst_slack_ns >= 0.0);
    let timing = found.timing.map(|t| {
        let (power, settled) = (t.power_mw.map(digits), t.settled_mw.map(digits));
        json!({"worst_slack_ns": t.worst_slack_ns, "power_mw": power, "settled_mw": settled})
    });
    let object = json!({"name": manifest["name"], "passed": met, "synth": {
        "target": found.target, "liberty": found.liberty, "nand2": found.nand2, "nand2_um2": found.nand2_um2,
        "cells": found.cells, "ff": found.ff, "area_um2": rounded(found.area_um2), "kge": rounded(found.kge),
        "by_cell": found.by_cell, "clock_mhz": clock_mhz, "timing": timing, "activity": found.activity,
        "energy_nj": energy.map(digits), "settled_nj": settled.map(digits), "method": METHOD, "versions": found.versions,
    }});
    console.result(&object, || words(&found, target, energy, settled));
    Ok(met)
}

/// What the energy is.
const METHOD: &str = "OpenSTA report_power, cells and clock pins, no clock tree, wires only as far as the library has a \
    default wire load, with the mean changes of a net that a simulation of the mapped cells with their delays (Icarus \
    Verilog, one delay for each output and edge, from OpenSTA) counts on the build's samples; settled: a net counts at \
    most once a cycle, so that glitches do not";

/// Six digits.
fn digits(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap_or(x)
}

fn words(found: &Asic, target: &Target, energy: Option<f64>, settled: Option<f64>) -> String {
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let mut rows = vec![
        row("target", target.title.clone()),
        row("liberty", found.liberty.join(", ")),
        row("cells", format!("{}, {} of them flip-flops", found.cells, found.ff)),
        row("area", format!("{:.1} um2", found.area_um2)),
        row("gates", format!("{:.3} kGE of {} ({} um2)", found.kge, found.nand2, found.nand2_um2)),
    ];
    if let Some(a) = found.activity {
        let over = format!("over {} cycles of {} samples", a.cycles, a.samples);
        let without = format!("{:.4} without glitches", a.settled);
        rows.push(row("activity", format!("{:.4} toggles a net and cycle, {without}, {over}", a.toggles)));
    }
    match found.timing {
        Some(t) => {
            let missed = if t.worst_slack_ns < 0.0 { ": MISSED" } else { "" };
            let clock = found.clock_mhz;
            rows.push(row(
                "slack",
                format!("{:.2} ns at {clock} MHz, before layout{missed}", t.worst_slack_ns),
            ));
            let both = |name, unit, pair: Option<(f64, f64)>| {
                pair.map(|(all, settled)| {
                    row(name, format!("{all:.5} {unit}, {settled:.5} without glitches"))
                })
            };
            rows.extend(both("power", "mW", t.power_mw.zip(t.settled_mw)));
            rows.extend(both("energy", "nJ an inference", energy.zip(settled)));
        }
        None => rows.push(row(
            "slack",
            "unknown: `sta` is not installed; `apt-get install opensta` brings it".into(),
        )),
    }
    table(&rows)
}
