//! What two coefficients gain by a common part.
//!
//! Where `a = a' + c * 2^s` and `b = b' ± c * 2^t`, digits of `a` and `b` give way to those of `a'`, `b'` and `c`. The part
//! may be the digits that `a` and `b` have in common, or all of one: then the other becomes a difference, which may have
//! few digits where digits in common are none (as 7 and 8).

use crate::digits::{canonical, ones, weight};

/// Relations between two coefficients: distances of shifts, each with both signs, in a vector.
pub(crate) const RELATIONS: usize = 32;
/// The largest distance of shifts.
const REACH: usize = 7;

/// Digits saved under each relation.
pub(crate) type Gains = [i16; RELATIONS];

/// `a` holds the part times `2^s`, `b` holds it times `2^t`, negated if `negative`; one of the shifts is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) s: u8,
    pub(crate) t: u8,
    pub(crate) negative: bool,
}

impl Relation {
    /// Relation number `k`, `k < RELATIONS`.
    pub(crate) const fn new(k: usize) -> Self {
        let (distance, negative) = (k / 2, k % 2 == 1);
        let (s, t) = if distance <= REACH { (0, distance) } else { (distance - REACH, 0) };
        Self { s: s as u8, t: t as u8, negative }
    }

    /// What is left of `a` and `b` without the part `c`.
    pub(crate) const fn rest(self, a: i64, b: i64, c: i64) -> (i64, i64) {
        let c = (c << self.s, c << self.t);
        (a - c.0, if self.negative { b + c.1 } else { b - c.1 })
    }

    /// `a` and `b` with the part `c` put back.
    pub(crate) const fn whole(self, a: i64, b: i64, c: i64) -> (i64, i64) {
        self.rest(a, b, -c)
    }

    /// The best common part of `a` and `b`, and the digits that it saves.
    pub(crate) fn part(self, a: i64, b: i64) -> (i64, i16) {
        let (wa, wb) = (weight(a) as i16, weight(b) as i16);
        let sign = if self.negative { -1 } else { 1 };
        let ((ap, am), (bp, bm)) = (canonical(a), canonical(b * sign));
        let (plus, minus) = ((ap >> self.s) & (bp >> self.t), (am >> self.s) & (bm >> self.t));
        let shared = plus.count_ones() + minus.count_ones();
        let mut best = (plus as i64 - minus as i64, shared as i16);
        if self.s == 0 {
            let rest = b - sign * (a << self.t);
            let saved = wb - weight(rest) as i16;
            if saved > best.1 {
                best = (a, saved);
            }
        }
        if self.t == 0 {
            let rest = a - sign * (b << self.s);
            let saved = wa - weight(rest) as i16;
            if saved > best.1 {
                best = (sign * b, saved);
            }
        }
        best
    }
}

/// Gains by pairs of coefficients, as far as they were asked for.
#[derive(Debug)]
pub(crate) struct GainTable {
    keys: Vec<(i64, i64)>,
    gains: Vec<Gains>,
}

impl GainTable {
    /// For a matrix with coefficients of `bits` bits.
    pub(crate) fn new(bits: u32) -> Self {
        let size = 1 << (2 * bits + 2).min(16);
        Self { keys: vec![(0, 0); size], gains: vec![[0; RELATIONS]; size] }
    }

    /// The gains of `a` and `b`, neither zero.
    pub(crate) fn of(&mut self, a: i64, b: i64) -> &Gains {
        // Both negated gain the same.
        let (a, b) = if a < 0 { (-a, -b) } else { (a, b) };
        let mixed =
            (a as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (b as u64).wrapping_mul(0xd1b5_4a32_d192_ed03);
        let at = (mixed >> 32) as usize & (self.keys.len() - 1);
        if self.keys[at] != (a, b) {
            self.keys[at] = (a, b);
            fill(&mut self.gains[at], a, b);
        }
        &self.gains[at]
    }
}

fn fill(gains: &mut Gains, a: i64, b: i64) {
    let (wa, wb) = (weight(a) as i16, weight(b) as i16);
    let ((ap, am), (bp, bm)) = (canonical(a), canonical(b));
    for distance in 0..=2 * REACH {
        let Relation { s, t, .. } = Relation::new(2 * distance);
        let (ap, am, bp, bm) = (ap >> s, am >> s, bp >> t, bm >> t);
        let (same, other) = ((ap & bp) | (am & bm), (ap & bm) | (am & bp));
        let (mut plus, mut minus) = (ones(same) as i16, ones(other) as i16);
        if s == 0 {
            plus = plus.max(wb - weight(b - (a << t)) as i16);
            minus = minus.max(wb - weight(b + (a << t)) as i16);
        }
        if t == 0 {
            plus = plus.max(wa - weight(a - (b << s)) as i16);
            minus = minus.max(wa - weight(a + (b << s)) as i16);
        }
        gains[2 * distance] = plus;
        gains[2 * distance + 1] = minus;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_are_digits_that_the_part_saves() {
        for a in (-70i64..70).filter(|a| *a != 0) {
            for b in (-70i64..70).filter(|b| *b != 0) {
                let mut gains = [0; RELATIONS];
                fill(&mut gains, a, b);
                for (k, gain) in gains.into_iter().enumerate().take(2 * (2 * REACH + 1)) {
                    let relation = Relation::new(k);
                    let (c, saved) = relation.part(a, b);
                    assert_eq!(gain, saved, "{a} {b} {relation:?}");
                    let (ra, rb) = relation.rest(a, b, c);
                    let digits = |list: &[i64]| list.iter().map(|v| weight(*v) as i16).sum::<i16>();
                    assert_eq!(saved, digits(&[a, b]) - digits(&[ra, rb, c]), "{a} {b} {relation:?} {c}");
                    assert_eq!(relation.whole(ra, rb, c), (a, b));
                }
            }
        }
    }
}
