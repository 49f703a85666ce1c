//! One plant in motion: what it tells, and how it moves on.

use nervure_core::plant::{Signal, Sum};
use nervure_core::{Network, Plant, QType};

/// A plant in one of its episodes.
#[derive(Debug)]
pub struct Motion<'a> {
    plant: &'a Plant,
    /// Format of each input of the network.
    told: Vec<QType>,
    states: Vec<i64>,
    next: Vec<i64>,
    /// Place of this step in every sequence.
    at: usize,
}

impl<'a> Motion<'a> {
    /// At the start of the first episode. `plant` was made for `network`.
    pub fn new(plant: &'a Plant, network: &Network) -> Self {
        let told = network.inputs.iter().map(|i| i.tensor.format).collect();
        let states = plant.states.iter().map(|s| s.start).collect();
        Self { plant, told, states, next: vec![0; plant.states.len()], at: 0 }
    }

    /// Goes to the start of an episode.
    pub fn start(&mut self, episode: usize) {
        self.at = episode * self.plant.steps;
        self.states.iter_mut().zip(&self.plant.states).for_each(|(now, s)| *now = s.start);
    }

    /// The states, at the start of this step.
    pub fn states(&self) -> &[i64] {
        &self.states
    }

    /// What input `input` of the network is told in this step.
    pub fn sense(&self, input: usize, out: &mut [i64]) {
        let no_command = |_, _| unreachable!("no sense reads a command: the front end refuses it");
        for (out, sum) in out.iter_mut().zip(&self.plant.senses[input]) {
            *out = saturate(self.evaluate(sum, &no_command), self.told[input]);
        }
    }

    /// Moves on by one step; `command(output, element)` is what the network answered in this one.
    pub fn act(&mut self, command: impl Fn(usize, usize) -> i64) {
        for n in 0..self.states.len() {
            let state = &self.plant.states[n];
            self.next[n] = saturate(self.evaluate(&state.next, &command), state.format);
        }
        std::mem::swap(&mut self.states, &mut self.next);
        self.at += 1;
    }

    fn evaluate(&self, sum: &Sum, command: &impl Fn(usize, usize) -> i64) -> i128 {
        let value = |signal| match signal {
            Signal::State(n) => self.states[n],
            Signal::Sequence(n) => self.plant.sequences[n].values[self.at],
            Signal::Command { output, element } => command(output, element),
        };
        let terms = sum.terms.iter().map(|term| {
            term.factors.iter().fold(i128::from(term.gain), |product, factor| {
                let value = i128::from(value(factor.signal));
                product * if factor.absolute { value.abs() } else { value }
            })
        });
        sum.rounding.shift(terms.sum(), sum.shift)
    }
}

fn saturate(value: i128, format: QType) -> i64 {
    value.clamp(format.min().into(), format.max().into()) as i64
}
