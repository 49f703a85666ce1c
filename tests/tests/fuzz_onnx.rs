//! The ONNX reader and importer against files that nobody should have written: whatever the bytes, there is a network or a
//! diagnostic, soon, and never a panic. Seeded: a failure names its seed.

use std::path::Path;
use std::time::{Duration, Instant};

use nervure_core::Diagnostic;
use nervure_core::block::Rng;
use nervure_front::import::Readout;
use nervure_front::streamline::{OnnxOptions, import_onnx_bytes};
use nervure_tests::rng;
use rand::RngExt;

/// Inputs of each test; there are four.
const INPUTS: u64 = 20_000;
/// An input takes a few milliseconds; a machine under load may be slower, but nothing takes this long.
const LONGEST: Duration = Duration::from_secs(20);

/// What became of the inputs.
#[derive(Debug, Default)]
struct Tally {
    read: u64,
    /// The container is not sound.
    file: u64,
    /// The container is sound, and what it holds is not.
    model: u64,
}

fn run(salt: u64, make: impl Fn(&mut Rng) -> Vec<u8>) -> Tally {
    let mut tally = Tally::default();
    let options = OnnxOptions {
        bits: 8,
        input: None,
        input_scale: None,
        engine: None,
        lanes: 16,
        readout: Readout::Class,
    };
    for seed in 0..INPUTS {
        let bytes = make(&mut rng(salt << 32 | seed));
        let begun = Instant::now();
        let result = import_onnx_bytes(&bytes, "f", &options);
        assert!(begun.elapsed() < LONGEST, "seed {seed} took {:?}", begun.elapsed());
        match result {
            Ok(_) => tally.read += 1,
            Err(d) => {
                sound(&d, seed);
                *(if d.code == "E0150" { &mut tally.file } else { &mut tally.model }) += 1;
            }
        }
    }
    println!("{tally:?}");
    tally
}

/// The diagnostic says what is wrong, where, and what to do.
fn sound(d: &Diagnostic, seed: u64) {
    assert!(d.message.contains("`f`") && d.message.len() > 10 && d.help.len() > 5, "seed {seed}: {d:?}");
    assert!(!d.message.chars().chain(d.help.chars()).any(char::is_control), "seed {seed}: {d:?}");
    assert!(d.message.len() < 4000 && d.help.len() < 4000, "seed {seed}: a message as long as a file");
}

fn fixtures() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/onnx");
    let names = ["quant_dense", "bipolar", "trunc", "map", "line", "residual", "qdq", "qoperator", "integer"];
    let file = |n: &str| std::fs::read(folder.join(format!("{n}.onnx"))).expect("part of the project");
    names.map(file).into()
}

fn pick<'a, T>(rng: &mut Rng, of: &'a [T]) -> &'a T {
    &of[rng.random_range(0..of.len())]
}

#[test]
fn files_that_are_cut_short() {
    let files = fixtures();
    let tally = run(1, |rng| {
        let mut bytes = pick(rng, &files).clone();
        bytes.truncate(rng.random_range(0..bytes.len()));
        bytes
    });
    assert!(tally.file > INPUTS / 2, "{tally:?}");
}

#[test]
fn flipped_bits() {
    let files = fixtures();
    let tally = run(2, |rng| {
        let mut bytes = pick(rng, &files).clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] ^= 1 << rng.random_range(0..8);
        }
        bytes
    });
    assert!(tally.read > 100 && tally.file > 100 && tally.model > 100, "{tally:?}");
}

#[test]
fn bytes_that_count_changed_to_extremes() {
    let files = fixtures();
    let tally = run(3, |rng| {
        let mut bytes = pick(rng, &files).clone();
        for _ in 0..rng.random_range(1..3) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = *pick(rng, &[0, 1, 2, 3, 127, 128, 255]);
        }
        bytes
    });
    assert!(tally.read > 100 && tally.file > 100 && tally.model > 100, "{tally:?}");
}

#[test]
fn spliced_bytes() {
    let files = fixtures();
    let tally = run(4, |rng| {
        let mut bytes = pick(rng, &files).clone();
        let other = pick(rng, &files);
        let n = rng.random_range(1..24);
        let (to, from) = (rng.random_range(0..bytes.len() - n), rng.random_range(0..other.len() - n));
        bytes[to..to + n].copy_from_slice(&other[from..from + n]);
        bytes
    });
    assert!(tally.file > 100 && tally.model > 100, "{tally:?}");
}
