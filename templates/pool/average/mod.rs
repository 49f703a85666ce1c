//! The mean or the sum of each window of a map, all windows at once. Deliberately absent: padding, and the division by anything
//! but a power of two (it goes into the next layer's weights, or an `act/requant`).

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::{Builder, Kernel};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::flat;
use crate::shared::window::{self, Axis, Lie};

/// See the README.
pub(crate) struct Average;

/// Parameters of `pool/average`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// A map, `[height, width, channels]` or `[length, channels]`. Filled in from the layer before.
    input: TensorType,
    /// Extent of a window, one per axis.
    kernel: Vec<usize>,
    /// Distance of two windows, one per axis; the extent of a window unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stride: Option<Vec<usize>>,
    /// Whether sums are divided by the elements of a window, a power of two then: the fraction moves. Otherwise sums stay sums.
    #[serde(default = "yes")]
    divide: bool,
}

const fn yes() -> bool {
    true
}

impl Params {
    fn axes(&self) -> Result<[Axis; 2], Diagnostic> {
        let stride = Some(self.stride.as_deref().unwrap_or(&self.kernel));
        window::axes(&self.input, Lie { kernel: &self.kernel, stride, dilation: None, padding: None })
    }

    /// Format of the result: a sum is exact, and its division only moves the point.
    ///
    /// Errors: `E0203` for a window that is no power of two, or a fraction beyond its limits; `E0207` for a sum that does not fit.
    fn output(&self) -> Result<QType, Diagnostic> {
        let (x, n) = (self.input.format, self.kernel.iter().product::<usize>());
        let shift = if self.divide { n.trailing_zeros() as i8 } else { 0 };
        if self.divide && (!n.is_power_of_two() || x.frac > 64 - shift) {
            let message = format!("a mean over {n} elements of {x} moves no binary point");
            let help = "choose a window of 2, 4, 8 ... elements, or `divide: false` and scale the sums later";
            return Err(Diagnostic::new("E0203", message, help).at("kernel"));
        }
        let sum =
            QType::holding(i128::from(x.min()) * n as i128, i128::from(x.max()) * n as i128, x.frac + shift);
        if sum.bits > QType::MAX_BITS {
            let message = format!("the sum of a window needs {} bits; at most {}", sum.bits, QType::MAX_BITS);
            return Err(
                Diagnostic::new("E0207", message, "use smaller windows or a narrower input").at("kernel")
            );
        }
        Ok(sum)
    }

    fn kernel(&self) -> Kernel {
        let (k, axes) = (Builder::new(), self.axes().expect("the interface was checked"));
        let format = self.output().expect("the interface was checked");
        let x = flat::inputs(&k, "x", &self.input);
        let channels = self.input.columns();
        let map = window::pad(axes, channels, &x, k.constant(0, self.input.format.frac));
        let mut y = Vec::new();
        for taps in window::taps(axes) {
            for c in 0..channels {
                let seen = taps.iter().map(|&(row, column)| map[row][column][c]).collect();
                y.push(k.reduce(seen, |a, b| a + b).read_as(format.frac));
            }
        }
        flat::outputs(&k, "y", format, y);
        k.finish()
    }
}

impl Block for Average {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "pool/average";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let map = Params {
            input: TensorType::frame(&[4, 4, 2], QType { bits: 4, frac: 2, signed: true }),
            kernel: vec![2, 2],
            stride: None,
            divide: true,
        };
        let overlap = Params {
            input: TensorType::step(&[7, 1], QType::unsigned(3)),
            kernel: vec![3],
            stride: Some(vec![2]),
            divide: false,
        };
        vec![map, overlap]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let rank = input.shape.len() - 1;
        if !(1..=2).contains(&rank) || input.len() > 64 {
            return None;
        }
        let kernel: Vec<usize> = (0..rank).map(|n| rng.random_range(1..=input.shape[n].min(3))).collect();
        let divide = rng.random::<bool>() && kernel.iter().product::<usize>().is_power_of_two();
        let stride = (0..rank).map(|_| rng.random_range(1..4)).collect();
        let stride = rng.random::<bool>().then_some(stride);
        let p = Params { input: input.clone(), kernel, stride, divide };
        Self::interface(&p).is_ok().then_some(p)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        flat::check(&p.input, "input")?;
        let shape = window::shape(&p.input, p.axes()?, p.input.columns());
        let y = TensorType { shape, format: p.output()?, rate: p.input.rate };
        flat::check(&y, "kernel")?;
        let lanes = y.len();
        Ok(Interface::one_to_one(p.input.clone(), p.input.len(), y, lanes))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        let [down, across] = p.axes().expect("the interface was checked");
        let channels = p.input.columns();
        for (at, y) in y[0].iter_mut().enumerate() {
            let (c, column, row) =
                (at % channels, at / channels % across.windows(), at / channels / across.windows());
            *y = 0;
            for i in 0..down.kernel {
                for j in 0..across.kernel {
                    if let (Some(r), Some(l)) = (down.position(row, i), across.position(column, j)) {
                        *y += x[0][(r * across.extent + l) * channels + c];
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
