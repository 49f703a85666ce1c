//! ONNX models imported, against what onnxruntime and qonnx made of them: every integer that leaves, and the hardware.
//!
//! `tests/fixtures/onnx/make.py` recorded the numbers. Published models lie beside the workspace; without them their tests say
//! so and pass.

use std::path::{Path, PathBuf};

use nervure_back::Options;
use nervure_core::{Network, Samples};
use nervure_front::import::Readout;
use nervure_front::streamline::{Engine, OnnxImported, OnnxOptions, import_onnx, onnx_samples};
use nervure_front::write_npz;
use nervure_tests::arrays::{Array, outside, read_npz};
use nervure_tests::{Built, golden, on_two_threads, registry, target};

/// Models in the fixtures, and the input's format and scale where the file does not say them.
const FIXTURES: [(&str, &str, f64); 9] = [
    ("quant_dense", "s8.5", 1.0 / 32.0),
    ("bipolar", "s2", 1.0),
    ("trunc", "", 0.0),
    ("map", "", 0.0),
    ("line", "", 0.0),
    ("residual", "s4", 0.5),
    ("qdq", "", 0.0),
    ("qoperator", "", 0.0),
    ("integer", "", 0.0),
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/onnx")
}

fn options(format: &str, scale: f64, engine: Engine) -> OnnxOptions {
    let input = (!format.is_empty()).then(|| format.parse().expect("a format"));
    OnnxOptions {
        bits: 8,
        input,
        input_scale: (!format.is_empty()).then_some(scale),
        engine: Some(engine),
        lanes: 16,
        readout: Readout::Spikes,
    }
}

/// An imported model, loaded, and samples for it.
struct Case {
    imported: OnnxImported,
    network: Network,
    samples: Samples,
}

fn case(model: &Path, options: &OnnxOptions, x: &Array) -> Case {
    let imported = import_onnx(model, None, options).unwrap_or_else(|d| panic!("{d}"));
    load(imported, x)
}

fn load(imported: OnnxImported, x: &Array) -> Case {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("network.yaml"), &imported.yaml).expect("the folder may be written");
    write_npz(&at("weights.npz"), &imported.arrays).expect("the folder may be written");
    let network = nervure_front::load(folder.path(), registry(), &[]).unwrap_or_else(|d| panic!("{d}"));
    let rows = x.shape[0];
    let x = ("x".to_owned(), vec![rows, x.data.len() / rows], x.data.clone());
    write_npz(&at("samples.npz"), &[x]).expect("the folder may be written");
    let samples = nervure_front::samples(&at("samples.npz"), &network).unwrap_or_else(|d| panic!("{d}"));
    Case { imported, network, samples }
}

/// Integers that leave, in the model's order.
fn integers(case: &Case) -> Vec<Vec<i64>> {
    let trace = golden(&case.network, &case.samples).unwrap_or_else(|d| panic!("{d}"));
    let recorded = &trace.outputs[0];
    let mut y = vec![0; recorded.tensor.len()];
    let order = &case.imported.outputs[0].order;
    (0..case.samples.count)
        .map(|sample| {
            recorded.get(sample, 0, &mut y);
            order.iter().map(|n| y[*n]).collect()
        })
        .collect()
}

/// The integer that `real` stands for; the model's own rounding to binary32 must not leave a doubt about it.
fn level(case: &Case, real: f32) -> i64 {
    let o = &case.imported.outputs[0];
    let n = (f64::from(real) - o.offset) / o.scale;
    assert!((n - n.round()).abs() < 0.01, "{real} is {n} integers");
    n.round() as i64
}

fn check(name: &str, case: &Case, y: &Array) {
    let (got, width) = (integers(case), y.data.len() / y.shape[0]);
    let want: Vec<i64> = y.floats().iter().map(|v| level(case, *v)).collect();
    for (sample, (got, want)) in got.iter().zip(want.chunks(width)).enumerate() {
        assert_eq!(got, want, "{name}: sample {sample}");
    }
    assert_eq!(got.len(), y.shape[0], "{name}");
    let distinct: std::collections::BTreeSet<i64> = want.into_iter().collect();
    assert!(distinct.len() > 1, "{name}: always the same");
}

#[test]
fn every_form_gives_what_its_runtime_gives() {
    for (name, format, scale) in FIXTURES {
        let oracle = read_npz(&fixtures().join(format!("{name}.npz")));
        for engine in [Engine::Unrolled, Engine::Folded] {
            let model = fixtures().join(format!("{name}.onnx"));
            check(name, &case(&model, &options(format, scale, engine), &oracle["x"]), &oracle["y"]);
        }
    }
}

#[test]
fn every_form_becomes_hardware() {
    let work = |(name, format, scale): &(&str, &str, f64)| {
        let oracle = read_npz(&fixtures().join(format!("{name}.npz")));
        let engine = if name.len() % 2 == 0 { Engine::Folded } else { Engine::Unrolled };
        let model = fixtures().join(format!("{name}.onnx"));
        let case = case(&model, &options(format, *scale, engine), &oracle["x"]);
        let built =
            Built::new(&case.network, target(), &Options::default()).map_err(|d| format!("{name}: {d}"))?;
        let samples = case.samples.take(20);
        built.check(&case.network, &samples, 1, None).map(|_| ()).map_err(|e| format!("{name}: {e}"))
    };
    let wrong: Vec<String> = on_two_threads(&FIXTURES, work).into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A thousand inputs each: MNIST's test images for TFC.
#[test]
fn published_models_give_what_qonnx_gives() {
    let Some(folder) = outside("qonnx", "published_models_give_what_qonnx_gives") else { return };
    for (name, format, scale) in [
        ("TFC_2W2A", "u8", 1.0 / 255.0),
        ("qkeras_jettagging", "s8.5", 1.0 / 32.0),
        ("unsw_nb15-mlp-w2a2", "s2", 1.0),
    ] {
        let oracle = read_npz(&fixtures().join(format!("{name}.npz")));
        assert_eq!(oracle["x"].shape[0], 1000, "{name}");
        for engine in [Engine::Unrolled, Engine::Folded] {
            let model = folder.join(format!("{name}.onnx"));
            check(name, &case(&model, &options(format, scale, engine), &oracle["x"]), &oracle["y"]);
        }
    }
}

/// All 360 images, each logit.
#[test]
fn the_digits_networks_give_the_integers_of_onnxruntime() {
    let Some(folder) = outside("nm", "the_digits_networks_give_the_integers_of_onnxruntime") else { return };
    for name in ["digits_cnn_dense", "digits_cnn_2of8"] {
        let oracle = read_npz(&folder.join(format!("{name}.npz")));
        let case =
            case(&folder.join(format!("{name}.onnx")), &options("", 0.0, Engine::Folded), &oracle["x"]);
        assert_eq!(integers(&case).concat(), oracle["y3"].data, "{name}");
        assert_eq!(case.samples.count, 360);
    }
}

/// Convolutions as windows from line buffers, in hardware: bits and cycles, and a few multipliers for each layer.
#[test]
fn the_digits_networks_become_hardware() {
    let Some(folder) = outside("nm", "the_digits_networks_become_hardware") else { return };
    let names = ["digits_cnn_dense", "digits_cnn_2of8"];
    let work = |name: &&str| {
        let oracle = read_npz(&folder.join(format!("{name}.npz")));
        let options = options("", 0.0, Engine::Folded);
        let case = case(&folder.join(format!("{name}.onnx")), &options, &oracle["x"]);
        let streamed = case.imported.yaml.matches("conv/window").count();
        assert_eq!((streamed, case.imported.yaml.matches("conv/unrolled").count()), (2, 0), "{name}");
        let built =
            Built::new(&case.network, target(), &Options::default()).map_err(|d| format!("{name}: {d}"))?;
        let wrong = built.lint();
        if !wrong.is_empty() {
            return Err(format!("{name}: {}", wrong.join("\n")));
        }
        let report = built
            .check(&case.network, &case.samples.take(12), 1, None)
            .map_err(|e| format!("{name}: {e}"))?;
        let cycles = report.sample_cycles.windows(2).map(|two| two[1].finish - two[0].finish).max();
        eprintln!("{name}: {} cycles an image", cycles.unwrap_or(0));
        Ok(())
    };
    let wrong: Vec<String> = on_two_threads(&names, work).into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Models in real numbers, quantized on samples: no class differs by more than a few in a hundred, and more bits are better.
#[test]
fn models_in_real_numbers_are_quantized_on_samples() {
    let Some(folder) = outside("qonnx", "models_in_real_numbers_are_quantized_on_samples") else { return };
    let models = [
        ("three_layer_keras", 16),
        ("three_layer_bn_pytorch", 16),
        ("conv1d_small_keras", 40),
        ("conv2d_small_keras", 64),
    ];
    for (name, len) in models {
        let temporary = tempfile::tempdir().expect("a folder for temporary files");
        let file = temporary.path().join("x.npz");
        let mut rng = nervure_tests::rng(5);
        let x: Vec<i64> = (0..300 * len).map(|_| rand::RngExt::random_range(&mut rng, -96..=96)).collect();
        write_npz(&file, &[("x".to_owned(), vec![300, len], x)]).expect("the folder may be written");
        let samples = onnx_samples(&file).unwrap_or_else(|d| panic!("{d}"));
        let mut wrong = Vec::new();
        for bits in [4, 8, 12] {
            let options = OnnxOptions { bits, ..options("s8.5", 1.0 / 32.0, Engine::Unrolled) };
            let model = folder.join(format!("{name}.onnx"));
            let imported = import_onnx(&model, Some(&samples), &options).unwrap_or_else(|d| panic!("{d}"));
            assert!(imported.quantized_here);
            let (reference, data) =
                (imported.reference.clone().expect("it was executed"), imported.samples[0].clone());
            let case = load(imported, &Array { shape: data.1, data: data.2 });
            let class = |y: &mut dyn Iterator<Item = f64>| {
                y.enumerate().fold((0, f64::MIN), |b, (n, v)| if v > b.1 { (n, v) } else { b }).0
            };
            let got = integers(&case);
            let differs = got.iter().zip(&reference.y).filter(|(got, want)| {
                class(&mut got.iter().map(|n| *n as f64)) != class(&mut want.iter().copied())
            });
            wrong.push(differs.count());
        }
        eprintln!("{name}: classes that differ with 4, 8, 12 bits, of 300: {wrong:?}");
        assert!(wrong[1] <= 30 && wrong[2] <= 3 && wrong[2] <= wrong[1], "{name}: {wrong:?}");
    }
}
