//! Which weights of a block stay: the largest ones.

use super::Pattern;
use super::lines::Line;

/// Sets all weights of `line` to zero but the `n` largest of every `m`; of equals the first stays.
pub(super) fn prune(weights: &mut [i64], line: &Line, pattern: Pattern) {
    for mut block in line.blocks(pattern.m()) {
        // A stable sort: equals keep their order.
        block.sort_by_key(|at| std::cmp::Reverse(weights[*at].unsigned_abs()));
        block.iter().skip(pattern.n()).for_each(|at| weights[*at] = 0);
    }
}
