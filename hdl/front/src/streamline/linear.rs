//! Sums of products: matrices and convolutions, in each of the forms in which files have them.

use std::rc::Rc;

use nervure_core::Diagnostic;
use serde_json::json;

use super::blocks;
use super::evaluate::{conv_window, single, weights_of};
use super::net::{Layer, Linear, fits};
use super::shape::{broadcast, spread};
use super::stream::{Step, Stream, fraction, pick, shortened};
use super::walk::{Const, Grid, Walk, with};
use crate::onnx::{Array, Dtype, Node};

/// Largest integer of a weight.
const MAX_WEIGHT: f64 = 2_147_483_647.0;

/// Integers of weights in the file's order, and what one of them stands for.
pub(crate) struct Weights {
    pub(crate) shape: Vec<usize>,
    pub(crate) integers: Vec<i64>,
    pub(crate) scale: Vec<f64>,
}

impl Walk<'_> {
    pub(crate) fn dense(&mut self, node: &Node) -> Result<Stream, Diagnostic> {
        let x = self.stream(node, 0)?;
        let w = self.constant(node, 1)?;
        let x = if node.op == "MatMulInteger" { self.centred(node, &x, 2)? } else { self.clean(node, &x)? };
        let weights =
            if node.op == "MatMulInteger" { self.centred_weights(node, &w, 3)? } else { weights(node, &w)? };
        if node.int("transA", 0)? != 0 {
            return Err(node.wrong("E0156", "transposes its samples", "use `transA` 0"));
        }
        let y = self.product(node, &x, &weights, &w.array)?;
        if node.op != "Gemm" {
            return Ok(y);
        }
        let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
        let y = if (alpha - 1.0).abs() > 0.0 { with(&y, Step::Mul(vec![alpha])) } else { y };
        if node.input(2).is_none() {
            return Ok(y);
        }
        let c = self.constant(node, 2)?;
        if broadcast(&c.array.shape, &y.shape).as_ref() != Some(&y.shape) {
            return Err(node.wrong("E0153", "adds another shape than it makes", "correct the shapes"));
        }
        let added =
            spread(&c.array.data, &c.array.shape, &y.shape).iter().map(|v| single(v * beta)).collect();
        Ok(with(&y, Step::Add(shortened(added))))
    }

    /// `x W`, of integers with a scale each.
    pub(crate) fn product(
        &mut self,
        node: &Node,
        x: &Stream,
        w: &Weights,
        array: &Array,
    ) -> Result<Stream, Diagnostic> {
        let (inputs, outputs, places) = weights_of(node, array)?;
        if x.len() != inputs || x.shape.last() != Some(&inputs) {
            let message = format!("multiplies shapes {:?} and {:?}", x.shape, array.shape);
            let help = "one sample must be one row; flatten it";
            return Err(node.wrong("E0153", message, help));
        }
        let integers: Vec<i64> = places.iter().map(|p| w.integers[*p]).collect();
        let scale: Vec<f64> = places.iter().map(|p| pick(&w.scale, *p)).collect();
        let unit = unit_of(node, x)?;
        // Elements of the layer that this tensor left behind have no weight.
        let all: usize = self.net.layers[x.layer].shape.iter().product();
        let mut linear = Linear {
            weights: vec![0; all * outputs],
            bias: vec![0; outputs],
            frac: 0,
            input: self.net.layers[x.layer].whole_range(),
            conv: None,
        };
        let (mut scales, mut offsets) = (Vec::new(), Vec::new());
        for o in 0..outputs {
            let (row, own) = (&integers[o * inputs..][..inputs], &scale[o * inputs..][..inputs]);
            scales.push(unit * row_scale(node, own)?);
            let mut offset = 0.0;
            for (i, q) in row.iter().enumerate() {
                linear.weights[o * all + x.from[i]] += *q;
                offset += *q as f64 * pick(&x.offset, i);
            }
            offsets.push(offset * own[0]);
        }
        settle(&mut linear, &scales, &mut offsets);
        let mut shape = x.shape.clone();
        *shape.last_mut().expect("there is an axis") = outputs;
        self.linear(node, x, linear, shape, (0..outputs).collect(), scales, offsets)
    }

    #[expect(clippy::too_many_arguments, reason = "what a stream is made of")]
    fn linear(
        &mut self,
        node: &Node,
        x: &Stream,
        mut linear: Linear,
        shape: Vec<usize>,
        from: Vec<usize>,
        scale: Vec<f64>,
        offset: Vec<f64>,
    ) -> Result<Stream, Diagnostic> {
        let outputs = linear.bias.len();
        // Formats show fractions where every scale is a power of two.
        let before = self.net.layers[x.layer].frac;
        let unit = pick(&x.scale, 0);
        let exact = fraction(unit) == Some(before);
        linear.frac = match shortened(scale.clone())[..] {
            [one] if exact => fraction(one / unit).unwrap_or(0),
            _ => 0,
        };
        let stream_shape = match &linear.conv {
            None => vec![outputs],
            Some((window, _)) => [&window.output[..], &[outputs]].concat(),
        };
        if stream_shape.iter().product::<usize>() > 1 << 20 {
            return Err(node.wrong("E0156", "makes more than 2^20 elements", "use a smaller map"));
        }
        let mut layer = Layer::plain(&node.name, "", &[x.layer], stream_shape, (0, 0));
        layer.frac = before.saturating_add(linear.frac);
        layer.linear = Some(linear);
        if !fits(layer.whole_range()) {
            return Err(node.wrong(
                "E0156",
                "makes sums of more than 48 bits",
                "use narrower weights or inputs",
            ));
        }
        self.net.layers[x.layer].locked = true;
        let layer = self.net.push(layer);
        let dtype = if x.dtype.is_integer() { Dtype::Int { bits: 32, signed: true } } else { Dtype::Float };
        Ok(Stream {
            layer,
            shape,
            from,
            scale: shortened(scale),
            offset: shortened(offset),
            steps: Vec::new(),
            dtype,
            wide: x.wide,
        })
    }

    pub(crate) fn conv(&mut self, node: &Node) -> Result<Stream, Diagnostic> {
        let x = self.stream(node, 0)?;
        let w = self.constant(node, 1)?;
        if node.op == "ConvInteger" {
            let (x, weights) = (self.centred(node, &x, 2)?, self.centred_weights(node, &w, 3)?);
            return self.correlation(node, &x, &weights);
        }
        let (x, weights) = (self.clean(node, &x)?, weights(node, &w)?);
        let y = self.correlation(node, &x, &weights)?;
        if node.input(2).is_none() {
            return Ok(y);
        }
        let bias = self.constant(node, 2)?;
        let area: usize = y.shape[2..].iter().product();
        let channels = y.shape[1];
        if bias.array.len() != channels {
            return Err(node.wrong(
                "E0153",
                "has a bias of another length than its channels",
                "correct the shapes",
            ));
        }
        let list = shortened((0..y.len()).map(|at| bias.array.data[at / area % channels]).collect());
        Ok(with(&y, Step::Add(list)))
    }

    pub(crate) fn correlation(
        &mut self,
        node: &Node,
        x: &Rc<Stream>,
        w: &Weights,
    ) -> Result<Stream, Diagnostic> {
        let (window, groups) = conv_window(node, &x.shape, &w.shape)?;
        let (channels, outputs, fan) = (x.shape[1], w.shape[0], w.shape[1]);
        let area: usize = window.input.iter().product();
        let taps: usize = window.kernel.iter().product();
        let unit = unit_of(node, x)?;
        let (mut scales, mut offsets) = (Vec::new(), Vec::new());
        let padded = window.padding.iter().flatten().any(|p| *p > 0);
        let centred = if padded { self.recentred(node, x) } else { x.clone() };
        let x = &centred;
        for o in 0..outputs {
            let own: Vec<f64> = (0..fan * taps).map(|n| pick(&w.scale, o * fan * taps + n)).collect();
            scales.push(unit * row_scale(node, &own)?);
            let first = o / (outputs / groups) * fan;
            let sums = (0..fan * taps).map(|n| {
                let offset = pick(&x.offset, (first + n / taps) * area);
                w.integers[o * fan * taps + n] as f64 * offset
            });
            let offset: f64 = sums.sum();
            offsets.push(offset * own[0]);
        }
        let even = |at: usize| (pick(&x.offset, at) - pick(&x.offset, at / area * area)).abs() <= 0.0;
        let zero = x.offset.iter().all(|o| o.abs() <= 0.0);
        if !zero && (padded || !(0..x.len()).all(even)) {
            let message =
                "pads with zeros what was moved away from zero, or by different amounts within a channel";
            return Err(node.wrong(
                "E0156",
                message,
                "pad before the offset, or fold the offset into the weights",
            ));
        }
        let input = self.net.layers[x.layer].whole_range();
        let mut linear =
            Linear { weights: w.integers.clone(), bias: vec![0; outputs], frac: 0, input, conv: None };
        settle(&mut linear, &scales, &mut offsets);
        let shape = [&[1, outputs], &window.output[..]].concat();
        let windows = window.count();
        // Element [o, position] lies at position * outputs + o: maps are channels last.
        let from: Vec<usize> =
            (0..outputs * windows).map(|at| at % windows * outputs + at / windows).collect();
        let spread = |l: Vec<f64>| (0..outputs * windows).map(|at| l[at / windows]).collect::<Vec<f64>>();
        let (scales, offsets) = (spread(scales), spread(offsets));
        if windows == 1 && groups == 1 {
            // One window sees everything: a matrix.
            let all: usize = self.net.layers[x.layer].shape.iter().product();
            let mut matrix = vec![0; outputs * all];
            for o in 0..outputs {
                for (tap, place) in window.taps(0) {
                    for c in 0..fan {
                        matrix[o * all + x.from[c * area + place]] += w.integers[(o * fan + c) * taps + tap];
                    }
                }
            }
            linear.weights = matrix;
            return self.linear(node, x, linear, shape, from, scales, offsets);
        }
        let x = self.map(node, x, channels, &window.input);
        linear.conv = Some((window, groups));
        self.linear(node, &x, linear, shape, from, scales, offsets)
    }

    /// The same numbers as integers of which 0 stands for 0, where a whole number lies between: padding then is zero.
    fn recentred(&mut self, node: &Node, x: &Rc<Stream>) -> Rc<Stream> {
        let whole = pick(&x.offset, 0) / pick(&x.scale, 0);
        let near = x.uniform() && whole.abs() > 0.0 && whole.fract().abs() <= 0.0 && whole.abs() < 1e9;
        let layer = &self.net.layers[x.layer];
        let (lo, hi) = layer.whole_range();
        if !near || lo > 0 || hi < 0 {
            return x.clone();
        }
        let zero = whole as i64;
        let name = format!("{}.centred", node.name);
        let new = super::round::requant(&name, x.layer, layer, (lo + zero, hi + zero), layer.frac)
            .with("zero_point", json!(zero))
            .with("mode", json!({"shift": 0, "rounding": "floor"}));
        self.net.layers[x.layer].locked = true;
        let layer = self.net.push(new);
        Rc::new(Stream { layer, offset: vec![0.0], ..(**x).clone() })
    }

    /// The same map as a layer of shape `[..., channels]`.
    pub(crate) fn map(
        &mut self,
        node: &Node,
        x: &Rc<Stream>,
        channels: usize,
        extents: &[usize],
    ) -> Rc<Stream> {
        let area: usize = extents.iter().product();
        let wanted = |at: usize| at % area * channels + at / area;
        let shape = [extents, &[channels]].concat();
        let last = (0..x.len()).all(|at| x.from[at] == wanted(at));
        if last && self.net.layers[x.layer].shape == shape {
            return x.clone();
        }
        let layer = &self.net.layers[x.layer];
        let (range, frac, len) = (layer.whole_range(), layer.frac, x.len());
        let new = if last {
            Layer::plain(&format!("{}.map", node.name), blocks::FLATTEN, &[x.layer], shape.clone(), range)
                .with("shape", json!(shape))
        } else {
            let mut order = vec![0; len];
            (0..len).for_each(|at| order[wanted(at)] = x.from[at] as i64);
            let mut new =
                Layer::plain(&format!("{}.map", node.name), blocks::GATHER, &[x.layer], shape.clone(), range)
                    .with("shape", json!(shape));
            new.arrays.push(("order", vec![len], order));
            new
        };
        self.net.layers[x.layer].locked = true;
        let layer = self.net.push(Layer { frac, ..new });
        Rc::new(Stream { layer, from: (0..len).map(wanted).collect(), ..(**x).clone() })
    }
}

/// What an integer of `x` stands for, all alike. Errors: `E0156`.
fn unit_of(node: &Node, x: &Stream) -> Result<f64, Diagnostic> {
    let first = pick(&x.scale, 0);
    if x.scale.iter().all(|s| s.to_bits() == first.to_bits()) {
        return Ok(first);
    }
    let message = "reads elements that have a scale each";
    Err(node.wrong("E0156", message, "quantize what it reads with one scale for the tensor"))
}

/// What an integer of a row stands for. Errors: `E0156` where they differ within it.
fn row_scale(node: &Node, row: &[f64]) -> Result<f64, Diagnostic> {
    if row.iter().all(|s| s.to_bits() == row[0].to_bits()) {
        return Ok(row[0]);
    }
    let message = "has weights whose scale differs within an output";
    Err(node.wrong(
        "E0156",
        message,
        "quantize weights with one scale for the tensor, or one for each output",
    ))
}

/// Moves offsets that are whole numbers of the sum's integers into the bias.
fn settle(linear: &mut Linear, scales: &[f64], offsets: &mut [f64]) {
    for (n, offset) in offsets.iter_mut().enumerate() {
        let whole = *offset / scales[n];
        if (whole - whole.round()).abs() < 1e-9 * whole.abs().max(1.0) && whole.abs() < 1e15 {
            linear.bias[n] += whole.round() as i64;
            *offset = 0.0;
        }
    }
}

/// Integers of constant weights. Errors: `E0155` where they were not quantized.
fn weights(node: &Node, w: &Const) -> Result<Weights, Diagnostic> {
    let whole = |list: &[f64]| list.iter().all(|v| v.fract().abs() <= 0.0 && v.abs() <= MAX_WEIGHT);
    let own;
    let grid = match &w.grid {
        Some(grid) => grid,
        None if whole(&w.array.data) => {
            own = Grid { integers: w.array.data.clone(), scale: vec![1.0] };
            &own
        }
        None => {
            let help = "quantize the model in training, or give samples with `--calibrate`";
            return Err(node.wrong("E0155", "has weights that were not quantized", help));
        }
    };
    if !whole(&grid.integers) {
        return Err(node.wrong("E0156", "has weights of more than 32 bits", "use fewer bits"));
    }
    let integers = grid.integers.iter().map(|v| *v as i64).collect();
    Ok(Weights { shape: w.array.shape.clone(), integers, scale: grid.scale.clone() })
}
