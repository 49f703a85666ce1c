//! The largest element of each window of a map, all windows at once or a pixel after the other. Deliberately absent: the
//! position of the largest.

use nervure_core::block::{Area, Block, Body, Fold, Interface, Rng};
use nervure_core::kernel::{Builder, Kernel};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::slide::{self, Gift, Reduction, Slide};
use crate::shared::window::{self, Axis, Lie};
use crate::shared::{divisor, flat};

/// See the README.
pub(crate) struct Max;

/// Parameters of `pool/max`.
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
    /// Positions before and behind the input that count as empty, one pair per axis; none unless given. Less than a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    padding: Option<Vec<[usize; 2]>>,
    /// Channels a beat, where the map passes pixel by pixel; divides the channels. The whole map in one beat unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lanes: Option<usize>,
}

impl Params {
    fn axes(&self) -> Result<[Axis; 2], Diagnostic> {
        let axes = window::axes(
            &self.input,
            Lie {
                kernel: &self.kernel,
                stride: Some(self.stride.as_ref().unwrap_or(&self.kernel)),
                dilation: None,
                padding: self.padding.as_deref(),
            },
        )?;
        for axis in axes {
            axis.padding.iter().try_for_each(|p| diag::in_range("padding", *p, 0..axis.kernel))?;
        }
        Ok(axes)
    }

    /// The windows of a map that passes in beats of `lanes` channels.
    fn slide(&self, lanes: usize) -> Slide<'_> {
        let (k, axes) = (Builder::new(), self.axes().expect("the interface was checked"));
        let taps =
            (0..axes[0].kernel * axes[1].kernel).map(|n| k.input(&format!("x_{n}"), self.input.format));
        let y = k.reduce(taps.collect(), nervure_core::kernel::Expr::max);
        k.output_as("y", self.input.format, y);
        // What cannot be less takes no part.
        let fill = self.input.format.min();
        let gift = Gift::Element(Reduction { kernel: k.finish(), counted: [false; 2] });
        Slide { input: &self.input, axes, lanes, fill, gift }
    }

    fn kernel(&self) -> Kernel {
        let (k, axes) = (Builder::new(), self.axes().expect("the interface was checked"));
        let x: Vec<_> = flat::inputs(&k, "x", &self.input).into_iter().map(Some).collect();
        let channels = self.input.columns();
        let map = window::pad(axes, channels, &x, None);
        let mut y = Vec::new();
        for taps in window::taps(axes) {
            for c in 0..channels {
                let seen = taps.iter().filter_map(|&(row, column)| map[row][column][c]).collect();
                y.push(k.reduce(seen, nervure_core::kernel::Expr::max));
            }
        }
        flat::outputs(&k, "y", self.input.format, y);
        k.finish()
    }
}

impl Block for Max {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "pool/max";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let map = Params {
            input: TensorType::frame(&[4, 4, 2], QType { bits: 4, frac: 2, signed: true }),
            kernel: vec![2, 2],
            stride: None,
            padding: None,
            lanes: None,
        };
        let overlap = Params {
            input: TensorType::step(&[7, 1], QType::unsigned(3)),
            kernel: vec![3],
            stride: Some(vec![2]),
            padding: Some(vec![[1, 0]]),
            lanes: None,
        };
        // The pixels pass one after the other; the last column fills no window.
        let streamed =
            Params { input: TensorType::frame(&[4, 5, 2], QType::signed(4)), lanes: Some(2), ..map.clone() };
        // A channel a beat, windows that overlap, padding around.
        let narrow = Params {
            input: TensorType::step(&[5, 6, 2], QType::unsigned(3)),
            kernel: vec![3, 3],
            stride: Some(vec![2, 2]),
            padding: Some(vec![[1, 1], [1, 1]]),
            lanes: Some(1),
        };
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
        let stride = (0..rank).map(|_| rng.random_range(1..4)).collect();
        Some(Params {
            input: input.clone(),
            kernel,
            stride: rng.random::<bool>().then_some(stride),
            padding: rng.random::<bool>().then_some(padding),
            lanes: streams.then(|| divisor(input.columns(), 32, rng)),
        })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        p.input.check().map_err(|d| d.at("input"))?;
        let shape = window::shape(&p.input, p.axes()?, p.input.columns());
        let y = TensorType { shape, ..p.input.clone() };
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
            *y = p.input.format.min();
            for i in 0..down.kernel {
                for j in 0..across.kernel {
                    if let (Some(r), Some(l)) = (down.position(row, i), across.position(column, j)) {
                        *y = (*y).max(x[0][(r * across.extent + l) * channels + c]);
                    }
                }
            }
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
