//! Files that are not sound, by hand.

use prost::Message;

use super::proto::{
    Attribute, Dimension, Graph, Model, Node, Opset, Shape, Tensor, TensorType, Type, ValueInfo,
};
use super::read;
use crate::import::Readout;
use crate::streamline::{OnnxOptions, import_onnx_bytes};

fn port(name: &str, shape: &[i64]) -> ValueInfo {
    let dim = shape.iter().map(|n| Dimension { dim_value: *n }).collect();
    let tensor = TensorType { elem_type: 1, shape: Some(Shape { dim }) };
    ValueInfo { name: name.into(), kind: Some(Type { tensor: Some(tensor) }) }
}

fn node(op: &str, inputs: &[&str], output: &str) -> Node {
    let input = inputs.iter().map(|i| (*i).to_owned()).collect();
    Node { input, output: vec![output.into()], op_type: op.into(), ..Node::default() }
}

fn floats(name: &str, dims: &[i64], data: &[f32]) -> Tensor {
    Tensor {
        dims: dims.to_vec(),
        data_type: 1,
        float_data: data.to_vec(),
        name: name.into(),
        ..Tensor::default()
    }
}

/// `y = relu(x w)` with whole weights.
fn model() -> Model {
    let graph = Graph {
        node: vec![node("MatMul", &["x", "w"], "s"), node("Relu", &["s"], "y")],
        initializer: vec![floats("w", &[2, 2], &[1.0, -2.0, 3.0, 4.0])],
        input: vec![port("x", &[1, 2])],
        output: vec![port("y", &[])],
    };
    let opset_import = vec![Opset { domain: String::new(), version: 13 }];
    Model { graph: Some(graph), opset_import, functions: Vec::new() }
}

fn graph(model: &mut Model) -> &mut Graph {
    model.graph.as_mut().expect("it was made with one")
}

/// What is said of a model that was changed.
fn said(change: impl Fn(&mut Model)) -> String {
    let mut model = model();
    change(&mut model);
    let options = OnnxOptions {
        bits: 8,
        input: Some(nervure_core::QType::signed(8)),
        input_scale: None,
        engine: None,
        lanes: 16,
        readout: Readout::Spikes,
    };
    match import_onnx_bytes(&model.encode_to_vec(), "f", &options) {
        Ok(imported) => imported.yaml,
        Err(d) => {
            assert!(d.message.starts_with("`f`: ") && !d.help.is_empty(), "{d}");
            d.to_string()
        }
    }
}

#[test]
fn a_sound_model_becomes_a_network() {
    let yaml = said(|_| ());
    assert!(yaml.contains("dense/unrolled") && yaml.contains("act/relu"), "{yaml}");
}

#[test]
fn bytes_that_are_no_model() {
    for bytes in [&b"hello, world"[..], &[], &model().encode_to_vec()[..40], &[0xff; 64]] {
        assert_eq!(read(bytes, "f").map_err(|d| d.code), Err("E0150"), "{bytes:?}");
    }
}

#[test]
fn graphs_that_do_not_hang_together() {
    let circle = |m: &mut Model| graph(m).node[0].input[0] = "y".into();
    assert!(said(circle).contains("E0151"), "{}", said(circle));
    let missing = |m: &mut Model| graph(m).initializer.clear();
    assert!(said(missing).contains("`w`, which nothing makes"), "{}", said(missing));
    let twice = |m: &mut Model| graph(m).node[1].output[0] = "s".into();
    assert!(said(twice).contains("makes tensor `s` twice"), "{}", said(twice));
    let nowhere = |m: &mut Model| graph(m).output[0].name = "z".into();
    assert!(said(nowhere).contains("E0151"), "{}", said(nowhere));
    let two = |m: &mut Model| graph(m).input.push(port("more", &[1, 3]));
    assert!(said(two).contains("2 inputs"), "{}", said(two));
}

#[test]
fn tensors_that_are_not_sound() {
    let change = |f: fn(&mut Tensor)| said(|m| f(&mut graph(m).initializer[0]));
    for (f, text) in [
        ((|t| t.dims = vec![2, 3]) as fn(&mut Tensor), "has shape [2, 3], but 4 elements"),
        (|t| t.dims = vec![1 << 40, 1 << 40], "more than"),
        (|t| t.dims = vec![-2, -2], "negative extent"),
        (|t| t.data_type = 8, "element type 8"),
        (|t| t.data_location = 1, "lies in another file"),
        (|t| t.float_data[2] = f32::NAN, "element 2 is NaN"),
    ] {
        let said = change(f);
        assert!(said.contains("E0154") && said.contains(text), "{said}");
    }
}

#[test]
fn operators_that_are_not_known_or_do_not_fit() {
    let unknown = said(|m| graph(m).node[1].op_type = "Frobnicate\n".into());
    assert!(unknown.contains("E0152") && unknown.contains("Frobnicate\\n"), "{unknown}");
    let shapes = said(|m| graph(m).input[0] = port("x", &[1, 3]));
    assert!(shapes.contains("E0153") && shapes.contains("MatMul"), "{shapes}");
    let kind = |m: &mut Model| {
        graph(m).node[1].op_type = "LeakyRelu".into();
        let name = "alpha".to_owned();
        graph(m).node[1].attribute = vec![Attribute { name, kind: 2, i: 3, ..Attribute::default() }];
    };
    assert!(said(kind).contains("attribute `alpha`"), "{}", said(kind));
}

#[test]
fn real_numbers_without_samples_and_what_no_integer_is() {
    let real = said(|m| graph(m).initializer[0].float_data[1] = 0.3);
    assert!(real.contains("E0155") && real.contains("--calibrate"), "{real}");
    let product = said(|m| graph(m).node[1] = node("Mul", &["s", "s"], "y"));
    assert!(product.contains("E0156"), "{product}");
}
