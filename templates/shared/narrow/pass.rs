//! How a rule passes over all neurons: the words it computes in, one step or many of them.
//!
//! Deliberately absent: the rule.

use std::ops::{Add, BitAnd, BitOr, Mul, Neg, Not, Shl, Shr, Sub};

use nervure_core::simd::bits;

/// Neurons that are computed at once.
pub(super) const BLOCK: usize = 64;

/// An integer with sign.
pub(crate) trait Word:
    bits::Integer
    + Ord
    + From<bool>
    + From<i16>
    + Into<i64>
    + Neg<Output = Self>
    + Not<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + Shl<u32, Output = Self>
    + Shr<u32, Output = Self>
{
    const BITS: u32;
    const MIN: Self;

    /// The low bits.
    fn cut(v: i64) -> Self;
}

macro_rules! words {
    ($($word:ident),*) => {$(
        impl Word for $word {
            const BITS: u32 = $word::BITS;
            const MIN: Self = $word::MIN;

            #[inline(always)]
            fn cut(v: i64) -> Self {
                v as Self
            }
        }
    )*};
}
words!(i16, i32);

/// What is done for every neuron: its membrane and its last spike, its current, and what leaves (0 or -1).
pub(super) trait Pass<W> {
    fn each(self, v: &mut [[W; BLOCK]], before: &mut [[W; BLOCK]], rule: impl Fn(&mut W, &mut W, W) -> W);
}

/// One step.
pub(super) struct One<'a> {
    pub(super) x: &'a [i64],
    pub(super) y: &'a mut [i64],
}

/// Many steps.
pub(super) struct Many<'a, W> {
    pub(super) x: &'a [[i16; BLOCK]],
    pub(super) y: &'a mut [[W; BLOCK]],
}

impl<W: Word> Pass<W> for One<'_> {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what is not inlined is not vectorised")]
    fn each(self, v: &mut [[W; BLOCK]], before: &mut [[W; BLOCK]], rule: impl Fn(&mut W, &mut W, W) -> W) {
        let state = v.as_flattened_mut().iter_mut().zip(before.as_flattened_mut());
        for ((v, before), (x, y)) in state.zip(self.x.iter().zip(self.y)) {
            *y = (-rule(v, before, W::cut(*x))).into();
        }
    }
}

impl<W: Word> Pass<W> for Many<'_, W> {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what is not inlined is not vectorised")]
    fn each(self, v: &mut [[W; BLOCK]], before: &mut [[W; BLOCK]], rule: impl Fn(&mut W, &mut W, W) -> W) {
        let blocks = v.len();
        for (x, y) in self.x.chunks(blocks).zip(self.y.chunks_mut(blocks)) {
            for ((v, before), (x, y)) in v.iter_mut().zip(&mut *before).zip(x.iter().zip(y)) {
                for (((v, before), x), y) in v.iter_mut().zip(before).zip(x).zip(y) {
                    *y = rule(v, before, (*x).into());
                }
            }
        }
    }
}
