//! From a matrix to its best graph: several ways to begin, and then as many attempts as the effort allows.

use crate::assemble::{from_blocks, from_digits, from_factor};
use crate::digits::weight;
use crate::distinct::Distinct;
use crate::draft::Draft;
use crate::factor::Factor;
use crate::gains::Count;
use crate::pairs::share;
use crate::partition::Partition;
use crate::random::Random;
use crate::tree::add_up;
use crate::{Matrix, Solution};

/// What makes one graph better than another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Fewer adders; of these, fewer bits.
    Adders,
    /// Fewer bits that all adders span; of these, fewer adders.
    Bits,
}

/// What a search may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Levels of adders above the fewest that the matrix can have; no limit if absent.
    pub extra_levels: Option<u32>,
    /// Work to spend, in units of about a microsecond of one core. It is counted, not timed: equal efforts give equal
    /// graphs. A first graph is made in any case.
    pub effort: u64,
    /// What is to be small.
    pub cost: Cost,
    /// Chooses among equals.
    pub seed: u64,
    /// Threads; the result does not depend on them.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { extra_levels: None, effort: 2_000_000, cost: Cost::Bits, seed: 0, threads: 1 }
    }
}

/// Levels above the fewest where no limit is given, and the most in any case.
const FREE: u32 = 12;
const MOST: u32 = 40;
/// Steps of work in a microsecond, about.
const STEPS: u64 = 120;
/// A step of a factor in steps of a block: so many, and one more for so many inputs, whose tables miss the cache.
const FACTOR_STEP: u64 = 1;
const FACTOR_STEP_INPUTS: usize = 64;
/// Matrices of more digits are too large for many attempts at a factor as a whole; with the second, for one.
const FACTOR_DIGITS: u32 = 6000;
const FACTOR_ONCE: u32 = 40_000;
/// Effort that one attempt at so many digits is worth.
const ONCE: u64 = 1_000_000;
/// Effort at which small matrices are tried in blocks.
const BLOCKS: u64 = 200_000;
const FACTOR_INPUTS: usize = 128;
const FACTOR_OUTPUTS: usize = 256;
/// Parts that an attempt takes back at most, one step uphill in so many attempts, and how far above the best.
const BACK: usize = 20;
const UPHILL: usize = 4;
const ABOVE: i64 = 3;
/// Parts that are compared for each step of the first attempt.
const FIRST: usize = 4;

/// A graph for `matrix`, proved.
///
/// Panics if the graph were wrong: that is a bug of ours, and no such graph is ever returned.
pub fn solve(matrix: &Matrix, options: &Options) -> Solution {
    let distinct = Distinct::new(matrix);
    let mut solution = search(&distinct.matrix, options);
    solution.taps = distinct.taps(&solution.taps);
    solution.verify(matrix).expect("every step keeps the sums");
    solution
}

fn search(matrix: &Matrix, options: &Options) -> Solution {
    let levels = levels(matrix, options.extra_levels);
    let budget = options.effort.saturating_mul(STEPS);
    let digits: u32 = (0..matrix.outputs()).flat_map(|j| matrix.column(j)).map(weight).sum();
    let fits = digits > 0 && spare(matrix).is_some();
    let small = fits && digits <= FACTOR_DIGITS;
    // Factors have fewer bits than blocks, but of a large matrix more adders.
    let once = fits && digits <= FACTOR_ONCE && options.cost == Cost::Bits && options.effort >= ONCE;
    let factor = small || once;
    // With some effort blocks may have fewer adders.
    let blocks = options.cost == Cost::Adders && options.effort >= BLOCKS;
    let seed = options.seed;
    // Small matrices as factors, twice, or once and once in blocks; large ones in blocks, and where bits count also as a factor.
    let part = if factor { budget / 2 } else { budget };
    let first = || {
        if small && !blocks {
            return Some(factored(matrix, levels, part, (seed, 2)));
        }
        let mut partition = Partition::best(matrix, levels, part, seed)?;
        partition.improve(part, if factor { options.threads.saturating_sub(1) } else { options.threads });
        Some((0, from_blocks(matrix, levels, &partition.groups, &partition.blocks)))
    };
    let second = || factor.then(|| factored(matrix, levels, part, (seed, 1)));
    let drafts = if options.threads > 1 && factor {
        std::thread::scope(|scope| {
            let second = scope.spawn(second);
            [first(), second.join().expect("no thread panics")]
        })
    } else {
        [first(), second()]
    };
    let mut random = Random::new(seed, 0);
    let mut drafts: Vec<(i64, Draft)> = drafts.into_iter().flatten().collect();
    if small && !blocks && options.cost == Cost::Adders {
        // Their adders are known before they are finished.
        drafts.sort_by_key(|(cost, _)| *cost);
        drafts.truncate(1);
    }
    let finished = drafts.into_iter().map(|(_, draft)| finish(matrix, draft, &mut random));
    let mut found: Vec<Solution> = finished.filter(|s| s.depth() <= levels).collect();
    if found.is_empty() {
        found.push(finish(matrix, from_digits(matrix, levels), &mut random));
    }
    let best = found.into_iter().min_by_key(|s| match options.cost {
        Cost::Adders => (s.adders() as u64, s.bits()),
        Cost::Bits => (s.bits(), s.adders() as u64),
    });
    best.expect("one at least")
}

/// Room for new inputs and outputs of a factor; nothing if its tables, which are squares of these, would be too large.
fn spare(matrix: &Matrix) -> Option<[usize; 2]> {
    let (n, m) = (matrix.inputs().len(), matrix.outputs());
    (n <= FACTOR_INPUTS && m <= FACTOR_OUTPUTS).then_some([n * 8 + 8, m * 4 + 8])
}

/// The best of many attempts at a product of factors.
fn factored(matrix: &Matrix, levels: u32, budget: u64, start: (u64, u64)) -> (i64, Draft) {
    let (n, m) = (matrix.inputs().len(), matrix.outputs());
    let digits = |i: usize, j: usize| weight(matrix.weight(i, j));
    let row = (0..n).map(|i| (0..m).map(|j| digits(i, j)).sum::<u32>()).max();
    let column = (0..m).map(|j| (0..n).map(|i| digits(i, j)).sum::<u32>()).max();
    // No part saves more digits than a line has.
    if row.max(column) <= Some(u8::MOST) {
        attempts::<u8>(matrix, levels, budget, start)
    } else {
        attempts::<u16>(matrix, levels, budget, start)
    }
}

fn attempts<T: Count>(matrix: &Matrix, levels: u32, budget: u64, (seed, start): (u64, u64)) -> (i64, Draft) {
    let mut random = Random::new(seed, start);
    let (n, m) = (matrix.inputs().len(), matrix.outputs());
    let weights: Vec<Vec<i64>> = (0..n).map(|i| (0..m).map(|j| matrix.weight(i, j)).collect()).collect();
    let mut factor = Factor::<T>::new(&weights, levels, spare(matrix).expect("the matrix is small"));
    factor.reduce(FIRST, &mut random);
    let step = FACTOR_STEP + (n / FACTOR_STEP_INPUTS) as u64;
    let mut best = factor.cost();
    // The best so far, unless it is how things stand.
    let mut draft = None;
    while factor.work * step < budget && !factor.parts.is_empty() {
        let uphill = i64::from(random.below(UPHILL) == 0);
        let limit = (factor.cost() + uphill).min(best + ABOVE);
        if factor.cost() == best && limit > best && draft.is_none() {
            draft = Some(from_factor(matrix, &factor));
        }
        factor.retry(1 + random.below(BACK), limit, &mut random);
        if factor.cost() < best {
            (best, draft) = (factor.cost(), None);
        }
    }
    (best, draft.unwrap_or_else(|| from_factor(matrix, &factor)))
}

fn finish(matrix: &Matrix, mut draft: Draft, random: &mut Random) -> Solution {
    share(&mut draft, random);
    let taps = add_up(&mut draft);
    draft.finish(matrix, &taps[..matrix.outputs()])
}

/// The limit: the fewest levels that any graph can have, and those on top.
fn levels(matrix: &Matrix, extra: Option<u32>) -> u32 {
    let digits = |j: usize| matrix.column(j).map(weight).sum::<u32>();
    let most = (0..matrix.outputs()).map(digits).max().unwrap_or(0);
    let fewest = most.next_power_of_two().trailing_zeros();
    (fewest + extra.unwrap_or(FREE)).min(MOST)
}
