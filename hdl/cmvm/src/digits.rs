//! Canonical signed digits: no two neighbours differ from zero, and no other signed-digit form has fewer that do.
//!
//! Values are below `2^61` in magnitude, so that three times as much is still an integer of 64 bits.
//!
//! Source: Reitwiesner, Binary arithmetic, Advances in Computers 1, 1960.

use crate::Term;

/// The powers of two that are added, and those that are subtracted.
pub(crate) const fn canonical(v: i64) -> (u64, u64) {
    let tripled = 3 * v;
    let differ = v ^ tripled;
    // A bit of 3v that differs from that of v marks a digit one place below; it is added where 3v has the bit.
    ((differ & tripled) as u64 >> 1, (differ & v) as u64 >> 1)
}

/// The digits of `v` as terms of `node`.
pub(crate) fn terms(node: u32, v: i64) -> impl Iterator<Item = Term> {
    let (plus, minus) = canonical(v);
    let shifts = (0..64u8).filter(move |n| (plus | minus) >> n & 1 == 1);
    shifts.map(move |shift| Term { node, shift, negative: minus >> shift & 1 == 1 })
}

/// How many digits differ from zero.
pub(crate) const fn weight(v: i64) -> u32 {
    const SMALL: [u8; 1 << 12] = {
        let mut table = [0; 1 << 12];
        let mut v = 0;
        while v < table.len() {
            table[v] = (v ^ (3 * v)).count_ones() as u8;
            v += 1;
        }
        table
    };
    let v = v.unsigned_abs();
    if v < 1 << 12 { SMALL[v as usize] as u32 } else { (v ^ (3 * v)).count_ones() }
}

/// Bits that are set. Not all processors that we are compiled for count them in one step.
pub(crate) const fn ones(mask: u64) -> u32 {
    const SMALL: [u8; 1 << 12] = {
        let mut table = [0; 1 << 12];
        let mut mask = 0;
        while mask < table.len() {
            table[mask] = mask.count_ones() as u8;
            mask += 1;
        }
        table
    };
    if mask < 1 << 12 { SMALL[mask as usize] as u32 } else { mask.count_ones() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_add_up_and_have_no_neighbours() {
        for v in (-3000..3000).chain([i64::MAX >> 3, -(i64::MAX >> 3), 0x5555_5555_5555]) {
            let (plus, minus) = canonical(v);
            assert_eq!(i128::from(plus) - i128::from(minus), v.into(), "{v}");
            let all = plus | minus;
            assert_eq!((plus & minus, all & (all << 1)), (0, 0), "{v}");
            assert_eq!(weight(v), weight(-v));
        }
    }
}
