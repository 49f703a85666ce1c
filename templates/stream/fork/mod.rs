//! One stream to several readers. Deliberately absent: queues (put a `stream/fifo` behind a slow reader).

use nervure_core::block::{Area, Block, Body, Interface, Rng, Stream, Template};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType, Timing, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::{area, divisor};

/// See the README.
pub(crate) struct Fork;

/// Parameters of `stream/fork`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What passes. Filled in from the layer before.
    input: TensorType,
    /// Elements a beat. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
    /// Readers, 2 to 8.
    copies: usize,
}

impl Params {
    const fn width(&self) -> usize {
        self.input_lanes * self.input.format.bits as usize
    }
}

impl Block for Fork {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "stream/fork";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let two = Params { input: TensorType::frame(&[6], QType::signed(5)), input_lanes: 2, copies: 2 };
        let many = Params { input: TensorType::step(&[3], QType::unsigned(1)), input_lanes: 1, copies: 8 };
        vec![two, many]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let input_lanes = divisor(input.len(), 8, rng);
        Some(Params { input: input.clone(), input_lanes, copies: rng.random_range(2..5) })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        diag::in_range("copies", p.copies, 2..9)?;
        let stream = |name: &str| Stream::new(name, p.input.clone(), p.input_lanes);
        let outputs = (0..p.copies).map(|n| stream(&format!("y{n}"))).collect();
        Ok(Interface { inputs: vec![stream("x")], outputs })
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(_: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        for y in y.iter_mut() {
            y.copy_from_slice(x[0]);
        }
    }

    fn body(p: &Params) -> Body {
        let readers: Vec<String> = (0..p.copies).map(|n| format!("y{n}")).collect();
        Body::Template(Box::new(Template {
            text: include_str!("fork.v.tera"),
            context: json!({
                "copies": p.copies, "copies_top": p.copies - 1, "width_top": p.width() - 1, "readers": readers,
            }),
            memories: Vec::new(),
            kernels: Vec::new(),
            timing: Timing::Pipeline { depth: 0, prologue: 0 },
        }))
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass((1u16 << p.copies).wrapping_sub(1) as u8, p.input.len() / p.input_lanes);
    }

    fn cost(p: &Params, _: &Target) -> Area {
        area(2 * p.copies + 1, p.width() + 1 + p.copies)
    }
}
