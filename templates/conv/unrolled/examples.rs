//! Parameters that tests visit: four that were chosen, and random ones.

use nervure_core::block::{Block, Rng};
use nervure_core::{QType, Tensor, TensorType};
use rand::RngExt;

use super::{Layout, Params, Unrolled};
use crate::shared::{divisor, matrix};

fn weights(shape: &[usize], format: QType, rng: &mut Rng) -> Tensor {
    let n = shape.iter().product();
    Tensor::new(shape, matrix(1, n, format.min(), format.max(), rng).data)
}

pub(super) fn examples() -> Vec<Params> {
    let mut rng: Rng = rand::SeedableRng::seed_from_u64(3);
    let format = QType { bits: 4, frac: 2, signed: true };
    let plain = Params {
        input: TensorType::frame(&[3, 4, 1], QType { bits: 5, frac: 1, signed: false }),
        weights: weights(&[2, 2, 1, 2], format, &mut rng),
        layout: Layout::Hwio,
        weight_format: format,
        bias: Some(Tensor::vector(vec![11, -70])),
        stride: None,
        padding: None,
        dilation: None,
        groups: 1,
        accumulator: None,
        run_time_weights: false,
        bias_format: None,
    };
    // As in PyTorch; padding on one side, strides, two groups.
    let format = QType::signed(3);
    let grouped = Params {
        input: TensorType::frame(&[3, 3, 2], QType::signed(4)),
        weights: weights(&[4, 1, 3, 3], format, &mut rng),
        layout: Layout::Oihw,
        weight_format: format,
        bias: None,
        stride: Some(vec![2, 2]),
        padding: Some(vec![[0, 1], [1, 0]]),
        groups: 2,
        ..plain.clone()
    };
    // A line; taps apart.
    let line = Params {
        input: TensorType::step(&[7, 2], QType::unsigned(2)),
        weights: weights(&[3, 2, 1], format, &mut rng),
        layout: Layout::Hwio,
        weight_format: format,
        bias: None,
        stride: None,
        padding: Some(vec![[1, 1]]),
        dilation: Some(vec![2]),
        groups: 1,
        accumulator: Some(QType::signed(9)),
        run_time_weights: false,
        bias_format: None,
    };
    // Over the register bus; strides and padding on all sides.
    let written = Params {
        input: TensorType::frame(&[4, 3, 1], QType::unsigned(3)),
        weights: weights(&[3, 3, 1, 2], QType::signed(6), &mut rng),
        weight_format: QType::signed(6),
        bias: Some(Tensor::vector(vec![31, -32])),
        stride: Some(vec![2, 1]),
        padding: Some(vec![[1, 1], [0, 1]]),
        run_time_weights: true,
        bias_format: Some(QType::signed(6)),
        ..plain.clone()
    };
    vec![plain, grouped, line, written]
}

pub(super) fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
    let rank = input.shape.len() - 1;
    if !(1..=2).contains(&rank) || input.len() > 48 {
        return None;
    }
    let channels = input.columns();
    let groups = divisor(channels, channels, rng);
    let outputs = groups * rng.random_range(1..3);
    let padding: Vec<[usize; 2]> =
        (0..rank).map(|_| [rng.random_range(0..2), rng.random_range(0..2)]).collect();
    let dilation: Vec<usize> = (0..rank).map(|_| rng.random_range(1..3)).collect();
    let extent = |n: usize| input.shape[n] + padding[n][0] + padding[n][1];
    let kernel: Vec<usize> =
        (0..rank).map(|n| rng.random_range(1..=((extent(n) - 1) / dilation[n] + 1).min(3))).collect();
    let layout = if rng.random() { Layout::Hwio } else { Layout::Oihw };
    let ends = [channels / groups, outputs];
    let shape = match layout {
        Layout::Hwio => [&kernel[..], &ends].concat(),
        Layout::Oihw => [&[ends[1], ends[0]], &kernel[..]].concat(),
    };
    let weight_format = QType { bits: rng.random_range(2..7), frac: rng.random_range(0..4), signed: true };
    let bias = (0..outputs).map(|_| rng.random_range(-500..500)).collect();
    let bias = rng.random::<bool>().then(|| Tensor::vector(bias));
    let run_time_weights = rng.random_range(0..4) == 0;
    let bias_format = (run_time_weights && bias.is_some())
        .then(|| QType { frac: input.format.frac + weight_format.frac, ..QType::signed(10) });
    let p = Params {
        input: input.clone(),
        weights: weights(&shape, weight_format, rng),
        layout,
        weight_format,
        bias,
        stride: rng.random::<bool>().then(|| (0..rank).map(|_| rng.random_range(1..4)).collect()),
        padding: Some(padding),
        dilation: Some(dilation),
        groups,
        accumulator: None,
        run_time_weights,
        bias_format,
    };
    Unrolled::interface(&p).is_ok().then_some(p)
}
