//! Integrate-and-fire neurons without leak. Deliberately absent: synapses (an engine has them).

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::{Diagnostic, Schedule, Target, TensorType};
use serde_json::json;

use crate::shared::integrate::Neurons;
use crate::shared::membrane::Cell;
use crate::shared::neuron::{Draw, cell_methods, firing_params};

/// See the README.
pub(crate) struct If;

firing_params! {
    /// Parameters of `neuron/if`.
}

impl Params {
    fn cell(&self) -> Cell<'_> {
        Cell {
            input: &self.input,
            membrane: self.membrane,
            overflow: self.overflow,
            leak: None,
            bias: self.bias.as_ref(),
            synapse: None,
            firing: Some(self.firing()),
        }
    }
}

impl Block for If {
    type Params = Params;
    type State = Neurons;
    const NAME: &'static str = "neuron/if";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let params = |value| serde_json::from_value(value).expect("fields of this block");
        let x = |n: usize, format: &str| json!({"shape": [n], "format": format, "rate": "step"});
        vec![
            params(
                json!({"input": x(6, "s9"), "membrane": "s10", "threshold": 100, "compare": "gt", "reset": "zero",
                "overflow": "saturate"}),
            ),
            params(
                json!({"input": x(8, "s8"), "input_lanes": 4, "membrane": "s9", "threshold": 100, "compare": "ge",
                "reset": "subtract", "overflow": "saturate"}),
            ),
            params(
                json!({"input": x(6, "s9"), "input_lanes": 6, "membrane": "s10", "threshold": 100, "compare": "gt",
                "reset": "zero", "overflow": "wrap"}),
            ),
            params(
                json!({"input": x(6, "s9"), "input_lanes": 2, "membrane": "s12.2", "threshold": 128, "compare": "ge",
                "reset": "subtract", "overflow": "saturate", "max_spikes": 7, "floor": -128}),
            ),
        ]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let mut draw = Draw::new(input, rng)?;
        draw.firing(rng);
        Some(draw.finish())
    }

    cell_methods!();
}
