//! `--cycles` and `--fit`: the folding that is chosen keeps its promise in hardware.

use std::path::Path;

use nervure_tests::command::nervure;
use serde_json::Value;

const TMP: &str = env!("CARGO_TARGET_TMPDIR");

fn build(args: &[&str]) -> (i32, Value) {
    let here = tempfile::tempdir().expect("a folder for temporary files");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/digits-autoencoder");
    let example = example.to_str().expect("a path in Unicode");
    let mut all = vec!["--json", "build", example, "-o", "out", "--samples", "12"];
    all.extend(args);
    let run = nervure(TMP, here.path(), &all);
    let manifest = serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"));
    (run.code, manifest)
}

fn luts(manifest: &Value) -> u64 {
    let modules = manifest["design"]["modules"].as_array().expect("a list");
    modules.iter().filter_map(|m| m["area_estimate"]["lut"].as_u64()).sum()
}

#[test]
fn hardware_grows_with_the_speed_asked_for_and_keeps_it() {
    let mut last = 0;
    for cycles in [2000, 300, 70] {
        let (code, manifest) = build(&["--no-synth", "--cycles", &cycles.to_string()]);
        assert_eq!(code, 0, "{manifest:#}");
        let interval = manifest["design"]["interval_cycles"].as_f64().expect("a number");
        assert!(interval <= f64::from(cycles), "{interval} cycles, {cycles} asked for");
        assert_eq!(manifest["verify"]["mismatches"], 0);
        assert_eq!(manifest["verify"]["cycle_mismatches"], 0);
        assert!(luts(&manifest) > last, "{} LUT, {last} for less speed", luts(&manifest));
        assert!(manifest["plan"]["why"].as_array().is_some_and(|why| why.len() > 1), "{manifest:#}");
        last = luts(&manifest);
    }
}

#[test]
fn what_cannot_be_is_said_and_is_exit_code_1() {
    let (code, manifest) = build(&["--no-synth", "--cycles", "1"]);
    assert_eq!(code, 1, "{manifest:#}");
    assert!(manifest["failed"][0].as_str().is_some_and(|why| why.starts_with("plan: ")), "{manifest:#}");
}

#[test]
fn a_board_is_filled_and_not_overfilled() {
    let (code, manifest) = build(&["--fit", "ulx3s_25f"]);
    assert_eq!(code, 0, "{manifest:#}");
    let used = manifest["utilisation"].as_array().expect("a list");
    assert!(used.iter().all(|u| u["used"].as_f64() <= u["available"].as_f64()), "{manifest:#}");
    let (_, slow) = build(&["--no-synth", "--cycles", "2000"]);
    assert!(manifest["design"]["interval_cycles"].as_f64() < slow["design"]["interval_cycles"].as_f64());
}

/// A queue lets a layer work while the one behind it is not ready yet; without it both are slower than either alone.
#[test]
fn queues_are_added_where_layers_wait_for_each_other() {
    let (code, with) = build(&["--no-synth", "--fit", "icebreaker"]);
    assert_eq!(code, 0, "{with:#}");
    let set: Vec<&str> = with["set"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let (queues, folds): (Vec<&str>, Vec<&str>) = set.into_iter().partition(|s| s.contains(".fifo="));
    assert!(!queues.is_empty(), "{with:#}");
    assert_eq!(with["verify"]["cycle_mismatches"], 0);
    let mut args = vec!["--no-synth"];
    args.extend(folds.iter().flat_map(|s| ["--set", s]));
    let (_, without) = build(&args);
    let interval = |m: &Value| m["design"]["interval_cycles"].as_f64().expect("a number");
    // 32 inputs of 64 outputs, two at a time: no layer takes longer.
    assert!(interval(&with) < interval(&without), "{with:#}");
}
