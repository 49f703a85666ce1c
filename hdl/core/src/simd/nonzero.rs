//! Where a tensor is not zero: few places, which a branch for each element would take long to find.
//!
//! Twice: in plain Rust, and without any branch where the processor can pack the lanes that a mask names.

use fearless_simd::Level;

/// Elements that [`list`] writes beyond those it counts, at most.
pub const SLACK: usize = 64;

/// An element that is zero or not.
pub trait Element: Copy + Into<i64> {
    /// [`list`], for processors with AVX-512; nothing for others.
    fn packed(x: &[Self], places: &mut [u16]) -> Option<(usize, bool)>;
}

/// Writes the places of elements that are not zero to `places`, in order; how many there are, and whether all of them are 1.
///
/// Panics beyond 65536 elements, and when `places` has not [`SLACK`] more elements than `x`.
pub fn list<E: Element>(x: &[E], places: &mut [u16]) -> (usize, bool) {
    assert!(x.len() <= 1 << 16 && places.len() >= x.len() + SLACK, "there is room for every place");
    E::packed(x, places).unwrap_or_else(|| plain(x, places))
}

fn plain<E: Element>(x: &[E], places: &mut [u16]) -> (usize, bool) {
    let (mut count, mut seen) = (0, 0);
    for (n, chunk) in x.chunks(64).enumerate() {
        let mut bits = 0u64;
        for (i, &v) in chunk.iter().enumerate() {
            let v: i64 = v.into();
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

impl Element for u8 {
    fn packed(x: &[Self], places: &mut [u16]) -> Option<(usize, bool)> {
        #[cfg(target_arch = "x86_64")]
        return Level::new().as_avx512().map(|avx512| packed::bytes(avx512, x, places));
        #[cfg(not(target_arch = "x86_64"))]
        None
    }
}

impl Element for i64 {
    fn packed(x: &[Self], places: &mut [u16]) -> Option<(usize, bool)> {
        #[cfg(target_arch = "x86_64")]
        return Level::new().as_avx512().map(|avx512| packed::words(avx512, x, places));
        #[cfg(not(target_arch = "x86_64"))]
        None
    }
}

#[cfg(target_arch = "x86_64")]
mod packed {
    use fearless_simd::{SimdBase, SimdFrom, kernel, u8x64, u16x32, u64x8};
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi16, _mm512_castsi512_si256, _mm512_cvtepu8_epi16, _mm512_extracti64x4_epi64,
        _mm512_maskz_compress_epi8, _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_set1_epi64,
        _mm512_setzero_si512, _mm512_test_epi8_mask, _mm512_test_epi64_mask,
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
        pub(super) fn bytes(avx512: Avx512, x: &[u8], places: &mut [u16]) -> (usize, bool) {
            let (mut count, mut seen) = (0, _mm512_setzero_si512());
            for (n, chunk) in x.chunks(64).enumerate() {
                let mut whole = [0; 64];
                let chunk = chunk.first_chunk::<64>().unwrap_or_else(|| {
                    whole[..chunk.len()].copy_from_slice(chunk);
                    &whole
                });
                let v: __m512i = u8x64::from_slice(avx512, chunk).into();
                seen = _mm512_or_si512(seen, v);
                count += write(avx512, _mm512_test_epi8_mask(v, v), 64 * n, &mut places[count..]);
            }
            (count, _mm512_test_epi8_mask(seen, _mm512_set1_epi8(!1)) == 0)
        }
    );

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
            let value = |_| if rng.random_range(0..100) < share { rng.random_range(1..=largest) } else { 0 };
            let bytes: Vec<u8> = (0..n).map(value).collect();
            let sign = if round % 8 < 4 { 1 } else { -1 };
            let words: Vec<i64> =
                bytes.iter().map(|v| sign * (i64::from(*v) << (40 * (round % 2)))).collect();
            let places = |f: &dyn Fn(&mut [u16]) -> (usize, bool)| {
                let mut places = vec![0; n + SLACK];
                let (count, ones) = f(&mut places);
                (places[..count].to_vec(), ones)
            };
            let exact = |v: &[i64]| {
                let places = (0..n as u16).filter(|i| v[usize::from(*i)] != 0).collect::<Vec<_>>();
                (places, v.iter().all(|v| [0, 1].contains(v)))
            };
            let wide: Vec<i64> = bytes.iter().map(|v| (*v).into()).collect();
            assert_eq!(places(&|p| list(&bytes, p)), exact(&wide));
            assert_eq!(places(&|p| plain(&bytes, p)), exact(&wide));
            assert_eq!(places(&|p| list(&words, p)), exact(&words));
            assert_eq!(places(&|p| plain(&words, p)), exact(&words));
        }
    }
}
