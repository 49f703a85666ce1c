//! A layer as shapes and formats, and what is wrong with one.

use nervure_core::num::Rounding;
use nervure_core::{Diagnostic, QType, Tensor, TensorType, diag};

use super::{Layer, Params, Rescale};
use crate::shared::pattern::Crowded;
use crate::shared::window::{self, Axis, Lie};
use crate::shared::{flat, sum_range};

/// One layer of the array.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    /// Its windows, down and across. Rows are a map of height 1 under windows of one position.
    pub(super) axes: [Axis; 2],
    /// Channels of the map that it reads.
    pub(super) channels: usize,
    /// Format of that map.
    pub(super) input: QType,
    /// Results of a window.
    pub(super) outputs: usize,
    /// Windows of which the largest result goes on, down and across.
    pub(super) pool: [usize; 2],
    /// What it gives.
    pub(super) output: TensorType,
    /// Range of its sums.
    pub(super) sum: (i128, i128),
}

impl Stage {
    /// Positions of the result: down and across.
    pub(super) fn results(&self) -> [usize; 2] {
        [0, 1].map(|n| self.axes[n].windows() / self.pool[n])
    }

    /// Windows that are computed: those in front of the pool that count.
    pub(super) fn pixels(&self) -> usize {
        (self.results()[0] * self.pool[0]) * (self.results()[1] * self.pool[1])
    }

    /// Weight of result `output` under tap `(row, column)` and `channel`.
    pub(super) fn weight(&self, layer: &Layer, output: usize, tap: [usize; 2], channel: usize) -> i64 {
        let [down, across] = self.axes;
        let at = ((output * down.kernel + tap[0]) * across.kernel + tap[1]) * self.channels + channel;
        layer.weights.data[at]
    }
}

/// All layers, each on what the one before gives. Errors: what is wrong, with its path.
pub(super) fn stages(p: &Params) -> Result<Vec<Stage>, Diagnostic> {
    if p.layers.is_empty() {
        return Err(Diagnostic::new("E0201", "there is no layer", "give at least one layer").at("layers"));
    }
    let mut input = p.input.clone();
    let mut stages = Vec::new();
    for (n, layer) in p.layers.iter().enumerate() {
        let last = n + 1 == p.layers.len();
        let stage = stage(p, layer, &input, last).map_err(|d| d.at(n.to_string()).at("layers"))?;
        input = stage.output.clone();
        stages.push(stage);
    }
    Ok(stages)
}

fn stage(p: &Params, layer: &Layer, input: &TensorType, last: bool) -> Result<Stage, Diagnostic> {
    let (axes, channels, mut shape) = geometry(layer, input)?;
    layer.weights.check("weights", &layer.weights.shape, p.weight_format)?;
    let outputs = layer.weights.shape[0];
    if let Some(bias) = &layer.bias {
        bias.check("bias", &[outputs], QType::signed(32))?;
    }
    if !input.format.contains(layer.input_zero) {
        let message = format!("`input_zero` is {}, which {} does not hold", layer.input_zero, input.format);
        return Err(
            Diagnostic::new("E0203", message, "give an integer of the input's format").at("input_zero")
        );
    }
    check_pattern(layer, channels)?;
    let pool = layer.pool.unwrap_or([1, 1]);
    for (axis, extent) in axes.iter().zip(pool) {
        diag::in_range("pool", extent, 1..axis.windows() + 1)?;
    }
    if layer.pool.is_some() && layer.rescale.is_none() {
        let help = "give `rescale`, or take the largest with `pool/max` behind the array";
        return Err(Diagnostic::new("E0203", "`pool` without `rescale`", help).at("pool"));
    }
    let (x, zero) = (input.format, layer.input_zero);
    let matrix = Tensor::new(&[outputs, layer.weights.data.len() / outputs], layer.weights.data.clone());
    let (lo, hi) = (x.min() - zero, x.max() - zero);
    let sum = match p.run_time {
        Some(_) => any_sum(p.weight_format, matrix.shape[1], (x.max() - x.min()).into()),
        None => sum_range(&matrix, layer.bias.as_ref(), lo, hi),
    };
    let accumulator = flat::accumulator(x, p.weight_format, sum, None)?;
    let format = match &layer.rescale {
        Some(rescale) => check_rescale(rescale, outputs)?,
        None if last => accumulator,
        None => {
            let message = "only the last layer can give its sums";
            let help = "give `rescale`: how sums become activations for the layer after";
            return Err(Diagnostic::new("E0203", message, help).at("rescale"));
        }
    };
    if pool != [1, 1] {
        let rank = shape.len();
        for n in 0..rank.min(2) {
            shape[rank - 1 - n] = axes[1 - n].windows() / pool[1 - n];
        }
    }
    shape.push(outputs);
    let output = TensorType { shape, format, rate: input.rate };
    output.check().map_err(|d| d.at("weights"))?;
    Ok(Stage { axes, channels, input: x, outputs, pool, output, sum })
}

/// Range of a sum of any weights and any bias of 32 bits, over activations that span `width`.
fn any_sum(weight: QType, inputs: usize, width: i128) -> (i128, i128) {
    let most = inputs as i128 * width * -i128::from(weight.min()) + (1 << 31);
    (-most, most - 1)
}

/// Windows, channels, and the axes of the result in front of its channels. Errors: weights that do not fit the input.
fn geometry(layer: &Layer, input: &TensorType) -> Result<([Axis; 2], usize, Vec<usize>), Diagnostic> {
    let (shape, weights) = (&input.shape, &layer.weights.shape);
    let lies = layer.stride.is_some() || layer.padding.is_some() || layer.dilation.is_some();
    let axis = |extent, kernel| Axis { extent, kernel, stride: 1, dilation: 1, padding: [0, 0] };
    match weights[..] {
        [outputs, height, width, channels] if outputs * height * width * channels > 0 => {
            let kernel = [height, width];
            let lie = Lie {
                kernel: &kernel,
                stride: layer.stride.as_ref().map(<[_; 2]>::as_slice),
                dilation: layer.dilation.as_ref().map(<[_; 2]>::as_slice),
                padding: layer.padding.as_ref().map(<[_; 2]>::as_slice),
            };
            let axes = window::axes(input, lie)?;
            if channels != input.columns() {
                let message = format!(
                    "`weights` has shape {weights:?}, for {channels} channels; the input is {input}, {} channels",
                    input.columns()
                );
                let help = "give a kernel as many weights per tap as the map has channels, last";
                return Err(Diagnostic::new("E0205", message, help).at("weights"));
            }
            Ok((axes, channels, axes.map(Axis::windows).to_vec()))
        }
        [outputs, inputs] if outputs > 0 && (inputs == input.columns() || inputs == input.len()) && !lies => {
            if inputs == input.columns() {
                let rows = input.len() / inputs;
                let shape = shape[..shape.len() - 1].to_vec();
                return Ok(([axis(1, 1), axis(rows, 1)], inputs, shape));
            }
            // All of the input is one row: a window that covers the map.
            let (height, width) = match shape[..] {
                [height, width, _] => (height, width),
                _ => (1, inputs / input.columns()),
            };
            Ok(([axis(height, height), axis(width, width)], input.columns(), Vec::new()))
        }
        _ => {
            let message = format!(
                "`weights` has shape {weights:?}; the input is {input}, expected [out, {}], [out, {}] or [out, height, width, {}]",
                input.columns(),
                input.len(),
                input.columns()
            );
            let help =
                "strides, padding and dilation are for kernels of four axes; every extent is at least 1";
            Err(Diagnostic::new("E0205", message, help).at("weights"))
        }
    }
}

/// Errors: `E0208` naming the first block that holds too many weights.
fn check_pattern(layer: &Layer, channels: usize) -> Result<(), Diagnostic> {
    let pattern = layer.pattern();
    pattern.check(16)?;
    let Some(Crowded { row, inputs: [from, to], count, .. }) = pattern.broken_by(&layer.weights, channels)
    else {
        return Ok(());
    };
    let taps = layer.weights.data.len() / channels / layer.weights.shape[0];
    let message = format!(
        "`weights` of output {}, tap {}, channels {from} to {to} has {count} weights that are not zero, but `pattern` allows {} of {}",
        row / taps,
        row % taps,
        pattern.n,
        pattern.m
    );
    let help = "prune the weights to the pattern before they come here, or allow a larger `n`";
    Err(Diagnostic::new("E0208", message, help).at("weights"))
}

/// Errors: a scale that the array cannot do.
fn check_rescale(rescale: &Rescale, outputs: usize) -> Result<QType, Diagnostic> {
    let wrong = |field: &str, message: String, help: &str| {
        Err(Diagnostic::new("E0203", message, help).at(field).at("rescale"))
    };
    if let Some((_, message)) = rescale.mode.fault(outputs) {
        return wrong("mode", message, "correct the scale; `nervure blocks act/requant` lists its forms");
    }
    if !matches!(rescale.mode.rounding(), Rounding::HalfUp | Rounding::HalfEven) {
        let message = format!("the array cannot round {:?}", rescale.mode.rounding());
        return wrong("mode", message, "round `half_up` or `half_even`");
    }
    let q = rescale.output;
    if q.bits > 16 {
        return wrong("output", format!("`output` is {q}, expected at most 16 bits"), "narrow the output");
    }
    if !q.contains(rescale.zero_point) {
        let message = format!("`zero_point` is {}, outside {q}", rescale.zero_point);
        return wrong("zero_point", message, "use an integer of the output's format");
    }
    let [lo, hi] = rescale.ends();
    if lo > hi || !q.contains(lo) || !q.contains(hi) {
        let message = format!("`range` is {lo} to {hi}, expected a part of {q} ({} to {})", q.min(), q.max());
        return wrong("range", message, "give the smaller end first, and take a format that holds both");
    }
    Ok(q)
}
