//! The common neuron in one pass over 32-bit integers: leak, current, limit, compare, reset.
//!
//! Same equations as [`super::integrate`], which remains the definition for everything, and which a test holds this
//! against. Deliberately absent: whatever is rare (many spikes, rest, adaptation, synapses, biases).

use nervure_core::num::Overflow;
use nervure_core::{Rounding, vectorised};

use super::membrane::{Cell, Compare, Reset, When};

/// Neurons that are alike but for their state.
pub(crate) struct Narrow {
    decay: Decay,
    /// Shift of the input to the fraction of the membrane.
    align: u32,
    overflow: Overflow,
    /// Bits of a word that the membrane does not use.
    unused_bits: u32,
    lo: i32,
    hi: i32,
    /// Fires above this.
    above: i32,
    floor: i32,
    emit: When,
    now: Undo,
    next: Undo,
    v: Vec<i32>,
    /// Spikes of the step before: 0 or -1.
    before: Vec<i32>,
}

#[derive(Clone, Copy)]
enum Decay {
    None,
    /// `v - floor(v / 2^n)`.
    Shift(u32),
    /// `floor(v * k / 2^n)`.
    Multiply(i32, u32),
}

/// What a spike does to a membrane: the bits it keeps, then what is subtracted.
#[derive(Clone, Copy)]
struct Undo {
    clears: i32,
    subtracts: i32,
}

impl Undo {
    const NOTHING: Self = Self { clears: 0, subtracts: 0 };
}

impl Cell<'_> {
    /// Neurons in the state of reset, where they are common ones and every intermediate value fits 32 bits.
    pub(crate) fn narrow(&self) -> Option<Narrow> {
        let f = self.firing?;
        let common = self.synapse.is_none()
            && self.bias.is_none()
            && f.max_spikes == 1
            && f.refractory == 0
            && !f.double_reset
            && f.adaptation.is_none();
        let [threshold] = f.threshold.values() else { return None };
        let decay = match self.leak {
            None => Decay::None,
            Some(l) if l.rounding != Rounding::Floor => return None,
            Some(l) => match &l.multiply {
                None => Decay::Shift(l.shift),
                Some(k) => match k.values() {
                    [k] => Decay::Multiply(i32::try_from(*k).ok()?, l.shift),
                    _ => return None,
                },
            },
        };
        let product = match decay {
            Decay::Multiply(_, shift) => u32::from(self.membrane.bits) + shift,
            _ => self.membrane.bits.into(),
        };
        let align = (i32::from(self.membrane.frac) - i32::from(self.input.format.frac)) as u32;
        // Two sums and a difference stay within twice two bits more than the widest term.
        let fits =
            product <= 31 && self.membrane.bits <= 28 && u32::from(self.input.format.bits) + align <= 28;
        if !(common && fits) {
            return None;
        }
        let threshold = *threshold as i32;
        let undo = match f.reset {
            Reset::None => Undo::NOTHING,
            Reset::Zero => Undo { clears: -1, ..Undo::NOTHING },
            Reset::Subtract => Undo { subtracts: threshold, ..Undo::NOTHING },
            // Cleared, then set.
            Reset::Value(v) => Undo { clears: -1, subtracts: -(v as i32) },
        };
        let next = f.reset_at == When::NextStep;
        let len = self.input.len();
        Some(Narrow {
            decay,
            align,
            overflow: self.overflow,
            unused_bits: 32 - u32::from(self.membrane.bits),
            lo: self.membrane.min() as i32,
            hi: self.membrane.max() as i32,
            above: threshold - i32::from(f.compare == Compare::Ge),
            floor: f.floor.map_or(i32::MIN, |v| v as i32),
            emit: f.emit,
            now: if next { Undo::NOTHING } else { undo },
            next: if next { undo } else { Undo::NOTHING },
            v: vec![0; len],
            before: vec![0; len],
        })
    }
}

impl Narrow {
    /// The start of a sample.
    pub(crate) fn reset(&mut self) {
        self.v.fill(0);
        self.before.fill(0);
    }

    /// One step.
    pub(crate) fn step(&mut self, x: &[i64], y: &mut [i64]) {
        let (lo, hi, n) = (self.lo, self.hi, self.unused_bits);
        let clamp = move |v: i32| v.clamp(lo, hi);
        let wrap = move |v: i32| (v << n) >> n;
        vectorised(
            #[inline(always)]
            || match self.overflow {
                Overflow::Saturate => self.decayed(x, y, clamp),
                Overflow::Wrap => self.decayed(x, y, wrap),
            },
        );
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what is not inlined is not vectorised")]
    fn decayed(&mut self, x: &[i64], y: &mut [i64], limit: impl Fn(i32) -> i32) {
        match self.decay {
            Decay::None => self.each(x, y, |v| v, limit),
            Decay::Shift(n) => self.each(x, y, |v| v - (v >> n), limit),
            Decay::Multiply(k, n) => self.each(x, y, |v| (v * k) >> n, limit),
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what is not inlined is not vectorised")]
    fn each(&mut self, x: &[i64], y: &mut [i64], decay: impl Fn(i32) -> i32, limit: impl Fn(i32) -> i32) {
        let &mut Self { align, above, floor, now, next, .. } = self;
        let late = if self.emit == When::NextStep { -1 } else { 0 };
        let subtracted =
            |undo: Undo, early: bool| if (undo.clears == 0) == early { undo.subtracts } else { 0 };
        // A subtraction that is due comes before the limit; a membrane that is due to be set is set after it.
        let (due, set) = (subtracted(next, true), subtracted(next, false));
        let state = self.v.iter_mut().zip(&mut self.before);
        for ((v, before), (x, y)) in state.zip(x.iter().zip(y)) {
            let sum = decay(*v) + ((*x as i32) << align) - (*before & due);
            let sum = limit(sum);
            let sum = (sum & !(*before & next.clears)) - (*before & set);
            let spike = -i32::from(sum > above);
            let sum = (sum & !(spike & now.clears)) - (spike & now.subtracts);
            *v = sum.max(floor);
            *y = i64::from(-((spike & !late) | (*before & late)));
            *before = spike;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::leak::Leak;
    use crate::shared::membrane::Firing;
    use crate::shared::per_element::PerElement;
    use nervure_core::{QType, TensorType};
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    /// Runs both forms over the same currents, which reach both ends of their format.
    fn compare(cell: &Cell, rng: &mut SmallRng) {
        let (mut narrow, mut general) = (cell.narrow().expect("a common neuron"), cell.general());
        let format = cell.input.format;
        for sample in 0..3 {
            narrow.reset();
            general.reset();
            for step in 0..40 {
                let current = |_| match rng.random_range(0..8) {
                    0 => format.min(),
                    1 => format.max(),
                    2 => 0,
                    3 => rng.random_range(format.min()..=format.max()),
                    _ => rng.random_range(format.min() / 16..=format.max() / 16),
                };
                let x: Vec<i64> = (0..cell.input.len()).map(current).collect();
                let (mut a, mut b) = (vec![7; x.len()], vec![8; x.len()]);
                narrow.step(&x, &mut a);
                general.step(&x, &mut b);
                assert_eq!(a, b, "sample {sample}, step {step}: {cell:?}");
                let v: Vec<i64> = narrow.v.iter().map(|v| (*v).into()).collect();
                assert_eq!(v, general.membranes(), "sample {sample}, step {step}: {cell:?}");
            }
        }
    }

    #[test]
    fn the_narrow_pass_is_the_definition() {
        let mut rng = SmallRng::seed_from_u64(11);
        let (mut seen, mut widest) = (0, 0);
        for round in 0..3000 {
            let bits = if round % 3 == 0 { rng.random_range(2..=28) } else { rng.random_range(2..=14) };
            let finer = rng.random_range(0..4);
            let input = TensorType::step(&[37], QType { bits, frac: 0, signed: true });
            let bits = if rng.random() { (bits + finer).min(32) } else { rng.random_range(2..=32) };
            let membrane = QType { bits, frac: finer as i8, signed: true };
            let max = membrane.max();
            let shift = rng.random_range(1..=24);
            let one = 1i64 << shift;
            let factor = [0, 1, one / 2, one - 1, one][rng.random_range(0..5)];
            let leak = Leak {
                shift,
                multiply: rng.random::<bool>().then(|| factor.into()),
                rounding: Rounding::Floor,
            };
            let threshold = PerElement::from([1, max / 2, max - 1, max / 8][rng.random_range(0..4)].max(1));
            let value = [membrane.min(), max, 0, max / 3][rng.random_range(0..4)];
            let reset =
                [Reset::Zero, Reset::Subtract, Reset::None, Reset::Value(value)][rng.random_range(0..4)];
            let late = |rng: &mut SmallRng| if rng.random() { When::Now } else { When::NextStep };
            let floor =
                [None, Some(0), Some(membrane.min()), Some(membrane.min() / 2)][rng.random_range(0..4)];
            let cell = Cell {
                input: &input,
                membrane,
                overflow: if rng.random() { Overflow::Saturate } else { Overflow::Wrap },
                leak: rng.random::<bool>().then_some(&leak),
                bias: None,
                synapse: None,
                firing: Some(Firing {
                    threshold: &threshold,
                    compare: if rng.random() { Compare::Gt } else { Compare::Ge },
                    reset,
                    reset_at: late(&mut rng),
                    double_reset: false,
                    max_spikes: 1,
                    floor,
                    emit: late(&mut rng),
                    refractory: 0,
                    adaptation: None,
                }),
            };
            if cell.check().is_ok() && cell.narrow().is_some() {
                seen += 1;
                widest = widest.max(membrane.bits);
                compare(&cell, &mut rng);
            }
        }
        assert!(seen > 500 && widest == 28, "{seen} neurons, at most {widest} bits");
    }
}
