//! Dense layers of spiking neurons on an event-driven core, folded over lanes.
//!
//! Deliberately absent: what a neuron does with its current. The neuron is another block, named in the parameters; its
//! kernel becomes part of every lane.

mod check;
mod golden;
mod hardware;
mod mask;
mod rows;
mod samples;
mod sums;
mod tables;

use nervure_core::block::{Area, Block, Body, Fold, Interface, Rng};
use nervure_core::{Diagnostic, Instance, Packed, PackedMut, QType, Schedule, Target, Tensor, TensorType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::shared::cell::Neuron;
use crate::shared::spikes::Values;
use crate::shared::sum_range;

/// See the README.
pub(crate) struct Spiking;

/// Parameters of `engine/spiking`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Spikes, counts of spikes or values in. Filled in from the layer before.
    input: TensorType,
    /// Elements a beat. Filled in from the layer before.
    input_lanes: usize,
    /// Weights, `[out, in]`.
    weights: Tensor,
    /// Format of a weight; signed.
    weight_format: QType,
    /// Weights from the layer's own outputs of the step before, `[out, out]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recurrent: Option<Tensor>,
    /// Added to the current in every step, `[out]`; any size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bias: Option<Tensor>,
    /// Added to the current in every step of a sample but the first, `[out]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recurrent_bias: Option<Tensor>,
    /// Neurons that count, `[out]`: where it is 0 the neuron is silenced, and its outputs are zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mask: Option<Tensor>,
    /// What an element that is not one bit does; `repeat` unless given, `multiply` for signed ones and beyond 5 bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<Values>,
    /// Spikes of a beat that are served at once, 1 or 2.
    #[serde(default = "crate::shared::neuron::one")]
    events: usize,
    /// Neurons computed at once; divides the number of neurons.
    lanes: usize,
    /// Neurons a beat of the output; divides `lanes`, and is `lanes` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output_lanes: Option<usize>,
    /// Whether weights can be written over the register bus, between two samples.
    #[serde(default, skip_serializing_if = "is_false")]
    run_time_weights: bool,
    /// Whether the adder that integrates does the neuron's step, too; unless given, where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sharing: Option<Sharing>,
    /// The neuron: its `block`, and that block's parameters.
    neuron: Neuron,
}

/// Whether one adder does everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Sharing {
    /// The neuron's step takes a cycle of its own logic.
    Off,
    /// It takes two or three cycles of the adder that integrates.
    Adder,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(b: &bool) -> bool {
    !*b
}

impl Params {
    fn neurons(&self) -> usize {
        self.weights.shape[0]
    }

    fn groups(&self) -> usize {
        self.neurons() / self.lanes
    }

    /// Beats of the output that one group makes.
    fn chunks(&self) -> usize {
        self.output_lanes.map_or(1, |n| self.lanes / n)
    }

    /// Elements of the widest beat.
    fn width(&self) -> usize {
        self.input_lanes.max(if self.recurrent.is_some() { self.lanes } else { 1 })
    }

    /// Beats of a step: from the stream, of the layer's own outputs, and of constants.
    fn beats(&self) -> usize {
        let recurrent = if self.recurrent.is_some() { self.groups() } else { 0 };
        self.input.len() / self.input_lanes + recurrent + self.constants().len().div_ceil(self.width())
    }

    fn constants(&self) -> Vec<rows::Constant> {
        let bias = self.bias.iter().flat_map(|b| rows::split(self, b, false, rows::MAX));
        bias.chain(self.recurrent_bias.iter().flat_map(|b| rows::split(self, b, true, rows::MAX))).collect()
    }

    /// What the current of each neuron begins with, in the first step of a sample and in others.
    fn start(&self) -> [Vec<i64>; 2] {
        let bias = |t: &Option<Tensor>, i: usize| t.as_ref().map_or(0, |t| t.data[i]);
        let first: Vec<i64> = (0..self.neurons()).map(|i| bias(&self.bias, i)).collect();
        let later = first.iter().enumerate().map(|(i, b)| b + bias(&self.recurrent_bias, i)).collect();
        [first, later]
    }

    /// Format of an element of a beat: of the input and, with recurrence, of the output.
    fn element(&self) -> QType {
        let x = self.input.format;
        let Some(y) = self.recurrent.as_ref().and(self.output().ok()) else { return x };
        QType::holding(x.min().min(y.min()).into(), x.max().max(y.max()).into(), x.frac)
    }

    fn values(&self) -> Values {
        Values::of(self.values, self.element())
    }

    /// Currents of a step, without recurrence: every partial sum.
    fn feedforward(&self) -> (i128, i128) {
        let x = self.input.format;
        if self.run_time_weights {
            return self.widest(self.input.len(), x);
        }
        let mut range = sum_range(&self.weights, None, x.min(), x.max());
        for bias in self.bias.iter().chain(&self.recurrent_bias) {
            range.0 += i128::from(bias.data.iter().copied().min().unwrap_or(0).min(0));
            range.1 += i128::from(bias.data.iter().copied().max().unwrap_or(0).max(0));
        }
        range
    }

    /// Sums of `count` elements of format `x`, each times any weight.
    fn widest(&self, count: usize, x: QType) -> (i128, i128) {
        let w = self.weight_format;
        let products = [w.min() * x.min(), w.min() * x.max(), w.max() * x.min(), w.max() * x.max()];
        let end = |v: Option<i64>| i128::from(v.unwrap_or(0)) * count as i128;
        (end(products.into_iter().min()).min(0), end(products.into_iter().max()).max(0))
    }

    fn format_of_current(&self, (lo, hi): (i128, i128)) -> QType {
        QType::holding(lo.min(-1), hi, self.weight_format.frac.saturating_add(self.input.format.frac))
    }

    /// Format of the output. With recurrence, the current depends on it, so that it must not depend on the current.
    fn output(&self) -> Result<QType, Diagnostic> {
        let current = self.format_of_current(self.feedforward());
        let neuron = self.neuron.instance(&TensorType::step(&[self.neurons()], current), self.lanes)?;
        Ok(neuron.interface().outputs[0].tensor.format)
    }

    /// Format of the synaptic current: holds every partial sum of a step, whatever arrives.
    fn current(&self) -> QType {
        let mut range = self.feedforward();
        if let (Some(w), Ok(y)) = (&self.recurrent, self.output()) {
            let own = if self.run_time_weights {
                self.widest(self.neurons(), y)
            } else {
                sum_range(w, None, y.min(), y.max())
            };
            range = (range.0 + own.0, range.1 + own.1);
        }
        self.format_of_current(range)
    }

    /// The neuron as a block of its own, one for the whole layer.
    fn neuron(&self) -> Result<Arc<dyn Instance>, Diagnostic> {
        self.neuron.instance(&TensorType::step(&[self.neurons()], self.current()), self.lanes)
    }
}

impl Block for Spiking {
    type Params = Params;
    type State = golden::State;
    const NAME: &'static str = "engine/spiking";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        samples::examples()
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        samples::random(input, rng)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        check::weights(p)?;
        mask::check(p)?;
        let p = &*mask::without_silenced(p);
        check::all(p)?;
        let neuron = p.neuron().map_err(|d| d.at("neuron"))?;
        check::neuron(p, neuron.as_ref())?;
        let y = neuron.interface().outputs[0].tensor.clone();
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, y, p.lanes / p.chunks()))
    }

    fn state(p: &Params) -> golden::State {
        golden::State::new(&mask::without_silenced(p))
    }

    fn reset(_: &Params, s: &mut golden::State) {
        s.reset();
    }

    fn step(p: &Params, s: &mut golden::State, x: &[&[i64]], y: &mut [&mut [i64]]) {
        s.step(p, x[0], y);
    }

    fn step_packed(p: &Params, s: &mut golden::State, steps: usize, x: Packed, y: PackedMut) -> bool {
        s.step_packed(p, steps, x, y)
    }

    fn folds(p: &Params) -> Vec<Fold> {
        let mut folds = vec![Fold::dividing("lanes", p.neurons(), p.output_lanes.unwrap_or(1))];
        if p.element() == QType::unsigned(1) && !p.run_time_weights {
            folds.push(Fold { field: "events", values: vec![1, 2] });
        }
        folds
    }

    fn body(p: &Params) -> Body {
        hardware::body(&mask::without_silenced(p))
    }

    fn schedule(p: &Params, s: &golden::State, x: &[&[i64]], _: bool, out: &mut Schedule) {
        s.schedule(p, x[0], out);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        hardware::cost(&mask::without_silenced(p), t)
    }
}
