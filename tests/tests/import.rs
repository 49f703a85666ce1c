//! Networks with every primitive of NIR, imported for several frameworks and simulated: every bit and every cycle as predicted.

use nervure_front::write_npz;
use nervure_tests::command::{nervure, root};
use nervure_tests::{on_two_threads, rng};
use rand::RngExt;

const TMP: &str = env!("CARGO_TARGET_TMPDIR");
const SAMPLES: usize = 3;
const STEPS: usize = 20;

/// A file, the shape of its input, and the framework whose conventions it is read with.
type Case = (&'static str, &'static [usize], &'static str);

const CASES: [Case; 7] = [
    ("every.nir", &[2, 8, 8], "norse"),
    ("every.nir", &[2, 8, 8], "sinabs"),
    ("every.nir", &[2, 8, 8], "loihi"),
    ("every_gzip.nir", &[2, 8, 8], "norse"),
    ("every_gzip.nir", &[2, 8, 8], "sinabs"),
    ("nested.nir", &[3], "norse"),
    ("nested.nir", &[3], "sinabs"),
];

/// What is wrong with a case.
fn visit((file, shape, preset): &Case) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let mut rng = rng(1);
    let shape = [&[SAMPLES, STEPS], *shape].concat();
    let x = (0..shape.iter().product()).map(|_| i64::from(rng.random_bool(0.3))).collect();
    write_npz(&folder.path().join("x.npz"), &[("x".to_owned(), shape, x)]).expect("the samples are written");
    let file = root().join("tests/fixtures/nir").join(file);
    let file = file.to_str().expect("a path in text");
    let run = |args: &[&str]| {
        let run = nervure(TMP, folder.path(), args.iter().chain(&["--json", "--quiet"]));
        if run.code == 0 { Ok(run.json()) } else { Err(format!("{args:?}: {run:?}")) }
    };
    run(&["import", file, "--preset", preset, "--dt", "1e-3", "--calibrate", "x.npz", "-o", "n"])?;
    let samples = SAMPLES.to_string();
    let m = run(&["build", "n", "--input", "x.npz", "--samples", &samples, "--no-synth", "-o", "b"])?;
    let v = &m["verify"];
    let cycles = v["cycles_measured"].as_u64();
    let equal = v["mismatches"] == 0 && v["cycles_predicted"].as_u64() == cycles && cycles > Some(0);
    if equal { Ok(()) } else { Err(format!("{v:#}")) }
}

#[test]
fn every_primitive_becomes_hardware() {
    let results = on_two_threads(&CASES, visit);
    let wrong: Vec<String> = CASES
        .iter()
        .zip(results)
        .filter_map(|((file, _, preset), r)| Some(format!("{file} for {preset}: {}", r.err()?)))
        .collect();
    assert!(wrong.is_empty(), "{} faults\n\n{}", wrong.len(), wrong.join("\n\n"));
}
