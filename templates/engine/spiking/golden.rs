//! The definition: what a step computes, in plain integers, and which slots it takes.

use nervure_core::simd::bits;
use nervure_core::{Packed, PackedMut, Runner, Schedule};
use std::cell::OnceCell;

use super::sums::{self, Sums};
use super::tables::Tables;
use super::{Params, Values, hardware, mask};

/// State of the golden model.
pub(crate) struct State {
    /// Synapses in the narrowest integers that hold every current; made when they are needed, as those below.
    synapses: OnceCell<Synapses>,
    /// The same for spikes as bits, where that can be.
    tables: OnceCell<Option<Tables>>,
    /// Bits of a current.
    current: u8,
    /// The currents, as the neuron takes them.
    wide: Vec<i64>,
    /// Outputs of the step before, and those of them that are spikes; zero in the first step.
    previous: Vec<i64>,
    spikes: Vec<u64>,
    /// A step of this sample has been.
    started: bool,
    /// Worked out when it is asked for: a run that only wants answers does not.
    time: OnceCell<Time>,
    neuron: Box<dyn Runner>,
    /// Neurons whose output is zero, whatever they do.
    silenced: Vec<usize>,
    /// A bit for each that is not, to hold spikes of one step back; empty where all are heard.
    heard: Vec<u64>,
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

impl Time {
    fn new(p: &Params) -> Self {
        Self {
            values: p.values(),
            events: p.events,
            groups: p.groups(),
            lanes: p.lanes,
            width: p.width(),
            beats: p.beats(),
            later: p.constants().iter().map(|c| c.later).collect(),
            changes: hardware::lane(p).changes,
            chunks: p.chunks(),
        }
    }
}

enum Synapses {
    /// Where no current can leave 16 bits, and weights are small.
    Small(Sums<i8, i16>),
    /// Where no current can leave 16 bits.
    Narrow(Sums<i16, i16>),
    /// Where none can leave 32 bits.
    Wide(Sums<i32, i32>),
    /// Otherwise.
    Widest(Sums<i64, i64>),
}

impl Synapses {
    fn new(p: &Params, current: u8) -> Self {
        let element = p.element().bits;
        if current <= 16 && element < 16 && sums::small(p) {
            Self::Small(Sums::new(p, |w| w as i8, |v| v as i16))
        } else if current <= 16 && element < 16 {
            Self::Narrow(Sums::new(p, |w| w as i16, |v| v as i16))
        } else if current <= 32 && element < 32 {
            Self::Wide(Sums::new(p, |w| w as i32, |v| v as i32))
        } else {
            Self::Widest(Sums::new(p, |w| w, |v| v))
        }
    }
}

impl State {
    pub(super) fn new(p: &Params) -> Self {
        let neuron = p.neuron().expect("the interface was checked");
        let previous = vec![0; if p.recurrent.is_some() { p.neurons() } else { 0 }];
        let silent = |n: &usize| p.mask.as_ref().is_some_and(|m| m.data[*n] == 0);
        let silenced: Vec<usize> = (0..p.neurons()).filter(silent).collect();
        let mut heard = vec![u64::MAX; if silenced.is_empty() { 0 } else { bits::words(p.neurons()) }];
        silenced.iter().for_each(|n| heard[n / 64] &= !(1 << (n % 64)));
        Self {
            synapses: OnceCell::new(),
            tables: OnceCell::new(),
            current: neuron.interface().inputs[0].tensor.format.bits,
            wide: vec![0; p.neurons()],
            spikes: vec![0; bits::words(previous.len())],
            previous,
            started: false,
            time: OnceCell::new(),
            neuron: neuron.runner(),
            silenced,
            heard,
        }
    }

    pub(super) fn reset(&mut self) {
        self.neuron.reset();
        if !self.previous.is_empty() {
            self.previous.fill(0);
        }
        self.started = false;
    }

    pub(super) fn step(&mut self, p: &Params, x: &[i64], y: &mut [&mut [i64]]) {
        let (started, previous, wide) = (self.started, &self.previous[..], &mut self.wide[..]);
        self.synapses.get_or_init(|| Synapses::new(&mask::without_silenced(p), self.current));
        match self.synapses.get_mut().expect("they were made") {
            Synapses::Small(sums) => sums.integrate(started, x, previous, wide),
            Synapses::Narrow(sums) => sums.integrate(started, x, previous, wide),
            Synapses::Wide(sums) => sums.integrate(started, x, previous, wide),
            Synapses::Widest(sums) => sums.integrate(started, x, previous, wide),
        }
        self.neuron.step(&[&self.wide], y);
        self.silenced.iter().for_each(|n| y[0][*n] = 0);
        let kept = self.previous.len();
        self.previous.copy_from_slice(&y[0][..kept]);
        self.started = true;
    }

    pub(super) fn step_packed(&mut self, p: &Params, steps: usize, x: Packed, y: PackedMut) -> bool {
        self.tables.get_or_init(|| Tables::new(&mask::without_silenced(p), self.current));
        let (Some(Some(tables)), Packed::Bits(x), PackedMut::Bits(y)) = (self.tables.get_mut(), x, y) else {
            return false;
        };
        // All steps at once, unless a step needs the spikes of the one before.
        let passes = if p.recurrent.is_some() { steps } else { 1 };
        let (many_x, many_y) = (x.len() / passes, y.len() / passes);
        for (x, y) in x.chunks(many_x).zip(y.chunks_mut(many_y)) {
            bits::pack(&self.previous, &mut self.spikes);
            let steps = steps / passes;
            let current = Packed::Short(tables.integrate(self.started, steps, x, &self.spikes));
            if !self.neuron.step_packed(steps, current, PackedMut::Bits(y)) {
                return false;
            }
            if !self.heard.is_empty() {
                y.iter_mut().zip(self.heard.iter().cycle()).for_each(|(y, heard)| *y &= heard);
            }
            bits::unpack(y, &mut self.previous);
            self.started = true;
        }
        true
    }

    /// One slot to load a beat; row passes for what is in it; then the firing pass.
    pub(super) fn schedule(&self, p: &Params, x: &[i64], out: &mut Schedule) {
        let (t, input_lanes) =
            (self.time.get_or_init(|| Time::new(&mask::without_silenced(p))), p.input_lanes);
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
