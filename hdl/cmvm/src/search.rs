//! From a matrix to its best graph.

use crate::digits::{canonical, weight};
use crate::draft::Draft;
use crate::pairs::{Rule, share};
use crate::random::Random;
use crate::tree::add_up;
use crate::{Matrix, Solution, Term};

/// What a search may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Levels of adders above the fewest that the matrix can have; no limit if absent.
    pub extra_levels: Option<u32>,
    /// Work to spend, in units of about a millisecond of one core.
    pub effort: u64,
    /// Chooses among equals.
    pub seed: u64,
    /// Threads; the result does not depend on them.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { extra_levels: None, effort: 1000, seed: 0, threads: 1 }
    }
}

/// A graph for `matrix`, proved.
pub fn solve(matrix: &Matrix, options: &Options) -> Solution {
    let levels = levels(matrix, options);
    if let Ok(f) = std::env::var("F") {
        let f: usize = f.parse().unwrap();
        let mut random = Random::new(options.seed, 0);
        let n = matrix.inputs().len();
        let w: Vec<Vec<i64>> = (0..n).map(|i| (0..matrix.outputs()).map(|j| matrix.weight(i, j)).collect()).collect();
        let t0 = std::time::Instant::now();
        let mut factor = crate::factor::Factor::new(&w, levels, [n * 12, n * 6]);
        let t1 = t0.elapsed();
        factor.reduce(&mut random);
        let t2 = t0.elapsed();
        let c0 = factor.cost() - matrix.outputs() as i64;
        eprint!("new {t1:?} reduce {t2:?} work {} cost {c0} ", factor.work);
        for _ in 0..f {
            factor.retry(1+random.below(6), &mut random);
        }
        eprintln!("lns {:?} work {} cost {} parts {}", t0.elapsed(), factor.work, factor.cost() - matrix.outputs() as i64, factor.parts.len());
    }
    if let Ok(k) = std::env::var("K") {
        let k: usize = k.parse().unwrap();
        let mut random = Random::new(options.seed, 0);
        let n = matrix.inputs().len();
        let most = (0..matrix.outputs()).flat_map(|j| matrix.column(j)).map(i64::abs).max().unwrap();
        let bits = 64 - most.leading_zeros() + 1;
        let mut order: Vec<usize> = (0..n).collect(); if options.seed>0 {random.shuffle(&mut order)};
        let groups: Vec<Vec<usize>> = order.chunks(k).map(<[_]>::to_vec).collect();
        let lv = levels - groups.len().next_power_of_two().trailing_zeros();
        let mut work = 0;
        let mut nodes = 0;
        let blocks: Vec<crate::block::Block> = groups.iter().map(|g| {
            let lanes = crate::lanes::Lanes::new(g.len() as u32, bits).unwrap();
            let cols: Vec<Vec<i64>> = (0..matrix.outputs()).map(|j| g.iter().map(|i| matrix.weight(*i, j)).collect()).collect();
            let mut b = crate::block::make(&cols, &[], lanes, lv as u8, &mut random);
            for _ in 0..std::env::var("L").map_or(0, |l| l.parse().unwrap()) {
                work += b.work;
                let c = crate::block::remake(&b, &cols, lanes, lv as u8, &mut random);
                if c.adders <= b.adders { b = c; }
            }
            work += b.work; nodes += b.adders;
            b
        }).collect();
        let mut draft = crate::assemble::assemble(matrix, groups.iter().map(|g| &g[..]).zip(&blocks));
        let t: usize = draft.sums.iter().map(|s| s.len() - 1).sum();
        share(&mut draft, levels, Rule::Overlap, &mut random);
        let t2: usize = draft.sums.iter().map(|s| s.len() - 1).sum();
        eprintln!("lv {lv} work {work} block adders {nodes} tree {t} {t2}");
        let taps = add_up(&mut draft, levels);
        let solution = draft.finish(matrix, &taps);
        solution.verify(matrix).expect("every step keeps the sums");
        return solution;
    }
    let mut random = Random::new(options.seed, 0);
    let mut draft = Draft::new(matrix.inputs(), matrix.outputs());
    for j in 0..matrix.outputs() {
        for (i, w) in matrix.column(j).enumerate() {
            let (plus, minus) = canonical(w);
            for shift in 0..64 {
                if (plus | minus) >> shift & 1 == 1 {
                    let negative = minus >> shift & 1 == 1;
                    draft.sums[j].push(Term { node: i as u32, shift, negative });
                }
            }
        }
    }
    share(&mut draft, levels, Rule::Overlap, &mut random);
    let taps = add_up(&mut draft, levels);
    let solution = draft.finish(matrix, &taps);
    solution.verify(matrix).expect("every step keeps the sums");
    solution
}

/// The limit: the fewest levels that any graph can have, and those on top.
fn levels(matrix: &Matrix, options: &Options) -> u32 {
    let digits = |j: usize| matrix.column(j).map(weight).sum::<u32>();
    let most = (0..matrix.outputs()).map(digits).max().unwrap_or(0);
    let fewest = most.next_power_of_two().trailing_zeros();
    (fewest + options.extra_levels.unwrap_or(8)).min(40)
}
