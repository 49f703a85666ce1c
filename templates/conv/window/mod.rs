//! The windows of a map, one a beat, from line buffers. Deliberately absent: what is computed of a window (`engine/folded`
//! takes one after the other; pools that stream have windows of their own), and windows in pieces (`stream/width` makes them).

use nervure_core::block::{Area, Block, Body, Fold, Interface, Rng};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::divisor;
use crate::shared::slide::{self, Gift, Slide};
use crate::shared::window::{self, Axis, Lie};

/// See the README.
pub(crate) struct Window;

/// Parameters of `conv/window`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// A map, `[height, width, channels]` or `[length, channels]`. Filled in from the layer before.
    input: TensorType,
    /// Extents of a window, one per axis.
    kernel: Vec<usize>,
    /// Distance of two windows, one per axis; 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stride: Option<Vec<usize>>,
    /// Positions before and behind the input, one pair per axis, each less than a window spans; none unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    padding: Option<Vec<[usize; 2]>>,
    /// Distance of two taps of a window, one per axis; 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dilation: Option<Vec<usize>>,
    /// Parts of the channels, each with its taps together; divides the channels.
    #[serde(default = "crate::shared::neuron::one")]
    groups: usize,
    /// What lies in the padding: an integer of the input's format.
    #[serde(default)]
    fill: i64,
    /// Channels a beat; divides the channels.
    lanes: usize,
}

impl Params {
    fn axes(&self) -> Result<[Axis; 2], Diagnostic> {
        window::axes(
            &self.input,
            Lie {
                kernel: &self.kernel,
                stride: self.stride.as_deref(),
                dilation: self.dilation.as_deref(),
                padding: self.padding.as_deref(),
            },
        )
    }

    fn channels(&self) -> usize {
        self.input.columns()
    }

    /// Elements of a window.
    fn elements(&self) -> usize {
        self.kernel.iter().product::<usize>() * self.channels()
    }

    fn slide(&self) -> Slide<'_> {
        Slide {
            input: &self.input,
            axes: self.axes().expect("the interface was checked"),
            lanes: self.lanes,
            fill: self.fill,
            gift: Gift::Taps { groups: self.groups },
        }
    }

    /// Shape of the output: the windows, then what is in one.
    fn shape(&self, axes: [Axis; 2]) -> Vec<usize> {
        let mut shape = window::shape(&self.input, axes, self.elements() / self.groups);
        if self.groups > 1 {
            shape.insert(shape.len() - 1, self.groups);
        }
        shape
    }
}

impl Block for Window {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "conv/window";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let plain = Params {
            input: TensorType::frame(&[5, 4, 2], QType::unsigned(4)),
            kernel: vec![3, 3],
            stride: None,
            padding: None,
            dilation: None,
            groups: 1,
            fill: 0,
            lanes: 2,
        };
        // A channel a beat; padding all around, strides, channels apart.
        let padded = Params {
            input: TensorType::step(&[6, 7, 2], QType::signed(3)),
            stride: Some(vec![2, 3]),
            padding: Some(vec![[1, 0], [1, 2]]),
            groups: 2,
            fill: -4,
            lanes: 1,
            ..plain.clone()
        };
        let line = Params {
            input: TensorType::frame(&[9, 1], QType::signed(6)),
            kernel: vec![3],
            padding: Some(vec![[2, 2]]),
            dilation: Some(vec![2]),
            lanes: 1,
            ..plain.clone()
        };
        // More windows across than pixels, rows apart, nothing but padding in some.
        let wide = Params {
            input: TensorType::step(&[3, 2, 1], QType::unsigned(2)),
            kernel: vec![2, 2],
            padding: Some(vec![[2, 1], [1, 1]]),
            dilation: Some(vec![2, 1]),
            lanes: 1,
            ..plain.clone()
        };
        vec![plain, padded, line, wide]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let rank = input.shape.len() - 1;
        if !(1..=2).contains(&rank) || input.len() > 1024 || input.columns() > 32 {
            return None;
        }
        let dilation: Vec<usize> = (0..rank).map(|_| rng.random_range(1..3)).collect();
        let mut kernel = Vec::new();
        let mut padding = Vec::new();
        for n in 0..rank {
            let taps = rng.random_range(1..4);
            let most = (taps - 1) * dilation[n];
            let around = [rng.random_range(0..=most), rng.random_range(0..=most)];
            let padded: usize = around.iter().sum::<usize>() + input.shape[n];
            kernel.push(taps.min((padded - 1) / dilation[n] + 1));
            padding.push(around.map(|p| p.min((kernel[n] - 1) * dilation[n])));
        }
        let channels = input.columns();
        let p = Params {
            input: input.clone(),
            kernel,
            stride: rng.random::<bool>().then(|| (0..rank).map(|_| rng.random_range(1..4)).collect()),
            padding: Some(padding),
            dilation: Some(dilation),
            groups: divisor(channels, channels, rng),
            fill: if rng.random() { 0 } else { input.format.min() },
            lanes: divisor(channels, channels, rng),
        };
        Self::interface(&p).is_ok().then_some(p)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        p.input.check().map_err(|d| d.at("input"))?;
        let axes = p.axes()?;
        for axis in axes {
            let span = (axis.kernel - 1) * axis.dilation + 1;
            axis.padding.iter().try_for_each(|n| diag::in_range("padding", *n, 0..span))?;
        }
        diag::divides("groups", p.groups, "the channels of the input", p.channels())?;
        diag::divides("lanes", p.lanes, "the channels of the input", p.channels())?;
        if !p.input.format.contains(p.fill) {
            let q = p.input.format;
            let message = format!("`fill` is {}, outside {q} ({} to {})", p.fill, q.min(), q.max());
            let help = "use an integer of the input's format";
            return Err(Diagnostic::new("E0203", message, help).at("fill"));
        }
        let y = TensorType { shape: p.shape(axes), ..p.input.clone() };
        Ok(Interface::one_to_one(p.input.clone(), p.lanes, y, p.elements()))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        let [down, across] = p.axes().expect("the interface was checked");
        let (channels, part) = (p.channels(), p.channels() / p.groups);
        let mut y = y[0].iter_mut();
        for (row, column) in (0..down.windows()).flat_map(|r| (0..across.windows()).map(move |c| (r, c))) {
            for group in 0..p.groups {
                for (i, j) in (0..down.kernel).flat_map(|i| (0..across.kernel).map(move |j| (i, j))) {
                    let at = down.position(row, i).zip(across.position(column, j));
                    for channel in group * part..(group + 1) * part {
                        let element = at.map(|(r, c)| x[0][(r * across.extent + c) * channels + channel]);
                        *y.next().expect("as many as the output has") = element.unwrap_or(p.fill);
                    }
                }
            }
        }
    }

    fn folds(p: &Params) -> Vec<Fold> {
        vec![Fold::dividing("lanes", p.channels(), 1)]
    }

    fn body(p: &Params) -> Body {
        slide::body(p.slide())
    }

    fn schedule(p: &Params, (): &(), _: &[&[i64]], _: bool, out: &mut Schedule) {
        slide::schedule(&p.slide(), out);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        slide::cost(&p.slide(), t)
    }
}
