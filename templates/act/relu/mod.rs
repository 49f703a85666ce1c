//! Rectifiers. Deliberately absent: leaky and bounded ones (`act/table` and `act/requant` have those).

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::Builder;
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::{area, divisor};

/// See the README.
pub(crate) struct Relu;

/// Parameters of `act/relu`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in. Filled in from the layer before.
    input: TensorType,
    /// Elements computed at once. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
}

impl Params {
    fn output(&self) -> TensorType {
        let x = self.input.format;
        self.input.with_format(QType { bits: x.bits - u8::from(x.signed), signed: false, ..x })
    }
}

impl Block for Relu {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "act/relu";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let signed = Params { input: TensorType::frame(&[2, 3], QType::signed(8)), input_lanes: 3 };
        let unsigned = Params { input: TensorType::step(&[4], QType::unsigned(5)), input_lanes: 1 };
        vec![signed, unsigned]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        Some(Params { input: input.clone(), input_lanes: divisor(input.len(), 8, rng) })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, p.output(), p.input_lanes))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(_: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        for (y, &x) in y[0].iter_mut().zip(x[0]) {
            *y = x.max(0);
        }
    }

    fn body(p: &Params) -> Body {
        let k = Builder::new();
        let x = k.input("x", p.input.format);
        k.output_as("y", p.output().format, x.clamp(0, p.input.format.max()));
        Body::Kernel(k.finish())
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, p.input.len() / p.input_lanes);
    }

    fn cost(p: &Params, _: &Target) -> Area {
        let bits = p.input_lanes * p.output().format.bits as usize;
        area(3 + if p.input.format.signed { bits } else { 0 }, bits + 2)
    }
}
