//! `nervure import` of an ONNX model.

use std::path::Path;

use anyhow::Result;
use nervure_core::Network;
use nervure_front::streamline::{
    Engine, OnnxImported, OnnxOptions, OnnxReference, import_onnx, onnx_samples,
};
use nervure_sim::golden::{self, GoldenOptions, Recorded};
use serde_json::{Value, json};

use super::import::{aside, publish};
use crate::args::ImportArgs;
use crate::console::Console;
use crate::table::table;

/// A model becomes a network folder; on samples the golden model is held against the model in real numbers.
pub(super) fn import(console: &Console, args: &ImportArgs, place: &Path) -> Result<bool> {
    let samples = args.calibrate.as_deref().map(onnx_samples).transpose()?;
    let options = OnnxOptions {
        bits: args.bits.unwrap_or(8),
        input: args.input,
        input_scale: args.input_scale,
        engine: args.engine.map(Into::into),
        lanes: args.lanes as usize,
        readout: args.readout.into(),
    };
    let stage = console.stage("import", 0);
    let imported = import_onnx(&args.model, samples.as_ref(), &options)?;
    stage.done(&format!("{} layers", imported.layers.len()));
    for note in &imported.notes {
        console.note(&format!("  note: {note}"));
    }
    let aside = aside(console, place, &imported.yaml, &imported.arrays)?;
    let network =
        nervure_front::load(&aside.path().join("network.yaml"), &nervure_templates::registry(), &[])?;
    let mut compared = None;
    if !imported.samples.is_empty() {
        let file = aside.path().join("samples.npz");
        nervure_front::write_npz(&file, &imported.samples)?;
        compared = compare(console, &network, &file, &imported)?;
    }
    publish(console, aside, place)?;
    let object = object(&imported, &network, compared.as_ref(), place);
    console.result(&object, || text(&imported, &network, compared.as_ref(), place));
    Ok(true)
}

/// The golden model against the model in real numbers.
struct Compared {
    samples: usize,
    /// Samples whose largest element is another one.
    classes: usize,
    /// Elements that differ by more than a rounding of binary32.
    elements: (usize, usize),
    /// The largest difference.
    largest: f64,
    /// Shares of samples whose largest element is their label: of the model, and of the network.
    accuracy: Option<(f64, f64)>,
}

fn compare(
    console: &Console,
    network: &Network,
    file: &Path,
    imported: &OnnxImported,
) -> Result<Option<Compared>> {
    let samples = nervure_front::samples(file, network)?;
    let stage = console.stage("golden", samples.count);
    let trace = golden::run(network, &samples, GoldenOptions { threads: 0, trace: true }, &|n| stage.at(n))?;
    stage.done(&format!("{} samples", samples.count));
    let (Some(reference), [output, ..]) = (&imported.reference, &imported.outputs[..]) else {
        return Ok(None);
    };
    let layer = trace.layers.iter().flatten().find(|r| r.name == output.layer);
    let Some(layer) = layer else { return Ok(None) };
    let real = |n: i64| n as f64 * output.scale + output.offset;
    Ok(Some(counted(reference, layer, &output.order, real, samples.labels.as_deref())))
}

fn counted(
    reference: &OnnxReference,
    layer: &Recorded,
    order: &[usize],
    real: impl Fn(i64) -> f64,
    labels: Option<&[i64]>,
) -> Compared {
    let mut y = vec![0; layer.tensor.len()];
    let (mut classes, mut different, mut all, mut right, mut largest) = (0, 0, 0, 0, 0.0f64);
    for (sample, want) in reference.y.iter().enumerate() {
        layer.get(sample, 0, &mut y);
        let got: Vec<f64> = order.iter().map(|n| real(y[*n])).collect();
        classes += usize::from(class(&got) != class(want));
        right += usize::from(labels.is_some_and(|l| l[sample] == class(&got) as i64));
        all += want.len();
        for (a, b) in got.iter().zip(want) {
            largest = largest.max((a - b).abs());
            different += usize::from((a - b).abs() > 1e-5 * b.abs().max(1.0));
        }
    }
    let share = right as f64 / reference.y.len().max(1) as f64;
    let accuracy = reference.accuracy.map(|before| (before, share));
    Compared { samples: reference.y.len(), classes, elements: (different, all), largest, accuracy }
}

/// Index of the largest, the first of equals.
fn class(y: &[f64]) -> usize {
    y.iter().enumerate().fold(0, |best, (n, v)| if *v > y[best] { n } else { best })
}

fn object(imported: &OnnxImported, network: &Network, compared: Option<&Compared>, place: &Path) -> Value {
    let layers: Vec<Value> = (network.nodes.iter())
        .map(|n| {
            let y = &n.instance.interface().outputs[0].tensor;
            json!({"name": n.name, "block": n.instance.block(), "format": y.format, "shape": y.shape})
        })
        .collect();
    let outputs: Vec<Value> = (imported.outputs.iter())
        .map(|o| json!({"name": o.name, "layer": o.layer, "scale": o.scale, "offset": o.offset}))
        .collect();
    json!({
        "network": place.display().to_string(), "layers": layers, "outputs": outputs,
        "input": {"format": imported.input, "scale": imported.input_scale, "offset": imported.input_offset},
        "engine": if imported.engine == Engine::Unrolled { "unrolled" } else { "folded" },
        "quantized_here": imported.quantized_here, "notes": imported.notes,
        "compared": compared.map(|c| json!({
            "samples": c.samples, "classes_differ": c.classes, "elements_differ": c.elements.0,
            "elements": c.elements.1, "largest_difference": c.largest,
        })),
        "accuracy_float": compared.and_then(|c| c.accuracy).map(|a| a.0),
        "accuracy": compared.and_then(|c| c.accuracy).map(|a| a.1),
    })
}

fn text(imported: &OnnxImported, network: &Network, compared: Option<&Compared>, place: &Path) -> String {
    let head = ["layer", "block", "gives"].map(String::from).to_vec();
    let rows = network.nodes.iter().map(|n| {
        let y = &n.instance.interface().outputs[0].tensor;
        vec![n.name.escape_debug().to_string(), n.instance.block().to_owned(), y.to_string()]
    });
    let mut out = table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    let stands = |scale: f64, offset: f64| {
        if offset.abs() > 0.0 { format!("{scale} n + {offset}") } else { format!("{scale} n") }
    };
    out += &format!(
        "\ninput {}: n stands for {}",
        imported.input,
        stands(imported.input_scale, imported.input_offset)
    );
    for o in &imported.outputs {
        let name = o.layer.escape_debug();
        out += &format!(
            "\noutput {name}: n stands for {} of `{}`",
            stands(o.scale, o.offset),
            o.name.escape_debug()
        );
    }
    if let Some(c) = compared {
        out += &format!(
            "\n{} of {} classes and {} of {} elements differ from the model, by at most {:.3e}",
            c.classes, c.samples, c.elements.0, c.elements.1, c.largest
        );
        if let Some((before, after)) = c.accuracy {
            out += &format!(
                "\naccuracy {:.2} % of the model, {:.2} % in integers",
                before * 100.0,
                after * 100.0
            );
        }
    }
    let shown = place.display();
    out + &format!("\nwritten to {shown}\nNow: nervure build {shown}")
}
