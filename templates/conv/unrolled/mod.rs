//! Convolutions with a multiplier for every weight at every position: a map a cycle. Deliberately absent: what comes after the
//! sum (`act/relu`, `act/quant` and their neighbours do that, in the same pipeline).

mod examples;

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::{Builder, Kernel};
use nervure_core::{Diagnostic, QType, Schedule, Target, Tensor, TensorType, diag};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::factors::Factors;
use crate::shared::flat;
use crate::shared::window::{self, Axis, Lie};

/// See the README.
pub(crate) struct Unrolled;

/// Order of a weight's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Layout {
    /// `[height, width, in / groups, out]`, as Keras has it.
    #[default]
    Hwio,
    /// `[out, in / groups, height, width]`, as PyTorch has it.
    Oihw,
}

/// Parameters of `conv/unrolled`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// A map, `[height, width, channels]` or `[length, channels]`. Filled in from the layer before.
    input: TensorType,
    /// Weights: `layout` says in which order; without the height for a map of one axis.
    weights: Tensor,
    /// Order of the weights' axes.
    #[serde(default)]
    layout: Layout,
    /// Format of a weight, at most 32 bits.
    weight_format: QType,
    /// What each sum starts from, `[out]`, in LSB of the sum; zero unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bias: Option<Tensor>,
    /// Distance of two windows, one per axis; 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stride: Option<Vec<usize>>,
    /// Zeros before and behind the input, one pair per axis; none unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    padding: Option<Vec<[usize; 2]>>,
    /// Distance of two taps of a window, one per axis; 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dilation: Option<Vec<usize>>,
    /// Parts of the channels that do not see each other; divides the channels in and out.
    #[serde(default = "crate::shared::neuron::one")]
    groups: usize,
    /// Format of the sum; unless given, the shortest that holds every sum that these weights can make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accumulator: Option<QType>,
    /// Whether weights and biases are written over the register bus: see docs/registers.md. The hardware has multipliers, then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    run_time_weights: bool,
    /// Format of a bias at run time, at most 32 bits; its fraction is at most that of the sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bias_format: Option<QType>,
}

/// What the parameters mean, checked.
struct Shape {
    axes: [Axis; 2],
    /// Channels of the input.
    channels: usize,
    /// Channels of the output.
    outputs: usize,
    /// Channels of the input in one group, and of the output.
    fan: [usize; 2],
}

impl Params {
    fn channels(&self) -> usize {
        self.input.columns()
    }

    /// Extents of a window.
    fn kernel_shape(&self) -> &[usize] {
        let shape = &self.weights.shape;
        match self.layout {
            Layout::Hwio => &shape[..shape.len() - 2],
            Layout::Oihw => &shape[2..],
        }
    }

    fn shape(&self) -> Result<Shape, Diagnostic> {
        let w = &self.weights.shape;
        if !(3..=4).contains(&w.len()) || self.weights.data.is_empty() {
            let message = format!("`weights` has shape {w:?}, expected 3 or 4 axes");
            return Err(
                Diagnostic::new("E0205", message, "`layout` says in which order they come").at("weights")
            );
        }
        let axes = window::axes(
            &self.input,
            Lie {
                kernel: self.kernel_shape(),
                stride: self.stride.as_deref(),
                dilation: self.dilation.as_deref(),
                padding: self.padding.as_deref(),
            },
        )?;
        let channels = self.channels();
        let outputs = match self.layout {
            Layout::Hwio => w[w.len() - 1],
            Layout::Oihw => w[0],
        };
        diag::divides("groups", self.groups, "the channels of the input", channels)?;
        diag::divides("groups", self.groups, "the channels of the output", outputs)?;
        Ok(Shape { axes, channels, outputs, fan: [channels / self.groups, outputs / self.groups] })
    }

    /// Index of a weight: tap down and across, channel of its group, output.
    fn weight_at(&self, shape: &Shape, (i, j): (usize, usize), c: usize, o: usize) -> usize {
        let (fan_in, [ky, kx]) = (shape.fan[0], [shape.axes[0].kernel, shape.axes[1].kernel]);
        match self.layout {
            Layout::Hwio => ((i * kx + j) * fan_in + c) * shape.outputs + o,
            Layout::Oihw => ((o * fan_in + c) * ky + i) * kx + j,
        }
    }

    /// One row per output: all its weights, in no order that counts.
    fn rows(&self, shape: &Shape) -> Tensor {
        let taps = self.weights.data.len() / shape.outputs;
        match self.layout {
            Layout::Oihw => Tensor::new(&[shape.outputs, taps], self.weights.data.clone()),
            Layout::Hwio => {
                let column = |o: usize| self.weights.data.iter().skip(o).step_by(shape.outputs).copied();
                Tensor::new(&[shape.outputs, taps], (0..shape.outputs).flat_map(column).collect())
            }
        }
    }

    fn factors(&self) -> Factors<'_> {
        Factors {
            weights: &self.weights,
            weight_format: self.weight_format,
            bias: self.bias.as_ref(),
            bias_format: self.bias_format,
            run_time: self.run_time_weights,
        }
    }

    fn sum(&self, shape: &Shape) -> Result<QType, Diagnostic> {
        let x = self.input.format;
        let range = self.factors().range(x, &self.rows(shape))?;
        flat::accumulator(x, self.weight_format, range, self.accumulator)
    }

    fn kernel(&self) -> Kernel {
        let k = Builder::new();
        let shape = self.shape().expect("the interface was checked");
        let sum = self.sum(&shape).expect("the interface was checked");
        let x = flat::inputs(&k, "x", &self.input);
        let zero = k.constant(0, self.input.format.frac);
        let map = window::pad(shape.axes, shape.channels, &x, zero);
        let across = shape.axes[1].kernel;
        let factors = self.factors();
        let (weights, bias) = (factors.weights(&k), factors.bias(&k, self.input.format, sum));
        let mut y = Vec::new();
        for taps in window::taps(shape.axes) {
            for o in 0..shape.outputs {
                let group = o / shape.fan[1] * shape.fan[0];
                let terms = taps.iter().enumerate().flat_map(|(n, &(row, column))| {
                    let own = &map[row][column][group..group + shape.fan[0]];
                    let at = (n / across, n % across);
                    let shape = &shape;
                    own.iter().enumerate().map(move |(c, x)| (*x, self.weight_at(shape, at, c, o)))
                });
                // What lies in the padding is zero, whatever its weight.
                let terms = terms.filter(|(x, _)| x.range() != zero.range());
                let bias = self.bias.as_ref().and_then(|_| bias.at(&k, o));
                y.push(flat::weighted_sum(&k, terms, &weights, bias, sum));
            }
        }
        flat::outputs(&k, "y", sum, y);
        k.finish()
    }
}

impl Block for Unrolled {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "conv/unrolled";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        examples::examples()
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        examples::sample(input, rng)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        flat::check(&p.input, "input")?;
        let shape = p.shape()?;
        let (kernel, [fan, _]) = (p.kernel_shape(), shape.fan);
        let wanted = match p.layout {
            Layout::Hwio => [kernel, &[fan, shape.outputs]].concat(),
            Layout::Oihw => [&[shape.outputs, fan], kernel].concat(),
        };
        flat::check_weights(&p.weights, &wanted, p.weight_format, p.bias.as_ref(), shape.outputs)?;
        let windows = shape.axes[0].windows() * shape.axes[1].windows();
        flat::check_products(
            windows * p.weights.data.iter().filter(|w| p.run_time_weights || **w != 0).count(),
        )?;
        let y = TensorType {
            shape: window::shape(&p.input, shape.axes, shape.outputs),
            format: p.sum(&shape)?,
            rate: p.input.rate,
        };
        flat::check(&y, "weights")?;
        let lanes = y.len();
        Ok(Interface::one_to_one(p.input.clone(), p.input.len(), y, lanes))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        let shape = p.shape().expect("the interface was checked");
        let [down, across] = shape.axes;
        for (at, y) in y[0].iter_mut().enumerate() {
            let (o, column, row) = (
                at % shape.outputs,
                at / shape.outputs % across.windows(),
                at / shape.outputs / across.windows(),
            );
            let first = o / shape.fan[1] * shape.fan[0];
            *y = p.bias.as_ref().map_or(0, |b| b.data[o]);
            for i in 0..down.kernel {
                for j in 0..across.kernel {
                    let (Some(r), Some(c)) = (down.position(row, i), across.position(column, j)) else {
                        continue;
                    };
                    for n in 0..shape.fan[0] {
                        let w = p.weights.data[p.weight_at(&shape, (i, j), n, o)];
                        *y += w * x[0][(r * across.extent + c) * shape.channels + first + n];
                    }
                }
            }
        }
    }

    fn body(p: &Params) -> Body {
        Body::Flat(p.kernel())
    }

    fn schedule(_: &Params, (): &(), _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, 1);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        p.kernel().flat_area(t)
    }
}
