//! The command from outside: exit codes, what goes to which stream, and what is left on the disk.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const NETWORK: &str = "nervure: 1
name: tiny
inputs:
  - {name: x, shape: [8], format: s8, rate: frame, lanes: 4}
layers:
  - {name: positive, block: act/relu}
  - {name: best, block: seq/argmax}
";

fn nervure(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nervure")).args(args).current_dir(folder).output().unwrap()
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with `tiny.yaml`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tiny.yaml"), NETWORK).unwrap();
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let name = |e: std::io::Result<std::fs::DirEntry>| e.unwrap().file_name().to_string_lossy().into_owned();
    let mut list: Vec<String> = std::fs::read_dir(folder).unwrap().map(name).collect();
    list.sort();
    list
}

#[test]
fn a_build_verifies_again_until_its_rtl_is_broken() {
    let folder = folder();
    let at = folder.path();
    let built = nervure(at, &["build", "tiny.yaml", "--json", "--no-synth", "--samples", "20"]);
    assert_eq!(built.status.code(), Some(0), "{}", stderr(&built));
    assert!(built.stderr.is_empty());
    let manifest = json(&built);
    assert_eq!(manifest["verify"]["mismatches"], 0);
    assert_eq!(manifest["verify"]["cycles_predicted"], manifest["verify"]["cycles_measured"]);
    assert!(manifest["design"]["latency_cycles"].as_u64().unwrap() > 1);
    let build = at.join("build/tiny");
    assert_eq!(names(&build), ["manifest.json", "report", "rtl", "sim", "synth"]);
    assert_eq!(names(&at.join("build")), ["tiny"], "nothing is left aside");

    let again = nervure(at, &["build", "tiny.yaml", "-q", "--no-synth", "--samples", "20", "-o", "again"]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    for name in names(&build.join("rtl")) {
        let read = |folder: &Path| std::fs::read(folder.join("rtl").join(&name)).unwrap();
        assert_eq!(read(&build), read(&at.join("again")), "{name} differs between two builds");
    }

    let verified = nervure(at, &["verify", "build/tiny", "--samples", "20", "--json"]);
    assert_eq!(verified.status.code(), Some(0), "{}", stderr(&verified));
    let file = build.join("rtl/tiny_best.v");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("m_axis_y_tdata = ", "m_axis_y_tdata = ~")).unwrap();
    let broken = nervure(at, &["verify", "build/tiny", "--samples", "20", "--json"]);
    assert_eq!(broken.status.code(), Some(1), "{}", stderr(&broken));
    let report = json(&broken);
    assert_eq!(report["edited"][0], "rtl/tiny_best.v");
    let first = report["verify"]["first"][0].as_str().unwrap();
    assert!(first.contains("layer `best`") && first.contains("cycle "), "{first}");
    assert!(build.join("sim/failure/run.sh").is_file());
}

#[test]
fn a_wrong_network_is_shown_with_its_line_and_leaves_nothing() {
    let folder = folder();
    let at = folder.path();
    std::fs::write(at.join("tiny.yaml"), NETWORK.replace("act/relu", "act/rely")).unwrap();
    let wrong = nervure(at, &["build", "tiny.yaml"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(wrong.stdout.is_empty());
    let text = stderr(&wrong);
    assert!(
        text.contains("6 |   - {name: positive, block: act/rely}") && text.contains("^^^^^^^^"),
        "{text}"
    );
    let wrong = nervure(at, &["build", "tiny.yaml", "--json"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert_eq!(json(&wrong)["error"]["line"], 6);
    assert_eq!(names(at), ["tiny.yaml"]);
}

#[test]
fn other_folders_are_never_overwritten() {
    let folder = folder();
    let at = folder.path();
    std::fs::create_dir(at.join("mine")).unwrap();
    std::fs::write(at.join("mine/manifest.json"), "{\"name\": \"something else\"}").unwrap();
    let refused = nervure(at, &["build", "tiny.yaml", "-o", "mine", "--json"]);
    assert_eq!((refused.status.code(), &json(&refused)["error"]["code"]), (Some(2), &Value::from("E0503")));
    let refused = nervure(at, &["new", "mnist-snn", "mine", "--json"]);
    assert_eq!((refused.status.code(), &json(&refused)["error"]["code"]), (Some(2), &Value::from("E0505")));
    assert_eq!(names(&at.join("mine")), ["manifest.json"]);
}

#[test]
fn a_dry_run_starts_and_leaves_nothing() {
    let folder = folder();
    let dry = nervure(folder.path(), &["build", "tiny.yaml", "--dry-run", "--json"]);
    assert_eq!(dry.status.code(), Some(0), "{}", stderr(&dry));
    let commands = json(&dry)["commands"].to_string();
    for tool in ["verilator --lint-only", "iverilog", "yosys", "g++"] {
        assert!(commands.contains(tool), "{tool} is missing from {commands}");
    }
    assert_eq!(names(folder.path()), ["tiny.yaml"]);
}

#[test]
fn a_missing_tool_is_named_with_its_package() {
    let folder = folder();
    let args = ["build", "tiny.yaml", "--json"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_nervure"));
    let output = command.args(args).env("PATH", "/nonexistent").current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(json(&output)["error"]["code"], "missing-tool");
    assert!(!folder.path().join("build/tiny").exists());
}

#[test]
fn the_golden_model_runs_an_example_of_its_own() {
    let folder = folder();
    let at = folder.path();
    assert_eq!(nervure(at, &["new", "mnist-snn", "net"]).status.code(), Some(0));
    let run = nervure(at, &["run", "net", "--json", "-o", "y.npz"]);
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    let result = json(&run);
    assert!(result["accuracy"].as_f64().unwrap() > 0.97 && at.join("y.npz").is_file(), "{result}");
    let unknown = nervure(at, &["new", "nothing", "other"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("mnist-snn"));
}

#[test]
fn lists_and_usage() {
    let folder = folder();
    let at = folder.path();
    for args in
        [&["blocks"][..], &["blocks", "neuron/lif"], &["boards"], &["boards", "icebreaker"], &["schema"]]
    {
        let output = nervure(at, &[args, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(json(&output).is_object(), "{args:?}");
        assert_eq!(nervure(at, args).status.code(), Some(0), "{args:?}");
    }
    for (args, code) in
        [(&["--help"][..], 0), (&["--version"], 0), (&[], 2), (&["build"], 2), (&["blocks", "no"], 2)]
    {
        assert_eq!(nervure(at, args).status.code(), Some(code), "{args:?}");
    }
    assert_eq!(json(&nervure(at, &["build", "--json", "--nonsense"]))["error"]["code"], "usage");
}
