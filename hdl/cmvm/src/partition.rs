//! Inputs in blocks: which inputs together, and each block better and better.

use crate::Matrix;
use crate::affinity::arrange;
use crate::block::{Block, make};
use crate::lanes::Lanes;
use crate::random::Random;
use crate::reach::{Entry, Reach};
use crate::refine::Refine;

/// Inputs in groups, and the block of each.
#[derive(Debug)]
pub(crate) struct Partition<'m> {
    matrix: &'m Matrix,
    pub(crate) groups: Vec<Vec<usize>>,
    pub(crate) blocks: Vec<Block>,
    levels: Vec<u8>,
    bits: u32,
    seed: u64,
}

/// A block's number, its inputs, and the block.
type State = (usize, Vec<usize>, Block);

/// What is done to two blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    /// Inputs change places.
    Swap,
    /// Fewer helpers.
    Refine,
}

/// Of the effort, what goes into the choice of groups, in percent.
const SWAPS: u64 = 8;
/// And into a rough choice before.
const ARRANGING: u64 = 8;
/// Larger blocks gain more by further effort: each input more lets one in so many adders go.
const PROMISE: usize = 50;
/// The part of the effort that goes into the trial of one size, in thousandths, and blocks that are tried at most.
const TRIAL: u64 = 15;
const TRIALS: usize = 4;
/// Work that every attempt counts for, at least.
const LEAST: u64 = 1000;
/// The largest blocks.
const MOST: usize = 6;

impl<'m> Partition<'m> {
    /// Blocks of the size that seems best, judged by some blocks of each size; nothing where none is possible.
    pub(crate) fn best(matrix: &'m Matrix, levels: u32, budget: u64, seed: u64) -> Option<Self> {
        let weights = (0..matrix.outputs()).flat_map(|j| matrix.column(j)).map(i64::unsigned_abs);
        // One bit more than the weights: helpers may be larger.
        let bits = 65 - weights.max().filter(|w| *w > 0)?.leading_zeros();
        let inputs = matrix.inputs().len();
        if matrix.outputs() > Entry::MAX_WANTS as usize / 3 {
            return None;
        }
        let sizes = (1..=MOST.min(inputs)).filter(|k| Lanes::new(*k as u32, bits).is_some());
        let mut order: Vec<usize> = (0..inputs).collect();
        Random::new(seed, 0).shuffle(&mut order);
        let grouped = |size: usize| {
            let count = inputs.div_ceil(size);
            let groups = (0..count).map(|g| order.iter().skip(g).step_by(count).copied().collect());
            groups.collect::<Vec<Vec<usize>>>()
        };
        let tried = sizes.map(|k| {
            let groups = grouped(k);
            let count = groups.len();
            let mut tools = (Reach::new(), Random::new(seed, 0));
            let levels = split(levels, count);
            let whole = Self { matrix, levels, groups, blocks: Vec::new(), bits, seed };
            let trials = count.min(TRIALS);
            let (mut adders, mut covered) = (0, 0);
            for g in (0..trials).map(|n| n * count / trials) {
                let group = &whole.groups[g];
                let block = whole.make(g, group, (&mut tools.0, &mut tools.1));
                let used = block.sums.iter().filter(|s| !s.is_empty()).count();
                let mut refine = Refine::new(&block, whole.lanes(group), whole.levels[g]);
                let before = refine.helpers().len();
                while refine.work() < budget * TRIAL / 1000 / trials as u64 {
                    refine.attempt(&mut tools.1);
                }
                // Adders of all blocks, and those between them.
                adders += block.adders + used + refine.helpers().len() - before;
                covered += group.len();
            }
            (adders * inputs * (PROMISE - k) / covered, k)
        });
        let (_, size) = tried.min()?;
        let mut groups = grouped(size);
        let count = groups.len();
        arrange(matrix, bits, &mut groups, budget * ARRANGING / 100, &mut Random::new(seed, 2));
        let mut partition =
            Self { matrix, levels: split(levels, count), groups, blocks: Vec::new(), bits, seed };
        let mut tools = (Reach::new(), Random::new(seed, 1));
        for g in 0..count {
            let block = partition.make(g, &partition.groups[g], (&mut tools.0, &mut tools.1));
            partition.blocks.push(block);
        }
        Some(partition)
    }

    fn lanes(&self, group: &[usize]) -> Lanes {
        Lanes::new(group.len() as u32, self.bits).expect("the size is possible")
    }

    fn make(&self, g: usize, group: &[usize], tools: (&mut Reach, &mut Random)) -> Block {
        make(&columns(self.matrix, group), self.lanes(group), self.levels[g], tools)
    }

    /// Spends `budget` steps: first on groups, then on blocks.
    pub(crate) fn improve(&mut self, budget: u64, threads: usize) {
        let swaps = if self.groups.len() > 1 { budget * SWAPS / 100 } else { 0 };
        let one = self.blocks.iter().map(|b| b.work).max().unwrap_or(0).max(LEAST);
        let pairs = self.groups.len().div_ceil(2) as u64;
        let mut round = 0;
        for (what, budget, tries) in [(Move::Swap, swaps, 4), (Move::Refine, budget - swaps, 64)] {
            // A round gives each pair of blocks some attempts.
            let each = (one * tries * 2).min(budget / pairs);
            let rounds = if each < one { 0 } else { budget / (each * pairs) };
            for _ in 0..rounds {
                round += 1;
                self.round(what, each, round, threads);
            }
        }
    }

    /// Every pair of blocks of a random matching spends `budget` steps.
    fn round(&mut self, what: Move, budget: u64, round: u64, threads: usize) {
        let mut random = Random::new(self.seed, round << 20);
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        random.shuffle(&mut order);
        let pairs: Vec<&[usize]> = order.chunks(2).collect();
        let this = &*self;
        let share = pairs.len().div_ceil(threads.max(1));
        let results: Vec<Vec<State>> = std::thread::scope(|scope| {
            let work = |part: &[&[usize]]| -> Vec<_> {
                let mut table = Reach::new();
                let one = |pair: &&[usize]| this.attempt(pair, what, (budget, round), &mut table);
                part.iter().flat_map(one).collect()
            };
            let mut parts = pairs.chunks(share);
            let first = parts.next().unwrap_or_default();
            let others: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
            let mut all = vec![work(first)];
            all.extend(others.into_iter().map(|t| t.join().expect("no thread panics")));
            all
        });
        for (g, group, block) in results.into_iter().flatten() {
            self.groups[g] = group;
            self.blocks[g] = block;
        }
    }

    /// Attempts on a pair of blocks (or the last one alone), keeping what is not worse.
    fn attempt(
        &self,
        pair: &[usize],
        what: Move,
        (budget, round): (u64, u64),
        table: &mut Reach,
    ) -> Vec<State> {
        let mut random = Random::new(self.seed, (round << 20) + 1 + pair[0] as u64);
        let state = |g: &usize| (*g, self.groups[*g].clone(), self.blocks[*g].clone());
        let mut states: Vec<State> = pair.iter().map(state).collect();
        match (what, &mut states[..]) {
            (Move::Swap, [a, b]) => self.swap(a, b, budget, (table, &mut random)),
            (Move::Swap, _) => {}
            (Move::Refine, states) => {
                let budget = budget / states.len() as u64;
                for (g, group, block) in states {
                    let mut refine = Refine::new(block, self.lanes(group), self.levels[*g]);
                    refine.prune(&mut random);
                    while refine.work() < budget {
                        refine.attempt(&mut random);
                    }
                    *block = refine.block(block);
                }
            }
        }
        states
    }

    /// Lets random inputs of two groups change places.
    fn swap(&self, a: &mut State, b: &mut State, budget: u64, (table, random): (&mut Reach, &mut Random)) {
        let mut spent = 0;
        while spent < budget {
            let (i, j) = (random.below(a.1.len()), random.below(b.1.len()));
            let (mut left, mut right) = (a.1.clone(), b.1.clone());
            std::mem::swap(&mut left[i], &mut right[j]);
            let first = self.make(a.0, &left, (table, random));
            let second = self.make(b.0, &right, (table, random));
            spent += first.work + second.work + LEAST;
            if first.adders + second.adders <= a.2.adders + b.2.adders {
                *a = (a.0, left, first);
                *b = (b.0, right, second);
            }
        }
    }
}

/// For each output the weights of the inputs of `group`.
fn columns(matrix: &Matrix, group: &[usize]) -> Vec<Vec<i64>> {
    (0..matrix.outputs()).map(|j| group.iter().map(|i| matrix.weight(*i, j)).collect()).collect()
}

/// Levels of each of `count` blocks, so that their sum has `levels`.
fn split(levels: u32, count: usize) -> Vec<u8> {
    let all = 1u64 << levels;
    let base = (all / count as u64).max(1).ilog2();
    let deeper = ((all >> base) as usize).saturating_sub(count);
    (0..count).map(|g| (base + u32::from(g < deeper)).min(Entry::MAX_DEPTH.into()) as u8).collect()
}
