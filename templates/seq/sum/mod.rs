//! Sums over time: spike counts, or membranes read out at the end. Deliberately absent: windows that slide.

use nervure_core::block::{Area, Block, Body, Interface, Rng, Template};
use nervure_core::kernel::{Builder, Kernel};
use nervure_core::num::Overflow;
use nervure_core::{
    Diagnostic, Packed, PackedMut, QType, Rate, Schedule, Target, TensorType, Timing, vectorised,
};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::{area, counter_bits, divisor};

/// See the README.
pub(crate) struct Sum;

/// Parameters of `seq/sum`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in, once a time step. Filled in from the layer before.
    input: TensorType,
    /// Elements a beat. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
    /// Format of a sum, which saturates; its sign and its fraction are those of the input. Unless given: 16 bits, or as
    /// many as a wider input has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<QType>,
}

impl Params {
    fn sum(&self) -> QType {
        self.output.unwrap_or(QType { bits: self.input.format.bits.max(16), ..self.input.format })
    }

    fn beats(&self) -> usize {
        self.input.len() / self.input_lanes
    }

    fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        if self.input.rate != Rate::Step {
            let message = format!("the input is {}, which has no time steps to sum over", self.input);
            return Some(("input", message, "leave this layer out, or make the input pass once a step"));
        }
        let (x, y) = (self.input.format, self.sum());
        if y.frac != x.frac || y.signed != x.signed {
            let message = format!("`output` is {y}, whose sign or fraction differs from the input's ({x})");
            return Some((
                "output",
                message,
                "change only the bits; an `act/requant` behind it does the rest",
            ));
        }
        None
    }

    fn kernel(&self) -> Kernel {
        let k = Builder::new();
        let sum = k.input("held", self.sum()) + k.input("x", self.input.format);
        k.output_as(
            "total",
            self.sum(),
            sum.named("sum").fit(self.sum(), Overflow::Saturate).named("saturated"),
        );
        k.finish()
    }
}

impl Block for Sum {
    type Params = Params;
    type State = Vec<i64>;
    const NAME: &'static str = "seq/sum";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let spikes = Params {
            input: TensorType::step(&[6], QType::unsigned(1)),
            input_lanes: 2,
            output: Some(QType::unsigned(2)),
        };
        let default = Params { input_lanes: 1, output: None, ..spikes.clone() };
        let signed = Params {
            input: TensorType::step(&[2, 2], QType { bits: 6, frac: 3, signed: true }),
            input_lanes: 4,
            output: Some(QType { bits: 7, frac: 3, signed: true }),
        };
        vec![spikes, default, signed]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        if input.rate != Rate::Step {
            return None;
        }
        let bits = (input.format.bits + rng.random_range(0..4)).min(QType::MAX_BITS);
        let output = rng.random::<bool>().then_some(QType { bits, ..input.format });
        Some(Params { input: input.clone(), input_lanes: divisor(input.len(), 4, rng), output })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        if let Some((field, message, help)) = p.fault() {
            return Err(Diagnostic::new("E0203", message, help).at(field));
        }
        let y = TensorType { rate: Rate::Frame, ..p.input.with_format(p.sum()) };
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, y, p.input_lanes))
    }

    fn state(p: &Params) -> Vec<i64> {
        vec![0; p.input.len()]
    }

    fn reset(_: &Params, sums: &mut Vec<i64>) {
        sums.fill(0);
    }

    fn step(p: &Params, sums: &mut Vec<i64>, x: &[&[i64]], y: &mut [&mut [i64]]) {
        for (sum, &x) in sums.iter_mut().zip(x[0]) {
            *sum = p.sum().saturate(*sum + x);
        }
        y[0].copy_from_slice(sums);
    }

    fn step_packed(p: &Params, sums: &mut Vec<i64>, steps: usize, x: Packed, y: PackedMut) -> bool {
        let (Packed::Bits(words), PackedMut::Wide(y)) = (x, y) else { return false };
        let max = p.sum().max();
        vectorised(
            #[inline(always)]
            || {
                for words in words.chunks(words.len() / steps) {
                    for (sums, word) in sums.chunks_mut(64).zip(words) {
                        let bit = |i| (word >> i & 1) as i64;
                        sums.iter_mut().enumerate().for_each(|(i, sum)| *sum = max.min(*sum + bit(i)));
                    }
                }
            },
        );
        y.copy_from_slice(sums);
        true
    }

    fn body(p: &Params) -> Body {
        let (x_bits, bits, beats) = (p.input.format.bits as usize, p.sum().bits as usize, p.beats());
        let part = |lane: usize, bits: usize| format!("[{}:{}]", (lane + 1) * bits - 1, lane * bits);
        let lanes: Vec<_> =
            (0..p.input_lanes).map(|n| json!({"x": part(n, x_bits), "sum": part(n, bits)})).collect();
        let context = json!({
            "beats": beats, "last_beat": beats - 1, "beat_bits": counter_bits(beats),
            "beat_top": counter_bits(beats) - 1, "single": beats == 1,
            "word": p.input_lanes * bits, "lanes": lanes,
        });
        Body::Template(Box::new(Template {
            text: include_str!("sum.v.tera"),
            context,
            memories: Vec::new(),
            kernels: vec![("add", p.kernel())],
            timing: Timing::Pipeline { depth: 0, prologue: 0 },
        }))
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], last: bool, out: &mut Schedule) {
        out.take(p.beats());
        if last {
            out.give(p.beats());
        }
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let (word, beats) = (p.input_lanes * p.sum().bits as usize, p.beats());
        let memory = if beats == 1 {
            area(0, word)
        } else if t.lut_ram_words < 2 {
            area(beats * word, beats * word)
        } else {
            // Four lookup tables hold 32 words of 6 bits or 64 words of 3; Yosys doubles the address.
            let blocks = if beats <= 32 { word.div_ceil(6) } else { word.div_ceil(3) * beats.div_ceil(64) };
            area(4 * blocks, counter_bits(beats))
        };
        // The zero of a sample's first step costs one lookup table a bit in front of the adders.
        p.kernel().area(t) * p.input_lanes
            + memory
            + area(word + 2 * counter_bits(beats) + 8, word + counter_bits(beats) + 4)
    }
}
