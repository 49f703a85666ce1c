//! The common neuron in one pass over integers of 16 or 32 bits: leak, current, limit, compare, reset.
//!
//! Same equations as [`super::integrate`], which remains the definition for everything, and which a test holds this
//! against. Deliberately absent: whatever is rare (many spikes, rest, adaptation, synapses, biases).

mod pass;

use nervure_core::num::Overflow;
use nervure_core::simd::bits;
use nervure_core::{Rounding, vectorised};

use super::membrane::{Cell, Compare, Reset, When};
use pass::{BLOCK, Many, One, Pass, Word};

/// Neurons that are alike but for their state, in the narrower integers that hold every intermediate value.
pub(crate) enum Narrow {
    Short(Neurons<i16>),
    Long(Neurons<i32>),
}

/// See [`Narrow`].
pub(crate) struct Neurons<W> {
    decay: Decay<W>,
    /// Shift of the input to the fraction of the membrane.
    align: u32,
    overflow: Overflow,
    /// Bits of a word that the membrane does not use.
    unused_bits: u32,
    lo: W,
    hi: W,
    /// Fires above this.
    above: W,
    floor: W,
    emit: When,
    now: Undo<W>,
    next: Undo<W>,
    /// Number of neurons; below, they are filled up to whole blocks.
    len: usize,
    v: Vec<[W; BLOCK]>,
    /// Spikes of the step before: 0 or -1.
    before: Vec<[W; BLOCK]>,
    /// What leaves in each step.
    out: Vec<[W; BLOCK]>,
}

#[derive(Clone, Copy)]
enum Decay<W> {
    None,
    /// `v - floor(v / 2^n)`.
    Shift(u32),
    /// `floor(v * k / 2^n)`.
    Multiply(W, u32),
}

/// What a spike does to a membrane: the bits it keeps, then what is subtracted.
#[derive(Clone, Copy, PartialEq)]
struct Undo<W> {
    clears: W,
    subtracts: W,
}

impl<W: Word> Undo<W> {
    fn new(clears: bool, subtracts: i64) -> Self {
        Self { clears: -W::from(clears), subtracts: W::cut(subtracts) }
    }

    /// `sum` after a spike (-1), or without one (0).
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what is not inlined is not vectorised")]
    fn of(self, spike: W, sum: W) -> W {
        (sum & !(spike & self.clears)) - (spike & self.subtracts)
    }
}

impl Cell<'_> {
    /// Neurons in the state of reset, where they are common ones and every intermediate value fits 32 bits.
    pub(crate) fn narrow(&self) -> Option<Narrow> {
        let short = || self.in_words().map(Narrow::Short);
        short().or_else(|| self.in_words().map(Narrow::Long))
    }

    fn in_words<W: Word>(&self) -> Option<Neurons<W>> {
        let f = self.firing?;
        let common = self.synapse.is_none()
            && self.bias.is_none()
            && f.max_spikes == 1
            && f.refractory == 0
            && !f.double_reset
            && f.adaptation.is_none();
        let [threshold] = f.threshold.values() else { return None };
        let (decay, shift) = match self.leak {
            None => (Decay::None, 0),
            Some(l) if l.rounding != Rounding::Floor => return None,
            Some(l) => match &l.multiply {
                None => (Decay::Shift(l.shift), 0),
                Some(k) => match k.values() {
                    [k] => (Decay::Multiply(W::cut(*k), l.shift), l.shift),
                    _ => return None,
                },
            },
        };
        let align = (i32::from(self.membrane.frac) - i32::from(self.input.format.frac)) as u32;
        // A product, and the sum of three terms as wide as the widest.
        let (bits, current) = (u32::from(self.membrane.bits), u32::from(self.input.format.bits) + align);
        let fits = bits + shift < W::BITS
            && bits.max(current) <= W::BITS - 2
            && !matches!(decay, Decay::Shift(n) if n >= W::BITS);
        if !(common && fits) {
            return None;
        }
        let undo = match f.reset {
            Reset::None => Undo::new(false, 0),
            Reset::Zero => Undo::new(true, 0),
            Reset::Subtract => Undo::new(false, *threshold),
            // Cleared, then set.
            Reset::Value(v) => Undo::new(true, -v),
        };
        let nothing = Undo::new(false, 0);
        let (now, next) = if f.reset_at == When::NextStep { (nothing, undo) } else { (undo, nothing) };
        let len = self.input.len();
        Some(Neurons {
            decay,
            align,
            overflow: self.overflow,
            unused_bits: W::BITS - bits,
            lo: W::cut(self.membrane.min()),
            hi: W::cut(self.membrane.max()),
            above: W::cut(threshold - i64::from(f.compare == Compare::Ge)),
            floor: f.floor.map_or(W::MIN, W::cut),
            emit: f.emit,
            now,
            next,
            len,
            v: vec![[W::default(); BLOCK]; len.div_ceil(BLOCK)],
            before: vec![[W::default(); BLOCK]; len.div_ceil(BLOCK)],
            out: Vec::new(),
        })
    }
}

impl Narrow {
    /// The start of a sample.
    pub(crate) fn reset(&mut self) {
        match self {
            Self::Short(neurons) => neurons.reset(),
            Self::Long(neurons) => neurons.reset(),
        }
    }

    /// One step.
    pub(crate) fn step(&mut self, x: &[i64], y: &mut [i64]) {
        match self {
            Self::Short(neurons) => neurons.run(One { x, y }),
            Self::Long(neurons) => neurons.run(One { x, y }),
        }
    }

    /// Many steps from short currents to bits, which are zero behind the last neuron.
    pub(crate) fn step_packed(&mut self, steps: usize, x: &[[i16; BLOCK]], y: &mut [u64]) {
        match self {
            Self::Short(neurons) => neurons.step_packed(steps, x, y),
            Self::Long(neurons) => neurons.step_packed(steps, x, y),
        }
    }
}

impl<W: Word> Neurons<W> {
    fn reset(&mut self) {
        self.v.fill([W::default(); BLOCK]);
        self.before.fill([W::default(); BLOCK]);
    }

    fn step_packed(&mut self, steps: usize, x: &[[i16; BLOCK]], y: &mut [u64]) {
        let mut out = std::mem::take(&mut self.out);
        out.resize(steps * self.v.len(), [W::default(); BLOCK]);
        self.run(Many { x, y: &mut out });
        bits::pack(out.as_flattened(), y);
        let last = self.v.len() - 1;
        let mask = u64::MAX >> (BLOCK * self.v.len() - self.len);
        y.chunks_mut(self.v.len()).for_each(|y| y[last] &= mask);
        self.out = out;
    }

    fn run(&mut self, pass: impl Pass<W>) {
        let (lo, hi, n) = (self.lo, self.hi, self.unused_bits);
        let clamp = move |v: W| v.clamp(lo, hi);
        let wrap = move |v: W| (v << n) >> n;
        vectorised(
            #[inline(always)]
            || match self.overflow {
                Overflow::Saturate => self.decayed(pass, clamp),
                Overflow::Wrap => self.decayed(pass, wrap),
            },
        );
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what is not inlined is not vectorised")]
    fn decayed(&mut self, pass: impl Pass<W>, limit: impl Fn(W) -> W) {
        match self.decay {
            Decay::None => self.limited(pass, |v| v, limit),
            Decay::Shift(n) => self.limited(pass, |v| v - (v >> n), limit),
            Decay::Multiply(k, n) => self.limited(pass, |v| (v * k) >> n, limit),
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what is not inlined is not vectorised")]
    fn limited(&mut self, pass: impl Pass<W>, decay: impl Fn(W) -> W, limit: impl Fn(W) -> W) {
        let &mut Self { align, above, floor, now, next, emit, .. } = self;
        let late = -W::from(emit == When::NextStep);
        let zero = W::default();
        let subtracted =
            |undo: Undo<W>, early: bool| if (undo.clears == zero) == early { undo.subtracts } else { zero };
        // A subtraction that is due comes before the limit; a membrane that is due to be set is set after it.
        let (due, set) = (subtracted(next, true), subtracted(next, false));
        let (v, before) = (&mut self.v, &mut self.before);
        let fired = |sum: W| {
            let spike = -W::from(sum > above);
            (now.of(spike, sum).max(floor), spike)
        };
        if next == Undo::new(false, 0) && late == zero {
            // Most neurons: the last spike is of no consequence.
            pass.each(
                v,
                before,
                #[inline(always)]
                |v, before, x| {
                    (*v, *before) = fired(limit(decay(*v) + (x << align)));
                    *before
                },
            );
        } else {
            pass.each(
                v,
                before,
                #[inline(always)]
                |v, before, x| {
                    let sum = limit(decay(*v) + (x << align) - (*before & due));
                    let last = *before;
                    (*v, *before) = fired((sum & !(last & next.clears)) - (last & set));
                    (*before & !late) | (last & late)
                },
            );
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
                if format.bits <= 16 && step % 2 == 0 {
                    let mut block = [[1; BLOCK]];
                    block[0].iter_mut().zip(&x).for_each(|(b, x)| *b = *x as i16);
                    let mut spikes = [0];
                    narrow.step_packed(1, &block, &mut spikes);
                    bits::unpack(&spikes, &mut a);
                    assert_eq!(spikes[0] >> x.len(), 0);
                } else {
                    narrow.step(&x, &mut a);
                }
                general.step(&x, &mut b);
                assert_eq!(a, b, "sample {sample}, step {step}: {cell:?}");
                let v: Vec<i64> = match &narrow {
                    Narrow::Short(n) => n.v.as_flattened().iter().map(|v| (*v).into()).collect(),
                    Narrow::Long(n) => n.v.as_flattened().iter().map(|v| (*v).into()).collect(),
                };
                let v = &v[..x.len()];
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
        assert!(seen > 500 && widest == 30, "{seen} neurons, at most {widest} bits");
    }
}
