//! ISTA for sparse coding, three iterations unrolled into one pipeline, against its equation in plain integers.

use nervure_back::Options;
use nervure_core::{Network, QType, Rounding, TensorType};
use nervure_front::NetworkBuilder;
use nervure_tests::{Built, golden, noise, registry, rng, target};
use rand::RngExt;
use serde_json::{Value, json};

/// Measurements and atoms.
const SIZE: [usize; 2] = [6, 10];
/// Thresholds of the atoms over the step, in units of 1/64: the third atom is dearer than the others.
const LAMBDA: [i64; 10] = [8, 8, 20, 8, 8, 8, 8, 8, 8, 8];
const ITERATIONS: usize = 3;

/// A dictionary in eighths, `[measurements, atoms]`. Its largest singular value squared is below 4, the inverse of the step.
fn dictionary() -> Vec<Vec<i64>> {
    let rng = &mut rng(8);
    (0..SIZE[0]).map(|_| (0..SIZE[1]).map(|_| rng.random_range(-4..=4)).collect()).collect()
}

/// `W^T / 4` in 1/32, and `I - W^T W / 4` in 1/256: both exact.
fn matrices(w: &[Vec<i64>]) -> (Vec<Vec<i64>>, Vec<Vec<i64>>) {
    let atoms = 0..SIZE[1];
    let dot = |a: usize, b: usize| w.iter().map(|row| row[a] * row[b]).sum::<i64>();
    let feed = atoms.clone().map(|a| w.iter().map(|row| row[a]).collect()).collect();
    let gram =
        atoms.clone().map(|a| atoms.clone().map(|b| 256 * i64::from(a == b) - dot(a, b)).collect()).collect();
    (feed, gram)
}

/// Measurements in 1/16, codes in 1/64.
fn network() -> Network {
    let (feed, gram) = matrices(&dictionary());
    let quant =
        |from: &str| json!({"from": from, "bits": 12, "frac": 6, "signed": 1, "rounding": "half_even"});
    let mut layers: Vec<(String, &str, Value)> =
        vec![("feed".into(), "dense/unrolled", json!({"weights": feed, "weight_format": "s5.5"}))];
    for n in 1..=ITERATIONS {
        let mut before = "feed".to_owned();
        if n > 1 {
            let from = format!("code{}", n - 1);
            let inhibit = json!({"from": from, "weights": gram, "weight_format": "s11.8"});
            layers.push((format!("inhibit{n}"), "dense/unrolled", inhibit));
            layers.push((format!("drive{n}"), "seq/add", json!({"from": ["feed", format!("inhibit{n}")]})));
            before = format!("drive{n}");
        }
        layers.push((format!("rounded{n}"), "act/quant", quant(&before)));
        let shrink = json!({"lambda": LAMBDA, "from": format!("rounded{n}")});
        layers.push((format!("code{n}"), "act/soft_threshold", shrink));
    }
    let x = TensorType::frame(&[SIZE[0]], QType { bits: 8, frac: 4, signed: true });
    let mut b = NetworkBuilder::new("ista", registry()).input("x", x, Some(SIZE[0])).expect("an input");
    for (name, block, params) in layers {
        b = b.layer(&name, block, params).unwrap_or_else(|d| panic!("{name}: {d}"));
    }
    for n in 1..=ITERATIONS {
        b = b.output(&format!("code{n}")).expect("an output");
    }
    b.finish().expect("a network")
}

/// The codes after every iteration: `c <- S(c + W^T (x - W c) / 4)`, rounded to 1/64 before the threshold.
fn ista(w: &[Vec<i64>], x: &[i64]) -> Vec<Vec<i64>> {
    let mut code = vec![0i64; SIZE[1]];
    let mut all = Vec::new();
    for _ in 0..ITERATIONS {
        // In 1/512: measurements by 32, an eighth of a code by 1.
        let residual: Vec<i64> = w
            .iter()
            .zip(x)
            .map(|(row, x)| 32 * x - row.iter().zip(&code).map(|(w, c)| w * c).sum::<i64>())
            .collect();
        let next = (0..SIZE[1]).map(|a| {
            let step: i64 = w.iter().zip(&residual).map(|(row, r)| row[a] * r).sum();
            // The step is in 1/4096, a quarter of it in 1/16384; the code in 1/64.
            let sum = 256 * code[a] + step;
            let rounded = Rounding::HalfEven.shift(sum.into(), 8) as i64;
            let rounded = rounded.clamp(-2048, 2047);
            if rounded.abs() <= LAMBDA[a] { 0 } else { rounded - rounded.signum() * LAMBDA[a] }
        });
        code = next.collect();
        all.push(code.clone());
    }
    all
}

/// `|x - W c|^2 / 2 + sum of lambda |c|`, in 1/2^19: what ISTA makes smaller.
fn energy(w: &[Vec<i64>], x: &[i64], code: &[i64]) -> i64 {
    let error = |(row, x): (&Vec<i64>, &i64)| 32 * x - row.iter().zip(code).map(|(w, c)| w * c).sum::<i64>();
    let squares: i64 = w.iter().zip(x).map(error).map(|e| e * e).sum();
    // lambda is that of the step times 4: 4 / 64 / 64 is 2^-10.
    let prices: i64 = code.iter().zip(LAMBDA).map(|(c, l)| l * c.abs()).sum();
    squares + (prices << 9)
}

#[test]
fn unrolled_ista_is_one_pipeline_and_exact() {
    let network = network();
    let built = Built::new(&network, target(), &Options::default()).unwrap_or_else(|d| panic!("{d}"));
    assert_eq!(built.design.modules.len(), 1, "{:?}", built.design.modules);
    assert_eq!(built.lint(), Vec::<String>::new());
    let samples = noise(&network, 60, 1, &mut rng(3));
    built.check(&network, &samples, 3, None).unwrap_or_else(|text| panic!("{text}"));

    let trace = golden(&network, &samples).expect("it runs");
    let (w, mut x, mut told) = (dictionary(), vec![0; SIZE[0]], vec![0; SIZE[1]]);
    let mut energies = [0; ITERATIONS + 1];
    for sample in 0..samples.count {
        samples.inputs[0].copy(sample * SIZE[0], &mut x);
        energies[0] += energy(&w, &x, &vec![0; SIZE[1]]);
        for (n, code) in ista(&w, &x).iter().enumerate() {
            trace.outputs[n].get(sample, 0, &mut told);
            assert_eq!(*code, told, "iteration {n} of sample {sample}");
            energies[n + 1] += energy(&w, &x, code);
        }
    }
    assert!(energies.windows(2).all(|e| e[1] < e[0]), "the energy does not fall: {energies:?}");
}
