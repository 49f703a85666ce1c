//! What enters: its shape for one sample, and the integers that stand for the model's numbers.

use nervure_core::num::bits_for;
use nervure_core::{Diagnostic, QType};

use super::calibrate::OnnxSamples;
use super::rounding::Quantizer;
use super::shape::moves;
use super::stream::fraction;
use super::walk::Input;
use super::{OnnxOptions, post};
use crate::onnx::{Array, Graph, quote};

/// Most elements of an input.
const MAX_ELEMENTS: usize = 1 << 20;

/// Extents of the only input, with a batch of one.
///
/// Errors: `E0151` for several inputs, `E0153` for a shape that is not known.
pub(crate) fn shape(graph: &Graph) -> Result<Vec<usize>, Diagnostic> {
    let [port] = &graph.inputs[..] else {
        let names: Vec<String> = graph.inputs.iter().take(8).map(|p| quote(&p.name)).collect();
        let message =
            format!("has {} inputs that are no constants: {}", graph.inputs.len(), names.join(", "));
        return Err(Diagnostic::new(
            "E0151",
            message,
            "give the model one input, and its weights as constants",
        ));
    };
    let wrong = |what: &str| {
        let help = "export with fixed extents: `[1, channels, height, width]` or `[1, elements]`";
        Diagnostic::new("E0153", format!("input {} {what}", quote(&port.name)), help)
    };
    let list = port.shape.as_ref().filter(|s| !s.is_empty()).ok_or_else(|| wrong("has no shape"))?;
    let mut shape = vec![1];
    if let [one] = list[..] {
        // A vector without a batch.
        shape = vec![one.ok_or_else(|| wrong("has an extent that is not known"))?];
    } else {
        for extent in &list[1..] {
            shape.push(extent.ok_or_else(|| wrong("has an extent that is not known"))?);
        }
    }
    let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n <= MAX_ELEMENTS);
    count.map(|_| shape).ok_or_else(|| wrong("has more than 2^20 elements"))
}

/// The input's integers: as asked for, as the graph has them, as the samples need them, or as its shape suggests.
pub(crate) fn choose(
    graph: &Graph,
    shape: Vec<usize>,
    samples: Option<&OnnxSamples>,
    options: &OnnxOptions,
    float: bool,
    notes: &mut Vec<String>,
) -> Result<Input, Diagnostic> {
    let port = &graph.inputs[0];
    let unit = |q: QType| (-f64::from(q.frac)).exp2();
    let of = |format: QType, scale: f64| Input {
        shape: shape.clone(),
        format,
        scale,
        offset: 0.0,
        dtype: port.dtype,
    };
    if let Some(scale) = options.input_scale.filter(|s| !(s.is_finite() && *s > 0.0)) {
        let message = format!("an integer of the input cannot stand for {scale}");
        return Err(Diagnostic::new("E0130", message, "choose a number above 0 for `--input-scale`"));
    }
    if let Some(format) = options.input {
        return Ok(of(format, options.input_scale.unwrap_or_else(|| unit(format))));
    }
    if let Some((lo, hi)) = port.dtype.ends() {
        return Ok(of(QType::holding(lo.into(), hi.into(), 0), options.input_scale.unwrap_or(1.0)));
    }
    if let Some(input) = quantized(graph, &shape) {
        return Ok(input);
    }
    let image = matches!(shape[..], [1, 1 | 3, h, w] if h >= 8 && w >= 8);
    let bytes = |notes: &mut Vec<String>, why: &str| {
        notes.push(format!(
            "an integer n of the input stands for n / 255, {why}: `--input` and `--input-scale` say otherwise"
        ));
        of(QType::unsigned(8), 1.0 / 255.0)
    };
    let Some(samples) = samples else {
        if image {
            return Ok(bytes(notes, "as of an image in bytes"));
        }
        let format = QType { bits: 16, frac: 10, signed: true };
        notes.push(format!("the input has format {format}, for nothing says another: `--input` does"));
        return Ok(of(format, unit(format)));
    };
    let values = samples.values();
    let (lo, hi) = values.iter().fold((0.0f64, 0.0f64), |(a, b), v| (a.min(*v), b.max(*v)));
    if samples.integer() {
        if image && lo >= 0.0 && hi <= 255.0 && options.input_scale.is_none() {
            return Ok(bytes(notes, "as of an image in bytes"));
        }
        let format = QType::holding(lo as i128, hi as i128, 0);
        return Ok(of(format, options.input_scale.unwrap_or(1.0)));
    }
    let near = |v: &f64| (v * 255.0 - (v * 255.0).round()).abs() < 1e-4;
    if lo >= 0.0 && hi <= 1.0 && hi > 0.0 && values.iter().all(near) && values.iter().any(|v| v.fract() > 0.0)
    {
        return Ok(bytes(notes, "as all samples are such numbers"));
    }
    let signed = lo < 0.0;
    let whole = values.iter().all(|v| v.fract().abs() <= 0.0);
    let scale = match options.input_scale {
        Some(scale) => scale,
        None if whole => 1.0,
        None if float => post::best_scale(values, options.bits, signed),
        None => {
            let most = lo.abs().max(hi);
            (most.log2().floor() + 1.0 - f64::from(16 - u8::from(signed))).exp2()
        }
    };
    let ends = ((lo / scale).round() as i128, (hi / scale).round() as i128);
    let bits = if float && !whole { options.bits } else { bits_for(ends.0, ends.1) };
    let bits = bits.clamp(1 + u32::from(signed), 32) as u8;
    Ok(of(QType { bits, frac: fraction(scale).unwrap_or(0), signed }, scale))
}

/// Where the graph quantizes its input before anything else, the network takes those integers.
fn quantized(graph: &Graph, shape: &[usize]) -> Option<Input> {
    let mut name = graph.inputs[0].name.as_str();
    let mut extents = shape.to_vec();
    let node = loop {
        let mut readers = graph.nodes.iter().filter(|n| n.inputs.iter().any(|i| i == name));
        let (node, None) = (readers.next()?, readers.next()) else { return None };
        if !moves(&node.op) || matches!(node.op.as_str(), "Gather" | "Slice") {
            break node;
        }
        let constants: Vec<Option<&Array>> =
            node.inputs[1..].iter().map(|i| graph.constants.get(i)).collect();
        extents = super::shape::moved(node, &extents, &constants).ok()?.shape;
        name = node.outputs.first()?;
    };
    if !matches!(node.op.as_str(), "Quant" | "IntQuant" | "BipolarQuant" | "QuantizeLinear")
        || node.input(0)? != name
    {
        return None;
    }
    let constants: Option<Vec<&Array>> = node.inputs[1..].iter().map(|i| graph.constants.get(i)).collect();
    let q = Quantizer::new(node, &extents, &constants?, graph.opset).ok()?;
    let (lo, hi) = q.levels()?;
    if !q.uniform() || !super::net::fits((lo, hi)) {
        return None;
    }
    let scale = q.unit(0);
    // Where the file has integers, so has the input: with their zero point.
    let zero = q.lowered();
    let (lo, hi) = if q.integer.is_some() { (lo + zero as i64, hi + zero as i64) } else { (lo, hi) };
    let offset = if q.integer.is_some() { -zero * scale } else { q.offset };
    let frac = fraction(scale).filter(|_| offset.abs() <= 0.0).unwrap_or(0);
    let format = QType::holding(lo.into(), hi.into(), frac);
    Some(Input { shape: shape.to_vec(), format, scale, offset, dtype: graph.inputs[0].dtype })
}
