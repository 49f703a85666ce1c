//! N:M weights as hardware stores them: for each block and slot a plane of values and one of indices.

use nervure_core::Tensor;

use crate::shared::pattern::Pattern;

/// Values and their places in the block, both `[block, slot, out]`, the last axis fastest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planes {
    pub(super) values: Vec<i64>,
    pub(super) index: Vec<i64>,
}

/// The planes of `weights`, which have the pattern. Indices ascend; absent slots are value 0, index 0.
///
/// Shapes: `weights: [out, in]`.
pub(super) fn planes(weights: &Tensor, pattern: Pattern) -> Planes {
    let Pattern { n, m } = pattern;
    let (outputs, blocks) = (weights.shape[0], weights.shape[1].div_ceil(m));
    let mut planes = Planes { values: vec![0; blocks * n * outputs], index: vec![0; blocks * n * outputs] };
    for (output, row) in weights.rows().enumerate() {
        for (block, weights) in row.chunks(m).enumerate() {
            let kept = weights.iter().enumerate().filter(|(_, w)| **w != 0);
            for (slot, (index, &value)) in kept.enumerate() {
                let at = (block * n + slot) * outputs + output;
                planes.values[at] = value;
                planes.index[at] = index as i64;
            }
        }
    }
    planes
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nervure_core::block::Block;
    use nervure_core::{QType, TensorType};
    use serde_json::Value;

    use super::super::{NmArray, Params};
    use super::*;

    /// Nested lists of integers, flat.
    fn flat(value: &Value) -> Vec<i64> {
        value.as_array().map_or_else(
            || vec![value.as_i64().expect("an integer")],
            |list| list.iter().flat_map(flat).collect(),
        )
    }

    #[test]
    fn absent_slots_are_zero_and_the_tail_is_ragged() {
        let weights = Tensor::new(&[2, 5], vec![0, 4, 0, -3, 7, 0, 0, 0, 0, 0]);
        let planes = planes(&weights, Pattern { n: 2, m: 4 });
        assert_eq!(planes.values, [4, 0, -3, 0, 7, 0, 0, 0]);
        assert_eq!(planes.index, [1, 0, 3, 0, 0, 0, 0, 0]);
    }

    /// Cases made outside of this project: see their README.
    #[test]
    fn planes_and_sums_are_those_of_the_neutral_cases() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/nm/tiny.json");
        let Ok(text) = std::fs::read_to_string(&file) else {
            eprintln!(
                "skipped planes_and_sums_are_those_of_the_neutral_cases: the data is no part of the project"
            );
            return;
        };
        let cases: Vec<Value> = serde_json::from_str(&text).expect("tiny.json is JSON");
        let mut seen = 0;
        for case in &cases {
            let size = |key: &str| case[key].as_u64().unwrap_or(99) as usize;
            let pattern = Pattern { n: size("n"), m: size("m") };
            if pattern.m > 8 || case["A"].is_null() {
                continue; // Blocks of 16 are not offered; the extreme case is filled, not listed (below).
            }
            let (x, w) = (flat(&case["A"]), &case["W"]);
            let rows = case["A"].as_array().expect("a matrix").len();
            let (inputs, outputs) =
                (w.as_array().expect("a matrix").len(), w[0].as_array().expect("a row").len());
            let w = flat(w);
            let transposed = (0..outputs)
                .flat_map(|o| (0..inputs).map(move |i| i * outputs + o))
                .map(|at| w[at])
                .collect();
            let (lo, hi) = (x.iter().min().expect("not empty"), x.iter().max().expect("not empty"));
            let p = Params {
                input: TensorType::frame(&[rows, inputs], QType::holding((*lo).into(), (*hi).into(), 0)),
                weights: Tensor::new(&[outputs, inputs], transposed),
                weight_format: QType::signed(8),
                bias: None,
                pattern,
                columns: 1,
                accumulator: None,
            };
            NmArray::interface(&p).expect("a neutral case is valid");
            let mut y = vec![0; rows * outputs];
            NmArray::step(&p, &mut (), &[&x], &mut [&mut y]);
            assert_eq!(y, flat(&case["acc"]), "{}", case["pattern"]);
            let ours = planes(&p.weights, pattern);
            assert_eq!(ours.values, flat(&case["values"]), "values of {}", case["pattern"]);
            assert_eq!(ours.index, flat(&case["index"]), "indices of {}", case["pattern"]);
            seen += 1;
        }
        assert!(seen >= 8, "only {seen} cases");
    }

    /// Of the same cases: all 1536 products at their extreme.
    #[test]
    fn the_extreme_case_needs_26_bits() {
        let p = Params {
            input: TensorType::frame(&[1536], QType::signed(8)),
            weights: Tensor::new(&[1, 1536], vec![-127; 1536]),
            weight_format: QType::signed(8),
            bias: None,
            pattern: Pattern { n: 1, m: 1 },
            columns: 1,
            accumulator: None,
        };
        assert_eq!(p.sum(), Ok(QType::signed(26)));
        let mut y = [0];
        NmArray::step(&p, &mut (), &[&[-128; 1536]], &mut [&mut y]);
        assert_eq!(y, [1536 * 128 * 127]);
    }
}
