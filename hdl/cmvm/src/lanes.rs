//! Small vectors of integers in one machine word.
//!
//! A vector is the sum of `w[l] * 2^(width * l)`: additions, subtractions and shifts of words are those of vectors, as
//! long as no entry needs more than its lane. A vector is *odd* when one of its entries is.

/// A vector in a word.
pub(crate) type Packed = i64;

/// How vectors lie in words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lanes {
    count: u32,
    width: u32,
    /// `2^bits` in every lane.
    offset: i64,
    /// Bits that are zero in every lane of an allowed vector plus `offset`.
    outside: i64,
    /// The sign bit of every lane.
    signs: i64,
}

impl Lanes {
    /// Lanes for `count` entries below `2^bits` in magnitude; nothing if a word is too short.
    pub(crate) fn new(count: u32, bits: u32) -> Option<Self> {
        let width = bits + 2;
        if count == 0 || count * width > 31 {
            return None;
        }
        let every = |x: i64| (0..count).map(|l| x << (width * l)).sum();
        let outside = (1i64 << width) - (1i64 << (bits + 1));
        Some(Self {
            count,
            width,
            offset: every(1 << bits),
            outside: every(outside),
            signs: every(1 << (width - 1)),
        })
    }

    pub(crate) fn pack(&self, vector: impl Iterator<Item = i64>) -> Packed {
        vector.enumerate().map(|(l, w)| w << (self.width * l as u32)).sum()
    }

    /// The entries.
    pub(crate) fn unpack(&self, x: Packed) -> impl Iterator<Item = i64> + '_ {
        let lanes = x + self.signs;
        let mask = (1i64 << self.width) - 1;
        let sign = 1i64 << (self.width - 1);
        (0..self.count).map(move |l| (lanes >> (self.width * l) & mask) - sign)
    }

    /// Whether every entry is small enough. Entries may be twice as large as allowed, not more.
    pub(crate) const fn holds(&self, x: Packed) -> bool {
        (x + self.offset) & self.outside == 0
    }

    /// How often the vector can be halved; it is not zero.
    pub(crate) const fn halvings(&self, x: Packed) -> u32 {
        let lanes = x + self.signs;
        let mut any = lanes;
        let mut l = 1;
        while l < self.count {
            any |= lanes >> (self.width * l);
            l += 1;
        }
        any.trailing_zeros()
    }

    /// The odd vector with a positive last entry, and the shift and sign that lead back; the vector is not zero.
    pub(crate) const fn normal(&self, x: Packed) -> (Packed, u8, bool) {
        let shift = self.halvings(x);
        (x.abs() >> shift, shift as u8, x < 0)
    }

    /// How often the vector can be doubled within the lanes.
    pub(crate) fn doublings(&self, x: Packed) -> u8 {
        (1..=64).find(|s| !self.holds(x << s)).expect("lanes are finite") - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_vectors() {
        let lanes = Lanes::new(3, 8).expect("30 bits");
        let mut random = crate::random::Random::new(1, 0);
        for _ in 0..10_000 {
            let mut entry = || random.below(511) as i64 - 255;
            let (v, w) = ([entry(), entry(), entry()], [entry(), entry(), entry()]);
            let x = lanes.pack(v.into_iter());
            assert!(lanes.unpack(x).eq(v));
            let sum = x - lanes.pack(w.into_iter());
            let entries: Vec<i64> = (0..3).map(|i| v[i] - w[i]).collect();
            assert!(lanes.unpack(sum).eq(entries.iter().copied()));
            assert_eq!(lanes.holds(sum), entries.iter().all(|e| (-256..256).contains(e)), "{entries:?}");
            if sum != 0 {
                let (odd, shift, negative) = lanes.normal(sum);
                let back = lanes.unpack(odd).map(|e| (if negative { -e } else { e }) << shift);
                assert!(back.eq(entries.iter().copied()));
                assert!(lanes.unpack(odd).any(|e| e % 2 != 0));
            }
        }
    }
}
