//! Import held against the equations, on graphs made here.

use super::fold::Chain;
use super::model::{Conv, Model, Neurons, Op, Synapse};
use super::quantize::{Calibration, quantize};
use super::simulate::{self, Frames, Leak, Numbers};
use super::translate::{Reading, translate};
use super::{CalibrationSet, Options, Preset, Readout, convert};
use crate::nir::{Array, Graph, Node, Padding, Primitive};

fn array(shape: &[usize], seed: usize) -> Array {
    let n: usize = shape.iter().product();
    Array::new(shape, (0..n).map(|i| ((i * 7 + seed * 3) % 31) as f64 / 8.0 - 1.875).collect())
}

fn node(name: &str, shape: &[usize], primitive: Primitive) -> Node {
    Node { name: name.into(), primitive, shape: shape.to_vec() }
}

fn lif(tau: f64, threshold: f64) -> Primitive {
    let one = Array::scalar;
    Primitive::Lif {
        tau: one(tau),
        r: one(1.0),
        v_leak: one(0.0),
        v_threshold: one(threshold),
        v_reset: one(0.0),
    }
}

/// A graph of these nodes and named edges.
fn graph(mut nodes: Vec<Node>, edges: &[(&str, &str)]) -> Graph {
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    let place = |name: &str| nodes.iter().position(|n| n.name == name).expect("a node of the graph");
    let mut edges: Vec<_> = edges.iter().map(|(a, b)| (place(a), place(b))).collect();
    edges.sort_unstable();
    Graph { nodes, edges, version: None }
}

fn reading(preset: Preset) -> Reading<'static> {
    Reading { preset, with: &[], dt: 1e-3 }
}

fn neurons(model: &Model, name: &str) -> Neurons {
    let layer = model.layers.iter().find(|l| l.name == name).expect("a layer of that name");
    let Op::Neurons(n) = &layer.op else { panic!("{name} has no neurons") };
    (**n).clone()
}

fn spikes(samples: usize, steps: usize, len: usize) -> Frames {
    let mut state = 12345u32;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from(u8::from(state >> 24 < 70))
    };
    Frames { samples, steps, len, data: (0..samples * steps * len).map(|_| draw()).collect() }
}

/// `in -> w (Affine) -> x (Scale) -> l (LIF) -> out`, with further nodes and edges.
fn small(more: Vec<Node>, edges: &[(&str, &str)]) -> Graph {
    let mut nodes = vec![
        node("in", &[3], Primitive::Input { shape: vec![3] }),
        node("w", &[2], Primitive::Affine { weight: array(&[2, 3], 1), bias: array(&[2], 2) }),
        node("x", &[2], Primitive::Scale { scale: array(&[2], 3) }),
        node("l", &[2], lif(0.01, 1.0)),
        node("out", &[2], Primitive::Output { shape: vec![2] }),
    ];
    nodes.extend(more);
    let base = [("in", "w"), ("w", "x"), ("x", "l"), ("l", "out")];
    graph(nodes, &[&base[..], edges].concat())
}

#[test]
fn linear_nodes_fold_into_their_product() {
    let (a, b) = (array(&[4, 3], 1), array(&[2, 4], 2));
    let (offset, gain) = (array(&[4], 3), array(&[3], 4));
    let mut chain = Chain::new(&[3], 0.5);
    chain.push(&node("s", &[3], Primitive::Scale { scale: gain.clone() }), true).expect("a scale");
    let affine = Primitive::Affine { weight: a.clone(), bias: offset.clone() };
    chain.push(&node("a", &[4], affine), true).expect("a matrix");
    chain.push(&node("b", &[2], Primitive::Linear { weight: b.clone() }), true).expect("a matrix");
    let Synapse::Dense { weight, bias, .. } = chain.finish().synapse("n").expect("dense") else {
        panic!("dense")
    };
    let x = [1.0, -2.0, 3.0];
    for o in 0..2 {
        let hidden = |m: usize| {
            (0..3).map(|i| a.data[m * 3 + i] * gain.data[i] * 0.5 * x[i]).sum::<f64>() + offset.data[m]
        };
        let direct: f64 = (0..4).map(|m| b.data[o * 4 + m] * hidden(m)).sum();
        let folded: f64 = (0..3).map(|i| weight[o * 3 + i] * x[i]).sum::<f64>() + bias[o];
        assert!((direct - folded).abs() < 1e-12, "{direct} {folded}");
    }
}

#[test]
fn a_convolution_is_the_sum_of_its_definition() {
    let conv = Conv {
        weight: array(&[4, 1, 3, 2], 1).data,
        bias: array(&[4], 2).data,
        input: [2, 5, 6],
        output: [4, 2, 5],
        kernel: [3, 2],
        stride: [2, 1],
        padding: [1, 1],
        dilation: [2, 3],
        groups: 2,
    };
    let graph = small(vec![], &[]);
    let mut n = neurons(&translate(&graph, &reading(Preset::Norse)).expect("a model"), "l");
    n.synapse = Synapse::Conv(conv.clone());
    n.neuron.threshold = None;
    n.neuron.decay = vec![0.0];
    let x = spikes(1, 1, 60);
    let numbers = Numbers::real(&n);
    let y = simulate::layer(&Op::Neurons(Box::new(n)), &[4, 2, 5], &[2, 5, 6], &x, Some(&numbers));
    for (at, y) in y.frames.data.iter().enumerate() {
        let (o, oy, ox) = (at / 10, at / 5 % 2, at % 5);
        let mut sum = conv.bias[o];
        for (ky, kx) in (0..6).map(|k| (k / 2, k % 2)) {
            let (iy, ix) = ((oy * 2 + ky * 2) as isize - 1, (ox + kx * 3) as isize - 1);
            if (0..5).contains(&iy) && (0..6).contains(&ix) {
                let c = o / 2;
                let value = f64::from(x.data[(c * 5 + iy as usize) * 6 + ix as usize]);
                sum += conv.weight[(o * 3 + ky) * 2 + kx] * value;
            }
        }
        assert!((sum as f32 - y).abs() < 1e-5, "output {at}: {sum} {y}");
    }
}

#[test]
fn gains_go_into_the_threshold_or_into_the_weights() {
    let model = translate(&small(vec![], &[]), &reading(Preset::Norse)).expect("a model");
    let l = neurons(&model, "l");
    // dt / tau = 0.1 for both neurons: the threshold is ten times as high, the weights are those of the file.
    assert!((l.neuron.threshold.as_ref().expect("it fires")[0] - 10.0).abs() < 1e-9);
    let scale = array(&[2], 3).data[1];
    assert!((l.synapse.weights()[3] - array(&[2, 3], 1).data[3] * scale).abs() < 1e-12);

    let mut graph = small(vec![], &[]);
    let at = graph.find("l").expect("a node");
    let two = |a: f64, b: f64| Array::new(&[2], vec![a, b]);
    graph.nodes[at].primitive = Primitive::Lif {
        tau: two(0.01, 0.02),
        r: two(1.0, 1.0),
        v_leak: two(0.0, 0.5),
        v_threshold: two(1.0, 2.0),
        v_reset: two(0.0, 0.0),
    };
    let l = neurons(&translate(&graph, &reading(Preset::Norse)).expect("a model"), "l");
    assert_eq!(l.neuron.threshold.as_deref(), Some(&[1.0, 2.0][..]));
    assert!((l.synapse.weights()[3] - array(&[2, 3], 1).data[3] * scale * 0.05).abs() < 1e-12);
    assert!((l.neuron.bias[1] - 0.025).abs() < 1e-12 && l.neuron.bias[0].abs() < 1e-12);
    assert!((l.neuron.decay[1] - 0.95).abs() < 1e-12);
}

#[test]
fn ways_that_meet_count_a_bias_once() {
    // Two ways from the input to `w`, and one from the neuron itself through `w`.
    let twice = node("also", &[3], Primitive::Scale { scale: Array::scalar(2.0) });
    let graph = small(vec![twice], &[("in", "also"), ("also", "w")]);
    let l = neurons(&translate(&graph, &reading(Preset::Norse)).expect("a model"), "l");
    let (w, scale) = (array(&[2, 3], 1), array(&[2], 3));
    assert!((l.synapse.weights()[4] - 3.0 * w.data[4] * scale.data[1]).abs() < 1e-12);
    assert!((l.synapse.bias()[1] - array(&[2], 2).data[1] * scale.data[1]).abs() < 1e-12);
}

#[test]
fn several_sources_stand_side_by_side() {
    let more = vec![
        node("w2", &[2], Primitive::Linear { weight: array(&[2, 2], 5) }),
        node("l2", &[2], lif(0.01, 1.0)),
        node("skip", &[2], Primitive::Linear { weight: array(&[2, 3], 6) }),
        node("o2", &[2], Primitive::Output { shape: vec![2] }),
    ];
    let edges = [("l", "w2"), ("w2", "l2"), ("in", "skip"), ("skip", "l2"), ("l2", "o2")];
    let model = translate(&small(more, &edges), &reading(Preset::Norse)).expect("a model");
    let joined = model.layers.iter().find(|l| matches!(l.op, Op::Concat { .. })).expect("a layer that joins");
    assert!(matches!(&joined.op, Op::Concat { sources } if *sources == [None, Some(0)]));
    let l2 = neurons(&model, "l2");
    let (skip, w2) = (array(&[2, 3], 6), array(&[2, 2], 5));
    assert_eq!(l2.synapse.weights()[5..], [&skip.data[3..], &w2.data[2..]].concat());
    assert_eq!(model.outputs.len(), 2);
}

#[test]
fn what_cannot_be_expressed_is_named() {
    let refused = |graph: &Graph, preset| {
        let e = translate(graph, &reading(preset)).expect_err("a diagnostic");
        assert!(!e.help.is_empty() && !e.path.is_empty(), "{e}");
        (e.code, e.message)
    };
    let loops = vec![
        node("w2", &[2], Primitive::Linear { weight: array(&[2, 2], 5) }),
        node("l2", &[2], lif(0.01, 1.0)),
        node("back", &[2], Primitive::Linear { weight: array(&[2, 2], 6) }),
    ];
    let edges = [("l", "w2"), ("w2", "l2"), ("l2", "back"), ("back", "l")];
    let (code, message) = refused(&small(loops, &edges), Preset::Norse);
    assert!(code == "E0131" && message.contains("circle"), "{message}");

    let mut fast = small(vec![], &[]);
    let at = fast.find("l").expect("a node");
    fast.nodes[at].primitive = lif(1e-4, 1.0);
    let (code, message) = refused(&fast, Preset::Norse);
    assert!(code == "E0132" && message.contains("shorter than the step"), "{message}");
    assert!(translate(&fast, &reading(Preset::Sinabs)).is_ok(), "an exponential decay has no such limit");

    let delay = node("d", &[2], Primitive::Delay { delay: Array::new(&[2], vec![0.002, 0.003]) });
    let (code, message) = refused(&small(vec![delay], &[("l", "d"), ("d", "out")]), Preset::Norse);
    assert!(code == "E0131" && message.contains("delays differ"), "{message}");
}

fn options(bits: Option<u32>) -> Options {
    let preset = Preset::Norse;
    Options { preset, with: Vec::new(), dt: 1e-3, bits, input: None, lanes: 16, readout: Readout::Spikes }
}

#[test]
fn formats_are_as_narrow_as_the_spikes_allow() {
    // Weights in eighths times eighths of a threshold that is a power of two, a decay of 1 - 1/8: all exact in few bits.
    let mut graph = small(vec![], &[]);
    let at = graph.find("l").expect("a node");
    graph.nodes[at].primitive = Primitive::Lif {
        tau: Array::scalar(0.008),
        r: Array::scalar(8.0),
        v_leak: Array::scalar(0.0),
        v_threshold: Array::scalar(2.0),
        v_reset: Array::scalar(0.0),
    };
    let model = translate(&graph, &reading(Preset::Norse)).expect("a model");
    let (layer, n) = (&model.layers[0], neurons(&model, "l"));
    let x = spikes(4, 50, 3);
    let run = |numbers: &Numbers| simulate::layer(&layer.op, &layer.shape, &[3], &x, Some(numbers)).frames;
    let y = run(&Numbers::real(&n));
    assert!(y.data.contains(&1.0) && y.data.contains(&0.0), "it spikes now and then");
    let cal = Calibration { x: &x, y: &y };
    let fixed = quantize(layer, &n, (&[3], 0), None, Some(&cal));
    assert_eq!(fixed.mismatches, Some((0, 400)));
    assert_eq!(fixed.numbers.leak, Leak::Shift { n: 3, rounding: nervure_core::Rounding::Floor });
    assert!(fixed.weight_format.frac <= 6, "{}", fixed.weight_format);
    assert_eq!(run(&fixed.numbers), y, "the integers themselves give these spikes");
    let coarse = quantize(layer, &n, (&[3], 0), Some(3), Some(&cal));
    assert_eq!(coarse.weight_format.bits, 3);
    assert!(coarse.weight.iter().all(|w| (-4..4).contains(w)));
}

#[test]
fn maps_change_to_channels_last() {
    let nodes = vec![
        node("in", &[2, 4, 3], Primitive::Input { shape: vec![2, 4, 3] }),
        node(
            "c",
            &[3, 4, 3],
            Primitive::Conv2d {
                weight: array(&[3, 2, 3, 3], 1),
                stride: [1, 1],
                padding: Padding::Same,
                dilation: [1, 1],
                groups: 1,
                bias: array(&[3], 2),
                input_shape: None,
            },
        ),
        node("f", &[3, 4, 3], lif(0.01, 1.0)),
        node("flat", &[36], Primitive::Flatten { start_dim: 0, end_dim: -1, input_shape: None }),
        node("w", &[2], Primitive::Linear { weight: array(&[2, 36], 3) }),
        node("l", &[2], lif(0.01, 1.0)),
        node("out", &[2], Primitive::Output { shape: vec![2] }),
    ];
    let chain = ["in", "c", "f", "flat", "w", "l", "out"];
    let edges: Vec<(&str, &str)> = chain.windows(2).map(|w| (w[0], w[1])).collect();
    let model = translate(&graph(nodes, &edges), &reading(Preset::Norse)).expect("a model");
    let set = CalibrationSet { x: spikes(2, 20, 24), labels: None };
    let made = convert("m", &model, Some(&set), &options(None), Vec::new(), &|_| ()).expect("a network");
    assert!(made.yaml.contains("layout: chw") && made.yaml.contains("padding: [1, 1]"), "{}", made.yaml);
    let (_, shape, weights) = made.arrays.iter().find(|a| a.0 == "l").expect("the weights of the last layer");
    assert_eq!(shape, &[2, 36]);
    let file = array(&[2, 36], 3);
    let fine = f64::from(made.layers[1].weights.expect("a format").frac).exp2();
    for (at, w) in weights.iter().enumerate() {
        let (row, y, x, c) = (at / 36, at % 36 / 9, at % 9 / 3, at % 3);
        let original = file.data[row * 36 + c * 12 + y * 3 + x];
        assert_eq!(*w, (original * fine).round() as i64, "row {row}, pixel {y} {x}, channel {c}");
    }
}

#[test]
fn hostile_names_become_names_of_a_network_file() {
    let mut model = translate(&small(vec![], &[]), &reading(Preset::Norse)).expect("a model");
    let layer = model.layers[0].clone();
    let names = ["x", "a", "a", "w.npz:a", "l.counts", "a;rm -rf ~"];
    model.layers = names.map(|name| super::model::Layer { name: name.into(), ..layer.clone() }).to_vec();
    model.rename();
    let renamed: Vec<&str> = model.layers.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(renamed, ["x_", "a", "a_", "w.npz_a", "l.counts_", "a;rm -rf ~"]);
}
