//! A reservoir: spiking neurons that read the input and each other through sparse random synapses that no memory holds.
//!
//! Deliberately absent: learning, and what a neuron does with its current. The neuron is another block, named in the
//! parameters; its kernel becomes part of every lane.

mod hardware;
mod hash;
mod samples;

use nervure_core::block::{Area, Block, Body, Fold, Interface, Rng};
use nervure_core::{Diagnostic, Instance, QType, Runner, Schedule, Target, TensorType, diag};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::shared::cell::Neuron;
use crate::shared::spikes;

/// Most neurons.
const MAX_NEURONS: usize = 4096;

/// Most inputs.
const MAX_INPUTS: usize = 16384;

/// See the README.
pub(crate) struct Reservoir;

/// Parameters of `engine/reservoir`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Spikes in. Filled in from the layer before.
    input: TensorType,
    /// Elements a beat. Filled in from the layer before.
    input_lanes: usize,
    /// Number of neurons.
    neurons: usize,
    /// Neurons computed at once; divides their number.
    lanes: usize,
    /// Another seed makes other synapses.
    seed: u32,
    /// Of 256 synapses from the input, how many there are on average; 256 for all.
    density: usize,
    /// Of 256 synapses between neurons, how many there are on average; 256 for all.
    recurrent_density: usize,
    /// Of 256 synapses that are there, how many have a positive weight on average.
    #[serde(default = "half")]
    positive: usize,
    /// Sizes of weights are 1 to 2^`magnitude_bits`, before they are shifted; 0 to 8.
    magnitude_bits: usize,
    /// Weights from the input are shifted left by this; 0 to 8.
    input_shift: usize,
    /// Weights between neurons are shifted left by this; 0 to 8.
    recurrent_shift: usize,
    /// The neuron: its `block`, and that block's parameters.
    neuron: Neuron,
}

const fn half() -> usize {
    128
}

/// State of the golden model.
pub(crate) struct State {
    /// Weights from each input, and behind them from each neuron: one row a source.
    weights: Vec<i64>,
    /// Spikes of the step before; none in the first step.
    previous: Vec<i64>,
    current: Vec<i64>,
    neuron: Box<dyn Runner>,
}

impl Params {
    fn groups(&self) -> usize {
        self.neurons / self.lanes
    }

    /// Inputs and neurons.
    fn sources(&self) -> usize {
        self.input.len() + self.neurons
    }

    /// Beats of a step from the stream.
    fn outer(&self) -> usize {
        self.input.len() / self.input_lanes
    }

    /// Beats of a step: from the stream, then of the spikes of the step before.
    fn beats(&self) -> usize {
        self.outer() + self.groups()
    }

    /// Format of a current: holds every partial sum, whatever spikes.
    fn current(&self) -> QType {
        let most_of = |neuron: usize| {
            let weights = (0..self.sources()).map(|source| hash::weight(self, source, neuron));
            weights.fold((0, 0), |(lo, hi), w| (lo + w.min(0), hi + w.max(0)))
        };
        let range = (0..self.neurons).map(most_of);
        let (lo, hi) = range.fold((0, 0), |(lo, hi), (a, b): (i64, i64)| (lo.min(a), hi.max(b)));
        // A current is signed.
        QType::holding(lo.min(-1).into(), hi.into(), 0)
    }

    /// The neurons as a block of its own, one for the whole layer.
    fn neuron(&self) -> Result<Arc<dyn Instance>, Diagnostic> {
        self.neuron.instance(&TensorType::step(&[self.neurons], self.current()), self.lanes)
    }

    /// Errors: all but those of the neuron.
    fn check(&self) -> Result<(), Diagnostic> {
        spikes::check(&self.input, self.input_lanes)?;
        if self.input.format.bits != 1 {
            let message = format!("the input is {}, expected spikes: u1", self.input);
            let help = "give the network input `format: u1`, or put a spiking layer before this one";
            return Err(Diagnostic::new("E0203", message, help).at("input"));
        }
        if self.input.len() > MAX_INPUTS {
            let message = format!("the input is {}, with more than {MAX_INPUTS} elements", self.input);
            let help = "reduce it, such as with `pool/sum2d`, or split it over several reservoirs";
            return Err(Diagnostic::new("E0204", message, help).at("input"));
        }
        diag::in_range("neurons", self.neurons, 1..MAX_NEURONS + 1)?;
        diag::divides("lanes", self.lanes, "the number of neurons", self.neurons)?;
        diag::in_range("density", self.density, 1..257)?;
        diag::in_range("recurrent_density", self.recurrent_density, 1..257)?;
        diag::in_range("positive", self.positive, 0..257)?;
        diag::in_range("magnitude_bits", self.magnitude_bits, 0..9)?;
        diag::in_range("input_shift", self.input_shift, 0..9)?;
        diag::in_range("recurrent_shift", self.recurrent_shift, 0..9)?;
        if self.beats() < 3 {
            let message = format!("`lanes` is {}, all neurons, with the input in one beat", self.lanes);
            let help = "use fewer lanes here, or fewer lanes for the input: spikes would come back too early";
            return Err(Diagnostic::new("E0201", message, help).at("lanes"));
        }
        Ok(())
    }
}

impl Block for Reservoir {
    type Params = Params;
    type State = State;
    const NAME: &'static str = "engine/reservoir";
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
        if y.format != QType::unsigned(1) {
            let message = format!("the neuron gives {}, which comes back as input beside u1", y.format);
            let help = "use a neuron that fires, at most once a step";
            return Err(Diagnostic::new("E0203", message, help).at("neuron"));
        }
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, y, p.lanes))
    }

    fn state(p: &Params) -> State {
        let row = |source| (0..p.neurons).map(move |neuron| hash::weight(p, source, neuron));
        State {
            weights: (0..p.sources()).flat_map(row).collect(),
            previous: vec![0; p.neurons],
            current: vec![0; p.neurons],
            neuron: p.neuron().expect("the interface was checked").runner(),
        }
    }

    fn reset(_: &Params, s: &mut State) {
        s.neuron.reset();
        s.previous.fill(0);
    }

    fn step(p: &Params, s: &mut State, x: &[&[i64]], y: &mut [&mut [i64]]) {
        s.current.fill(0);
        let spikes = x[0].iter().chain(&s.previous);
        for (row, _) in s.weights.chunks_exact(p.neurons).zip(spikes).filter(|(_, spike)| **spike != 0) {
            s.current.iter_mut().zip(row).for_each(|(current, w)| *current += w);
        }
        s.neuron.step(&[&s.current], y);
        s.previous.copy_from_slice(y[0]);
    }

    fn folds(p: &Params) -> Vec<Fold> {
        vec![Fold::dividing("lanes", p.neurons, 1)]
    }

    fn body(p: &Params) -> Body {
        hardware::body(p)
    }

    fn schedule(p: &Params, s: &State, x: &[&[i64]], _: bool, out: &mut Schedule) {
        let beats = x[0].chunks(p.input_lanes).chain(s.previous.chunks(p.lanes));
        spikes::serve(beats, p.beats(), p.outer(), p.groups(), out);
        out.give(p.groups());
    }

    fn cost(p: &Params, t: &Target) -> Area {
        hardware::cost(p, t)
    }
}
