//! The networks of `tests/fixtures/nir`, which `make.py` there writes.

use super::*;

/// `wave` of `make.py`.
fn wave(shape: &[usize]) -> Array {
    let count: usize = shape.iter().product();
    Array::new(shape, (0..count).map(|n| ((n * 7 + 3) % 31) as f64 / 8.0 - 15.0 / 8.0).collect())
}

fn full(value: f64, shape: &[usize]) -> Array {
    Array::new(shape, vec![value; shape.iter().product()])
}

#[test]
fn every_primitive_is_read() {
    let Loaded { graph, warnings } = read(&fixture("every.nir"), "every.nir").expect("a sound graph");
    assert_eq!(warnings, Vec::<String>::new());
    let primitive = |name: &str| &node(&graph, name).primitive;
    let conv2 = Primitive::Conv2d {
        weight: wave(&[4, 2, 3, 3]),
        stride: [2, 2],
        padding: Padding::Explicit([1, 1]),
        dilation: [1, 1],
        groups: 1,
        bias: wave(&[4]),
        input_shape: Some([8, 8]),
    };
    let conv1 = Primitive::Conv1d {
        weight: wave(&[4, 1, 3]),
        stride: 1,
        padding: Padding::Same,
        dilation: 2,
        groups: 2,
        bias: wave(&[4]),
        input_shape: Some(16),
    };
    let cubalif = Primitive::CubaLif {
        tau_syn: full(0.004, &[6]),
        tau_mem: full(0.008, &[6]),
        r: full(1.0, &[6]),
        v_leak: full(0.0, &[6]),
        v_threshold: full(1.0, &[6]),
        v_reset: full(-0.25, &[6]),
        w_in: wave(&[6]),
    };
    let cubali = Primitive::CubaLi {
        tau_syn: full(0.004, &[4]),
        tau_mem: full(0.008, &[4]),
        r: full(1.0, &[4]),
        v_leak: full(0.0, &[4]),
        w_in: full(1.0, &[4]),
    };
    let lif = Primitive::Lif {
        tau: Array::scalar(2.5),
        r: Array::scalar(1.0),
        v_leak: Array::scalar(0.0),
        v_threshold: Array::scalar(0.75),
        v_reset: Array::scalar(0.0),
    };
    let volume = [4, 4, 4];
    let if_ =
        Primitive::If { r: full(1.0, &volume), v_threshold: full(0.5, &volume), v_reset: full(0.0, &volume) };
    let (two, none) = ([2, 2], [0, 0]);
    let flat = |start_dim, end_dim, input_shape| Primitive::Flatten { start_dim, end_dim, input_shape };
    let expected = [
        ("in", Primitive::Input { shape: vec![2, 8, 8] }, vec![2, 8, 8]),
        ("conv2", conv2, vec![4, 4, 4]),
        ("if", if_, vec![4, 4, 4]),
        ("sum", Primitive::SumPool2d { kernel_size: two, stride: two, padding: none }, vec![4, 2, 2]),
        ("flat", flat(0, -1, Some(vec![4, 2, 2])), vec![16]),
        ("affine", Primitive::Affine { weight: wave(&[6, 16]), bias: wave(&[6]) }, vec![6]),
        ("cubalif", cubalif, vec![6]),
        ("rec", Primitive::Linear { weight: wave(&[6, 6]) }, vec![6]),
        ("delay", Primitive::Delay { delay: full(0.002, &[6]) }, vec![6]),
        ("linear", Primitive::Linear { weight: wave(&[4, 6]) }, vec![4]),
        ("lif", lif, vec![4]),
        ("scale", Primitive::Scale { scale: wave(&[4]) }, vec![4]),
        ("li", Primitive::Li { tau: full(0.02, &[4]), r: full(2.0, &[4]), v_leak: wave(&[4]) }, vec![4]),
        ("threshold", Primitive::Threshold { threshold: full(0.125, &[4]) }, vec![4]),
        ("out", Primitive::Output { shape: vec![4] }, vec![4]),
        ("avg", Primitive::AvgPool2d { kernel_size: two, stride: two, padding: none }, vec![2, 4, 4]),
        ("rows", flat(1, 2, Some(vec![2, 4, 4])), vec![2, 16]),
        ("conv1", conv1, vec![4, 16]),
        ("i", Primitive::I { r: full(1.0, &[4, 16]) }, vec![4, 16]),
        ("all", flat(0, 1, None), vec![64]),
        ("affine2", Primitive::Affine { weight: wave(&[4, 64]), bias: wave(&[4]) }, vec![4]),
        ("cubali", cubali, vec![4]),
    ];
    assert_eq!(graph.nodes.len(), expected.len());
    for (name, wanted, shape) in &expected {
        assert_eq!((primitive(name), &node(&graph, name).shape), (wanted, shape), "{name}");
    }
    let types: std::collections::BTreeSet<_> = graph.nodes.iter().map(|n| n.primitive.type_name()).collect();
    assert_eq!(types.len(), 18, "every primitive of NIR");
    assert_eq!(graph.edges.len(), 23);
    assert_eq!(graph.sources(graph.find("lif").expect("a node")).count(), 2);
    assert!(graph.nodes.is_sorted_by(|a, b| a.name < b.name));
}

#[test]
fn storage_does_not_matter() {
    let plain = read(&fixture("every.nir"), "every.nir").expect("a sound graph");
    for name in ["every_gzip.nir", "every_v110.nir"] {
        assert_eq!(read(&fixture(name), name).as_ref(), Ok(&plain), "{name}");
    }
    let tiny = read(&fixture("tiny.nir"), "tiny.nir").expect("a sound graph");
    for (name, version) in [("tiny_gzip.nir", Some("1.0.8")), ("tiny_v110.nir", None)] {
        let other = read(&fixture(name), name).expect("a sound graph");
        assert_eq!(
            (&other.graph.nodes, &other.graph.edges),
            (&tiny.graph.nodes, &tiny.graph.edges),
            "{name}"
        );
        assert_eq!(other.graph.version.as_deref(), version);
    }
}

#[test]
fn nested_graphs_become_one_and_number_types_do_not_matter() {
    let Loaded { graph, warnings } = read(&fixture("nested.nir"), "nested.nir").expect("tolerated");
    let wanted = [
        ("in", "part.core.w"),
        ("part.core.cell", "part.core.w"),
        ("part.core.cell", "part.gain"),
        ("part.core.w", "part.core.cell"),
        ("part.gain", "out"),
    ];
    assert_eq!(edges(&graph), wanted);
    let Primitive::Affine { weight, bias } = &node(&graph, "part.core.w").primitive else {
        panic!("an Affine")
    };
    assert_eq!((weight, bias), (&wave(&[3, 3]), &full(0.0, &[3])), "big-endian; no bias");
    let Primitive::Lif { tau, r, v_leak, v_threshold, v_reset } = &node(&graph, "part.core.cell").primitive
    else {
        panic!("a LIF")
    };
    assert_eq!(
        (tau, r, v_leak),
        (&full(0.5, &[3]), &full(1.0, &[3]), &full(0.0, &[3])),
        "halves, bools, bytes"
    );
    assert_eq!((v_threshold, v_reset), (&full(1.0, &[3]), &full(0.0, &[3])));
    assert_eq!(node(&graph, "out").primitive, Primitive::Output { shape: vec![3] });
    let said = warnings.join("\n");
    let expected = [
        "Node `part.core.w` without `bias`: zeros are taken.",
        "Node `part.core.cell` without `v_reset`: 0 is taken.",
        "Field `in.note` not known to NIR: passed over.",
        "Node `part.gain` gives [3], and `part.b` says [1, 3]; the elements are taken as they lie.",
        "Node `part.b` gives [3], and `out` says [3, 1, 1]; the elements are taken as they lie.",
    ];
    for sentence in expected {
        assert!(said.contains(sentence), "`{sentence}` is not said:\n{said}");
    }
    assert_eq!(warnings.len(), expected.len(), "{said}");
}

#[test]
fn every_lava_layer_is_read() {
    let LavaLoaded { layers, warnings } =
        read_lava(&fixture("lava.net"), "lava.net").expect("a sound network");
    assert_eq!(warnings, ["Field `extra` of layer `4` (dense) is passed over."]);
    let shapes: Vec<&[usize]> = layers.iter().map(|l| l.shape.as_slice()).collect();
    assert_eq!(shapes, [&[2, 6, 6][..], &[4, 6, 6], &[4, 3, 3], &[36, 1, 1], &[6], &[3, 1, 1]]);
    assert_eq!(layers[0].kind, LavaKind::Input { weight: None, bias: None });
    let LavaKind::Conv { weight, window, groups: 2, bias: None, delay: Some(delay) } = &layers[1].kind else {
        panic!("a conv layer of two groups")
    };
    assert_eq!(
        (weight.shape.as_slice(), window.padding, &delay.data),
        (&[4, 1, 3, 3][..], [1, 1], &vec![1, 0, 2, 0])
    );
    assert_eq!(weight.data[..4], [-24, -10, 4, 18]);
    let neuron = |n: usize| layers[n].neuron.as_ref().expect("a neuron");
    assert_eq!((&neuron(1).i_decay.data, &neuron(1).v_decay.data), (&vec![1, 2, 3, 4], &vec![128]));
    let LavaKind::Pool { weight, window, delay: None } = &layers[2].kind else { panic!("a pool layer") };
    assert_eq!((weight.shape.as_slice(), window.stride), (&[1, 1, 2, 2][..], [2, 2]));
    assert_eq!((&layers[3].kind, &layers[3].neuron), (&LavaKind::Flatten, &None));
    let LavaKind::Dense { weight, bias: Some(bias), delay: None } = &layers[4].kind else {
        panic!("a dense layer")
    };
    assert_eq!((weight.shape.as_slice(), bias.data.len(), neuron(4).weight_exp), (&[6, 36][..], 6, Some(3)));
    assert_eq!(layers[5].kind, LavaKind::Average);
}

#[test]
fn each_reader_knows_the_other_file() {
    let d = read(&fixture("lava.net"), "lava.net").expect_err("no graph");
    assert!(d.code == "E0121" && d.help.contains("*.net"), "{d}");
    let d = read_lava(&fixture("tiny.nir"), "tiny.nir").expect_err("no layers");
    assert!(d.code == "E0121" && d.help.contains("*.nir"), "{d}");
    assert_eq!(read(b"no file at all", "x.nir").expect_err("no file").code, "E0120");
    assert_eq!(read(b"", "x.nir").expect_err("no file").code, "E0120");
}
