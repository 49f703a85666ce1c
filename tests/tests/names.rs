//! Names that people and models choose: whatever they are, the design builds, lints, computes the same, and leaves no
//! file with a surprising name; or a diagnostic says what is wrong with them.

use std::collections::BTreeSet;

use nervure_back::Options;
use nervure_core::{Diagnostic, Network, QType, TensorType};
use nervure_front::NetworkBuilder;
use nervure_tests::{Built, noise, registry, rng, target};
use serde_json::json;

/// Reserved words, shell, Tcl and path syntax, quotes, blanks, and more than a file name may hold.
fn hostile() -> Vec<String> {
    let mut names: Vec<String> = [
        "small",
        "reg",
        "module",
        "a b",
        "x;rm -rf ~",
        "\u{e9}",
        "..",
        "../../etc/passwd",
        "`",
        "`include \"x\"",
        "a\nb",
        "\r\n",
        "",
        " ",
        "$(id)",
        "%s%n",
        "*/ /*",
        "//",
        "\\",
        "\"",
        "'",
        "{{ x }}",
        "{% raw %}",
        "[exec id]",
        "\u{202e}abc",
        "\u{0}",
        "CON",
        "-rf",
        "7",
        "clk",
        "rst_n",
        "x_",
        "__",
        "link_0",
        "s_axis_x_tdata",
    ]
    .map(String::from)
    .to_vec();
    names.push("n".repeat(300));
    names.push("\u{1f600}".repeat(80));
    names
}

/// Two layers, both ends and the network named as told.
fn network(name: &str, input: &str, layers: [&str; 2]) -> Result<Network, Diagnostic> {
    NetworkBuilder::new(name, registry())
        .input(input, TensorType::frame(&[4], QType::signed(5)), Some(2))?
        .layer(layers[0], "act/relu", json!({}))?
        .layer(layers[1], "seq/argmax", json!({"fifo": 2}))?
        .output(layers[0])?
        .output(layers[1])?
        .finish()
}

/// Builds it and checks the names of the files and all the Verilog.
fn build(network: &Network) -> Built {
    let built = Built::new(network, target(), &Options::default()).expect("every valid network builds");
    let mut seen = BTreeSet::new();
    for file in &built.files {
        let name = file.path.strip_prefix("rtl/").expect("all RTL is in one folder");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.".contains(c);
        assert!(name.chars().all(plain) && !name.starts_with('.') && !name.contains(".."), "{name:?}");
        assert!(name.len() <= 200, "{name:?} is too long for some file systems");
        assert!(seen.insert(name.to_owned()), "two files are called {name}");
        assert!(file.text.is_ascii(), "{name} holds text that is not ASCII");
    }
    let said = built.lint();
    assert!(said.is_empty(), "{:?}: {said:#?}", network.name);
    built
}

fn exact(network: &Network) {
    let samples = noise(network, 10, 1, &mut rng(1));
    if let Err(text) = build(network).check(network, &samples, 1, None) {
        panic!("{:?}: {text}", network.name);
    }
}

#[test]
fn hostile_names_are_harmless() {
    let names = hostile();
    // Every name takes every part once: network, input, first layer, second layer.
    let quads: Vec<[&str; 4]> = (0..names.len())
        .map(|i| [0, 1, 2, 3].map(|shift| names[(i + shift * 7) % names.len()].as_str()))
        .collect();
    nervure_tests::on_two_threads(&quads, |[name, input, first, second]| {
        match network(name, input, [first, second]) {
            Ok(network) => drop(build(&network)),
            Err(d) => {
                assert!(d.code.starts_with('E') && !d.help.is_empty(), "{d}");
                let text = d.to_string();
                let control = text.chars().any(|c| c.is_control() && c != '\n');
                assert!(!control, "a diagnostic prints control characters: {text:?}");
            }
        }
    });
}

#[test]
fn names_that_collapse_stay_apart() {
    exact(&network("a b", "a_b", ["a b", "a;b"]).expect("the names differ"));
    exact(&network("n", "x", ["x relu", "x_relu"]).expect("the names differ"));
    // The plumbing's modules are named after layers; so may layers be.
    exact(&network("d", "in", ["y_fifo", "y"]).expect("the names differ"));
    exact(&network("d", "in", ["kernel", "relu_kernel"]).expect("the names differ"));
    exact(&network("d", "in", ["a", "a_kernel"]).expect("the names differ"));
    exact(&network("link_0_tdata", "clk", ["rst_n", "link_0"]).expect("the names differ"));
    exact(&network("s_axis_x_tdata", "x", ["u_x", "x_tdata"]).expect("the names differ"));
    exact(&network("d", "in", ["a_first_largest", "a"]).expect("the names differ"));
}

#[test]
fn names_that_are_equal_are_refused() {
    for (input, layers) in [("x", ["x", "y"]), ("x", ["y", "y"])] {
        let d = network("n", input, layers).expect_err("a name twice is ambiguous");
        assert_eq!(d.code, "E0401", "{d}");
    }
}
