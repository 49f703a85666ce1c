//! Dense layers of spiking neurons in which every synapse has a delay of its own, on an event-driven core.
//!
//! Deliberately absent: what a neuron does with its current. The neuron is another block, named in the parameters; its
//! kernel becomes part of every lane.

mod hardware;
mod samples;

use nervure_core::block::{Area, Block, Body, Fold, Interface, Rng};
use nervure_core::{Diagnostic, Instance, QType, Runner, Schedule, Target, Tensor, TensorType, diag};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::shared::cell::Neuron;
use crate::shared::{spikes, sum_range};

/// Largest delay, in steps.
const MAX_DELAY: i64 = 255;

/// Most words of the memory of currents of one lane.
const MAX_WORDS: usize = 4096;

/// See the README.
pub(crate) struct SpikingDelay;

/// Parameters of `engine/spiking_delay`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Spikes or counts in, once a step; an element of value k is k spikes. Filled in from the layer before.
    input: TensorType,
    /// Elements a beat. Filled in from the layer before.
    input_lanes: usize,
    /// Weights, `[out, in]`.
    weights: Tensor,
    /// Format of a weight; signed.
    weight_format: QType,
    /// Steps from a spike to its effect, `[out, in]`; 0 is the step of the spike, at most 255.
    delays: Tensor,
    /// Neurons computed at once; divides the number of neurons.
    lanes: usize,
    /// The neuron: its `block`, and that block's parameters.
    neuron: Neuron,
}

/// State of the golden model.
pub(crate) struct State {
    /// Inputs of the last steps, one row a step.
    history: Vec<Vec<i64>>,
    /// Row of this step.
    now: usize,
    current: Vec<i64>,
    neuron: Box<dyn Runner>,
}

impl Params {
    fn neurons(&self) -> usize {
        self.weights.shape[0]
    }

    fn groups(&self) -> usize {
        self.neurons() / self.lanes
    }

    fn beats(&self) -> usize {
        self.input.len() / self.input_lanes
    }

    fn longest(&self) -> usize {
        self.delays.data.iter().copied().max().unwrap_or(0) as usize
    }

    /// Steps that the hardware keeps currents for: a power of two above the longest delay.
    fn slots(&self) -> usize {
        (self.longest() + 1).next_power_of_two().max(2)
    }

    /// Format of a current: holds every partial sum, whatever spikes when.
    fn current(&self) -> QType {
        let (lo, hi) = sum_range(&self.weights, None, 0, self.input.format.max());
        // A current is signed.
        QType::holding(lo.min(-1), hi, self.weight_format.frac)
    }

    /// The neurons as a block of its own, one for the whole layer.
    fn neuron(&self) -> Result<Arc<dyn Instance>, Diagnostic> {
        self.neuron.instance(&TensorType::step(&[self.neurons()], self.current()), self.lanes)
    }

    /// Errors: all but those of the neuron.
    fn check(&self) -> Result<(), Diagnostic> {
        spikes::check(&self.input, self.input_lanes)?;
        if self.weights.shape.len() != 2 || self.weights.data.is_empty() {
            let (shape, n) = (&self.weights.shape, self.input.len());
            let message = format!("`weights` has shape {shape:?}, expected [neurons, {n}]");
            let help = "give a matrix with one row per neuron";
            return Err(Diagnostic::new("E0205", message, help).at("weights"));
        }
        spikes::check_weight_format(self.weight_format)?;
        let shape = [self.neurons(), self.input.len()];
        self.weights.check("weights", &shape, self.weight_format)?;
        self.delays.check("delays", &shape, QType::holding(0, MAX_DELAY.into(), 0))?;
        diag::divides("lanes", self.lanes, "the number of neurons", self.neurons())?;
        let (groups, slots) = (self.groups(), self.slots());
        if slots * groups > MAX_WORDS {
            let message = format!("each lane keeps {groups} currents for {slots} steps; at most {MAX_WORDS}");
            let help = "use more lanes, or shorter delays";
            return Err(Diagnostic::new("E0201", message, help).at("delays"));
        }
        if self.current().bits > 47 {
            let message = format!("the synaptic current needs {} bits; at most 47", self.current().bits);
            let help = "use fewer inputs or narrower weights";
            return Err(Diagnostic::new("E0207", message, help).at("weights"));
        }
        Ok(())
    }
}

impl Block for SpikingDelay {
    type Params = Params;
    type State = State;
    const NAME: &'static str = "engine/spiking_delay";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        samples::examples()
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        samples::random(input, rng)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        p.check()?;
        let neuron = p.neuron().map_err(|d| d.at("neuron"))?;
        let y = neuron.interface().outputs[0].tensor.clone();
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, y, p.lanes))
    }

    fn state(p: &Params) -> State {
        State {
            history: vec![vec![0; p.input.len()]; p.longest() + 1],
            now: 0,
            current: vec![0; p.neurons()],
            neuron: p.neuron().expect("the interface was checked").runner(),
        }
    }

    fn reset(_: &Params, s: &mut State) {
        s.neuron.reset();
        s.history.iter_mut().for_each(|row| row.fill(0));
        s.now = 0;
    }

    fn step(p: &Params, s: &mut State, x: &[&[i64]], y: &mut [&mut [i64]]) {
        let kept = s.history.len();
        s.history[s.now].copy_from_slice(x[0]);
        let rows = p.weights.rows().zip(p.delays.rows());
        for (current, (weights, delays)) in s.current.iter_mut().zip(rows) {
            let synapses = weights.iter().zip(delays).enumerate();
            *current =
                synapses.map(|(k, (w, d))| w * s.history[(s.now + kept - *d as usize) % kept][k]).sum();
        }
        s.now = (s.now + 1) % kept;
        s.neuron.step(&[&s.current], y);
    }

    fn folds(p: &Params) -> Vec<Fold> {
        vec![Fold::dividing("lanes", p.neurons(), 1)]
    }

    fn body(p: &Params) -> Body {
        hardware::body(p)
    }

    fn schedule(p: &Params, _: &State, x: &[&[i64]], last: bool, out: &mut Schedule) {
        spikes::serve(x[0].chunks(p.input_lanes), p.beats(), p.beats(), p.groups(), out);
        out.give(p.groups());
        if last {
            // What is still under way is cleared.
            out.busy(p.slots() * p.groups());
        }
    }

    fn cost(p: &Params, t: &Target) -> Area {
        hardware::cost(p, t)
    }
}
