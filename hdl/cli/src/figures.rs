//! Results as JSON: the words of the manifest and of `--json`.

use nervure_core::{Network, NodeId, Samples, TensorRef};
use nervure_sim::golden::{Trace, accuracy, mean, mse};
use nervure_sim::lint::LintFinding;
use nervure_sim::synth::Synthesis;
use nervure_sim::{Prediction, Report};
use serde_json::{Map, Value, json};

use crate::compile::Compiled;
use crate::embedded::Board;

/// Three decimals: enough for people, and no noise in a manifest.
pub(crate) fn rounded(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}

/// Latency, interval and modules of a design.
pub(crate) fn design(compiled: &Compiled, prediction: Option<&Prediction>) -> Value {
    let cycles = prediction.map_or(&[][..], |p| &p.cycles);
    let latency = cycles.first().map(|c| c.count());
    let interval = match (cycles.first(), cycles.last()) {
        (Some(first), Some(last)) if cycles.len() > 1 => {
            Some(rounded((last.finish - first.finish) as f64 / (cycles.len() - 1) as f64))
        }
        (Some(first), _) => Some(first.count() as f64),
        _ => None,
    };
    let modules = compiled.design.modules.iter().map(|m| {
        let area = m.area(compiled.target);
        json!({"name": m.name, "layer": m.layer, "block": m.instance.block(), "area_estimate": area})
    });
    let modules: Vec<Value> = modules.collect();
    json!({"latency_cycles": latency, "interval_cycles": interval, "modules": modules})
}

/// Format of every tensor of the network, by name.
pub(crate) fn formats(network: &Network) -> Value {
    let inputs = network.inputs.iter().map(|i| (i.name.clone(), i.tensor.to_string()));
    let mut map: Map<String, Value> = inputs.map(|(k, v)| (k, v.into())).collect();
    for (n, node) in network.nodes.iter().enumerate() {
        let ports = &node.instance.interface().outputs;
        for (port, stream) in ports.iter().enumerate() {
            let tensor = network.stream(TensorRef::Output(NodeId(n), port)).tensor;
            let name =
                if ports.len() == 1 { node.name.clone() } else { format!("{}.{}", node.name, stream.name) };
            map.insert(name, tensor.to_string().into());
        }
    }
    Value::Object(map)
}

/// What the co-simulation found. `prediction` is that of exactly these samples.
pub(crate) fn verification(
    report: &Report,
    samples: &Samples,
    prediction: &Prediction,
    network: &Network,
) -> Value {
    let mean = report.cycles_measured as f64 / report.sample_cycles.len().max(1) as f64;
    let stepping = network.inputs.iter().any(|i| i.tensor.rate.steps());
    let mut value = json!({
        "passed": report.passed(), "samples": report.samples, "mismatches": report.mismatches,
        "cycles_predicted": report.cycles_predicted, "cycles_measured": report.cycles_measured,
        "cycle_mismatches": report.cycle_mismatches, "cycles_per_sample_mean": rounded(mean),
    });
    if stepping {
        value["steps"] = json!(samples.steps);
        value["cycles_per_step_mean"] = json!(rounded(mean / samples.steps.max(1) as f64));
        value["input_density"] = densities(network, prediction);
    }
    value["first"] = report.first.iter().map(ToString::to_string).collect();
    value["failures"] = report.failures.iter().map(ToString::to_string).collect();
    value["first_cycle_mismatch"] =
        json!(report.first_cycle_mismatch.map(|(sample, predicted, measured)| {
            json!({"sample": sample, "predicted": predicted, "measured": measured})
        }));
    value
}

/// Share of spikes among the elements that enter each layer, for layers that read spikes.
fn densities(network: &Network, prediction: &Prediction) -> Value {
    let layers = network.nodes.iter().zip(&prediction.entered).filter(|(node, _)| {
        let tensor = node.instance.interface().inputs.first().map(|s| &s.tensor);
        tensor.is_some_and(|t| t.rate.steps() && t.format.bits == 1)
    });
    let share = |(all, some): (u64, u64)| json!((some as f64 / all.max(1) as f64 * 1e6).round() / 1e6);
    Value::Object(layers.map(|(node, counts)| (node.name.clone(), share(*counts))).collect())
}

/// How good the answers are, into `object`: `accuracy`, `reconstruction_mse`, or nothing; and `steps_mean` where an output
/// port `steps` tells how many time steps a sample took.
pub(crate) fn score(object: &mut Value, trace: &Trace, samples: &Samples) {
    if let Some(accuracy) = samples.labels.as_ref().and_then(|l| accuracy(trace, l)) {
        object["accuracy"] = json!(accuracy);
    }
    if let Some(mse) = samples.targets.as_ref().and_then(|t| mse(trace, t)) {
        object["reconstruction_mse"] = json!(mse);
    }
    if let Some(steps) = mean(trace, "steps") {
        object["steps_mean"] = json!(rounded(steps));
    }
}

/// Area.
pub(crate) fn synthesis(s: &Synthesis) -> Value {
    json!({"target": s.target, "lut": s.lut, "ff": s.ff, "bram": s.bram, "dsp": s.dsp, "carry": s.carry,
        "unlisted_cells": s.unlisted})
}

/// Findings of the linters.
pub(crate) fn lint(findings: &[LintFinding]) -> Value {
    findings.iter().map(|f| json!({"tool": f.tool, "text": f.text})).collect()
}

/// What of a board a design uses: resource, used, there.
pub(crate) fn utilisation(
    s: &Synthesis,
    board: &Board,
    block_ram_bits: usize,
) -> Vec<(&'static str, f64, f64)> {
    let bram_kbit = s.bram * block_ram_bits as f64 / 1024.0;
    let r = &board.resources;
    vec![
        ("lut", s.lut as f64, r.lut as f64),
        ("ff", s.ff as f64, r.ff as f64),
        ("bram_kbit", bram_kbit, r.bram_kbit as f64),
        ("dsp", s.dsp as f64, r.dsp as f64),
    ]
}
