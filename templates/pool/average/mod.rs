//! The mean or the sum of each window of a map, all windows at once or a pixel after the other. Deliberately absent: a mean with
//! a scale of its own (it goes into the next layer's weights, or an `act/requant`).

mod mean;

use nervure_core::block::{Area, Block, Body, Fold, Interface, Rng};
use nervure_core::kernel::{Builder, Expr, Kernel};
use nervure_core::{Diagnostic, QType, Rounding, Schedule, Target, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::slide::{self, Gift, Reduction, Slide};
use crate::shared::window::{self, Axis, Lie};
use crate::shared::{divisor, flat};

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
    /// Positions before and behind the input that hold nothing, one pair per axis; none unless given. Less than a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    padding: Option<Vec<[usize; 2]>>,
    /// Whether padding counts as elements of a window when it divides, as in ONNX.
    #[serde(default)]
    count_include_pad: bool,
    /// Whether sums are divided by the elements of a window. Otherwise sums stay sums.
    #[serde(default = "yes")]
    divide: bool,
    /// How a mean becomes an integer of the input's format. Unless given, windows have a power of two of elements, and the
    /// fraction moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    round: Option<Rounding>,
    /// Channels a beat, where the map passes pixel by pixel; divides the channels. The whole map in one beat unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lanes: Option<usize>,
}

const fn yes() -> bool {
    true
}

/// Most bits of a sum that is divided and rounded.
const MAX_ROUNDED_BITS: u8 = 32;

impl Params {
    fn axes(&self) -> Result<[Axis; 2], Diagnostic> {
        let stride = Some(self.stride.as_deref().unwrap_or(&self.kernel));
        let lie = Lie { kernel: &self.kernel, stride, dilation: None, padding: self.padding.as_deref() };
        let axes = window::axes(&self.input, lie)?;
        for axis in axes {
            axis.padding.iter().try_for_each(|p| diag::in_range("padding", *p, 0..axis.kernel))?;
        }
        Ok(axes)
    }

    /// Elements of a window, padding included.
    fn elements(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Whether windows are divided by different numbers.
    fn uneven(&self) -> bool {
        let padded = self.padding.as_ref().is_some_and(|p| p.as_flattened().iter().any(|n| *n > 0));
        self.divide && padded && !self.count_include_pad
    }

    /// What a window is divided by that has so many of its elements on the map.
    const fn divisor(&self, seen: usize, elements: usize) -> usize {
        if self.count_include_pad { elements } else { seen }
    }

    /// Format of a window's sum, with the fraction of the input.
    fn sum(&self) -> QType {
        let (x, n) = (self.input.format, self.elements() as i128);
        let (lo, hi) = (i128::from(x.min()) * n, i128::from(x.max()) * n);
        QType::holding(lo, hi, x.frac)
    }

    /// Format of the result: a sum is exact, and its division only moves the point, or rounds to what the input has.
    ///
    /// Errors: `E0203` for a window that is no power of two, a fraction beyond its limits, or a rounding of sums; `E0207` for a
    /// sum that does not fit.
    fn output(&self) -> Result<QType, Diagnostic> {
        let (x, n, sum) = (self.input.format, self.elements(), self.sum());
        let most = if self.round.is_some() { MAX_ROUNDED_BITS } else { QType::MAX_BITS };
        if sum.bits > most {
            let message = format!("the sum of a window needs {} bits; at most {most}", sum.bits);
            return Err(
                Diagnostic::new("E0207", message, "use smaller windows or a narrower input").at("kernel")
            );
        }
        if self.round.is_some() {
            if !self.divide {
                let help = "leave out `round`: a sum is exact; or leave out `divide`";
                return Err(
                    Diagnostic::new("E0203", "`round` of a sum that is not divided", help).at("round")
                );
            }
            return Ok(x);
        }
        let shift = if self.divide { n.trailing_zeros() as i8 } else { 0 };
        let fault = if self.uneven() {
            Some("windows with padding have means of different numbers of elements".to_owned())
        } else if self.divide && (!n.is_power_of_two() || x.frac > 64 - shift) {
            Some(format!("a mean over {n} elements of {x} moves no binary point"))
        } else {
            None
        };
        if let Some(message) = fault {
            let help = "give `round`; or choose windows of 2, 4, 8 ... elements and count the padding; \
                        or `divide: false` and scale the sums later";
            return Err(Diagnostic::new("E0203", message, help).at("kernel"));
        }
        Ok(QType { frac: x.frac + shift, ..sum })
    }

    /// The windows of a map that passes in beats of `lanes` channels.
    fn slide(&self, lanes: usize) -> Slide<'_> {
        let (k, axes) = (Builder::new(), self.axes().expect("the interface was checked"));
        let format = self.output().expect("the interface was checked");
        let lines = slide::oriented(axes);
        let counted = lines.map(|a| self.uneven() && mean::seen(a).0 < mean::seen(a).1);
        let taps = (0..self.elements()).map(|n| k.input(&format!("x_{n}"), self.input.format)).collect();
        let sum = k.reduce(taps, |a, b| a + b);
        let elements = if self.uneven() {
            mean::taps(&k, lines[0], "rows") * mean::taps(&k, lines[1], "columns")
        } else {
            k.constant(self.elements() as i64, 0)
        };
        k.output_as("y", format, self.share(&k, sum, elements, format));
        let gift = Gift::Element(Reduction { kernel: k.finish(), counted });
        Slide { input: &self.input, axes, lanes, fill: 0, gift }
    }

    /// What is given for a window of this sum and so many elements.
    fn share<'k>(&self, k: &'k Builder, sum: Expr<'k>, elements: Expr<'k>, format: QType) -> Expr<'k> {
        match self.round {
            Some(round) => mean::rounded(k, sum, elements, round, self.input.format),
            None => sum.read_as(format.frac),
        }
    }

    fn kernel(&self) -> Kernel {
        let (k, axes) = (Builder::new(), self.axes().expect("the interface was checked"));
        let format = self.output().expect("the interface was checked");
        let x = flat::inputs(&k, "x", &self.input);
        let channels = self.input.columns();
        let x: Vec<_> = x.into_iter().map(Some).collect();
        let map = window::pad(axes, channels, &x, None);
        let mut y = Vec::new();
        for taps in window::taps(axes) {
            for c in 0..channels {
                let seen: Vec<_> = taps.iter().filter_map(|&(row, column)| map[row][column][c]).collect();
                let elements = k.constant(self.divisor(seen.len(), self.elements()) as i64, 0);
                y.push(self.share(&k, k.reduce(seen, |a, b| a + b), elements, format));
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
            padding: None,
            count_include_pad: false,
            divide: true,
            round: None,
            lanes: None,
        };
        let overlap = Params {
            input: TensorType::step(&[7, 1], QType::unsigned(3)),
            kernel: vec![3],
            stride: Some(vec![2]),
            divide: false,
            ..map.clone()
        };
        // The pixels pass one after the other; means of four, six and nine elements.
        let streamed = Params {
            input: TensorType::frame(&[5, 4, 2], QType::signed(4)),
            kernel: vec![3, 3],
            stride: Some(vec![1, 1]),
            padding: Some(vec![[1, 1], [1, 1]]),
            round: Some(Rounding::HalfEven),
            lanes: Some(2),
            ..map.clone()
        };
        // A channel a beat; what lies behind the last window passes.
        let narrow =
            Params { input: TensorType::step(&[5, 5, 2], QType::unsigned(3)), lanes: Some(1), ..map.clone() };
        vec![map, overlap, streamed, narrow]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let rank = input.shape.len() - 1;
        let streams = rng.random::<bool>();
        if !(1..=2).contains(&rank) || input.len() > if streams { 1024 } else { 64 } {
            return None;
        }
        let kernel: Vec<usize> = (0..rank).map(|n| rng.random_range(1..=input.shape[n].min(3))).collect();
        let padding = kernel.iter().map(|k| [rng.random_range(0..*k), rng.random_range(0..*k)]).collect();
        let modes = [Rounding::Floor, Rounding::HalfUp, Rounding::HalfEven, Rounding::TowardZero];
        let round = rng.random::<bool>().then(|| modes[rng.random_range(0..modes.len())]);
        let divide =
            round.is_some() || rng.random::<bool>() && kernel.iter().product::<usize>().is_power_of_two();
        let stride = (0..rank).map(|_| rng.random_range(1..4)).collect();
        let stride = rng.random::<bool>().then_some(stride);
        let p = Params {
            input: input.clone(),
            kernel,
            stride,
            padding: rng.random::<bool>().then_some(padding),
            count_include_pad: rng.random(),
            divide,
            round,
            lanes: streams.then(|| divisor(input.columns(), 32, rng)),
        };
        Self::interface(&p).is_ok().then_some(p)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        p.input.check().map_err(|d| d.at("input"))?;
        let shape = window::shape(&p.input, p.axes()?, p.input.columns());
        let y = TensorType { shape, format: p.output()?, rate: p.input.rate };
        if let Some(lanes) = p.lanes {
            diag::divides("lanes", lanes, "the channels of the input", p.input.columns())?;
            return Ok(Interface::one_to_one(p.input.clone(), lanes, y, lanes));
        }
        flat::check(&p.input, "input")?;
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
            let (mut sum, mut elements) = (0, 0);
            for i in 0..down.kernel {
                for j in 0..across.kernel {
                    if let (Some(r), Some(l)) = (down.position(row, i), across.position(column, j)) {
                        sum += x[0][(r * across.extent + l) * channels + c];
                        elements += 1;
                    }
                }
            }
            let by = if p.count_include_pad { p.elements() as i64 } else { elements };
            let (floor, rest) = (sum.div_euclid(by), sum.rem_euclid(by));
            *y = match p.round {
                None => sum,
                Some(Rounding::Floor) => floor,
                Some(Rounding::HalfUp) => floor + i64::from(2 * rest >= by),
                Some(Rounding::HalfEven) => floor + i64::from(2 * rest + (floor & 1) > by),
                Some(Rounding::TowardZero) => floor + i64::from(sum < 0 && rest > 0),
            };
        }
    }

    fn body(p: &Params) -> Body {
        p.lanes.map_or_else(|| Body::Flat(p.kernel()), |lanes| slide::body(p.slide(lanes)))
    }

    fn schedule(p: &Params, (): &(), _: &[&[i64]], _: bool, out: &mut Schedule) {
        match p.lanes {
            Some(lanes) => slide::schedule(&p.slide(lanes), out),
            None => out.pass(1, 1),
        }
    }

    fn folds(p: &Params) -> Vec<Fold> {
        // A map in one beat is another engine, not another fold.
        p.lanes.map(|_| Fold::dividing("lanes", p.input.columns(), 1)).into_iter().collect()
    }

    fn cost(p: &Params, t: &Target) -> Area {
        p.lanes.map_or_else(|| p.kernel().flat_area(t), |lanes| slide::cost(&p.slide(lanes), t))
    }
}
