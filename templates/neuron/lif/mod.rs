//! Leaky integrate-and-fire neurons. Deliberately absent: synapses (an engine has them).

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::{Diagnostic, Schedule, Target, TensorType};
use serde_json::json;

use crate::shared::integrate::Neurons;
use crate::shared::leak::Leak;
use crate::shared::membrane::Cell;
use crate::shared::neuron::{Draw, cell_methods, firing_params};

/// See the README.
pub(crate) struct Lif;

firing_params! {
    /// Parameters of `neuron/lif`.
    {
        /// How the membrane decays in a step.
        leak: Leak,
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
            synapse: None,
            firing: Some(self.firing()),
        }
    }
}

impl Block for Lif {
    type Params = Params;
    type State = Neurons;
    const NAME: &'static str = "neuron/lif";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let params = |value| serde_json::from_value(value).expect("fields of this block");
        let x = |n: usize, format: &str| json!({"shape": [n], "format": format, "rate": "step"});
        vec![
            params(
                json!({"input": x(6, "s9"), "membrane": "s10", "threshold": 100, "compare": "gt", "reset": "zero",
                "leak": {"shift": 3}, "overflow": "saturate"}),
            ),
            params(
                json!({"input": x(8, "s8"), "input_lanes": 4, "membrane": "s9", "threshold": 100, "compare": "ge",
                "reset": "subtract", "leak": {"shift": 4, "multiply": 13}, "overflow": "saturate"}),
            ),
            params(
                json!({"input": x(6, "s9"), "input_lanes": 6, "membrane": "s10", "threshold": 100, "compare": "gt",
                "reset": "zero", "leak": {"shift": 3}, "overflow": "wrap"}),
            ),
            params(
                json!({"input": x(4, "s8"), "input_lanes": 2, "membrane": "s10", "threshold": [40, 50, 60, 70],
                "compare": "gt", "reset": {"value": -5}, "leak": {"shift": 5, "multiply": [24, 27, 30, 31],
                "rounding": "toward_zero"}, "overflow": "saturate", "bias": [0, 3, -3, 20], "emit": "next_step",
                "refractory": 2}),
            ),
        ]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let mut draw = Draw::new(input, rng)?;
        let leak = draw.leak(rng);
        draw.set("leak", leak);
        draw.firing(rng);
        Some(draw.finish())
    }

    cell_methods!();
}
