//! Import of ONNX: a quantized graph becomes a network of integers that computes exactly what the graph means.
//!
//! Scales and offsets wait beside each tensor until something rounds; then the whole chain of operators from the last sum to
//! the rounding, computed in binary32 as a framework does, is one monotone function of an integer, and the operation of the
//! network is chosen that is equal to it on the whole range: a shift, a multiplier with an offset, or thresholds. A graph in
//! real numbers is quantized first, on calibration samples.
//!
//! Deliberately absent: approximations of what a quantized graph says, and files other than the model.

pub(crate) mod blocks;
mod calibrate;
mod clean;
mod evaluate;
mod execute;
mod fit;
mod input;
mod linear;
mod net;
mod operators;
mod output;
mod pool;
mod post;
mod round;
mod rounding;
mod shape;
mod stream;
mod streamed;
mod walk;
mod window;

use std::collections::BTreeMap;
use std::path::Path;

use nervure_core::{Diagnostic, QType};

pub use calibrate::{OnnxSamples, onnx_samples};
pub use net::Engine;

use crate::import::Readout;
use crate::onnx::{self, Array, Graph};
use execute::Executor;
use net::Layer;
use walk::Walk;

/// How to import an ONNX model.
#[derive(Debug, Clone)]
pub struct OnnxOptions {
    /// Bits of weights and activations, where the model is not quantized.
    pub bits: u32,
    /// Format of the input; by default what the graph, the samples, or its shape say.
    pub input: Option<QType>,
    /// What one integer of the input stands for; by default one unit of its format.
    pub input_scale: Option<f64>,
    /// How layers with weights are built; by default unrolled where the network is small.
    pub engine: Option<Engine>,
    /// Multipliers of a folded layer, at most.
    pub lanes: usize,
    /// Whether the class stands behind the last layer.
    pub readout: Readout,
}

/// A layer of the network that was made.
#[derive(Debug, Clone)]
pub struct OnnxLayer {
    /// Its name.
    pub name: String,
    /// Its block.
    pub block: &'static str,
    /// Extents of what it gives.
    pub shape: Vec<usize>,
}

/// Something that leaves the network.
#[derive(Debug, Clone)]
pub struct OnnxOutput {
    /// Its name in the model.
    pub name: String,
    /// The layer that gives it.
    pub layer: String,
    /// What one integer stands for.
    pub scale: f64,
    /// What integer 0 stands for.
    pub offset: f64,
    /// Where each element of the model's tensor lies in what the layer gives.
    pub order: Vec<usize>,
}

/// What the model gives on the samples in real numbers.
#[derive(Debug, Clone)]
pub struct OnnxReference {
    /// `[samples, elements]` of the first output, in the model's order, before functions that were left out.
    pub y: Vec<Vec<f64>>,
    /// Share of samples whose largest element is their label.
    pub accuracy: Option<f64>,
}

/// An imported ONNX model.
#[derive(Debug, Clone)]
pub struct OnnxImported {
    /// Text of `network.yaml`.
    pub yaml: String,
    /// Arrays of `weights.npz`: name, shape, elements.
    pub arrays: Vec<(String, Vec<usize>, Vec<i64>)>,
    /// Format of the input.
    pub input: QType,
    /// What one integer of the input stands for.
    pub input_scale: f64,
    /// What integer 0 of the input stands for.
    pub input_offset: f64,
    /// Layers in order.
    pub layers: Vec<OnnxLayer>,
    /// What leaves.
    pub outputs: Vec<OnnxOutput>,
    /// How layers with weights are built.
    pub engine: Engine,
    /// Whether the model came in real numbers and was quantized here.
    pub quantized_here: bool,
    /// What was left out or assumed, a sentence each.
    pub notes: Vec<String>,
    /// Arrays of `samples.npz`, where there are samples: integers as the input has them, and labels.
    pub samples: Vec<(String, Vec<usize>, Vec<i64>)>,
    /// What the model gives, where there are samples and all its operators can be executed.
    pub reference: Option<OnnxReference>,
}

/// Imports the ONNX model in `path`.
///
/// Errors: `E0101` and `E0150` to `E0154` for the file, `E0155` where a model in real numbers comes without samples, `E0156`
/// for what no network of integers is exactly, `E0133` for samples that do not fit.
pub fn import_onnx(
    path: &Path,
    samples: Option<&OnnxSamples>,
    options: &OnnxOptions,
) -> Result<OnnxImported, Diagnostic> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| crate::source::cannot_read(path, &e))?;
    let graph = onnx::read(&bytes, &shown)?;
    let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    convert(&name, graph, samples, options).map_err(|d| onnx::in_file(d, &shown))
}

/// The same from the bytes of a file called `shown`.
pub fn import_onnx_bytes(
    bytes: &[u8],
    shown: &str,
    options: &OnnxOptions,
) -> Result<OnnxImported, Diagnostic> {
    let graph = onnx::read(bytes, shown)?;
    convert("model", graph, None, options).map_err(|d| onnx::in_file(d, shown))
}

fn convert(
    name: &str,
    mut graph: Graph,
    samples: Option<&OnnxSamples>,
    options: &OnnxOptions,
) -> Result<OnnxImported, Diagnostic> {
    let mut notes = taps(&mut graph);
    let shape = input::shape(&graph)?;
    let float = post::in_real_numbers(&graph);
    if float {
        graph = post::folded(&graph)?;
    }
    if let Some(s) = samples {
        s.check(&shape)?;
    }
    let input = input::choose(&graph, shape, samples, options, float, &mut notes)?;
    let real: Vec<Array> = samples.map_or_else(Vec::new, |s| s.real(&input));
    let (mut grids, mut working) = (BTreeMap::new(), graph.clone());
    if let (true, Some(_)) = (float, samples) {
        post::fold_batch_norm(&mut working)?;
        (working, grids) = post::quantize(&working, &real, options.bits, input.scale)?;
    }
    let mut walk = Walk::new(&working, &grids, &input, !grids.is_empty());
    let outputs = walk.run()?;
    notes.append(&mut walk.notes);
    let mut net = walk.net;
    let mut leaving: Vec<usize> = outputs.iter().map(|o| o.layer).collect();
    if options.readout == Readout::Class {
        for layer in &mut leaving {
            let class = format!("{}.class", net.layers[*layer].name);
            *layer = net.push(Layer::plain(&class, blocks::ARGMAX, &[*layer], vec![1], (0, 1)));
        }
    }
    let outputs: Vec<OnnxOutput> = outputs
        .into_iter()
        .map(|o| OnnxOutput {
            name: o.name,
            layer: net.layers[o.layer].name.clone(),
            scale: o.scale,
            offset: o.offset,
            order: o.from,
        })
        .collect();
    let reference = samples.and_then(|s| reference(&graph, &real, s));
    let samples = samples.map_or_else(Vec::new, |s| s.integers(&input));
    let layers: Vec<(String, Vec<usize>)> =
        net.layers.iter().map(|l| (l.name.clone(), l.shape.clone())).collect();
    let blocks: Vec<&'static str> = net.layers.iter().map(|l| l.block).collect();
    let written = net.write(name, &leaving, options.engine, options.lanes);
    let kind = |b: &'static str| match (b, written.engine) {
        ("", Engine::Unrolled) => "unrolled",
        ("", Engine::Folded) => "folded",
        (other, _) => other,
    };
    let layers = layers.into_iter().zip(blocks).skip(1);
    let layers = layers.map(|((name, shape), block)| OnnxLayer { name, block: kind(block), shape }).collect();
    Ok(OnnxImported {
        yaml: written.yaml,
        arrays: written.arrays,
        input: input.format,
        input_scale: input.scale,
        input_offset: input.offset,
        layers,
        outputs,
        engine: written.engine,
        quantized_here: float && !grids.is_empty(),
        notes,
        samples,
        reference,
    })
}

/// Outputs that the graph goes on with are for looking at, unless there are no others.
fn taps(graph: &mut Graph) -> Vec<String> {
    let read = |name: &str| graph.nodes.iter().any(|n| n.inputs.iter().any(|i| i == name));
    let (inner, last): (Vec<_>, Vec<_>) = graph.outputs.iter().cloned().partition(|o| read(&o.name));
    if last.is_empty() || inner.is_empty() {
        return Vec::new();
    }
    graph.outputs = last;
    let names: Vec<String> = inner.iter().take(8).map(|o| onnx::quote(&o.name)).collect();
    vec![format!("{} lies inside of the graph and does not leave", names.join(", "))]
}

/// What the model gives in real numbers; nothing where an operator cannot be executed.
fn reference(graph: &Graph, real: &[Array], samples: &OnnxSamples) -> Option<OnnxReference> {
    let executor = Executor::new(graph).ok()?;
    let name = output::before(graph, &graph.outputs[0].name);
    let mut y = Vec::with_capacity(real.len());
    for x in real {
        y.push(executor.run(x.clone()).ok()?.remove(name.as_str())?.data);
    }
    let class = |y: &[f64]| y.iter().enumerate().fold(0, |best, (n, v)| if *v > y[best] { n } else { best });
    let accuracy = samples.labels().map(|labels| {
        let right = y.iter().zip(labels).filter(|(y, l)| class(y) as i64 == **l).count();
        right as f64 / y.len().max(1) as f64
    });
    Some(OnnxReference { y, accuracy })
}
