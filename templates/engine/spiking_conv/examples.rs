//! Examples of `engine/spiking_conv`, chosen to differ, and random parameters.

use nervure_core::block::{Block, Rng};
use nervure_core::{QType, Rate, Tensor, TensorType};
use rand::RngExt;
use serde_json::json;

use super::{Layout, Params, Sharing, SpikingConv, Values, hardware, ones};
use crate::shared::cell::Neuron;
use crate::shared::divisor;

fn random(shape: &[usize], format: QType, rng: &mut Rng) -> Tensor {
    let n = shape.iter().product();
    Tensor::new(shape, (0..n).map(|_| rng.random_range(format.min()..=format.max())).collect())
}

pub(super) fn examples() -> Vec<Params> {
    let mut rng: Rng = rand::SeedableRng::seed_from_u64(1);
    let neuron = |block: &str, params: serde_json::Value| Neuron {
        block: block.into(),
        params: params.as_object().expect("an object").clone(),
    };
    let integrate = |membrane: &str, threshold: i64| {
        let params = json!({"membrane": membrane, "threshold": threshold, "compare": "ge", "reset": "subtract",
            "overflow": "saturate"});
        neuron("neuron/if", params)
    };
    let weight_format = QType::signed(4);
    let small = Params {
        input: TensorType::step(&[5, 6, 4], QType::unsigned(1)),
        input_lanes: 4,
        layout: Layout::Hwc,
        weights: random(&[6, 4, 3, 3], weight_format, &mut rng),
        weight_format,
        bias: None,
        values: None,
        stride: ones(),
        padding: [1, 1],
        dilation: ones(),
        groups: 1,
        lanes: 6,
        sharing: Sharing::Off,
        neuron: integrate("s12", 20),
    };
    // The first layer of a network of images: counts, channels first, one word a position.
    let counts = Params {
        input: TensorType::step(&[2, 9, 8], QType::unsigned(2)),
        input_lanes: 2,
        layout: Layout::Chw,
        weights: random(&[3, 2, 5, 5], weight_format, &mut rng),
        bias: Some(Tensor::vector(vec![3, -2, 0])),
        stride: [2, 2],
        lanes: 3,
        neuron: integrate("s12", 30),
        ..small.clone()
    };
    // Signed values with a fraction.
    let lif = json!({"membrane": "s12.1", "threshold": 90, "compare": "gt", "reset": "zero", "leak": {"shift": 3},
        "overflow": "saturate"});
    let grouped = Params {
        input: TensorType::step(&[7, 8, 4], QType { frac: 1, ..QType::signed(4) }),
        input_lanes: 2,
        weights: random(&[6, 2, 2, 3], weight_format, &mut rng),
        bias: Some(Tensor::vector(vec![1, 0, -3, 2, 5, -1])),
        stride: [3, 1],
        padding: [0, 2],
        dilation: [1, 2],
        groups: 2,
        lanes: 1,
        neuron: neuron("neuron/lif", lif),
        ..small.clone()
    };
    let wraps =
        json!({"membrane": "s10", "threshold": 15, "compare": "gt", "reset": "zero", "overflow": "wrap"});
    let line = Params {
        input: TensorType::step(&[1, 16, 2], QType::unsigned(1)),
        input_lanes: 2,
        weights: random(&[4, 2, 1, 3], weight_format, &mut rng),
        stride: [1, 2],
        padding: [0, 0],
        lanes: 4,
        sharing: Sharing::Adder,
        neuron: neuron("neuron/if", wraps),
        ..small.clone()
    };
    vec![small, counts, grouped, line]
}

pub(super) fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
    let &[a, b, c] = &input.shape[..] else { return None };
    if input.rate != Rate::Step || input.len() > 1024 || input.format.bits > 12 {
        return None;
    }
    let repeats = input.format.bits <= 3 && !input.format.signed && rng.random::<bool>();
    let (layout, [height, width, channels]) =
        if rng.random() { (Layout::Hwc, [a, b, c]) } else { (Layout::Chw, [b, c, a]) };
    let groups = divisor(channels, 4, rng);
    let out = groups * rng.random_range(1..5);
    let mut axis = |extent: usize| {
        let (padding, dilation) = (rng.random_range(0..3), rng.random_range(1..4));
        let most = (extent + 2 * padding - 1) / dilation + 1;
        (rng.random_range(1..=most.min(4)), rng.random_range(1..4), padding, dilation)
    };
    let (down, across) = (axis(height), axis(width));
    let weight_format = QType::signed(rng.random_range(2..7));
    let bias = (0..out).map(|_| rng.random_range(-9..10)).collect();
    let mut p = Params {
        input: input.clone(),
        input_lanes: divisor(c, 8, rng),
        layout,
        weights: random(&[out, channels / groups, down.0, across.0], weight_format, rng),
        weight_format,
        bias: rng.random::<bool>().then(|| Tensor::vector(bias)),
        values: Some(if repeats { Values::Repeat } else { Values::Multiply }),
        stride: [down.1, across.1],
        padding: [down.2, across.2],
        dilation: [down.3, across.3],
        groups,
        lanes: divisor(out / groups, 8, rng),
        sharing: Sharing::Off,
        neuron: Neuron { block: String::new(), params: serde_json::Map::new() },
    };
    let current = TensorType::step(&p.out(), p.current());
    let registry = crate::registry();
    let neurons: Vec<_> = registry.blocks().filter(|b| b.name().starts_with("neuron/")).collect();
    let block = neurons[rng.random_range(0..neurons.len())];
    let mut params = block.sample(&current, rng)?.params().as_object()?.clone();
    params.remove("input");
    params.remove("input_lanes");
    p.neuron = Neuron { block: block.name().into(), params };
    // Some blocks of that name are no neurons of one current.
    p.neuron().ok()?;
    p.sharing = Sharing::Adder;
    if rng.random() || hardware::lane(&p).changes == 0 {
        p.sharing = Sharing::Off;
    }
    SpikingConv::interface(&p).is_ok().then_some(p)
}
