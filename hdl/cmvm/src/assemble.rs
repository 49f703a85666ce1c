//! From blocks to a draft: their nodes, and for each output the sum of its terms in all blocks.

use crate::block::{Block, Part};
use crate::draft::Draft;
use crate::{Matrix, Term};

/// A draft of `matrix` from blocks of its inputs.
pub(crate) fn assemble<'b>(matrix: &Matrix, blocks: impl Iterator<Item = (&'b [usize], &'b Block)>) -> Draft {
    let mut draft = Draft::new(matrix.inputs(), matrix.outputs());
    for (inputs, block) in blocks {
        let mut made: Vec<Term> = Vec::with_capacity(block.nodes.len());
        for (i, node) in block.nodes.iter().enumerate() {
            let term = match node.parts {
                None => Term { node: inputs[i] as u32, shift: 0, negative: false },
                Some([a, b]) => draft.add(read(&made, a), read(&made, b)),
            };
            made.push(term);
        }
        for (sum, parts) in draft.sums.iter_mut().zip(&block.sums) {
            sum.extend(parts.iter().map(|p| read(&made, *p)));
        }
    }
    draft
}

fn read(made: &[Term], part: Part) -> Term {
    let term = made[part.node as usize];
    Term { shift: term.shift + part.shift, negative: term.negative != part.negative, ..term }
}
