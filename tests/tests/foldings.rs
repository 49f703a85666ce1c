//! Folded layers: what a folding is predicted to take is what it takes, and none changes what is computed.
//!
//! `NERVURE_SEED` changes the networks. Deliberately absent: the blocks one by one (the conformance tests have them).

use nervure_back::Options;
use nervure_core::block::Rng;
use nervure_core::{Network, QType, TensorType};
use nervure_front::NetworkBuilder;
use nervure_tests::{Built, golden, noise, registry, rng, setting, target};
use rand::RngExt;
use serde_json::{Value, json};

/// Random networks whose interval is measured, in two tests.
const FOLDINGS: u64 = 50;
/// Samples that follow each other.
const SAMPLES: usize = 6;

fn seed() -> u64 {
    setting("NERVURE_SEED", 1)
}

fn divisor(n: usize, rng: &mut Rng) -> usize {
    let all: Vec<usize> = (1..=n).filter(|d| n.is_multiple_of(*d)).collect();
    all[rng.random_range(0..all.len())]
}

fn integers(shape: &[usize], rng: &mut Rng) -> Value {
    match shape {
        [] => json!(rng.random_range(-8..8)),
        [n, rest @ ..] => (0..*n).map(|_| integers(rest, rng)).collect(),
    }
}

/// A convolution on paper.
struct Conv {
    kernel: Vec<usize>,
    stride: Vec<usize>,
    padding: Vec<[usize; 2]>,
    dilation: Vec<usize>,
    groups: usize,
    /// `[out][in / groups][...]`.
    outputs: usize,
}

impl Conv {
    /// One that fits a map of these extents, channels last.
    fn random(shape: &[usize], rng: &mut Rng) -> Self {
        let (extents, channels) = (&shape[..shape.len() - 1], shape[shape.len() - 1]);
        let mut conv = Self {
            kernel: Vec::new(),
            stride: Vec::new(),
            padding: Vec::new(),
            dilation: Vec::new(),
            groups: if rng.random_range(0..3) == 0 { divisor(channels, rng) } else { 1 },
            outputs: 0,
        };
        conv.outputs = conv.groups * rng.random_range(1..=4usize.div_ceil(conv.groups));
        for extent in extents {
            let dilation = rng.random_range(1..3);
            let kernel = rng.random_range(1..=3usize.min((extent - 1) / dilation + 1));
            let around = (kernel - 1) * dilation;
            conv.kernel.push(kernel);
            conv.dilation.push(dilation);
            conv.padding.push([rng.random_range(0..=around), rng.random_range(0..=around)]);
            conv.stride.push(rng.random_range(1..3));
        }
        conv
    }

    /// Shape of what it makes of a map.
    fn shape(&self, map: &[usize]) -> Vec<usize> {
        let windows = |n: usize| {
            let padded = map[n] + self.padding[n].iter().sum::<usize>();
            (padded - (self.kernel[n] - 1) * self.dilation[n] - 1) / self.stride[n] + 1
        };
        (0..self.kernel.len()).map(windows).chain([self.outputs]).collect()
    }

    fn lie(&self) -> Value {
        json!({"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups})
    }

    /// Weights `[height, width, in / groups, out]`, and the same as rows of taps, one matrix for each group.
    fn weights(&self, channels: usize, rng: &mut Rng) -> (Value, Value) {
        let (taps, fan) = (self.kernel.iter().product::<usize>(), channels / self.groups);
        let flat: Vec<i64> = (0..taps * fan * self.outputs).map(|_| rng.random_range(-8..8)).collect();
        let row = |o: usize| -> Vec<i64> { (0..taps * fan).map(|k| flat[k * self.outputs + o]).collect() };
        let own = self.outputs / self.groups;
        let group = |g: usize| -> Vec<Vec<i64>> { (0..own).map(|o| row(g * own + o)).collect() };
        let rows = if self.groups > 1 {
            json!((0..self.groups).map(group).collect::<Vec<_>>())
        } else {
            json!(group(0))
        };
        let mut nested: Vec<Value> = flat.into_iter().map(Value::from).collect();
        let shape = [&self.kernel[..], &[fan, self.outputs]].concat();
        for extent in shape[1..].iter().rev() {
            nested = nested.chunks(*extent).map(|c| Value::from(c.to_vec())).collect();
        }
        (Value::from(nested), rows)
    }
}

/// Parameters `a` and `b`.
fn merged(mut a: Value, b: Value) -> Value {
    let (a_fields, Value::Object(b)) = (a.as_object_mut().expect("a mapping"), b) else {
        unreachable!("both are mappings")
    };
    a_fields.extend(b);
    a
}

fn map(rng: &mut Rng) -> Vec<usize> {
    let channels = rng.random_range(1..=4);
    if rng.random() {
        vec![rng.random_range(1..=9), channels]
    } else {
        vec![rng.random_range(1..=6), rng.random_range(1..=6), channels]
    }
}

#[test]
fn windows_and_a_matrix_are_a_convolution() {
    for case in 0..200 {
        let rng = &mut rng(seed() * 1000 + case);
        let shape = map(rng);
        let conv = Conv::random(&shape, rng);
        let channels = shape[shape.len() - 1];
        let (weights, rows) = conv.weights(channels, rng);
        let bias = integers(&[conv.outputs], rng);
        let x = TensorType::frame(&shape, QType::signed(5));
        let builder = || {
            NetworkBuilder::new("conv", registry()).input("x", x.clone(), None).expect("the input is valid")
        };
        let at_once = builder().layer(
            "y",
            "conv/unrolled",
            merged(conv.lie(), json!({"weights": weights, "weight_format": "s4", "bias": bias})),
        );
        let windows = json!({"kernel": conv.kernel, "lanes": divisor(channels, rng)});
        let streaming =
            builder().layer("windows", "conv/window", merged(conv.lie(), windows)).and_then(|b| {
                b.layer("y", "engine/folded", json!({"weights": rows, "weight_format": "s4", "bias": bias}))
            });
        let of = |b: Result<NetworkBuilder<'_>, _>| {
            b.and_then(NetworkBuilder::finish).unwrap_or_else(|d| panic!("case {case}, {x}: {d}"))
        };
        let (at_once, streaming) = (of(at_once), of(streaming));
        let samples = noise(&at_once, 5, 1, rng);
        let y = |n: &Network| {
            golden(n, &samples).unwrap_or_else(|d| panic!("case {case}: {d}")).outputs.remove(0)
        };
        let (wanted, got) = (y(&at_once), y(&streaming));
        assert_eq!(wanted.tensor.shape, got.tensor.shape, "case {case}");
        let mut values = [vec![0; wanted.tensor.len()], vec![0; got.tensor.len()]];
        for sample in 0..samples.count {
            wanted.get(sample, 0, &mut values[0]);
            got.get(sample, 0, &mut values[1]);
            assert_eq!(values[0], values[1], "case {case}, sample {sample}");
        }
    }
}

/// `pe` and `simd`, or the reuse that some choice of them has.
fn folding(outputs: usize, inputs: usize, rng: &mut Rng) -> Value {
    let (pe, simd) = (divisor(outputs, rng), divisor(inputs, rng));
    if rng.random() {
        json!({"pe": pe, "simd": simd})
    } else {
        json!({"reuse": (outputs / pe) * (inputs / simd)})
    }
}

/// One to three convolutions or dense layers, folded at random, and cut to a few bits in between.
fn random(seed: u64) -> Network {
    let rng = &mut rng(seed);
    let mut shape = map(rng);
    let x = TensorType::frame(&shape, QType::unsigned(4));
    let lanes = divisor(x.len(), rng);
    let named = format!("seed {seed}");
    let mut b =
        NetworkBuilder::new(&named, registry()).input("x", x, Some(lanes)).expect("the input is valid");
    for n in 0..rng.random_range(1..=3) {
        let fifo = if rng.random_range(0..3) == 0 { rng.random_range(1..9) } else { 0 };
        let (rows, fields) = if shape.len() > 1 && rng.random_range(0..3) > 0 {
            let conv = Conv::random(&shape, rng);
            let channels = shape[shape.len() - 1];
            let windows = json!({"kernel": conv.kernel, "lanes": divisor(channels, rng), "fifo": fifo});
            b = b
                .layer(&format!("windows{n}"), "conv/window", merged(conv.lie(), windows))
                .unwrap_or_else(|d| panic!("seed {seed}: {d}"));
            let taps = conv.kernel.iter().product::<usize>() * channels / conv.groups;
            let rows = conv.weights(channels, rng).1;
            shape = conv.shape(&shape);
            (rows, folding(conv.outputs / conv.groups, taps, rng))
        } else {
            let (outputs, inputs) = (rng.random_range(1..=8), shape.iter().product());
            shape = vec![outputs];
            (integers(&[outputs, inputs], rng), merged(folding(outputs, inputs, rng), json!({"fifo": fifo})))
        };
        b = b
            .layer(
                &format!("sums{n}"),
                "engine/folded",
                merged(fields, json!({"weights": rows, "weight_format": "s4"})),
            )
            .and_then(|b| {
                let quant = json!({"output": "u4", "mode": {"shift": 4, "rounding": "half_up"}});
                b.layer(&format!("cut{n}"), "act/requant", quant)
            })
            .unwrap_or_else(|d| panic!("seed {seed}: {d}"));
    }
    b.finish().unwrap_or_else(|d| panic!("seed {seed}: {d}"))
}

/// Cycles between samples.
fn interval(cycles: &[nervure_sim::SampleCycles]) -> f64 {
    let (first, last) = (cycles[0].finish, cycles[cycles.len() - 1].finish);
    (last - first) as f64 / (cycles.len() - 1) as f64
}

fn measure(half: u64) {
    for seed in (0..FOLDINGS / 2).map(|n| seed() * 1000 + 2 * n + half) {
        let network = random(seed);
        let built = Built::new(&network, target(), &Options::default())
            .unwrap_or_else(|d| panic!("seed {seed}: {d}"));
        let samples = noise(&network, SAMPLES, 1, &mut rng(seed));
        let predicted = nervure_sim::predict(&network, &built.design, &samples)
            .unwrap_or_else(|e| panic!("seed {seed}: {e:#}"));
        let report =
            built.check(&network, &samples, seed, None).unwrap_or_else(|text| panic!("seed {seed}: {text}"));
        let (predicted, measured) = (interval(&predicted.cycles), interval(&report.sample_cycles));
        eprintln!(
            "seed {seed}: {} layers, {predicted} cycles predicted, {measured} measured",
            network.nodes.len()
        );
        assert!(
            (predicted - measured).abs() <= 0.0,
            "seed {seed}: {predicted} predicted, {measured} measured"
        );
        // Nothing is faster than its slowest engine.
        let own = network.nodes.iter().map(|n| n.instance.as_ref()).map(own_cycles).max().unwrap_or(0);
        assert!(measured >= own as f64, "seed {seed}: {measured} cycles, and a layer alone takes {own}");
    }
}

/// Beats that a layer takes or gives for a sample, whichever are more.
fn own_cycles(instance: &dyn nervure_core::Instance) -> usize {
    let interface = instance.interface();
    interface.inputs[0].beats().max(interface.outputs[0].beats())
}

#[test]
fn random_foldings_take_the_cycles_that_are_predicted() {
    measure(0);
}

#[test]
fn more_random_foldings_take_the_cycles_that_are_predicted() {
    measure(1);
}
