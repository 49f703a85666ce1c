//! `nervure run`.

use std::time::Instant;

use anyhow::Result;
use nervure_sim::golden::{self, GoldenOptions, Recorded, Trace};
use serde_json::json;

use super::closed::{self, Closing};
use crate::args::RunArgs;
use crate::compile::{network_file, samples_beside};
use crate::console::Console;
use crate::figures;

/// The golden model alone.
pub(crate) fn run(console: &Console, args: &RunArgs) -> Result<bool> {
    let registry = nervure_templates::registry();
    let file = network_file(&args.net);
    let network = nervure_front::load(&file, &registry, &args.set)?;
    let closing = Closing::find(args.plant.as_deref(), args.input.as_deref(), &file, &network)?;
    let samples = if let Some(closing) = &closing {
        closing.recording.samples.clone()
    } else {
        let input = args.input.clone().unwrap_or_else(|| samples_beside(&file));
        nervure_front::samples(&input, &network)?
    };
    if console.dry {
        console.commands("", "");
        return Ok(true);
    }
    let stage = console.stage("golden", samples.count);
    let start = Instant::now();
    let options = GoldenOptions { threads: args.threads, trace: args.trace };
    let trace = golden::run(&network, &samples, options, &|n| stage.at(n))?;
    let per_second = samples.count as f64 / start.elapsed().as_secs_f64();
    stage.done(&format!("{} samples, {per_second:.0} a second", samples.count));
    let mut object = json!({"name": network.name, "samples": samples.count, "steps": samples.steps,
        "samples_per_s": per_second.round()});
    figures::score(&mut object, &trace, &samples);
    if let Some(closing) = &closing {
        object["closed_loop"] = closing.figures(&closing.recording);
    }
    if let Some(output) = &args.output {
        let mut list = arrays(&trace);
        list.extend(closing.iter().flat_map(Closing::arrays));
        nervure_front::write_npz(output, &list)?;
        object["output"] = json!(output.display().to_string());
    }
    console.result(&object, || {
        let mut lines = vec![format!("{}: {} samples", network.name, samples.count)];
        if let Some(accuracy) = object["accuracy"].as_f64() {
            lines.push(format!("accuracy {:.2} %", accuracy * 100.0));
        }
        if let Some(steps) = object["steps_mean"].as_f64() {
            lines.push(format!("{steps:.2} time steps a sample, on average"));
        }
        if let Some(mse) = object["reconstruction_mse"].as_f64() {
            lines.push(format!("reconstruction mean squared error {mse:.6}"));
        }
        lines.extend(closed::words(&object["closed_loop"]));
        lines.extend(args.output.as_ref().map(|o| format!("written to {}", o.display())));
        lines.join("\n")
    });
    Ok(true)
}

/// One array per output, and per layer where recorded; a layer that is an output by the same name only once.
pub(crate) fn arrays(trace: &Trace) -> Vec<(String, Vec<usize>, Vec<i64>)> {
    let array = |r: &Recorded| {
        let mut shape = vec![trace.count];
        if r.tensor.rate.steps() {
            shape.push(trace.steps);
        }
        shape.extend(&r.tensor.shape);
        let mut data = vec![0; r.elements.len()];
        r.elements.copy(0, &mut data);
        (r.name.clone(), shape, data)
    };
    let mut list: Vec<_> = trace.outputs.iter().map(array).collect();
    for layer in trace.layers.iter().flatten() {
        if !list.iter().any(|(name, ..)| *name == layer.name) {
            list.push(array(layer));
        }
    }
    list
}
