//! Examples, and random arrays with random networks.

use nervure_core::block::{Block, Rng};
use nervure_core::num::{Multiplier, Shift};
use nervure_core::{QType, Requant, Rounding, Tensor, TensorType};
use rand::RngExt;

use super::{Layer, NmArray, Params, Rescale, RunTime};
use crate::shared::pattern::Pattern;

/// A layer of this shape that keeps results spread over the output's range.
fn layer(
    shape: &[usize],
    pattern: Option<Pattern>,
    rescale: Option<Rescale>,
    format: QType,
    rng: &mut Rng,
) -> Layer {
    let bias = (0..shape[0]).map(|_| rng.random_range(-300..300)).collect();
    Layer {
        weights: pattern.unwrap_or(Pattern::DENSE).weights(shape, format, rng),
        bias: rng.random::<bool>().then(|| Tensor::vector(bias)),
        pattern,
        input_zero: 0,
        stride: None,
        padding: None,
        dilation: None,
        rescale,
        pool: None,
    }
}

fn rescale(outputs: usize, bits: u32, output: QType, rng: &mut Rng) -> Rescale {
    let multiplier = |width: u32, rng: &mut Rng| Multiplier {
        multiplier: (0..outputs).map(|_| rng.random_range(1i64 << (width - 1)..1 << width)).collect(),
        shift: (0..outputs).map(|_| i64::from(width + bits - rng.random_range(0..3))).collect(),
    };
    let mode = match rng.random_range(0..3) {
        0 => Requant::Onnx { onnx: multiplier(24, rng) },
        1 => Requant::Tflite { tflite: multiplier(31, rng) },
        _ => {
            let rounding = if rng.random() { Rounding::HalfUp } else { Rounding::HalfEven };
            Requant::Shift(Shift { shift: bits, rounding })
        }
    };
    let ends = [0; 2].map(|_| rng.random_range(output.min()..=output.max()));
    let range = rng.random::<bool>().then(|| [ends[0].min(ends[1]), ends[0].max(ends[1])]);
    Rescale { mode, output, zero_point: rng.random_range(output.min()..=output.max()), range }
}

pub(super) fn examples() -> Vec<Params> {
    let mut rng: Rng = rand::SeedableRng::seed_from_u64(5);
    let (s4, s8) = (QType::signed(4), QType::signed(8));
    let rng = &mut rng;
    let pattern = |n, m| Some(Pattern { n, m });
    // A matrix 2:4 after one 1:4, on the same array; ragged in both directions.
    let whole = |r: Rescale| Rescale { range: None, zero_point: 0, ..r };
    let first = whole(rescale(6, 5, s4, rng));
    let two = Params {
        input: TensorType::frame(&[3, 10], s4),
        input_lanes: 2,
        rows: 4,
        columns: 4,
        chain: Some(2),
        group: None,
        choices: None,
        broadcast: Some(2),
        finish: 1,
        weight_format: s4,
        activation_bits: None,
        run_time: None,
        layers: vec![
            layer(&[6, 10], pattern(2, 4), Some(first), s4, rng),
            layer(&[5, 6], pattern(1, 4), None, s4, rng),
        ],
    };
    // A convolution with padding and a pool, then all of its map as one row: unsigned activations of all bits.
    let conv = Rescale { zero_point: 100, ..whole(rescale(4, 9, QType::unsigned(8), rng)) };
    let map = Params {
        input: TensorType::frame(&[4, 6, 3], QType::unsigned(8)),
        input_lanes: 3,
        rows: 8,
        columns: 2,
        chain: None,
        broadcast: None,
        finish: 2,
        weight_format: s8,
        layers: vec![
            Layer {
                input_zero: 3,
                padding: Some([[1, 1], [1, 1]]),
                pool: Some([2, 2]),
                ..layer(&[4, 3, 3, 3], None, Some(conv), s8, rng)
            },
            layer(&[3, 24], pattern(2, 4), None, s8, rng),
        ],
        ..two.clone()
    };
    // One row, one chain: 2 of 8, and what may be written at run time.
    let row = Params {
        input: TensorType::step(&[20], QType { bits: 7, frac: 2, signed: true }),
        rows: 4,
        columns: 3,
        chain: None,
        broadcast: None,
        run_time: Some(RunTime {
            patterns: [(1, 1), (2, 4), (2, 8)].map(|(n, m)| Pattern { n, m }).to_vec(),
            shift: 40,
            multiplier_bits: 40,
        }),
        layers: vec![layer(&[7, 20], pattern(2, 8), None, s4, rng)],
        ..two.clone()
    };
    // Strides and dilation; results of all columns at once.
    let last = Rescale { range: Some([-9, 13]), ..whole(rescale(2, 4, QType::signed(5), rng)) };
    let line = Params {
        input: TensorType::step(&[5, 7, 4], QType::signed(3)),
        rows: 6,
        columns: 2,
        chain: Some(3),
        group: Some(1),
        broadcast: None,
        finish: 2,
        weight_format: QType::signed(3),
        layers: vec![Layer {
            stride: Some([1, 2]),
            dilation: Some([2, 1]),
            padding: Some([[1, 0], [0, 2]]),
            ..layer(&[2, 2, 3, 4], pattern(1, 2), Some(last), QType::signed(3), rng)
        }],
        ..two.clone()
    };
    vec![two, map, row, line]
}

pub(super) fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
    if input.len() > 2048 || input.format.bits > 12 {
        return None;
    }
    let divides = |n: usize, rng: &mut Rng| {
        let all: Vec<usize> = (1..=n).filter(|d| n.is_multiple_of(*d)).collect();
        all[rng.random_range(0..all.len())]
    };
    let rows = rng.random_range(1..13);
    let columns = rng.random_range(1..9);
    let chain = divides(rows, rng);
    let weight_format = QType::signed(rng.random_range(2..10));
    let count = rng.random_range(1..4);
    let mut p = Params {
        input: input.clone(),
        input_lanes: divides(input.columns(), rng),
        rows,
        columns,
        chain: Some(chain),
        group: Some(divides(chain, rng)),
        choices: None,
        broadcast: Some(divides(columns, rng)),
        finish: 1 << rng.random_range(0..=columns.trailing_zeros()),
        weight_format,
        activation_bits: None,
        run_time: None,
        layers: Vec::new(),
    };
    for n in 0..count {
        let input = if n == 0 { input.clone() } else { last(&p)? };
        let outputs = rng.random_range(1..13);
        let output = if rng.random() {
            QType::signed(rng.random_range(2..9))
        } else {
            QType::unsigned(rng.random_range(1..9))
        };
        let m = rng.random_range(1..17);
        let pattern = (rng.random_range(0..4) > 0).then(|| Pattern { n: rng.random_range(1..=m), m });
        let rescaled = n + 1 < count || rng.random();
        let bits = u32::from(input.format.bits + weight_format.bits).saturating_sub(u32::from(output.bits));
        let scale = rescaled.then(|| rescale(outputs, bits + 1, output, rng));
        let mut next = match input.shape[..] {
            [height, width, channels] if rng.random_range(0..4) > 0 => {
                let kernel = [height, width].map(|n| rng.random_range(1..=n.min(4)));
                let mut next =
                    layer(&[outputs, kernel[0], kernel[1], channels], pattern, scale, weight_format, rng);
                next.stride = rng.random::<bool>().then(|| [0; 2].map(|_| rng.random_range(1..3)));
                next.padding =
                    rng.random::<bool>().then(|| kernel.map(|k| [0; 2].map(|_| rng.random_range(0..k))));
                next.dilation = (rng.random_range(0..4) == 0).then(|| [0; 2].map(|_| rng.random_range(1..3)));
                next.pool = (rescaled && rng.random()).then(|| [0; 2].map(|_| rng.random_range(1..4)));
                next
            }
            _ => {
                let inputs = if rng.random() { input.columns() } else { input.len() };
                layer(&[outputs, inputs], pattern, scale, weight_format, rng)
            }
        };
        next.input_zero = rng.random_range(input.format.min()..=input.format.max());
        p.layers.push(next);
    }
    if rng.random_range(0..4) == 0 {
        let layers = p.layers.iter().map(Layer::pattern);
        let patterns = layers.chain([Pattern::DENSE, Pattern { n: 2, m: 4 }]).collect();
        p.run_time = Some(RunTime { patterns, shift: 48, multiplier_bits: 44 });
    }
    NmArray::interface(&p).is_ok().then_some(p)
}

/// What the layers so far give, were there one more.
fn last(p: &Params) -> Option<TensorType> {
    NmArray::interface(p).ok().map(|i| i.outputs[0].tensor.clone())
}
