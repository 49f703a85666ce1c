//! From what a search found to a draft: nodes that exist, and for each output the sum of its terms.

use crate::block::{self, Block};
use crate::digits::terms;
use crate::draft::{Draft, Sum};
use crate::factor::{COLUMNS, Factor, ROWS};
use crate::gains::Count;
use crate::{Matrix, Term};

/// The canonical digits of `matrix` alone.
pub(crate) fn from_digits(matrix: &Matrix, levels: u32) -> Draft {
    let mut draft = Draft::new(matrix.inputs(), matrix.outputs(), levels);
    for (j, sum) in draft.sums.iter_mut().enumerate() {
        let digits = matrix.column(j).enumerate().flat_map(|(i, w)| terms(i as u32, w));
        sum.terms.extend(digits);
    }
    draft
}

/// Blocks of inputs: their nodes, and for each output its terms in all of them.
pub(crate) fn from_blocks(matrix: &Matrix, levels: u32, groups: &[Vec<usize>], blocks: &[Block]) -> Draft {
    let mut draft = Draft::new(matrix.inputs(), matrix.outputs(), levels);
    for (inputs, block) in groups.iter().zip(blocks) {
        let mut made: Vec<Term> = Vec::with_capacity(block.nodes.len());
        let read = |made: &[Term], p: block::Part| made[p.node as usize].moved(p.shift, p.negative);
        for (i, node) in block.nodes.iter().enumerate() {
            let term = match node.parts {
                None => Term { node: inputs[i] as u32, shift: 0, negative: false },
                Some([a, b]) => draft.add(read(&made, a), read(&made, b)),
            };
            made.push(term);
        }
        for (sum, parts) in draft.sums.iter_mut().zip(&block.sums) {
            sum.terms.extend(parts.iter().map(|p| read(&made, *p)));
        }
    }
    draft
}

/// A product of factors: row parts are nodes, column parts are sums that others add.
pub(crate) fn from_factor<T: Count>(matrix: &Matrix, factor: &Factor<T>) -> Draft {
    let mut draft = Draft::new(matrix.inputs(), 0, 0);
    let input = |i: usize| Term { node: i as u32, shift: 0, negative: false };
    let mut rows: Vec<Term> = (0..factor.lines(ROWS)).map(input).collect();
    draft.sums =
        (0..factor.lines(COLUMNS)).map(|c| Sum { levels: factor.levels[c], ..Sum::default() }).collect();
    for part in &factor.parts {
        let r = part.relation;
        if part.side == ROWS {
            rows[part.line] = draft.add(rows[part.a].moved(r.s, false), rows[part.b].moved(r.t, r.negative));
        } else {
            draft.sums[part.a].others.push(input(part.line).moved(r.s, false));
            draft.sums[part.b].others.push(input(part.line).moved(r.t, r.negative));
        }
    }
    for column in 0..draft.sums.len() {
        for row in factor.filled(COLUMNS, column) {
            let digits = terms(0, factor.at(row, column));
            draft.sums[column].terms.extend(digits.map(|d| rows[row].moved(d.shift, d.negative)));
        }
    }
    draft
}
