//! The class with the largest score. Deliberately absent: the score itself, and the k best.

use nervure_core::block::{Area, Block, Body, Interface, Rng, Template};
use nervure_core::kernel::{Builder, Kernel};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType, Timing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::{area, counter_bits, divisor};

/// See the README.
pub(crate) struct Argmax;

/// Parameters of `seq/argmax`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Scores, at least two. Filled in from the layer before.
    input: TensorType,
    /// Scores compared at once. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
}

impl Params {
    fn index(&self) -> QType {
        QType::unsigned(counter_bits(self.input.len()) as u8)
    }

    fn beats(&self) -> usize {
        self.input.len() / self.input_lanes
    }

    fn lane(&self) -> QType {
        QType::unsigned(counter_bits(self.input_lanes) as u8)
    }

    /// The first largest of a beat, and its lane.
    fn kernel(&self) -> Kernel {
        let k = Builder::new();
        let scores: Vec<_> = (0..self.input_lanes)
            .map(|n| (k.input(&format!("x{n}"), self.input.format), k.constant(n as i64, 0)))
            .collect();
        let mut left = scores;
        while left.len() > 1 {
            left = left
                .chunks(2)
                .map(|pair| match *pair {
                    [(a, i), (b, j)] => {
                        let later = b.gt(a);
                        (k.select(later, b, a), k.select(later, j, i))
                    }
                    _ => pair[0],
                })
                .collect();
        }
        k.output_as("score", self.input.format, left[0].0);
        k.output_as("lane", self.lane(), left[0].1);
        k.finish()
    }
}

impl Block for Argmax {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "seq/argmax";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let one = Params { input: TensorType::frame(&[10], QType::unsigned(4)), input_lanes: 1 };
        let two = Params { input: TensorType::step(&[6], QType::signed(3)), input_lanes: 2 };
        let three = Params { input: TensorType::frame(&[3, 3], QType::signed(8)), input_lanes: 3 };
        let all = Params { input: TensorType::step(&[5], QType::unsigned(1)), input_lanes: 5 };
        vec![one, two, three, all]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        (input.len() > 1).then(|| Params { input: input.clone(), input_lanes: divisor(input.len(), 8, rng) })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        if p.input.len() == 1 {
            let message = "the input has one element, whose index is always 0";
            return Err(Diagnostic::new("E0203", message, "leave this layer out").at("input"));
        }
        let y = TensorType { shape: vec![1], format: p.index(), rate: p.input.rate };
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, y, 1))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(_: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        let mut best = 0;
        for (i, score) in x[0].iter().enumerate() {
            if *score > x[0][best] {
                best = i;
            }
        }
        y[0][0] = best as i64;
    }

    fn body(p: &Params) -> Body {
        let (bits, lanes, beats) = (p.input.format.bits as usize, p.input_lanes, p.beats());
        let parts: Vec<String> =
            (0..lanes).map(|n| format!("[{}:{}]", (n + 1) * bits - 1, n * bits)).collect();
        let (index_bits, lane_bits, beat_bits) = (p.index().bits, p.lane().bits, counter_bits(beats));
        let context = json!({
            "beats": beats, "last_beat": beats - 1, "beat_bits": beat_bits, "single": beats == 1,
            "lanes": lanes, "parts": parts, "signed": p.input.format.signed,
            "index_bits": index_bits, "base_pad": index_bits - lane_bits.min(index_bits),
            "bits_top": bits - 1, "index_top": index_bits - 1, "lane_top": lane_bits - 1, "beat_top": beat_bits - 1,
            "aligned": lanes.is_power_of_two(),
        });
        let kernels = if lanes > 1 { vec![("first_largest", p.kernel())] } else { Vec::new() };
        Body::Template(Box::new(Template {
            text: include_str!("argmax.v.tera"),
            context,
            memories: Vec::new(),
            kernels,
            timing: Timing::Pipeline { depth: 0, prologue: 0 },
        }))
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.take(p.beats() - 1);
        out.pass(1, 1);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let (bits, index) = (p.input.format.bits as usize, p.index().bits as usize);
        let within = if p.input_lanes > 1 { p.kernel().area(t) } else { Area::default() };
        let across = match p.beats() {
            1 => Area::default(),
            n => {
                let base = if p.input_lanes.is_power_of_two() { 0 } else { index };
                area(bits + index + base + 2 * counter_bits(n) + 2, bits + index + base + counter_bits(n))
            }
        };
        within + across + area(3, index + 2)
    }
}
