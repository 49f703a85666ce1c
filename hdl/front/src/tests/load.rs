//! What a right file becomes.

use nervure_core::{Network, QType, TensorRef, TensorType};

use super::{Folder, GOOD, load_text, load_with};
use crate::{load, testing, to_yaml, write_npz};

fn same(a: &Network, b: &Network) {
    assert_eq!((&a.name, &a.inputs, &a.outputs), (&b.name, &b.inputs, &b.outputs));
    assert_eq!(a.nodes.len(), b.nodes.len());
    for (a, b) in a.nodes.iter().zip(&b.nodes) {
        assert_eq!((&a.name, &a.inputs, a.fifo), (&b.name, &b.inputs, b.fifo));
        assert_eq!((a.instance.block(), a.instance.params()), (b.instance.block(), b.instance.params()));
    }
}

#[test]
fn follows_what_is_left_out() {
    let network = load_text(GOOD).expect("a network");
    assert_eq!(network.inputs[0].lanes, 4);
    assert_eq!(network.nodes[0].inputs, [TensorRef::Input(0)]);
    let hidden = network.nodes[0].instance.interface();
    assert_eq!(hidden.inputs[0].tensor, TensorType::step(&[4], QType::unsigned(1)));
    assert_eq!(hidden.inputs[0].lanes, 4);
    let out = network.nodes[1].instance.interface();
    assert_eq!(out.inputs[0].tensor, TensorType::step(&[2], QType::signed(16)));
    assert_eq!(out.inputs[0].lanes, 2);
    assert_eq!(network.source.expect("a source").0, "network.yaml");
}

#[test]
fn prints_what_it_reads() {
    let network = load_text(GOOD).expect("a network");
    let text = to_yaml(&network);
    let back = load_text(&text).unwrap_or_else(|d| panic!("{text}\n{d}"));
    same(&network, &back);
    assert_eq!(to_yaml(&back), text);
}

#[test]
fn layers_may_stand_in_any_order() {
    let text = GOOD
        .replace("name: hidden\n", "name: last\n    from: first.y\n    fifo: 3\n")
        .replace("name: out\n", "name: first\n    from: x\n")
        .replace("weights: [[1, 0, -1, 2], [0, 0, 1, -2]]", "weights: [[1], [0]]")
        .replace("[[1, -1]]", "[[1, -1, 0, 1]]")
        .replace("outputs: [out]", "outputs: [last, last.raw, first.raw]");
    let network = load_text(&text).expect("a network");
    let names: Vec<&str> = network.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["first", "last"]);
    assert_eq!(network.nodes[1].fifo, 3);
    let outputs: Vec<&str> = network.outputs.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(outputs, ["last", "last.raw", "first.raw"]);
    same(&network, &load_text(&to_yaml(&network)).expect("a network"));
}

#[test]
fn arrays_stand_for_lists() {
    let folder = Folder::new();
    let arrays = [
        ("a".to_owned(), vec![2, 4], vec![1, 0, -1, 2, 0, 0, 1, -2]),
        ("b".to_owned(), vec![1, 2], vec![1, -1]),
    ];
    write_npz(&folder.path().join("w.npz"), &arrays).expect("written");
    let text = GOOD.replace("[[1, 0, -1, 2], [0, 0, 1, -2]]", "w.npz:a").replace("[[1, -1]]", "w.npz:b");
    let path = folder.write("network.yaml", text);
    let registry = testing::registry();
    let network = load(&path, &registry, &[]).expect("a network");
    same(&network, &load_text(GOOD).expect("a network"));

    let from_folder = load(folder.path(), &registry, &[]).expect("a network");
    let (name, hash) = from_folder.source.expect("a source");
    let folder_name = folder.path().file_name().expect("a name").to_string_lossy().into_owned();
    assert_eq!(name, format!("{folder_name}/network.yaml"));
    assert_eq!(hash, network.source.expect("a source").1);
}

#[test]
fn the_hash_covers_text_arrays_and_overrides() {
    use sha2::Digest;
    let hash = |text: &str, set: &[(&str, &str)]| {
        load_with(text, set).expect("a network").source.expect("a source").1
    };
    let plain = hash(GOOD, &[]);
    let file = sha2::Sha256::digest(GOOD);
    let hex: Vec<String> = file.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(plain, hex.concat(), "without arrays it is the hash of the file");
    assert_ne!(plain, hash(&format!("{GOOD}# \n"), &[]));
    assert_ne!(plain, hash(GOOD, &[("layers.hidden.lanes", "2")]));
}

#[test]
fn overrides_reach_every_field() {
    let set = [
        ("name", "three"),
        ("inputs.x.lanes", "2"),
        ("layers.hidden.lanes", "1"),
        ("layers.hidden.neuron.threshold", "-7"),
        ("layers.out.neuron", "{block: neuron/lif, threshold: 1, membrane: s4}"),
        ("layers.out.scale.shift", "3"),
        ("layers.out.scale.rounding", "floor"),
        ("layers.out.fifo", "9"),
        ("outputs", "[hidden, out]"),
    ];
    let network = load_with(GOOD, &set).unwrap_or_else(|d| panic!("{d}"));
    assert_eq!((network.name.as_str(), network.inputs[0].lanes, network.nodes[1].fifo), ("three", 2, 9));
    let hidden = network.nodes[0].instance.params();
    assert_eq!((&hidden["lanes"], &hidden["neuron"]["threshold"]), (&1.into(), &(-7).into()));
    assert_eq!(network.nodes[1].instance.params()["scale"]["shift"], 3);
    assert_eq!(network.outputs.len(), 2);
}
