//! Closed intervals of integers: what a wire can carry.

/// A closed interval of integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interval {
    /// Smallest value.
    pub lo: i128,
    /// Largest value.
    pub hi: i128,
}

impl Interval {
    /// `lo..=hi`, which must not be empty.
    pub const fn new(lo: i128, hi: i128) -> Self {
        assert!(lo <= hi, "empty interval");
        Self { lo, hi }
    }

    /// Zero alone.
    pub const ZERO: Self = Self { lo: 0, hi: 0 };

    /// All integers of `bits` bits, two's complement if `signed`.
    pub const fn of_bits(bits: u32, signed: bool) -> Self {
        if signed {
            Self { lo: -(1 << (bits - 1)), hi: (1 << (bits - 1)) - 1 }
        } else {
            Self { lo: 0, hi: (1 << bits) - 1 }
        }
    }

    /// Bits of the shortest field that holds it, two's complement if it has negative values.
    pub const fn bits(self) -> u32 {
        let (lo, hi) = (length_of(self.lo), length_of(self.hi));
        (if lo > hi { lo } else { hi }) + (self.lo < 0) as u32
    }

    /// Every `c * x`.
    #[must_use]
    pub const fn times(self, c: i128) -> Self {
        let (a, b) = (self.lo * c, self.hi * c);
        if a <= b { Self { lo: a, hi: b } } else { Self { lo: b, hi: a } }
    }

    /// Every `x + y`.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { lo: self.lo + other.lo, hi: self.hi + other.hi }
    }
}

/// Bits of `v` without its sign.
const fn length_of(v: i128) -> u32 {
    128 - (if v < 0 { !v } else { v }).leading_zeros()
}
