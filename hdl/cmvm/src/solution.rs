//! The answer: a flat graph of additions and subtractions, and its proof.

use crate::{Interval, Matrix};

/// A node times a power of two, perhaps negated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term {
    /// Index into [`Solution::nodes`].
    pub node: u32,
    /// Times `2^shift`.
    pub shift: u8,
    /// Times minus one.
    pub negative: bool,
}

impl Term {
    /// Times `2^shift`, and negated if `negative`.
    #[must_use]
    pub(crate) const fn moved(self, shift: u8, negative: bool) -> Self {
        Self { node: self.node, shift: self.shift + shift, negative: self.negative != negative }
    }
}

/// `left + right`. At most `right` is negative, and at least one of the shifts is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Operation {
    /// The first operand, never negative.
    pub left: Term,
    /// The second operand.
    pub right: Term,
}

/// One node of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// What makes it; nothing for an input.
    pub operation: Option<Operation>,
    /// Exactly the values it takes: both ends are reached.
    pub range: Interval,
    /// Adders on the longest way to it.
    pub depth: u32,
}

/// An output: a term, or nothing where it is always zero.
pub type Tap = Option<Term>;

/// A graph whose taps are the outputs of a [`Matrix`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solution {
    /// The inputs, then operations; operands come before their uses.
    pub nodes: Vec<Node>,
    /// One for each output.
    pub taps: Vec<Tap>,
}

/// Where a graph is not its matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The numbers of inputs or outputs differ.
    Shape,
    /// This node has an operand that is no earlier node, or another form than [`Operation`] says.
    Form(usize),
    /// The coefficients of this output are not its column.
    Output(usize),
    /// The range or the depth of this node is not what its operands make it.
    Node(usize),
}

impl Solution {
    /// Number of adders and subtractors.
    pub fn adders(&self) -> usize {
        self.nodes.iter().filter(|n| n.operation.is_some()).count()
    }

    /// Bits that all adders span together.
    pub fn bits(&self) -> u64 {
        let ranges = |t: Term| self.nodes[t.node as usize].range;
        let spans = self.nodes.iter().filter_map(|n| Some(span(n.operation?, ranges, n.range)));
        spans.map(u64::from).sum()
    }

    /// Adders on the longest way from an input to an output.
    pub fn depth(&self) -> u32 {
        self.taps.iter().flatten().map(|t| self.nodes[t.node as usize].depth).max().unwrap_or(0)
    }

    /// Outputs that are a node's negative: each needs a negation where it is used.
    pub fn negations(&self) -> usize {
        self.taps.iter().flatten().filter(|t| t.negative).count()
    }

    /// The outputs for these inputs. Panics where a node leaves its range.
    pub fn eval(&self, x: &[i128]) -> Vec<i128> {
        let mut values: Vec<i128> = Vec::with_capacity(self.nodes.len());
        for (i, node) in self.nodes.iter().enumerate() {
            let at = |t: Term| scaled(values[t.node as usize], t);
            let value = node.operation.map_or_else(|| x[i], |op| at(op.left) + at(op.right));
            assert!((node.range.lo..=node.range.hi).contains(&value), "node {i} is {value}");
            values.push(value);
        }
        self.taps.iter().map(|tap| tap.map_or(0, |t| scaled(values[t.node as usize], t))).collect()
    }

    /// Proves that the graph is `matrix`: follows the coefficients of all inputs through every node, in plain
    /// integers, and compares those of the taps with the columns. Also checks form, ranges and depths.
    pub fn verify(&self, matrix: &Matrix) -> Result<(), Mismatch> {
        let n = matrix.inputs().len();
        if self.nodes.len() < n || self.taps.len() != matrix.outputs() {
            return Err(Mismatch::Shape);
        }
        let mut rows: Vec<i128> = Vec::with_capacity(self.nodes.len() * n);
        for (i, node) in self.nodes.iter().enumerate() {
            let depth = if let Some(op) = node.operation {
                let (a, b) = (op.left, op.right);
                let early = i >= n && (a.node as usize) < i && (b.node as usize) < i;
                if !early || a.negative || a.shift.min(b.shift) != 0 || a.shift.max(b.shift) > 63 {
                    return Err(Mismatch::Form(i));
                }
                for k in 0..n {
                    let row = |t: Term| scaled(rows[t.node as usize * n + k], t);
                    rows.push(row(a) + row(b));
                }
                1 + self.nodes[a.node as usize].depth.max(self.nodes[b.node as usize].depth)
            } else {
                if i >= n {
                    return Err(Mismatch::Form(i));
                }
                rows.extend((0..n).map(|k| i128::from(k == i)));
                0
            };
            if node.range != range(&rows[i * n..], matrix) || node.depth != depth {
                return Err(Mismatch::Node(i));
            }
        }
        for (j, tap) in self.taps.iter().enumerate() {
            let row = |k: usize| tap.map_or(0, |t| scaled(rows[t.node as usize * n + k], t));
            if tap.is_some_and(|t| t.node as usize >= self.nodes.len() || t.shift > 63)
                || matrix.column(j).enumerate().any(|(k, w)| row(k) != i128::from(w))
            {
                return Err(Mismatch::Output(j));
            }
        }
        Ok(())
    }
}

/// `value` as `term` reads it.
const fn scaled(value: i128, term: Term) -> i128 {
    if term.negative { -(value << term.shift) } else { value << term.shift }
}

/// Exactly the values of a sum of independent inputs with these coefficients.
pub(crate) fn range(row: &[i128], matrix: &Matrix) -> Interval {
    let terms = row.iter().zip(matrix.inputs()).map(|(c, x)| x.times(*c));
    terms.fold(Interval::ZERO, Interval::plus)
}

/// Bits that the adder of `op` spans: those below the other operand pass by, unless they are subtracted, and no adder
/// is needed where the operands do not overlap.
pub(crate) fn span(op: Operation, ranges: impl Fn(Term) -> Interval, result: Interval) -> u32 {
    let (low, high) = if op.left.shift == 0 { (op.left, op.right) } else { (op.right, op.left) };
    if low.negative {
        return result.bits();
    }
    let r = ranges(low);
    if !high.negative && r.lo >= 0 && r.bits() <= high.shift.into() {
        return 0;
    }
    result.bits().saturating_sub(high.shift.into()).max(1)
}
