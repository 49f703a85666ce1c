//! What several blocks share: templates of the back end, and small helpers.

pub(crate) mod cell;
pub(crate) mod circuit;
pub(crate) mod factors;
pub(crate) mod flat;
pub(crate) mod integrate;
pub(crate) mod lane;
pub(crate) mod leak;
pub(crate) mod membrane;
pub(crate) mod narrow;
pub(crate) mod neuron;
pub(crate) mod pattern;
pub(crate) mod per_element;
pub(crate) mod slide;
pub(crate) mod spikes;
pub(crate) mod window;

use nervure_core::block::Rng;
pub(crate) use nervure_core::num::counter_bits;
use nervure_core::{Area, Rate, Tensor, TensorType, vectorised};
use rand::RngExt;

/// Templates that the back end renders itself, by name.
pub(crate) const TEMPLATES: [(&str, &str); 13] = [
    ("module.v", include_str!("module.v.tera")),
    ("kernel.v", include_str!("kernel.v.tera")),
    ("elementwise.v", include_str!("elementwise.v.tera")),
    ("top.v", include_str!("top.v.tera")),
    ("bank.v", include_str!("bank.v.tera")),
    ("pair.v", include_str!("pair.v.tera")),
    ("store.v", include_str!("store.v.tera")),
    ("bus.v", include_str!("bus.v.tera")),
    ("tmr.v", include_str!("tmr.v.tera")),
    ("ecc.v", include_str!("ecc.v.tera")),
    ("ecc_put.v", include_str!("ecc_put.v.tera")),
    ("flop.v", include_str!("flop.v.tera")),
    ("i2c.v", include_str!("i2c.v.tera")),
];

/// Lookup tables and flip-flops.
pub(crate) fn area(lut: usize, ff: usize) -> Area {
    Area { lut: lut as u32, ff: ff as u32, ..Area::default() }
}

/// A random divisor of `n`, at most `max`.
pub(crate) fn divisor(n: usize, max: usize, rng: &mut Rng) -> usize {
    let all: Vec<usize> = (1..=n.min(max)).filter(|d| n.is_multiple_of(*d)).collect();
    all[rng.random_range(0..all.len())]
}

/// Random lanes for beats of `tensor`, at most 8; 1 for events.
pub(crate) fn lanes(tensor: &TensorType, rng: &mut Rng) -> usize {
    if tensor.rate == Rate::Event { 1 } else { divisor(tensor.len(), 8, rng) }
}

/// A random matrix of integers in `lo..=hi`.
pub(crate) fn matrix(rows: usize, columns: usize, lo: i64, hi: i64, rng: &mut Rng) -> Tensor {
    Tensor::new(&[rows, columns], (0..rows * columns).map(|_| rng.random_range(lo..=hi)).collect())
}

/// The interval of `sum w * x + b` over all rows, for inputs in `lo..=hi`: exact worst case.
///
/// Shapes: `weights: [out, in]`, `bias: [out]`.
pub(crate) fn sum_range(weights: &Tensor, bias: Option<&Tensor>, lo: i64, hi: i64) -> (i128, i128) {
    let mut range = (0i128, 0i128);
    // A row's sums fit 64 bits unless its numbers are enormous.
    let widest = vectorised(
        #[inline(always)]
        || weights.data.iter().fold(0, |most, w| w.unsigned_abs().max(most)),
    );
    let largest = u128::from(lo.unsigned_abs().max(hi.unsigned_abs())) * u128::from(widest);
    let short = largest < 1 << 62 && largest * (weights.data.len() as u128) < 1 << 62;
    for (row, w) in weights.rows().enumerate() {
        let b = bias.map_or(0, |b| b.data[row]) as i128;
        let (least, most) = if short {
            let ends = vectorised(
                #[inline(always)]
                || {
                    let ends = w.iter().map(|w| (w * lo, w * hi));
                    ends.fold((0, 0), |(l, m), (a, b)| (l + a.min(b), m + a.max(b)))
                },
            );
            (i128::from(ends.0), i128::from(ends.1))
        } else {
            let ends = w.iter().map(|&w| (w as i128 * lo as i128, w as i128 * hi as i128));
            ends.fold((0, 0), |(l, m), (a, b)| (l + a.min(b), m + a.max(b)))
        };
        // A sum is built up from zero, so zero and the bias alone are always among its partial values.
        range = (range.0.min(least + b), range.1.max(most + b));
    }
    range
}
