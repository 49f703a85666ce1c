//! Requantization and sparse products against numbers that other programs made (ONNX Runtime, LiteRT, numpy).
//!
//! The data lies beside the workspace; without it these tests say so and pass.

use nervure_core::num::Multiplier;
use nervure_core::{QType, Requant, TensorType};
use nervure_tests::arrays::{onnx_scale, outside, read_npz};
use nervure_tests::registry;
use serde_json::{Value, json};

const FILES: [&str; 2] = ["minilm_l0_query.npz", "effnet_b6_project.npz"];
const PATTERNS: [&str; 5] = ["dense", "1of4", "2of4", "2of8", "4of8"];

fn onnx(a_scale: f32, w_scales: &[f32], y_scale: f32) -> Requant {
    Requant::Onnx { onnx: onnx_scale(a_scale, w_scales, y_scale) }
}

/// Outputs that differ.
fn mismatches(requant: &Requant, acc: &[i64], columns: usize, zero: i64, expected: &[i64]) -> usize {
    assert!(requant.fault(columns).is_none(), "{:?}", requant.fault(columns));
    assert_eq!(acc.len(), expected.len(), "one output an accumulator");
    let output = |(i, &a): (usize, &i64)| (requant.apply(a, i % columns) + zero).clamp(-128, 127);
    acc.iter().enumerate().map(output).zip(expected).filter(|(y, e)| y != *e).count()
}

#[test]
fn requantization_is_that_of_onnx_runtime_and_litert() {
    let Some(folder) = outside("nm", "requantization_is_that_of_onnx_runtime_and_litert") else { return };
    let (mut compared, mut wrong) = (0, Vec::new());
    for file in FILES {
        let arrays = read_npz(&folder.join(file));
        let a_scale = arrays["a_scale"].floats()[0];
        for pattern in PATTERNS {
            let get = |name: &str| &arrays[&format!("{pattern}/{name}")];
            let (acc, y_scale, zero) = (get("acc"), get("y_scale").floats()[0], get("y_zp").scalar());
            let tflite = Requant::Tflite {
                tflite: Multiplier {
                    multiplier: vec![get("tfl_multiplier").scalar()],
                    shift: vec![31 - get("tfl_shift").scalar()],
                },
            };
            let cases = [
                ("y_onnx", onnx(a_scale, &get("w_scale").floats(), y_scale), acc),
                ("y_onnx_pc", onnx(a_scale, &get("w_scale_pc").floats(), y_scale), get("acc_pc")),
                ("y_tfl_single", tflite, acc),
            ];
            for (name, requant, acc) in cases {
                let expected = get(name);
                let n = mismatches(&requant, &acc.data, acc.shape[1], zero, &expected.data);
                compared += expected.data.len();
                if n > 0 {
                    wrong.push(format!("{file} {pattern}/{name}: {n} of {}", expected.data.len()));
                }
            }
        }
    }
    println!("{compared} outputs compared, {} cases differ", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn matrix(v: &Value) -> Vec<Vec<i64>> {
    let row = |r: &Value| {
        let list = r.as_array().expect("a row");
        list.iter().map(|x| x.as_i64().expect("an integer")).collect()
    };
    v.as_array().expect("a matrix").iter().map(row).collect()
}

/// Hand-checkable products, by any block of the library that takes N:M sparse weights.
#[test]
fn sparse_products_are_those_written_by_hand() {
    let Some(folder) = outside("nm", "sparse_products_are_those_written_by_hand") else { return };
    let Ok(block) = registry().get("sparse/nm_array") else {
        eprintln!("skipped: sparse_products_are_those_written_by_hand (no such block in the library)");
        return;
    };
    let text = std::fs::read_to_string(folder.join("tiny.json")).expect("the test data is readable");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("the test data is JSON");
    let mut compared = 0;
    for case in &cases {
        let filled =
            |key: &str, rows, columns| vec![vec![case[key].as_i64().expect("an integer"); columns]; rows];
        let (a, w) = match case["K"].as_u64() {
            Some(k) => (filled("A_fill", 1, k as usize), filled("W_fill", k as usize, 1)),
            None => (matrix(&case["A"]), matrix(&case["W"])),
        };
        let acc = matrix(&case["acc"]);
        let (rows, inputs, outputs) = (a.len(), w.len(), acc.first().map_or(0, Vec::len));
        if case["m"].as_u64() > Some(8) {
            continue;
        }
        let transposed: Vec<Vec<i64>> = (0..outputs).map(|o| w.iter().map(|row| row[o]).collect()).collect();
        let format = QType::signed(8);
        let instance = block.instantiate(json!({
            "input": TensorType::frame(&[rows, inputs], format), "weights": transposed, "weight_format": format,
            "pattern": {"n": case["n"], "m": case["m"]}, "columns": 1,
        }));
        let instance = instance.unwrap_or_else(|d| panic!("{}: {d}", case["pattern"]));
        let x: Vec<i64> = a.concat();
        let mut y = vec![0; rows * outputs];
        instance.runner().step(&[&x], &mut [&mut y]);
        assert_eq!(y, acc.concat(), "{}", case["pattern"]);
        compared += 1;
    }
    assert!(compared >= 10, "only {compared} cases fit the block");
    println!("{compared} of {} cases compared", cases.len());
}
