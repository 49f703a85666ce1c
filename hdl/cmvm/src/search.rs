//! From a matrix to its best graph: several ways to begin, and then as many attempts as the effort allows.

use crate::assemble::{from_blocks, from_digits, from_factor};
use crate::digits::weight;
use crate::draft::Draft;
use crate::factor::Factor;
use crate::pairs::{Rule, share};
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
        Self { extra_levels: None, effort: 2_000_000, cost: Cost::Adders, seed: 0, threads: 1 }
    }
}

/// Steps of work in a microsecond, about.
const STEPS: u64 = 64;
/// A step of a factor in steps of a block.
const FACTOR_STEP: u64 = 6;
/// Matrices of more digits are too large for a factor as a whole.
const FACTOR_DIGITS: u32 = 6000;

/// A graph for `matrix`, proved.
///
/// Panics if the graph were wrong: that is a bug of ours, and no such graph is ever returned.
pub fn solve(matrix: &Matrix, options: &Options) -> Solution {
    let levels = levels(matrix, options);
    let budget = options.effort.saturating_mul(STEPS);
    let digits: u32 = (0..matrix.outputs()).flat_map(|j| matrix.column(j)).map(weight).sum();
    let mut found: Vec<Solution> = Vec::new();
    let mut random = Random::new(options.seed, 0);
    let small = digits <= FACTOR_DIGITS && digits > 0;
    let share_of = if small { budget / 2 } else { budget };
    let mut partition = Partition::best(matrix, levels, options.seed);
    let dbg = std::env::var("DBG").is_ok();
    std::thread::scope(|scope| {
        let factor = small.then(|| scope.spawn(|| factor(matrix, levels, share_of, options.seed)));
        if let Some(partition) = &mut partition {
            partition.improve(share_of, options.threads);
            found.push(finish(matrix, from_blocks(matrix, levels, &partition.groups, &partition.blocks), &mut random));
        }
        if let Some(factor) = factor {
            let f = factor.join().expect("no panic");
            found.push(finish(matrix, f, &mut random));
        }
    });
    if partition.is_none() && !small {
        found.push(finish(matrix, from_digits(matrix, levels), &mut random));
    }
    if dbg { for s in &found { eprint!("{} {} {} | ", s.adders(), s.bits(), s.depth()); } }
    found.retain(|s| s.depth() <= levels);
    if found.is_empty() {
        found.push(finish(matrix, from_digits(matrix, levels), &mut random));
    }
    let best = found.into_iter().min_by_key(|s| if options.cost == Cost::Adders { (s.adders() as u64, s.bits()) } else { (s.bits(), s.adders() as u64) }).expect("one at least");
    best.verify(matrix).expect("every step keeps the sums");
    best
}

fn factor(matrix: &Matrix, levels: u32, budget: u64, seed: u64) -> Draft {
    let mut random = Random::new(seed, 1);
    let (n, m) = (matrix.inputs().len(), matrix.outputs());
    let weights: Vec<Vec<i64>> = (0..n).map(|i| (0..m).map(|j| matrix.weight(i, j)).collect()).collect();
    let mut factor = Factor::new(&weights, levels, [n * 8, m * 4]);
    factor.reduce(&mut random);
    let (mut best, mut draft) = (factor.cost(), from_factor(matrix, &factor));
    let sl: i64 = std::env::var("SL").map_or(2, |r| r.parse().unwrap());
    let pr: usize = std::env::var("PR").map_or(8, |r| r.parse().unwrap());
    while factor.work * FACTOR_STEP < budget && !factor.parts.is_empty() {
        let uphill = i64::from(random.below(pr) == 0);
        let limit = (factor.cost() + uphill).min(best + sl);
        factor.retry(1 + random.below(12), limit, &mut random);
        if factor.cost() < best {
            (best, draft) = (factor.cost(), from_factor(matrix, &factor));
        }
    }
    draft
}

fn finish(matrix: &Matrix, mut draft: Draft, random: &mut Random) -> Solution {
    share(&mut draft, Rule::Overlap, random);
    let taps = add_up(&mut draft);
    draft.finish(matrix, &taps[..matrix.outputs()])
}

/// The limit: the fewest levels that any graph can have, and those on top.
fn levels(matrix: &Matrix, options: &Options) -> u32 {
    let digits = |j: usize| matrix.column(j).map(weight).sum::<u32>();
    let most = (0..matrix.outputs()).map(digits).max().unwrap_or(0);
    let fewest = most.next_power_of_two().trailing_zeros();
    (fewest + options.extra_levels.unwrap_or(8)).min(40)
}
