//! The shipped examples, from the trained network to verified and synthesised Verilog, by the command that people use.

use std::path::Path;

use nervure_tests::command::{nervure, root, tree};
use serde_json::Value;

const TMP: &str = env!("CARGO_TARGET_TMPDIR");

fn number(m: &Value, path: &str) -> f64 {
    let value = m.pointer(path).and_then(Value::as_f64);
    value.unwrap_or_else(|| panic!("{path} is missing or no number in {m:#}"))
}

fn build(example: &str, place: &Path, more: &[&str]) -> Value {
    let net = root().join("examples").join(example);
    let (net, place) = (net.to_str().expect("a path in text"), place.to_str().expect("a path in text"));
    let run = nervure(TMP, &root(), ["build", net, "-o", place, "--json", "--quiet"].iter().chain(more));
    assert_eq!(run.code, 0, "{run:?}");
    run.json()
}

/// Builds it twice and checks what is claimed of every example; returns the figures of the first build.
fn example(name: &str) -> Value {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let m = build(name, &first, &[]);
    assert!(number(&m, "/verify/samples") >= 100.0, "{m:#}");
    assert!(number(&m, "/verify/mismatches") == 0.0, "{m:#}");
    assert_eq!(m["verify"]["cycles_predicted"], m["verify"]["cycles_measured"]);
    assert!(number(&m, "/verify/cycles_measured") > 0.0);
    for field in ["lut", "ff", "bram", "dsp", "carry"] {
        number(&m, &format!("/synth/{field}"));
    }
    assert!(number(&m, "/synth/lut") > 0.0);
    for stage in ["generate", "lint", "verify", "synth"] {
        assert!(number(&m, &format!("/time_s/{stage}")) >= 0.0);
    }
    let manifest = std::fs::read_to_string(first.join("manifest.json")).expect("a build has a manifest");
    let manifest: Value = serde_json::from_str(&manifest).expect("the manifest is JSON");
    assert_eq!(manifest["verify"], m["verify"]);
    for part in ["rtl", "sim", "synth", "report"] {
        assert!(first.join(part).is_dir(), "the build directory has no {part}/");
    }
    build(name, &second, &["--no-synth", "--samples", "8"]);
    assert!(tree(&first.join("rtl")) == tree(&second.join("rtl")), "two builds of {name} differ");
    m
}

#[test]
fn mnist_snn() {
    let m = example("mnist-snn");
    assert!(number(&m, "/accuracy") >= 0.955, "accuracy {}", m["accuracy"]);
    assert!(number(&m, "/synth/lut") <= 600.0, "{} LUT", m["synth"]["lut"]);
    let cycles = number(&m, "/verify/cycles_per_step_mean");
    assert!(cycles <= 600.0, "{cycles} cycles a time step");
}

#[test]
fn mnist_snn_with_early_exit() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let at = folder.path();
    let shipped = root().join("examples/mnist-snn");
    for name in ["weights.npz", "samples.npz"] {
        std::fs::copy(shipped.join(name), at.join(name)).expect("the example's arrays");
    }
    let text = std::fs::read_to_string(shipped.join("network.yaml")).expect("the example's network");
    let (kept, _) = text.split_once("  - name: counts\n").expect("the read-out begins with its counts");
    let exit =
        "  - {name: digit, block: seq/confidence, sum: u5, margin: 2}\noutputs: [digit.class, digit.steps]\n";
    std::fs::write(at.join("network.yaml"), format!("{kept}{exit}")).expect("a network file");
    let run = |margin: &str| {
        let run = nervure(TMP, at, ["run", ".", "--json", "--set", margin]);
        assert_eq!(run.code, 0, "{run:?}");
        let m = run.json();
        (number(&m, "/accuracy"), number(&m, "/steps_mean"))
    };
    let (all, early) = (run("layers.digit.margin=16"), run("layers.digit.margin=2"));
    assert!(all.1 == 16.0 && all.0 >= 0.955, "{all:?}");
    assert!(early.1 < 8.0 && early.0 >= all.0 - 0.005, "{early:?} against {all:?}");
}

#[test]
fn digits_nm() {
    assert!(number(&example("digits-nm"), "/accuracy") > 0.9);
}

#[test]
fn digits_autoencoder() {
    assert!(number(&example("digits-autoencoder"), "/reconstruction_mse") >= 0.0);
}

#[test]
fn jet_mlp() {
    let m = example("jet-mlp");
    assert!(number(&m, "/accuracy") >= 0.81, "accuracy {}", m["accuracy"]);
    // Unrolled: a jet is through as soon as its pipeline is, and nothing is multiplied by a hard multiplier.
    assert!(number(&m, "/verify/cycles_per_sample_mean") <= 16.0, "{:#}", m["verify"]);
    assert_eq!(number(&m, "/synth/dsp") + number(&m, "/synth/bram"), 0.0);
}

#[test]
fn kan_edge() {
    // In squared standard deviations: the targets' variance on the samples is 0.936, least squares leaves 0.446 of it.
    let m = example("kan-edge");
    assert!(number(&m, "/reconstruction_mse") <= 0.49, "error {}", m["reconstruction_mse"]);
    assert!(number(&m, "/synth/lut") <= 400.0, "{} LUT", m["synth"]["lut"]);
    assert!(number(&m, "/verify/cycles_per_sample_mean") <= 4.0, "{:#}", m["verify"]);
}

#[test]
fn braille_rsnn() {
    assert!(number(&example("braille-rsnn"), "/accuracy") > 0.95);
    // The network that is shipped is the one that its model file gives, but for the lanes.
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let shipped = root().join("examples/braille-rsnn");
    let file = |name: &str| shipped.join(name).to_str().expect("a path in text").to_owned();
    let (model, samples) = (file("net.nir"), file("samples.npz"));
    let args = ["import", &model, "--preset", "norse", "--bits", "8", "--calibrate", &samples];
    let run = nervure(TMP, folder.path(), args.iter().chain(&["--readout", "class", "-o", "n", "--json"]));
    assert_eq!(run.code, 0, "{run:?}");
    let lines = |path: &Path| {
        let text = std::fs::read_to_string(path.join("network.yaml")).expect("a network file");
        let kept = text.lines().filter(|l| !l.trim_start().starts_with("lanes:"));
        kept.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&folder.path().join("n")), lines(&shipped));
}

#[test]
fn xor_pulse() {
    assert!(number(&example("xor-pulse"), "/accuracy") > 0.98);
}

#[test]
fn delays_motion() {
    // Four classes; the delays that training began with give 0.42.
    let m = example("delays-motion");
    assert!(number(&m, "/accuracy") >= 0.9, "accuracy {}", m["accuracy"]);
}

#[test]
fn lsm() {
    let m = example("lsm");
    assert!(number(&m, "/accuracy") >= 0.93, "accuracy {}", m["accuracy"]);
    // The read-out's weights are the only ones in memory.
    assert!(number(&m, "/synth/bram") <= 1.0, "{} block RAMs", m["synth"]["bram"]);
}

#[test]
fn blimp_pid() {
    let m = example("blimp-pid");
    let l = &m["closed_loop"];
    assert_eq!(l["passed"].as_bool(), Some(true), "{l:#}");
    assert_eq!((number(l, "/verified_episodes"), number(l, "/mismatches")), (100.0, 0.0));
    assert_eq!((number(l, "/cycle_mismatches"), number(l, "/missed")), (0.0, 0.0));
    assert!(number(l, "/cycles_per_step_worst") <= 1500.0, "{l:#}");
    assert!(number(&m, "/synth/lut") <= 1900.0, "{} LUT", m["synth"]["lut"]);
}
