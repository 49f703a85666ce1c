//! A graph in the making: nodes that exist, and outputs that are still sums of many terms.

use std::collections::HashMap;

use crate::solution::{range, span};
use crate::{Interval, Matrix, Node, Operation, Solution, Tap, Term};

/// What is still to be added.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sum {
    pub(crate) terms: Vec<Term>,
    /// Other sums that this one adds: their index in place of a node.
    pub(crate) others: Vec<Term>,
    /// Levels that it may have.
    pub(crate) levels: u32,
}

/// Nodes, and for each output the terms that are still to be added.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// Inputs and operations. Ranges are by interval arithmetic: never too small, exact only when finished.
    pub(crate) nodes: Vec<Node>,
    /// The outputs, then sums that others add.
    pub(crate) sums: Vec<Sum>,
    known: HashMap<Operation, u32>,
}

impl Draft {
    /// The inputs alone, with `outputs` empty sums of `levels`.
    pub(crate) fn new(inputs: &[Interval], outputs: usize, levels: u32) -> Self {
        let node = |range: &Interval| Node { operation: None, range: *range, depth: 0 };
        let nodes = inputs.iter().map(node).collect();
        Self { nodes, sums: vec![Sum { levels, ..Sum::default() }; outputs], known: HashMap::new() }
    }

    pub(crate) fn depth(&self, term: Term) -> u32 {
        self.nodes[term.node as usize].depth
    }

    pub(crate) fn range(&self, term: Term) -> Interval {
        let scale = 1i128 << term.shift;
        self.nodes[term.node as usize].range.times(if term.negative { -scale } else { scale })
    }

    /// Bits that `a + b` would span.
    pub(crate) fn span(&self, a: Term, b: Term) -> u32 {
        let (operation, _) = normal(a, b);
        let result = self.range(operation.left).plus(self.range(operation.right));
        span(operation, |t| self.nodes[t.node as usize].range, result)
    }

    /// The term that is `a + b`, by a new node if there is none yet.
    pub(crate) fn add(&mut self, a: Term, b: Term) -> Term {
        let (operation, outside) = normal(a, b);
        if let Some(node) = self.known.get(&operation) {
            return Term { node: *node, ..outside };
        }
        let Operation { left, right } = operation;
        let range = self.range(left).plus(self.range(right));
        let depth = 1 + self.depth(left).max(self.depth(right));
        let node = self.nodes.len() as u32;
        self.nodes.push(Node { operation: Some(operation), range, depth });
        self.known.insert(operation, node);
        Term { node, ..outside }
    }

    /// What sum `e` takes of `2^levels`, by Kraft's inequality: a term of depth d takes `2^d`.
    pub(crate) fn slots(&self, e: usize) -> u64 {
        let sum = &self.sums[e];
        let terms = sum.terms.iter().map(|t| 1u64 << self.depth(*t));
        terms.chain(sum.others.iter().map(|t| 1u64 << self.sums[t.node as usize].levels)).sum()
    }

    /// The solution with these taps: dead nodes gone, ranges exact.
    pub(crate) fn finish(&self, matrix: &Matrix, taps: &[Tap]) -> Solution {
        let n = matrix.inputs().len();
        let mut live = vec![false; self.nodes.len()];
        live[..n].fill(true);
        taps.iter().flatten().for_each(|t| live[t.node as usize] = true);
        for i in (n..self.nodes.len()).rev().collect::<Vec<_>>() {
            if let (true, Some(op)) = (live[i], self.nodes[i].operation) {
                live[op.left.node as usize] = true;
                live[op.right.node as usize] = true;
            }
        }
        let mut name = vec![u32::MAX; self.nodes.len()];
        let mut nodes = Vec::new();
        let mut rows: Vec<i128> = Vec::new();
        for (i, node) in self.nodes.iter().enumerate().filter(|(i, _)| live[*i]) {
            name[i] = nodes.len() as u32;
            let rename = |t: Term| Term { node: name[t.node as usize], ..t };
            let operation =
                node.operation.map(|op| Operation { left: rename(op.left), right: rename(op.right) });
            for k in 0..n {
                let at = |t: Term| {
                    let c = rows[t.node as usize * n + k] << t.shift;
                    if t.negative { -c } else { c }
                };
                rows.push(operation.map_or_else(|| i128::from(k == i), |op| at(op.left) + at(op.right)));
            }
            let range = range(&rows[nodes.len() * n..], matrix);
            nodes.push(Node { operation, range, depth: node.depth });
        }
        let taps = taps.iter().map(|tap| tap.map(|t| Term { node: name[t.node as usize], ..t })).collect();
        Solution { nodes, taps }
    }
}

/// `a + b` as an operation, and the shift and sign that are outside of it (with no node yet).
fn normal(a: Term, b: Term) -> (Operation, Term) {
    let shift = a.shift.min(b.shift);
    let negative = a.negative && b.negative;
    let inside = |t: Term| Term { node: t.node, shift: t.shift - shift, negative: t.negative && !negative };
    let (mut left, mut right) = (inside(a), inside(b));
    if left.negative || (!right.negative && right < left) {
        (left, right) = (right, left);
    }
    (Operation { left, right }, Term { node: u32::MAX, shift, negative })
}
