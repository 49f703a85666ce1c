//! Spikes as bits: 64 to a word, the first lowest, zeros behind the last.

use fearless_simd::Level;

use super::vectorised;

/// Places that [`nibbles`] writes beyond those it counts, at most.
pub const SLACK: usize = 32;

/// Words that hold `len` bits.
pub const fn words(len: usize) -> usize {
    len.div_ceil(64)
}

/// An integer that is zero or not.
pub trait Integer: Copy + Default + PartialEq {
    /// A word for each 64, for processors with AVX-512; nothing for others.
    fn packed(x: &[[Self; 64]], words: &mut [u64]) -> bool;
}

/// One bit for each of `x`: whether it is not zero.
pub fn pack<T: Integer>(x: &[T], words: &mut [u64]) {
    let (chunks, rest) = x.as_chunks::<64>();
    if !T::packed(chunks, words) {
        words.iter_mut().zip(chunks).for_each(|(word, chunk)| *word = gather(chunk));
    }
    if !rest.is_empty() {
        words[chunks.len()] = gather(rest);
    }
}

fn gather<T: Integer>(chunk: &[T]) -> u64 {
    chunk.iter().enumerate().fold(0, |word, (i, v)| word | u64::from(*v != T::default()) << i)
}

macro_rules! integers {
    ($($type:ident),*) => {$(
        impl Integer for $type {
            fn packed(x: &[[Self; 64]], words: &mut [u64]) -> bool {
                #[cfg(target_arch = "x86_64")]
                return Level::new().as_avx512().is_some_and(|avx512| packed::$type(avx512, x, words));
                #[cfg(not(target_arch = "x86_64"))]
                false
            }
        }
    )*};
}
integers!(u8, i16, i32, i64);

/// The `len` bits of `all` from bit `start` on.
pub fn part(all: &[u64], start: usize, len: usize, words: &mut [u64]) {
    let (all, shift) = (&all[start / 64..], start % 64);
    let Some(last) = words.len().checked_sub(1) else { return };
    vectorised(
        #[inline(always)]
        || {
            for (word, (low, high)) in words.iter_mut().zip(all.iter().zip(&all[1.min(all.len())..])) {
                // No word has a 65th bit.
                *word = low >> shift | (high << 1) << (63 - shift);
            }
        },
    );
    if all.len() == words.len() {
        words[last] = all[last] >> shift;
    }
    words[last] &= u64::MAX >> (64 * words.len() - len);
}

/// 0 or 1 for each bit.
pub fn unpack(words: &[u64], x: &mut [i64]) {
    vectorised(
        #[inline(always)]
        || {
            for (word, chunk) in words.iter().zip(x.chunks_mut(64)) {
                chunk.iter_mut().enumerate().for_each(|(i, x)| *x = (word >> i & 1) as i64);
            }
        },
    );
}

/// Which bits are set, four at a time: `16 * n + v` for every group `n` of four bits whose value `v` is not zero, in order.
/// The answer is how many there are.
///
/// Panics beyond 4096 groups, and when `places` has not [`SLACK`] more elements than there are groups.
pub fn nibbles(words: &[u64], places: &mut [u16]) -> usize {
    assert!(words.len() <= 256 && places.len() >= 16 * words.len() + SLACK, "there is room for every place");
    #[cfg(target_arch = "x86_64")]
    if let Some(avx512) = Level::new().as_avx512() {
        return packed::nibbles(avx512, words, places);
    }
    plain(words, places)
}

fn plain(words: &[u64], places: &mut [u16]) -> usize {
    let mut count = 0;
    for (n, &word) in words.iter().enumerate() {
        // The lowest bit of each group that is not empty.
        let mut left = (word | word >> 1 | word >> 2 | word >> 3) & 0x1111_1111_1111_1111;
        while left != 0 {
            let bit = left.trailing_zeros();
            places[count] = (256 * n) as u16 + 4 * bit as u16 + (word >> bit & 15) as u16;
            count += 1;
            left &= left - 1;
        }
    }
    count
}

#[cfg(target_arch = "x86_64")]
mod packed {
    use fearless_simd::{SimdBase, SimdFrom, i16x32, i32x16, i64x8, kernel, u8x64, u16x32};
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi16, _mm512_and_si512, _mm512_maskz_compress_epi16, _mm512_set_epi64,
        _mm512_set1_epi16, _mm512_shuffle_epi8, _mm512_srlv_epi16, _mm512_test_epi8_mask,
        _mm512_test_epi16_mask, _mm512_test_epi32_mask, _mm512_test_epi64_mask,
    };

    /// Multiples of `step`, starting again after `modulus` of them.
    const fn lanes(step: u16, modulus: u16) -> [u16; 32] {
        let mut lanes = [0; 32];
        let mut n = 0;
        while n < 32 {
            lanes[n] = n as u16 % modulus * step;
            n += 1;
        }
        lanes
    }

    /// Where each group of four bits begins in its 16 bits.
    const SHIFT: [u16; 32] = lanes(4, 4);
    /// 16 times the number of the group.
    const BASE: [u16; 32] = lanes(16, 32);
    /// Bytes of the 16 bits that each group is in: every other quarter of a vector takes the low half of its 64 bits.
    const SPREAD: [u16; 32] = {
        let mut spread = [0; 32];
        let mut n = 0;
        while n < 32 {
            let first = (n as u16 / 4) % 4 * 2;
            spread[n] = first | (first + 1) << 8;
            n += 1;
        }
        spread
    };

    kernel!(
        pub(super) fn u8(avx512: Avx512, x: &[[u8; 64]], words: &mut [u64]) -> bool {
            for (word, x) in words.iter_mut().zip(x) {
                let v: __m512i = u8x64::simd_from(avx512, *x).into();
                *word = _mm512_test_epi8_mask(v, v);
            }
            true
        }
    );

    kernel!(
        pub(super) fn i16(avx512: Avx512, x: &[[i16; 64]], words: &mut [u64]) -> bool {
            for (word, x) in words.iter_mut().zip(x) {
                *word = 0;
                for (n, part) in x.as_chunks().0.iter().enumerate() {
                    let v: __m512i = i16x32::simd_from(avx512, *part).into();
                    *word |= u64::from(_mm512_test_epi16_mask(v, v)) << (32 * n);
                }
            }
            true
        }
    );

    kernel!(
        pub(super) fn i32(avx512: Avx512, x: &[[i32; 64]], words: &mut [u64]) -> bool {
            for (word, x) in words.iter_mut().zip(x) {
                *word = 0;
                for (n, part) in x.as_chunks().0.iter().enumerate() {
                    let v: __m512i = i32x16::simd_from(avx512, *part).into();
                    *word |= u64::from(_mm512_test_epi32_mask(v, v)) << (16 * n);
                }
            }
            true
        }
    );

    kernel!(
        pub(super) fn i64(avx512: Avx512, x: &[[i64; 64]], words: &mut [u64]) -> bool {
            for (word, x) in words.iter_mut().zip(x) {
                *word = 0;
                for (n, part) in x.as_chunks().0.iter().enumerate() {
                    let v: __m512i = i64x8::simd_from(avx512, *part).into();
                    *word |= u64::from(_mm512_test_epi64_mask(v, v)) << (8 * n);
                }
            }
            true
        }
    );

    kernel!(
        pub(super) fn nibbles(avx512: Avx512, words: &[u64], places: &mut [u16]) -> usize {
            let [shift, base, spread]: [__m512i; 3] =
                [SHIFT, BASE, SPREAD].map(|lanes| u16x32::from_slice(avx512, &lanes).into());
            let mut count = 0;
            for (n, pair) in words.chunks(2).enumerate() {
                let (a, b) = (pair[0] as i64, pair.get(1).map_or(0, |b| *b as i64));
                let both = _mm512_set_epi64(0, b, 0, b, 0, a, 0, a);
                let groups = _mm512_srlv_epi16(_mm512_shuffle_epi8(both, spread), shift);
                let groups = _mm512_and_si512(groups, _mm512_set1_epi16(15));
                let mask = _mm512_test_epi16_mask(groups, groups);
                let first = _mm512_set1_epi16((512 * n) as i16);
                let all = _mm512_add_epi16(_mm512_add_epi16(groups, base), first);
                let found = _mm512_maskz_compress_epi16(mask, all);
                u16x32::simd_from(avx512, found).store_slice(&mut places[count..count + 32]);
                count += mask.count_ones() as usize;
            }
            count
        }
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    #[test]
    fn bits_are_the_same_however_they_are_held() {
        let mut rng = SmallRng::seed_from_u64(1);
        for round in 0..400 {
            let n = [1, 7, 8, 63, 64, 65, 128, 130, 784][round % 9];
            let share = rng.random_range(0..=100);
            let values: Vec<i64> = (0..n).map(|_| i64::from(rng.random_range(0..100) < share)).collect();
            let bytes: Vec<u8> = values.iter().map(|v| 3 * *v as u8).collect();
            let mut packed = vec![u64::MAX; words(n)];
            pack(&bytes, &mut packed);
            let mut again = vec![[u64::MAX; 3]; words(n)];
            for (n, word) in again.iter_mut().enumerate() {
                let some = &values[64 * n..values.len().min(64 * n + 64)];
                pack(some, &mut word[..1]);
                pack(&some.iter().map(|v| -(*v as i16)).collect::<Vec<_>>(), &mut word[1..2]);
                pack(&some.iter().map(|v| -(*v as i32)).collect::<Vec<_>>(), &mut word[2..]);
            }
            assert!(again.iter().zip(&packed).all(|(again, word)| *again == [*word; 3]));
            let mut back = vec![7; n];
            unpack(&packed, &mut back);
            assert_eq!(back, values);

            let (start, len) = (rng.random_range(0..n), rng.random_range(0..=n));
            let len = len.min(n - start);
            let (mut cut, mut exact) = (vec![u64::MAX; words(len)], vec![0; words(len)]);
            part(&packed, start, len, &mut cut);
            pack(&values[start..start + len], &mut exact);
            assert_eq!(cut, exact);

            let value = |chunk: &[i64]| chunk.iter().rev().fold(0, |v, bit| 2 * v + *bit as u16);
            let groups = values.chunks(4).enumerate().map(|(n, chunk)| (n as u16, value(chunk)));
            let exact: Vec<u16> = groups.filter(|(_, v)| *v != 0).map(|(n, v)| 16 * n + v).collect();
            for find in [nibbles, plain] {
                let mut places = vec![0; 16 * packed.len() + SLACK];
                let count = find(&packed, &mut places);
                assert_eq!(places[..count], exact);
            }
        }
    }
}
