//! The command line: exit codes, what is printed where, and what is left on disk.

use std::path::Path;

use nervure_tests::command::{Run, nervure, root, tree};

const TMP: &str = env!("CARGO_TARGET_TMPDIR");

fn run(folder: &Path, args: &[&str]) -> Run {
    nervure(TMP, folder, args)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for temporary files")
}

/// A small example copied to `here/net`.
fn started(here: &Path) -> Run {
    let run = run(here, &["new", "digits-autoencoder", "net"]);
    assert_eq!(run.code, 0, "{run:?}");
    run
}

#[test]
fn lists_are_on_standard_output() {
    let here = folder();
    let blocks = run(here.path(), &["blocks"]);
    assert_eq!(blocks.code, 0, "{blocks:?}");
    for block in nervure_tests::registry().blocks() {
        assert!(blocks.stdout.contains(block.name()), "`nervure blocks` does not list {}", block.name());
        let one = run(here.path(), &["blocks", block.name()]);
        assert_eq!(one.code, 0, "{one:?}");
    }
    for args in [&["boards"][..], &["completions", "bash"], &["schema"], &["--help"], &["--version"]] {
        let run = run(here.path(), args);
        assert_eq!(run.code, 0, "{args:?}: {run:?}");
        assert!(!run.stdout.is_empty() && run.stderr.is_empty(), "{args:?}: {run:?}");
    }
    let doctor = run(here.path(), &["doctor"]);
    assert!([0, 2].contains(&doctor.code), "{doctor:?}");
    assert!(doctor.stdout.contains("verilator"), "{doctor:?}");
    assert!(tree(here.path()).is_empty(), "a list writes nothing");
}

#[test]
fn every_verb_explains_itself() {
    let here = folder();
    let verbs = [
        "build",
        "run",
        "verify",
        "synth",
        "mask",
        "prune",
        "blocks",
        "boards",
        "doctor",
        "new",
        "completions",
    ];
    for verb in verbs {
        let run = run(here.path(), &[verb, "--help"]);
        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.stdout.contains("Usage:"), "{run:?}");
    }
}

#[test]
fn bad_input_is_exit_code_2_and_leaves_nothing() {
    let here = folder();
    std::fs::write(here.path().join("bad.yaml"), "nervure: 1\nname: x\n").expect("a file is written");
    let before = tree(here.path());
    for args in [
        &["build", "missing.yaml"][..],
        &["build", "bad.yaml"],
        &["run", "missing"],
        &["verify", "missing"],
        &["synth", "missing"],
        &["prune", "missing", "--pattern", "2:8"],
        &["prune", "bad.yaml", "--pattern", "9:8"],
        &["blocks", "no/such"],
        &["boards", "no_such"],
        &["new", "no_such", "dir"],
        &["no_such_verb"],
        &["build"],
        &[],
    ] {
        let run = run(here.path(), args);
        assert_eq!(run.code, 2, "{args:?}: {run:?}");
        assert!(!run.stderr.is_empty() && run.stdout.is_empty(), "{args:?}: {run:?}");
        assert!(!run.stderr.contains("panicked"), "{args:?}: {run:?}");
    }
    assert_eq!(tree(here.path()), before, "bad input left something on disk");
    let run = run(here.path(), &["build", "bad.yaml", "--json"]);
    assert_eq!(run.code, 2);
    assert!(run.json()["error"]["code"].as_str().is_some_and(|c| c.starts_with('E')), "{run:?}");
}

#[test]
fn a_new_project_runs_and_exists_only_once() {
    let here = folder();
    started(here.path());
    let golden = run(here.path(), &["run", "net", "--json"]);
    assert_eq!(golden.code, 0, "{golden:?}");
    golden.json();
    let before = tree(here.path());
    let again = run(here.path(), &["new", "digits-autoencoder", "net"]);
    assert_eq!(again.code, 2, "{again:?}");
    assert_eq!(tree(here.path()), before, "a second `new` changed the first");
    let shipped = tree(&root().join("examples/digits-autoencoder"));
    assert_eq!(before["net/network.yaml"], shipped["network.yaml"]);
}

#[test]
fn a_pruned_network_is_one_again_and_bad_patterns_leave_nothing() {
    let here = folder();
    started(here.path());
    let before = tree(here.path());
    for (pattern, code) in [("9:8", "E0201"), ("0:4", "E0201"), ("2:17", "E0201"), ("half", "E0104")] {
        let bad = run(here.path(), &["prune", "net", "--pattern", pattern, "--json"]);
        assert_eq!((bad.code, bad.json()["error"]["code"].as_str()), (2, Some(code)), "{bad:?}");
    }
    assert_eq!(run(here.path(), &["prune", "net", "--pattern", "2:4", "--layers", "enc"]).code, 2);
    assert_eq!(run(here.path(), &["prune", "net", "--pattern", "2:4", "--dry-run"]).code, 0);
    assert_eq!(tree(here.path()), before, "something was left on disk");
    let pruned = run(
        here.path(),
        &["prune", "net", "--pattern", "2:4", "--layers", "enc1,dec1", "-o", "out", "--json"],
    );
    assert_eq!(pruned.code, 0, "{pruned:?}");
    let layers = pruned.json()["layers"].clone();
    let kept = |n: usize| (layers[n]["layer"].as_str().map(str::to_owned), layers[n]["kept"].as_u64());
    assert_eq!(layers.as_array().map(Vec::len), Some(2), "{layers}");
    for (n, name, weights) in [(0, "enc1", 2048), (1, "dec1", 512)] {
        assert_eq!(kept(n).0.as_deref(), Some(name));
        assert!(kept(n).1.is_some_and(|k| k <= weights / 2 && k > weights / 4), "{layers}");
    }
    let golden = run(here.path(), &["run", "out", "--json"]);
    assert_eq!(golden.json()["reconstruction_mse"], pruned.json()["after"]["reconstruction_mse"]);
    assert_ne!(pruned.json()["before"], pruned.json()["after"]);
    let planes = [
        "prune",
        "net",
        "--pattern",
        "2:4",
        "--layers",
        "enc1,dec1",
        "--planes",
        "p.npz",
        "-o",
        "planes",
        "--json",
    ];
    let planes = run(here.path(), &planes);
    assert_eq!(planes.code, 0, "{planes:?}");
    assert_eq!(planes.json()["after"], pruned.json()["after"]);
    assert!(here.path().join("planes/p.npz").is_file());
    assert_eq!(run(here.path(), &["prune", "net", "--pattern", "2:4", "--planes", "weights.npz"]).code, 2);
    assert_eq!(run(here.path(), &["prune", "net", "--pattern", "2:4", "-o", "out"]).code, 2, "it exists");
}

#[test]
fn passes_of_a_layer_compute_what_the_layer_did() {
    let here = folder();
    assert_eq!(run(here.path(), &["new", "digits-nm", "net"]).code, 0);
    let split = run(here.path(), &["prune", "net", "--decompose", "2:16,1:8", "--json"]);
    assert_eq!(split.code, 2, "the block takes blocks of 8 at most: {split:?}");
    let split = run(here.path(), &["prune", "net", "--decompose", "1:8,1:4", "-o", "out", "--json"]);
    assert_eq!((split.code, &split.json()["equal"]), (0, &serde_json::json!(true)), "{split:?}");
    for layer in split.json()["layers"].as_array().expect("a list") {
        let passes = layer["passes"].as_array().expect("a list");
        assert_eq!(passes.len(), 2, "{layer}");
        let kept: u64 = passes.iter().filter_map(|p| p["kept"].as_u64()).sum();
        assert_eq!(layer["not_zero"].as_u64(), Some(kept), "{layer}");
    }
    let written = std::fs::read_to_string(here.path().join("out/network.yaml")).expect("it is there");
    assert_eq!(written.matches("pattern:").count(), 4, "{written}");
    let none = run(here.path(), &["prune", "net", "--decompose", "1:4", "--layers", "digit", "--json"]);
    assert_eq!((none.code, none.json()["error"]["code"].as_str()), (2, Some("E0304")), "{none:?}");
}

#[test]
fn a_dry_run_says_what_it_would_do_and_does_not() {
    let here = folder();
    started(here.path());
    let before = tree(here.path());
    let dry = run(here.path(), &["--dry-run", "build", "net", "-o", "out"]);
    assert_eq!(dry.code, 0, "{dry:?}");
    for tool in ["verilator", "iverilog", "yosys"] {
        assert!(dry.stdout.contains(tool), "the dry run does not name {tool}: {dry:?}");
    }
    assert_eq!(tree(here.path()), before, "a dry run wrote something");
}

#[test]
fn a_failed_check_is_exit_code_1() {
    let here = folder();
    started(here.path());
    let build = run(here.path(), &["build", "net", "-o", "out", "--no-synth", "--samples", "4", "--quiet"]);
    assert_eq!(build.code, 0, "{build:?}");
    let good = run(here.path(), &["verify", "out", "--samples", "4"]);
    assert_eq!(good.code, 0, "{good:?}");
    // One comparison the wrong way round: legal Verilog, another function.
    let rtl = here.path().join("out/rtl");
    let files = std::fs::read_dir(&rtl).expect("the RTL is there").flatten().map(|e| e.path());
    let mut kernels: Vec<_> = files.filter(|p| p.to_string_lossy().ends_with("_kernel.v")).collect();
    kernels.sort();
    let broken = kernels.iter().any(|file| {
        let text = std::fs::read_to_string(file).expect("Verilog is text");
        let wrong = if text.contains(" + ") {
            text.replacen(" + ", " - ", 1)
        } else {
            text.replacen(" >= ", " < ", 1)
        };
        let changed = wrong != text && text.contains(" + ") | text.contains(" >= ");
        changed && std::fs::write(file, wrong).is_ok()
    });
    assert!(broken, "no kernel could be broken");
    let bad = run(here.path(), &["verify", "out", "--samples", "4"]);
    assert_eq!(bad.code, 1, "{bad:?}");
}
