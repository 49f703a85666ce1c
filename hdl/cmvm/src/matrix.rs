//! The question: a constant matrix and what its inputs can be.

use crate::Interval;

/// A constant integer matrix and the interval of each input: `y[j] = sum over i of x[i] * w[i][j]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    inputs: Vec<Interval>,
    outputs: usize,
    weights: Vec<i64>,
}

impl Matrix {
    /// Weights may have this many bits and a sign, so that no range leaves 128 bits.
    pub const MAX_WEIGHT_BITS: u32 = 48;
    /// Inputs may have this many bits and a sign.
    pub const MAX_INPUT_BITS: u32 = 60;

    /// Shapes: `weights: [inputs, outputs]`, row by row.
    ///
    /// Panics where shapes differ or a number is larger than it may be.
    pub fn new(inputs: Vec<Interval>, outputs: usize, weights: Vec<i64>) -> Self {
        assert_eq!(weights.len(), inputs.len() * outputs, "one weight for each input of each output");
        assert!(weights.iter().all(|w| w.unsigned_abs() >> Self::MAX_WEIGHT_BITS == 0), "weights too large");
        let limit = 1 << Self::MAX_INPUT_BITS;
        assert!(inputs.iter().all(|x| x.lo >= -limit && x.hi <= limit), "inputs too large");
        Self { inputs, outputs, weights }
    }

    /// What each input can be.
    pub fn inputs(&self) -> &[Interval] {
        &self.inputs
    }

    /// Number of outputs.
    pub const fn outputs(&self) -> usize {
        self.outputs
    }

    /// The weight of `input` in `output`.
    pub fn weight(&self, input: usize, output: usize) -> i64 {
        self.weights[input * self.outputs + output]
    }

    /// All weights of `output`.
    pub fn column(&self, output: usize) -> impl Iterator<Item = i64> + '_ {
        (0..self.inputs.len()).map(move |i| self.weight(i, output))
    }
}
