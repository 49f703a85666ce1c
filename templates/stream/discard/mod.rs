//! Where the beats go that nobody reads.

use nervure_core::block::{Area, Block, Body, Interface, Rng, Stream, Template};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType, Timing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::divisor;

/// See the README.
pub(crate) struct Discard;

/// Parameters of `stream/discard`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in. Filled in from the layer before.
    input: TensorType,
    /// Elements a beat. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
}

impl Block for Discard {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "stream/discard";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let frame = Params { input: TensorType::frame(&[4], QType::signed(5)), input_lanes: 2 };
        let step = Params { input: TensorType::step(&[3], QType::unsigned(1)), input_lanes: 1 };
        vec![frame, step]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        Some(Params { input: input.clone(), input_lanes: divisor(input.len(), 8, rng) })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        let inputs = vec![Stream::new("x", p.input.clone(), p.input_lanes)];
        Ok(Interface { inputs, outputs: Vec::new() })
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(_: &Params, (): &mut (), _: &[&[i64]], _: &mut [&mut [i64]]) {}

    fn body(_: &Params) -> Body {
        Body::Template(Box::new(Template {
            text: include_str!("discard.v.tera"),
            context: json!({}),
            memories: Vec::new(),
            kernels: Vec::new(),
            timing: Timing::Pipeline { depth: 0, prologue: 0 },
        }))
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.take(p.input.len() / p.input_lanes);
    }

    fn cost(_: &Params, _: &Target) -> Area {
        Area::default()
    }
}
