//! Import: a trained network in real numbers becomes an integer network that can be edited.
//!
//! A `.nir` graph is read with the semantics of a framework ([`Preset`]) and a time step, executed in real numbers on the
//! calibration samples, and written in the narrowest formats that keep every spike, or in formats of a given width. A
//! lava-dl `.net` holds integers already.

mod fold;
mod lava;
mod model;
mod neuron;
mod pool;
mod quantize;
mod search;
mod semantics;
mod simulate;
#[cfg(test)]
mod tests;
mod translate;
mod write;

use std::path::Path;

use nervure_core::num::bits_for;
use nervure_core::{Diagnostic, QType};

use crate::nir;
use crate::npz::Npz;
use model::{Layer, Model, Neurons, Op};
use quantize::{Calibration, Fixed, quantize};
use simulate::{Frames, Numbers};
use translate::{Reading, translate};

pub use semantics::{Preset, Semantics};
pub use write::WEIGHTS;

/// What stands behind the last layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readout {
    /// Nothing: its output leaves, step by step.
    Spikes,
    /// The sums over the steps.
    Counts,
    /// The index of the largest sum.
    Class,
}

/// How to import.
#[derive(Debug, Clone)]
pub struct Options {
    /// The framework whose reading counts.
    pub preset: Preset,
    /// Options that replace those of the preset, such as `("reset", "zero")`.
    pub with: Vec<(String, String)>,
    /// Seconds in a step.
    pub dt: f64,
    /// Bits of a weight; nothing for as few as keep every spike of the calibration samples (8 without such).
    pub bits: Option<u32>,
    /// Format of the input; by default that of the calibration samples, or `u1`.
    pub input: Option<QType>,
    /// Neurons computed at once, at most.
    pub lanes: usize,
    /// What stands behind the last layer.
    pub readout: Readout,
}

/// Calibration samples: `[samples, steps, ...]`, and the class of each.
#[derive(Debug, Clone)]
pub struct CalibrationSet {
    x: Frames,
    labels: Option<Vec<i64>>,
}

/// What became of a layer.
#[derive(Debug, Clone)]
pub struct LayerReport {
    /// Its name.
    pub name: String,
    /// Its block of neurons or of plumbing.
    pub weights: Option<QType>,
    /// Format of the membrane.
    pub membrane: Option<QType>,
    /// Outputs on the calibration samples that differ from those of real numbers for the same spikes in, of how many.
    pub mismatches: Option<(usize, usize)>,
    /// Whether a membrane left its format on the calibration samples.
    pub saturates: bool,
}

/// What a layer gives in real numbers, in the order of the network's streams: `[samples, steps, len]`.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Name of the layer.
    pub name: String,
    /// Whether its output is spikes, and can hence be compared exactly.
    pub spikes: bool,
    /// Elements of a step.
    pub len: usize,
    /// The elements.
    pub data: Vec<f32>,
}

/// An imported network.
#[derive(Debug, Clone)]
pub struct Imported {
    /// Text of `network.yaml`.
    pub yaml: String,
    /// Arrays of `weights.npz`: name, shape, elements.
    pub arrays: Vec<(String, Vec<usize>, Vec<i64>)>,
    /// One per layer.
    pub layers: Vec<LayerReport>,
    /// What the reader tolerated.
    pub warnings: Vec<String>,
    /// Share of calibration samples whose largest output, summed over the steps, is their label: in real numbers.
    pub accuracy: Option<f64>,
    /// What the layers give in real numbers, where there are calibration samples.
    pub expected: Vec<Expected>,
}

/// Reads calibration samples: array `x`, `[samples, steps, ...]`, of whole numbers, and optionally `label`, `[samples]`.
///
/// Errors: `E0101`, `E0105` to `E0107`, `E0110` for the file; `E0133` for a shape.
pub fn calibration(path: &Path) -> Result<CalibrationSet, Diagnostic> {
    let mut npz = Npz::open(path, &path.display().to_string())?;
    let array = npz.read("x", 1 << 28)?;
    let shape = |found: &[usize], expected: &str| {
        Diagnostic::new(
            "E0133",
            format!("`{}` has shape {found:?}, expected {expected}", path.display()),
            "save the samples as `[samples, steps, ...]`, all with the same number of steps",
        )
    };
    let [samples, steps, rest @ ..] = &array.shape[..] else {
        return Err(shape(&array.shape, "[samples, steps, ...]"));
    };
    let len: usize = rest.iter().product();
    if samples * steps * len == 0 {
        return Err(shape(&array.shape, "at least one element"));
    }
    let data = array.integers()?.into_iter().map(|v| v as f32).collect();
    let x = Frames { samples: *samples, steps: *steps, len, data };
    let labels = if npz.names().iter().any(|n| n == "label") {
        Some(npz.read("label", 1 << 24)?.integers()?)
    } else {
        None
    };
    match &labels {
        Some(l) if l.len() != *samples => {
            Err(shape(&[l.len()], &format!("as many labels as samples, {samples}")))
        }
        _ => Ok(CalibrationSet { x, labels }),
    }
}

/// Imports the model in `path`: lava-dl where the name ends in `.net`, else NIR. `progress` hears the name of each layer.
///
/// Errors: `E0101` and `E012x` for the file, `E0130` for an option, `E0131` and `E0132` for what no network can express,
/// `E0133` for calibration samples that do not fit.
pub fn import(
    path: &Path,
    calibration: Option<&CalibrationSet>,
    options: &Options,
    progress: &dyn Fn(&str),
) -> Result<Imported, Diagnostic> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| {
        Diagnostic::new(
            "E0101",
            format!("`{shown}` cannot be read: {e}"),
            "check the name and the permissions",
        )
    })?;
    let reading = Reading { preset: options.preset, with: &options.with, dt: options.dt };
    let (mut model, warnings) = if path.extension().is_some_and(|e| e == "net") {
        let loaded = nir::read_lava(&bytes, &shown)?;
        (lava::translate(&loaded.layers, &reading)?, loaded.warnings)
    } else {
        let loaded = nir::read(&bytes, &shown)?;
        (translate(&loaded.graph, &reading)?, loaded.warnings)
    };
    model.rename();
    let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let name = if name == "net" || name == "network" {
        path.parent().and_then(Path::file_name).map(|s| s.to_string_lossy().into_owned()).unwrap_or(name)
    } else {
        name
    };
    convert(&name, &model, calibration, options, warnings, progress)
}

fn convert(
    name: &str,
    model: &Model,
    calibration: Option<&CalibrationSet>,
    options: &Options,
    warnings: Vec<String>,
    progress: &dyn Fn(&str),
) -> Result<Imported, Diagnostic> {
    let wanted: usize = model.input.iter().product();
    if let Some(c) = calibration.filter(|c| c.x.len != wanted) {
        return Err(Diagnostic::new(
            "E0133",
            format!(
                "the calibration samples have {} elements a step, the network reads {:?}",
                c.x.len, model.input
            ),
            "save them as `[samples, steps, ...]` with the shape of the network's input behind",
        ));
    }
    let mut reference: Vec<Frames> = Vec::new();
    let mut fixed: Vec<Option<Fixed>> = Vec::new();
    let mut fractions: Vec<i32> = Vec::new();
    let mut layers = Vec::new();
    for layer in &model.layers {
        progress(&layer.name);
        let from = layer.from.map_or(&model.input, |n| &model.layers[n].shape);
        let fraction =
            |n: Option<usize>| n.map_or(options.input.map_or(0, |q| q.frac.into()), |n| fractions[n]);
        let frames = |n: Option<usize>| calibration.map(|c| n.map_or(&c.x, |n| &reference[n]));
        let (made, y, given) = match &layer.op {
            Op::Concat { sources } => {
                let parts: Option<Vec<&Frames>> = sources.iter().map(|n| frames(*n)).collect();
                let given = sources.iter().map(|n| fraction(*n)).max().unwrap_or(0);
                (None, parts.map(|p| Frames::joined(&p)), given)
            }
            Op::Neurons(neurons) => {
                let x = frames(layer.from);
                let (fixed, y) = neurons_of(layer, neurons, (from, fraction(layer.from)), options, x);
                let given = if neurons.neuron.threshold.is_none() { fixed.membrane.frac.into() } else { 0 };
                (Some(fixed), y, given)
            }
            Op::Pool { .. } | Op::Delay { .. } => {
                let y = frames(layer.from)
                    .map(|x| simulate::layer(&layer.op, &layer.shape, from, x, None).frames);
                (None, y, fraction(layer.from))
            }
        };
        fractions.push(given);
        layers.push(LayerReport {
            name: layer.name.clone(),
            weights: made.as_ref().map(|f| f.weight_format),
            membrane: made.as_ref().map(|f| f.membrane),
            mismatches: made.as_ref().and_then(|f| f.mismatches),
            saturates: made.as_ref().is_some_and(|f| f.saturates),
        });
        fixed.push(made);
        reference.extend(y);
    }
    let input = options.input.unwrap_or_else(|| {
        calibration.map_or(QType::unsigned(1), |c| {
            let (lo, hi) = c.x.range();
            let (lo, hi) = (lo as i128, (hi as i128).max(1));
            QType { bits: bits_for(lo, hi) as u8, frac: 0, signed: lo < 0 }
        })
    });
    let written = write::write(name, model, &fixed, input, options.lanes, options.readout);
    let accuracy = calibration.and_then(|c| {
        let [output] = model.outputs[..] else { return None };
        c.labels.as_ref().map(|l| accuracy(&reference[output], l))
    });
    let expected = model.layers.iter().zip(fractions).zip(reference).map(|((layer, fraction), y)| Expected {
        name: layer.name.clone(),
        spikes: fraction == 0,
        len: y.len,
        data: y.data.chunks(y.len).flat_map(|step| write::channels_last(&layer.shape, step)).collect(),
    });
    Ok(Imported {
        yaml: written.yaml,
        arrays: written.arrays,
        layers,
        warnings,
        accuracy,
        expected: expected.collect(),
    })
}

/// Formats of a layer of neurons, and what it gives.
fn neurons_of(
    layer: &Layer,
    neurons: &Neurons,
    from: (&[usize], i32),
    options: &Options,
    x: Option<&Frames>,
) -> (Fixed, Option<Frames>) {
    let run =
        |x, numbers: &Numbers| simulate::layer(&layer.op, &layer.shape, from.0, x, Some(numbers)).frames;
    let y = x.map(|x| run(x, &Numbers::real(neurons)));
    let cal = x.zip(y.as_ref()).map(|(x, y)| Calibration { x, y });
    let fixed = quantize(layer, neurons, from, options.bits, cal.as_ref());
    // Where the framework itself computes in integers, they are the reference; what reads a membrane reads integers.
    let readout = neurons.neuron.threshold.is_none();
    if let (Some(x), true) = (x, readout || neurons.neuron.semantics.loihi_formats) {
        let mut exact = run(x, &fixed.numbers);
        if readout {
            let unit = f32::from(fixed.membrane.frac).exp2().recip();
            exact.data.iter_mut().for_each(|v| *v *= unit);
        }
        return (fixed, Some(exact));
    }
    (fixed, y)
}

/// Share of samples whose largest sum over the steps (the first of equals) is their label.
fn accuracy(y: &Frames, labels: &[i64]) -> f64 {
    let class = |sample: usize| {
        let mut sums = vec![0.0f64; y.len];
        for step in 0..y.steps {
            sums.iter_mut().zip(y.at(sample, step)).for_each(|(s, v)| *s += f64::from(*v));
        }
        sums.iter().enumerate().fold(0, |best, (i, v)| if *v > sums[best] { i } else { best }) as i64
    };
    labels.iter().enumerate().filter(|(n, l)| class(*n) == **l).count() as f64 / labels.len().max(1) as f64
}
