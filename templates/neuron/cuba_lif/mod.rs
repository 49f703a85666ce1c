//! Leaky integrate-and-fire neurons behind an exponential synapse (current-based). Deliberately absent: weights.

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::num::Overflow;
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType};
use serde_json::json;

use crate::shared::integrate::Neurons;
use crate::shared::leak::Leak;
use crate::shared::membrane::{Cell, Order, Synapse};
use crate::shared::neuron::{Draw, cell_methods, firing_params, is_saturate, saturate};

/// See the README.
pub(crate) struct CubaLif;

firing_params! {
    /// Parameters of `neuron/cuba_lif`.
    {
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
    }
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
            firing: Some(self.firing()),
        }
    }
}

impl Block for CubaLif {
    type Params = Params;
    type State = Neurons;
    const NAME: &'static str = "neuron/cuba_lif";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let params = |value| serde_json::from_value(value).expect("fields of this block");
        let x = |n: usize, format: &str| json!({"shape": [n], "format": format, "rate": "step"});
        vec![
            params(
                json!({"input": x(6, "s8"), "membrane": "s12.2", "threshold": 400, "compare": "gt", "reset": "zero",
                "leak": {"shift": 4}, "current": "s11.2", "current_leak": {"shift": 2}, "order": "current_first",
                "overflow": "saturate"}),
            ),
            // Loihi: 12-bit factors, division toward zero, the current wraps.
            params(
                json!({"input": x(4, "s12"), "input_lanes": 4, "membrane": "s16", "threshold": 3000, "compare": "gt",
                "reset": "zero", "leak": {"shift": 12, "multiply": 3686, "rounding": "toward_zero"}, "current": "s14",
                "current_leak": {"shift": 12, "multiply": 2047, "rounding": "toward_zero"}, "order": "current_first",
                "current_overflow": "wrap", "overflow": "saturate", "emit": "next_step", "bias": 50}),
            ),
            // snnTorch with its reset in the same step.
            params(
                json!({"input": x(6, "s8"), "input_lanes": 3, "membrane": "s13.3", "threshold": 300, "compare": "gt",
                "reset": "subtract", "double_reset": true, "leak": {"shift": 8, "multiply": 218}, "current": "s12.3",
                "current_leak": {"shift": 3}, "order": "current_first", "overflow": "saturate"}),
            ),
            params(
                json!({"input": x(6, "s8"), "input_lanes": 2, "membrane": "s11", "threshold": 90, "compare": "ge",
                "reset": "subtract", "reset_at": "next_step", "leak": {"shift": 3, "rounding": "half_even"},
                "current": "s10", "current_leak": {"shift": 1}, "order": "membrane_first", "overflow": "saturate"}),
            ),
        ]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let mut draw = Draw::new(input, rng)?;
        for (name, leak) in [("leak", draw.leak(rng)), ("current_leak", draw.leak(rng))] {
            draw.set(name, leak);
        }
        draw.synapse(rng);
        draw.firing(rng);
        Some(draw.finish())
    }

    cell_methods!();
}
