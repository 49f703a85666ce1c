//! Inputs of a network, and what is expected of it.

use crate::network::Network;
use crate::simd::{bits, vectorised};
use crate::tensor::Rate;

/// Integers in the narrowest of four widths, so that whole test sets fit in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elements {
    /// 0 or 1, as [`bits`] has them, one element right behind the other.
    Bits {
        /// Number of elements.
        len: usize,
        /// 64 elements each.
        words: Vec<u64>,
    },
    /// 0 to 255.
    U8(Vec<u8>),
    /// 16 bits with sign.
    I16(Vec<i16>),
    /// 64 bits with sign.
    I64(Vec<i64>),
}

impl Elements {
    /// Elements of which each is 0 or 1.
    pub fn bits(values: &[u8]) -> Self {
        let mut words = vec![0; bits::words(values.len())];
        bits::pack(values, &mut words);
        Self::Bits { len: values.len(), words }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Bits { len, .. } => *len,
            Self::U8(v) => v.len(),
            Self::I16(v) => v.len(),
            Self::I64(v) => v.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies the elements from `start` on into `out`.
    pub fn copy(&self, start: usize, out: &mut [i64]) {
        let end = start + out.len();
        vectorised(
            #[inline(always)]
            || match self {
                Self::Bits { words, .. } => {
                    let bit = |n: usize| (words[n / 64] >> (n % 64) & 1) as i64;
                    out.iter_mut().zip(start..).for_each(|(o, n)| *o = bit(n));
                }
                Self::U8(v) => out.iter_mut().zip(&v[start..end]).for_each(|(o, &x)| *o = x.into()),
                Self::I16(v) => out.iter_mut().zip(&v[start..end]).for_each(|(o, &x)| *o = x.into()),
                Self::I64(v) => out.copy_from_slice(&v[start..end]),
            },
        );
    }
}

/// A set of samples for one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    /// Number of samples.
    pub count: usize,
    /// Time steps of each; 1 where every input passes once a frame.
    pub steps: usize,
    /// One per network input: `[count, steps, len]`, or `[count, len]` for an input that passes once a frame.
    /// Of an input that passes as events, the number of events of each address.
    pub inputs: Vec<Elements>,
    /// Class of each sample.
    pub labels: Option<Vec<i64>>,
    /// What the only output should be: `[count, len]`.
    pub targets: Option<Elements>,
}

impl Samples {
    /// Copies sample `sample` of input `input` at time step `step` into `out`.
    pub fn input(&self, network: &Network, input: usize, sample: usize, step: usize, out: &mut [i64]) {
        self.inputs[input].copy(self.frame(network, input, sample, step) * out.len(), out);
    }

    /// The same as [`bits`], where it is stored as such; otherwise nothing happens, and the answer is false.
    pub fn bits(
        &self,
        network: &Network,
        input: usize,
        sample: usize,
        step: usize,
        words: &mut [u64],
    ) -> bool {
        let Elements::Bits { words: all, .. } = &self.inputs[input] else { return false };
        let len = network.inputs[input].tensor.len();
        bits::part(all, self.frame(network, input, sample, step) * len, len, words);
        true
    }

    fn frame(&self, network: &Network, input: usize, sample: usize, step: usize) -> usize {
        match network.inputs[input].tensor.rate {
            Rate::Frame => sample,
            Rate::Step | Rate::Event => sample * self.steps + step,
        }
    }

    /// As many samples as it takes to have at least `count`: these again and again, without what is expected of them.
    #[must_use]
    pub fn repeated(&self, count: usize) -> Self {
        let times = count.div_ceil(self.count.max(1)).max(1);
        let again = |e: &Elements| {
            let mut all = vec![0; e.len()];
            e.copy(0, &mut all);
            Elements::I64(all.repeat(times))
        };
        Self {
            count: self.count * times,
            steps: self.steps,
            inputs: self.inputs.iter().map(again).collect(),
            labels: None,
            targets: None,
        }
    }

    /// The first `count` samples.
    #[must_use]
    pub fn take(&self, count: usize) -> Self {
        let count = count.min(self.count);
        let cut = |e: &Elements| {
            let len = e.len() / self.count.max(1) * count;
            match e {
                Elements::Bits { words: all, .. } => {
                    let mut words = vec![0; bits::words(len)];
                    bits::part(all, 0, len, &mut words);
                    Elements::Bits { len, words }
                }
                Elements::U8(v) => Elements::U8(v[..len].to_vec()),
                Elements::I16(v) => Elements::I16(v[..len].to_vec()),
                Elements::I64(v) => Elements::I64(v[..len].to_vec()),
            }
        };
        Self {
            count,
            steps: self.steps,
            inputs: self.inputs.iter().map(cut).collect(),
            labels: self.labels.as_ref().map(|l| l[..count].to_vec()),
            targets: self.targets.as_ref().map(cut),
        }
    }
}
