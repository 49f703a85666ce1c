//! Dense layers on `pe x simd` multipliers, folded over the rest. Deliberately absent: what comes after the sum
//! (`act/requant` and its neighbours do that).

mod hardware;

use nervure_core::block::{Area, Block, Body, Fold, Interface, Rng};
use nervure_core::{Diagnostic, QType, Schedule, Target, Tensor, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::{divisor, flat, matrix, sum_range};

/// See the README.
pub(crate) struct Folded;

/// Parameters of `engine/folded`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in, read as a vector. Filled in from the layer before.
    input: TensorType,
    /// Weights, `[out, in]`.
    weights: Tensor,
    /// Format of a weight, at most 32 bits.
    weight_format: QType,
    /// What each sum starts from, `[out]`; zero unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bias: Option<Tensor>,
    /// Outputs computed at once, and outputs a beat; divides `out`.
    pe: usize,
    /// Inputs multiplied at once, and inputs a beat; divides `in`.
    simd: usize,
    /// Format of the sum; unless given, the shortest that holds every sum that these weights can make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accumulator: Option<QType>,
}

impl Params {
    fn outputs(&self) -> usize {
        self.weights.shape[0]
    }

    fn beats(&self) -> usize {
        self.input.len() / self.simd
    }

    fn groups(&self) -> usize {
        self.outputs() / self.pe
    }

    /// Format of the sum. Errors: `E0203` for fractions that do not fit together, `E0207` for a sum that does not fit.
    fn sum(&self) -> Result<QType, Diagnostic> {
        let x = self.input.format;
        let range = sum_range(&self.weights, self.bias.as_ref(), x.min(), x.max());
        flat::accumulator(x, self.weight_format, range, self.accumulator)
    }
}

impl Block for Folded {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "engine/folded";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let mut rng: Rng = rand::SeedableRng::seed_from_u64(1);
        let small = Params {
            input: TensorType::frame(&[12], QType::unsigned(4)),
            weights: matrix(6, 12, -8, 7, &mut rng),
            weight_format: QType::signed(4),
            bias: Some(Tensor::vector(vec![5, -300, 0, 77, 260, -1])),
            pe: 2,
            simd: 4,
            accumulator: None,
        };
        let format = QType { bits: 8, frac: 3, signed: true };
        let serial = Params {
            input: TensorType::step(&[3, 4], format),
            bias: None,
            pe: 1,
            simd: 1,
            accumulator: Some(QType { bits: 24, frac: 3, signed: true }),
            ..small.clone()
        };
        let parallel = Params { pe: 6, simd: 12, ..small.clone() };
        // One beat a tensor, yet several groups; and a tree of sums of two stages.
        let wide = Params {
            input: TensorType::step(&[18], QType::signed(9)),
            weights: matrix(3, 18, 0, 200, &mut rng),
            weight_format: QType::unsigned(8),
            bias: None,
            pe: 1,
            simd: 18,
            accumulator: None,
        };
        vec![small, serial, parallel, wide]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        if input.len() > 1024 {
            return None;
        }
        let outputs = rng.random_range(1..25);
        let weight_format = if rng.random() {
            QType::signed(rng.random_range(2..11))
        } else {
            QType::unsigned(rng.random_range(1..10))
        };
        let bias = (0..outputs).map(|_| rng.random_range(-5000..5000)).collect();
        let mut p = Params {
            input: input.clone(),
            weights: matrix(outputs, input.len(), weight_format.min(), weight_format.max(), rng),
            weight_format,
            bias: rng.random::<bool>().then(|| Tensor::vector(bias)),
            pe: divisor(outputs, 8, rng),
            simd: divisor(input.len(), 24, rng),
            accumulator: None,
        };
        let sum = p.sum().ok()?;
        let bits = (sum.bits + rng.random_range(1..4)).min(QType::MAX_BITS);
        p.accumulator = rng.random::<bool>().then_some(QType { bits, ..sum });
        Some(p)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        p.input.check().map_err(|d| d.at("input"))?;
        let inputs = p.input.len();
        if p.weights.shape.len() != 2 || p.weights.data.is_empty() {
            let shape = &p.weights.shape;
            let message = format!("`weights` has shape {shape:?}, expected [out, {inputs}]");
            return Err(
                Diagnostic::new("E0205", message, "give a matrix with one row per output").at("weights")
            );
        }
        diag::in_range("weight_format", p.weight_format.bits as usize, 1..33)?;
        p.weights.check("weights", &[p.outputs(), inputs], p.weight_format)?;
        if let Some(bias) = &p.bias {
            bias.check("bias", &[p.outputs()], QType::signed(QType::MAX_BITS))?;
        }
        diag::divides("pe", p.pe, "the number of outputs", p.outputs())?;
        diag::divides("simd", p.simd, "the number of inputs", inputs)?;
        let y = TensorType { shape: vec![p.outputs()], format: p.sum()?, rate: p.input.rate };
        Ok(Interface::one_to_one(p.input.clone(), p.simd, y, p.pe))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        for (n, (y, w)) in y[0].iter_mut().zip(p.weights.rows()).enumerate() {
            let bias = p.bias.as_ref().map_or(0, |b| b.data[n]);
            *y = w.iter().zip(x[0]).fold(bias, |sum, (w, x)| sum + w * x);
        }
    }

    fn folds(p: &Params) -> Vec<Fold> {
        vec![Fold::dividing("pe", p.outputs(), 1), Fold::dividing("simd", p.input.len(), 1)]
    }

    fn body(p: &Params) -> Body {
        hardware::body(p)
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        let beats = p.beats();
        out.take(beats - 1);
        out.pass(1, 1);
        for _ in 1..p.groups() {
            out.busy(beats - 1);
            out.give(1);
        }
    }

    fn cost(p: &Params, t: &Target) -> Area {
        hardware::cost(p, t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_and_overflow_is_refused() {
        let mut p = Params {
            input: TensorType::frame(&[2], QType::unsigned(8)),
            weights: Tensor::new(&[2, 2], vec![1, -1, 3, 2]),
            weight_format: QType::signed(4),
            bias: Some(Tensor::vector(vec![7, -9])),
            pe: 1,
            simd: 1,
            accumulator: None,
        };
        // 3 * 255 + 2 * 255 - 9 and 7 - 255
        assert_eq!(p.sum(), Ok(QType::holding(-248, 1266, 0)));
        let mut y = [0; 2];
        Folded::step(&p, &mut (), &[&[10, 255]], &mut [&mut y]);
        assert_eq!(y, [-238, 531]);
        p.accumulator = Some(QType::signed(11));
        assert_eq!(p.sum().map_err(|d| d.code), Err("E0207"));
        p.accumulator = Some(QType::signed(12));
        assert_eq!(p.sum(), Ok(QType::signed(12)));
    }
}
