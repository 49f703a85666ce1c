//! Early exit: sums over time that stop as soon as the answer is sure. Deliberately absent: softmax, and a margin that changes
//! with the step.

use nervure_core::block::{Area, Block, Body, Interface, Rng, Template};
use nervure_core::kernel::{Builder, Expr, Kernel};
use nervure_core::num::Overflow;
use nervure_core::{Diagnostic, QType, Rate, Schedule, Stream, Target, TensorType, Timing, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::{area, counter_bits, divisor};

/// See the README.
pub(crate) struct Confidence;

/// Parameters of `seq/confidence`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Scores, at least two, once a time step. Filled in from the layer before.
    input: TensorType,
    /// Scores a beat. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
    /// Format of a sum, which saturates; its sign and its fraction are those of the input. Unless given: 16 bits, or as
    /// many as a wider input has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sum: Option<QType>,
    /// How far the largest sum must lie above the second largest, in LSBs of a sum, for a decision.
    margin: usize,
    /// The first step that may decide: 1 to 65535.
    #[serde(default = "crate::shared::neuron::one")]
    min_steps: usize,
}

/// Format of the number of steps, where it saturates.
const STEPS: QType = QType::unsigned(16);

/// What lives through a sample.
pub(crate) struct State {
    sums: Vec<i64>,
    decided: bool,
    class: i64,
    steps: i64,
}

/// Index of the largest value, the lowest of equals, and how far it lies above the largest of the others.
fn leader(values: impl Iterator<Item = i64>) -> (i64, i64) {
    let (mut class, mut largest, mut second) = (0, i64::MIN, i64::MIN);
    for (i, v) in values.enumerate() {
        if v > largest {
            (class, second, largest) = (i as i64, largest, v);
        } else {
            second = second.max(v);
        }
    }
    (class, largest - second)
}

/// The largest of some scores, and the second largest where there are two.
type Top<'k> = (Expr<'k>, Option<Expr<'k>>);

/// Whether the largest comes from `b`, and the best two of both.
fn best_two<'k>(k: &'k Builder, a: Top<'k>, b: Top<'k>) -> (Expr<'k>, Top<'k>) {
    let later = b.0.gt(a.0);
    let loser = k.select(later, a.0, b.0).named("loser");
    let of = |second: Option<Expr<'k>>| second.unwrap_or(loser);
    let second = match (a.1, b.1) {
        (None, None) => loser,
        (x, y) => k.select(later, of(y), of(x)).max(loser),
    };
    (later, (k.select(later, b.0, a.0), Some(second)))
}

impl Params {
    fn total(&self) -> QType {
        self.sum.unwrap_or(QType { bits: self.input.format.bits.max(16), ..self.input.format })
    }

    fn index(&self) -> QType {
        QType::unsigned(counter_bits(self.input.len()) as u8)
    }

    fn lane(&self) -> QType {
        QType::unsigned(counter_bits(self.input_lanes) as u8)
    }

    fn beats(&self) -> usize {
        self.input.len() / self.input_lanes
    }

    /// Cycles from the beat that decides to the decision: after the addition, and after the comparison of lanes.
    fn depth(&self) -> u32 {
        if self.input_lanes > 1 { 2 } else { 1 }
    }

    fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        let (x, y) = (self.input.format, self.total());
        if self.input.rate != Rate::Step {
            let message = format!("the input is {}, which has no time steps to stop after", self.input);
            return Some(("input", message, "use `seq/argmax`, or make the input pass once a step"));
        }
        if self.input.len() == 1 {
            let message = "the input has one element, which has no other to lie above";
            return Some(("input", message.into(), "give each class an element; two do for yes and no"));
        }
        if y.frac != x.frac || y.signed != x.signed {
            let message = format!("`sum` is {y}, whose sign or fraction differs from the input's ({x})");
            return Some(("sum", message, "change only the bits"));
        }
        None
    }

    /// A sum's next value.
    fn add(&self) -> Kernel {
        let k = Builder::new();
        let sum = k.input("held", self.total()) + k.input("x", self.input.format);
        let total = sum.named("sum").fit(self.total(), Overflow::Saturate).named("saturated");
        k.output_as("total", self.total(), total);
        k.finish()
    }

    /// The best two of a beat.
    fn beat(&self) -> Kernel {
        let k = Builder::new();
        let score = |n: usize| (k.input(&format!("x{n}"), self.total()), None);
        let mut left: Vec<_> = (0..self.input_lanes).map(|n| (score(n), k.constant(n as i64, 0))).collect();
        while left.len() > 1 {
            left = left
                .chunks(2)
                .map(|pair| match *pair {
                    [(a, i), (b, j)] => {
                        let (later, top) = best_two(&k, a, b);
                        (top, k.select(later, j, i))
                    }
                    _ => pair[0],
                })
                .collect();
        }
        let ((first, second), lane) = left[0];
        k.output_as("first", self.total(), first);
        k.output_as("second", self.total(), second.expect("such a beat has two lanes"));
        k.output_as("lane", self.lane(), lane);
        k.finish()
    }

    /// The best two so far and those of a beat, and whether the margin is reached.
    fn merge(&self) -> Kernel {
        let k = Builder::new();
        let first = k.input("first", self.total());
        let mut top = (first, (self.input_lanes > 1).then(|| k.input("second", self.total())));
        if self.beats() > 1 {
            let held = (k.input("held", self.total()), Some(k.input("held_second", self.total())));
            let later;
            (later, top) = best_two(&k, held, top);
            k.output_as("top", self.total(), top.0);
            k.output_as("runner_up", self.total(), top.1.expect("one is held"));
            k.output_as("later", QType::unsigned(1), later);
        }
        let lead = (top.0 - top.1.expect("there are two scores")).named("lead");
        k.output_as(
            "reached",
            QType::unsigned(1),
            lead.ge(k.constant(self.margin as i64, self.total().frac)),
        );
        k.finish()
    }
}

impl Block for Confidence {
    type Params = Params;
    type State = State;
    const NAME: &'static str = "seq/confidence";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let spikes = Params {
            input: TensorType::step(&[10], QType::unsigned(1)),
            input_lanes: 2,
            sum: Some(QType::unsigned(3)),
            margin: 2,
            min_steps: 1,
        };
        let one = Params { input_lanes: 1, sum: None, margin: 1, min_steps: 3, ..spikes.clone() };
        let format = |bits| QType { bits, frac: 2, signed: true };
        let membranes = Params {
            input: TensorType::step(&[3, 3], format(6)),
            input_lanes: 3,
            sum: Some(format(8)),
            margin: 20,
            min_steps: 2,
        };
        let all = Params {
            input: TensorType::step(&[5], format(5)),
            input_lanes: 5,
            sum: None,
            ..membranes.clone()
        };
        vec![spikes, one, membranes, all]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        if input.rate != Rate::Step || input.len() < 2 {
            return None;
        }
        let bits = (input.format.bits + rng.random_range(0..4)).min(QType::MAX_BITS);
        let sum = rng.random::<bool>().then_some(QType { bits, ..input.format });
        let span = (input.format.max() - input.format.min()) as usize;
        Some(Params {
            input: input.clone(),
            input_lanes: divisor(input.len(), 8, rng),
            sum,
            margin: rng.random_range(0..=span),
            min_steps: rng.random_range(1..4),
        })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        if let Some((field, message, help)) = p.fault() {
            return Err(Diagnostic::new("E0203", message, help).at(field));
        }
        let widest = (p.total().max() - p.total().min()) as usize;
        diag::in_range("margin", p.margin, 0..widest + 1)?;
        diag::in_range("min_steps", p.min_steps, 1..STEPS.max() as usize + 1)?;
        let output = |name: &str, format| Stream::new(name, TensorType::frame(&[1], format), 1);
        Ok(Interface {
            inputs: vec![Stream::new("x", p.input.clone(), p.input_lanes)],
            outputs: vec![output("class", p.index()), output("steps", STEPS)],
        })
    }

    fn state(p: &Params) -> State {
        State { sums: vec![0; p.input.len()], decided: false, class: 0, steps: 0 }
    }

    fn reset(_: &Params, s: &mut State) {
        s.sums.fill(0);
        (s.decided, s.class, s.steps) = (false, 0, 0);
    }

    fn step(p: &Params, s: &mut State, x: &[&[i64]], y: &mut [&mut [i64]]) {
        for (sum, &x) in s.sums.iter_mut().zip(x[0]) {
            *sum = p.total().saturate(*sum + x);
        }
        if !s.decided {
            let (class, lead) = leader(s.sums.iter().copied());
            s.class = class;
            s.steps = STEPS.saturate(s.steps + 1);
            s.decided = lead >= p.margin as i64 && s.steps >= p.min_steps as i64;
        }
        (y[0][0], y[1][0]) = (s.class, s.steps);
    }

    fn body(p: &Params) -> Body {
        let (x_bits, bits, beats, lanes) =
            (p.input.format.bits as usize, p.total().bits as usize, p.beats(), p.input_lanes);
        let part = |lane: usize, bits: usize| format!("[{}:{}]", (lane + 1) * bits - 1, lane * bits);
        let parts: Vec<_> = (0..lanes).map(|n| json!({"x": part(n, x_bits), "sum": part(n, bits)})).collect();
        let (index_bits, lane_bits, beat_bits) = (p.index().bits, p.lane().bits, counter_bits(beats));
        let least = if p.total().signed { 1i64 << (bits - 1) } else { 0 };
        let context = json!({
            "beats": beats, "last_beat": beats - 1, "beat_bits": beat_bits, "beat_top": beat_bits - 1,
            "single": beats == 1, "word": lanes * bits, "lanes": lanes, "parts": parts,
            "bits_top": bits - 1, "least": format!("{bits}'h{least:x}"), "lane_top": lane_bits - 1,
            "index_bits": index_bits, "index_top": index_bits - 1,
            "base_pad": index_bits - lane_bits.min(index_bits), "aligned": lanes.is_power_of_two(),
            "margin": p.margin, "min_steps": p.min_steps,
        });
        let mut kernels = vec![("add", p.add()), ("merge", p.merge())];
        if lanes > 1 {
            kernels.push(("best_two", p.beat()));
        }
        Body::Template(Box::new(Template {
            text: include_str!("confidence.v.tera"),
            context,
            memories: Vec::new(),
            kernels,
            timing: Timing::Pipeline { depth: p.depth(), prologue: 0 },
        }))
    }

    fn schedule(p: &Params, s: &State, x: &[&[i64]], last: bool, out: &mut Schedule) {
        let sums = s.sums.iter().zip(x[0]).map(|(sum, x)| p.total().saturate(sum + x));
        let sure = s.steps + 1 >= p.min_steps as i64 && leader(sums).1 >= p.margin as i64;
        let decides = !s.decided && (sure || last);
        out.take(p.beats() - 1);
        out.pass(if decides { 0b11 } else { 0 }, 1);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let (bits, beats, index) = (p.total().bits as usize, p.beats(), p.index().bits as usize);
        let word = p.input_lanes * bits;
        let memory = if beats == 1 {
            area(0, word)
        } else if t.lut_ram_words < 2 {
            area(beats * word, beats * word)
        } else {
            // Four lookup tables hold 32 words of 6 bits or 64 words of 3; Yosys doubles the address.
            let blocks = if beats <= 32 { word.div_ceil(6) } else { word.div_ceil(3) * beats.div_ceil(64) };
            area(4 * blocks, 0)
        };
        let within = if p.input_lanes > 1 {
            p.beat().area(t) + area(0, 2 * bits + usize::from(p.lane().bits) + 3)
        } else {
            Area::default()
        };
        let across = match beats {
            1 => Area::default(),
            n => area(2 * index + 2 * counter_bits(n) + 2, 2 * bits + 2 * index + counter_bits(n)),
        };
        // Zero for the first step costs one lookup table a bit; the counter of steps has 16, and an output as many.
        p.add().area(t) * p.input_lanes
            + memory
            + within
            + across
            + p.merge().area(t)
            + area(word + 30, word + 2 * 16 + index + 8)
    }
}
