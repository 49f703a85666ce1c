//! What is wrong with a graph is one diagnostic that names the file, the node and the field.

use nervure_core::Diagnostic;
use nervure_front::nir::{Loaded, read, read_lava};
use nervure_tests::hdf5::{Tree, full, graph, group, integer, list, nir, node, text};

/// in -> fc -> lif -> out, with a recurrence at `lif`.
fn small() -> Tree {
    let lif = [("tau", 0.01), ("r", 1.0), ("v_leak", 0.0), ("v_threshold", 1.0), ("v_reset", 0.0)];
    let lif = lif.map(|(name, value)| (name, full(value, &[2])));
    let nodes = [
        ("in", node("Input", [("shape", list(&[3]))])),
        ("fc", node("Affine", [("weight", full(0.5, &[2, 3])), ("bias", full(0.25, &[2]))])),
        ("lif", node("LIF", lif)),
        ("rec", node("Linear", [("weight", full(0.5, &[2, 2]))])),
        ("out", node("Output", [("shape", list(&[2]))])),
    ];
    let edges = [("in", "fc"), ("fc", "lif"), ("lif", "out"), ("lif", "rec"), ("rec", "lif")];
    nir(graph(nodes, &edges))
}

/// in [1, 6, 6] -> conv -> pool -> flat -> fc -> out.
fn image() -> Tree {
    let one = || list(&[1, 1]);
    let conv = [
        ("weight", full(1.0, &[2, 1, 3, 3])),
        ("bias", full(0.0, &[2])),
        ("stride", one()),
        ("padding", one()),
        ("dilation", one()),
        ("groups", integer(1)),
        ("input_shape", list(&[6, 6])),
    ];
    let pool = [("kernel_size", list(&[2, 2])), ("stride", list(&[2, 2])), ("padding", list(&[0, 0]))];
    let nodes = [
        ("in", node("Input", [("shape", list(&[1, 6, 6]))])),
        ("conv", node("Conv2d", conv)),
        ("pool", node("SumPool2d", pool)),
        ("flat", node("Flatten", [("start_dim", integer(0)), ("end_dim", integer(-1))])),
        ("fc", node("Linear", [("weight", full(1.0, &[4, 18]))])),
        ("out", node("Output", [("shape", list(&[4]))])),
    ];
    nir(graph(nodes, &[("in", "conv"), ("conv", "pool"), ("pool", "flat"), ("flat", "fc"), ("fc", "out")]))
}

fn load(tree: &Tree) -> Result<Loaded, Diagnostic> {
    read(&tree.bytes().expect("the library writes it"), "net.nir")
}

/// Each of `cases` changes the network; the diagnostic has the code and path, and its text has the words.
type Case = (&'static str, &'static str, &'static str, fn(&mut Tree));

fn faults(sound: fn() -> Tree, cases: &[Case]) {
    load(&sound()).expect("the network is sound before it is changed");
    for (code, path, words, change) in cases {
        let mut tree = sound();
        change(&mut tree);
        let d = load(&tree).expect_err(words);
        let text = d.to_string();
        assert_eq!((d.code, d.path.join(".").as_str()), (*code, *path), "{text}");
        assert!(
            text.contains(words) && text.contains("`net.nir`") && !d.help.is_empty(),
            "`{words}` in {text}"
        );
    }
}

/// Where node or field `path` lies.
fn at(path: &str) -> String {
    format!("node/nodes/{path}")
}

fn linear() -> Tree {
    node("Linear", [("weight", full(1.0, &[2, 2]))])
}

/// A graph to be nested: inputs `x`, `x2` and so on, and an output `y`.
fn inner(nodes: usize, edges: &[(&str, &str)]) -> Tree {
    let ends = |name: &str| node(name, [("shape", list(&[2]))]);
    let mut all = graph([("x", ends("Input")), ("y", ends("Output"))], edges);
    (2..nodes).for_each(|n| all.put(&format!("nodes/x{n}"), ends("Input")));
    all
}

#[test]
fn nodes_and_fields() {
    faults(
        small,
        &[
            ("E0122", "fc.type", "did you mean `Affine`?", |t| t.put(&at("fc/type"), text("Afine"))),
            ("E0123", "fc.type", "has no field `type`", |t| t.remove(&at("fc/type"))),
            ("E0123", "lif.tau", "node `lif` (LIF) has no field `tau`", |t| t.remove(&at("lif/tau"))),
            ("E0123", "in.shape", "has no field `shape`", |t| t.remove(&at("in/shape"))),
            ("E0124", "fc.weight", "of shape [6]", |t| t.put(&at("fc/weight"), full(1.0, &[6]))),
            ("E0124", "fc.weight", "that is text", |t| t.put(&at("fc/weight"), text("many"))),
            ("E0124", "fc.bias", "expected shape [2]", |t| t.put(&at("fc/bias"), full(1.0, &[3]))),
            ("E0124", "lif.r", "expected shape [2]", |t| t.put(&at("lif/r"), full(1.0, &[3]))),
            ("E0124", "lif", "gets [2] from `fc`, expected [5]", |t| {
                for field in ["tau", "r", "v_leak", "v_threshold", "v_reset"] {
                    t.put(&at(&format!("lif/{field}")), full(1.0, &[5]));
                }
            }),
            ("E0124", "fc", "gets [4] from `in`, expected [3]", |t| t.put(&at("in/shape"), list(&[4]))),
            ("E0124", "out", "expected [7]", |t| t.put(&at("out/shape"), list(&[7]))),
            ("E0125", "fc.weight", "NaN", |t| t.put(&at("fc/weight"), full(f64::NAN, &[2, 3]))),
            ("E0125", "lif.v_leak", "inf", |t| t.put(&at("lif/v_leak"), full(f64::INFINITY, &[2]))),
            ("E0125", "lif.tau", "element 0 0, expected above 0", |t| t.put(&at("lif/tau"), full(0.0, &[2]))),
            ("E0125", "lif.tau", "-0.5, expected above 0", |t| t.put(&at("lif/tau"), full(-0.5, &[2]))),
            ("E0204", "in.shape", "has `shape` 0", |t| t.put(&at("in/shape"), list(&[0]))),
            ("E0204", "in.shape", "has `shape` -3", |t| t.put(&at("in/shape"), list(&[-3]))),
            ("E0204", "in.shape", "more than 16777216", |t| {
                t.put(&at("in/shape"), list(&[1 << 20, 1 << 20]));
            }),
            ("E0204", "in.shape", "1099511627776", |t| t.put(&at("in/shape"), list(&[1 << 40]))),
            ("E0125", "in.shape", "beyond 2^53", |t| t.put(&at("in/shape"), list(&[i64::MAX]))),
            ("E0120", "fc.type", "a text of 20000 bytes", |t| {
                t.put(&at("fc/type"), text(&"a".repeat(20_000)));
            }),
            ("E0120", "", "with a name of 2000 bytes", |t| t.put(&at(&"a".repeat(2000)), linear())),
            ("E0107", "in.shape", "expected whole numbers", |t| t.put(&at("in/shape"), full(2.5, &[1]))),
        ],
    );
}

#[test]
fn edges_and_ways() {
    faults(
        small,
        &[
            ("E0126", "node.edges", "there is no node `lift`", |t| t.edge("node", "lift", "out")),
            ("E0126", "node.edges", "from `in` to `fc` twice", |t| t.edge("node", "in", "fc")),
            ("E0126", "in", "an edge leads into it", |t| t.edge("node", "lif", "in")),
            ("E0126", "out", "an edge leads out of it", |t| t.edge("node", "out", "lif")),
            ("E0124", "node.edges", "expected pairs", |t| t.put("node/edges", text("in to out"))),
            ("E0123", "node.edges", "has no field `edges`", |t| t.remove("node/edges")),
            ("E0123", "node.nodes", "has no group `nodes`", |t| t.remove("node/nodes")),
            ("E0127", "", "no node of type Input", |t| {
                t.put(&at("in"), node("Linear", [("weight", full(1.0, &[3, 3]))]));
            }),
            ("E0127", "", "no node of type Output", |t| t.put(&at("out"), linear())),
            ("E0129", "far", "on no way from an input", |t| t.put(&at("far"), linear())),
            ("E0129", "far", "on no way to an output", |t| {
                t.put(&at("far"), linear());
                t.edge("node", "lif", "far");
            }),
            ("E0128", "a", "reads itself at once, through `a`, `b`", |t| {
                t.put(&at("a"), linear());
                t.put(&at("b"), linear());
                for (from, to) in [("lif", "a"), ("a", "b"), ("b", "a"), ("b", "lif")] {
                    t.edge("node", from, to);
                }
            }),
            ("E0128", "wait", "reads itself at once, through `wait`", |t| {
                t.put(&at("wait"), node("Delay", [("delay", full(0.0, &[2]))]));
                for (from, to) in [("lif", "wait"), ("wait", "wait"), ("wait", "lif")] {
                    t.edge("node", from, to);
                }
            }),
        ],
    );
}

#[test]
fn images() {
    faults(
        image,
        &[
            ("E0204", "conv.stride", "has `stride` 0, 1", |t| t.put(&at("conv/stride"), list(&[0, 1]))),
            ("E0204", "conv.dilation", "expected 1 to 16777216", |t| {
                t.put(&at("conv/dilation"), list(&[1, 1 << 30]));
            }),
            ("E0204", "conv.padding", "has `padding` -1", |t| t.put(&at("conv/padding"), list(&[-1, 1]))),
            ("E0124", "conv.padding", "of 3 numbers", |t| t.put(&at("conv/padding"), list(&[1, 1, 1]))),
            ("E0124", "conv.padding", "\"same\" or \"valid\"", |t| t.put(&at("conv/padding"), text("full"))),
            ("E0124", "conv.padding", "stride 1 alone", |t| {
                t.put(&at("conv/padding"), text("same"));
                t.put(&at("conv/stride"), list(&[2, 2]));
            }),
            ("E0124", "conv.groups", "does not divide", |t| t.put(&at("conv/groups"), integer(3))),
            ("E0124", "conv", "expected 2 channels", |t| t.put(&at("conv/groups"), integer(2))),
            ("E0124", "conv.weight", "kh, kw", |t| t.put(&at("conv/weight"), full(1.0, &[2, 9]))),
            ("E0124", "conv", "gets [1, 6, 6] from `in`, expected [1, 5, 6]", |t| {
                t.put(&at("conv/input_shape"), list(&[5, 6]));
            }),
            ("E0124", "pool", "smaller than its window", |t| t.put(&at("pool/kernel_size"), list(&[9, 2]))),
            ("E0204", "conv", "more than 16777216 elements", |t| {
                t.put(&at("conv/padding"), list(&[1 << 23, 1 << 23]));
            }),
            ("E0124", "flat", "no axes 2 to 1", |t| {
                t.put(&at("flat/start_dim"), integer(2));
                t.put(&at("flat/end_dim"), integer(1));
            }),
            ("E0124", "fc", "gets [2, 9] from `flat`", |t| {
                t.put(&at("flat/start_dim"), integer(1));
                t.put(&at("fc/weight"), full(1.0, &[4, 9]));
            }),
        ],
    );
    // An exporter that counts a batch among the axes is understood.
    let mut batch = image();
    batch.put(&at("flat/start_dim"), integer(1));
    let Loaded { graph, warnings } = load(&batch).expect("tolerated");
    assert!(warnings.len() == 1 && warnings[0].contains("`fc` says [18]"), "{warnings:?}");
    assert_eq!(graph.nodes[graph.find("flat").expect("a node")].shape, [18]);
}

#[test]
fn nested() {
    faults(
        small,
        &[
            ("E0126", "node.edges", "the graph `part` has 2 inputs", |t| {
                t.put(&at("part"), inner(3, &[("x", "y"), ("x2", "y")]));
                t.edge("node", "lif", "part");
            }),
            ("E0126", "part.edges", "the graph `part` has the edge", |t| {
                t.put(&at("part"), inner(2, &[("x", "z")]));
            }),
            ("E0126", "lif", "is read by `out` on two ways", |t| {
                t.put(&at("part"), inner(2, &[("x", "y")]));
                t.edge("node", "lif", "part");
                t.edge("node", "part", "out");
            }),
            ("E0128", "part.x", "reads itself at once", |t| {
                t.put(&at("part"), inner(2, &[("x", "y")]));
                t.edge("node", "lif", "part");
                t.edge("node", "part", "part");
                t.edge("node", "part", "rec");
            }),
            ("E0401", "part.x", "two nodes are called `part.x`", |t| {
                t.put(&at("part"), inner(2, &[("x", "y")]));
                t.put(&at("part.x"), node("Scale", [("scale", full(1.0, &[2]))]));
            }),
            ("E0110", "g.g.g.g.g.g.g.g.g.g.g.g.g.g.g.g.g.nodes", "nested 17 deep", |t| {
                let mut deep = inner(2, &[("x", "y")]);
                for _ in 0..16 {
                    deep = graph([("g", deep)], &[]);
                }
                t.put(&at("g"), deep);
            }),
        ],
    );
    // A graph that hands its input through is as good as an edge.
    let mut through = small();
    through.put(&at("part"), inner(2, &[("x", "y")]));
    through.edge("node", "lif", "part");
    through.edge("node", "part", "rec");
    let Tree::Texts(shape, names) = through.at("node/edges") else { panic!("edges are texts") };
    let before = names.chunks(2).position(|e| e == ["lif", "rec"]).expect("an edge");
    names.drain(2 * before..2 * before + 2);
    shape[0] -= 1;
    assert_eq!(load(&through), load(&small()));
}

#[test]
fn layers() {
    let cuba = [("iDecay", 4096), ("vDecay", 128), ("vThMant", 80), ("refDelay", 1), ("gradedSpike", 0)];
    let dense = node(
        "dense",
        [
            ("shape", list(&[2])),
            ("inFeatures", integer(3)),
            ("outFeatures", integer(2)),
            ("weight", full(-4.0, &[2, 3])),
            ("neuron", node("CUBA", cuba.map(|(name, value)| (name, integer(value))))),
        ],
    );
    let second = {
        let mut second = dense.clone();
        second.put("inFeatures", integer(2));
        second.put("weight", full(6.0, &[2, 2]));
        second
    };
    let sound = group([("layer", group([("0", dense), ("1", second)]))]);
    let load = |tree: &Tree| read_lava(&tree.bytes().expect("the library writes it"), "net.net");
    assert_eq!(load(&sound).expect("a sound network").layers.len(), 2);
    let cases: [Case; 14] = [
        ("E0122", "0.type", "is not read", |t| t.put("layer/0/type", text("kwta"))),
        ("E0122", "1.type", "expected a neuron of type `CUBA`", |t| {
            t.put("layer/1/neuron/type", text("SDNN"));
        }),
        ("E0123", "0.weight", "has no field `weight`", |t| t.remove("layer/0/weight")),
        ("E0124", "0.delay", "has 3 delays", |t| t.put("layer/0/delay", list(&[1, 1, 1]))),
        ("E0125", "0.delay", "expected 0 to 4096 steps", |t| t.put("layer/0/delay", list(&[1, -1]))),
        ("E0123", "0.iDecay", "has no field `iDecay`", |t| t.remove("layer/0/neuron/iDecay")),
        ("E0123", "layer.0", "none is called `0`", |t| t.remove("layer/0")),
        ("E0107", "0.weight", "expected whole numbers", |t| t.put("layer/0/weight", full(0.5, &[2, 3]))),
        ("E0124", "0.weight", "expected [2, 3]", |t| t.put("layer/0/weight", full(1.0, &[3, 2]))),
        ("E0124", "1", "gets [2], expected 3", |t| {
            t.put("layer/1/inFeatures", integer(3));
            t.put("layer/1/weight", full(1.0, &[2, 3]));
        }),
        ("E0125", "1.vThMant", "expected 1 to 131071", |t| t.put("layer/1/neuron/vThMant", integer(0))),
        ("E0125", "1.vDecay", "expected 0 to 4096", |t| t.put("layer/1/neuron/vDecay", integer(4097))),
        ("E0124", "1.neuron", "has 3 decays", |t| t.put("layer/1/neuron/vDecay", list(&[1, 2, 3]))),
        ("E0406", "", "has 0 layers", |t| t.put("layer", group([]))),
    ];
    let mut sums = sound.clone();
    sums.remove("layer/1/neuron");
    assert_eq!(load(&sums).expect("the last layer gives sums").layers[1].neuron, None);
    for (code, path, words, change) in cases {
        let mut tree = sound.clone();
        change(&mut tree);
        let d = load(&tree).expect_err(words);
        assert_eq!((d.code, d.path.join(".").as_str()), (code, path), "{d}");
        assert!(d.to_string().contains(words) && d.message.contains("`net.net`"), "`{words}` in {d}");
    }
}
