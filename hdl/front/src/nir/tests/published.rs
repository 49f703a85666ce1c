//! Networks that others trained and published. They are no part of the project: where they are not at hand, the tests say
//! so and pass.

use super::*;

/// The bytes of `name`, where the published networks are at hand.
fn published(name: &str) -> Option<Vec<u8>> {
    let folder = root().join("../shared/data/snn");
    if !folder.is_dir() {
        eprintln!("skipped {name}: the published networks are not here");
        return None;
    }
    Some(fs::read(folder.join(name)).expect("the folder has all of them"))
}

/// What [`read`] makes of `name`: without warnings, and of this many nodes and edges.
fn quiet(name: &str, nodes: usize, edges: usize, version: &str) -> Option<Graph> {
    let Loaded { graph, warnings } = read(&published(name)?, name).expect("a sound graph");
    assert_eq!(warnings, Vec::<String>::new(), "{name}");
    assert_eq!(
        (graph.nodes.len(), graph.edges.len(), graph.version.as_deref()),
        (nodes, edges, Some(version))
    );
    Some(graph)
}

#[test]
fn braille() {
    let Some(graph) = quiet("braille_noDelay_noBias_subtract/net.nir", 7, 7, "0.2.0") else { return };
    let shapes: Vec<_> = graph.nodes.iter().map(|n| (n.name.as_str(), n.shape.as_slice())).collect();
    let expected: [(&str, &[usize]); 7] = [
        ("fc1", &[40]),
        ("fc2", &[7]),
        ("input", &[12]),
        ("lif1.lif", &[40]),
        ("lif1.w_rec", &[40]),
        ("lif2", &[7]),
        ("output", &[7]),
    ];
    assert_eq!(shapes, expected);
    assert!(
        edges(&graph).contains(&("lif1.lif", "lif1.w_rec"))
            && edges(&graph).contains(&("lif1.w_rec", "lif1.lif"))
    );
    let Primitive::CubaLif { v_reset, tau_mem, .. } = &node(&graph, "lif2").primitive else {
        panic!("a CubaLIF")
    };
    assert!(v_reset.is_zero() && v_reset.shape == [7], "the file has no v_reset");
    assert!(tau_mem.data.iter().all(|t| (1e-4..1.0).contains(t)));
}

#[test]
fn n_mnist() {
    let Some(graph) = quiet("nmnist_scnn/net.nir", 15, 14, "0.2.0") else { return };
    let Primitive::Conv2d { weight, stride, padding, groups, input_shape, .. } = &node(&graph, "0").primitive
    else {
        panic!("a Conv2d")
    };
    assert_eq!((weight.shape.as_slice(), *stride, *groups), ([16, 2, 5, 5].as_slice(), [2, 2], 1));
    assert_eq!((*padding, *input_shape), (Padding::Explicit([1, 1]), Some([34, 34])));
    for (name, shape) in
        [("0", vec![16, 16, 16]), ("4", vec![16, 8, 8]), ("7", vec![8, 4, 4]), ("8", vec![128])]
    {
        assert_eq!(node(&graph, name).shape, shape, "{name}");
    }
    assert_eq!(node(&graph, "output").shape, [10]);
}

#[test]
fn mnist_is_compressed() {
    let Some(graph) = quiet("mnist_784_128_10/net.nir", 6, 5, "1.0.8") else { return };
    let Primitive::Linear { weight } = &node(&graph, "fc1").primitive else { panic!("a Linear") };
    assert_eq!(weight.shape, [128, 784]);
    assert!(weight.data.iter().filter(|w| **w != 0.0).count() > 90_000, "every piece of it was read");
}

#[test]
fn single_neurons() {
    let Some(graph) = quiet("lif_single/net.nir", 4, 3, "0.1.1") else { return };
    let Primitive::Lif { tau, v_threshold, .. } = &node(&graph, "1").primitive else { panic!("a LIF") };
    assert_eq!(tau.scalar_or_uniform(), Some(f64::from(0.0025f32)));
    assert_eq!(v_threshold.scalar_or_uniform(), Some(f64::from(0.1f32)));
    let graph = quiet("two_lif_selfspiking/net.nir", 6, 5, "0.2.0").expect("it lies beside the other");
    let Primitive::Lif { v_leak, .. } = &node(&graph, "lif1").primitive else { panic!("a LIF") };
    assert_eq!(v_leak.data, [1.2]);
}

#[test]
fn an_output_of_three_axes_is_tolerated() {
    let name = "reader_robustness/neuromorphs+NIR__paper_01_lif_lif_rockpool.nir";
    let Some(bytes) = published(name) else { return };
    let Loaded { graph, warnings } = read(&bytes, "rockpool.nir").expect("tolerated");
    assert_eq!((graph.nodes.len(), graph.edges.len()), (4, 3));
    assert!(warnings.len() == 1 && warnings[0].contains("[1, 1, 1]"), "{warnings:?}");
    assert_eq!(node(&graph, "output").primitive, Primitive::Output { shape: vec![1] });
}

#[test]
fn oxford_as_nir_and_as_lava_is_one_network() {
    let Some(graph) = quiet("oxford_lava_200_256_200/net.nir", 6, 5, "1.0.8") else { return };
    let bytes = published("oxford_lava_200_256_200/network.net").expect("it lies beside the other");
    let LavaLoaded { layers, warnings } = read_lava(&bytes, "network.net").expect("a sound network");
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(layers.len(), 2);
    for (layer, (name, decay)) in layers.iter().zip([("fc1", 415), ("fc2", 409)]) {
        let Primitive::Linear { weight: float } = &node(&graph, name).primitive else { panic!("a Linear") };
        let LavaKind::Dense { weight, bias: None, delay: None } = &layer.kind else {
            panic!("a dense layer")
        };
        assert_eq!(weight.shape, float.shape);
        // The NIR file was made from this one: weights in 64ths.
        let float = |parts: f64| float.data.iter().map(|f| (f * parts) as i64).collect::<Vec<_>>();
        assert!([float(1.0), float(64.0)].contains(&weight.data));
        let neuron = layer.neuron.as_ref().expect("a neuron");
        assert_eq!((&neuron.i_decay.data, &neuron.v_decay.data), (&vec![4096], &vec![decay]));
        assert_eq!(
            (neuron.v_th_mant, neuron.ref_delay, neuron.graded, neuron.weight_exp),
            (6, 1, false, None)
        );
    }
}
