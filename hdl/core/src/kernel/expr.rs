//! Expressions: operators and their ranges.

use std::ops;

use super::{BitOp, Builder, Cmp, Op, Range, ValueId};
use crate::num::{Overflow, QType, Rounding};

/// A value under construction; copy it freely.
#[derive(Debug, Clone, Copy)]
pub struct Expr<'k> {
    pub(super) builder: &'k Builder,
    pub(super) id: ValueId,
}

impl<'k> Expr<'k> {
    /// The interval of integers this value can take.
    pub fn range(self) -> Range {
        self.builder.value(self.id).range
    }

    /// Bits after the binary point.
    pub fn frac(self) -> i8 {
        self.builder.value(self.id).frac
    }

    /// The same value with a name for the emitted Verilog.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.builder.graph.borrow_mut().kernel.names.push((self.id, name.into()));
        self
    }

    /// Both with the larger of the two fractions (exact).
    pub(super) fn align(self, other: Self) -> (Self, Self) {
        let frac = self.frac().max(other.frac());
        (self.with_frac(frac), other.with_frac(frac))
    }

    fn with_frac(self, frac: i8) -> Self {
        let by = frac - self.frac();
        assert!(by >= 0, "only exact changes of fraction");
        if by == 0 {
            return self;
        }
        let (r, k) = (self.range(), by as u32);
        self.builder.push(Op::Shl(self.id, by as u8), Range { lo: r.lo << k, hi: r.hi << k }, frac)
    }

    /// The integer times `2^n`, at the same fraction.
    #[must_use]
    pub fn shl(self, n: u32) -> Self {
        let r = self.range();
        if n == 0 {
            return self;
        }
        self.builder.push(Op::Shl(self.id, n as u8), Range { lo: r.lo << n, hi: r.hi << n }, self.frac())
    }

    /// The integer divided by `2^n`, rounded, at the same fraction.
    #[must_use]
    pub fn shr(self, n: u32, rounding: Rounding) -> Self {
        if n == 0 {
            return self;
        }
        let r = self.range();
        let range = Range { lo: rounding.shift(r.lo, n), hi: rounding.shift(r.hi, n) };
        self.builder.push(Op::Shr(self.id, n as u8, rounding), range, self.frac())
    }

    /// `-1 - self`: every bit inverted.
    #[must_use]
    pub fn complement(self) -> Self {
        let r = self.range();
        self.builder.push(Op::Complement(self.id), Range { lo: -1 - r.hi, hi: -1 - r.lo }, self.frac())
    }

    /// The same integer read with another fraction (multiplies the value by a power of two; costs nothing).
    #[must_use]
    pub fn read_as(self, frac: i8) -> Self {
        if frac == self.frac() {
            return self;
        }
        self.builder.push(Op::Shl(self.id, 0), self.range(), frac)
    }

    pub(super) fn compare(self, cmp: Cmp, other: Self) -> Self {
        let (a, b) = self.align(other);
        let (ra, rb) = (a.range(), b.range());
        let (always, never) = match cmp {
            Cmp::Gt => (ra.lo > rb.hi, ra.hi <= rb.lo),
            Cmp::Ge => (ra.lo >= rb.hi, ra.hi < rb.lo),
            Cmp::Eq => (ra == rb && ra.lo == ra.hi, ra.lo > rb.hi || rb.lo > ra.hi),
        };
        let range = Range { lo: i128::from(always), hi: i128::from(!never) };
        self.builder.push(Op::Compare(cmp, a.id, b.id), range, 0)
    }

    /// `self > other`, one bit.
    #[must_use]
    pub fn gt(self, other: Self) -> Self {
        self.compare(Cmp::Gt, other)
    }

    /// `self >= other`, one bit.
    #[must_use]
    pub fn ge(self, other: Self) -> Self {
        self.compare(Cmp::Ge, other)
    }

    /// `self == other`, one bit.
    #[must_use]
    pub fn equals(self, other: Self) -> Self {
        self.compare(Cmp::Eq, other)
    }

    /// The larger of the two.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.builder.select(self.ge(other), self, other)
    }

    /// The smaller of the two.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        self.builder.select(self.ge(other), other, self)
    }

    /// Clamped to `lo..=hi`.
    #[must_use]
    pub fn clamp(self, lo: i64, hi: i64) -> Self {
        let r = self.range();
        let range = Range { lo: r.lo.clamp(lo.into(), hi.into()), hi: r.hi.clamp(lo.into(), hi.into()) };
        if range == r {
            return self;
        }
        self.builder.push(Op::Clamp(self.id), range, self.frac())
    }

    /// Brought into `format`, whose fraction must equal this value's.
    #[must_use]
    pub fn fit(self, format: QType, overflow: Overflow) -> Self {
        assert_eq!(format.frac, self.frac(), "round before you fit");
        let (r, q) = (self.range(), Range::of(format));
        match overflow {
            Overflow::Saturate => self.clamp(format.min(), format.max()),
            Overflow::Wrap if r.lo >= q.lo && r.hi <= q.hi => self,
            Overflow::Wrap => self.builder.push(Op::Wrap(self.id), q, self.frac()),
        }
    }

    pub(super) fn bit(self, op: BitOp, other: Self) -> Self {
        let one = Range { lo: 0, hi: 1 };
        for (a, b) in [(self, other), (other, self)] {
            if a.range().lo == a.range().hi {
                return match (op, a.range().lo) {
                    (BitOp::And, 1) | (BitOp::Or | BitOp::Xor, 0) => b,
                    (BitOp::And, _) | (BitOp::Or, _) => a,
                    (BitOp::Xor, _) => !b,
                };
            }
        }
        assert!(self.range() == one && other.range() == one, "bit operations take one-bit values");
        self.builder.push(Op::Bit(op, self.id, other.id), one, 0)
    }
}

impl ops::Add for Expr<'_> {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (a, b) = self.align(other);
        let (ra, rb) = (a.range(), b.range());
        let zero = Range { lo: 0, hi: 0 };
        if ra == zero || rb == zero {
            return if ra == zero { b } else { a };
        }
        self.builder.push(Op::Add(a.id, b.id), Range { lo: ra.lo + rb.lo, hi: ra.hi + rb.hi }, a.frac())
    }
}

impl ops::Sub for Expr<'_> {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let (a, b) = self.align(other);
        let (ra, rb) = (a.range(), b.range());
        if rb == (Range { lo: 0, hi: 0 }) {
            return a;
        }
        self.builder.push(Op::Sub(a.id, b.id), Range { lo: ra.lo - rb.hi, hi: ra.hi - rb.lo }, a.frac())
    }
}

impl ops::Mul for Expr<'_> {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let (ra, rb) = (self.range(), other.range());
        let frac = self.frac() + other.frac();
        for (r, e) in [(ra, other), (rb, self)] {
            if r.lo == r.hi && r.lo > 0 && (r.lo as u128).is_power_of_two() {
                return e.shl(r.lo.trailing_zeros()).read_as(frac);
            }
        }
        let corners = [ra.lo * rb.lo, ra.lo * rb.hi, ra.hi * rb.lo, ra.hi * rb.hi];
        let lo = corners.into_iter().min().expect("four corners");
        let hi = corners.into_iter().max().expect("four corners");
        self.builder.push(Op::Mul(self.id, other.id), Range { lo, hi }, frac)
    }
}

impl ops::Not for Expr<'_> {
    type Output = Self;

    fn not(self) -> Self {
        let r = self.range();
        self.builder.push(Op::Not(self.id), Range { lo: 1 - r.hi, hi: 1 - r.lo }, 0)
    }
}

impl ops::BitAnd for Expr<'_> {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        self.bit(BitOp::And, other)
    }
}

impl ops::BitOr for Expr<'_> {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.bit(BitOp::Or, other)
    }
}

impl ops::BitXor for Expr<'_> {
    type Output = Self;

    fn bitxor(self, other: Self) -> Self {
        self.bit(BitOp::Xor, other)
    }
}
