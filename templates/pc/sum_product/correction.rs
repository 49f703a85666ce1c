//! `log2(1 + 2^-x)` in integers, twice: the golden model and the hardware each have their own way, so that a mistake in one shows.
//! Deliberately absent: floating point.

/// Bits behind the point in here.
const POINT: u32 = 60;
const ONE: u128 = 1 << POINT;

fn rounded(value: u128, frac: u8) -> i64 {
    let dropped = POINT - u32::from(frac);
    ((value + (1 << (dropped - 1))) >> dropped) as i64
}

/// `2 artanh(v) = 2 (v + v^3 / 3 + v^5 / 5 + ...)`, for `v` of at most 1/3.
fn double_artanh(v: u128) -> u128 {
    let (mut sum, mut power) = (0, v);
    for n in (1..60).step_by(2) {
        sum += power / n;
        power = (power * v >> POINT) * v >> POINT;
    }
    2 * sum
}

/// `round(2^frac log2(1 + 2^(-d / 2^frac)))`, from series: `ln 2`, `e^-x` and `ln(1 + z) = 2 artanh(z / (2 + z))`.
pub(super) fn by_series(d: u64, frac: u8) -> i64 {
    let ln2 = double_artanh(ONE / 3);
    let (whole, part) = (d >> frac, d & ((1 << frac) - 1));
    if whole >= 40 {
        return 0;
    }
    let x = (u128::from(part) << POINT >> frac) * ln2 >> POINT;
    let (mut positive, mut negative, mut term) = (0, 0, ONE);
    for n in 1..40 {
        *if n % 2 == 1 { &mut positive } else { &mut negative } += term;
        term = (term * x >> POINT) / n;
    }
    let z = (positive - negative) >> whole;
    let natural = double_artanh((z << POINT) / (2 * ONE + z));
    rounded((natural << POINT) / ln2, frac)
}

/// The same for all distances from 0 up to the first whose correction is 0: powers by steps, logarithms bit by bit from squares.
pub(super) fn by_squares(frac: u8) -> Vec<i64> {
    let mut factor = ONE / 2;
    for _ in 0..frac {
        factor = (factor << POINT).isqrt();
    }
    let (mut power, mut table) = (ONE, Vec::new());
    while table.last() != Some(&0) {
        table.push(rounded(log2(ONE + power), frac));
        power = power * factor >> POINT;
    }
    table
}

/// The logarithm to base 2 of a number from 1 to 2.
fn log2(mut y: u128) -> u128 {
    if y == 2 * ONE {
        return ONE;
    }
    let mut result = 0;
    for bit in (POINT - 44..POINT).rev() {
        y = y * y >> POINT;
        if y >= 2 * ONE {
            result |= 1 << bit;
            y >>= 1;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_for_every_distance() {
        for frac in 0..=8 {
            let table = by_squares(frac);
            assert_eq!((table[0], table[table.len() - 1]), (1 << frac, 0));
            for (d, c) in table.iter().enumerate() {
                assert_eq!(*c, by_series(d as u64, frac), "{d} of {frac}");
            }
            assert_eq!(by_series(table.len() as u64 + 5, frac), 0);
        }
    }

    #[test]
    fn some_corrections_are_known() {
        // 256 log2(1.5), log2(1.25) and log2(1 + 1/64), by hand.
        assert_eq!([256, 512, 1536].map(|d| by_series(d, 8)), [150, 82, 6]);
    }
}
