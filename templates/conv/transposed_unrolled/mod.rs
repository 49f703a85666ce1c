//! Transposed convolutions with a multiplier for every weight at every position: a map a cycle. Deliberately absent: what comes
//! after the sum (`act/relu`, `act/quant` and their neighbours do that, in the same pipeline), and upsampling without weights
//! (`seq/upsample`).

mod examples;

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::{Builder, Kernel};
use nervure_core::{Diagnostic, QType, Schedule, Target, Tensor, TensorType, diag};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::factors::Factors;
use crate::shared::flat;

/// See the README.
pub(crate) struct TransposedUnrolled;

/// Order of a weight's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Layout {
    /// `[height, width, out / groups, in]`, as Keras has it.
    #[default]
    Hwoi,
    /// `[in, out / groups, height, width]`, as PyTorch has it.
    Iohw,
}

/// Parameters of `conv/transposed_unrolled`.
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
    /// Distance at which two neighbours of the input land, one per axis; 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stride: Option<Vec<usize>>,
    /// Positions cut off before and behind the result, one pair per axis; none unless given. Below 0, positions are added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crop: Option<Vec<[i64; 2]>>,
    /// Distance of two taps of a window, one per axis; 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dilation: Option<Vec<usize>>,
    /// Parts of the channels that do not see each other; divides the channels in and out.
    #[serde(default = "crate::shared::neuron::one")]
    groups: usize,
    /// Format of the sum; unless given, the shortest that holds every sum that these weights can make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accumulator: Option<QType>,
}

/// How one axis is spread out.
#[derive(Debug, Clone, Copy)]
struct Axis {
    extent: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    crop: [i64; 2],
}

impl Axis {
    /// Positions of the result; none or fewer where everything is cut off.
    const fn positions(self) -> i64 {
        let full = (self.extent - 1) * self.stride + (self.kernel - 1) * self.dilation + 1;
        full as i64 - self.crop[0] - self.crop[1]
    }

    /// Which positions of the input, under which taps, land on position `at` of the result.
    fn sources(self, at: usize) -> impl Iterator<Item = (usize, usize)> {
        let at = at as i64 + self.crop[0];
        (0..self.kernel).filter_map(move |tap| {
            let from = usize::try_from(at - (tap * self.dilation) as i64).ok()?;
            (from.is_multiple_of(self.stride) && from / self.stride < self.extent)
                .then_some((from / self.stride, tap))
        })
    }
}

/// What the parameters mean, checked.
struct Shape {
    axes: [Axis; 2],
    /// Channels of the input, and of the output.
    channels: [usize; 2],
    /// The same of one group.
    fan: [usize; 2],
}

/// One product: an element of the input, and the index of a weight.
type Product = (usize, usize);

impl Params {
    /// Extents of a window.
    fn kernel_shape(&self) -> &[usize] {
        let shape = &self.weights.shape;
        match self.layout {
            Layout::Hwoi => &shape[..shape.len() - 2],
            Layout::Iohw => &shape[2..],
        }
    }

    fn axis(&self, n: usize) -> Result<Axis, Diagnostic> {
        let axis = Axis {
            extent: self.input.shape[n],
            kernel: self.kernel_shape()[n],
            stride: self.stride.as_ref().map_or(1, |s| s[n]),
            dilation: self.dilation.as_ref().map_or(1, |d| d[n]),
            crop: self.crop.as_ref().map_or([0, 0], |c| c[n]),
        };
        diag::in_range("stride", axis.stride, 1..1025)?;
        diag::in_range("dilation", axis.dilation, 1..1025)?;
        if axis.crop.iter().any(|c| c.abs() > 1024) || axis.positions() < 1 {
            let message = format!(
                "`crop` is {:?} of {} positions",
                axis.crop,
                axis.positions() + axis.crop.iter().sum::<i64>()
            );
            let help = "leave at least one position; -1024 to 1024 on each side";
            return Err(Diagnostic::new("E0201", message, help).at("crop"));
        }
        Ok(axis)
    }

    fn shape(&self) -> Result<Shape, Diagnostic> {
        let w = &self.weights.shape;
        if !(3..=4).contains(&w.len()) || self.weights.data.is_empty() {
            let message = format!("`weights` has shape {w:?}, expected 3 or 4 axes");
            let help = "`layout` says in which order they come";
            return Err(Diagnostic::new("E0205", message, help).at("weights"));
        }
        let rank = w.len() - 2;
        if self.input.shape.len() != rank + 1 {
            let wanted = if rank == 1 { "[length, channels]" } else { "[height, width, channels]" };
            let message = format!("the input is {}, expected a map: {wanted}", self.input);
            let help = "give the layer before an output of these axes, channels last";
            return Err(Diagnostic::new("E0204", message, help).at("input"));
        }
        let given = [
            ("stride", self.stride.as_ref().map(Vec::len)),
            ("dilation", self.dilation.as_ref().map(Vec::len)),
            ("crop", self.crop.as_ref().map(Vec::len)),
        ];
        for (field, n) in given {
            if let Some(n) = n.filter(|n| *n != rank) {
                let message = format!("`{field}` has {n} entries for windows of {rank} axes");
                let help = format!("give {rank}, down before across, or leave it out");
                return Err(Diagnostic::new("E0205", message, help).at(field));
            }
        }
        let one = Axis { extent: 1, kernel: 1, stride: 1, dilation: 1, crop: [0, 0] };
        let axes = if rank == 1 { [one, self.axis(0)?] } else { [self.axis(0)?, self.axis(1)?] };
        let fan_out = match self.layout {
            Layout::Hwoi => w[rank],
            Layout::Iohw => w[1],
        };
        let channels = [self.input.columns(), fan_out * self.groups];
        diag::divides("groups", self.groups, "the channels of the input", channels[0])?;
        Ok(Shape { axes, channels, fan: [channels[0] / self.groups, fan_out] })
    }

    /// Index of a weight: tap down and across, channel of the input, output of its group.
    fn weight_at(&self, shape: &Shape, (i, j): (usize, usize), c: usize, o: usize) -> usize {
        let (out, [ky, kx]) = (shape.fan[1], [shape.axes[0].kernel, shape.axes[1].kernel]);
        match self.layout {
            Layout::Hwoi => ((i * kx + j) * out + o) * shape.channels[0] + c,
            Layout::Iohw => ((c * out + o) * ky + i) * kx + j,
        }
    }

    /// The products of every output, row by row, column by column, channel by channel; those of weight 0 are left out.
    fn products(&self, shape: &Shape) -> impl Iterator<Item = (usize, Vec<Product>)> {
        let [down, across] = shape.axes;
        let (rows, columns) = (down.positions() as usize, across.positions() as usize);
        let [channels, outputs] = shape.channels;
        (0..rows * columns * outputs).map(move |at| {
            let (o, column, row) = (at % outputs, at / outputs % columns, at / outputs / columns);
            let first = o / shape.fan[1] * shape.fan[0];
            let mut list = Vec::new();
            for (r, i) in down.sources(row) {
                for (c, j) in across.sources(column) {
                    let x = (r * across.extent + c) * channels;
                    let own = (first..first + shape.fan[0])
                        .map(|n| (x + n, self.weight_at(shape, (i, j), n, o % shape.fan[1])));
                    list.extend(own.filter(|(_, w)| self.weights.data[*w] != 0));
                }
            }
            (o, list)
        })
    }

    fn factors(&self) -> Factors<'_> {
        Factors {
            weights: &self.weights,
            weight_format: self.weight_format,
            bias: self.bias.as_ref(),
            bias_format: None,
            run_time: false,
        }
    }

    fn bias(&self, output: usize) -> i64 {
        self.bias.as_ref().map_or(0, |b| b.data[output])
    }

    /// Exact: at most outputs there are fewer products than weights. Partial sums are included.
    fn sum(&self, shape: &Shape) -> Result<QType, Diagnostic> {
        let x = self.input.format;
        let (x_lo, x_hi) = (i128::from(x.min()), i128::from(x.max()));
        let (mut lo, mut hi) = (0, 0);
        for (o, products) in self.products(shape) {
            let ends =
                products.iter().map(|(_, w)| i128::from(self.weights.data[*w])).map(|w| (w * x_lo, w * x_hi));
            let (least, most) = ends.fold((0, 0), |(l, m), (a, b)| (l + a.min(b), m + a.max(b)));
            let bias = i128::from(self.bias(o));
            (lo, hi) = (lo.min(least + bias), hi.max(most + bias));
        }
        flat::accumulator(x, self.weight_format, (lo, hi), self.accumulator)
    }

    fn kernel(&self) -> Kernel {
        let k = Builder::new();
        let shape = self.shape().expect("the interface was checked");
        let sum = self.sum(&shape).expect("the interface was checked");
        let x = flat::inputs(&k, "x", &self.input);
        let factors = self.factors();
        let (weights, bias) = (factors.weights(&k), factors.bias(&k, self.input.format, sum));
        let y = self.products(&shape).map(|(o, products)| {
            let terms = products.into_iter().map(|(e, w)| (x[e], w));
            let bias = self.bias.as_ref().and_then(|_| bias.at(&k, o));
            flat::weighted_sum(&k, terms, &weights, bias, sum)
        });
        flat::outputs(&k, "y", sum, y);
        k.finish()
    }
}

impl Block for TransposedUnrolled {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "conv/transposed_unrolled";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        examples::examples()
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        examples::sample(input, rng)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        flat::check(&p.input, "input")?;
        diag::in_range("groups", p.groups, 1..flat::MAX_ELEMENTS + 1)?;
        let shape = p.shape()?;
        let [down, across] = shape.axes;
        let positions = (down.positions() * across.positions()) as usize;
        let kernel = p.kernel_shape();
        let wanted = match p.layout {
            Layout::Hwoi => [kernel, &[shape.fan[1], shape.channels[0]]].concat(),
            Layout::Iohw => [&[shape.channels[0], shape.fan[1]], kernel].concat(),
        };
        flat::check_weights(&p.weights, &wanted, p.weight_format, p.bias.as_ref(), shape.channels[1])?;
        flat::check_products(
            down.extent * across.extent * p.weights.data.iter().filter(|w| **w != 0).count(),
        )?;
        let extents = match p.input.shape.len() {
            2 => vec![positions, shape.channels[1]],
            _ => vec![down.positions() as usize, across.positions() as usize, shape.channels[1]],
        };
        let y = p.input.with_format(p.input.format);
        let y = TensorType { shape: extents, ..y };
        flat::check(&y, "weights")?;
        let y = y.with_format(p.sum(&shape)?);
        let lanes = y.len();
        Ok(Interface::one_to_one(p.input.clone(), p.input.len(), y, lanes))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        let shape = p.shape().expect("the interface was checked");
        let [down, across] = shape.axes;
        let [channels, outputs] = shape.channels;
        let columns = across.positions();
        y[0].iter_mut()
            .enumerate()
            .for_each(|(at, y)| *y = p.bias.as_ref().map_or(0, |b| b.data[at % outputs]));
        // Every element of the input is spread over its neighbourhood.
        for (at, &x) in x[0].iter().enumerate() {
            let (n, column, row) =
                (at % channels, at / channels % across.extent, at / channels / across.extent);
            for i in 0..down.kernel {
                for j in 0..across.kernel {
                    let r = (row * down.stride + i * down.dilation) as i64 - down.crop[0];
                    let c = (column * across.stride + j * across.dilation) as i64 - across.crop[0];
                    if r < 0 || c < 0 || r >= down.positions() || c >= columns {
                        continue;
                    }
                    for o in 0..shape.fan[1] {
                        let w = p.weights.data[p.weight_at(&shape, (i, j), n, o)];
                        let channel = n / shape.fan[0] * shape.fan[1] + o;
                        y[0][(r * columns + c) as usize * outputs + channel] += w * x;
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
