//! Dense layers, and convolutions behind `conv/window`, on `pe x simd` multipliers, folded over the rest. Deliberately absent: what comes after the sum
//! (`act/requant` and its neighbours do that).

mod hardware;

use std::collections::BTreeSet;

use nervure_core::block::{Area, Block, Body, Fold, Interface, Rng};
use nervure_core::{Diagnostic, QType, Schedule, Target, Tensor, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::factors::Factors;
use crate::shared::{divisor, flat, matrix};

/// See the README.
pub(crate) struct Folded;

/// Parameters of `engine/folded`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in: its last axes, as few as it takes, are a vector. Filled in from the layer before.
    input: TensorType,
    /// Weights, `[out, in]`; or `[groups, out / groups, in / groups]`, where every group of outputs has its own inputs.
    weights: Tensor,
    /// Format of a weight, at most 32 bits.
    weight_format: QType,
    /// What each sum starts from, `[out]`; zero unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bias: Option<Tensor>,
    /// Outputs computed at once, and outputs a beat; divides `out` (of a group). 1 unless given.
    #[serde(default = "crate::shared::neuron::one")]
    pe: usize,
    /// Inputs multiplied at once, and inputs a beat; divides `in` (of a group). 1 unless given.
    #[serde(default = "crate::shared::neuron::one")]
    simd: usize,
    /// Cycles for all outputs of a vector, that is how often a multiplier is used. Where it is given, `simd` and `pe` follow
    /// from it, and what they say themselves does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reuse: Option<usize>,
    /// Format of the sum; unless given, the shortest that holds every sum that these weights can make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accumulator: Option<QType>,
    /// Whether weights and biases are written over the register bus: see docs/registers.md.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    run_time_weights: bool,
    /// Format of a bias at run time, at most 32 bits; its fraction is at most that of the sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bias_format: Option<QType>,
}

/// What the parameters mean.
#[derive(Debug, Clone, Copy)]
struct Fan {
    /// Axes of the input in front of a vector's.
    axes: usize,
    /// Vectors in a tensor.
    vectors: usize,
    /// Parts of a vector that have their own outputs.
    groups: usize,
    /// Outputs of a group.
    outputs: usize,
    /// Inputs of a group.
    inputs: usize,
    /// Outputs computed at once.
    pe: usize,
    /// Inputs multiplied at once.
    simd: usize,
}

impl Fan {
    /// Beats of a group's inputs.
    const fn beats(self) -> usize {
        self.inputs / self.simd
    }

    /// How often the inputs of a group pass.
    const fn passes(self) -> usize {
        self.outputs / self.pe
    }

    /// Words of the weight memory.
    const fn words(self) -> usize {
        self.beats() * self.passes() * self.groups
    }
}

impl Params {
    /// Errors: `E0205` for weights that are no matrices, or do not fit the input.
    fn fan(&self) -> Result<Fan, Diagnostic> {
        let (groups, outputs, inputs) = match self.weights.shape[..] {
            [o, i] if o * i > 0 => (1, o, i),
            [g, o, i] if g * o * i > 0 => (g, o, i),
            _ => {
                let message = format!(
                    "`weights` has shape {:?}, expected [out, {}]",
                    self.weights.shape,
                    self.input.len()
                );
                let help = "give a matrix with one row per output";
                return Err(Diagnostic::new("E0205", message, help).at("weights"));
            }
        };
        // A vector is as few of the last axes as it takes.
        let shape = &self.input.shape;
        let ends: Vec<usize> = (0..shape.len()).map(|n| shape[n..].iter().product()).collect();
        let Some(axes) = ends.iter().rposition(|end| *end == groups * inputs) else {
            let message = format!(
                "`weights` has shape {:?}, for vectors of {}; the input is {}",
                self.weights.shape,
                groups * inputs,
                self.input
            );
            let all: Vec<String> = ends.iter().map(ToString::to_string).collect();
            let help = format!("give a row one weight per input: {} in all groups", all.join(" or "));
            return Err(Diagnostic::new("E0205", message, help).at("weights"));
        };
        let vectors = self.input.len() / (groups * inputs);
        Ok(Fan { axes, vectors, groups, outputs, inputs, pe: self.pe, simd: self.simd })
    }

    /// The fan, folded as the parameters say. Errors: also `E0202` for a folding that does not divide it.
    fn folded(&self) -> Result<Fan, Diagnostic> {
        let fan = self.fan()?;
        match self.reuse {
            Some(reuse) => reused(fan, reuse),
            None => {
                diag::divides("pe", self.pe, "the number of outputs", fan.outputs)?;
                diag::divides("simd", self.simd, "the number of inputs", fan.inputs)?;
                Ok(fan)
            }
        }
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

    /// Format of the sum. Errors: `E0203` for fractions that do not fit together, `E0207` for a sum that does not fit.
    fn sum(&self) -> Result<QType, Diagnostic> {
        let x = self.input.format;
        let inputs = self.weights.shape[self.weights.shape.len() - 1];
        // A row for each output, of all groups.
        let rows = match self.weights.shape[..] {
            [g, o, _] if self.run_time_weights => &Tensor::new(&[g * o, inputs], self.weights.data.clone()),
            _ => &self.weights,
        };
        let range = self.factors().range(x, rows)?;
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
            reuse: None,
            accumulator: None,
            run_time_weights: false,
            bias_format: None,
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
        // One beat a tensor, yet several groups; and a tree of sums of two stages.
        let wide = Params {
            input: TensorType::step(&[18], QType::signed(9)),
            weights: matrix(3, 18, 0, 200, &mut rng),
            weight_format: QType::unsigned(8),
            bias: None,
            pe: 1,
            simd: 18,
            ..small.clone()
        };
        // A matrix for each half of the inputs, over six vectors; what `reuse` makes of it. All of it over the register bus.
        let grouped = Params {
            input: TensorType::step(&[2, 3, 2, 6], QType::unsigned(4)),
            weights: Tensor::new(&[2, 4, 6], matrix(8, 6, -8, 7, &mut rng).data),
            bias: Some(Tensor::vector((0..8).map(|n| n * n - 20).collect())),
            run_time_weights: true,
            bias_format: Some(QType::signed(7)),
            pe: 1,
            simd: 1,
            reuse: Some(6),
            ..small.clone()
        };
        vec![small, serial, wide, grouped]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        if input.len() > 1024 {
            return None;
        }
        let axis = rng.random_range(0..input.shape.len());
        let vector: usize = input.shape[axis..].iter().product();
        let groups = if rng.random() { 1 } else { divisor(vector, 8, rng) };
        let (outputs, inputs) = (rng.random_range(1..=24usize.div_ceil(groups)), vector / groups);
        let weight_format = if rng.random() {
            QType::signed(rng.random_range(2..11))
        } else {
            QType::unsigned(rng.random_range(1..10))
        };
        let bias = (0..groups * outputs).map(|_| rng.random_range(-5000..5000)).collect();
        let weights = matrix(groups * outputs, inputs, weight_format.min(), weight_format.max(), rng);
        let shape = if groups > 1 { vec![groups, outputs, inputs] } else { vec![outputs, inputs] };
        let (pe, simd) = (divisor(outputs, 8, rng), divisor(inputs, 24, rng));
        let run_time_weights = rng.random_range(0..4) == 0;
        let bias = rng.random::<bool>().then(|| Tensor::vector(bias));
        let bias_format = (run_time_weights && bias.is_some())
            .then(|| QType { frac: input.format.frac + weight_format.frac, ..QType::signed(14) });
        let mut p = Params {
            input: input.clone(),
            weights: Tensor::new(&shape, weights.data),
            weight_format,
            bias,
            pe,
            simd,
            reuse: (rng.random_range(0..4) == 0).then_some((outputs / pe) * (inputs / simd)),
            accumulator: None,
            run_time_weights,
            bias_format,
        };
        let sum = p.sum().ok()?;
        let bits = (sum.bits + rng.random_range(1..4)).min(QType::MAX_BITS);
        p.accumulator = rng.random::<bool>().then_some(QType { bits, ..sum });
        Self::interface(&p).is_ok().then_some(p)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        p.input.check().map_err(|d| d.at("input"))?;
        let fan = p.fan()?;
        diag::in_range("weight_format", p.weight_format.bits as usize, 1..33)?;
        p.weights.check("weights", &p.weights.shape, p.weight_format)?;
        if let Some(bias) = &p.bias {
            bias.check("bias", &[fan.groups * fan.outputs], QType::signed(QType::MAX_BITS))?;
        }
        let fan = p.folded()?;
        let shape = [&p.input.shape[..fan.axes], &[fan.groups * fan.outputs]].concat();
        let y = TensorType { shape, format: p.sum()?, rate: p.input.rate };
        Ok(Interface::one_to_one(p.input.clone(), fan.simd, y, fan.pe))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        let inputs = p.weights.shape[p.weights.shape.len() - 1];
        let (outputs, rows) = (p.weights.shape[p.weights.shape.len() - 2], p.weights.data.len() / inputs);
        for (n, y) in y[0].iter_mut().enumerate() {
            let row = n % rows;
            let part = n / rows * (rows / outputs) + row / outputs;
            let x = &x[0][part * inputs..][..inputs];
            let w = &p.weights.data[row * inputs..][..inputs];
            let bias = p.bias.as_ref().map_or(0, |b| b.data[row]);
            *y = w.iter().zip(x).fold(bias, |sum, (w, x)| sum + w * x);
        }
    }

    fn folds(p: &Params) -> Vec<Fold> {
        let fan = p.fan().expect("the interface was checked");
        if p.reuse.is_some() {
            let mut values = reuses(fan);
            values.reverse();
            return vec![Fold { field: "reuse", values }];
        }
        vec![Fold::dividing("pe", fan.outputs, 1), Fold::dividing("simd", fan.inputs, 1)]
    }

    fn body(p: &Params) -> Body {
        hardware::body(p)
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        let fan = p.folded().expect("the interface was checked");
        for _ in 0..fan.vectors * fan.groups {
            out.take(fan.beats() - 1);
            out.pass(1, 1);
            for _ in 1..fan.passes() {
                out.busy(fan.beats() - 1);
                out.give(1);
            }
        }
    }

    fn cost(p: &Params, t: &Target) -> Area {
        hardware::cost(p, t)
    }
}

/// What `reuse` may be: ascending.
fn reuses(fan: Fan) -> Vec<usize> {
    let parts = |n: usize| (1..=n).filter(move |d| n.is_multiple_of(*d));
    let all: BTreeSet<usize> =
        parts(fan.inputs).flat_map(|beats| parts(fan.outputs).map(move |passes| beats * passes)).collect();
    all.into_iter().collect()
}

/// The folding of this reuse with the narrowest beats, in and out together; of several the one with the fewest passes.
///
/// Errors: `E0202` where there is none.
fn reused(fan: Fan, reuse: usize) -> Result<Fan, Diagnostic> {
    let foldings = (1..=fan.inputs).filter(|simd| fan.inputs.is_multiple_of(*simd)).filter_map(|simd| {
        let beats = fan.inputs / simd;
        let passes = if reuse.is_multiple_of(beats) { reuse / beats } else { 0 };
        let whole = passes > 0 && fan.outputs.is_multiple_of(passes);
        whole.then(|| Fan { simd, pe: fan.outputs / passes, ..fan })
    });
    let Some(folding) = foldings.min_by_key(|f| (f.pe + f.simd, f.passes())) else {
        let all: Vec<String> = reuses(fan).iter().map(ToString::to_string).collect();
        let message = format!(
            "`reuse` is {reuse}, which is no divisor of the number of inputs ({}) times one of the number of outputs ({})",
            fan.inputs, fan.outputs
        );
        return Err(
            Diagnostic::new("E0202", message, format!("choose one of {}", all.join(", "))).at("reuse")
        );
    };
    Ok(folding)
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
            reuse: None,
            accumulator: None,
            run_time_weights: false,
            bias_format: None,
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

    #[test]
    fn reuse_is_the_cycles_of_a_vector_or_refused() {
        let mut p = Folded::examples()[0].clone();
        for reuse in reuses(p.fan().expect("a matrix")) {
            p.reuse = Some(reuse);
            let fan = p.folded().expect("one of those that are listed");
            assert_eq!((fan.words(), fan.pe * fan.simd * reuse), (reuse, 6 * 12));
        }
        for reuse in [0, 5, 7, 73] {
            p.reuse = Some(reuse);
            let error = p.folded().expect_err("no folding has this reuse");
            assert_eq!(error.code, "E0202");
            assert!(error.help.ends_with("one of 1, 2, 3, 4, 6, 8, 9, 12, 18, 24, 36, 72"), "{}", error.help);
        }
    }
}
