//! The definition: what a step computes, in plain integers, and which slots it takes.

use nervure_core::{Runner, Schedule};
use std::ops::{AddAssign, Mul};

use super::{Params, Values, hardware};

/// State of the golden model.
pub(crate) struct State {
    /// Synapses in the narrowest integers that hold every current.
    synapses: Synapses,
    /// The currents, as the neuron takes them.
    wide: Vec<i64>,
    /// Outputs of the step before; zero in the first step.
    previous: Vec<i64>,
    /// A step of this sample has been.
    started: bool,
    time: Time,
    neuron: Box<dyn Runner>,
}

/// What the schedule needs of the parameters.
struct Time {
    values: Values,
    events: usize,
    groups: usize,
    lanes: usize,
    /// Elements of the widest beat, in which constants are served.
    width: usize,
    beats: usize,
    /// For each row of constants, whether it is left out in the first step.
    later: Vec<bool>,
    /// Cycles in which a group changes after it has fired.
    changes: usize,
    /// Beats of the output that a group makes.
    chunks: usize,
}

enum Synapses {
    /// Where no current can leave 16 bits.
    Narrow(Sums<i16>),
    /// Where none can leave 32 bits.
    Wide(Sums<i32>),
    /// Otherwise.
    Widest(Sums<i64>),
}

/// Weights, one row per input, and the current of each neuron in this step.
struct Sums<T> {
    inputs: Vec<T>,
    recurrent: Vec<T>,
    /// What the current begins with, in the first step and in others.
    start: [Vec<T>; 2],
    current: Vec<T>,
}

impl<T: Copy + Default + AddAssign + Mul<Output = T> + Into<i64>> Sums<T> {
    fn new(p: &Params, narrow: fn(i64) -> T) -> Self {
        let n = p.neurons();
        let by_input = |w: &nervure_core::Tensor| -> Vec<T> {
            let inputs = w.shape[1];
            (0..inputs * n).map(|at| narrow(w.data[at % n * inputs + at / n])).collect()
        };
        let at = |t: &Option<nervure_core::Tensor>, i: usize| t.as_ref().map_or(0, |t| t.data[i]);
        Self {
            inputs: by_input(&p.weights),
            recurrent: p.recurrent.as_ref().map(by_input).unwrap_or_default(),
            start: [
                (0..n).map(|i| narrow(at(&p.bias, i))).collect(),
                (0..n).map(|i| narrow(at(&p.bias, i) + at(&p.recurrent_bias, i))).collect(),
            ],
            current: vec![T::default(); n],
        }
    }

    /// The currents of a step are left in `wide`.
    fn integrate(
        &mut self,
        started: bool,
        x: &[i64],
        previous: &[i64],
        narrow: fn(i64) -> T,
        wide: &mut [i64],
    ) {
        self.current.copy_from_slice(&self.start[usize::from(started)]);
        let n = self.current.len();
        for (rows, values) in [(&self.inputs, x), (&self.recurrent, previous)] {
            for (row, &value) in rows.chunks_exact(n).zip(values).filter(|(_, v)| **v != 0) {
                if value == 1 {
                    self.current.iter_mut().zip(row).for_each(|(c, w)| *c += *w);
                } else {
                    let value = narrow(value);
                    self.current.iter_mut().zip(row).for_each(|(c, w)| *c += *w * value);
                }
            }
        }
        wide.iter_mut().zip(&self.current).for_each(|(wide, c)| *wide = (*c).into());
    }
}

const fn narrow16(v: i64) -> i16 {
    v as i16
}

const fn narrow32(v: i64) -> i32 {
    v as i32
}

impl State {
    pub(super) fn new(p: &Params) -> Self {
        let synapses = if p.current().bits <= 16 && p.element().bits < 16 {
            Synapses::Narrow(Sums::new(p, narrow16))
        } else if p.current().bits <= 32 && p.element().bits < 32 {
            Synapses::Wide(Sums::new(p, narrow32))
        } else {
            Synapses::Widest(Sums::new(p, |v| v))
        };
        let neuron = p.neuron().expect("the interface was checked").runner();
        let previous = vec![0; if p.recurrent.is_some() { p.neurons() } else { 0 }];
        let time = Time {
            values: p.values(),
            events: p.events,
            groups: p.groups(),
            lanes: p.lanes,
            width: p.width(),
            beats: p.beats(),
            later: p.constants().iter().map(|c| c.later).collect(),
            changes: hardware::lane(p).changes,
            chunks: p.chunks(),
        };
        Self { synapses, wide: vec![0; p.neurons()], previous, started: false, time, neuron }
    }

    pub(super) fn reset(&mut self) {
        self.neuron.reset();
        self.previous.fill(0);
        self.started = false;
    }

    pub(super) fn step(&mut self, x: &[i64], y: &mut [&mut [i64]]) {
        let (started, previous, wide) = (self.started, &self.previous[..], &mut self.wide[..]);
        match &mut self.synapses {
            Synapses::Narrow(sums) => sums.integrate(started, x, previous, narrow16, wide),
            Synapses::Wide(sums) => sums.integrate(started, x, previous, narrow32, wide),
            Synapses::Widest(sums) => sums.integrate(started, x, previous, |v| v, wide),
        }
        self.neuron.step(&[&self.wide], y);
        let kept = self.previous.len();
        self.previous.copy_from_slice(&y[0][..kept]);
        self.started = true;
    }

    /// One slot to load a beat; row passes for what is in it; then the firing pass.
    pub(super) fn schedule(&self, input_lanes: usize, x: &[i64], out: &mut Schedule) {
        let t = &self.time;
        let cycles = |passes: usize| passes.div_ceil(t.events) * t.groups;
        let served = |values: &[i64]| cycles(t.values.events(values));
        let constants = t.later.chunks(t.width);
        let constants = constants.map(|c| cycles(c.iter().filter(|later| self.started || !**later).count()));
        let external = x.chunks(input_lanes).map(served);
        let own = self.previous.chunks(t.lanes).map(served);
        for (beat, busy) in external.chain(own).chain(constants).enumerate() {
            if beat * input_lanes < x.len() {
                out.take(1);
            } else {
                out.busy(1);
            }
            // The next beat is loaded in the last cycle of this one, except after the last.
            out.busy(if beat + 1 == t.beats { busy } else { busy.saturating_sub(1) });
        }
        for _ in 0..t.groups {
            if t.chunks > 1 {
                out.busy(1);
                // At least two parts, so that the changes, two at most, are made meanwhile.
                out.give(t.chunks);
            } else {
                out.give(1);
                out.busy(t.changes);
            }
        }
    }
}
