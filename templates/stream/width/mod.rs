//! More or fewer elements a beat. Deliberately absent: ratios that are no whole number (two adapters in a row do that).

use nervure_core::block::{Area, Block, Body, Interface, Rng, Template};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType, Timing, diag};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::{area, counter_bits, divisor};

/// See the README.
pub(crate) struct Width;

/// Parameters of `stream/width`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What passes. Filled in from the layer before.
    input: TensorType,
    /// Elements a beat coming in. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
    /// Elements a beat going out; a multiple or a divisor of `input_lanes`.
    lanes: usize,
}

impl Params {
    /// Beats of the narrow side in one of the wide side.
    const fn ratio(&self) -> usize {
        if self.lanes > self.input_lanes {
            self.lanes / self.input_lanes
        } else {
            self.input_lanes / self.lanes
        }
    }

    const fn bits(&self, lanes: usize) -> usize {
        lanes * self.input.format.bits as usize
    }
}

impl Block for Width {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "stream/width";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let widen = Params { input: TensorType::frame(&[12], QType::signed(3)), input_lanes: 2, lanes: 6 };
        let narrow = Params { input: TensorType::step(&[8], QType::unsigned(1)), input_lanes: 4, lanes: 1 };
        let double = Params { input_lanes: 1, lanes: 2, ..narrow.clone() };
        let same = Params { input_lanes: 3, lanes: 3, ..widen.clone() };
        vec![widen, narrow, double, same]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let wide = divisor(input.len(), 32, rng);
        let slim = divisor(wide, 32, rng);
        let (input_lanes, lanes) = if rand::RngExt::random(rng) { (wide, slim) } else { (slim, wide) };
        Some(Params { input: input.clone(), input_lanes, lanes })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        let len = p.input.len();
        diag::divides("input_lanes", p.input_lanes, "the elements of the tensor", len)?;
        diag::divides("lanes", p.lanes, "the elements of the tensor", len)?;
        if !p.lanes.is_multiple_of(p.input_lanes) && !p.input_lanes.is_multiple_of(p.lanes) {
            let (lanes, from) = (p.lanes, p.input_lanes);
            let message =
                format!("`lanes` is {lanes}, neither a multiple nor a divisor of the {from} coming in");
            return Err(
                Diagnostic::new("E0202", message, "go through a number that divides both").at("lanes")
            );
        }
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, p.input.clone(), p.lanes))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(_: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        y[0].copy_from_slice(x[0]);
    }

    fn body(p: &Params) -> Body {
        let ratio = p.ratio();
        let context = json!({
            "in_width": p.bits(p.input_lanes), "out_width": p.bits(p.lanes),
            "in_top": p.bits(p.input_lanes) - 1, "out_top": p.bits(p.lanes) - 1,
            "held_top": p.bits(p.lanes.saturating_sub(p.input_lanes)).saturating_sub(1),
            "phase_top": counter_bits(ratio) - 1,
            "ratio": ratio, "phase_bits": counter_bits(ratio), "last_phase": ratio - 1,
            "widen": p.lanes > p.input_lanes, "narrow": p.lanes < p.input_lanes, "double": ratio == 2,
        });
        Body::Template(Box::new(Template {
            text: include_str!("width.v.tera"),
            context,
            memories: Vec::new(),
            kernels: Vec::new(),
            timing: Timing::Pipeline { depth: 0, prologue: 0 },
        }))
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        let rest = p.ratio() - 1;
        for _ in 0..p.input.len() / p.lanes.max(p.input_lanes) {
            if p.lanes > p.input_lanes {
                out.take(rest);
            }
            out.pass(1, 1);
            if p.lanes < p.input_lanes {
                out.give(rest);
            }
        }
    }

    fn cost(p: &Params, _: &Target) -> Area {
        let (into, out, phase) = (p.bits(p.input_lanes), p.bits(p.lanes), counter_bits(p.ratio()));
        match p.lanes.cmp(&p.input_lanes) {
            std::cmp::Ordering::Greater => area(phase + 4, 2 * out - into + phase + 2),
            std::cmp::Ordering::Less => area(into + phase + 5, into + phase + 3),
            std::cmp::Ordering::Equal => area(2, into + 2),
        }
    }
}
