//! Leaky integrators: a read-out that does not fire. Deliberately absent: weights (an engine has them).

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::num::Overflow;
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::integrate::Neurons;
use crate::shared::leak::Leak;
use crate::shared::membrane::Cell;
use crate::shared::neuron::{Draw, cell_methods, one};
use crate::shared::per_element::PerElement;

/// See the README.
pub(crate) struct Li;

/// Parameters of `neuron/li`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Input current; one membrane per element. Filled in from the layer before.
    input: TensorType,
    /// Membranes computed at once. Filled in from the layer before.
    #[serde(default = "one")]
    input_lanes: usize,
    /// Format of the membrane, which is what leaves; signed, with at least the fraction of the input.
    membrane: QType,
    /// How the membrane decays in a step; without it, it adds up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leak: Option<Leak>,
    /// What a membrane outside its format becomes.
    overflow: Overflow,
    /// Added to the membrane in every step; one integer, or one per element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bias: Option<PerElement>,
}

impl Params {
    fn cell(&self) -> Cell<'_> {
        Cell {
            input: &self.input,
            membrane: self.membrane,
            overflow: self.overflow,
            leak: self.leak.as_ref(),
            bias: self.bias.as_ref(),
            synapse: None,
            firing: None,
        }
    }
}

impl Block for Li {
    type Params = Params;
    type State = Neurons;
    const NAME: &'static str = "neuron/li";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let params = |value| serde_json::from_value(value).expect("fields of this block");
        let x = |n: usize, format: &str| json!({"shape": [n], "format": format, "rate": "step"});
        vec![
            params(
                json!({"input": x(6, "s9"), "membrane": "s12", "leak": {"shift": 3}, "overflow": "saturate"}),
            ),
            params(json!({"input": x(4, "s8"), "input_lanes": 2, "membrane": "s12.3", "leak": {"shift": 6,
                "multiply": [50, 60, 63, 64], "rounding": "half_up"}, "overflow": "wrap", "bias": [-9, 0, 9, 100]})),
            params(json!({"input": x(6, "s8"), "input_lanes": 6, "membrane": "s11", "overflow": "saturate"})),
        ]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let mut draw = Draw::new(input, rng)?;
        if rng.random() {
            let leak = draw.leak(rng);
            draw.set("leak", leak);
        }
        Some(draw.finish())
    }

    cell_methods!();
}
