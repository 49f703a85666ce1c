//! Parameters that tests visit: three that were chosen, and random ones.

use nervure_core::block::{Block, Rng};
use nervure_core::{QType, Tensor, TensorType};
use rand::RngExt;

use super::{Layout, Params, TransposedUnrolled};
use crate::shared::{divisor, matrix};

fn weights(shape: &[usize], format: QType, rng: &mut Rng) -> Tensor {
    let n = shape.iter().product();
    Tensor::new(shape, matrix(1, n, format.min(), format.max(), rng).data)
}

pub(super) fn examples() -> Vec<Params> {
    let mut rng: Rng = rand::SeedableRng::seed_from_u64(4);
    let format = QType { bits: 4, frac: 2, signed: true };
    // Twice the size, every output under one tap.
    let double = Params {
        input: TensorType::frame(&[2, 3, 2], QType { bits: 4, frac: 1, signed: false }),
        weights: weights(&[2, 2, 1, 2], format, &mut rng),
        layout: Layout::Hwoi,
        weight_format: format,
        bias: Some(Tensor::vector(vec![-21])),
        stride: Some(vec![2, 2]),
        crop: None,
        dilation: None,
        groups: 1,
        accumulator: None,
    };
    // As in PyTorch: padding 1, output padding 1, two groups.
    let format = QType::signed(3);
    let grouped = Params {
        input: TensorType::frame(&[2, 2, 2], QType::signed(4)),
        weights: weights(&[2, 1, 3, 3], format, &mut rng),
        layout: Layout::Iohw,
        weight_format: format,
        bias: None,
        stride: Some(vec![2, 2]),
        crop: Some(vec![[1, 0], [1, 0]]),
        groups: 2,
        ..double.clone()
    };
    // A line; taps apart, positions that nothing reaches.
    let line = Params {
        input: TensorType::step(&[4, 1], QType::unsigned(2)),
        weights: weights(&[2, 2, 1], format, &mut rng),
        layout: Layout::Hwoi,
        bias: Some(Tensor::vector(vec![3, -1])),
        stride: Some(vec![3]),
        crop: Some(vec![[-1, 1]]),
        dilation: Some(vec![2]),
        groups: 1,
        accumulator: Some(QType::signed(6)),
        ..grouped.clone()
    };
    vec![double, grouped, line]
}

pub(super) fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
    let rank = input.shape.len() - 1;
    if !(1..=2).contains(&rank) || input.len() > 24 {
        return None;
    }
    let channels = input.columns();
    let groups = divisor(channels, channels, rng);
    let fan_out = rng.random_range(1..3);
    let kernel: Vec<usize> = (0..rank).map(|_| rng.random_range(1..4)).collect();
    let layout = if rng.random() { Layout::Hwoi } else { Layout::Iohw };
    let shape = match layout {
        Layout::Hwoi => [&kernel[..], &[fan_out, channels]].concat(),
        Layout::Iohw => [&[channels, fan_out], &kernel[..]].concat(),
    };
    let list = |rng: &mut Rng| (0..rank).map(|_| rng.random_range(1..4)).collect();
    let crop = (0..rank).map(|_| [rng.random_range(-2..3), rng.random_range(-2..3)]).collect();
    let weight_format = QType { bits: rng.random_range(2..7), frac: rng.random_range(0..4), signed: true };
    let bias = (0..groups * fan_out).map(|_| rng.random_range(-500..500)).collect();
    let p = Params {
        input: input.clone(),
        weights: weights(&shape, weight_format, rng),
        layout,
        weight_format,
        bias: rng.random::<bool>().then(|| Tensor::vector(bias)),
        stride: Some(list(rng)),
        crop: rng.random::<bool>().then_some(crop),
        dilation: rng.random::<bool>().then(|| list(rng)),
        groups,
        accumulator: None,
    };
    TransposedUnrolled::interface(&p).is_ok().then_some(p)
}
