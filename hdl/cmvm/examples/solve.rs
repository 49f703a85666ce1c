//! Reads a matrix as JSON from standard input and prints its graph as JSON.
use std::io::Read;
use std::time::Instant;

use nervure_cmvm::{Interval, Matrix, Options, solve};
use serde_json::{Value, json};

fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("a matrix");
    let v: Value = serde_json::from_str(&text).expect("JSON");
    let rows: Vec<Vec<i64>> = serde_json::from_value(v["weights"].clone()).expect("rows");
    let outputs = rows.first().map_or(0, Vec::len);
    let inputs = vec![Interval::of_bits(8, true); rows.len()];
    let matrix = Matrix::new(inputs, outputs, rows.concat());
    let options = Options {
        extra_levels: v["extra_levels"].as_u64().map(|n| n as u32),
        effort: v["effort"].as_u64().unwrap_or(1000),
        seed: v["seed"].as_u64().unwrap_or(0),
        threads: v["threads"].as_u64().unwrap_or(2) as usize,
    };
    let t = Instant::now();
    let s = solve(&matrix, &options);
    let seconds = t.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({"adders": s.adders(), "bits": s.bits(), "depth": s.depth(), "negations": s.negations(), "seconds": seconds})
    );
}
