//! Parameters for tests: chosen ones and random ones.

use nervure_core::block::{Block, Rng};
use nervure_core::{QType, Rate, Tensor, TensorType};
use rand::RngExt;
use serde_json::json;

use super::{Params, Sharing, Spiking, Values, mask};
use crate::shared::cell::Neuron;
use crate::shared::{divisor, matrix};

pub(super) fn examples() -> Vec<Params> {
    let mut rng: Rng = rand::SeedableRng::seed_from_u64(1);
    let lif = |threshold: i64, reset: &str, overflow: &str| Neuron {
        block: "neuron/lif".into(),
        params: json!({"membrane": "s8", "threshold": threshold, "compare": "gt", "reset": reset,
            "leak": {"shift": 3}, "overflow": overflow})
        .as_object()
        .expect("an object")
        .clone(),
    };
    // Recurrence and biases, several groups, the step on the shared adder.
    let recurrent = Params {
        input: TensorType::step(&[12], QType::unsigned(1)),
        input_lanes: 4,
        weights: matrix(6, 12, -7, 7, &mut rng),
        weight_format: QType::signed(4),
        recurrent: Some(matrix(6, 6, -8, 7, &mut rng)),
        bias: Some(Tensor::vector(vec![0, 5, -20, 12, -3, 1])),
        recurrent_bias: Some(Tensor::vector(vec![-2, 0, 7, -5, 3, 2])),
        mask: None,
        values: None,
        events: 1,
        lanes: 2,
        output_lanes: None,
        run_time_weights: false,
        sharing: None,
        neuron: lif(9, "zero", "wrap"),
    };
    let plain = Params { recurrent: None, bias: None, recurrent_bias: None, ..recurrent.clone() };
    // Silenced neurons that need no hardware for it.
    let recurrent = Params { mask: Some(Tensor::vector(vec![1, 1, 0, 1, 1, 0])), ..recurrent };
    // Counts of spikes, one neuron at a time, subtraction and leak on the shared adder, weights on the register bus.
    let serial = Params {
        input: TensorType::step(&[12], QType::unsigned(3)),
        input_lanes: 1,
        lanes: 1,
        run_time_weights: true,
        neuron: lif(12, "subtract", "wrap"),
        ..plain.clone()
    };
    // All neurons at once, two spikes at once, and fewer a beat.
    let mut parallel =
        Params { input_lanes: 12, lanes: 6, output_lanes: Some(2), events: 2, ..plain.clone() };
    parallel.neuron.block = "neuron/if".into();
    parallel.neuron.params.remove("leak");
    // Signed values, a step of its own logic, and a silenced neuron that would spike by itself.
    let mut values = Params {
        input: TensorType::step(&[12], QType::signed(5)),
        values: Some(Values::Multiply),
        bias: recurrent.bias.clone(),
        mask: Some(Tensor::vector(vec![1, 0, 1, 1, 1, 1])),
        lanes: 3,
        neuron: lif(60, "zero", "saturate"),
        ..plain
    };
    values.neuron.params.insert("bias".into(), json!(20));
    vec![recurrent, serial, parallel, values]
}

pub(super) fn random(input: &TensorType, rng: &mut Rng) -> Option<Params> {
    if input.rate != Rate::Step || input.len() > 4096 || input.format.bits > 12 {
        return None;
    }
    let neurons = rng.random_range(1..25);
    let weight_format = QType::signed(rng.random_range(2..7));
    let (lo, hi) = (weight_format.min(), weight_format.max());
    let spikes = input.format == QType::unsigned(1);
    let repeats = input.format.bits <= 4 && !input.format.signed && rng.random::<bool>();
    let lanes = divisor(neurons, 16, rng);
    let bias = |rng: &mut Rng| {
        let values = (0..neurons).map(|_| rng.random_range(3 * lo..=3 * hi)).collect();
        rng.random::<bool>().then(|| Tensor::vector(values))
    };
    let some_silent = |rng: &mut Rng| {
        let kept = (0..neurons).map(|_| i64::from(rng.random_range(0..4) > 0)).collect();
        (rng.random_range(0..4) == 0).then(|| Tensor::vector(kept))
    };
    let mut p = Params {
        input: input.clone(),
        input_lanes: divisor(input.len(), 32, rng),
        weights: matrix(neurons, input.len(), lo, hi, rng),
        weight_format,
        recurrent: None,
        bias: bias(rng),
        recurrent_bias: bias(rng),
        mask: some_silent(rng),
        values: Some(if repeats { Values::Repeat } else { Values::Multiply }),
        events: if spikes { rng.random_range(1..3) } else { 1 },
        lanes,
        output_lanes: rng.random::<bool>().then(|| divisor(lanes, 16, rng)),
        run_time_weights: false,
        sharing: rng.random::<bool>().then_some(Sharing::Off),
        neuron: Neuron { block: String::new(), params: serde_json::Map::new() },
    };
    let constant = p.bias.is_some() || p.recurrent_bias.is_some() || p.events == 2;
    p.run_time_weights = !constant && rng.random();
    let heard = mask::without_silenced(&p);
    let current = TensorType::step(&[neurons], heard.format_of_current(heard.feedforward()));
    let registry = crate::registry();
    let blocks: Vec<_> = registry.blocks().filter(|b| b.name().starts_with("neuron/")).collect();
    let block = blocks[rng.random_range(0..blocks.len())];
    p.neuron.params = block.sample(&current, rng)?.params().as_object()?.clone();
    p.neuron.params.remove("input");
    p.neuron.params.remove("input_lanes");
    p.neuron.block = block.name().into();
    let recurrent = Params { recurrent: Some(matrix(neurons, neurons, lo, hi, rng)), ..p.clone() };
    // The neuron was drawn for a current without recurrence.
    let chosen = if rng.random() && Spiking::interface(&recurrent).is_ok() { recurrent } else { p };
    Spiking::interface(&chosen).is_ok().then_some(chosen)
}
