//! `nervure prune`: fewer weights, in a pattern that sparse hardware is fast at.

use std::path::PathBuf;

use anyhow::{Context, Result};
use nervure_core::{Network, Samples};
use nervure_front::prune::{self, Decomposed, NamedArrays, Pattern, Pruned};
use nervure_sim::golden::{self, GoldenOptions, Trace};
use serde_json::{Value, json};

use super::import::{aside, publish, refuse};
use crate::args::PruneArgs;
use crate::compile::{network_file, samples_beside};
use crate::console::Console;
use crate::figures::{self, rounded};
use crate::table::table;

/// Prunes or decomposes, writes the new network, and compares the two on samples.
pub(crate) fn prune(console: &Console, args: &PruneArgs) -> Result<bool> {
    let registry = nervure_templates::registry();
    let file = network_file(&args.net);
    let (mut object, made) = if args.decompose.is_empty() {
        let pattern = Pattern::parse(args.pattern.as_deref().unwrap_or_default())?;
        let pruned =
            prune::prune(&file, &registry, &args.set, pattern, &args.layers, args.planes.as_deref())?;
        let suffix = format!("{}of{}", pattern.n(), pattern.m());
        (pruned_object(&pruned, pattern), Made::pruned(pruned, suffix))
    } else {
        let patterns = args.decompose.iter().map(|p| Pattern::parse(p)).collect::<Result<Vec<_>, _>>()?;
        let split = prune::decompose(&file, &registry, &args.set, &patterns, &args.layers)?;
        (split_object(&split, &patterns), Made::split(split))
    };
    let place = args.output.clone().unwrap_or_else(|| folder_name(&made));
    refuse(&place)?;
    let beside = Some(samples_beside(&file)).filter(|f| f.is_file());
    let input = args.input.clone().or_else(|| beside.clone());
    let samples = input.map(|f| nervure_front::samples(&f, &made.before)).transpose()?;
    let aside = aside(console, &place, &made.yaml, &made.arrays)?;
    if let Some(planes) = &args.planes {
        nervure_front::write_npz(&aside.path().join(planes), &made.planes)?;
    }
    nervure_front::load(&aside.path().join("network.yaml"), &registry, &[])?;
    if let Some(samples) = beside {
        let copy = || std::fs::copy(&samples, aside.path().join("samples.npz"));
        copy().with_context(|| format!("cannot copy {}", samples.display()))?;
    }
    let mut passed = true;
    if let Some(samples) = &samples {
        passed = compare(console, &made, samples, &mut object)?;
    }
    object["network"] = json!(place.display().to_string());
    publish(console, aside, &place)?;
    console.result(&object, || text(&object));
    Ok(passed)
}

/// A network that was made of another.
struct Made {
    suffix: String,
    yaml: String,
    arrays: NamedArrays,
    planes: NamedArrays,
    before: Network,
    after: Network,
    /// Whether the two compute the same.
    same: bool,
}

impl Made {
    fn pruned(p: Pruned, suffix: String) -> Self {
        let Pruned { yaml, arrays, planes, before, after, .. } = p;
        Self { suffix, yaml, arrays, planes, before, after, same: false }
    }

    fn split(d: Decomposed) -> Self {
        let suffix = "passes".to_owned();
        let Decomposed { yaml, arrays, before, after, .. } = d;
        Self { suffix, yaml, arrays, planes: Vec::new(), before, after, same: true }
    }
}

fn folder_name(made: &Made) -> PathBuf {
    let plain = |c: char| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' };
    let name: String = made.before.name.chars().map(plain).collect();
    PathBuf::from(format!("{name}-{}", made.suffix))
}

/// What both networks make of the samples. Whether it is the same, where it should be.
fn compare(console: &Console, made: &Made, samples: &Samples, object: &mut Value) -> Result<bool> {
    let [before, after] = [traced(console, &made.before, samples)?, traced(console, &made.after, samples)?];
    object["samples"] = json!(samples.count);
    for (when, trace) in [("before", &before), ("after", &after)] {
        object[when] = json!({});
        figures::score(&mut object[when], trace, samples);
    }
    let equal = before.outputs.iter().zip(&after.outputs).all(|(a, b)| a.elements == b.elements);
    if made.same {
        object["equal"] = json!(equal);
    }
    Ok(equal || !made.same)
}

fn traced(console: &Console, network: &Network, samples: &Samples) -> Result<Trace> {
    let stage = console.stage("golden", samples.count);
    let trace = golden::run(network, samples, GoldenOptions::default(), &|n| stage.at(n))?;
    stage.done(&format!("{} samples", samples.count));
    Ok(trace)
}

fn pruned_object(pruned: &Pruned, pattern: Pattern) -> Value {
    let layers = pruned.layers.iter().map(|l| {
        json!({"layer": l.name, "weights": l.weights, "not_zero": l.before, "kept": l.kept,
            "energy_kept": (l.energy * 1e6).round() / 1e6, "largest_error": l.largest, "mean_error": rounded(l.mean),
            "weight_format": l.format, "pattern_set": l.knows, "accumulator_set": l.pinned})
    });
    json!({"name": pruned.before.name, "pattern": pattern.to_string(), "layers": layers.collect::<Vec<Value>>()})
}

fn split_object(split: &Decomposed, patterns: &[Pattern]) -> Value {
    let layers = split.layers.iter().map(|l| {
        let passes = l.passes.iter();
        let passes = passes.map(|p| json!({"layer": p.name, "pattern": p.pattern.to_string(), "kept": p.kept}));
        json!({"layer": l.name, "weights": l.weights, "not_zero": l.not_zero, "passes": passes.collect::<Vec<Value>>()})
    });
    let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
    json!({"name": split.before.name, "decompose": patterns, "layers": layers.collect::<Vec<Value>>()})
}

fn cell(layer: &Value, key: &str) -> String {
    layer[key].as_str().map_or_else(|| layer[key].to_string(), ToOwned::to_owned)
}

fn pruned_table(layers: &[Value]) -> String {
    let head = ["layer", "weights", "not zero", "kept", "energy kept", "largest error", "mean error", ""];
    let mut rows = vec![head.map(ToOwned::to_owned).to_vec()];
    for layer in layers {
        let mut row = ["layer", "weights", "not_zero", "kept"].map(|key| cell(layer, key)).to_vec();
        row.push(format!("{:.2} %", layer["energy_kept"].as_f64().unwrap_or(1.0) * 100.0));
        row.extend(["largest_error", "mean_error"].map(|key| cell(layer, key)));
        let pinned = layer["accumulator_set"].as_str();
        row.push(pinned.map(|f| format!("accumulator: {f}")).unwrap_or_default());
        rows.push(row);
    }
    table(&rows)
}

fn split_table(layers: &[Value]) -> String {
    let mut rows = vec![["layer", "weights", "not zero", "passes"].map(ToOwned::to_owned).to_vec()];
    for layer in layers {
        let mut row = ["layer", "weights", "not_zero"].map(|key| cell(layer, key)).to_vec();
        let passes = layer["passes"].as_array().into_iter().flatten();
        let passes = passes.map(|p| format!("{} with {}", cell(p, "pattern"), p["kept"]));
        row.push(passes.collect::<Vec<_>>().join(", "));
        rows.push(row);
    }
    table(&rows)
}

fn text(object: &Value) -> String {
    let layers = object["layers"].as_array().map_or(&[][..], Vec::as_slice);
    let split = object["decompose"].is_array();
    let mut lines = vec![if split { split_table(layers) } else { pruned_table(layers) }];
    let [before, after] = ["before", "after"].map(|when| &object[when]);
    let n = &object["samples"];
    let word = if split { "decomposed" } else { "pruned" };
    if let (Some(a), Some(b)) = (before["accuracy"].as_f64(), after["accuracy"].as_f64()) {
        lines.push(format!("accuracy {:.2} %, {word} {:.2} %, of {n} samples", a * 100.0, b * 100.0));
    }
    if let (Some(a), Some(b)) = (before["reconstruction_mse"].as_f64(), after["reconstruction_mse"].as_f64())
    {
        lines.push(format!("reconstruction mean squared error {a:.6}, {word} {b:.6}"));
    }
    if let Some(equal) = object["equal"].as_bool() {
        let not = if equal { "" } else { "NOT " };
        lines.push(format!("outputs of {n} samples are {not}equal to the bit"));
    }
    let place = object["network"].as_str().unwrap_or_default();
    lines.push(format!("written to {place}\nNow: nervure build {place}"));
    lines.join("\n")
}
