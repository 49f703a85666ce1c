//! Parameters for tests: chosen ones and random ones.

use nervure_core::block::{Block, Rng};
use nervure_core::{QType, Rate, TensorType};
use rand::RngExt;
use serde_json::{Map, Value, json};

use super::{Params, Reservoir};
use crate::shared::cell::Neuron;
use crate::shared::divisor;
use crate::shared::spikes::random_neuron;

fn neuron(block: &str, params: Value) -> Neuron {
    let Value::Object(params) = params else { unreachable!("parameters are an object") };
    Neuron { block: block.into(), params }
}

pub(super) fn examples() -> Vec<Params> {
    let lif = json!({"membrane": "s10", "threshold": 20, "compare": "gt", "reset": "zero", "leak": {"shift": 2},
        "overflow": "saturate"});
    // Beats of input and of spikes of equal width; input weights that are larger.
    let plain = Params {
        input: TensorType::step(&[12], QType::unsigned(1)),
        input_lanes: 4,
        neurons: 32,
        lanes: 4,
        seed: 1,
        density: 128,
        recurrent_density: 32,
        positive: 200,
        magnitude_bits: 2,
        input_shift: 2,
        recurrent_shift: 1,
        neuron: neuron("neuron/lif", lif),
    };
    // One neuron at a time, numbers that are no powers of two, a threshold for each, weights of one size.
    let each = json!({"membrane": "s8", "threshold": [2, 3, 4, 5, 6, 2, 3, 4, 5, 6, 7, 2, 3], "compare": "ge",
        "reset": "subtract", "overflow": "wrap"});
    let serial = Params {
        input: TensorType::step(&[7], QType::unsigned(1)),
        input_lanes: 7,
        neurons: 13,
        lanes: 1,
        seed: 0xdead_beef,
        density: 256,
        recurrent_density: 90,
        positive: 128,
        magnitude_bits: 0,
        input_shift: 0,
        recurrent_shift: 0,
        neuron: neuron("neuron/if", each),
    };
    // All neurons at once, two states a neuron.
    let cuba = json!({"membrane": "s12", "threshold": 30, "compare": "gt", "reset": "zero", "leak": {"shift": 3},
        "current": "s11", "current_leak": {"shift": 1}, "order": "current_first", "overflow": "saturate"});
    let parallel = Params {
        input_lanes: 6,
        neurons: 10,
        lanes: 10,
        seed: 77,
        recurrent_density: 256,
        input_shift: 3,
        recurrent_shift: 0,
        neuron: neuron("neuron/cuba_lif", cuba),
        ..plain.clone()
    };
    vec![plain, serial, parallel]
}

pub(super) fn random(input: &TensorType, rng: &mut Rng) -> Option<Params> {
    if input.rate != Rate::Step || input.len() > 2048 || input.format != QType::unsigned(1) {
        return None;
    }
    let neurons = rng.random_range(1..50);
    let mut p = Params {
        input: input.clone(),
        input_lanes: divisor(input.len(), 32, rng),
        neurons,
        lanes: divisor(neurons, 16, rng),
        seed: rng.random(),
        density: rng.random_range(1..257),
        recurrent_density: rng.random_range(1..257),
        positive: rng.random_range(0..257),
        magnitude_bits: rng.random_range(0..4),
        input_shift: rng.random_range(0..3),
        recurrent_shift: rng.random_range(0..3),
        neuron: Neuron { block: String::new(), params: Map::new() },
    };
    p.neuron = random_neuron(&TensorType::step(&[neurons], p.current()), rng)?;
    Reservoir::interface(&p).is_ok().then_some(p)
}
