//! Leaky integrators behind an exponential synapse: a read-out that does not fire. Deliberately absent: weights.

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::num::Overflow;
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::integrate::Neurons;
use crate::shared::leak::Leak;
use crate::shared::membrane::{Cell, Order, Synapse};
use crate::shared::neuron::{Draw, cell_methods, is_saturate, one, saturate};
use crate::shared::per_element::PerElement;

/// See the README.
pub(crate) struct CubaLi;

/// Parameters of `neuron/cuba_li`.
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
    /// How the membrane decays in a step.
    leak: Leak,
    /// Format of the synaptic current; signed, with at least the fraction of the input, at most that of the membrane.
    current: QType,
    /// How the synaptic current decays in a step.
    current_leak: Leak,
    /// Whether the membrane takes the synaptic current of this step, or of the step before.
    order: Order,
    /// What a synaptic current outside its format becomes.
    #[serde(default = "saturate", skip_serializing_if = "is_saturate")]
    current_overflow: Overflow,
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
            leak: Some(&self.leak),
            bias: self.bias.as_ref(),
            synapse: Some(Synapse {
                format: self.current,
                leak: &self.current_leak,
                order: self.order,
                overflow: self.current_overflow,
            }),
            firing: None,
        }
    }
}

impl Block for CubaLi {
    type Params = Params;
    type State = Neurons;
    const NAME: &'static str = "neuron/cuba_li";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let params = |value| serde_json::from_value(value).expect("fields of this block");
        let x = |n: usize, format: &str| json!({"shape": [n], "format": format, "rate": "step"});
        vec![
            params(json!({"input": x(6, "s9"), "membrane": "s14.2", "leak": {"shift": 3}, "current": "s12",
                "current_leak": {"shift": 2}, "order": "current_first", "overflow": "saturate"})),
            params(
                json!({"input": x(4, "s8"), "input_lanes": 2, "membrane": "s11", "leak": {"shift": 4, "multiply": 15,
                "rounding": "toward_zero"}, "current": "s9", "current_leak": {"shift": 4, "multiply": [8, 9, 10, 11]},
                "order": "membrane_first", "current_overflow": "wrap", "overflow": "saturate"}),
            ),
        ]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let mut draw = Draw::new(input, rng)?;
        for (name, leak) in [("leak", draw.leak(rng)), ("current_leak", draw.leak(rng))] {
            draw.set(name, leak);
        }
        draw.synapse(rng);
        Some(draw.finish())
    }

    cell_methods!();
}
