//! Differences in time, N:M sparse weights, and their sum over time: with threshold 0 the dense layer, to the bit.

use nervure_back::Options;
use nervure_core::{Elements, Network, Samples};
use nervure_front::NetworkBuilder;
use nervure_tests::arrays::{outside, read_npz};
use nervure_tests::{Built, golden, noise, registry, rng, target};
use rand::RngExt;
use serde_json::{Value, json};

/// What is compared: the differences, and what becomes of them.
const OUTPUTS: [&str; 2] = ["moved", "values"];

/// `sparse/delta`, weights, and the sum over time; beside them the same weights on the input itself.
fn network(x: &Value, weights: &Value, delta: &Value, membrane: &str, columns: usize) -> Network {
    let array = |from: &str| json!({"from": from, "weights": weights, "weight_format": "s8", "pattern": {"n": 2, "m": 8}, "columns": columns});
    let tensor = serde_json::from_value(x.clone()).expect("a tensor");
    let layers = [
        ("moved", "sparse/delta", delta.clone()),
        ("products", "sparse/nm_array", array("moved")),
        ("values", "neuron/li", json!({"membrane": membrane, "overflow": "wrap"})),
        ("dense", "sparse/nm_array", array("x")),
    ];
    let mut builder = NetworkBuilder::new("changes", registry()).input("x", tensor, None).expect("an input");
    for (name, block, params) in layers {
        builder = builder.layer(name, block, params).unwrap_or_else(|d| panic!("{d}"));
    }
    for output in [&OUTPUTS[..], &["dense"]].concat() {
        builder = builder.output(output).unwrap_or_else(|d| panic!("{d}"));
    }
    builder.finish().unwrap_or_else(|d| panic!("{d}"))
}

/// All that an output gives.
fn recorded(network: &Network, samples: &Samples, name: &str) -> Vec<i64> {
    let trace = golden(network, samples).expect("it runs");
    let output = trace.outputs.iter().find(|o| o.name == name).expect("an output");
    let mut all = vec![0; output.elements.len()];
    output.elements.copy(0, &mut all);
    all
}

fn matrix(data: &[i64], columns: usize) -> Value {
    json!(data.chunks(columns).collect::<Vec<_>>())
}

#[test]
fn differences_of_frames_make_the_dense_layer() {
    let Some(folder) = outside("nm", "differences_of_frames_make_the_dense_layer") else { return };
    let data = read_npz(&folder.join("delta_th0.npz"));
    let [frames, rows, columns] = data["x"].shape[..] else { panic!("frames of rows") };
    let outputs = data["W"].shape[1];
    let w = &data["W"].data;
    let transposed: Vec<i64> =
        (0..outputs).flat_map(|o| (0..columns).map(move |i| w[i * outputs + o])).collect();
    assert_eq!((data["threshold"].scalar(), &data["acc"].data), (0, &data["acc_dense"].data));
    let x = json!({"shape": [rows, columns], "format": "s8", "rate": "step"});
    // The frames have a zero point, which is where the differences start.
    let zero = data["x"].data[0] - data["delta"].data[0];
    let network = network(&x, &matrix(&transposed, columns), &json!({"start": zero}), "s20", 24);
    let inputs = vec![Elements::I64(data["x"].data.clone())];
    let samples = Samples { count: 1, steps: frames, inputs, labels: None, targets: None };
    assert!(recorded(&network, &samples, "moved") == data["delta"].data, "the differences are others");
    assert!(recorded(&network, &samples, "values") == data["acc"].data, "the sums are others");
    // The dense layer knows no zero point: every output has its share of it.
    let share = |o: usize| zero * transposed[o * columns..][..columns].iter().sum::<i64>();
    let dense = recorded(&network, &samples, "dense");
    let without = dense.iter().enumerate().map(|(n, y)| y - share(n % outputs));
    assert!(without.eq(data["acc_dense"].data.iter().copied()), "the dense layer is another");
    let built = Built::new(&network, target(), &Options::default()).expect("it builds");
    built.check(&network, &samples, 3, None).unwrap_or_else(|text| panic!("{text}"));
}

/// Weights of 2 of 8, and small steps of a walk: what a threshold is for.
#[test]
fn a_threshold_bounds_what_is_missed() {
    let rng = &mut rng(5);
    let mut weights = vec![0i64; 6 * 16];
    for block in weights.chunks_mut(8) {
        block[rng.random_range(0..4)] = rng.random_range(-128..128);
        block[rng.random_range(4..8)] = rng.random_range(-128..128);
    }
    let x = json!({"shape": [3, 16], "format": "s6", "rate": "step"});
    for threshold in [0, 1, 4] {
        let network = network(&x, &matrix(&weights, 16), &json!({"threshold": threshold}), "s18", 3);
        let mut samples = noise(&network, 2, 6, rng);
        let mut place = vec![0i64; 48];
        let walk = (0..2 * 6).flat_map(|_| {
            place.iter_mut().for_each(|p| *p = (*p + rng.random_range(-3..4)).clamp(-32, 31));
            place.clone()
        });
        samples.inputs = vec![Elements::I64(walk.collect())];
        let [moved, values] = OUTPUTS.map(|name| recorded(&network, &samples, name));
        let dense = recorded(&network, &samples, "dense");
        for (row, (missed, full)) in values.iter().zip(&dense).enumerate() {
            let most: i64 = weights[row % 6 * 16..][..16].iter().map(|w| w.abs() * threshold).sum();
            assert!((missed - full).abs() <= most, "threshold {threshold}: {missed} for {full}");
        }
        assert_eq!(values == dense, threshold == 0, "threshold {threshold}");
        let said = moved.iter().filter(|d| **d != 0).count();
        assert!(
            said < moved.len() * [10, 7, 4][(threshold as usize).min(2)] / 10,
            "{said} of {}",
            moved.len()
        );
        let built = Built::new(&network, target(), &Options::default()).expect("it builds");
        built.check(&network, &samples, threshold as u64, None).unwrap_or_else(|text| panic!("{text}"));
    }
}
