//! Fusion: which layers share a module, and that the module means what the layers mean, on the network of each test.

use nervure_back::Options;
use nervure_core::{Network, QType, TensorType};
use nervure_front::NetworkBuilder;
use nervure_tests::{Built, noise, registry, rng, target};
use serde_json::{Value, json};

fn network(
    name: &str,
    inputs: &[(&str, TensorType)],
    layers: &[(&str, &str, Value)],
    outputs: &[&str],
) -> Network {
    let mut b = NetworkBuilder::new(name, registry());
    for (name, tensor) in inputs {
        b = b.input(name, tensor.clone(), Some(tensor.len())).expect("the input is valid");
    }
    for (name, block, params) in layers {
        b = b.layer(name, block, params.clone()).unwrap_or_else(|d| panic!("{name}: {d}"));
    }
    for output in outputs {
        b = b.output(output).expect("the output exists");
    }
    b.finish().expect("the network is valid")
}

fn dense(out: usize, inputs: usize, seed: u64, from: &str) -> Value {
    let mut rng = rng(seed);
    let weights: Vec<Vec<i64>> = (0..out)
        .map(|_| (0..inputs).map(|_| rand::RngExt::random_range(&mut rng, -8..8)).collect())
        .collect();
    json!({"from": from, "weights": weights, "weight_format": "s4"})
}

fn quant(from: &str) -> Value {
    json!({"from": from, "bits": 6, "frac": -3, "signed": 1, "rounding": "half_even"})
}

/// Layers of every module in the design, and the design's bits and cycles checked.
fn modules(network: &Network, options: &Options) -> Vec<String> {
    let built = Built::new(network, target(), options).unwrap_or_else(|d| panic!("does not build: {d}"));
    assert_eq!(built.lint(), Vec::<String>::new());
    let samples = noise(network, 40, 3, &mut rng(7));
    built.check(network, &samples, 7, None).unwrap_or_else(|text| panic!("{text}"));
    let modules = built.design.modules.iter();
    modules.map(|m| format!("{} [{}]", m.layer, m.instance.block())).collect()
}

fn x(n: usize) -> TensorType {
    TensorType::frame(&[n], QType::signed(6))
}

/// x -> a -> b -> sum with x; the sum and what lies on the way are outputs.
fn residual() -> Network {
    let layers = [
        ("wide", "dense/unrolled", dense(5, 4, 1, "x")),
        ("small", "act/quant", quant("wide")),
        ("back", "dense/unrolled", dense(4, 5, 2, "small")),
        ("total", "seq/add", json!({"from": ["back", "x"]})),
        ("rectified", "act/relu", json!({"from": "total"})),
    ];
    network("residual", &[("x", x(4))], &layers, &["rectified", "small"])
}

#[test]
fn a_residual_block_is_one_module_with_two_outputs() {
    let fused = modules(&residual(), &Options { clock_mhz: Some(150), ..Options::default() });
    assert_eq!(fused, ["wide, small, back, total, rectified [fused]"]);
}

#[test]
fn layers_stay_apart_when_asked() {
    let separate = modules(&residual(), &Options { separate: true, ..Options::default() });
    let layers: Vec<&String> = separate.iter().filter(|m| !m.contains("[stream/")).collect();
    assert_eq!(layers.len(), 5, "{separate:?}");
}

#[test]
fn a_queue_keeps_layers_apart() {
    let mut second = dense(3, 5, 3, "first");
    second["fifo"] = json!(2);
    let layers = [
        ("first", "dense/unrolled", dense(5, 4, 1, "x")),
        ("second", "dense/unrolled", second),
        ("third", "act/relu", json!({"from": "second"})),
        ("both", "seq/concat", json!({"from": ["first", "third"], "lanes": 1})),
    ];
    let network = network("queue", &[("x", x(4))], &layers, &["both"]);
    let list = modules(&network, &Options::default());
    assert!(list.contains(&"first [dense/unrolled]".to_owned()), "{list:?}");
    assert!(list.contains(&"second, third [fused]".to_owned()), "{list:?}");
    assert!(list.iter().any(|m| m.ends_with("[stream/fifo]")), "{list:?}");
}

/// What a slow layer gives does not enter the module of what it reads: that could wait for itself.
#[test]
fn a_module_reads_inputs_of_the_network_or_one_tensor() {
    let folded = json!({"from": "first", "weights": [[1, 2, 3, 4], [0, -1, 2, 5], [1, 1, 1, 1], [-3, 0, 0, 2]],
        "weight_format": "s4", "pe": 1, "simd": 2});
    let layers = [
        ("first", "act/relu", json!({"from": "x"})),
        ("fast", "dense/unrolled", dense(4, 4, 4, "first")),
        ("slow", "engine/folded", folded),
        ("total", "seq/add", json!({"from": ["fast", "slow"]})),
        ("last", "act/relu", json!({"from": "total"})),
        ("other", "dense/unrolled", dense(2, 4, 5, "last")),
    ];
    let network = network("slow", &[("x", x(4))], &layers, &["other"]);
    let list = modules(&network, &Options::default());
    assert!(list.contains(&"first, fast [fused]".to_owned()), "{list:?}");
    assert!(list.contains(&"total [seq/add]".to_owned()), "{list:?}");
    assert!(list.contains(&"last, other [fused]".to_owned()), "{list:?}");
}

#[test]
fn two_inputs_meet_in_one_module_once_a_step() {
    let tensor = |bits| TensorType::step(&[3], QType::signed(bits));
    let layers = [
        ("left", "dense/unrolled", dense(3, 3, 6, "a")),
        (
            "right",
            "act/quant",
            json!({"from": "b", "bits": [3, 0, 5], "frac": [0, 0, -1], "signed": 1, "rounding": "floor", "overflow": "wrap"}),
        ),
        ("total", "seq/add", json!({"from": ["left", "right"]})),
    ];
    let network = network("two", &[("a", tensor(5)), ("b", tensor(8))], &layers, &["total", "right"]);
    let list = modules(&network, &Options { most_stages: Some(1), ..Options::default() });
    assert_eq!(list, ["left, right, total [fused]"]);
}

/// The bound on stages holds at any clock; without it the clock decides.
#[test]
fn stages_are_bounded_when_asked() {
    let stages = |options: &Options| {
        let design = nervure_back::lower(&residual(), registry(), target(), options).expect("it builds");
        design.modules[0].stages.as_ref().expect("a flat module is a pipeline").count
    };
    let fast = Options { clock_mhz: Some(400), ..Options::default() };
    assert!(stages(&fast) > 4);
    assert_eq!(stages(&Options { most_stages: Some(2), ..fast }), 2);
    assert_eq!(stages(&Options { clock_mhz: Some(5), ..Options::default() }), 1);
}
