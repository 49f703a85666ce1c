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
    let levels = levels(matrix, options);
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
