//! Where a tensor is not zero: few places, which a branch for each element would take long to find.
//!
//! Twice: in plain Rust, and without any branch where the processor can pack the lanes that a mask names.

use fearless_simd::Level;

/// Elements that [`list`] writes beyond those it counts, at most.
pub const SLACK: usize = 64;

/// Writes the places of elements that are not zero to `places`, in order; how many there are, and whether all of them are 1.
///
/// Panics beyond 65536 elements, and when `places` has not [`SLACK`] more elements than `x`.
pub fn list(x: &[i64], places: &mut [u16]) -> (usize, bool) {
    assert!(x.len() <= 1 << 16 && places.len() >= x.len() + SLACK, "there is room for every place");
    #[cfg(target_arch = "x86_64")]
    if let Some(avx512) = Level::new().as_avx512() {
        return packed::words(avx512, x, places);
    }
    plain(x, places)
}

fn plain(x: &[i64], places: &mut [u16]) -> (usize, bool) {
    let (mut count, mut seen) = (0, 0);
    for (n, chunk) in x.chunks(64).enumerate() {
        let mut bits = 0u64;
        for (i, &v) in chunk.iter().enumerate() {
            bits |= u64::from(v != 0) << i;
            seen |= v;
        }
        while bits != 0 {
            places[count] = (64 * n) as u16 + bits.trailing_zeros() as u16;
            count += 1;
            bits &= bits - 1;
        }
    }
    (count, seen & !1 == 0)
}

#[cfg(target_arch = "x86_64")]
mod packed {
    use fearless_simd::{SimdBase, SimdFrom, kernel, u8x64, u16x32, u64x8};
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi16, _mm512_castsi512_si256, _mm512_cvtepu8_epi16, _mm512_extracti64x4_epi64,
        _mm512_maskz_compress_epi8, _mm512_or_si512, _mm512_set1_epi16, _mm512_set1_epi64,
        _mm512_setzero_si512, _mm512_test_epi64_mask,
    };

    /// 0 to 63.
    const LANES: [u8; 64] = {
        let mut lanes = [0; 64];
        let mut n = 0;
        while n < 64 {
            lanes[n] = n as u8;
            n += 1;
        }
        lanes
    };

    kernel!(
        pub(super) fn words(avx512: Avx512, x: &[i64], places: &mut [u16]) -> (usize, bool) {
            let (mut count, mut seen) = (0, _mm512_setzero_si512());
            for (n, chunk) in x.chunks(64).enumerate() {
                let mut mask = 0;
                let (eights, rest) = chunk.as_chunks::<8>();
                let mut last = [0; 8];
                last[..rest.len()].copy_from_slice(rest);
                let last = (!rest.is_empty()).then_some(&last);
                for (n, eight) in eights.iter().chain(last).enumerate() {
                    let v: __m512i = u64x8::from_slice(avx512, &eight.map(|v| v as u64)).into();
                    seen = _mm512_or_si512(seen, v);
                    mask |= u64::from(_mm512_test_epi64_mask(v, v)) << (8 * n);
                }
                count += write(avx512, mask, 64 * n, &mut places[count..]);
            }
            (count, _mm512_test_epi64_mask(seen, _mm512_set1_epi64(!1)) == 0)
        }
    );

    kernel!(
        #[inline(always)]
        fn write(avx512: Avx512, mask: u64, base: usize, places: &mut [u16]) -> usize {
            let lanes: __m512i = u8x64::from_slice(avx512, &LANES).into();
            let packed = _mm512_maskz_compress_epi8(mask, lanes);
            let base = _mm512_set1_epi16(base as i16);
            let first = _mm512_add_epi16(_mm512_cvtepu8_epi16(_mm512_castsi512_si256(packed)), base);
            let rest = _mm512_add_epi16(_mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64::<1>(packed)), base);
            u16x32::simd_from(avx512, first).store_slice(&mut places[..32]);
            u16x32::simd_from(avx512, rest).store_slice(&mut places[32..64]);
            mask.count_ones() as usize
        }
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    #[test]
    fn places_are_the_same_however_they_are_found() {
        let mut rng = SmallRng::seed_from_u64(1);
        for round in 0..400 {
            let n = [0, 1, 7, 8, 63, 64, 65, 130, 784][round % 9];
            let (share, largest) = (rng.random_range(0..=100), [1, 1, 2, 255][round % 4]);
            let mut value =
                |_| if rng.random_range(0..100) < share { rng.random_range(1..=largest) } else { 0 };
            let sign = if round % 8 < 4 { 1 } else { -1 };
            let words: Vec<i64> = (0..n).map(|n| sign * (value(n) << (40 * (round % 2)))).collect();
            let places = |f: &dyn Fn(&mut [u16]) -> (usize, bool)| {
                let mut places = vec![0; n + SLACK];
                let (count, ones) = f(&mut places);
                (places[..count].to_vec(), ones)
            };
            let exact = |v: &[i64]| {
                let places = (0..n as u16).filter(|i| v[usize::from(*i)] != 0).collect::<Vec<_>>();
                (places, v.iter().all(|v| [0, 1].contains(v)))
            };
            assert_eq!(places(&|p| list(&words, p)), exact(&words));
            assert_eq!(places(&|p| plain(&words, p)), exact(&words));
        }
    }
}
