//! Several spiking cores behind one input with one decision, and neurons that are silenced.

use nervure_back::Options;
use nervure_core::block::Rng;
use nervure_core::{Network, Packed, PackedMut};
use nervure_front::NetworkBuilder;
use nervure_sim::golden::Replayer;
use nervure_tests::command::nervure;
use nervure_tests::{Built, golden, noise, registry, rng, target};
use rand::RngExt;
use serde_json::{Value, json};

const TMP: &str = env!("CARGO_TARGET_TMPDIR");

fn weights(out: usize, inputs: usize, rng: &mut Rng) -> Value {
    let row = |rng: &mut Rng| (0..inputs).map(|_| rng.random_range(-5..=6)).collect::<Vec<i64>>();
    json!((0..out).map(|_| row(rng)).collect::<Vec<_>>())
}

/// Three members of different size and speed; the third has neurons that spike by themselves, and a mask over one of them.
fn ensemble(masked: bool) -> Network {
    let rng = &mut rng(11);
    let x = serde_json::from_value(json!({"shape": [24], "format": "u1", "rate": "step"})).expect("a tensor");
    let mut builder = NetworkBuilder::new("ensemble", registry()).input("x", x, Some(4)).expect("an input");
    let mut counts = Vec::new();
    for (n, (hidden, lanes)) in [(12, 12), (6, 3), (8, 8)].into_iter().enumerate() {
        let neuron = json!({"block": "neuron/if", "membrane": "s8", "threshold": 9, "compare": "ge",
            "reset": "zero", "overflow": "saturate", "bias": if n == 2 { 4 } else { 0 }});
        let mask: Vec<i64> = (0..hidden).map(|i| i64::from(!masked || i % 3 != 1)).collect();
        let layer = json!({"from": "x", "weights": weights(hidden, 24, rng), "weight_format": "s4",
            "lanes": lanes, "mask": mask, "neuron": neuron});
        let out = json!({"weights": weights(5, hidden, rng), "weight_format": "s4", "lanes": 1,
            "neuron": {"block": "neuron/if", "membrane": "s8", "threshold": 5, "compare": "ge",
                "reset": "subtract", "overflow": "saturate"}});
        for (name, block, params) in [
            ("hidden", "engine/spiking", layer),
            ("out", "engine/spiking", out),
            ("counts", "seq/sum", json!({"output": "u5"})),
            ("choice", "seq/argmax", json!({})),
        ] {
            builder = builder.layer(&format!("{name}{n}"), block, params).unwrap_or_else(|d| panic!("{d}"));
        }
        counts.push((format!("counts{n}"), format!("choice{n}")));
    }
    let (counts, choices): (Vec<_>, Vec<_>) = counts.into_iter().unzip();
    builder
        .layer("all", "seq/add", json!({"from": counts, "lanes": 5}))
        .and_then(|b| b.layer("digit", "seq/argmax", json!({})))
        .and_then(|b| b.layer("vote", "seq/vote", json!({"from": choices})))
        .and_then(|b| b.output("digit"))
        .and_then(|b| b.output("vote"))
        .and_then(NetworkBuilder::finish)
        .unwrap_or_else(|d| panic!("{d}"))
}

#[test]
fn members_are_added_and_vote() {
    for masked in [false, true] {
        let network = ensemble(masked);
        let built = Built::new(&network, target(), &Options::default()).expect("it builds");
        assert_eq!(built.lint(), Vec::<String>::new());
        let samples = noise(&network, 30, 6, &mut rng(2));
        built.check(&network, &samples, 2, None).unwrap_or_else(|e| panic!("{e}"));
        // The two decisions are two: otherwise neither block would be tested here.
        let trace = golden(&network, &samples).expect("it runs");
        assert_ne!(trace.outputs[0].elements, trace.outputs[1].elements);
    }
}

#[test]
fn silence_saves_cycles_and_gates_only_who_speaks_alone() {
    let gates = |network: &Network| {
        let built = Built::new(network, target(), &Options::default()).expect("it builds");
        let gated = |name: &str| {
            let path = format!("rtl/ensemble_{name}.v");
            let file = built.files.iter().find(|f| f.path == path).expect("the module");
            file.text.contains("held back")
        };
        let samples = noise(network, 20, 6, &mut rng(3));
        let cycles = nervure_sim::predict(network, &built.design, &samples).expect("no deadlock").cycles;
        let all = cycles.last().expect("samples").finish;
        ([gated("hidden0"), gated("hidden1"), gated("hidden2")], all)
    };
    let (none, before) = gates(&ensemble(false));
    let (one, after) = gates(&ensemble(true));
    assert_eq!((none, one), ([false; 3], [false, false, true]));
    assert!(after < before, "{after} cycles with masks, {before} without");
}

/// A layer most of whose neurons spike now and then, but for those that are silenced.
fn eager(recurrent: bool, kept: &dyn Fn(usize) -> bool) -> Network {
    let (inputs, neurons, rng) = (130, 100, &mut rng(5));
    let x = json!({"shape": [inputs], "format": "u1", "rate": "step"});
    let mask: Vec<_> = (0..neurons).map(|n| i64::from(kept(n))).collect();
    let mut layer = json!({"weights": weights(neurons, inputs, rng), "weight_format": "s4", "lanes": 10,
        "mask": mask, "neuron": {"block": "neuron/lif", "membrane": "s12", "threshold": 9, "compare": "ge",
            "reset": "zero", "leak": {"shift": 3}, "overflow": "saturate"}});
    if recurrent {
        layer["recurrent"] = weights(neurons, neurons, rng);
    }
    NetworkBuilder::new("eager", registry())
        .input("x", serde_json::from_value(x).expect("a tensor"), Some(10))
        .and_then(|b| b.layer("hidden", "engine/spiking", layer))
        .and_then(|b| b.output("hidden"))
        .and_then(NetworkBuilder::finish)
        .unwrap_or_else(|d| panic!("{d}"))
}

#[test]
fn silence_is_the_same_for_spikes_as_bits() {
    for recurrent in [false, true] {
        let network = eager(recurrent, &|n| n % 7 != 3);
        let samples = noise(&network, 6, 45, &mut rng(4));
        let mut runner = network.nodes[0].instance.runner();
        let quick = runner.step_packed(1, Packed::Bits(&[0; 3]), PackedMut::Bits(&mut [0; 2]));
        assert!(quick, "the layer knows no way from bits");
        let bits = golden(&network, &samples).expect("it runs");
        let replayer = Replayer::new(&network).expect("it runs");
        let mut integers = replayer.replay(&network, &samples);
        let (mut answer, mut active) = (vec![0; 100], vec![0; 100]);
        for sample in 0..samples.count {
            let mut step = 0;
            let check = |_, values: &[i64]| {
                bits.outputs[0].get(sample, step, &mut answer);
                assert_eq!(answer, values, "sample {sample}, step {step}, recurrent: {recurrent}");
                active.iter_mut().zip(values).for_each(|(all, y)| *all += y);
                step += 1;
            };
            integers.visit_all(sample, |_, _, _, _| (), check);
            assert_eq!(step, 45);
        }
        for (n, spikes) in active.iter().enumerate() {
            assert!(n % 7 != 3 || *spikes == 0, "neuron {n}: {spikes} spikes");
        }
        assert!(active.iter().filter(|n| **n > 0).count() > 50, "{active:?}");
    }
    // Without the mask most of those would speak: it is the mask that is tested.
    let network = eager(false, &|_| true);
    let trace = golden(&network, &noise(&network, 6, 45, &mut rng(4))).expect("it runs");
    let (mut answer, mut active) = (vec![0; 100], vec![0; 100]);
    for step in 0..45 {
        trace.outputs[0].get(0, step, &mut answer);
        active.iter_mut().zip(&answer).for_each(|(all, y)| *all += y);
    }
    assert!(active.iter().skip(3).step_by(7).filter(|n| **n > 0).count() > 7, "{active:?}");
}

#[test]
fn the_command_finds_neurons_that_are_always_active() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let at = folder.path();
    let network = |mask: &str| {
        let text = format!(
            "nervure: 1\nname: busy\ninputs:\n  - {{name: x, shape: [4], format: u1, rate: step}}\nlayers:\n  - name: hidden\n    \
             block: engine/spiking\n    weights: [[2, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 2], [1, 0, 0, 1]]\n    bias: [0, 7, 0, 0]\n    \
             weight_format: s4\n    lanes: 2\n{mask}    neuron: {{block: neuron/if, membrane: s6, threshold: 2, compare: ge, \
             reset: zero, overflow: saturate}}\n  - name: out\n    block: engine/spiking\n    \
             weights: [[3, 0, -1, 0], [-1, 1, 3, 0]]\n    weight_format: s4\n    lanes: 2\n    \
             neuron: {{block: neuron/if, membrane: s6, threshold: 3, compare: ge, reset: zero, overflow: saturate}}\n  \
             - name: counts\n    block: seq/sum\n  - name: digit\n    block: seq/argmax\n"
        );
        std::fs::write(at.join("network.yaml"), text).expect("a network file");
    };
    network("");
    // Class 0: the first input; class 1: the last. Neuron 1 spikes in every step and speaks for class 1.
    let sample = |class: usize| {
        (0..8).flat_map(move |step| (0..4).map(move |i| i64::from(i == 3 * class && step % 4 > 0)))
    };
    let x: Vec<i64> = (0..10).flat_map(|s| sample(s % 2)).collect();
    let label: Vec<i64> = (0..10).map(|s| s % 2).collect();
    let arrays = [("x".to_owned(), vec![10, 8, 4], x), ("label".to_owned(), vec![10], label)];
    nervure_front::write_npz(&at.join("samples.npz"), &arrays).expect("samples are written");
    let run = nervure(TMP, at, ["mask", ".", "--rate", "0.9", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    let m = run.json();
    let layer = &m["layers"][0];
    assert_eq!(m["layers"].as_array().map(Vec::len), Some(1), "the read-out is left alone: {m:#}");
    assert_eq!(
        (&layer["layer"], &layer["silenced"], &layer["neurons"]),
        (&json!("hidden"), &json!(1), &json!(4))
    );
    assert_eq!(layer["highest_rate"], json!(1.0));
    let active = |key: &str| layer[key].as_f64().expect("a number");
    assert!((active("active_per_step") - active("active_per_step_masked") - 1.0).abs() < 1e-9, "{m:#}");
    // With the mask in the network, that is what is built, and asking again changes nothing.
    network("    mask: mask.npz:hidden\n");
    let run = nervure(TMP, at, ["build", ".", "-o", "b", "--json", "--no-synth"]);
    assert_eq!(run.code, 0, "{run:?}");
    let built = run.json();
    assert_eq!(built["verify"]["mismatches"], json!(0));
    assert_eq!(built["accuracy"], m["after"]["accuracy"]);
    let masks = std::fs::read(at.join("mask.npz")).expect("the masks");
    let run = nervure(TMP, at, ["mask", ".", "--rate", "0.9", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(std::fs::read(at.join("mask.npz")).expect("the masks"), masks, "a silenced neuron stays so");
    for (args, told) in [
        (&["--layer", "counts"][..], "takes no mask"),
        (&["--layer", "none"], "there is no layer `none`"),
        (&["-o", "samples.npz"], "is there already"),
        (&["-o", "../mask.npz"], "without a folder"),
    ] {
        let run = nervure(TMP, at, ["mask", ".", "--rate", "0.9"].iter().chain(args));
        assert!(run.code == 2 && run.stderr.contains(told), "{args:?}: {run:?}");
    }
}
