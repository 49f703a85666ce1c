//! N:M sparsity: what a pattern is, whether weights have it, and random weights that do.

use nervure_core::block::Rng;
use nervure_core::{Diagnostic, QType, Tensor, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// At most `n` of `m` consecutive weights are not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pattern {
    /// Weights kept in a block, 1 to `m`.
    #[schemars(range(min = 1, max = 16))]
    pub(crate) n: usize,
    /// Inputs in a block.
    #[schemars(range(min = 1, max = 16))]
    pub(crate) m: usize,
}

/// A block that holds more weights than its pattern allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crowded {
    /// Row of the weights.
    pub(crate) row: usize,
    /// Block of the row.
    pub(crate) block: usize,
    /// First and last input of the block.
    pub(crate) inputs: [usize; 2],
    /// Its weights that are not zero.
    pub(crate) count: usize,
}

impl Pattern {
    /// No sparsity.
    pub(crate) const DENSE: Self = Self { n: 1, m: 1 };

    /// Errors: `E0201` for blocks of more than `most` inputs, or of none, or an `n` that is none of them.
    pub(crate) fn check(self, most: usize) -> Result<(), Diagnostic> {
        diag::in_range("m", self.m, 1..most + 1).map_err(|d| d.at("pattern"))?;
        diag::in_range("n", self.n, 1..self.m + 1).map_err(|d| d.at("pattern"))
    }

    /// The first block that does not have the pattern, of `weights` in rows of `inputs`.
    pub(crate) fn broken_by(self, weights: &Tensor, inputs: usize) -> Option<Crowded> {
        weights.data.chunks(inputs).enumerate().find_map(|(row, weights)| {
            weights.chunks(self.m).enumerate().find_map(|(block, weights)| {
                let count = weights.iter().filter(|w| **w != 0).count();
                let from = block * self.m;
                (count > self.n).then(|| Crowded {
                    row,
                    block,
                    inputs: [from, from + weights.len() - 1],
                    count,
                })
            })
        })
    }

    /// Random weights of which each block along the last axis has as many as it may in random places, some of them zero by
    /// chance.
    pub(crate) fn weights(self, shape: &[usize], format: QType, rng: &mut Rng) -> Tensor {
        let inputs = shape[shape.len() - 1];
        let mut data = Vec::new();
        for _ in 0..shape.iter().product::<usize>() / inputs {
            for from in (0..inputs).step_by(self.m) {
                let len = self.m.min(inputs - from);
                let mut kept = self.n.min(len);
                for left in (1..=len).rev() {
                    let keep = rng.random_range(0..left) < kept;
                    kept -= usize::from(keep);
                    data.push(if keep { rng.random_range(format.min()..=format.max()) } else { 0 });
                }
            }
        }
        Tensor::new(shape, data)
    }
}
