//! Sums of the weight rows of active inputs: where a dense layer's time goes.
//!
//! Deliberately absent: what is done with a sum (the neuron), and when (the schedule).

use std::ops::{Add, AddAssign, Mul};

use nervure_core::simd::nonzero;
use nervure_core::{Tensor, vectorised};

use super::Params;

/// Neurons that are summed at once: their number is filled up to whole blocks.
pub(super) const BLOCK: usize = 64;
/// Rows that are added to each other before they are added to a sum.
const ROWS: usize = 8;
/// Inputs that are listed at once, at most.
const PART: usize = 1 << 15;
/// Weights of which [`ROWS`] fit 8 bits together.
const SMALL: std::ops::RangeInclusive<i64> = -16..=15;

/// Weights in integers `W`, of which [`ROWS`] may be added, and sums of any number of them in integers `T`.
pub(super) struct Sums<W, T> {
    inputs: Rows<W>,
    recurrent: Rows<W>,
    /// What the current begins with, in the first step and in others.
    start: [Vec<[T; BLOCK]>; 2],
    /// The current of each neuron in this step.
    current: Vec<[T; BLOCK]>,
    /// Inputs that are not zero, in this step.
    events: Vec<u16>,
    /// Exact for every value and every sum.
    narrow: fn(i64) -> T,
}

/// For each part of the inputs and each block of neurons, the weights from every input, and at the end a row of zeros.
struct Rows<W> {
    parts: Vec<Vec<Vec<[W; BLOCK]>>>,
}

/// Whether 8 bits hold the sum of any [`ROWS`] weights.
pub(super) fn small(p: &Params) -> bool {
    let all = [Some(&p.weights), p.recurrent.as_ref()];
    all.into_iter().flatten().flat_map(|t| &t.data).all(|w| SMALL.contains(w))
}

impl<W, T> Sums<W, T>
where
    W: Copy + Default + Add<Output = W>,
    T: Copy + Default + AddAssign + Mul<Output = T> + From<W> + Into<i64>,
{
    pub(super) fn new(p: &Params, weight: fn(i64) -> W, narrow: fn(i64) -> T) -> Self {
        let n = p.neurons();
        Self {
            inputs: Rows::new(Some(&p.weights), weight),
            recurrent: Rows::new(p.recurrent.as_ref(), weight),
            start: p.start().map(|start| blocks(&start, narrow)),
            current: blocks(&vec![0; n], narrow),
            events: vec![0; p.input.len().max(n).min(PART) + nonzero::SLACK],
            narrow,
        }
    }

    /// The currents of a step are left in `wide`.
    pub(super) fn integrate(&mut self, started: bool, x: &[i64], previous: &[i64], wide: &mut [i64]) {
        let Self { inputs, recurrent, start, current, events, narrow } = self;
        current.copy_from_slice(&start[usize::from(started)]);
        inputs.add(x, events, *narrow, current);
        recurrent.add(previous, events, *narrow, current);
        vectorised(
            #[inline(always)]
            || {
                let sums = current.as_flattened();
                wide.iter_mut().zip(sums).for_each(|(wide, sum)| *wide = (*sum).into());
            },
        );
    }
}

impl<W: Copy + Default + Add<Output = W>> Rows<W> {
    fn new(weights: Option<&Tensor>, weight: fn(i64) -> W) -> Self {
        let Some(weights) = weights else { return Self { parts: Vec::new() } };
        let (n, inputs) = (weights.shape[0], weights.shape[1]);
        let part = |first: usize| {
            let inputs = (inputs - first).min(PART);
            let mut blocks = vec![vec![[W::default(); BLOCK]; inputs + 1]; n.div_ceil(BLOCK)];
            for (neuron, weights) in weights.rows().enumerate() {
                for (row, w) in blocks[neuron / BLOCK].iter_mut().zip(&weights[first..first + inputs]) {
                    row[neuron % BLOCK] = weight(*w);
                }
            }
            blocks
        };
        Self { parts: (0..inputs).step_by(PART).map(part).collect() }
    }

    /// Adds the row of every input that is not zero, as often as its value says.
    fn add<T>(&self, x: &[i64], events: &mut [u16], narrow: fn(i64) -> T, sums: &mut [[T; BLOCK]])
    where
        T: Copy + AddAssign + Mul<Output = T> + From<W>,
    {
        for (x, blocks) in x.chunks(PART).zip(&self.parts) {
            let (count, spikes) = nonzero::list(x, events);
            let padded = count.next_multiple_of(ROWS);
            events[count..padded].fill(x.len() as u16);
            vectorised(
                #[inline(always)]
                || {
                    for (sum, rows) in sums.iter_mut().zip(blocks) {
                        if spikes {
                            add_rows(rows, &events[..padded], sum);
                        } else {
                            add_multiples(rows, &events[..count], x, narrow, sum);
                        }
                    }
                },
            );
        }
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "what is not inlined is not vectorised")]
fn add_rows<W, T>(rows: &[[W; BLOCK]], events: &[u16], sum: &mut [T; BLOCK])
where
    W: Copy + Add<Output = W>,
    T: Copy + AddAssign + From<W>,
{
    // A copy, which no row can overlap: the compiler need not look.
    let mut total = *sum;
    for group in events.as_chunks::<ROWS>().0 {
        let [a, b, c, d, e, f, g, h] = group.map(
            #[inline(always)]
            |event| &rows[usize::from(event)],
        );
        for i in 0..BLOCK {
            total[i] += (((a[i] + b[i]) + (c[i] + d[i])) + ((e[i] + f[i]) + (g[i] + h[i]))).into();
        }
    }
    *sum = total;
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "what is not inlined is not vectorised")]
fn add_multiples<W, T>(
    rows: &[[W; BLOCK]],
    events: &[u16],
    x: &[i64],
    narrow: fn(i64) -> T,
    sum: &mut [T; BLOCK],
) where
    W: Copy,
    T: Copy + AddAssign + Mul<Output = T> + From<W>,
{
    for &event in events {
        let (row, value) = (&rows[usize::from(event)], narrow(x[usize::from(event)]));
        for i in 0..BLOCK {
            sum[i] += T::from(row[i]) * value;
        }
    }
}

/// `values`, filled up with zeros to whole blocks.
pub(super) fn blocks<T: Copy + Default>(values: &[i64], narrow: fn(i64) -> T) -> Vec<[T; BLOCK]> {
    let mut blocks = vec![[T::default(); BLOCK]; values.len().div_ceil(BLOCK)];
    blocks.as_flattened_mut().iter_mut().zip(values).for_each(|(b, v)| *b = narrow(*v));
    blocks
}
