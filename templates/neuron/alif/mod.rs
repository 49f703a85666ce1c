//! Leaky integrate-and-fire neurons with an adaptive threshold. Deliberately absent: synapses (an engine has them).

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType};
use serde_json::json;

use crate::shared::integrate::Neurons;
use crate::shared::leak::Leak;
use crate::shared::membrane::{Adaptation, Cell, Firing};
use crate::shared::neuron::{Draw, cell_methods, firing_params};
use crate::shared::per_element::PerElement;

/// See the README.
pub(crate) struct Alif;

firing_params! {
    /// Parameters of `neuron/alif`.
    {
        /// How the membrane decays in a step.
        leak: Leak,
        /// Format of the adaptation; unsigned, with at least the fraction of the membrane.
        adaptation: QType,
        /// How the adaptation decays in a step.
        adaptation_leak: Leak,
        /// What a spike adds to the adaptation, an integer of its format; one for all, or one per neuron.
        jump: PerElement,
    }
}

impl Params {
    fn cell(&self) -> Cell<'_> {
        let adaptation =
            Adaptation { format: self.adaptation, leak: &self.adaptation_leak, jump: &self.jump };
        Cell {
            input: &self.input,
            membrane: self.membrane,
            overflow: self.overflow,
            leak: Some(&self.leak),
            bias: self.bias.as_ref(),
            synapse: None,
            firing: Some(Firing { adaptation: Some(adaptation), ..self.firing() }),
        }
    }
}

impl Block for Alif {
    type Params = Params;
    type State = Neurons;
    const NAME: &'static str = "neuron/alif";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let params = |value| serde_json::from_value(value).expect("fields of this block");
        let x = |n: usize, format: &str| json!({"shape": [n], "format": format, "rate": "step"});
        vec![
            params(json!({"input": x(6, "s9"), "membrane": "s11", "threshold": 100, "compare": "gt",
                "reset": "subtract", "leak": {"shift": 4}, "adaptation": "u13.3", "adaptation_leak": {"shift": 6},
                "jump": 400, "overflow": "saturate"})),
            params(
                json!({"input": x(4, "s8"), "input_lanes": 2, "membrane": "s10", "threshold": [40, 50, 60, 0],
                "compare": "gt", "reset": "zero", "leak": {"shift": 5, "multiply": 29}, "adaptation": "u10",
                "adaptation_leak": {"shift": 8, "multiply": 250, "rounding": "half_up"},
                "jump": [0, 20, 30, 300], "overflow": "wrap", "refractory": 1}),
            ),
        ]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let mut draw = Draw::new(input, rng)?;
        let leak = draw.leak(rng);
        draw.set("leak", leak);
        draw.adaptation(rng);
        draw.firing(rng);
        Some(draw.finish())
    }

    cell_methods!();
}
