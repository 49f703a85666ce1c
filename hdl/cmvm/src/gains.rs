//! What two coefficients gain by a common part.
//!
//! Where `a = a' + c * 2^s` and `b = b' ± c * 2^t`, digits of `a` and `b` give way to those of `a'`, `b'` and `c`. The part
//! may be the digits that `a` and `b` have in common, or all of one: then the other becomes a difference, which may have
//! few digits where digits in common are none (as 7 and 8).

use crate::digits::{canonical, ones, weight};

/// Distances of shifts that a table of gains has room for; the last one is not used.
pub(crate) const DISTANCES: usize = 16;
/// The largest distance of shifts.
const REACH: usize = 7;

/// Digits saved under each relation: by its sign, then by its distance.
pub(crate) type Gains<T = u8> = [[T; DISTANCES]; 2];
/// Those of one sign.
pub(crate) type Half = [u8; DISTANCES];

/// Counts of digits that are narrow, so that a processor handles many at once. They wrap around: a sum that is small
/// enough in the end is right.
pub(crate) trait Count: Copy + Ord + Default + std::fmt::Debug + Into<u16> {
    /// The largest count.
    const MOST: u32;
    /// `n`, which is not larger than that.
    fn of(n: usize) -> Self;
    /// `self + by`.
    #[must_use]
    fn more(self, by: u8) -> Self;
    /// `self - by`.
    #[must_use]
    fn less(self, by: u8) -> Self;
}

impl Count for u8 {
    const MOST: u32 = 255;
    fn of(n: usize) -> Self {
        n as Self
    }
    fn more(self, by: u8) -> Self {
        self.wrapping_add(by)
    }
    fn less(self, by: u8) -> Self {
        self.wrapping_sub(by)
    }
}

impl Count for u16 {
    const MOST: u32 = 65_535;
    fn of(n: usize) -> Self {
        n as Self
    }
    fn more(self, by: u8) -> Self {
        self.wrapping_add(by.into())
    }
    fn less(self, by: u8) -> Self {
        self.wrapping_sub(by.into())
    }
}

/// Changes all gains.
#[inline]
pub(crate) fn change<T: Count>(gains: &mut Gains<T>, by: [&Half; 2], how: impl Fn(T, u8) -> T) {
    for (gains, by) in gains.iter_mut().zip(by) {
        for k in 0..DISTANCES {
            gains[k] = how(gains[k], by[k]);
        }
    }
}

/// Whether one of all gains is larger than `top`.
#[inline]
pub(crate) fn above<T: Count>(gains: &Gains<T>, top: T) -> bool {
    let mut any = [false; DISTANCES];
    for k in 0..DISTANCES {
        any[k] = gains[0][k].max(gains[1][k]) > top;
    }
    any.iter().fold(false, |a, b| a | b)
}

/// The largest of all gains.
pub(crate) fn most<T: Count>(gains: &Gains<T>) -> T {
    gains.iter().flatten().fold(T::default(), |most, g| most.max(*g))
}

/// `a` holds the part times `2^s`, `b` holds it times `2^t`, negated if `negative`; one of the shifts is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) s: u8,
    pub(crate) t: u8,
    pub(crate) negative: bool,
}

impl Relation {
    /// The relation of gain `gains[sign][k]`.
    pub(crate) const fn new(sign: usize, k: usize) -> Self {
        let (s, t) = if k >= REACH { (0, k - REACH) } else { (REACH - k, 0) };
        Self { s: s as u8, t: t as u8, negative: sign == 1 }
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

/// Gains by pairs of magnitudes, as far as they were asked for.
#[derive(Debug)]
pub(crate) struct GainTable {
    /// Pairs of magnitudes below this have places of their own, and behind these others share some.
    side: usize,
    keys: Vec<[u64; 2]>,
    ready: Vec<bool>,
    gains: Vec<Gains>,
}

/// Bits of the largest magnitude that has a place, and of the number of places for others.
const PLACES: u32 = 8;
const SHARED: u32 = 12;

impl GainTable {
    /// For a matrix with coefficients of `bits` bits.
    pub(crate) fn new(bits: u32) -> Self {
        // Differences may be larger than coefficients.
        let side = 1usize << (bits + 1).min(PLACES);
        let shared = 1 << SHARED;
        let all = side * side + shared;
        Self {
            side,
            keys: vec![[0; 2]; shared],
            ready: vec![false; side * side],
            gains: vec![[[0; DISTANCES]; 2]; all],
        }
    }

    /// The gains of `a` and `b`, neither zero.
    #[inline]
    pub(crate) fn of(&mut self, a: i64, b: i64) -> [&Half; 2] {
        let (x, y) = (a.unsigned_abs(), b.unsigned_abs());
        let small = x.max(y) < self.side as u64;
        let at = if small { x as usize * self.side + y as usize } else { self.shared(x, y) };
        if small && !self.ready[at] {
            self.add(x, y);
        }
        // Of different signs the relations change places.
        let (gains, flip) = (&self.gains[at], usize::from((a ^ b) < 0));
        [&gains[flip], &gains[1 - flip]]
    }

    /// Works out the gains of both orders.
    #[cold]
    fn add(&mut self, a: u64, b: u64) {
        let mut gains = [[0; DISTANCES]; 2];
        fill(&mut gains, a as i64, b as i64);
        for (a, b) in [(a, b), (b, a)] {
            let at = a as usize * self.side + b as usize;
            (self.gains[at], self.ready[at]) = (gains, true);
            for half in &mut gains {
                half[..=2 * REACH].reverse();
            }
        }
    }

    /// A shared place, with the gains of `a` and `b`.
    #[cold]
    fn shared(&mut self, a: u64, b: u64) -> usize {
        let mixed = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_mul(0xd1b5_4a32_d192_ed03);
        let place = (mixed >> 32) as usize % self.keys.len();
        let at = self.side * self.side + place;
        if self.keys[place] != [a, b] {
            self.keys[place] = [a, b];
            fill(&mut self.gains[at], a as i64, b as i64);
        }
        at
    }
}

fn fill(gains: &mut Gains, a: i64, b: i64) {
    if a.unsigned_abs().max(b.unsigned_abs()) < 1 << PLACES {
        // Small numbers many at once.
        return fill_small(gains, a as i32, b as i32);
    }
    let (wa, wb) = (weight(a), weight(b));
    let ((ap, am), (bp, bm)) = (canonical(a), canonical(b));
    let [first, second] = gains;
    for (k, (g, h)) in first.iter_mut().zip(second).enumerate().take(2 * REACH + 1) {
        let Relation { s, t, .. } = Relation::new(0, k);
        let (ap, am, bp, bm) = (ap >> s, am >> s, bp >> t, bm >> t);
        let (same, other) = ((ap & bp) | (am & bm), (ap & bm) | (am & bp));
        let (mut plus, mut minus) = (ones(same), ones(other));
        if s == 0 {
            plus = plus.max(wb.saturating_sub(weight(b - (a << t))));
            minus = minus.max(wb.saturating_sub(weight(b + (a << t))));
        }
        if t == 0 {
            plus = plus.max(wa.saturating_sub(weight(a - (b << s))));
            minus = minus.max(wa.saturating_sub(weight(a + (b << s))));
        }
        (*g, *h) = (plus as u8, minus as u8);
    }
}

fn fill_small(gains: &mut Gains, a: i32, b: i32) {
    let digits = |v: i32| (v ^ (3 * v)).count_ones();
    let most = [digits(a), digits(b)];
    let canonical = |v: i32| ((v ^ (3 * v)) & (3 * v), (v ^ (3 * v)) & v);
    let all = [(a, canonical(a)), (b, canonical(b))];
    // First `a` as it stands in `b` times a power of two, then the other way round.
    for (turn, [(a, (ap, am)), (b, (bp, bm))]) in [all, [all[1], all[0]]].into_iter().enumerate() {
        let mut saved = [[0; REACH + 1]; 2];
        let most: u32 = most[1 - turn];
        let [plus, minus] = &mut saved;
        for (t, (plus, minus)) in plus.iter_mut().zip(minus).enumerate() {
            let (ap, am, more) = (ap << t, am << t, a << t);
            let same = ((ap & bp) | (am & bm)).count_ones();
            let other = ((ap & bm) | (am & bp)).count_ones();
            *plus = same.max(most.saturating_sub(digits((b - more).abs())));
            *minus = other.max(most.saturating_sub(digits(b + more)));
        }
        for (half, saved) in gains.iter_mut().zip(saved) {
            for (t, saved) in saved.into_iter().enumerate() {
                let place = &mut half[if turn == 0 { REACH + t } else { REACH - t }];
                *place = saved.max(if t == 0 && turn == 1 { u32::from(*place) } else { 0 }) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_are_digits_that_the_part_saves() {
        // Of larger magnitudes some have no place in the table.
        let mut table = GainTable::new(6);
        for a in (-70i64..70).chain([-300, 259, 1001]).filter(|a| *a != 0) {
            for b in (-70i64..70).filter(|b| *b != 0) {
                let gains = table.of(a, b);
                for (sign, k) in (0..2 * (2 * REACH + 1)).map(|n| (n % 2, n / 2)) {
                    let relation = Relation::new(sign, k);
                    let (c, saved) = relation.part(a, b);
                    assert_eq!(i16::from(gains[sign][k]), saved, "{a} {b} {relation:?}");
                    let (ra, rb) = relation.rest(a, b, c);
                    let digits = |list: &[i64]| list.iter().map(|v| weight(*v) as i16).sum::<i16>();
                    assert_eq!(saved, digits(&[a, b]) - digits(&[ra, rb, c]), "{a} {b} {relation:?} {c}");
                    assert_eq!(relation.whole(ra, rb, c), (a, b));
                }
            }
        }
    }
}
