//! The array of N:M sparse layers: random arrays with random networks, and cases that other programs made (numpy, ONNX
//! Runtime, LiteRT, the ONNX project's own vectors).
//!
//! `NERVURE_CASES` raises the number of random arrays, `NERVURE_SEED` changes them.

use std::collections::BTreeMap;

use nervure_back::Options;
use nervure_core::block::Rng;
use nervure_core::{Elements, Network, QType, Samples, TensorType};
use nervure_front::NetworkBuilder;
use nervure_sim::cosim::{Subject, reload};
use nervure_tests::arrays::{Array, onnx_scale, outside, read_npz};
use nervure_tests::{Built, alone, bench, golden, noise, on_two_threads, registry, rng, setting, target};
use rand::RngExt;
use serde_json::{Value, json};

const BLOCK: &str = "engine/nm_array";
/// Arrays of [`random_arrays_are_exact`].
const CASES: u64 = 200;
/// One of so many is linted, too.
const LINTED: u64 = 4;

/// A random input: a map, rows, or one row.
fn input(rng: &mut Rng) -> TensorType {
    let shape = match rng.random_range(0..3) {
        0 => vec![rng.random_range(1..=40)],
        1 => vec![rng.random_range(1..=5), rng.random_range(1..=24)],
        _ => vec![rng.random_range(1..=6), rng.random_range(1..=6), rng.random_range(1..=9)],
    };
    let bits = rng.random_range(2..=9);
    let format = if rng.random() { QType::signed(bits) } else { QType::unsigned(bits) };
    if rng.random() { TensorType::frame(&shape, format) } else { TensorType::step(&shape, format) }
}

#[test]
fn random_arrays_are_exact() {
    let (first, count) = (setting("NERVURE_SEED", 0), setting("NERVURE_CASES", CASES));
    let seeds: Vec<u64> = (0..count).map(|n| first * 1_000_000 + n).collect();
    let block = registry().get(BLOCK).expect("it is in the library");
    let wrong = on_two_threads(&seeds, |&seed| {
        let rng = &mut rng(seed);
        let instance = (0..).find_map(|_| block.sample(&input(rng), rng)).expect("one of all inputs fits");
        let network = alone("random", "array", instance);
        let built = Built::new(&network, target(), &Options::default());
        let built = built.unwrap_or_else(|d| panic!("seed {seed}: {d}"));
        let samples = noise(&network, 4, 2, rng);
        let mut wrong = built.check(&network, &samples, seed, None).err().into_iter().collect::<Vec<_>>();
        if seed % LINTED == 0 {
            wrong.extend(built.lint());
        }
        (!wrong.is_empty()).then(|| format!("seed {seed}: {}", wrong.join("\n")))
    });
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of {count} arrays\n\n{}", wrong.len(), wrong.join("\n\n"));
}

fn onnx(a_scale: f32, w_scales: &[f32], y_scale: f32) -> Value {
    json!({"onnx": onnx_scale(a_scale, w_scales, y_scale)})
}

/// A matrix `[in, out]` as weights `[out, in]`, less a zero of each output.
fn transposed(w: &Array, zeros: &[i64]) -> Vec<Vec<i64>> {
    let [inputs, outputs] = w.shape[..] else { panic!("a matrix") };
    let zero = |o: usize| zeros[o % zeros.len()];
    (0..outputs).map(|o| (0..inputs).map(|i| w.data[i * outputs + o] - zero(o)).collect()).collect()
}

/// `x` through the array alone: what the golden model answers, held against `expected`, and the hardware against that.
fn check(name: &str, input: &TensorType, params: &Value, x: &[i64], expected: &[i64]) -> Result<(), String> {
    let mut params = params.clone();
    params["input"] = json!(input);
    let instance = registry().get(BLOCK).and_then(|b| b.instantiate(params));
    let instance = instance.map_err(|d| format!("{name}: {d}"))?;
    let network = alone("case", "array", instance);
    let samples = samples(x, input.len());
    same(name, &network, &samples, expected)?;
    let built = Built::new(&network, target(), &Options::default()).map_err(|d| format!("{name}: {d}"))?;
    built.check(&network, &samples, 1, None).map(|_| ()).map_err(|text| format!("{name}: {text}"))
}

fn samples(x: &[i64], len: usize) -> Samples {
    let inputs = vec![Elements::I64(x.to_vec())];
    Samples { count: x.len() / len, steps: 1, inputs, labels: None, targets: None }
}

/// Errors: the golden model's only output is not `expected`.
fn same(name: &str, network: &Network, samples: &Samples, expected: &[i64]) -> Result<(), String> {
    let trace = golden(network, samples).map_err(|d| format!("{name}: {d}"))?;
    let output = &trace.outputs[0];
    let mut y = vec![0; output.tensor.len()];
    let mut differ = 0;
    for (n, expected) in expected.chunks(y.len()).enumerate() {
        output.get(n, 0, &mut y);
        differ += y.iter().zip(expected).filter(|(a, b)| a != b).count();
    }
    if differ > 0 { Err(format!("{name}: {differ} of {} outputs differ", expected.len())) } else { Ok(()) }
}

const PATTERNS: [(&str, usize, usize); 5] =
    [("dense", 1, 1), ("1of4", 1, 4), ("2of4", 2, 4), ("2of8", 2, 8), ("4of8", 4, 8)];

/// Layers of real networks on arrays of 8 x 8: sums, ONNX Runtime's results per tensor and per column, LiteRT's.
#[test]
fn real_layers_are_those_of_onnx_runtime_and_litert() {
    let Some(folder) = outside("nm", "real_layers_are_those_of_onnx_runtime_and_litert") else { return };
    let files = ["minilm_l0_query.npz", "effnet_b6_project.npz"].map(|f| (f, read_npz(&folder.join(f))));
    let cases: Vec<_> = files.iter().flat_map(|f| PATTERNS.map(|p| (f, p))).collect();
    let wrong = on_two_threads(&cases, |((file, arrays), (pattern, n, m))| {
        let get = |name: &str| &arrays[&format!("{pattern}/{name}")];
        let a = &arrays["A"];
        let input = TensorType::frame(&a.shape, QType::signed(8));
        let (a_scale, y_scale) = (arrays["a_scale"].floats()[0], get("y_scale").floats()[0]);
        let tflite = json!({"tflite": {"multiplier": get("tfl_multiplier").scalar(), "shift": 31 - get("tfl_shift").scalar()}});
        let modes = [
            ("acc", "W", Value::Null),
            ("acc_pc", "W_pc", Value::Null),
            ("y_onnx", "W", onnx(a_scale, &get("w_scale").floats(), y_scale)),
            ("y_onnx_pc", "W_pc", onnx(a_scale, &get("w_scale_pc").floats(), y_scale)),
            ("y_tfl_single", "W", tflite),
        ];
        modes.iter().find_map(|(y, w, mode)| {
            let rescale = json!({"mode": mode, "output": "s8", "zero_point": get("y_zp").scalar()});
            let layer = json!({
                "weights": transposed(get(w), &[0]), "pattern": {"n": n, "m": m}, "input_zero": arrays["a_zp"].scalar(),
                "rescale": if mode.is_null() { &Value::Null } else { &rescale },
            });
            let params =
                json!({"rows": 8, "columns": 8, "finish": 4, "choices": 8, "weight_format": "s8", "layers": [layer]});
            check(&format!("{file} {pattern} {y}"), &input, &params, &a.data, &get(y).data).err()
        })
    });
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn matrix(value: &Value) -> Vec<Vec<i64>> {
    serde_json::from_value(value.clone()).expect("a matrix of integers")
}

/// Cases written by hand, blocks of up to 16, the sum at its extreme, blocks that are short or empty.
#[test]
fn products_are_those_written_by_hand() {
    let Some(folder) = outside("nm", "products_are_those_written_by_hand") else { return };
    let text = std::fs::read_to_string(folder.join("tiny.json")).expect("the test data is readable");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("the test data is JSON");
    let wrong = on_two_threads(&cases, |case| {
        let filled =
            |key: &str, rows, columns| vec![vec![case[key].as_i64().expect("an integer"); columns]; rows];
        let (a, w) = match case["K"].as_u64() {
            Some(k) => (filled("A_fill", 1, k as usize), filled("W_fill", k as usize, 1)),
            None => (matrix(&case["A"]), matrix(&case["W"])),
        };
        let acc = matrix(&case["acc"]);
        let w = Array { shape: vec![w.len(), w[0].len()], data: w.concat() };
        let layer = json!({"weights": transposed(&w, &[0]), "pattern": {"n": case["n"], "m": case["m"]}});
        let params = json!({"rows": 4, "columns": 2, "weight_format": "s8", "layers": [layer]});
        let input = TensorType::frame(&[a.len(), a[0].len()], QType::signed(8));
        check(case["pattern"].as_str().unwrap_or("?"), &input, &params, &a.concat(), &acc.concat()).err()
    });
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty() && cases.len() >= 12, "{} cases\n{}", cases.len(), wrong.join("\n"));
}

/// One case of the ONNX project as products of a single row of weights per output.
struct Spec {
    name: String,
    input: TensorType,
    x: Vec<i64>,
    layer: Value,
    y: Vec<i64>,
}

/// Splits a batch: products of each have weights of their own.
fn specs(arrays: &BTreeMap<String, Array>) -> Vec<Spec> {
    let mut list = Vec::new();
    let names: std::collections::BTreeSet<&str> =
        arrays.keys().map(|k| k.split('/').next().expect("a name has a first part")).collect();
    for name in names {
        let get = |key: &str| arrays.get(&format!("{name}/{key}"));
        let zero = |key: &str| get(&format!("in/{key}")).map_or(0, |a| a.data[0]);
        let list_of = |key: &str| get(&format!("in/{key}")).map_or(vec![0], |a| a.data.clone());
        // float16 is no type of these files' reader; the vectors of both types are made of the same scales.
        let twin = name.replace("float16", "float32");
        let scale = |key: &str| arrays[&format!("{twin}/in/{key}_scale")].floats();
        let unsigned = |a: &Array| a.data.iter().all(|v| *v >= 0);
        let format = |a: &Array| if unsigned(a) { QType::unsigned(8) } else { QType::signed(8) };
        if name.contains("matmul") {
            let (a, b, y) = match get("in/A") {
                Some(a) => (a, get("in/B").expect("the other matrix"), get("out/Y").expect("the product")),
                None => (
                    get("in/a").expect("a matrix"),
                    get("in/b").expect("the other matrix"),
                    get("out/y").expect("the product"),
                ),
            };
            let rank = a.shape.len();
            let (shape, w_shape) = (&a.shape[rank - 2..], &b.shape[rank - 2..]);
            let (len, w_len) = (shape[0] * shape[1], w_shape[0] * w_shape[1]);
            let y_len = shape[0] * w_shape[1];
            let signed = name.contains("_int8_");
            let q = if signed { QType::signed(8) } else { QType::unsigned(8) };
            for n in 0..a.data.len() / len {
                let w = Array { shape: w_shape.to_vec(), data: b.data[n * w_len..][..w_len].to_vec() };
                let zeros = list_of("b_zero_point");
                let rescale = (!name.contains("integer")).then(|| {
                    json!({"mode": onnx(scale("a")[0], &scale("b"), scale("y")[0]), "output": q, "zero_point": zero("y_zero_point")})
                });
                list.push(Spec {
                    name: format!("{name} {n}"),
                    input: TensorType::frame(shape, q),
                    x: a.data[n * len..][..len].to_vec(),
                    layer: json!({"weights": transposed(&w, &zeros), "input_zero": zero("a_zero_point"), "rescale": rescale}),
                    y: y.data[n * y_len..][..y_len].to_vec(),
                });
            }
            continue;
        }
        let (x, w, y) =
            (get("in/x").expect("a map"), get("in/w").expect("kernels"), get("out/y").expect("a map"));
        let [outputs, 1, height, width] = w.shape[..] else { panic!("{name}: one channel in") };
        let zeros = if name.contains("qlinear") { list_of("w_zero_point") } else { list_of("w_zero_points") };
        let weight = |o: usize, i: usize| vec![w.data[o * height * width + i] - zeros[o % zeros.len()]];
        let taps = |o: usize, row: usize| (0..width).map(|c| weight(o, row * width + c)).collect::<Vec<_>>();
        let weights: Vec<Vec<_>> =
            (0..outputs).map(|o| (0..height).map(|row| taps(o, row)).collect()).collect();
        let around = (y.shape[2] + height - 1 - x.shape[2]) / 2;
        let rescale = name.contains("qlinear").then(|| {
            json!({"mode": onnx(scale("x")[0], &scale("w"), scale("y")[0]), "output": "u8", "zero_point": zero("y_zero_point")})
        });
        // Channels come last.
        let pixels = y.shape[2] * y.shape[3];
        let last = (0..pixels * outputs).map(|n| y.data[n % outputs * pixels + n / outputs]).collect();
        list.push(Spec {
            name: name.into(),
            input: TensorType::frame(&[x.shape[2], x.shape[3], 1], format(x)),
            x: x.data.clone(),
            layer: json!({"weights": weights, "input_zero": zero("x_zero_point"), "padding": [[around, around], [around, around]], "rescale": rescale}),
            y: last,
        });
    }
    list
}

#[test]
fn results_are_those_of_the_onnx_project() {
    let Some(folder) = outside("nm", "results_are_those_of_the_onnx_project") else { return };
    let list = specs(&read_npz(&folder.join("onnx_spec_cases.npz")));
    let wrong = on_two_threads(&list, |case| {
        let params = json!({"rows": 4, "columns": 2, "weight_format": "s10", "layers": [case.layer]});
        check(&case.name, &case.input, &params, &case.x, &case.y).err()
    });
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty() && list.len() >= 12, "{} cases\n{}", list.len(), wrong.join("\n"));
}

/// The trained networks of the digits, whole, as the array takes them: the windows of the first layer as channels.
fn digits(arrays: &BTreeMap<String, Array>, pattern: (usize, usize)) -> Network {
    let (scales, zps) = (arrays["scales"].floats(), &arrays["zps"].data);
    let weights = |n: usize| &arrays[&format!("W{n}")];
    let mode = |n: usize| onnx(scales[n - 1], &arrays[&format!("w_scale{n}")].floats(), scales[n]);
    // [in, out] to [out, height, width, in].
    let kernel = |n: usize, size: usize, channels: usize| -> Vec<Vec<Vec<Vec<i64>>>> {
        let row = |w: &Vec<i64>, i: usize| {
            w.chunks(channels).skip(i * size).take(size).map(<[i64]>::to_vec).collect()
        };
        transposed(weights(n), &[0]).iter().map(|w| (0..size).map(|i| row(w, i)).collect()).collect()
    };
    let rescale = |n: usize| json!({"mode": mode(n), "output": "s8", "zero_point": zps[n]});
    let bias = |n: usize| &arrays[&format!("bias{n}")].data;
    let pattern = json!({"n": pattern.0, "m": pattern.1});
    let layers = json!([
        {"weights": kernel(1, 1, 9), "bias": bias(1), "input_zero": zps[0], "rescale": rescale(1), "pool": [2, 2]},
        {"weights": kernel(2, 3, 16), "bias": bias(2), "input_zero": zps[1], "rescale": rescale(2), "pool": [2, 2],
            "padding": [[1, 1], [1, 1]], "pattern": pattern},
        {"weights": transposed(weights(3), &[0]), "bias": bias(3), "input_zero": zps[2], "rescale": rescale(3), "pattern": pattern},
    ]);
    let x = TensorType::frame(&[8, 8, 1], QType::signed(8));
    let windows = json!({"kernel": [3, 3], "padding": [[1, 1], [1, 1]], "fill": zps[0], "lanes": 1});
    let array = json!({"rows": 16, "columns": 16, "choices": 8, "finish": 16, "weight_format": "s8", "layers": layers});
    NetworkBuilder::new("digits", registry())
        .input("x", x, Some(1))
        .and_then(|b| b.layer("windows", "conv/window", windows))
        .and_then(|b| b.layer("array", BLOCK, array))
        .and_then(NetworkBuilder::finish)
        .unwrap_or_else(|d| panic!("{d}"))
}

#[test]
fn digits_networks_are_those_of_onnx_runtime() {
    let Some(folder) = outside("nm", "digits_networks_are_those_of_onnx_runtime") else { return };
    let cases = [("digits_cnn_dense.npz", (1, 1)), ("digits_cnn_2of8.npz", (2, 8))];
    let intervals = on_two_threads(&cases, |(file, pattern)| {
        let arrays = read_npz(&folder.join(file));
        let network = digits(&arrays, *pattern);
        let samples = samples(&arrays["x"].data, 64);
        same(file, &network, &samples, &arrays["y3"].data).unwrap_or_else(|e| panic!("{e}"));
        let built = Built::new(&network, target(), &Options::default()).unwrap_or_else(|d| panic!("{d}"));
        let report = built.check(&network, &samples, 1, None).unwrap_or_else(|e| panic!("{file}: {e}"));
        println!("{file}: {report:?}");
    });
    assert_eq!(intervals.len(), 2);
}

/// A network of two layers on an array whose netlist is the same for five patterns.
fn any_pattern(n: usize, m: usize) -> Network {
    let rng = &mut rng((10 * n + m) as u64);
    let mut row = |len: usize| -> Vec<i64> {
        let mut row = Vec::new();
        while row.len() < len {
            let (block, from) = (m.min(len - row.len()), rng.random_range(0..m));
            row.extend(
                (0..block).map(|i| if (i + m - from) % m < n { rng.random_range(-127..=127) } else { 0 }),
            );
        }
        row
    };
    let (first, second): (Vec<_>, Vec<_>) =
        ((0..24).map(|_| row(40)).collect(), (0..10).map(|_| row(24)).collect());
    let pattern = json!({"n": n, "m": m});
    let mode = json!({"tflite": {"multiplier": 1_500_000_000 + n * m, "shift": 40}});
    let patterns: Vec<_> = PATTERNS.iter().map(|(_, n, m)| json!({"n": n, "m": m})).collect();
    let array = json!({"rows": 8, "columns": 4, "finish": 2, "weight_format": "s8",
    "run_time": {"patterns": patterns, "shift": 44},
    "layers": [
        {"weights": first, "pattern": pattern, "rescale": {"mode": mode, "output": "s8", "zero_point": m, "range": [0, 127]}},
        {"weights": second, "pattern": pattern},
    ]});
    let x = TensorType::frame(&[3, 40], QType::signed(8));
    NetworkBuilder::new("any", registry())
        .input("x", x, Some(8))
        .and_then(|b| b.layer("array", BLOCK, array))
        .and_then(NetworkBuilder::finish)
        .unwrap_or_else(|d| panic!("{n} of {m}: {d}"))
}

/// One netlist runs dense, 1:4, 2:4, 2:8 and 4:8, each as fast as predicted, and goes from one to another over its bus.
#[test]
fn the_pattern_is_chosen_at_run_time() {
    let networks = PATTERNS.map(|(_, n, m)| any_pattern(n, m));
    let samples = noise(&networks[0], 40, 1, &mut rng(2));
    let built: Vec<Built> = networks.iter().map(built).collect();
    let cycles: Vec<u64> = networks
        .iter()
        .zip(&built)
        .map(|(network, other)| {
            // The same hardware, but for the memories' first contents.
            for (x, y) in other.files.iter().zip(&built[0].files).filter(|(f, _)| f.path.ends_with(".v")) {
                assert_eq!(x, y);
            }
            let report = other.check(network, &samples, 1, None).unwrap_or_else(|e| panic!("{e}"));
            report.cycles_measured
        })
        .collect();
    assert!(cycles[3] < cycles[2] && cycles[2] < cycles[0], "{cycles:?}");
    let from = &built[0];
    let subject = Subject { design: &from.design, network: &networks[0], rtl: &from.rtl() };
    let before = golden(&networks[0], &samples).expect("it runs");
    for (other, design) in networks.iter().zip(&built).skip(1) {
        let after = golden(other, &samples).expect("it runs");
        let report = reload(&bench(), &subject, &design.design, &samples, [&before, &after], 9);
        let report = report.expect("it is simulated").expect("this is no dry run");
        assert!(report.passed(), "{report:?}");
    }
}

fn built(network: &Network) -> Built {
    Built::new(network, target(), &Options::default()).unwrap_or_else(|d| panic!("{d}"))
}
