//! The definition of a [`Cell`] in plain integers: one pass over all neurons for each line of the equations. Common neurons
//! take [`super::narrow`], which a test holds equal.

use nervure_core::num::Overflow;
use nervure_core::{Packed, PackedMut, QType};

use super::leak::Decay;
use super::membrane::{Cell, Compare, Order, Reset, When};
use super::narrow::Narrow;

/// State of all neurons, and the numbers that a step needs, laid out one per neuron.
pub(crate) struct Neurons {
    /// All that is needed where the neurons are common ones.
    narrow: Option<Narrow>,
    /// Shift of the input, and of what drives the membrane, to the fraction of what they are added to.
    align: (u32, u32),
    membrane: Membrane,
    synapse: Option<Synapse>,
    firing: Option<Firing>,
    /// What drives the membrane in this step.
    drive: Vec<i64>,
}

struct Membrane {
    format: QType,
    overflow: Overflow,
    leak: Option<Decay>,
    bias: Vec<i64>,
    v: Vec<i64>,
    /// The membrane as the step met it, where that counts.
    before: Vec<i64>,
}

struct Synapse {
    format: QType,
    overflow: Overflow,
    leak: Decay,
    order: Order,
    current: Vec<i64>,
}

struct Firing {
    threshold: Vec<i64>,
    ge: bool,
    reset: Reset,
    reset_at: When,
    double_reset: bool,
    max: i64,
    floor: Option<i64>,
    emit: When,
    refractory: i64,
    adaptation: Option<Adaptation>,
    /// Spikes of this step, and of the step before.
    spikes: Vec<i64>,
    pending: Vec<i64>,
    /// Steps that each neuron still rests.
    wait: Vec<i64>,
}

struct Adaptation {
    format: QType,
    leak: Decay,
    jump: Vec<i64>,
    /// From its fraction to that of the membrane.
    align: u32,
    /// Threshold at rest.
    rest: Vec<i64>,
    a: Vec<i64>,
}

impl Cell<'_> {
    /// Neurons in the state of reset.
    pub(crate) fn neurons(&self) -> Neurons {
        Neurons { narrow: self.narrow(), ..self.general() }
    }

    /// The same, whatever the options.
    pub(super) fn general(&self) -> Neurons {
        let len = self.input.len();
        let steps = |to: QType, from: QType| (i32::from(to.frac) - i32::from(from.frac)) as u32;
        let direct = (0, steps(self.membrane, self.input.format));
        let firing = self.firing.map(|f| Firing {
            threshold: f.threshold.each(len),
            ge: f.compare == Compare::Ge,
            reset: f.reset,
            reset_at: f.reset_at,
            double_reset: f.double_reset,
            max: f.max_spikes as i64,
            floor: f.floor,
            emit: f.emit,
            refractory: f.refractory as i64,
            adaptation: f.adaptation.map(|a| Adaptation {
                format: a.format,
                leak: a.leak.plain(len),
                jump: a.jump.each(len),
                align: steps(a.format, self.membrane),
                rest: f.threshold.each(len),
                a: vec![0; len],
            }),
            spikes: vec![0; len],
            pending: vec![0; len],
            wait: vec![0; len],
        });
        Neurons {
            narrow: None,
            align: self
                .synapse
                .map_or(direct, |s| (steps(s.format, self.input.format), steps(self.membrane, s.format))),
            membrane: Membrane {
                format: self.membrane,
                overflow: self.overflow,
                leak: self.leak.map(|l| l.plain(len)),
                bias: self.bias.map_or_else(Vec::new, |b| b.each(len)),
                v: vec![0; len],
                before: vec![0; len],
            },
            synapse: self.synapse.map(|s| Synapse {
                format: s.format,
                overflow: s.overflow,
                leak: s.leak.plain(len),
                order: s.order,
                current: vec![0; len],
            }),
            firing,
            drive: vec![0; len],
        }
    }
}

impl Neurons {
    /// The start of a sample.
    pub(crate) fn reset(&mut self) {
        if let Some(narrow) = &mut self.narrow {
            return narrow.reset();
        }
        self.membrane.v.fill(0);
        if let Some(s) = &mut self.synapse {
            s.current.fill(0);
        }
        if let Some(f) = &mut self.firing {
            f.pending.fill(0);
            f.wait.fill(0);
            if let Some(a) = &mut f.adaptation {
                a.a.fill(0);
            }
        }
    }

    /// The membranes after a step.
    #[cfg(test)]
    pub(super) fn membranes(&self) -> &[i64] {
        &self.membrane.v
    }

    /// Many steps, where they can be done with what there is.
    pub(crate) fn step_packed(&mut self, steps: usize, x: Packed, y: PackedMut) -> bool {
        let (Some(narrow), Packed::Short(x), PackedMut::Bits(y)) = (&mut self.narrow, x, y) else {
            return false;
        };
        narrow.step_packed(steps, x, y);
        true
    }

    /// One step.
    pub(crate) fn step(&mut self, x: &[i64], y: &mut [i64]) {
        if let Some(narrow) = &mut self.narrow {
            return narrow.step(x, y);
        }
        let (to_current, to_membrane) = self.align;
        match &mut self.synapse {
            None => assign(&mut self.drive, x, |x| x << to_membrane),
            Some(s) if s.order == Order::CurrentFirst => {
                s.step(x, to_current);
                assign(&mut self.drive, &s.current, |i| i << to_membrane);
            }
            Some(s) => {
                assign(&mut self.drive, &s.current, |i| i << to_membrane);
                s.step(x, to_current);
            }
        }
        let m = &mut self.membrane;
        if self.firing.as_ref().is_some_and(|f| f.double_reset || f.refractory > 0) {
            m.before.copy_from_slice(&m.v);
        }
        if let Some(leak) = &m.leak {
            leak.step(&mut m.v);
        }
        m.v.iter_mut().zip(&self.drive).for_each(|(v, i)| *v += i);
        m.v.iter_mut().zip(&m.bias).for_each(|(v, b)| *v += b);
        match &mut self.firing {
            None => {
                m.fit();
                y.copy_from_slice(&m.v);
            }
            Some(f) => {
                f.step(m);
                y.copy_from_slice(if f.emit == When::Now { &f.spikes } else { &f.pending });
                std::mem::swap(&mut f.spikes, &mut f.pending);
            }
        }
    }
}

fn assign(to: &mut [i64], from: &[i64], f: impl Fn(i64) -> i64) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = f(*from));
}

impl Synapse {
    fn step(&mut self, x: &[i64], align: u32) {
        self.leak.step(&mut self.current);
        let (format, overflow) = (self.format, self.overflow);
        self.current.iter_mut().zip(x).for_each(|(i, x)| *i = format.fit(*i + (x << align), overflow));
    }
}

impl Membrane {
    fn fit(&mut self) {
        let (format, overflow) = (self.format, self.overflow);
        self.v.iter_mut().for_each(|v| *v = format.fit(*v, overflow));
    }
}

impl Firing {
    /// From the sum of leak, current and bias in `m.v` to spikes and the membrane after the step.
    fn step(&mut self, m: &mut Membrane) {
        let next_step = self.reset_at == When::NextStep;
        if next_step && self.reset == Reset::Subtract {
            let due = self.pending.iter().zip(&self.threshold);
            m.v.iter_mut().zip(due).for_each(|(v, (s, threshold))| *v -= s * threshold);
        }
        m.fit();
        if next_step {
            match self.reset {
                Reset::Zero => replace(&mut m.v, &self.pending, 0),
                Reset::Value(value) => replace(&mut m.v, &self.pending, value),
                Reset::Subtract | Reset::None => {}
            }
        }
        if let Some(a) = &self.adaptation {
            let now = a.rest.iter().zip(&a.a);
            self.threshold.iter_mut().zip(now).for_each(|(t, (rest, more))| *t = rest + (more >> a.align));
        }
        self.count(&m.v, &m.before);
        if self.refractory > 0 {
            self.rest(m);
        }
        if let Some(a) = &mut self.adaptation {
            a.step(&self.spikes);
        }
        if !next_step {
            match self.reset {
                Reset::Zero => replace(&mut m.v, &self.spikes, 0),
                Reset::Value(value) => replace(&mut m.v, &self.spikes, value),
                Reset::Subtract => {
                    let due = self.spikes.iter().zip(&self.threshold);
                    m.v.iter_mut().zip(due).for_each(|(v, (s, threshold))| *v -= s * threshold);
                }
                Reset::None => {}
            }
        }
        if let Some(floor) = self.floor {
            m.v.iter_mut().for_each(|v| *v = (*v).max(floor));
        }
    }

    /// How often each neuron fires with membrane `v`; `before` is what it had at the end of the step before.
    fn count(&mut self, v: &[i64], before: &[i64]) {
        // `v >= t` is `v > t - 1`, for integers.
        let below = i64::from(self.ge);
        let all = self.spikes.iter_mut().zip(v.iter().zip(&self.threshold));
        if self.double_reset {
            all.zip(before).for_each(|((s, (v, t)), before)| {
                let again = i64::from(*before > t - below);
                *s = i64::from(v - again * t > t - below);
            });
        } else if self.max == 1 {
            all.for_each(|(s, (v, t))| *s = i64::from(*v > t - below));
        } else {
            let max = self.max;
            all.for_each(|(s, (v, t))| *s = ((v - 1 + below).max(0) / t).min(max));
        }
    }

    /// Neurons that rest neither fire nor move.
    fn rest(&mut self, m: &mut Membrane) {
        let now = self.wait.iter_mut().zip(&mut self.spikes).zip(m.v.iter_mut().zip(&m.before));
        for ((wait, spike), (v, before)) in now {
            if *wait > 0 {
                (*wait, *spike, *v) = (*wait - 1, 0, *before);
            } else if *spike > 0 {
                *wait = self.refractory;
            }
        }
    }
}

impl Adaptation {
    fn step(&mut self, spikes: &[i64]) {
        self.leak.step(&mut self.a);
        let format = self.format;
        let jumps = spikes.iter().zip(&self.jump);
        self.a.iter_mut().zip(jumps).for_each(|(a, (s, jump))| *a = format.saturate(*a + s * jump));
    }
}

/// `value` wherever there was a spike.
fn replace(v: &mut [i64], spikes: &[i64], value: i64) {
    v.iter_mut().zip(spikes).for_each(|(v, s)| *v = if *s > 0 { value } else { *v });
}
