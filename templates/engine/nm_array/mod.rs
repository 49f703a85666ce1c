//! Whole networks of N:M sparse layers, one after the other on one weight-stationary array. Deliberately absent: pruning
//! (weights come pruned), and layers that read more than the one before.

mod array;
mod golden;
mod hardware;
mod layer;
mod memories;
mod plan;
mod samples;
mod timing;

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::num::gcd;
use nervure_core::{Diagnostic, QType, Requant, Schedule, Target, Tensor, TensorType, diag};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::neuron::one;
use crate::shared::pattern::Pattern;
use array::Array;
use golden::Maps;
use layer::Stage;

/// See the README.
pub(crate) struct NmArray;

/// Parameters of `engine/nm_array`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in: a map `[height, width, channels]`, rows `[.., in]`, or one row of any shape. Filled in from the layer before.
    input: TensorType,
    /// Elements a beat: all channels, or as many as divide them and 16; otherwise as many as can be. Filled in from the layer before.
    #[serde(default = "one")]
    input_lanes: usize,
    /// Multipliers below each other in a column: weights of one output that are held at once.
    rows: usize,
    /// Columns: outputs computed at once.
    columns: usize,
    /// Multipliers that hand their sum down to each other; divides `rows`. All unless given, at most 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chain: Option<usize>,
    /// Neighbouring multipliers of a column that choose from the same activations; divides `chain`. 2 where that divides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<usize>,
    /// Activations that a group chooses from: 1, 2, 4, 8 or 16. What the patterns need unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    choices: Option<usize>,
    /// Columns that read the same register of activations; divides `columns`. All unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    broadcast: Option<usize>,
    /// Sums finished at once: 1, 2, 4, .. up to `columns`, which it divides. 1 unless given.
    #[serde(default = "one")]
    finish: usize,
    /// Format of a weight, signed, 2 to 16 bits.
    weight_format: QType,
    /// Bits of an activation in the array, at least those of every tensor; as few as that unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    activation_bits: Option<u8>,
    /// Where weights, biases, scales and patterns are written over the register bus: what they may become. Constant unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run_time: Option<RunTime>,
    /// The layers, first to last.
    layers: Vec<Layer>,
}

/// What may be written at run time: layers of the same shapes with other numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunTime {
    /// Patterns that the layers may have, those of the layers among them.
    patterns: Vec<Pattern>,
    /// Shift that all scales are brought to, at least 1; 40 unless given.
    #[serde(default = "forty")]
    shift: u32,
    /// Bits of a multiplier over that shift; 40 unless given.
    #[serde(default = "forty")]
    multiplier_bits: u32,
}

fn forty() -> u32 {
    40
}

/// One layer: products with a matrix or the kernels of a convolution, then rescaled, then the largest of a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layer {
    /// Weights, zeros included: `[out, in]` for every row or for all of the input as one row; `[out, height, width, in]` over a map.
    weights: Tensor,
    /// What each sum starts from, `[out]`; zero unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bias: Option<Tensor>,
    /// The sparsity that the weights have along the input channels; none unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<Pattern>,
    /// What is taken from every input, and what lies in the padding; an integer of the input's format.
    #[serde(default)]
    input_zero: i64,
    /// Distance of two windows, down and across; 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stride: Option<[usize; 2]>,
    /// Positions before and behind the map, down and across; none unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    padding: Option<[[usize; 2]; 2]>,
    /// Distance of two taps of a window, down and across; 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dilation: Option<[usize; 2]>,
    /// How sums become activations; only the last layer may leave it out and give the sums.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rescale: Option<Rescale>,
    /// Windows of results, down and across, of which the largest goes on; needs `rescale`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pool: Option<[usize; 2]>,
}

/// From a sum to an activation: `clamp(round(sum * scale) + zero_point)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rescale {
    /// Scale and rounding (`onnx`, `tflite`, or a shift that rounds `half_up` or `half_even`); a column is an output.
    mode: Requant,
    /// Format of the result.
    output: QType,
    /// Added after rounding.
    #[serde(default)]
    zero_point: i64,
    /// Smallest and largest result; all of `output` unless given. ReLU and ReLU6 are ranges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    range: Option<[i64; 2]>,
}

impl Layer {
    fn pattern(&self) -> Pattern {
        self.pattern.unwrap_or(Pattern::DENSE)
    }
}

impl Rescale {
    fn ends(&self) -> [i64; 2] {
        self.range.unwrap_or([self.output.min(), self.output.max()])
    }
}

impl Params {
    /// Everything that follows from the parameters. Errors: a diagnostic for whatever cannot be built.
    fn resolve(&self) -> Result<(Vec<Stage>, Array), Diagnostic> {
        self.input.check().map_err(|d| d.at("input"))?;
        diag::in_range("rows", self.rows, 1..257)?;
        diag::in_range("columns", self.columns, 1..257)?;
        let format = self.weight_format;
        diag::in_range("weight_format", format.bits as usize, 2..17)?;
        if !format.signed {
            let message = format!("`weight_format` is {format}, expected a signed format");
            return Err(Diagnostic::new(
                "E0203",
                message,
                "write the same weights with a bit more, such as s8",
            )
            .at("weight_format"));
        }
        let stages = layer::stages(self)?;
        memories::check_scales(self)?;
        let array = Array::of(self, &stages)?;
        Ok((stages, array))
    }

    fn rescales(&self) -> bool {
        self.layers.iter().any(|l| l.rescale.is_some())
    }

    fn resolved(&self) -> (Vec<Stage>, Array) {
        self.resolve().expect("the interface was checked")
    }
}

impl Block for NmArray {
    type Params = Params;
    type State = Maps;
    const NAME: &'static str = "engine/nm_array";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        samples::examples()
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        samples::sample(input, rng)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        let (stages, array) = p.resolve()?;
        let (first, last) = (&stages[0], &stages[stages.len() - 1]);
        let (x_lanes, _) = array.beat(first.channels, p.input_lanes);
        let y_lanes = gcd(last.outputs, array.finish);
        Ok(Interface::one_to_one(p.input.clone(), x_lanes, last.output.clone(), y_lanes))
    }

    fn state(p: &Params) -> Maps {
        Maps::new(&p.resolved().0)
    }

    fn reset(_: &Params, _: &mut Maps) {}

    fn step(p: &Params, maps: &mut Maps, x: &[&[i64]], y: &mut [&mut [i64]]) {
        golden::step(p, maps, x[0], y[0]);
    }

    fn body(p: &Params) -> Body {
        hardware::body(p)
    }

    fn schedule(p: &Params, _: &Maps, _: &[&[i64]], _: bool, out: &mut Schedule) {
        let (stages, array) = p.resolved();
        let (first, last) = (&stages[0], &stages[stages.len() - 1]);
        out.take(p.input.len() / array.beat(first.channels, p.input_lanes).0);
        out.busy(timing::cycles(&plan::program(&stages, &array), p.rescales(), &array));
        out.give(last.output.len() / gcd(last.outputs, array.finish));
    }

    fn cost(p: &Params, t: &Target) -> Area {
        hardware::cost(p, t)
    }
}
