//! `nervure prune`: fewer weights, in a pattern that sparse hardware is fast at.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nervure_core::{Network, Samples};
use nervure_front::prune::{self, Pattern, Pruned};
use nervure_sim::golden::{self, GoldenOptions, Trace};
use serde_json::{Value, json};

use super::import::{aside, publish, refuse};
use crate::args::PruneArgs;
use crate::compile::{network_file, samples_beside};
use crate::console::Console;
use crate::figures::{self, rounded};
use crate::table::table;

/// Prunes, writes the new network, and compares the two on samples.
pub(crate) fn prune(console: &Console, args: &PruneArgs) -> Result<bool> {
    let registry = nervure_templates::registry();
    let pattern = Pattern::parse(&args.pattern)?;
    let file = network_file(&args.net);
    let pruned = prune::prune(&file, &registry, &args.set, pattern, &args.layers)?;
    let place = args.output.clone().unwrap_or_else(|| folder_name(&pruned.before, pattern));
    refuse(&place)?;
    let beside = Some(samples_beside(&file)).filter(|f| f.is_file());
    let input = args.input.clone().or_else(|| beside.clone());
    let samples = input.map(|f| nervure_front::samples(&f, &pruned.before)).transpose()?;
    let aside = aside(console, &place, &pruned.yaml, &pruned.arrays)?;
    nervure_front::load(&aside.path().join("network.yaml"), &registry, &[])?;
    if let Some(samples) = beside {
        let copy = || std::fs::copy(&samples, aside.path().join("samples.npz"));
        copy().with_context(|| format!("cannot copy {}", samples.display()))?;
    }
    let object = object(console, &pruned, pattern, samples.as_ref(), &place)?;
    publish(console, aside, &place)?;
    console.result(&object, || text(&object));
    Ok(true)
}

fn folder_name(network: &Network, pattern: Pattern) -> PathBuf {
    let plain = |c: char| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' };
    let name: String = network.name.chars().map(plain).collect();
    PathBuf::from(format!("{name}-{}of{}", pattern.n(), pattern.m()))
}

fn traced(console: &Console, network: &Network, samples: &Samples) -> Result<Trace> {
    let stage = console.stage("golden", samples.count);
    let trace = golden::run(network, samples, GoldenOptions::default(), &|n| stage.at(n))?;
    stage.done(&format!("{} samples", samples.count));
    Ok(trace)
}

fn object(
    console: &Console,
    pruned: &Pruned,
    pattern: Pattern,
    samples: Option<&Samples>,
    place: &Path,
) -> Result<Value> {
    let layers = pruned.layers.iter().map(|l| {
        json!({"layer": l.name, "weights": l.weights, "not_zero": l.before, "kept": l.kept,
            "energy_kept": (l.energy * 1e6).round() / 1e6, "largest_error": l.largest, "mean_error": rounded(l.mean),
            "weight_format": l.format, "pattern_set": l.knows, "accumulator_set": l.pinned})
    });
    let mut object = json!({"name": pruned.before.name, "pattern": pattern.to_string(),
        "network": place.display().to_string(), "layers": layers.collect::<Vec<Value>>()});
    if let Some(samples) = samples {
        object["samples"] = json!(samples.count);
        for (when, network) in [("before", &pruned.before), ("after", &pruned.after)] {
            object[when] = json!({});
            figures::score(&mut object[when], &traced(console, network, samples)?, samples);
        }
    }
    Ok(object)
}

fn text(object: &Value) -> String {
    let head = ["layer", "weights", "not zero", "kept", "energy kept", "largest error", "mean error", ""];
    let mut rows = vec![head.map(ToOwned::to_owned).to_vec()];
    for layer in object["layers"].as_array().into_iter().flatten() {
        let cell = |key: &str| layer[key].as_str().map_or_else(|| layer[key].to_string(), ToOwned::to_owned);
        let keys = ["layer", "weights", "not_zero", "kept"];
        let mut row = keys.map(cell).to_vec();
        row.push(format!("{:.2} %", layer["energy_kept"].as_f64().unwrap_or(1.0) * 100.0));
        row.extend(["largest_error", "mean_error"].map(cell));
        let pinned = layer["accumulator_set"].as_str();
        row.push(pinned.map(|f| format!("accumulator: {f}")).unwrap_or_default());
        rows.push(row);
    }
    let mut lines = vec![table(&rows)];
    let [before, after] = ["before", "after"].map(|when| &object[when]);
    if let (Some(a), Some(b)) = (before["accuracy"].as_f64(), after["accuracy"].as_f64()) {
        let n = &object["samples"];
        lines.push(format!("accuracy {:.2} %, pruned {:.2} %, of {n} samples", a * 100.0, b * 100.0));
    }
    if let (Some(a), Some(b)) = (before["reconstruction_mse"].as_f64(), after["reconstruction_mse"].as_f64())
    {
        lines.push(format!("reconstruction mean squared error {a:.6}, pruned {b:.6}"));
    }
    let place = object["network"].as_str().unwrap_or_default();
    lines.push(format!("written to {place}\nNow: nervure build {place}"));
    lines.join("\n")
}
