//! Cycles of the layers, exactly.

use super::array::Array;
use super::plan::{Instruction, Program};

/// Cycles before the first read of a layer: its instruction is read, then its counters are set.
const PREPARE: usize = 2;

/// From a window's first read to the cycle in which its sums are written, in the first span: the memory, the turn, the choice
/// and the groups' register; the slot's operand, product and sum; and the sum of the chains where there are several.
pub(super) fn sum_at(array: &Array) -> usize {
    5 + array.chain + usize::from(array.chains() > 1)
}

/// Cycles from a tile's first window on in which the weights of the tile after it would come too early.
pub(super) const fn early(array: &Array) -> usize {
    1 + array.spans() + (array.group - 1) * array.words()
}

/// From a result's read to the cycle in which it is written.
pub(super) const fn finish(rescales: bool) -> usize {
    if rescales { 5 } else { 2 }
}

/// Cycles between the last input and the first output.
pub(super) fn cycles(program: &Program, rescales: bool, array: &Array) -> usize {
    program.list.iter().map(|i| layer(i, rescales, array)).sum()
}

/// The weights of a tile come in `words` cycles, not before those of the last one are in use everywhere; a tile starts with its
/// weights; and the last tile of a group of columns when the results of the group before are finished, where that takes longer
/// than to compute them.
fn layer(i: &Instruction, rescales: bool, array: &Array) -> usize {
    let (mut weights, mut start, mut finished) = (0, 0, 0);
    let tiles = i.tiles.len();
    for tile in 0..tiles * i.groups {
        if tile > 0 {
            weights = (weights + array.words()).max(start + early(array));
            start = (start + i.pixels).max(weights);
        }
        if (tile + 1) % tiles == 0 {
            if array.parts() > 1 {
                start = start.max(finished);
            }
            let parts = if tile + 1 == tiles * i.groups { i.last_parts } else { array.parts() };
            finished = start + sum_at(array) + array.spans() + i.pixels * parts;
        }
    }
    PREPARE + finished + finish(rescales)
}
