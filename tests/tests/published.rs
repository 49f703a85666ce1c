//! Published spiking networks, imported from their own files: every spike that the framework published, in the golden model
//! and in the Verilog.
//!
//! The data lies beside the workspace; without it these tests say so and pass.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nervure_front::write_npz;
use nervure_tests::arrays::{Array, outside, read_npz};
use nervure_tests::command::nervure;
use serde_json::Value;

const TMP: &str = env!("CARGO_TARGET_TMPDIR");

/// A case: its folder of data, and a folder to work in.
struct Case {
    data: PathBuf,
    arrays: BTreeMap<String, Array>,
    folder: tempfile::TempDir,
}

impl Case {
    /// The case in `folder`, unless there are no data.
    fn open(folder: &str, test: &str) -> Option<Self> {
        let data = outside("snn", test)?.join(folder);
        let arrays = read_npz(&data.join("case.npz"));
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        Some(Self { data, arrays, folder })
    }

    fn ints(&self, name: &str) -> &[i64] {
        &self.arrays[name].data
    }

    /// Column `column` of an array of three, as spikes.
    fn spikes(&self, name: &str, column: usize) -> Vec<i64> {
        self.arrays[name].floats().chunks(3).map(|row| i64::from(row[column] > 0.0)).collect()
    }

    /// Writes the samples.
    fn samples(&self, shape: &[usize], x: Vec<i64>, label: Option<Vec<i64>>) {
        let mut arrays = vec![("x".to_owned(), shape.to_vec(), x)];
        arrays.extend(label.map(|l| ("label".to_owned(), vec![l.len()], l)));
        write_npz(&self.folder.path().join("x.npz"), &arrays).expect("the samples are written");
    }

    fn run(&self, args: &[&str]) -> Value {
        let run = nervure(TMP, self.folder.path(), args.iter().chain(&["--json", "--quiet"]));
        assert_eq!(run.code, 0, "{args:?}: {run:?}");
        run.json()
    }

    /// Imports `file` with these options as network `name`, without calibration where `calibrate` is not set.
    fn import(&self, file: &str, name: &str, options: &str, calibrate: bool) -> Value {
        let file = self.data.join(file);
        let mut args = vec!["import", file.to_str().expect("a path in text"), "-o", name];
        args.extend(options.split_whitespace());
        if calibrate {
            args.extend(["--calibrate", "x.npz"]);
        }
        self.run(&args)
    }

    /// What every layer of network `name` gives.
    fn trace(&self, name: &str) -> BTreeMap<String, Array> {
        let out = format!("{name}.npz");
        self.run(&["run", name, "--input", "x.npz", "-o", &out, "--trace"]);
        read_npz(&self.folder.path().join(out))
    }

    /// Builds network `name` and simulates `samples` samples: every bit and every cycle as predicted.
    fn simulate(&self, name: &str, samples: &str) {
        let place = format!("{name}-build");
        let m =
            self.run(&["build", name, "--input", "x.npz", "--samples", samples, "--no-synth", "-o", &place]);
        let v = &m["verify"];
        assert_eq!(v["mismatches"], 0, "{name}: {v:#}");
        assert_eq!(v["cycles_predicted"], v["cycles_measured"], "{name}: {v:#}");
        assert!(v["cycles_measured"].as_u64() > Some(0), "{name}: {v:#}");
    }
}

/// Elements that differ.
fn differing(a: &[i64], b: &[i64]) -> usize {
    assert_eq!(a.len(), b.len(), "as many elements");
    a.iter().zip(b).filter(|(a, b)| a != b).count()
}

/// Sums over the steps: `[samples, steps, len]` to `[samples, len]`.
fn counts(y: &Array, steps: usize) -> Vec<i64> {
    let len = y.data.len() / (y.shape[0] * steps);
    let sum = |sample: &[i64], i: usize| sample.iter().skip(i).step_by(len).sum();
    y.data
        .chunks(steps * len)
        .flat_map(|sample| (0..len).map(|i| sum(sample, i)).collect::<Vec<_>>())
        .collect()
}

/// Bits of packed bytes, the highest first.
fn bits(packed: &[i64]) -> Vec<i64> {
    packed.iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1)).collect()
}

#[test]
fn single_lif() {
    let Some(case) = Case::open("lif_single", "single_lif") else { return };
    case.samples(&[1, 1000, 1], case.spikes("norse", 0), None);
    for (preset, published) in [
        ("norse", "norse"),
        ("snntorch", "snntorch"),
        ("spyx", "spyx"),
        ("sinabs", "sinabs"),
        ("loihi", "lava_loihi_fixed"),
    ] {
        case.import("net.nir", preset, &format!("--preset {preset} --dt 1e-4"), true);
        let y = case.trace(preset);
        let expected = case.spikes(published, 2);
        assert!(expected.iter().sum::<i64>() == 4, "{published} has four spikes");
        assert_eq!(differing(&y["1"].data, &expected), 0, "{preset}");
        case.simulate(preset, "1");
    }
}

#[test]
fn two_lif_that_spike_by_themselves() {
    let Some(case) = Case::open("two_lif_selfspiking", "two_lif_that_spike_by_themselves") else { return };
    for (dt, steps) in [("0.001", 100), ("0.0001", 1000)] {
        case.samples(&[1, steps, 1], vec![0; steps], None);
        let name = format!("dt{dt}");
        case.import("net.nir", &name, &format!("--preset norse --dt {dt}"), true);
        let expected = case.spikes(&format!("v1_z1_v2_dt{dt}"), 1);
        assert!(expected.iter().sum::<i64>() > 3, "it spikes");
        assert_eq!(differing(&case.trace(&name)["lif1"].data, &expected), 0, "dt {dt}");
        case.simulate(&name, "1");
    }
}

#[test]
fn braille() {
    let Some(case) = Case::open("braille_noDelay_noBias_subtract", "braille") else { return };
    case.samples(&[1, 256, 12], case.ints("x").to_vec(), Some(case.ints("label").to_vec()));
    for (name, options, hidden, out) in [
        ("snntorch", "--preset snntorch", "published_hidden_snntorch", None),
        ("norse", "--preset norse", "published_hidden_norse", Some("ref_out_zero")),
        ("spyx", "--preset spyx", "published_hidden_spyx", None),
        ("subtract", "--preset snntorch --with double_reset=false", "ref_hidden_sub", Some("ref_out_sub")),
    ] {
        case.import("net.nir", name, options, true);
        let y = case.trace(name);
        assert_eq!(differing(&y["lif1.lif"].data, case.ints(hidden)), 0, "{name}, hidden layer");
        if let Some(out) = out {
            assert_eq!(differing(&y["lif2"].data, case.ints(out)), 0, "{name}, output");
        }
        case.simulate(name, "1");
    }
}

#[test]
fn oxford() {
    let Some(case) = Case::open("oxford_lava_200_256_200", "oxford") else { return };
    let events = |name: &str| {
        let mut x = vec![0; 2000 * 200];
        for pair in case.ints(name).chunks(2) {
            x[pair[1] as usize * 200 + pair[0] as usize] = 1;
        }
        x
    };
    case.samples(&[1, 2000, 200], events("input_events_idx_t"), None);
    let published = events("slayer_ground_truth_events_idx_t");
    for (name, file, layer) in [("graph", "net.nir", "l2"), ("lava", "network.net", "layer1")] {
        case.import(file, name, "--preset slayer --dt 1", true);
        assert_eq!(differing(&case.trace(name)[layer].data, &published), 0, "{file}");
        case.simulate(name, "1");
    }
}

#[test]
fn mnist() {
    let Some(case) = Case::open("mnist_784_128_10", "mnist") else { return };
    case.samples(&[200, 25, 784], bits(case.ints("spikes")), Some(case.ints("labels").to_vec()));
    for (mode, with) in [
        ("subtract_reset_delay", ""),
        ("subtract", "--with reset_at=now"),
        ("zero", "--with reset_at=now --with reset=zero"),
    ] {
        case.import("net.nir", mode, &format!("--preset snntorch {with}"), true);
        let y = case.trace(mode);
        for (layer, published) in [("lif1", "hid"), ("lif2", "out")] {
            let published = case.ints(&format!("{mode}_{published}"));
            assert_eq!(differing(&counts(&y[layer], 25), published), 0, "{mode}, {layer}");
        }
        case.simulate(mode, "20");
    }
}

#[test]
fn nmnist() {
    let Some(case) = Case::open("nmnist_scnn", "nmnist") else { return };
    case.samples(&[1, 312, 2, 34, 34], case.ints("frames_1ms").to_vec(), Some(vec![4]));
    for (mode, options) in [
        ("sinabs", "--preset sinabs"),
        ("sub", "--preset norse --with reset=subtract"),
        ("zero", "--preset norse"),
    ] {
        case.import("net.nir", mode, options, true);
        let y = case.trace(mode);
        for layer in [1, 3, 6, 10, 12] {
            let y = &y[&layer.to_string()];
            let sums: Vec<i64> = y.data.chunks(y.data.len() / 312).map(|step| step.iter().sum()).collect();
            let published = case.ints(&format!("{mode}_if{layer}_count_t"));
            assert_eq!(differing(&sums, published), 0, "{mode}, layer {layer}: spikes of each step");
        }
        assert_eq!(differing(&y["12"].data, case.ints(&format!("{mode}_out"))), 0, "{mode}, output");
        // Published channels first; streams carry channels last.
        let published = case.ints(&format!("{mode}_if1"));
        let published = if mode == "sinabs" { published.to_vec() } else { bits(published) };
        let first: Vec<i64> = (0..312 * 4096)
            .map(|at| (at / 4096, at % 4096))
            .map(|(step, at)| published[step * 4096 + at % 16 * 256 + at / 16])
            .collect();
        assert_eq!(differing(&y["1"].data, &first), 0, "{mode}, first layer");
        case.simulate(mode, "1");
    }
}

#[test]
fn what_other_readers_reject() {
    let Some(folder) = outside("snn", "what_other_readers_reject") else { return };
    let file = std::fs::read_dir(folder.join("reader_robustness"))
        .expect("the folder can be read")
        .map(|e| e.expect("the folder can be read").path())
        .find(|p| p.extension().is_some_and(|e| e == "nir"))
        .expect("there is a file");
    let place = tempfile::tempdir().expect("a folder for temporary files");
    let file = file.to_str().expect("a path in text");
    let run = nervure(TMP, place.path(), ["import", file, "--preset", "norse", "-o", "n", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(!run.json()["warnings"].as_array().expect("a list").is_empty(), "{run:?}");
    assert!(Path::new(&place.path().join("n/network.yaml")).is_file());
}
