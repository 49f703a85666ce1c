//! Activation functions: tables that a network file names, and the hard forms, which need no table.

use nervure_back::Options;
use nervure_core::{Elements, Network, QType, Samples, TensorType};
use nervure_front::NetworkBuilder;
use nervure_tests::{Built, golden, registry, target};
use serde_json::{Value, json};

/// Layers side by side on eight bits, four of them behind the point; all are outputs.
fn network(layers: &[(&str, &str, Value)]) -> Network {
    let x = TensorType::frame(&[4], QType { bits: 8, frac: 4, signed: true });
    let mut b = NetworkBuilder::new("functions", registry()).input("x", x, Some(4)).expect("an input");
    for (name, block, params) in layers {
        let mut params = params.clone();
        params["from"] = json!("x");
        b = b.layer(name, block, params).unwrap_or_else(|d| panic!("{name}: {d}"));
    }
    layers
        .iter()
        .try_fold(b, |b, (name, ..)| b.output(name))
        .and_then(NetworkBuilder::finish)
        .expect("a network")
}

/// The answers of every layer to every input, hardware and definition compared.
fn answers(network: &Network) -> Vec<Vec<i64>> {
    let inputs = vec![Elements::I64((-128..128).collect())];
    let samples = Samples { count: 64, steps: 1, inputs, labels: None, targets: None };
    let built = Built::new(network, target(), &Options::default()).unwrap_or_else(|d| panic!("{d}"));
    assert_eq!(built.lint(), Vec::<String>::new());
    built.check(network, &samples, 1, None).unwrap_or_else(|text| panic!("{text}"));
    let trace = golden(network, &samples).expect("it runs");
    let all = |n: usize| {
        let mut y = [0; 4];
        let sample = |s: usize| {
            trace.outputs[n].get(s, 0, &mut y);
            y
        };
        (0..64).flat_map(sample).collect()
    };
    (0..network.outputs.len()).map(all).collect()
}

#[test]
fn named_functions_are_tables_of_the_nearest() {
    let table = |function: Value, output: &str| json!({"output": output, "entries": function});
    let all = answers(&network(&[
        ("sigmoid", "act/table", table(json!({"function": "sigmoid"}), "u8.8")),
        ("tanh", "act/table", table(json!({"function": "tanh"}), "s8.7")),
        ("silu", "act/table", table(json!({"function": "silu", "scale": 2}), "s8.3")),
    ]));
    for (i, x) in (-128..128).map(|x| f64::from(x) / 16.0).enumerate() {
        let near = |n: usize, y: f64| {
            let told = all[n][i];
            assert!((told as f64 - y).abs() <= 0.5 + 1e-9, "function {n} of {x}: {told}, not {y}");
        };
        // Another form of each than the one that made the tables.
        let half = (x / 2.0).tanh();
        near(0, (128.0 + 128.0 * half).min(255.0));
        near(1, (128.0 * (1.0 - 2.0 / ((2.0 * x).exp() + 1.0))).min(127.0));
        near(2, (8.0 * x * (1.0 + x.tanh())).min(127.0));
    }
}

#[test]
fn hard_forms_need_no_table() {
    let requant = |multiplier: i64, output: &str, zero: i64, range: [i64; 2]| {
        json!({"output": output, "zero_point": zero, "range": range,
            "mode": {"onnx": {"multiplier": multiplier, "shift": 20}}})
    };
    let all = answers(&network(&[
        // x / 6 + 1/2 in 1/256: 8/3 of the integer, and 128.
        ("hard_sigmoid", "act/requant", requant((8 << 20) / 3, "u9.8", 128, [0, 256])),
        ("hard_tanh", "act/requant", requant(4 << 20, "s8.6", 0, [-64, 64])),
        ("sigmoid_table", "act/table", json!({"output": "u9.8", "entries": {"function": "hard_sigmoid"}})),
        ("tanh_table", "act/table", json!({"output": "s8.6", "entries": {"function": "hard_tanh"}})),
    ]));
    assert_eq!(all[0], all[2]);
    assert_eq!(all[1], all[3]);
    assert_eq!([all[0][0], all[0][128], all[0][255]], [0, 128, 256]);
}
