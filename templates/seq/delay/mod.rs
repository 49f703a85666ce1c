//! A delay of whole time steps. Deliberately absent: delays that differ from element to element.

use nervure_core::block::{Area, Block, Body, Interface, Rng, Template};
use nervure_core::{Diagnostic, QType, Rate, Schedule, Target, TensorType, Timing, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::{area, counter_bits, divisor};

/// See the README.
pub(crate) struct Delay;

/// Parameters of `seq/delay`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in, once a time step. Filled in from the layer before.
    input: TensorType,
    /// Elements a beat. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
    /// Time steps between in and out, 1 to 65536.
    steps: usize,
}

/// State of the golden model: the last tensors, the oldest at `next`.
pub(crate) struct State {
    ring: Vec<i64>,
    next: usize,
}

impl Params {
    fn beats(&self) -> usize {
        self.input.len() / self.input_lanes
    }

    const fn width(&self) -> usize {
        self.input_lanes * self.input.format.bits as usize
    }
}

impl Block for Delay {
    type Params = Params;
    type State = State;
    const NAME: &'static str = "seq/delay";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let spikes = Params { input: TensorType::step(&[6], QType::unsigned(1)), input_lanes: 2, steps: 3 };
        let register = Params { input_lanes: 6, steps: 1, ..spikes.clone() };
        let wide = Params { input: TensorType::step(&[2, 2], QType::signed(5)), input_lanes: 2, steps: 1 };
        vec![spikes, register, wide]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let some = Params {
            input: input.clone(),
            input_lanes: divisor(input.len(), 8, rng),
            steps: rng.random_range(1..5),
        };
        (input.rate == Rate::Step).then_some(some)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        diag::in_range("steps", p.steps, 1..65537)?;
        p.input.check().map_err(|d| d.at("input"))?;
        if p.input.rate != Rate::Step {
            return Err(Diagnostic::new(
                "E0203",
                format!("the input is {}, which has no time steps", p.input),
                "leave this layer out, or make the input pass once a step",
            )
            .at("input"));
        }
        if p.steps * p.input.len() > TensorType::MAX_LEN {
            return Err(Diagnostic::new(
                "E0204",
                format!("{} steps of {} are more than {} elements", p.steps, p.input, TensorType::MAX_LEN),
                "delay by fewer steps",
            )
            .at("steps"));
        }
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, p.input.clone(), p.input_lanes))
    }

    fn state(p: &Params) -> State {
        State { ring: vec![0; p.steps * p.input.len()], next: 0 }
    }

    fn reset(_: &Params, s: &mut State) {
        s.ring.fill(0);
        s.next = 0;
    }

    fn step(p: &Params, s: &mut State, x: &[&[i64]], y: &mut [&mut [i64]]) {
        let oldest = &mut s.ring[s.next * x[0].len()..][..x[0].len()];
        y[0].copy_from_slice(oldest);
        oldest.copy_from_slice(x[0]);
        s.next = (s.next + 1) % p.steps;
    }

    fn body(p: &Params) -> Body {
        let depth = p.steps * p.beats();
        let context = json!({
            "beats": p.beats(), "steps": p.steps, "depth": depth, "bits": counter_bits(depth), "width": p.width(),
        });
        Body::Template(Box::new(Template {
            text: include_str!("delay.v.tera"),
            context,
            memories: Vec::new(),
            kernels: Vec::new(),
            timing: Timing::Pipeline { depth: 1, prologue: 0 },
        }))
    }

    fn schedule(p: &Params, _: &State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, p.beats());
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let (depth, width) = (p.steps * p.beats(), p.width());
        let ring = if depth <= t.lut_ram_words {
            area(width * depth.div_ceil(32), width)
        } else if depth == 1 {
            area(0, width)
        } else {
            Area { bram: (depth * width).div_ceil(t.block_ram_bits) as u32, ..Area::default() }
        };
        ring + area(width + 2 * counter_bits(depth) + 4, 2 * width + 2 * counter_bits(depth) + 5)
    }
}
