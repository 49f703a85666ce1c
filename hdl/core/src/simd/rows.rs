//! Sums of rows of bytes, row numbers being listed: for each of many lists, one row of sums.
//!
//! Twice: in plain Rust, and with whole vectors of bytes where the processor has such.

use fearless_simd::Level;

use super::vectorised;

/// Elements of a row.
pub const ROW: usize = 128;
/// Rows that are added at once: every list is as long as a multiple of it.
pub const ROUND: usize = 8;
/// Rows of which 8 bits hold any sum.
pub const SMALL: usize = 4;

/// Adds to each of `sums`, from number `first` on and then every `stride`, the rows of `table` that its list in `places` names. The
/// lists lie one behind the other; `ends` says where.
///
/// Sums of [`SMALL`] rows must not leave 8 bits, and the sums themselves not 16. Panics for a list whose length is not a
/// multiple of [`ROUND`], or that names no row.
pub fn add(
    table: &[[i8; ROW]],
    places: &[u16],
    ends: &[usize],
    sums: &mut [[i16; ROW]],
    first: usize,
    stride: usize,
) {
    assert!(ends.iter().all(|end| end.is_multiple_of(ROUND)), "lists are filled up");
    #[cfg(target_arch = "x86_64")]
    if let Some(avx512) = Level::new().as_avx512() {
        return packed::add(avx512, table, places, ends, sums, first, stride);
    }
    plain(table, places, ends, sums, first, stride);
}

fn plain(
    table: &[[i8; ROW]],
    places: &[u16],
    ends: &[usize],
    sums: &mut [[i16; ROW]],
    first: usize,
    stride: usize,
) {
    vectorised(
        #[inline(always)]
        || {
            let mut start = 0;
            for (sum, &end) in sums[first..].iter_mut().step_by(stride).zip(ends) {
                // A copy, which no row can overlap: the compiler need not look.
                let mut total = *sum;
                for some in places[start..end].as_chunks::<SMALL>().0 {
                    let [a, b, c, d] = some.map(
                        #[inline(always)]
                        |place| &table[usize::from(place)],
                    );
                    for i in 0..ROW {
                        total[i] += i16::from((a[i] + b[i]) + (c[i] + d[i]));
                    }
                }
                *sum = total;
                start = end;
            }
        },
    );
}

#[cfg(target_arch = "x86_64")]
mod packed {
    use super::{ROUND, ROW};
    use fearless_simd::{SimdBase, SimdFrom, i8x64, i16x32, kernel};
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi8, _mm512_add_epi16, _mm512_maddubs_epi16, _mm512_permutex2var_epi64,
        _mm512_set_epi64, _mm512_set1_epi8, _mm512_setzero_si512, _mm512_unpackhi_epi8, _mm512_unpacklo_epi8,
    };

    kernel!(
        pub(super) fn add(
            avx512: Avx512,
            table: &[[i8; ROW]],
            places: &[u16],
            ends: &[usize],
            sums: &mut [[i16; ROW]],
            first: usize,
            stride: usize,
        ) {
            let ones = _mm512_set1_epi8(1);
            // From the order that unpacking leaves: eights of each quarter, the low ones apart from the high ones.
            let low = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
            let high = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
            let mut start = 0;
            for (sum, &end) in sums[first..].iter_mut().step_by(stride).zip(ends) {
                let mut total = [_mm512_setzero_si512(); 4];
                for some in places[start..end].as_chunks::<ROUND>().0 {
                    // Without closures, which would be compiled for older processors.
                    let mut rows = [[_mm512_setzero_si512(); 2]; ROUND];
                    for (row, place) in rows.iter_mut().zip(some) {
                        let halves = table[usize::from(*place)].as_chunks::<64>().0;
                        row[0] = i8x64::simd_from(avx512, halves[0]).into();
                        row[1] = i8x64::simd_from(avx512, halves[1]).into();
                    }
                    for half in 0..2 {
                        let [a, b, c, d, e, f, g, h] = rows;
                        let [a, b, c, d] = [a[half], b[half], c[half], d[half]];
                        let [e, f, g, h] = [e[half], f[half], g[half], h[half]];
                        let s = _mm512_add_epi8(_mm512_add_epi8(a, b), _mm512_add_epi8(c, d));
                        let t = _mm512_add_epi8(_mm512_add_epi8(e, f), _mm512_add_epi8(g, h));
                        let even = _mm512_maddubs_epi16(ones, _mm512_unpacklo_epi8(s, t));
                        let odd = _mm512_maddubs_epi16(ones, _mm512_unpackhi_epi8(s, t));
                        total[2 * half] = _mm512_add_epi16(total[2 * half], even);
                        total[2 * half + 1] = _mm512_add_epi16(total[2 * half + 1], odd);
                    }
                }
                for (half, parts) in sum.as_chunks_mut::<64>().0.iter_mut().enumerate() {
                    let (even, odd) = (total[2 * half], total[2 * half + 1]);
                    let orders = parts.as_chunks_mut::<32>().0.iter_mut().zip([low, high]);
                    for (part, order) in orders {
                        let before: __m512i = i16x32::simd_from(avx512, *part).into();
                        let after = _mm512_add_epi16(before, _mm512_permutex2var_epi64(even, order, odd));
                        i16x32::simd_from(avx512, after).store_slice(part);
                    }
                }
                start = end;
            }
        }
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    #[test]
    fn sums_are_the_same_however_they_are_made() {
        let mut rng = SmallRng::seed_from_u64(1);
        for _ in 0..50 {
            let table: Vec<[i8; ROW]> =
                (0..40).map(|_| std::array::from_fn(|_| rng.random_range(-32..=31))).collect();
            let stride = rng.random_range(1..3);
            let mut end = 0;
            let ends: Vec<usize> = (0..rng.random_range(1..6))
                .map(|_| {
                    end += ROUND * rng.random_range(0..4);
                    end
                })
                .collect();
            let places: Vec<u16> = (0..end).map(|_| rng.random_range(0..40)).collect();
            let mut exact: Vec<[i16; ROW]> =
                vec![std::array::from_fn(|i| i as i16 - 60); stride * ends.len()];
            let (mut one, mut other) = (exact.clone(), exact.clone());
            let mut start = 0;
            for (n, &end) in ends.iter().enumerate() {
                for &place in &places[start..end] {
                    let row = table[usize::from(place)];
                    let sum = &mut exact[stride - 1 + n * stride];
                    sum.iter_mut().zip(row).for_each(|(s, v)| *s += i16::from(v));
                }
                start = end;
            }
            add(&table, &places, &ends, &mut one, stride - 1, stride);
            plain(&table, &places, &ends, &mut other, stride - 1, stride);
            assert_eq!((one, other), (exact.clone(), exact));
        }
    }
}
