//! Dense layers whose weights are N:M sparse along the input. Deliberately absent: pruning (weights come pruned), and zeros of
//! the activations.

mod hardware;
mod planes;

use nervure_core::block::{Area, Block, Body, Fold, Interface, Rng};
use nervure_core::num::gcd;
use nervure_core::{Diagnostic, QType, Schedule, Target, Tensor, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::pattern::{Crowded, Pattern};
use crate::shared::{divisor, flat, sum_range};

/// See the README.
pub(crate) struct NmArray;

/// Parameters of `sparse/nm_array`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in: rows of as many elements as the weights have. Filled in from the layer before.
    input: TensorType,
    /// Weights, `[out, in]`, with their zeros.
    weights: Tensor,
    /// Format of a weight, 4 to 16 bits.
    weight_format: QType,
    /// What each sum starts from, `[out]`; zero unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bias: Option<Tensor>,
    /// The sparsity that the weights have along the input.
    pattern: Pattern,
    /// Outputs computed at once, and outputs a beat; divides `out`.
    columns: usize,
    /// Format of the sum; unless given, the shortest that holds every sum that these weights can make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accumulator: Option<QType>,
}

impl Params {
    fn outputs(&self) -> usize {
        self.weights.shape[0]
    }

    fn inputs(&self) -> usize {
        self.weights.shape[1]
    }

    fn rows(&self) -> usize {
        self.input.len() / self.inputs()
    }

    fn blocks(&self) -> usize {
        self.inputs().div_ceil(self.pattern.m)
    }

    fn groups(&self) -> usize {
        self.outputs() / self.columns
    }

    /// Elements a beat of the input: as many as both a block and a row are made of.
    const fn lanes(&self, inputs: usize) -> usize {
        gcd(inputs, self.pattern.m)
    }

    /// Format of the sum. Errors: `E0203` for fractions that do not fit together, `E0207` for a sum that does not fit.
    fn sum(&self) -> Result<QType, Diagnostic> {
        let x = self.input.format;
        let range = sum_range(&self.weights, self.bias.as_ref(), x.min(), x.max());
        flat::accumulator(x, self.weight_format, range, self.accumulator)
    }

    /// Errors: `E0208` naming the first block that holds too many weights.
    fn check_pattern(&self) -> Result<(), Diagnostic> {
        let Some(Crowded { row, block, inputs: [from, to], count }) =
            self.pattern.broken_by(&self.weights, self.inputs())
        else {
            return Ok(());
        };
        let Pattern { n, m } = self.pattern;
        let message = format!(
            "`weights` row {row}, block {block} (inputs {from} to {to}) has {count} weights that are not zero, but `pattern` allows {n} of {m}"
        );
        let help = "prune the weights to the pattern before they come here, or allow a larger `n`";
        Err(Diagnostic::new("E0208", message, help).at("weights"))
    }
}

impl Block for NmArray {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "sparse/nm_array";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let mut rng: Rng = rand::SeedableRng::seed_from_u64(1);
        let pattern = Pattern { n: 2, m: 4 };
        let format = QType::signed(6);
        let small = Params {
            input: TensorType::frame(&[3, 8], QType::unsigned(5)),
            weights: pattern.weights(&[6, 8], format, &mut rng),
            weight_format: format,
            bias: Some(Tensor::vector(vec![5, -300, 0, 77, 260, -1])),
            pattern,
            columns: 2,
            accumulator: None,
        };
        // One row; a ragged last block, so that a block comes in several beats.
        let pattern = Pattern { n: 3, m: 8 };
        let ragged = Params {
            input: TensorType::step(&[5, 4], QType { bits: 7, frac: 2, signed: true }),
            weights: pattern.weights(&[4, 20], format, &mut rng),
            pattern,
            bias: None,
            columns: 1,
            accumulator: Some(QType { bits: 20, frac: 2, signed: true }),
            ..small.clone()
        };
        let pattern = Pattern { n: 1, m: 2 };
        let parallel = Params {
            weights: pattern.weights(&[6, 8], format, &mut rng),
            pattern,
            columns: 6,
            ..small.clone()
        };
        let pattern = Pattern { n: 1, m: 1 };
        let dense = Params {
            input: TensorType::frame(&[6], QType::signed(8)),
            weights: pattern.weights(&[3, 6], QType::unsigned(4), &mut rng),
            weight_format: QType::unsigned(4),
            bias: None,
            pattern,
            columns: 3,
            accumulator: None,
        };
        vec![small, ragged, parallel, dense]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let inputs = if rng.random() { input.columns() } else { input.len() };
        if inputs > 1024 || input.len() > 4096 {
            return None;
        }
        let outputs = rng.random_range(1..25);
        let bits = rng.random_range(4..13);
        let weight_format = if rng.random() { QType::signed(bits) } else { QType::unsigned(bits) };
        let m = rng.random_range(1..9);
        let pattern = Pattern { n: rng.random_range(1..=m), m };
        let bias = (0..outputs).map(|_| rng.random_range(-5000..5000)).collect();
        let mut p = Params {
            input: input.clone(),
            weights: pattern.weights(&[outputs, inputs], weight_format, rng),
            weight_format,
            bias: rng.random::<bool>().then(|| Tensor::vector(bias)),
            pattern,
            columns: divisor(outputs, 8, rng),
            accumulator: None,
        };
        let sum = p.sum().ok()?;
        let bits = (sum.bits + rng.random_range(1..4)).min(QType::MAX_BITS);
        p.accumulator = rng.random::<bool>().then_some(QType { bits, ..sum });
        Some(p)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        p.input.check().map_err(|d| d.at("input"))?;
        p.pattern.check(8)?;
        let (len, row) = (p.input.len(), p.input.columns());
        let known = p.weights.shape.get(1).copied();
        if p.weights.shape.len() != 2
            || p.weights.data.is_empty()
            || (known != Some(row) && known != Some(len))
        {
            let shape = &p.weights.shape;
            let message = format!(
                "`weights` has shape {shape:?}, expected [out, {row}] for rows or [out, {len}] for all of the input"
            );
            return Err(
                Diagnostic::new("E0205", message, "give a matrix with one row per output").at("weights")
            );
        }
        diag::in_range("weight_format", p.weight_format.bits as usize, 4..17)?;
        p.weights.check("weights", &[p.outputs(), p.inputs()], p.weight_format)?;
        if let Some(bias) = &p.bias {
            bias.check("bias", &[p.outputs()], QType::signed(QType::MAX_BITS))?;
        }
        p.check_pattern()?;
        diag::divides("columns", p.columns, "the number of outputs", p.outputs())?;
        let mut shape = if p.inputs() == row { p.input.shape.clone() } else { vec![len] };
        *shape.last_mut().expect("a tensor has an axis") = p.outputs();
        let y = TensorType { shape, format: p.sum()?, rate: p.input.rate };
        y.check().map_err(|d| d.at("weights"))?;
        Ok(Interface::one_to_one(p.input.clone(), p.lanes(p.inputs()), y, p.columns))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        for (x, y) in x[0].chunks_exact(p.inputs()).zip(y[0].chunks_exact_mut(p.outputs())) {
            for (c, (y, w)) in y.iter_mut().zip(p.weights.rows()).enumerate() {
                let bias = p.bias.as_ref().map_or(0, |b| b.data[c]);
                *y = w.iter().zip(x).fold(bias, |sum, (w, x)| sum + w * x);
            }
        }
    }

    fn folds(p: &Params) -> Vec<Fold> {
        vec![Fold::dividing("columns", p.outputs(), 1)]
    }

    fn body(p: &Params) -> Body {
        hardware::body(p)
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        let outputs = p.rows() * p.groups();
        out.take(p.input.len() / p.lanes(p.inputs()));
        out.busy(outputs * p.blocks());
        out.give(outputs);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        hardware::cost(p, t)
    }
}
