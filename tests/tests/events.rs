//! Address-events at the boundary: a network that takes and gives them, as a person builds it, and what cannot be built.

use nervure_back::{Options, lower};
use nervure_core::{Network, QType, Rate, TensorType};
use nervure_front::NetworkBuilder;
use nervure_tests::command::nervure;
use nervure_tests::{Built, noise, registry, rng, target};
use serde_json::json;

const TMP: &str = env!("CARGO_TARGET_TMPDIR");

const NETWORK: &str = "nervure: 1
name: camera
inputs:
  - {name: x, shape: [2, 3, 4], format: u2, rate: event}
layers:
  - {name: seen, block: stream/aer_in, lanes: 8, output: u1, fifo: 16}
  - name: hidden
    block: engine/spiking
    weights: [[1,-1,2,0,1,1,-2,0,3,1,0,-1,1,-1,2,0,1,1,-2,0,3,1,0,-1],
              [2,1,0,1,-1,1,1,0,0,1,2,-1,0,1,1,1,0,-2,1,1,0,1,1,1],
              [1,1,1,1,1,1,1,1,1,1,1,1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1]]
    weight_format: s4
    lanes: 3
    neuron: {block: neuron/if, threshold: 3, membrane: s8, compare: ge, reset: zero, overflow: saturate}
  - {name: told, block: stream/aer_out}
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    std::fs::write(folder.path().join("network.yaml"), NETWORK).expect("a network file");
    folder
}

fn camera() -> Network {
    nervure_front::load(folder().path(), registry(), &[]).unwrap_or_else(|d| panic!("{d}"))
}

#[test]
fn events_in_and_events_out() {
    let network = camera();
    assert_eq!(network.stream(network.outputs[0].1).tensor.rate, Rate::Event);
    for name in ["xc7", "ice40"] {
        let target = registry().target(name).expect("a target");
        let built = Built::new(&network, target, &Options::default()).expect("it builds");
        assert_eq!(built.lint(), Vec::<String>::new());
        for (steps, seed) in [(1, 3), (4, 5)] {
            let samples = noise(&network, 40, steps, &mut rng(seed));
            let report =
                built.check(&network, &samples, seed, None).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(report.passed() && report.cycles_predicted.is_some());
        }
    }
}

#[test]
fn wrong_events_are_named() {
    // The end of a step that comes too soon, on the way out.
    let network = camera();
    let built = Built::new(&network, target(), &Options::default()).expect("it builds");
    let file = built.rtl().join("camera_told.v");
    let text = std::fs::read_to_string(&file).expect("the module");
    let good = "wire [1:0] address = index;";
    assert!(text.contains(good), "the edit applies:\n{text}");
    std::fs::write(&file, text.replace(good, "wire [1:0] address = ~index;")).expect("the module is written");
    let samples = noise(&network, 10, 4, &mut rng(1));
    let told = built.check(&network, &samples, 1, None).expect_err("addresses are wrong");
    assert!(told.contains("expected event ") && told.contains("got event "), "{told}");
}

#[test]
fn a_list_of_events_goes_through_the_command() {
    let folder = folder();
    let event = |sample: i64, step: i64, at: [i64; 3]| [&[sample, step][..], &at[..]].concat();
    // Both polarities, an address twice in a step, steps and a whole sample without events.
    let list = [
        event(0, 0, [0, 0, 0]),
        event(0, 0, [0, 2, 0]),
        event(0, 0, [0, 2, 0]),
        event(0, 3, [1, 2, 3]),
        event(2, 1, [0, 0, 2]),
        event(2, 1, [0, 1, 2]),
    ];
    let arrays =
        [("x".to_owned(), vec![list.len(), 5], list.concat()), ("x_size".to_owned(), vec![2], vec![3, 4])];
    nervure_front::write_npz(&folder.path().join("samples.npz"), &arrays).expect("samples are written");
    let run = nervure(TMP, folder.path(), ["build", ".", "-o", "b", "--json", "--no-synth"]);
    assert_eq!(run.code, 0, "{run:?}");
    let m = run.json();
    assert_eq!((&m["verify"]["samples"], &m["verify"]["mismatches"]), (&json!(3), &json!(0)), "{m:#}");
    assert_eq!(m["verify"]["cycles_predicted"], m["verify"]["cycles_measured"]);
    let run = nervure(TMP, folder.path(), ["verify", "b", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
}

#[test]
fn events_have_one_reader() {
    let two = NetworkBuilder::new("two", registry())
        .input("x", TensorType::event(&[4], QType::unsigned(1)), None)
        .and_then(|b| b.layer("a", "stream/aer_in", json!({"from": "x"})))
        .and_then(|b| b.layer("b", "stream/aer_in", json!({"from": "x", "lanes": 2})))
        .and_then(|b| b.output("a"))
        .and_then(|b| b.output("b"))
        .and_then(NetworkBuilder::finish)
        .expect("the network means something");
    let told = lower(&two, registry(), target(), &Options::default()).expect_err("events have one reader");
    assert_eq!((told.code, told.path.join(".")), ("E0203", "layers.x.input".to_owned()), "{told}");
    assert!(told.help.contains("once"), "{told}");
}
