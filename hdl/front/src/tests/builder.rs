//! The same network from Rust.

use nervure_core::{Diagnostic, Network, QType, TensorType};
use serde_json::json;

use super::{GOOD, load_text};
use crate::{NetworkBuilder, default_lanes, testing, to_yaml};

fn build() -> Result<Network, Diagnostic> {
    let neuron = json!({"block": "neuron/lif", "threshold": 12, "membrane": "s12"});
    let hidden = json!({
        "weights": [[1, 0, -1, 2], [0, 0, 1, -2]], "weight_format": "s3", "lanes": 2, "neuron": neuron,
        "scale": {"shift": 4, "rounding": "half_even"},
    });
    NetworkBuilder::new("two", &testing::registry())
        .input("x", TensorType::step(&[4], QType::unsigned(1)), None)?
        .layer("hidden", "test/dense", hidden)?
        .layer("out", "test/dense", json!({"weights": [[1, -1]], "weight_format": "s2"}))?
        .output("out")?
        .finish()
}

#[test]
fn rust_and_file_agree() {
    let network = build().unwrap_or_else(|d| panic!("{d}"));
    assert_eq!(to_yaml(&network), to_yaml(&load_text(GOOD).expect("a network")));
    assert_eq!(network.source, None);
}

#[test]
fn lanes_fit_a_word_and_divide() {
    let lanes = |n, bits| default_lanes(&TensorType::frame(&[n], QType::unsigned(bits)));
    assert_eq!(
        [lanes(784, 1), lanes(64, 1), lanes(784, 8), lanes(10, 6), lanes(7, 4), lanes(8, 40)],
        [16, 32, 4, 2, 1, 1]
    );
}

#[test]
fn mistakes_are_told_at_once() {
    let registry = testing::registry();
    let x = TensorType::frame(&[4], QType::unsigned(8));
    let new = || NetworkBuilder::new("n", &registry);
    let code = |r: Result<NetworkBuilder<'_>, Diagnostic>| r.err().map(|d| (d.code, d.path.join(".")));
    assert_eq!(
        code(new().input("x", TensorType::frame(&[0], x.format), None)),
        Some(("E0204", "inputs.x.shape".into()))
    );
    let huge = TensorType::frame(&[usize::MAX, 2], x.format);
    assert_eq!(code(new().input("x", huge.clone(), None)), Some(("E0204", "inputs.x.shape".into())));
    assert_eq!(code(new().input("x", x.clone(), Some(3))), Some(("E0202", "inputs.x.lanes".into())));
    assert_eq!(code(new().input("x", x.clone(), Some(0))), Some(("E0202", "inputs.x.lanes".into())));
    let with = || new().input("x", x.clone(), None).expect("an input");
    assert_eq!(code(with().input("x", x.clone(), None)), Some(("E0401", "inputs.x".into())));
    assert_eq!(code(with().layer("a", "test/dens", json!({}))), Some(("E0302", "layers.a.block".into())));
    assert_eq!(
        code(with().layer("a", "test/dense", json!({"from": "b"}))),
        Some(("E0108", "layers.a.from".into()))
    );
    assert_eq!(
        code(with().layer("a", "test/dense", json!({"from": "x.y"}))),
        Some(("E0108", "layers.a.from".into()))
    );
    let params = json!({"input": huge, "weights": [[1]], "weight_format": "s2"});
    assert_eq!(code(with().layer("a", "test/dense", params)), Some(("E0204", "layers.a.input.shape".into())));
    assert_eq!(
        code(with().layer("a", "test/dense", json!({"fifo": -1}))),
        Some(("E0104", "layers.a.fifo".into()))
    );
    assert_eq!(code(with().layer("a", "test/dense", json!([]))), Some(("E0104", "layers.a".into())));
    assert_eq!(code(with().output("z")), Some(("E0108", "outputs".into())));
    assert_eq!(with().finish().err().map(|d| d.code), Some("E0403"));
}
