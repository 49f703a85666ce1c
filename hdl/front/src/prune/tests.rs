//! Tests of pruning on real weights, and on the crate's own block.

use std::path::Path;

use super::magnitude;
use super::*;
use crate::npz::Npz;
use crate::{testing, write_npz};

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).expect("a pattern")
}

fn pruned(shape: &[usize], data: &[i64], text: &str, axis: usize) -> Vec<i64> {
    let mut data = data.to_vec();
    for line in lines::along(shape, axis) {
        magnitude::prune(&mut data, &line, pattern(text));
    }
    data
}

#[test]
fn the_largest_stay_and_of_equals_the_first() {
    let row = [3, -3, 1, 3, 0, -2, 2, 7, 5];
    assert_eq!(pruned(&[1, 9], &row, "2:4", 1), [3, -3, 0, 0, 0, -2, 0, 7, 5]);
    assert_eq!(pruned(&[1, 9], &row, "1:8", 1), [0, 0, 0, 0, 0, 0, 0, 7, 5]);
    assert_eq!(pruned(&[1, 9], &row, "4:4", 1), row);
    // Taps of a convolution are pruned each along its channels: here the channels of a tap lie two apart.
    assert_eq!(pruned(&[1, 4, 2], &[1, 9, 5, 0, 2, 8, 4, 7], "1:2", 1), [0, 9, 5, 0, 0, 8, 4, 0]);
}

#[test]
fn what_is_no_pattern_is_explained() {
    for (text, code) in [
        ("2", "E0104"),
        ("a:b", "E0104"),
        ("3:2", "E0201"),
        ("0:4", "E0201"),
        ("1:17", "E0201"),
        ("-1:4", "E0104"),
    ] {
        let d = Pattern::parse(text).expect_err("no pattern");
        assert_eq!((d.code, d.path[0].as_str()), (code, "pattern"), "{text}");
    }
    assert_eq!(pattern("2:8").to_string(), "2:8");
}

const NET: &str = "\
nervure: 1
name: two
inputs:
  - {name: x, shape: [4], format: u1, rate: step}
layers:
  - name: hidden
    block: test/dense
    weights: w.npz:a
    weight_format: s4
    lanes: 1
    neuron: {block: neuron/lif, threshold: 12, membrane: s12}
  - name: out
    block: test/dense
    weights: [[7, -6, 5]]
    weight_format: s4
outputs: [out]
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let weights = vec![("a".to_owned(), vec![3, 4], vec![1, 2, -3, 4, -7, 7, 7, 0, 0, 0, 0, 1])];
    write_npz(&folder.path().join("w.npz"), &weights).expect("written");
    std::fs::write(folder.path().join("network.yaml"), NET).expect("written");
    folder
}

#[test]
fn a_file_becomes_a_file_with_the_same_formats() {
    let (from, to) = (folder(), tempfile::tempdir().expect("a folder"));
    let registry = testing::registry();
    let set = [("layers.hidden.lanes".to_owned(), "3".to_owned())];
    let pruned =
        prune(from.path(), &registry, &set, pattern("1:2"), &["hidden".to_owned()], None).expect("pruned");
    let [layer] = &pruned.layers[..] else { panic!("{:?}", pruned.layers) };
    assert_eq!((layer.weights, layer.before, layer.kept, layer.largest, layer.pinned), (12, 8, 5, 7, None));
    assert_eq!((layer.energy * 178.0).to_string(), "119", "119 of 178");
    assert_eq!((layer.mean * 12.0).to_string(), "11", "1 + 3 + 7");
    write_npz(&to.path().join(ARCHIVE), &pruned.arrays).expect("written");
    std::fs::write(to.path().join("network.yaml"), &pruned.yaml).expect("written");
    let back = load(to.path(), &registry, &[]).expect("what is written reads back");
    assert_eq!(crate::to_yaml(&back), crate::to_yaml(&pruned.after));
    let expected = crate::to_yaml(&pruned.before).replace("[1, 2, -3, 4]", "[0, 2, 0, 4]");
    assert_eq!(crate::to_yaml(&back), expected.replace("[-7, 7, 7, 0]", "[-7, 0, 7, 0]"));
    assert!(pruned.yaml.contains("weights: \"weights.npz:hidden.weights\"\n"), "{}", pruned.yaml);
    // All layers, unless some are named.
    let all = prune(from.path(), &registry, &[], pattern("1:2"), &[], None).expect("pruned");
    assert_eq!(all.layers.iter().map(|l| l.kept).collect::<Vec<_>>(), [5, 2]);
}

#[test]
fn planes_stand_for_the_weights() {
    let (from, to) = (folder(), tempfile::tempdir().expect("a folder"));
    let registry = testing::registry();
    let pruned = prune(from.path(), &registry, &[], pattern("3:4"), &[], Some("p.npz")).expect("pruned");
    let dense = prune(from.path(), &registry, &[], pattern("3:4"), &[], None).expect("pruned");
    write_npz(&to.path().join(ARCHIVE), &pruned.arrays).expect("written");
    write_npz(&to.path().join("p.npz"), &pruned.planes).expect("written");
    std::fs::write(to.path().join("network.yaml"), &pruned.yaml).expect("written");
    let back = load(to.path(), &registry, &[]).expect("what is written reads back");
    assert_eq!(crate::to_yaml(&back), crate::to_yaml(&dense.after));
    assert!(
        pruned.arrays.is_empty() && pruned.yaml.contains("weights: {planes: \"p.npz:hidden\"}"),
        "{}",
        pruned.yaml
    );
    let mut broken = pruned.planes.clone();
    broken[0].2[30] ^= 1;
    write_npz(&to.path().join("p.npz"), &broken).expect("written");
    let d = load(to.path(), &registry, &[]).expect_err("a flipped bit");
    assert_eq!((d.code, d.path.join(".")), ("E0105", "layers.hidden.weights.planes".to_owned()), "{d}");
}

#[test]
fn layers_that_cannot_be_pruned_are_explained() {
    let (from, registry) = (folder(), testing::registry());
    let code = |layer: &str| {
        let pruned = prune(from.path(), &registry, &[], pattern("1:2"), &[layer.to_owned()], None);
        pruned.err().map(|d| (d.code, d.help))
    };
    assert_eq!(code("hiden").map(|(c, _)| c), Some("E0108"));
    assert!(code("hiden").is_some_and(|(_, help)| help.contains("did you mean `hidden`")));
}

/// The figures of `facts-nm.md`, and the sums of squares of the weights that were pruned elsewhere.
#[test]
fn energies_are_those_of_the_neutral_cases() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/nm/minilm_l0_query.npz");
    if !file.is_file() {
        eprintln!(
            "skipped: energies_are_those_of_the_neutral_cases (no folder shared/data/nm beside the workspace)"
        );
        return;
    }
    let mut npz = Npz::open(&file, "minilm").expect("an archive");
    let mut array = |name: &str| npz.read(name, 1 << 20).and_then(|a| a.integers()).expect("weights");
    let energy = |w: &[i64]| w.iter().map(|w| w * w).sum::<i64>();
    let dense = array("dense/W");
    for (text, name, fact) in
        [("4:8", "4of8", 0.900), ("2:4", "2of4", 0.871), ("2:8", "2of8", 0.671), ("1:4", "1of4", 0.623)]
    {
        // The file has inputs first.
        let ours = energy(&pruned(&[384, 384], &dense, text, 0));
        assert_eq!(ours, energy(&array(&format!("{name}/W"))), "{text}");
        let share = ours as f64 / energy(&dense) as f64;
        assert!((share - fact).abs() < 1e-3, "{text} keeps {share} of the energy, {fact} before rounding");
    }
}
