//! Parameters for tests: chosen ones and random ones.

use nervure_core::block::{Block, Rng};
use nervure_core::{QType, Rate, TensorType};
use rand::RngExt;
use serde_json::{Map, Value, json};

use super::{Params, SpikingDelay};
use crate::shared::cell::Neuron;
use crate::shared::spikes::random_neuron;
use crate::shared::{divisor, matrix};

fn neuron(block: &str, params: Value) -> Neuron {
    let Value::Object(params) = params else { unreachable!("parameters are an object") };
    Neuron { block: block.into(), params }
}

pub(super) fn examples() -> Vec<Params> {
    let mut rng: Rng = rand::SeedableRng::seed_from_u64(3);
    let lif = json!({"membrane": "s8", "threshold": 9, "compare": "gt", "reset": "zero", "leak": {"shift": 3},
        "overflow": "wrap"});
    // Several groups, several beats, delays that do not fill the slots.
    let folded = Params {
        input: TensorType::step(&[12], QType::unsigned(1)),
        input_lanes: 4,
        weights: matrix(6, 12, -7, 7, &mut rng),
        weight_format: QType::signed(4),
        delays: matrix(6, 12, 0, 5, &mut rng),
        lanes: 2,
        neuron: neuron("neuron/lif", lif),
    };
    // Counts, one neuron at a time, a threshold for each.
    let each = json!({"membrane": "s10", "threshold": [20, 31, 25, 40, 28, 22], "compare": "ge", "reset": "subtract",
        "overflow": "saturate"});
    let serial = Params {
        input: TensorType::step(&[12], QType::unsigned(3)),
        input_lanes: 1,
        delays: matrix(6, 12, 0, 3, &mut rng),
        lanes: 1,
        neuron: neuron("neuron/if", each),
        ..folded.clone()
    };
    // All neurons at once, long delays, two states a neuron.
    let cuba = json!({"membrane": "s12", "threshold": 20, "compare": "gt", "reset": "zero", "leak": {"shift": 3},
        "current": "s9", "current_leak": {"shift": 2}, "order": "current_first", "overflow": "saturate"});
    let parallel = Params {
        input: TensorType::step(&[5], QType::unsigned(1)),
        input_lanes: 5,
        weights: matrix(3, 5, -3, 15, &mut rng),
        weight_format: QType::signed(5),
        delays: matrix(3, 5, 0, 19, &mut rng),
        lanes: 3,
        neuron: neuron("neuron/cuba_lif", cuba),
    };
    vec![folded, serial, parallel]
}

pub(super) fn random(input: &TensorType, rng: &mut Rng) -> Option<Params> {
    let counts = !input.format.signed && input.format.frac == 0 && input.format.bits <= 4;
    if input.rate != Rate::Step || input.len() > 2048 || !counts {
        return None;
    }
    let neurons = rng.random_range(1..20);
    let weight_format = QType::signed(rng.random_range(2..7));
    let longest = rng.random_range(0..24);
    let mut p = Params {
        input: input.clone(),
        input_lanes: divisor(input.len(), 32, rng),
        weights: matrix(neurons, input.len(), weight_format.min(), weight_format.max(), rng),
        weight_format,
        delays: matrix(neurons, input.len(), 0, longest, rng),
        lanes: divisor(neurons, 16, rng),
        neuron: Neuron { block: String::new(), params: Map::new() },
    };
    p.neuron = random_neuron(&TensorType::step(&[neurons], p.current()), rng)?;
    SpikingDelay::interface(&p).is_ok().then_some(p)
}
