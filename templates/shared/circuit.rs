//! The hardware of a [`Cell`]: one kernel.
//!
//! Where it can be, the state `held` is the membrane that has already decayed for the next step, so that the input current
//! meets the state in one adder and an engine can add weights to the state itself.

use nervure_core::Rounding;
use nervure_core::kernel::{Builder, Expr, Kernel};
use nervure_core::num::Overflow;
use nervure_core::{Area, QType, Target};

use super::area;
use super::membrane::{Cell, Compare, Firing, Order, Reset, Synapse, When};

impl Cell<'_> {
    /// The hardware.
    pub(crate) fn kernel(&self) -> Kernel {
        let k = Builder::new();
        let x = k.input("current", self.input.format);
        let drive = self.synapse.map_or(x, |s| s.kernel(&k, x));
        match self.firing {
            None => self.read_out(&k, drive),
            Some(f) => {
                let threshold = k.param("threshold", self.membrane.frac, f.threshold.values().to_vec());
                let adaptation = f.adaptation.map(|a| k.state("adaptation", a.format, 0));
                let threshold = adaptation.map_or(threshold, |a| {
                    let finer = i32::from(a.frac()) - i32::from(self.membrane.frac);
                    let whole = a.shr(finer as u32, Rounding::Floor).read_as(self.membrane.frac);
                    (threshold + whole).named("threshold_now")
                });
                Fire { k: &k, cell: self, f, threshold, adaptation }.kernel(drive);
            }
        }
        k.finish()
    }

    /// Estimated area of `lanes` neurons and their memory.
    pub(crate) fn cost(&self, lanes: usize, t: &Target) -> Area {
        let kernel = self.kernel();
        let bits: usize = kernel.states.iter().map(|s| usize::from(s.port.format.bits)).sum();
        kernel.area(t) * lanes + area(lanes * bits + 12, lanes * usize::from(self.output().bits) + 8)
    }

    fn read_out<'k>(&self, k: &'k Builder, drive: Expr<'k>) {
        let held = k.state("held", self.membrane, 0);
        let v = self.biased(k, held + drive).fit(self.membrane, self.overflow).named("membrane");
        k.set(held, self.decayed(k, v));
        k.output_as("membrane_out", self.membrane, v);
    }

    fn biased<'k>(&self, k: &'k Builder, v: Expr<'k>) -> Expr<'k> {
        let bias = self.bias.map(|b| k.param("bias", self.membrane.frac, b.values().to_vec()));
        bias.map_or(v, |b| v + b)
    }

    fn decayed<'k>(&self, k: &'k Builder, v: Expr<'k>) -> Expr<'k> {
        let range = (self.membrane.min(), self.membrane.max());
        self.leak.map_or(v, |leak| leak.kernel(k, v, "leak", range).named("decayed"))
    }
}

impl Synapse<'_> {
    /// What drives the membrane, for the input current `x`.
    fn kernel<'k>(&self, k: &'k Builder, x: Expr<'k>) -> Expr<'k> {
        let range = (self.format.min(), self.format.max());
        let decayed = |i| self.leak.kernel(k, i, "current_leak", range).named("current_decayed");
        if self.order == Order::MembraneFirst {
            let current = k.state("current_held", self.format, 0);
            k.set(current, (decayed(current) + x).fit(self.format, self.overflow).named("current_next"));
            return current;
        }
        let held = k.state("current_held", self.format, 0);
        let current = (held + x).fit(self.format, self.overflow).named("synaptic_current");
        k.set(held, decayed(current));
        current
    }
}

/// A kernel in the making.
struct Fire<'a, 'k> {
    k: &'k Builder,
    cell: &'a Cell<'a>,
    f: Firing<'a>,
    /// The threshold of this step.
    threshold: Expr<'k>,
    adaptation: Option<Expr<'k>>,
}

/// What a comparison with the threshold makes of a membrane. What is not needed leaves no trace in the kernel.
struct Fired<'k> {
    spikes: Expr<'k>,
    /// The membrane after the reset.
    rest: Expr<'k>,
    /// What the reset by subtraction takes away.
    loss: Expr<'k>,
}

impl<'k> Fire<'_, 'k> {
    fn kernel(&self, drive: Expr<'k>) {
        let (k, f, membrane) = (self.k, self.f, self.cell.membrane);
        let next_step = f.reset_at == When::NextStep;
        let by_select = matches!(f.reset, Reset::Zero | Reset::Value(_));
        let held = k.state("held", membrane, 0);
        let out = self.cell.output();
        let late = f.emit == When::NextStep || next_step && by_select;
        let before = late.then(|| k.state("fired", out, 0));
        let start = if f.double_reset { self.cell.decayed(k, held) } else { held };
        let sum = self.cell.biased(k, start + drive);
        let mut v = match self.cell.overflow {
            Overflow::Wrap => sum.fit(membrane, Overflow::Wrap).named("membrane"),
            // A threshold that moves may lie above what the membrane can hold.
            Overflow::Saturate if self.adaptation.is_some() => self.top(sum).named("membrane"),
            Overflow::Saturate => sum,
        };
        if let (true, true, Some(before)) = (next_step, by_select, before) {
            v = k.select(self.any(before), self.reset_value(), self.top(v)).named("membrane");
        }
        let fired = if f.max_spikes > 1 { self.many(v) } else { self.one(v, held) };
        let after = if next_step { self.top(v) } else { fired.rest };
        let after = match f.floor {
            Some(floor) => after.clamp(floor, membrane.max()).named("rest"),
            None => after.fit(membrane, Overflow::Saturate).named("rest"),
        };
        let mut next = if f.double_reset { after } else { self.cell.decayed(k, after) };
        if next_step && f.reset == Reset::Subtract {
            // Only what is above the threshold loses it, so that the difference needs no other format.
            next = self.within(next - fired.loss).named("reduced");
        }
        let mut spikes = fired.spikes;
        if f.refractory > 0 {
            (spikes, next) = self.rested(spikes, held, next);
        }
        k.set(held, next);
        if let Some(before) = before {
            k.set(before, spikes);
        }
        self.adapt(spikes);
        let given = if f.emit == When::Now { spikes } else { before.expect("a late spike is kept") };
        k.output_as(if f.max_spikes > 1 { "spikes_out" } else { "spike_out" }, out, given);
    }

    /// The threshold of the next step.
    fn adapt(&self, spike: Expr<'k>) {
        let (k, Some(held), Some(a)) = (self.k, self.adaptation, self.f.adaptation) else { return };
        let jump = k.param("jump", a.format.frac, a.jump.values().to_vec());
        let faded = a.leak.kernel(k, held, "adaptation_leak", (0, a.format.max())).named("faded");
        let next = faded + k.select(spike, jump, k.constant(0, a.format.frac));
        k.set(held, next.fit(a.format, Overflow::Saturate).named("adapted"));
    }

    fn constant(&self, v: i64) -> Expr<'k> {
        self.k.constant(v, self.cell.membrane.frac)
    }

    fn reset_value(&self) -> Expr<'k> {
        self.constant(if let Reset::Value(v) = self.f.reset { v } else { 0 })
    }

    /// Whether there is a spike among `spikes`.
    fn any(&self, spikes: Expr<'k>) -> Expr<'k> {
        if spikes.range().hi > 1 { spikes.gt(self.k.constant(0, 0)) } else { spikes }
    }

    fn above(&self, v: Expr<'k>, threshold: Expr<'k>) -> Expr<'k> {
        match self.f.compare {
            Compare::Gt => v.gt(threshold),
            Compare::Ge => v.ge(threshold),
        }
    }

    fn top(&self, v: Expr<'k>) -> Expr<'k> {
        v.fit(self.cell.membrane, Overflow::Saturate)
    }

    /// `v`, known to be in the membrane's format.
    fn within(&self, v: Expr<'k>) -> Expr<'k> {
        self.k.promise(v, self.cell.membrane.min().into(), self.cell.membrane.max().into())
    }

    /// At most one spike. Saturation comes after the comparison, where only one side is left of it.
    fn one(&self, v: Expr<'k>, held: Expr<'k>) -> Fired<'k> {
        let (k, threshold) = (self.k, self.threshold);
        let spike = if self.f.double_reset {
            // What a reset has left above the threshold owes it once more before it can fire.
            let again = self.above(held, threshold).named("again");
            self.above(self.top(v), k.select(again, threshold.shl(1), threshold))
        } else {
            self.above(v, threshold)
        }
        .named("spike");
        let top = self.top(v);
        let loss = k.select(spike, threshold, self.constant(0));
        let rest = match self.f.reset {
            Reset::Zero | Reset::Value(_) => k.select(spike, self.reset_value(), v),
            // The threshold, never negative, was reached by what it is taken from.
            Reset::Subtract => self.within(top - loss),
            Reset::None => v,
        };
        Fired { spikes: spike, rest, loss }
    }

    /// A number of spikes.
    fn many(&self, v: Expr<'k>) -> Fired<'k> {
        let (top, max) = (self.top(v).named("membrane"), self.f.max_spikes as i64);
        let threshold = self.threshold.range();
        let power = threshold.lo == threshold.hi && (threshold.lo as u64).is_power_of_two();
        let mut fired = if power && self.f.compare == Compare::Ge {
            let n = threshold.lo.trailing_zeros();
            let positive = top.clamp(0, self.cell.membrane.max());
            let spikes = positive.shr(n, Rounding::Floor).clamp(0, max).read_as(0).named("spikes");
            let loss = spikes.shl(n).read_as(top.frac());
            Fired { spikes, rest: self.within(top - loss), loss }
        } else {
            self.chain(top, max)
        };
        if self.f.reset == Reset::Zero {
            fired.rest = self.k.select(self.any(fired.spikes), self.constant(0), top);
        }
        fired
    }

    /// Compares with ever smaller multiples of the threshold, and subtracts. Each multiple is half of the spikes that are
    /// still possible, so that any number up to `max` is a sum of some of them.
    fn chain(&self, top: Expr<'k>, max: i64) -> Fired<'k> {
        let k = self.k;
        let (mut rest, mut left, mut spikes) = (top, max, k.constant(0, 0));
        while left > 0 {
            let weight = left - left / 2;
            left -= weight;
            let limit = self.threshold * k.constant(weight, 0);
            let take = self.above(rest, limit);
            rest = self.within(rest - k.select(take, limit, self.constant(0)));
            spikes = spikes + k.select(take, k.constant(weight, 0), k.constant(0, 0));
        }
        Fired { spikes: spikes.named("spikes"), rest, loss: top - rest }
    }

    /// Spike and state of a neuron that may be resting.
    fn rested(&self, spike: Expr<'k>, held: Expr<'k>, next: Expr<'k>) -> (Expr<'k>, Expr<'k>) {
        let k = self.k;
        let steps = self.f.refractory as i64;
        let wait = k.state("steps_to_rest", QType::holding(0, steps.into(), 0), 0);
        let resting = wait.gt(k.constant(0, 0)).named("resting");
        let spike = (spike & !resting).named("fires");
        let fewer = k.promise(wait - resting, 0, wait.range().hi);
        k.set(wait, k.select(spike, k.constant(steps, 0), fewer));
        (spike, k.select(resting, held, next))
    }
}
