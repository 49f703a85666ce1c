//! The same sums as in [`super::sums`], from spikes as bits: four inputs at a time, each group with a row for every pattern of
//! its spikes. A few spikes of one group cost as much as one.
//!
//! Deliberately absent: values that are not spikes, and layers whose tables would not stay in a processor's cache.

use std::ops::{Add, AddAssign};

use nervure_core::simd::{bits, rows};
use nervure_core::{Tensor, vectorised};

use super::Params;
use super::sums::{BLOCK, blocks};

/// Neurons that are summed at once where there are enough of them.
const PAIR: usize = rows::ROW;
/// Inputs of a group.
const GROUP: usize = 4;
/// Spikes of a group: which of its inputs.
const PATTERNS: usize = 1 << GROUP;
/// Rows that are added to each other before they are added to a sum.
const ROWS: usize = rows::SMALL;
/// Rows are added in so many at a time, with empty ones at the end: a processor that guesses the number of rounds is seldom wrong.
const PACE: usize = rows::ROUND;
/// Weights of which 8 bits hold the sum of all in [`ROWS`] rows.
const SMALL: std::ops::RangeInclusive<i64> = -8..=7;
/// Bytes of all tables, at most.
const LIMIT: usize = 1 << 20;
/// Inputs, at most: places of patterns are counted in 16 bits.
const INPUTS: usize = 1 << 14;

/// All tables of a layer, and its currents.
pub(super) struct Tables {
    inputs: Table,
    recurrent: Option<Table>,
    /// What the current begins with, in the first step and in others.
    start: [Vec<[i16; BLOCK]>; 2],
    current: Vec<[i16; BLOCK]>,
    places: Places,
}

/// For each block, or pair of blocks, of neurons a row for each group and pattern.
enum Table {
    Small(Vec<Vec<[i8; BLOCK]>>),
    SmallPairs(Vec<Vec<[i8; PAIR]>>),
    Short(Vec<Vec<[i16; BLOCK]>>),
    ShortPairs(Vec<Vec<[i16; PAIR]>>),
}

impl Tables {
    /// Nothing where the inputs are no spikes, where a current may need more than 16 bits, or where tables would be too large.
    pub(super) fn new(p: &Params, current_bits: u8) -> Option<Self> {
        let spikes = p.element().max() == 1 && !p.element().signed;
        let inputs = p.input.len().max(p.neurons());
        let all = [Some(&p.weights), p.recurrent.as_ref()];
        let weights = || all.into_iter().flatten().flat_map(|t| &t.data);
        let bytes = if weights().all(|w| SMALL.contains(w)) { 1 } else { 2 };
        let size = weights().count() * bytes * PATTERNS / GROUP;
        if !spikes || current_bits > 16 || inputs > INPUTS || size > LIMIT {
            return None;
        }
        let pairs = p.neurons().div_ceil(BLOCK).is_multiple_of(2);
        let table = |weights: &Tensor| match (bytes, pairs) {
            (1, false) => Table::Small(patterns(weights, |w| w as i8)),
            (1, true) => Table::SmallPairs(patterns(weights, |w| w as i8)),
            (_, false) => Table::Short(patterns(weights, |w| w as i16)),
            (_, true) => Table::ShortPairs(patterns(weights, |w| w as i16)),
        };
        Some(Self {
            inputs: table(&p.weights),
            recurrent: p.recurrent.as_ref().map(table),
            start: p.start().map(|start| blocks(&start, |v| v as i16)),
            current: Vec::new(),
            places: Places::default(),
        })
    }

    /// The currents of some steps, each filled up to whole blocks; `previous` is of the first one.
    pub(super) fn integrate(
        &mut self,
        started: bool,
        steps: usize,
        x: &[u64],
        previous: &[u64],
    ) -> &[[i16; BLOCK]] {
        let Self { inputs, recurrent, start, current, places } = self;
        let blocks = start[0].len();
        current.resize(steps * blocks, [0; BLOCK]);
        for (step, current) in current.chunks_mut(blocks).enumerate() {
            current.copy_from_slice(&start[usize::from(started || step > 0)]);
        }
        inputs.add(x, steps, places, current);
        if let Some(recurrent) = recurrent {
            recurrent.add(previous, 1, places, current);
        }
        current
    }
}

impl Table {
    fn add(&self, x: &[u64], steps: usize, places: &mut Places, sums: &mut [[i16; BLOCK]]) {
        places.find(x, steps);
        vectorised(
            #[inline(always)]
            || match self {
                Self::Small(tables) => add(tables, places, sums),
                Self::SmallPairs(tables) => {
                    let sums = sums.as_flattened_mut().as_chunks_mut().0;
                    for (n, table) in tables.iter().enumerate() {
                        rows::add(table, &places.all, &places.ends, sums, n, tables.len());
                    }
                }
                Self::Short(tables) => add(tables, places, sums),
                Self::ShortPairs(tables) => add(tables, places, sums),
            },
        );
    }
}

/// Patterns that are there.
#[derive(Default)]
struct Places {
    all: Vec<u16>,
    /// Where those of each step end.
    ends: Vec<usize>,
}

impl Places {
    fn find(&mut self, x: &[u64], steps: usize) {
        let words = x.len() / steps;
        self.all.resize(x.len() * 64 / GROUP + steps * PACE + bits::SLACK, 0);
        self.ends.clear();
        let mut end = 0;
        for x in x.chunks(words) {
            end += bits::nibbles(x, &mut self.all[end..]);
            // The first row of all is one of no spikes.
            self.all[end..end + PACE].fill(0);
            end = end.next_multiple_of(PACE);
            self.ends.push(end);
        }
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "what is not inlined is not vectorised")]
fn add<W, const N: usize>(tables: &[Vec<[W; N]>], places: &Places, sums: &mut [[i16; BLOCK]])
where
    W: Copy + Add<Output = W>,
    i16: AddAssign + From<W>,
{
    let sums = sums.as_flattened_mut().as_chunks_mut::<N>().0;
    for (n, rows) in tables.iter().enumerate() {
        let mut start = 0;
        for (sum, &end) in sums[n..].iter_mut().step_by(tables.len()).zip(&places.ends) {
            // A copy, which no row can overlap: the compiler need not look.
            let mut total = *sum;
            for some in places.all[start..end].as_chunks::<PACE>().0 {
                for four in some.as_chunks::<ROWS>().0 {
                    let [a, b, c, d] = four.map(
                        #[inline(always)]
                        |place| &rows[usize::from(place)],
                    );
                    for i in 0..N {
                        total[i] += i16::from((a[i] + b[i]) + (c[i] + d[i]));
                    }
                }
            }
            *sum = total;
            start = end;
        }
    }
}

/// Each pattern's row is that of the pattern without its highest spike, and that spike's weights.
fn patterns<W: Copy + Default + Add<Output = W>, const N: usize>(
    weights: &Tensor,
    weight: fn(i64) -> W,
) -> Vec<Vec<[W; N]>> {
    let (n, inputs) = (weights.shape[0], weights.shape[1]);
    let mut blocks = vec![vec![[W::default(); N]; inputs.div_ceil(GROUP) * PATTERNS]; n.div_ceil(N)];
    for (neuron, weights) in weights.rows().enumerate() {
        let block = &mut blocks[neuron / N];
        for (input, w) in weights.iter().enumerate() {
            block[input / GROUP * PATTERNS + (1 << (input % GROUP))][neuron % N] = weight(*w);
        }
    }
    for group in blocks.iter_mut().flat_map(|block| block.chunks_mut(PATTERNS)) {
        for pattern in (3..PATTERNS).filter(|p| !p.is_power_of_two()) {
            let highest = 1 << pattern.ilog2();
            let (rest, alone) = (group[pattern - highest], group[highest]);
            for i in 0..N {
                group[pattern][i] = rest[i] + alone[i];
            }
        }
    }
    blocks
}
