//! A register slice that cuts both directions of a stream.

use nervure_core::block::{Area, Block, Body, Interface, Rng, Stream, Template};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType, Timing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::{area, lanes};

/// See the README.
pub(crate) struct Skid;

/// Parameters of `stream/skid`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What passes. Filled in from the layer before.
    input: TensorType,
    /// Elements a beat. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
}

impl Params {
    /// Bits of a stored beat: the data and `tlast`.
    fn word(&self) -> usize {
        self.stream("x").width() + 1
    }

    fn stream(&self, name: &str) -> Stream {
        Stream::any(name, self.input.clone(), self.input_lanes)
    }
}

impl Block for Skid {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "stream/skid";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let frame = Params { input: TensorType::frame(&[5], QType::signed(6)), input_lanes: 1 };
        let step = Params { input: TensorType::step(&[4], QType::unsigned(1)), input_lanes: 2 };
        vec![frame, step]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        Some(Params { input: input.clone(), input_lanes: lanes(input, rng) })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        Ok(Interface { inputs: vec![p.stream("x")], outputs: vec![p.stream("y")] })
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(_: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        y[0].copy_from_slice(x[0]);
    }

    fn body(p: &Params) -> Body {
        Body::Template(Box::new(Template {
            text: include_str!("skid.v.tera"),
            context: json!({"word": p.word()}),
            memories: Vec::new(),
            kernels: Vec::new(),
            timing: Timing::Fifo { capacity: 2 },
        }))
    }

    fn schedule(p: &Params, _: &Self::State, x: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, p.stream("x").beats_of(x[0]));
    }

    fn cost(p: &Params, _: &Target) -> Area {
        area(p.word() + 4, 2 * p.word() + 2)
    }
}
