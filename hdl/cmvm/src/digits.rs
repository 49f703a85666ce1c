//! Canonical signed digits: no two neighbours differ from zero, and no other signed-digit form has fewer that do.
//!
//! Source: Reitwiesner, Binary arithmetic, Advances in Computers 1, 1960.

/// The powers of two that are added, and those that are subtracted.
pub(crate) const fn canonical(v: i64) -> (u64, u64) {
    let v = v as i128;
    let tripled = 3 * v;
    let differ = v ^ tripled;
    // A bit of 3v that differs from that of v marks a digit one place below; it is added where 3v has the bit.
    (((differ & tripled) >> 1) as u64, ((differ & v) >> 1) as u64)
}

/// How many digits differ from zero.
pub(crate) const fn weight(v: i64) -> u32 {
    let (plus, minus) = canonical(v);
    plus.count_ones() + minus.count_ones()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_add_up_and_have_no_neighbours() {
        for v in (-3000..3000).chain([i64::MAX >> 2, -(i64::MAX >> 2), 0x5555_5555_5555]) {
            let (plus, minus) = canonical(v);
            assert_eq!(i128::from(plus) - i128::from(minus), v.into(), "{v}");
            let all = plus | minus;
            assert_eq!((plus & minus, all & (all << 1)), (0, 0), "{v}");
            assert_eq!(weight(v), weight(-v));
        }
    }
}
