//! The definition: layer after layer, each sum written out.

use super::layer::Stage;
use super::{Layer, Params};

/// The maps between layers, and the results in front of a pool.
#[derive(Debug)]
pub(crate) struct Maps {
    stages: Vec<Stage>,
    maps: Vec<Vec<i64>>,
}

impl Maps {
    pub(super) fn new(stages: &[Stage]) -> Self {
        let maps = stages[..stages.len() - 1].iter().map(|s| vec![0; s.output.len()]).collect();
        Self { stages: stages.to_vec(), maps }
    }
}

pub(super) fn step(p: &Params, maps: &mut Maps, x: &[i64], y: &mut [i64]) {
    let Maps { stages, maps } = maps;
    for (n, (stage, layer)) in stages.iter().zip(&p.layers).enumerate() {
        let (before, after) = maps.split_at_mut(n);
        let input = before.last().map_or(x, Vec::as_slice);
        let output = after.first_mut().map_or(&mut *y, Vec::as_mut_slice);
        run(stage, layer, input, output);
    }
}

/// `y[r, c, n] = max over the pool's windows of rescale(b[n] + sum w[n, i, j, k] * (x[..] - zero))`.
fn run(stage: &Stage, layer: &Layer, x: &[i64], y: &mut [i64]) {
    let [height, width] = stage.results();
    for row in 0..height {
        for column in 0..width {
            for n in 0..stage.outputs {
                let windows = (0..stage.pool[0]).flat_map(|i| (0..stage.pool[1]).map(move |j| (i, j)));
                let results = windows.map(|(i, j)| {
                    let window = [row * stage.pool[0] + i, column * stage.pool[1] + j];
                    finish(layer, n, sum(stage, layer, x, n, window))
                });
                y[(row * width + column) * stage.outputs + n] = results.max().expect("a pool has a window");
            }
        }
    }
}

fn sum(stage: &Stage, layer: &Layer, x: &[i64], n: usize, window: [usize; 2]) -> i64 {
    let [down, across] = stage.axes;
    let mut sum = layer.bias.as_ref().map_or(0, |b| b.data[n]);
    for i in 0..down.kernel {
        for j in 0..across.kernel {
            // What lies in the padding is the zero itself.
            let (Some(row), Some(column)) = (down.position(window[0], i), across.position(window[1], j))
            else {
                continue;
            };
            let x = &x[(row * across.extent + column) * stage.channels..][..stage.channels];
            let w = &layer.weights.data[((n * down.kernel + i) * across.kernel + j) * stage.channels..];
            sum += x.iter().zip(w).map(|(x, w)| (x - layer.input_zero) * w).sum::<i64>();
        }
    }
    sum
}

fn finish(layer: &Layer, n: usize, sum: i64) -> i64 {
    layer.rescale.as_ref().map_or(sum, |r| {
        let [lo, hi] = r.ends();
        (r.mode.apply(sum, n) + r.zero_point).clamp(lo, hi)
    })
}
