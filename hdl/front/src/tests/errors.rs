//! What a wrong file is told, and that nothing in a file makes us panic or hang.

use super::{Folder, GOOD, load_text, load_with};
use crate::{load, testing};

/// `old` replaced by `new` in the good network: the whole diagnostic.
fn told(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    load_text(&GOOD.replacen(old, new, 1)).expect_err("a diagnostic").to_string()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn fields_are_explained_with_their_place() {
    let cases = [
        (
            "lanes: 2",
            "lane: 2",
            "error[E0103]: the block `test/dense` has no field `lane`\n  --> network.yaml:10:5 (layers.hidden.lane)\n  = help: did you mean `lanes`?",
        ),
        (
            "lanes: 2",
            "lanes: two",
            "error[E0104]: `lanes` is the text \"two\", expected a whole number from 0\n  --> network.yaml:10:12 (layers.hidden.lanes)\n  = help: `lanes`: Outputs a beat. `nervure blocks test/dense`",
        ),
        ("lanes: 2", "lanes: -2", "`lanes` is -2, expected a whole number from 0\n  --> network.yaml:10:12"),
        ("lanes: 2", "lanes: 1.5", "`lanes` is 1.5, expected"),
        ("lanes: 2", "lanes:", "`lanes` is empty, expected"),
        ("lanes: 2", "lanes: [2]", "`lanes` is a list, expected"),
        ("weight_format: s3", "weight_format: int3", "`weight_format`: `int3` is not a number format; write"),
        (
            "    weight_format: s3\n",
            "",
            "the field `weight_format` is missing\n  --> network.yaml:6:5 (layers.hidden)\n  = help: `weight_format`: Format of a weight",
        ),
        (
            "threshold: 12",
            "treshold: 12",
            "error[E0103]: `neuron` has no field `treshold`\n  --> network.yaml:13:7 (layers.hidden.neuron.treshold)\n  = help: did you mean `threshold`?",
        ),
        (
            "threshold: 12",
            "threshold: high",
            "`threshold` is the text \"high\", expected a whole number\n  --> network.yaml:13:18 (layers.hidden.neuron.threshold)\n  = help: `threshold`: Fires at or above it",
        ),
        ("membrane: s12", "membrane: x12", "`membrane`: `x12` is not a number format"),
        (
            "      membrane: s12\n",
            "",
            "the field `membrane` is missing in `neuron`\n  --> network.yaml:11:5 (layers.hidden.neuron)",
        ),
        (
            "neuron/lif",
            "neuron/lyf",
            "`block` is `neuron/lyf`, which is not one of its values\n  --> network.yaml:12:14 (layers.hidden.neuron.block)\n  = help: did you mean `neuron/lif`?",
        ),
        (
            "{shift: 4, rounding: half_even}",
            "{shift: 4}",
            "the field `rounding` is missing in `scale`\n  --> network.yaml:15:5 (layers.hidden.scale)\n  = help: `rounding`: ",
        ),
        (
            "{shift: 4, rounding: half_even}",
            "{shift: 4, rounding: half_up, x: 1}",
            "`scale` has no field `x`\n  --> network.yaml:15:42 (layers.hidden.scale.x)",
        ),
        (
            "{shift: 4, rounding: half_even}",
            "{shift: 4, rounding: halfup}",
            "`rounding` is `halfup`, which is not one of its values\n  --> network.yaml:15:33 (layers.hidden.scale.rounding)\n  = help: did you mean `half_up`?",
        ),
        (
            "{shift: 4, rounding: half_even}",
            "{onnx: {multiplier: 3, shft: 4}}",
            "`onnx` has no field `shft`\n  --> network.yaml:15:35 (layers.hidden.scale.onnx.shft)",
        ),
        (
            "{shift: 4, rounding: half_even}",
            "7",
            "`scale` has none of the forms that it can take\n  --> network.yaml:15:12 (layers.hidden.scale)\n  = help: write one of {shift, rounding}, {onnx: {multiplier, shift}}, {tflite: {multiplier, shift}}",
        ),
        ("[[1, 0, -1, 2], [0, 0, 1, -2]]", "[[1, 0, -1, 2], [0, 0, 1]]", "`weights`: ragged list"),
        (
            "[[1, 0, -1, 2], [0, 0, 1, -2]]",
            "[[1, 0, -1, 2], [0, 0.5, 1, 2]]",
            "is 0.5, expected nested lists of integers",
        ),
        (
            "[[1, 0, -1, 2], [0, 0, 1, -2]]",
            "weights.np:a",
            "`weights` is the text \"weights.np:a\", expected nested lists",
        ),
        (
            "block: test/dense",
            "block: dense",
            "error[E0302]: there is no block `dense`\n  --> network.yaml:7:12 (layers.hidden.block)\n  = help: did you mean `test/dense`?",
        ),
        (
            "block: test/dense",
            "block: 3",
            "`block` is 3, expected text\n  --> network.yaml:7:12 (layers.hidden.block)",
        ),
        ("name: hidden", "nane: hidden", "the field `name` is missing\n  --> network.yaml:6:5 (layers.[0])"),
        (
            "name: out",
            "name: x",
            "error[E0401]: two inputs or layers are called `x`\n  --> network.yaml:16:11 (layers.x.name)\n  = help: give this one another name; the first is on line 4",
        ),
        (
            "format: u1",
            "format: u1, lane: 2",
            "error[E0103]: an input has no field `lane`\n  --> network.yaml:4:39 (inputs.x.lane)\n  = help: did you mean `lanes`?",
        ),
        (
            "rate: step",
            "rate: steps",
            "`rate` is `steps`, which is not one of its values\n  --> network.yaml:4:45 (inputs.x.rate)\n  = help: did you mean `step`?",
        ),
        (
            "shape: [4]",
            "shape: [4, x]",
            "`shape[1]` is the text \"x\", expected a whole number from 0\n  --> network.yaml:4:26 (inputs.x.shape.[1])",
        ),
        ("shape: [4]", "shape: [0]", "error[E0204]"),
        ("shape: [4]", "shape: [18446744073709551615, 2]", "error[E0204]"),
        (
            "outputs: [out]",
            "outputs: [oud]",
            "error[E0108]: there is no input or layer `oud`\n  --> network.yaml:20:11 (outputs)\n  = help: did you mean `out`?",
        ),
        ("outputs: [out]", "outputs: [out.z]", "the layer `out` has no output `z`"),
        ("outputs: [out]", "outputs: [out, out]", "the output `out` is listed twice"),
        (
            "name: out\n",
            "name: out\n    input: {shape: [3], format: u1, rate: step}\n",
            "error[E0402]: `input` is u1[3] per step, and what arrives is s16[2] per step\n  --> network.yaml:17:5 (layers.out.input)",
        ),
        (
            "name: out\n",
            "name: out\n    input_lanes: 3\n",
            "error[E0202]: `input_lanes` is 3, which does not divide the elements of the input (2)\n  --> network.yaml:17:18 (layers.out.input_lanes)",
        ),
        ("outputs: [out]", "outputs: 3", "error[E0104]: expected a name, or a list of names"),
        (
            "outputs: [out]",
            "output: [out]",
            "error[E0103]: a network has no field `output`\n  --> network.yaml:20:1 (output)\n  = help: did you mean `outputs`?",
        ),
        ("nervure: 1", "nervure: 2", "error[E0111]: `nervure` is 2"),
        ("nervure: 1\n", "", "error[E0111]: the format version is missing\n  --> network.yaml:1:1"),
        (
            "name: two",
            "name: 2",
            "`name` is 2, expected text\n  --> network.yaml:2:7 (name)\n  = help: quote it",
        ),
        (
            "name: out\n",
            "name: out\n    from: hiden\n",
            "error[E0108]: there is no input or layer `hiden`\n  --> network.yaml:17:11 (layers.out.from)\n  = help: did you mean `hidden`?",
        ),
        (
            "name: out\n",
            "name: out\n    from: out\n",
            "error[E0405]: `out` -> `out` closes a cycle without a state on it\n  --> network.yaml:17:11 (layers.out.from)",
        ),
        (
            "name: hidden\n",
            "name: hidden\n    from: out\n",
            "error[E0405]: `hidden` -> `out` -> `hidden` closes a cycle",
        ),
        (
            "name: out\n",
            "name: out\n    from: [hidden, x]\n",
            "error[E0402]: test/dense has 1 inputs, 2 given",
        ),
        (
            "name: out\n",
            "name: out\n    from: x\n",
            "error[E0205]: `weights` has shape [1, 2], expected [1, 4]\n  --> network.yaml:19:5",
        ),
        ("name: out\n", "name: out\n    fifo: 1e3\n", "`fifo` is 1000.0, expected a whole number from 0"),
        ("name: out\n", "name: out\n    fifo: 70000\n", "error[E0201]"),
        (
            "weights: [[1, -1]]",
            "weights: w.npz:a",
            "error[E0101]: there is no file `w.npz`\n  --> network.yaml:18:14 (layers.out.weights)",
        ),
        ("weights: [[1, -1]]", "weights: /etc/w.npz:a", "error[E0105]: `/etc/w.npz` is an absolute path"),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .map(|(old, new, expected)| (told(old, new), new, expected))
        .filter(|(text, _, expected)| !text.contains(*expected))
        .map(|(text, new, expected)| format!("{new}:\n{text}\nexpected\n{expected}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn overrides_are_explained() {
    let cases = [
        (
            ("layers.hiden.lanes", "2"),
            "error[E0109]: `layers` has nothing called `hiden`\n  --> --set:1:1 (layers.hiden.lanes)\n  = help: did you mean `hidden`?",
        ),
        (
            ("layers.hidden.lane", "2"),
            "there is no field `lane` to set\n  --> --set:1:1 (layers.hidden.lane)\n  = help: did you mean `lanes`?",
        ),
        (("layers.hidden.neuron.treshold", "2"), "did you mean `threshold`?"),
        (("layers.hidden.lanes.x", "2"), "there is no field `x` to set"),
        (("layers.hidden", "2"), "write `layers.hidden.FIELD=VALUE`"),
        (("inputs.x.lane", "2"), "did you mean `lanes`?"),
        (("speed", "2"), "there is no field `speed` to set"),
        (("name", ""), "the value for `name` cannot be read"),
        (("name", "[1"), "the value for `name` cannot be read"),
        (
            ("layers.hidden.lanes", "two"),
            "error[E0104]: `lanes` is the text \"two\", expected a whole number from 0\n  --> --set:1:1 (layers.hidden.lanes)",
        ),
        (
            ("layers.hidden.lanes", "3"),
            "error[E0202]: `lanes` is 3, which does not divide the outputs (2)\n  --> --set:1:1",
        ),
        (("layers.hidden..x", "3"), "error[E0109]"),
        (("layers.", "3"), "error[E0109]"),
    ];
    for (set, expected) in cases {
        let text = load_with(GOOD, &[set]).expect_err("a diagnostic").to_string();
        assert!(text.contains(expected), "{set:?}:\n{text}\nexpected\n{expected}");
    }
}

#[test]
fn files_that_are_not_networks() {
    let folder = Folder::new();
    let registry = testing::registry();
    let told =
        |name: &str| load(&folder.path().join(name), &registry, &[]).expect_err("a diagnostic").to_string();
    assert!(told("absent.yaml").contains("error[E0101]: there is no file or folder"));
    assert!(told("").contains("has no `network.yaml`"));
    folder.write("net.yml", "x");
    assert!(told("").contains("name the file itself"));
    folder.write("latin", b"name: \xe9\n");
    assert!(told("latin").contains("not text in UTF-8: byte 0xe9 at offset 6"), "{}", told("latin"));
    folder.write("zero", b"nervure: 1\n\0");
    assert!(told("zero").contains("byte 0x00 at offset 11") && told("zero").contains("zero:2:1"));
    folder.write("prose", "Dear reader");
    assert!(told("prose").contains("this is the text \"Dear reader\""));
    std::fs::create_dir(folder.path().join("network.yaml")).expect("a folder");
    assert!(told("").contains("is not a regular file"));
    let big = std::fs::File::create(folder.path().join("big")).expect("a file");
    big.set_len(200 << 20).expect("a sparse file");
    assert!(told("big").contains("error[E0110]"));
}

#[test]
fn damaged_files_never_panic() {
    let mut seed = 7u32;
    let mut random = |n: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as usize % n
    };
    let tokens: Vec<&str> = GOOD.split_inclusive([' ', '\n', ',']).collect();
    let odd = [
        "[",
        "]",
        "{",
        "}",
        ":",
        "-",
        "- ",
        "? ",
        "&a ",
        "*a ",
        "!!str ",
        "|\n",
        "\"",
        "'",
        "#",
        "\t",
        "99999999999",
        "-1",
        "~",
        "<<: ",
    ];
    for round in 0..1000 {
        let mut parts = tokens.clone();
        for _ in 0..=round % 4 {
            let at = random(parts.len());
            match random(4) {
                0 => drop(parts.remove(at)),
                1 => parts.insert(at, odd[random(odd.len())]),
                2 => parts[at] = odd[random(odd.len())],
                _ => parts.swap(at, random(tokens.len() - 4)),
            }
        }
        if let Err(d) = load_text(&parts.concat()) {
            assert!(!d.help.is_empty() && d.span.is_some(), "{d}\n{}", parts.concat());
        }
    }
}
