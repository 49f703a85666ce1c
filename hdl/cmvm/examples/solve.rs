//! Reads questions from standard input, one JSON object a line, and prints the graph of each as one line of JSON.
//!
//! A question has `weights` (a row for each input) and may have `inputs` (`[lo, hi]` of each; else 8 bits, signed),
//! `extra_levels`, `effort`, `cost` (`adders` or `bits`), `seed`, `threads`, and `repeat`: the time is the least of so many runs.

use std::io::BufRead;
use std::time::Instant;

use nervure_cmvm::{Cost, Interval, Matrix, Options, Solution, solve};
use serde_json::{Value, json};

fn main() {
    for line in std::io::stdin().lock().lines() {
        let question: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        #[expect(clippy::print_stdout, reason = "its output")]
        {
            println!("{}", answer(&question));
        }
    }
}

fn answer(question: &Value) -> Value {
    let rows: Vec<Vec<i64>> = serde_json::from_value(question["weights"].clone()).expect("rows of integers");
    let inputs: Vec<Interval> = match question["inputs"].as_array() {
        Some(list) => {
            let end = |v: &Value| i128::from(v.as_i64().expect("an integer"));
            list.iter().map(|pair| Interval::new(end(&pair[0]), end(&pair[1]))).collect()
        }
        None => vec![Interval::of_bits(8, true); rows.len()],
    };
    let outputs = rows.first().map_or(0, Vec::len);
    let matrix = Matrix::new(inputs, outputs, rows.concat());
    let number = |name: &str| question[name].as_u64();
    let default = Options::default();
    let options = Options {
        extra_levels: number("extra_levels").map(|n| n as u32),
        effort: number("effort").unwrap_or(default.effort),
        cost: if question["cost"] == "adders" { Cost::Adders } else { default.cost },
        seed: number("seed").unwrap_or(0),
        threads: number("threads").map_or(default.threads, |n| n as usize),
    };
    let (mut seconds, mut solution) = (f64::INFINITY, None);
    for _ in 0..number("repeat").unwrap_or(1) {
        let start = Instant::now();
        solution = Some(solve(&matrix, &options));
        seconds = seconds.min(start.elapsed().as_secs_f64());
    }
    let solution = solution.expect("one run at least");
    json!({
        "adders": solution.adders(),
        "bits": solution.bits(),
        "depth": solution.depth(),
        "negations": solution.negations(),
        "seconds": seconds,
        "nodes": nodes(&solution),
        "taps": solution.taps.iter().map(|tap| tap.map(|t| json!([t.node, t.shift, t.negative]))).collect::<Vec<_>>(),
    })
}

/// `[lo, hi]` of an input; `[lo, hi, left, shift, right, shift, minus]` of an operation.
fn nodes(solution: &Solution) -> Vec<Value> {
    let node = |n: &nervure_cmvm::Node| {
        let (lo, hi) = (n.range.lo as i64, n.range.hi as i64);
        n.operation.map_or_else(
            || json!([lo, hi]),
            |op| {
                json!([lo, hi, op.left.node, op.left.shift, op.right.node, op.right.shift, op.right.negative])
            },
        )
    };
    solution.nodes.iter().map(node).collect()
}
