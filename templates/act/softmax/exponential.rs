//! `exp(-d / 2^frac)` in integers, twice: the golden model and the hardware each have their own way, so that a mistake in one
//! shows. Deliberately absent: floating point.

/// Bits behind the point in here.
const POINT: u32 = 60;
const ONE: u128 = 1 << POINT;

fn rounded(value: u128, bits: u8) -> i64 {
    let dropped = POINT - u32::from(bits);
    ((value + (1 << (dropped - 1))) >> dropped) as i64
}

/// `round(2^bits exp(-d / 2^frac))` of one distance: the series of a small part of it, squared until it is the whole.
pub(super) fn by_squares(d: u64, frac: u8, bits: u8) -> i64 {
    // Beyond 32, everything rounds to 0, for there are at most 16 bits.
    if d >> frac >= 32 {
        return 0;
    }
    let halvings = 5;
    let part = (u128::from(d) << POINT >> frac) >> halvings;
    let (mut positive, mut negative, mut term) = (0, 0, ONE);
    for n in 1..30 {
        *if n % 2 == 1 { &mut positive } else { &mut negative } += term;
        term = (term * part >> POINT) / n;
    }
    let mut value = positive - negative;
    for _ in 0..halvings {
        value = value * value >> POINT;
    }
    rounded(value, bits)
}

/// The same for distances from 0 up: each is the one before times `exp(-1 / 2^frac)`.
pub(super) fn by_steps(frac: u8, bits: u8, count: usize) -> Vec<i64> {
    // 1 / e, then a square root for every bit of fraction: sum of (-1)^n / n!, from the smallest term up.
    let mut factor = (1..=33u128).rev().fold(ONE, |inner, n| ONE - inner / n);
    for _ in 0..frac {
        factor = (factor << POINT).isqrt();
    }
    let steps = std::iter::successors(Some(ONE), |value| Some(value * factor >> POINT));
    steps.take(count).map(|value| rounded(value, bits)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_for_every_distance() {
        for (frac, bits) in [(0, 16), (1, 10), (4, 16), (8, 12), (12, 16), (16, 16)] {
            let steps = by_steps(frac, bits, 4096);
            for (d, step) in steps.iter().enumerate() {
                assert_eq!(*step, by_squares(d as u64, frac, bits), "{d} of {frac} with {bits}");
            }
        }
    }

    #[test]
    fn powers_of_e_are_known() {
        // 65536 / e, / e^2, / e^10 and / e^12, by hand.
        let found = [0, 1, 2, 10, 12].map(|d| by_squares(d, 0, 16));
        assert_eq!(found, [65536, 24109, 8869, 3, 0]);
    }
}
