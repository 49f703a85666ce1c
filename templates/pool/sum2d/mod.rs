//! Sums over windows of a map, for spikes, counts and integers. Deliberately absent: padding, windows that overlap, and the
//! division that makes an average of a sum (a power of two is a matter of the fraction; the rest goes into weights).

mod hardware;

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::divisor;

/// See the README.
pub(crate) struct Sum2d;

/// Parameters of `pool/sum2d`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// A map, `[height, width, channels]`. Filled in from the layer before.
    input: TensorType,
    /// Elements a beat; divides the channels. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
    /// Height and width of a window.
    kernel: [usize; 2],
    /// Distance of two windows, down and across; at least the window's height and width, which it is unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stride: Option<[usize; 2]>,
}

/// The windows along one axis.
#[derive(Debug, Clone, Copy)]
struct Axis {
    /// Positions of the input.
    extent: usize,
    /// Positions of a window.
    kernel: usize,
    /// From a window to the next.
    stride: usize,
}

impl Axis {
    const fn windows(self) -> usize {
        (self.extent - self.kernel) / self.stride + 1
    }

    /// Whether the last window ends before the input does.
    const fn trailing(self) -> bool {
        (self.windows() - 1) * self.stride + self.kernel < self.extent
    }
}

impl Params {
    fn stride(&self) -> [usize; 2] {
        self.stride.unwrap_or(self.kernel)
    }

    fn axis(&self, n: usize) -> Axis {
        Axis { extent: self.input.shape[n], kernel: self.kernel[n], stride: self.stride()[n] }
    }

    /// Down and across.
    fn axes(&self) -> [Axis; 2] {
        [self.axis(0), self.axis(1)]
    }

    fn channels(&self) -> usize {
        self.input.shape[2]
    }

    /// Beats a pixel.
    fn beats(&self) -> usize {
        self.channels() / self.input_lanes
    }

    /// Whether something comes after the last window, so that its sum has to wait for the end of the tensor.
    fn trailing(&self) -> bool {
        self.axes().iter().any(|a| a.trailing())
    }

    /// Format of a sum: holds every one, whatever comes in.
    fn sum(&self) -> QType {
        let (x, n) = (self.input.format, (self.kernel[0] * self.kernel[1]) as i128);
        QType::holding(i128::from(x.min()) * n, i128::from(x.max()) * n, x.frac)
    }

    /// Errors: `E0201` for a window that does not fit, or that overlaps the next.
    fn check(&self, n: usize) -> Result<(), Diagnostic> {
        let (extent, kernel, stride) = (self.input.shape[n], self.kernel[n], self.stride()[n]);
        diag::in_range("kernel", kernel, 1..extent + 1)?;
        if stride < kernel {
            let message = format!("`stride` is {stride} for windows of {kernel}: they overlap");
            let help = format!("choose a stride of at least {kernel}, or leave it out");
            return Err(Diagnostic::new("E0201", message, help).at("stride"));
        }
        diag::in_range("stride", stride, kernel..TensorType::MAX_LEN + 1)
    }
}

impl Block for Sum2d {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "pool/sum2d";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let spikes = Params {
            input: TensorType::step(&[4, 6, 8], QType::unsigned(1)),
            input_lanes: 4,
            kernel: [2, 2],
            stride: None,
        };
        // A beat a pixel, and a row and a column that fill no window.
        let trailing = Params {
            input: TensorType::step(&[5, 7, 2], QType::unsigned(2)),
            input_lanes: 2,
            kernel: [2, 3],
            stride: None,
        };
        let format = QType { bits: 6, frac: 2, signed: true };
        let apart = Params {
            input: TensorType::frame(&[7, 5, 3], format),
            input_lanes: 1,
            kernel: [3, 1],
            stride: Some([4, 2]),
        };
        let line = Params {
            input: TensorType::frame(&[1, 8, 4], QType::unsigned(8)),
            input_lanes: 2,
            kernel: [1, 4],
            stride: None,
        };
        vec![spikes, trailing, apart, line]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let &[height, width, channels] = &input.shape[..] else { return None };
        if input.format.bits > 24 {
            return None;
        }
        let kernel = [rng.random_range(1..=height.min(6)), rng.random_range(1..=width.min(6))];
        let stride = [kernel[0] + rng.random_range(0..3), kernel[1] + rng.random_range(0..3)];
        Some(Params {
            input: input.clone(),
            input_lanes: divisor(channels, 8, rng),
            kernel,
            stride: rng.random::<bool>().then_some(stride),
        })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        p.input.check().map_err(|d| d.at("input"))?;
        if p.input.shape.len() != 3 {
            let message = format!("the input is {}, expected a map: [height, width, channels]", p.input);
            let help = "give the layer before an output of three axes, channels last";
            return Err(Diagnostic::new("E0204", message, help).at("input"));
        }
        diag::divides("input_lanes", p.input_lanes, "the number of channels", p.channels())?;
        p.check(0)?;
        p.check(1)?;
        if p.sum().bits > QType::MAX_BITS {
            let (bits, most) = (p.sum().bits, QType::MAX_BITS);
            let message = format!("the sum of a window needs {bits} bits; at most {most}");
            return Err(
                Diagnostic::new("E0207", message, "use smaller windows or a narrower input").at("kernel")
            );
        }
        let shape = vec![p.axis(0).windows(), p.axis(1).windows(), p.channels()];
        let y = TensorType { shape, format: p.sum(), rate: p.input.rate };
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, y, p.input_lanes))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        let ([ky, kx], [sy, sx]) = (p.kernel, p.stride());
        let (width, channels) = (p.input.shape[1], p.channels());
        let across = (width - kx) / sx + 1;
        for (at, y) in y[0].iter_mut().enumerate() {
            let (c, ox, oy) = (at % channels, at / channels % across, at / channels / across);
            *y = 0;
            for i in oy * sy..oy * sy + ky {
                for j in ox * sx..ox * sx + kx {
                    *y += x[0][(i * width + j) * channels + c];
                }
            }
        }
    }

    fn body(p: &Params) -> Body {
        hardware::body(p)
    }

    fn schedule(p: &Params, (): &(), _: &[&[i64]], _: bool, out: &mut Schedule) {
        let [down, across] = p.axes();
        // Whether position `n` is the last of a window.
        let ends = |a: Axis, n: usize| n % a.stride == a.kernel - 1 && n / a.stride < a.windows();
        let windows = down.windows() * across.windows();
        let mut seen = 0;
        for y in 0..down.extent {
            for x in 0..across.extent {
                let full = ends(down, y) && ends(across, x);
                seen += usize::from(full);
                // The very last sum leaves with the tensor's last beat, which says whether the sample ends.
                let waits = usize::from(full && p.trailing() && seen == windows);
                let end = p.trailing() && y + 1 == down.extent && x + 1 == across.extent;
                if full {
                    out.pass(1, p.beats() - waits);
                    out.take(waits);
                } else {
                    out.take(p.beats() - usize::from(end));
                    out.pass(1, usize::from(end));
                }
            }
        }
    }

    fn cost(p: &Params, t: &Target) -> Area {
        hardware::cost(p, t)
    }
}
