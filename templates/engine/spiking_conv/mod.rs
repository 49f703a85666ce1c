//! Convolutional layers of spiking neurons on an event-driven core: every event is scattered to the outputs it reaches.
//!
//! Deliberately absent: what a neuron does with its current. The neuron is another block, named in the parameters; its
//! kernel becomes part of every lane.

mod check;
mod examples;
mod hardware;
mod memories;
mod taps;

use nervure_core::block::{Area, Block, Body, Fold, Interface, Rng};
use nervure_core::{Diagnostic, Instance, QType, Runner, Schedule, Target, Tensor, TensorType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::shared::cell::Neuron;
use crate::shared::spikes::Values;
use crate::shared::sum_range;
use taps::Axis;

/// See the README.
pub(crate) struct SpikingConv;

/// Parameters of `engine/spiking_conv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Spikes, counts of spikes or values in, once a step. Filled in from the layer before.
    input: TensorType,
    /// Elements a beat; divides the innermost axis. Filled in from the layer before.
    input_lanes: usize,
    /// How the axes of the input are to be read; the output is always `hwc`.
    #[serde(default)]
    layout: Layout,
    /// Weights, `[out, in / groups, kernel height, kernel width]`.
    weights: Tensor,
    /// Format of a weight; signed.
    weight_format: QType,
    /// What is added to every current in every step, `[out]`, in current LSB; zero unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bias: Option<Tensor>,
    /// What an element that is not one bit does; `repeat` unless given, `multiply` for signed ones and beyond 5 bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<Values>,
    /// Distance of two windows, down and across.
    #[serde(default = "ones")]
    stride: [usize; 2],
    /// Zeros on either side of the input, above and below, left and right.
    #[serde(default)]
    padding: [usize; 2],
    /// Distance of two taps of the kernel, down and across.
    #[serde(default = "ones")]
    dilation: [usize; 2],
    /// Parts of the channels that do not see each other; divides the channels in and out.
    #[serde(default = "crate::shared::neuron::one")]
    groups: usize,
    /// Output channels computed at once; divides those of a group.
    lanes: usize,
    /// Whether the adder that integrates does the neuron's step, too; `off` unless given.
    #[serde(default)]
    sharing: Sharing,
    /// The neuron: its `block`, and that block's parameters.
    neuron: Neuron,
}

/// Order of the axes of a map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Layout {
    /// Height, width, channels.
    #[default]
    Hwc,
    /// Channels, height, width.
    Chw,
}

/// Whether one adder does everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Sharing {
    /// The neuron's step takes one cycle, of its own logic.
    #[default]
    Off,
    /// It takes two cycles of the adder that integrates: to compare, and to change.
    Adder,
}

const fn ones() -> [usize; 2] {
    [1; 2]
}

/// State of the golden model.
pub(crate) struct State {
    /// Weights as `[in, kernel height, kernel width, out / groups]`.
    weights: Vec<i64>,
    /// Current of each neuron in this step.
    current: Vec<i64>,
    neuron: Box<dyn Runner>,
    /// Cycles of the hardware for an event of each input element.
    cycles: Vec<usize>,
    /// Cycles of the neuron's step after the one in which it gives.
    changes: usize,
}

impl Params {
    /// Height, width and channels of the input.
    fn map(&self) -> [usize; 3] {
        let s = &self.input.shape;
        if self.layout == Layout::Hwc { [s[0], s[1], s[2]] } else { [s[1], s[2], s[0]] }
    }

    /// Position of an input element in its tensor.
    fn at(&self, y: usize, x: usize, c: usize) -> usize {
        let [height, width, channels] = self.map();
        match self.layout {
            Layout::Hwc => (y * width + x) * channels + c,
            Layout::Chw => (c * height + y) * width + x,
        }
    }

    fn out_channels(&self) -> usize {
        self.weights.shape[0]
    }

    /// Vertical (0) or horizontal (1).
    fn axis(&self, n: usize) -> Axis {
        Axis {
            extent: self.map()[n],
            kernel: self.weights.shape[2 + n],
            stride: self.stride[n],
            padding: self.padding[n],
            dilation: self.dilation[n],
        }
    }

    /// Height, width and channels of the output.
    fn out(&self) -> [usize; 3] {
        [self.axis(0).outputs(), self.axis(1).outputs(), self.out_channels()]
    }

    /// Words of stored state for one output position.
    fn slices(&self) -> usize {
        self.out_channels() / self.lanes
    }

    /// Those of them that an event changes.
    fn group_slices(&self) -> usize {
        self.slices() / self.groups
    }

    /// Weight rows of one input channel.
    fn rows(&self) -> usize {
        self.weights.shape[2] * self.weights.shape[3] * self.group_slices()
    }

    /// Words of stored state: one per output position and `lanes` channels.
    fn words(&self) -> usize {
        let [height, width, _] = self.out();
        height * width * self.slices()
    }

    /// Format of a current: holds every partial sum of a step, whatever comes in, with the bias and without.
    fn current(&self) -> QType {
        let rows = self.weights.data.len() / self.out_channels();
        let flat = Tensor { shape: vec![self.out_channels(), rows], data: self.weights.data.clone() };
        let x = self.input.format;
        let (lo, hi) = sum_range(&flat, None, x.min(), x.max());
        let (with_lo, with_hi) = sum_range(&flat, self.bias.as_ref(), x.min(), x.max());
        // A current is signed.
        QType::holding(
            lo.min(with_lo).min(-1),
            hi.max(with_hi),
            self.weight_format.frac.saturating_add(x.frac),
        )
    }

    fn values(&self) -> Values {
        Values::of(self.values, self.input.format)
    }

    /// The neurons as a block of its own, one for the whole layer.
    fn neuron(&self) -> Result<Arc<dyn Instance>, Diagnostic> {
        self.neuron.instance(&TensorType::step(&self.out(), self.current()), self.lanes)
    }
}

impl Block for SpikingConv {
    type Params = Params;
    type State = State;
    const NAME: &'static str = "engine/spiking_conv";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        examples::examples()
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        examples::sample(input, rng)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        p.check()?;
        let neuron = p.neuron().map_err(|d| d.at("neuron"))?;
        p.check_neuron()?;
        let y = neuron.interface().outputs[0].tensor.clone();
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, y, p.lanes))
    }

    fn state(p: &Params) -> State {
        let [in_group, height, width] = [1, 2, 3].map(|n| p.weights.shape[n]);
        let (channels, outs) = (p.map()[2], p.out_channels() / p.groups);
        let mut weights = Vec::with_capacity(channels * height * width * outs);
        for c in 0..channels {
            for tap in 0..height * width {
                for o in 0..outs {
                    let out = c / in_group * outs + o;
                    weights.push(p.weights.data[(out * in_group + c % in_group) * height * width + tap]);
                }
            }
        }
        let neuron = p.neuron().expect("the interface was checked").runner();
        State {
            weights,
            current: vec![0; p.out().iter().product()],
            neuron,
            cycles: hardware::cycles(p),
            changes: hardware::lane(p).changes,
        }
    }

    fn reset(_: &Params, s: &mut State) {
        s.neuron.reset();
    }

    fn step(p: &Params, s: &mut State, x: &[&[i64]], y: &mut [&mut [i64]]) {
        let ([height, width, channels], [_, out_width, out_channels]) = (p.map(), p.out());
        let (kernel_height, kernel_width) = (p.weights.shape[2], p.weights.shape[3]);
        let (ins, outs) = (channels / p.groups, out_channels / p.groups);
        for (at, current) in s.current.iter_mut().enumerate() {
            *current = p.bias.as_ref().map_or(0, |b| b.data[at % out_channels]);
        }
        // Every window over the padded input; the padding itself adds nothing.
        for (window, current) in s.current.chunks_exact_mut(out_channels).enumerate() {
            let (oy, ox) = (window / out_width, window % out_width);
            for ky in 0..kernel_height {
                let Some(iy) = (oy * p.stride[0] + ky * p.dilation[0]).checked_sub(p.padding[0]) else {
                    continue;
                };
                for kx in 0..kernel_width {
                    let Some(ix) = (ox * p.stride[1] + kx * p.dilation[1]).checked_sub(p.padding[1]) else {
                        continue;
                    };
                    if iy >= height || ix >= width {
                        continue;
                    }
                    for c in 0..channels {
                        let value = x[0][p.at(iy, ix, c)];
                        if value != 0 {
                            let row = ((c * kernel_height + ky) * kernel_width + kx) * outs;
                            let group = &mut current[c / ins * outs..][..outs];
                            group.iter_mut().zip(&s.weights[row..]).for_each(|(i, w)| *i += value * w);
                        }
                    }
                }
            }
        }
        s.neuron.step(&[&s.current], y);
    }

    fn folds(p: &Params) -> Vec<Fold> {
        vec![Fold::dividing("lanes", p.out_channels() / p.groups, 1)]
    }

    fn body(p: &Params) -> Body {
        hardware::body(p)
    }

    fn schedule(p: &Params, s: &State, x: &[&[i64]], _: bool, out: &mut Schedule) {
        let (beats, values) = (p.input.len() / p.input_lanes, p.values());
        for (beat, elements) in x[0].chunks(p.input_lanes).enumerate() {
            let costs = &s.cycles[beat * p.input_lanes..];
            let work: usize = elements.iter().zip(costs).map(|(v, cost)| values.times(*v) * cost).sum();
            out.take(1);
            // One more to look up the first event; the next beat is taken in the last cycle of this one's work.
            out.busy(work + usize::from(work > 0 && beat + 1 == beats));
        }
        if s.changes == 0 {
            out.give(p.words());
            return;
        }
        for _ in 0..p.words() {
            out.give(1);
            out.busy(s.changes);
        }
    }

    fn cost(p: &Params, t: &Target) -> Area {
        hardware::cost(p, t)
    }
}
