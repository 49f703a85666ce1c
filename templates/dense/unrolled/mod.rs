//! Dense layers with a multiplier for every weight: a frame a cycle. Deliberately absent: what comes after the sum
//! (`act/relu`, `act/quant` and their neighbours do that, in the same pipeline).

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::{Builder, Kernel};
use nervure_core::{Diagnostic, QType, Schedule, Target, Tensor, TensorType};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::factors::Factors;
use crate::shared::{flat, matrix};

/// See the README.
pub(crate) struct Unrolled;

/// Parameters of `dense/unrolled`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in, read as a vector. Filled in from the layer before.
    input: TensorType,
    /// Weights, `[out, in]`.
    weights: Tensor,
    /// Format of a weight, at most 32 bits.
    weight_format: QType,
    /// What each sum starts from, `[out]`, in LSB of the sum; zero unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bias: Option<Tensor>,
    /// Format of the sum; unless given, the shortest that holds every sum that these weights can make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accumulator: Option<QType>,
    /// Whether weights and biases are written over the register bus: see docs/registers.md. The hardware has multipliers, then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    run_time_weights: bool,
    /// Format of a bias at run time, at most 32 bits; its fraction is at most that of the sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bias_format: Option<QType>,
}

impl Params {
    fn outputs(&self) -> usize {
        self.weights.shape[0]
    }

    fn factors(&self) -> Factors<'_> {
        Factors {
            weights: &self.weights,
            weight_format: self.weight_format,
            bias: self.bias.as_ref(),
            bias_format: self.bias_format,
            run_time: self.run_time_weights,
        }
    }

    fn sum(&self) -> Result<QType, Diagnostic> {
        let x = self.input.format;
        let range = self.factors().range(x, &self.weights)?;
        flat::accumulator(x, self.weight_format, range, self.accumulator)
    }

    fn kernel(&self) -> Kernel {
        let (k, sum) = (Builder::new(), self.sum().expect("the interface was checked"));
        let x = flat::inputs(&k, "x", &self.input);
        let factors = self.factors();
        let (weights, bias) = (factors.weights(&k), factors.bias(&k, self.input.format, sum));
        let y = (0..self.outputs()).map(|n| {
            let terms = x.iter().copied().zip(n * x.len()..);
            let bias = self.bias.as_ref().and_then(|_| bias.at(&k, n));
            flat::weighted_sum(&k, terms, &weights, bias, sum)
        });
        flat::outputs(&k, "y", sum, y);
        k.finish()
    }
}

impl Block for Unrolled {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "dense/unrolled";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let mut rng: Rng = rand::SeedableRng::seed_from_u64(2);
        let small = Params {
            input: TensorType::frame(&[4], QType::signed(6)),
            weights: matrix(3, 4, -8, 7, &mut rng),
            weight_format: QType::signed(4),
            bias: Some(Tensor::vector(vec![5, -300, 0])),
            accumulator: None,
            run_time_weights: false,
            bias_format: None,
        };
        // Fractions, a row of zeros, a row of one weight, powers of two.
        let sparse = Params {
            input: TensorType::frame(&[2, 3], QType { bits: 5, frac: 3, signed: false }),
            weights: Tensor::new(
                &[4, 6],
                vec![0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, -4, 0, 8, 0, 1, -1, 3, 3, 0, 3, 5, 0],
            ),
            weight_format: QType { bits: 6, frac: 4, signed: true },
            bias: None,
            accumulator: Some(QType { bits: 16, frac: 7, signed: true }),
            ..small.clone()
        };
        let step = Params {
            input: TensorType::step(&[9], QType::unsigned(1)),
            weights: matrix(2, 9, -100, 100, &mut rng),
            weight_format: QType::signed(8),
            bias: None,
            ..small.clone()
        };
        // Over the register bus: seven words of 4 bits and two of 13 in 32 bits; biases of a fraction of their own.
        let written = Params {
            input: TensorType::frame(&[5], QType { bits: 4, frac: 2, signed: false }),
            weights: matrix(3, 5, -8, 7, &mut rng),
            weight_format: QType { bits: 4, frac: 3, signed: true },
            bias: Some(Tensor::vector(vec![-36, 0, 4])),
            run_time_weights: true,
            bias_format: Some(QType { bits: 13, frac: 3, signed: true }),
            ..small.clone()
        };
        vec![small, sparse, step, written]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        if input.len() > 64 {
            return None;
        }
        let outputs = rng.random_range(1..9);
        let weight_format =
            QType { bits: rng.random_range(2..9), frac: rng.random_range(0..4), signed: true };
        let mut weights = matrix(outputs, input.len(), weight_format.min(), weight_format.max(), rng);
        let kept = rng.random_range(1..=8);
        weights.data.iter_mut().filter(|_| rng.random_range(0..8) >= kept).for_each(|w| *w = 0);
        let bias = (0..outputs).map(|_| rng.random_range(-5000..5000)).collect();
        let bias = rng.random::<bool>().then(|| Tensor::vector(bias));
        let run_time_weights = rng.random_range(0..4) == 0;
        let bias_format = (run_time_weights && bias.is_some())
            .then(|| QType { frac: input.format.frac + weight_format.frac, ..QType::signed(14) });
        let p = Params {
            input: input.clone(),
            weights,
            weight_format,
            bias,
            accumulator: None,
            run_time_weights,
            bias_format,
        };
        Self::interface(&p).is_ok().then_some(p)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        flat::check(&p.input, "input")?;
        let inputs = p.input.len();
        if p.weights.shape.len() != 2 || p.weights.data.is_empty() {
            let message = format!("`weights` has shape {:?}, expected [out, {inputs}]", p.weights.shape);
            let help = "give a matrix with one row per output";
            return Err(Diagnostic::new("E0205", message, help).at("weights"));
        }
        let shape = [p.outputs(), inputs];
        flat::check_weights(&p.weights, &shape, p.weight_format, p.bias.as_ref(), p.outputs())?;
        flat::check_products(p.weights.data.iter().filter(|w| p.run_time_weights || **w != 0).count())?;
        let y = TensorType { shape: vec![p.outputs()], format: p.sum()?, rate: p.input.rate };
        flat::check(&y, "weights")?;
        Ok(Interface::one_to_one(p.input.clone(), inputs, y, p.outputs()))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        for (n, (y, w)) in y[0].iter_mut().zip(p.weights.rows()).enumerate() {
            let bias = p.bias.as_ref().map_or(0, |b| b.data[n]);
            *y = w.iter().zip(x[0]).fold(bias, |sum, (w, x)| sum + w * x);
        }
    }

    fn body(p: &Params) -> Body {
        Body::Flat(p.kernel())
    }

    fn schedule(_: &Params, (): &(), _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, 1);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        p.kernel().flat_area(t)
    }
}
