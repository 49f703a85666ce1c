//! `nervure mask`: which neurons are active so often that they say nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nervure_core::{Diagnostic, Network, NodeId, Registry, Samples, TensorRef};
use nervure_sim::golden::{self, GoldenOptions, Recorded, Trace};
use serde_json::{Value, json};

use crate::args::{MASKS, MaskArgs};
use crate::compile::{network_file, samples_beside};
use crate::console::Console;
use crate::figures::{self, rounded};
use crate::table::table;

/// A layer whose neurons were looked at.
struct Looked {
    name: String,
    /// 1 for a neuron that stays.
    kept: Vec<i64>,
    /// Share of steps in which the busiest neuron is active.
    most: f64,
    /// Neurons that are active in a step, on average.
    active: f64,
}

/// Runs the golden model, writes a mask for each layer, and runs it again with them.
pub(crate) fn mask(console: &Console, args: &MaskArgs) -> Result<bool> {
    let registry = nervure_templates::registry();
    let file = network_file(&args.net);
    let network = nervure_front::load(&file, &registry, &args.set)?;
    let layers = chosen(&network, &registry, &args.layer)?;
    let input = args.input.clone().unwrap_or_else(|| samples_beside(&file));
    let samples = nervure_front::samples(&input, &network)?;
    let output = folder(&file).join(&args.output);
    if output.exists() && args.output != MASKS {
        bail!("{} is there already; choose another name with `-o`", output.display());
    }
    if console.dry {
        console.commands("", "");
        return Ok(true);
    }
    let trace = traced(console, &network, &samples)?;
    let looked: Vec<Looked> = layers.iter().map(|n| look(&network, *n, &trace, args.rate)).collect();
    let arrays: Vec<_> =
        looked.iter().map(|l| (l.name.clone(), vec![l.kept.len()], l.kept.clone())).collect();
    nervure_front::write_npz(&output, &arrays)
        .with_context(|| format!("cannot write {}", output.display()))?;
    let mut set = args.set.clone();
    set.extend(looked.iter().map(|l| (format!("layers.{}.mask", l.name), format!("{:?}", l.kept))));
    let masked = nervure_front::load(&file, &registry, &set)?;
    let after = traced(console, &masked, &samples)?;
    let object = object(&network, &samples, [&trace, &after], &layers, &looked, args);
    console.result(&object, || text(&object, &looked, args));
    Ok(true)
}

fn traced(console: &Console, network: &Network, samples: &Samples) -> Result<Trace> {
    let stage = console.stage("golden", samples.count);
    let trace = golden::run(network, samples, GoldenOptions { threads: 0, trace: true }, &|n| stage.at(n))?;
    stage.done(&format!("{} samples", samples.count));
    Ok(trace)
}

/// Folder of the network file: where it looks for arrays.
fn folder(network: &Path) -> PathBuf {
    if network.is_dir() {
        return network.to_owned();
    }
    network.parent().unwrap_or(Path::new("")).to_owned()
}

/// The layers that were named or, if none were, those with a mask that another one with a mask reads: no read-out is silenced
/// unasked. Errors: `E0108` for a name without a layer, `E0304` for a layer that takes no mask or no layer at all.
fn chosen(network: &Network, registry: &Registry, names: &[String]) -> Result<Vec<usize>, Diagnostic> {
    let takes = |n: usize| {
        let block = registry.get(network.nodes[n].instance.block()).expect("the network was loaded with it");
        block.schema()["properties"].get("mask").is_some()
    };
    let all = 0..network.nodes.len();
    if names.is_empty() {
        let read = |n: usize, by: usize| network.nodes[by].inputs.contains(&TensorRef::Output(NodeId(n), 0));
        let hidden = |n: &usize| takes(*n) && all.clone().any(|by| takes(by) && read(*n, by));
        let list: Vec<usize> = all.clone().filter(hidden).collect();
        if list.is_empty() {
            let message = "no layer that takes a `mask` is read by another one";
            return Err(Diagnostic::new("E0304", message, "name a layer with `--layer`"));
        }
        return Ok(list);
    }
    let one = |name: &String| {
        let Some(n) = network.nodes.iter().position(|node| node.name == *name) else {
            let known: Vec<&str> = network.nodes.iter().map(|n| n.name.as_str()).collect();
            let message = format!("there is no layer `{}`", name.escape_debug());
            return Err(Diagnostic::new("E0108", message, format!("the layers are {}", known.join(", "))));
        };
        if takes(n) {
            return Ok(n);
        }
        let message = format!(
            "the layer `{}`, `{}`, takes no mask",
            name.escape_debug(),
            network.nodes[n].instance.block()
        );
        Err(Diagnostic::new("E0304", message, "name a layer whose block has the parameter `mask`"))
    };
    names.iter().map(one).collect()
}

/// In how many steps each element of `recorded` is not zero.
fn activity(recorded: &Recorded, count: usize) -> Vec<u64> {
    let mut values = vec![0; recorded.tensor.len()];
    let mut active = vec![0; values.len()];
    for (sample, step) in (0..count).flat_map(|s| (0..recorded.frames).map(move |t| (s, t))) {
        recorded.get(sample, step, &mut values);
        active.iter_mut().zip(&values).for_each(|(n, v)| *n += u64::from(*v != 0));
    }
    active
}

fn look(network: &Network, layer: usize, trace: &Trace, rate: f64) -> Looked {
    let recorded = &trace.layers[layer][0];
    let steps = (trace.count * recorded.frames) as f64;
    let active = activity(recorded, trace.count);
    let share = |n: &u64| *n as f64 / steps;
    // A neuron that is silenced already stays so.
    let before = network.nodes[layer].instance.params()["mask"].clone();
    let was = |n: usize| before.get(n).and_then(Value::as_i64).unwrap_or(1);
    Looked {
        name: network.nodes[layer].name.clone(),
        kept: active.iter().enumerate().map(|(n, a)| i64::from(share(a) <= rate) * was(n)).collect(),
        most: active.iter().map(share).fold(0.0, f64::max),
        active: active.iter().map(share).sum(),
    }
}

fn object(
    network: &Network,
    samples: &Samples,
    traces: [&Trace; 2],
    layers: &[usize],
    looked: &[Looked],
    args: &MaskArgs,
) -> Value {
    let [mut before, mut after] = [json!({}), json!({})];
    figures::score(&mut before, traces[0], samples);
    figures::score(&mut after, traces[1], samples);
    let list: Vec<Value> = (looked.iter().zip(layers))
        .map(|(l, n)| {
            let recorded = &traces[1].layers[*n][0];
            let active: u64 = activity(recorded, traces[1].count).iter().sum();
            let steps = (traces[1].count * recorded.frames) as f64;
            json!({"layer": l.name, "neurons": l.kept.len(), "silenced": l.kept.iter().filter(|k| **k == 0).count(),
                "highest_rate": rounded(l.most), "active_per_step": rounded(l.active),
                "active_per_step_masked": rounded(active as f64 / steps)})
        })
        .collect();
    json!({"name": network.name, "samples": samples.count, "steps": samples.steps, "rate": args.rate,
        "output": args.output, "layers": list, "before": before, "after": after})
}

fn text(object: &Value, looked: &[Looked], args: &MaskArgs) -> String {
    let head = ["layer", "neurons", "silenced", "highest rate", "active a step", "with the mask"];
    let mut rows = vec![head.map(ToOwned::to_owned).to_vec()];
    for layer in object["layers"].as_array().into_iter().flatten() {
        let cell = |key: &str| layer[key].as_str().map_or_else(|| layer[key].to_string(), ToOwned::to_owned);
        let keys =
            ["layer", "neurons", "silenced", "highest_rate", "active_per_step", "active_per_step_masked"];
        rows.push(keys.map(cell).to_vec());
    }
    let mut lines = vec![table(&rows)];
    if let (Some(a), Some(b)) = (object["before"]["accuracy"].as_f64(), object["after"]["accuracy"].as_f64())
    {
        lines.push(format!("accuracy {:.2} %, with the mask {:.2} %", a * 100.0, b * 100.0));
    }
    lines.push("\nTo use it, write into the network:".to_owned());
    lines.extend(looked.iter().map(|l| format!("  {}:  mask: {}:{}", l.name, args.output, l.name)));
    lines.join("\n")
}
