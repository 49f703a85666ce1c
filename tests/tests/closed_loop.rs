//! A network in a loop with a plant, by the command that people use.

use std::path::Path;

use nervure_tests::arrays::read_npz;
use nervure_tests::command::{Run, nervure, root};
use serde_json::Value;

const TMP: &str = env!("CARGO_TARGET_TMPDIR");

fn run(folder: &Path, args: &[&str]) -> Run {
    nervure(TMP, folder, args)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for temporary files")
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).expect("a text file");
    assert!(text.contains(from), "the edit applies to {}", file.display());
    std::fs::write(file, text.replacen(from, to, 1)).expect("the file is written");
}

fn number(m: &Value, path: &str) -> f64 {
    let value = m.pointer(path).and_then(Value::as_f64);
    value.unwrap_or_else(|| panic!("{path} is missing or no number in {m:#}"))
}

#[test]
fn the_shipped_controller_controls_and_moves_as_it_was_trained() {
    let here = folder();
    let net = root().join("examples/blimp-pid");
    let net = net.to_str().expect("a path in text");
    let golden = run(here.path(), &["run", net, "-o", "y.npz", "--json"]);
    assert_eq!(golden.code, 0, "{golden:?}");
    let m = golden.json();
    let tracking = &m["closed_loop"]["tracking"];
    // Every set-point and every force: back within 0.1 m to stay.
    assert_eq!((number(tracking, "/band"), number(tracking, "/changes")), (0.1, 200.0));
    assert_eq!(tracking["settled"], tracking["changes"], "{tracking:#}");
    assert!(number(tracking, "/settling_s_worst") <= 16.0, "{tracking:#}");
    assert!(number(tracking, "/rms_error") <= 0.4, "{tracking:#}");
    // The heights that train.py computes by itself, plant and network, from the same numbers.
    let ours = read_npz(&here.path().join("y.npz"));
    let theirs = read_npz(&root().join("examples/blimp-pid/plant.npz"));
    assert_eq!(ours["height"].shape, [100, 400]);
    assert!(ours["height"].data == theirs["height"].data, "the golden loop is not that of train.py");
}

#[test]
fn a_loop_is_checked_when_it_is_built_and_again() {
    let here = folder();
    assert_eq!(run(here.path(), &["new", "blimp-pid", "net"]).code, 0);
    let build = ["build", "net", "-o", "out", "--no-synth", "--samples", "3", "--json"];
    let built = run(here.path(), &build);
    assert_eq!(built.code, 0, "{built:?}");
    let m = built.json();
    let l = &m["closed_loop"];
    assert_eq!((l["passed"].as_bool(), number(l, "/verified_episodes")), (Some(true), 3.0), "{l:#}");
    assert_eq!((number(l, "/mismatches"), number(l, "/missed")), (0.0, 0.0));
    assert_eq!(l["cycles_predicted"], l["cycles_measured"]);
    let (worst, deadline) = (number(l, "/cycles_per_step_worst"), number(l, "/deadline_cycles"));
    assert_eq!(deadline, number(&m, "/clock_mhz") * 1e6 / 10.0);
    assert!(worst > 1.0 && number(l, "/margin_cycles") == deadline - worst, "{l:#}");

    // A clock that is faster than the design, then one that is just slow enough.
    let clock = number(&m, "/clock_mhz") * 1e6;
    let plant = here.path().join("net/plant.yaml");
    let rate = |cycles: f64| format!("rate_hz: {}", (clock / cycles).floor());
    edit(&plant, "rate_hz: 10\n", &format!("{}\n", rate(worst - 1.0)));
    let verify = ["verify", "out", "--samples", "3", "--json", "--plant", "net/plant.yaml"];
    let late = run(here.path(), &verify);
    assert_eq!(late.code, 1, "{late:?}");
    let l = &late.json()["closed_loop"];
    assert!(number(l, "/missed") >= 1.0 && number(l, "/mismatches") == 0.0, "{l:#}");
    assert_eq!(run(here.path(), &build).code, 1);
    edit(&plant, &rate(worst - 1.0), &rate(worst));
    let just = run(here.path(), &verify);
    assert_eq!(just.code, 0, "{just:?}");
    assert_eq!(
        run(here.path(), &["verify", "out", "--samples", "2"]).code,
        1,
        "the plant of the build is late"
    );

    // A plant that is wrong is bad input.
    edit(&plant, "of: drive", "of: driev");
    let wrong = run(here.path(), &verify);
    assert_eq!((wrong.code, wrong.json()["error"]["code"].as_str()), (2, Some("E0140")), "{wrong:?}");
    // Samples and a plant are two answers to one question.
    assert_eq!(run(here.path(), &["run", "net", "--plant", "p.yaml", "--input", "x.npz"]).code, 2);
}

#[test]
fn broken_hardware_leaves_the_trajectory() {
    let here = folder();
    assert_eq!(run(here.path(), &["new", "blimp-pid", "net"]).code, 0);
    let build = run(here.path(), &["build", "net", "-o", "out", "--no-synth", "--samples", "2", "--quiet"]);
    assert_eq!(build.code, 0, "{build:?}");
    let rtl = std::fs::read_dir(here.path().join("out/rtl")).expect("the RTL is there");
    let mut files: Vec<_> = rtl.flatten().map(|e| e.path()).collect();
    files.sort();
    let memory = files
        .iter()
        .find(|p| p.to_string_lossy().contains("drive") && p.extension().is_some_and(|e| e == "mem"));
    let memory = memory.expect("the read-out has a memory of weights");
    let text = std::fs::read_to_string(memory).expect("a memory file is text");
    let zeros: String = text.chars().map(|c| if c.is_ascii_hexdigit() { '0' } else { c }).collect();
    std::fs::write(memory, zeros).expect("the memory is written");
    let bad = run(here.path(), &["verify", "out", "--samples", "2", "--json"]);
    assert_eq!(bad.code, 1, "{bad:?}");
    let m = bad.json();
    assert!(number(&m, "/closed_loop/mismatches") > 0.0, "{m:#}");
    assert!(m["closed_loop"]["first"][0].as_str().is_some_and(|f| f.contains("in the closed loop")), "{m:#}");
}

/// Several inputs and outputs, each of several beats: every element of every answer comes back.
#[test]
fn wide_streams_close_the_loop() {
    let here = folder();
    let network = "nervure: 1
name: wide
inputs:
  - {name: a, shape: [6], format: s7, rate: step, lanes: 2}
  - {name: b, shape: [2, 2], format: u3, rate: step, lanes: 4}
layers:
  - {name: both, block: seq/concat, from: [a, b], lanes: 1}
  - name: left
    block: engine/spiking
    weights: [[1, -2, 3, 1, 0, 0, 1, -1, 2, 1], [2, 2, -1, 0, 1, -3, 0, 1, -1, 2], [0, 1, 1, -1, -1, 2, 1, 1, 1, -2]]
    weight_format: s3
    lanes: 1
    neuron: {block: neuron/li, membrane: s14, leak: {shift: 1}, overflow: saturate}
  - name: right
    block: engine/spiking
    from: both
    weights: [[3, 1, 0, 0, -1, 1, 1, 0, 2, -1], [-1, 0, 2, 1, 1, 1, -2, 1, 0, 1]]
    weight_format: s3
    lanes: 2
    neuron: {block: neuron/lif, membrane: s12, threshold: 40, compare: gt, reset: subtract, leak: {shift: 2}, overflow: saturate}
outputs: [left, right]
";
    let sense = |k: usize| {
        format!(
            "{{shift: 2, terms: [{{gain: {k}, of: wind}}, {{gain: -{k}, of: [p, abs(q)]}}, {{gain: 5}}]}}"
        )
    };
    let a: Vec<String> = (1..7).map(sense).collect();
    let b: Vec<String> = (3..7).map(sense).collect();
    let plant = format!(
        "nervure: 1
name: thing
rate_hz: 1000
sequences: [{{name: wind, array: w.npz:w, format: s8}}]
states:
  - {{name: p, format: s10, start: -7, next: {{shift: 4, rounding: half_even, terms: [{{gain: 12, of: p}}, {{gain: 3, of: left.2}}, {{gain: -2, of: left.0}}, {{gain: 90, of: [right.1, q]}}]}}}}
  - {{name: q, format: s6, next: {{shift: 3, terms: [{{gain: 5, of: p}}, {{gain: 1, of: left.1}}, {{gain: 40, of: right.0}}]}}}}
senses: {{a: [{}], b: [{}]}}
",
        a.join(", "),
        b.join(", ")
    );
    let wind: Vec<i64> = (0..5 * 60).map(|n: i64| (n * n * 37 + n * 11) % 251 - 125).collect();
    let write =
        |name: &str, text: &str| std::fs::write(here.path().join(name), text).expect("a file is written");
    write("network.yaml", network);
    write("plant.yaml", &plant);
    let array = ("w".to_owned(), vec![5, 60], wind);
    nervure_front::write_npz(&here.path().join("w.npz"), &[array]).expect("an archive is written");
    let built = run(here.path(), &["build", ".", "-o", "out", "--no-synth", "--json"]);
    assert_eq!(built.code, 0, "{built:?}");
    let m = built.json();
    let l = &m["closed_loop"];
    assert_eq!((number(l, "/mismatches"), number(l, "/verified_episodes")), (0.0, 5.0), "{l:#}");
    assert_eq!(l["cycles_predicted"], l["cycles_measured"]);
    // Something moves: not every step takes the same time.
    assert!(number(l, "/cycles_per_step_mean") < number(l, "/cycles_per_step_worst"), "{l:#}");
}
