//! Products with constants in a kernel, as graphs of adders that they share.
//!
//! Values that are sums of other values times constants make *regions*; what a region reads and is not such a sum is a
//! *leaf*. Regions that share no leaf are solved apart, each matrix once. A region is rewritten where that saves bits of
//! adders; integers are exact throughout, so nothing else changes. Ranges are those of the weights, which are never
//! wider than sums of ranges.
//!
//! Deliberately absent: products of two values, and anything about layers: this is a pass over one graph.

mod regions;
mod rounding;

use std::collections::HashMap;

use nervure_cmvm::{Interval, Matrix, Options, Solution, Term, solve};
use nervure_core::kernel::{Kernel, Op, Range, Value, ValueId};

use regions::{Region, Root, regions};
use rounding::round_sums;

/// Ends of the leaves' ranges, and the weights of all roots.
type Question = (Vec<(i128, i128)>, Vec<i64>);

/// The same kernel with its products with constants as shared adders; regions share the effort by their adders.
pub fn share_constant_products(kernel: &Kernel, options: &Options) -> Kernel {
    let kernel = &round_sums(kernel);
    let mut solved: HashMap<Question, Solution> = HashMap::new();
    let mut rewrite = Rewrite { kernel, values: Vec::new(), new_id: vec![None; kernel.values.len()] };
    let regions = regions(kernel);
    let all = regions.iter().map(|r| r.bits).sum::<u64>().max(1);
    let regions: Vec<(Region, Solution)> = regions
        .into_iter()
        .filter_map(|region| {
            let matrix = matrix(kernel, &region);
            let ends = matrix.inputs().iter().map(|r| (r.lo, r.hi)).collect();
            let weights = region.roots.iter().flat_map(|r| r.weights.iter().copied()).collect();
            let effort = (u128::from(options.effort) * u128::from(region.bits) / u128::from(all)) as u64;
            let options = Options { effort, ..options.clone() };
            let solution = solved.entry((ends, weights)).or_insert_with(|| solve(&matrix, &options));
            (cost(kernel, &region, solution) < region.bits).then(|| (region, solution.clone()))
        })
        .collect();
    if regions.is_empty() {
        return kernel.clone();
    }
    // A region is written where the first of its roots stood: there all its leaves may not be known yet, so values are
    // asked for by need, not in order.
    let mut of_root = HashMap::new();
    for (n, (region, _)) in regions.iter().enumerate() {
        of_root.extend(region.roots.iter().map(|root| (root.value, n)));
    }
    for i in 0..kernel.values.len() {
        let id = ValueId(i as u32);
        let op = kernel.value(id).op;
        let port = matches!(op, Op::Input(_) | Op::State(_) | Op::Param(_) | Op::Word(..));
        let out = kernel.outputs.iter().any(|(_, o)| *o == id) || kernel.states.iter().any(|s| s.next == id);
        if port || out {
            rewrite.value(id, &regions, &of_root);
        }
    }
    rewrite.finish()
}

/// The question that a region asks.
fn matrix(kernel: &Kernel, region: &Region) -> Matrix {
    let inputs = region.leaves.iter().map(|leaf| {
        let r = kernel.value(*leaf).range;
        Interval::new(r.lo, r.hi)
    });
    let weights =
        (0..region.leaves.len()).flat_map(|i| region.roots.iter().map(move |root| root.weights[i])).collect();
    Matrix::new(inputs.collect(), region.roots.len(), weights)
}

/// Bits of all adders of the rewritten region.
fn cost(kernel: &Kernel, region: &Region, solution: &Solution) -> u64 {
    let ends = region
        .roots
        .iter()
        .zip(&solution.taps)
        .filter(|(root, tap)| root.constant != 0 || tap.is_some_and(|t| t.negative));
    solution.bits() + ends.map(|(root, _)| u64::from(kernel.value(root.value).range.bits())).sum::<u64>()
}

/// A kernel in the making.
struct Rewrite<'k> {
    kernel: &'k Kernel,
    values: Vec<Value>,
    new_id: Vec<Option<ValueId>>,
}

impl Rewrite<'_> {
    fn push(&mut self, op: Op, range: Range, frac: i8) -> ValueId {
        let op = if range.lo == range.hi { Op::Const } else { op };
        self.values.push(Value { op, range, frac });
        ValueId(self.values.len() as u32 - 1)
    }

    /// Writes the old value `id` and all that it needs.
    fn value(&mut self, id: ValueId, regions: &[(Region, Solution)], of_root: &HashMap<ValueId, usize>) {
        // By hand, not by recursion: sums can be thousands of values deep.
        let mut stack = vec![id];
        while let Some(&id) = stack.last() {
            if self.new_id[id.index()].is_some() {
                stack.pop();
                continue;
            }
            let region = of_root.get(&id).map(|n| &regions[*n]);
            let needs: Vec<ValueId> = match region {
                Some((region, _)) => region.leaves.clone(),
                None => self.kernel.value(id).op.operands().collect(),
            };
            let missing: Vec<ValueId> =
                needs.into_iter().filter(|o| self.new_id[o.index()].is_none()).collect();
            if !missing.is_empty() {
                stack.extend(missing);
                continue;
            }
            if let Some((region, solution)) = region {
                self.region(region, solution);
            } else {
                let Value { op, range, frac } = *self.kernel.value(id);
                let op = op.map(|o| self.new_id[o.index()].expect("operands are written"));
                self.new_id[id.index()] = Some(self.push(op, range, frac));
            }
        }
    }

    fn region(&mut self, region: &Region, solution: &Solution) {
        let mut ids = Vec::with_capacity(solution.nodes.len());
        for (i, node) in solution.nodes.iter().enumerate() {
            let range = Range { lo: node.range.lo, hi: node.range.hi };
            let id = match node.operation {
                None => {
                    // Inside, everything is an integer.
                    let leaf = self.new_id[region.leaves[i].index()].expect("leaves are written");
                    if self.values[leaf.index()].frac == 0 {
                        leaf
                    } else {
                        self.push(Op::Shl(leaf, 0), range, 0)
                    }
                }
                Some(op) => {
                    let (a, b) = (self.shifted(&ids, op.left), self.shifted(&ids, op.right));
                    self.push(if op.right.negative { Op::Sub(a, b) } else { Op::Add(a, b) }, range, 0)
                }
            };
            ids.push(id);
        }
        for (root, tap) in region.roots.iter().zip(&solution.taps) {
            let id = self.root(root, *tap, &ids);
            self.new_id[root.value.index()] = Some(id);
        }
    }

    /// A node times a power of two.
    fn shifted(&mut self, ids: &[ValueId], term: Term) -> ValueId {
        let id = ids[term.node as usize];
        if term.shift == 0 {
            return id;
        }
        let r = self.values[id.index()].range;
        self.push(Op::Shl(id, term.shift), Range { lo: r.lo << term.shift, hi: r.hi << term.shift }, 0)
    }

    fn root(&mut self, root: &Root, tap: Option<Term>, ids: &[ValueId]) -> ValueId {
        let old = *self.kernel.value(root.value);
        let constant = |this: &mut Self, v: i128| this.push(Op::Const, Range { lo: v, hi: v }, 0);
        let sum = match tap {
            None => constant(self, root.constant),
            Some(tap) => {
                let term = self.shifted(ids, tap);
                let r = self.values[term.index()].range;
                let c = root.constant;
                if tap.negative {
                    let c_id = constant(self, c);
                    self.push(Op::Sub(c_id, term), Range { lo: c - r.hi, hi: c - r.lo }, 0)
                } else if c != 0 {
                    let c_id = constant(self, c);
                    self.push(Op::Add(term, c_id), Range { lo: r.lo + c, hi: r.hi + c }, 0)
                } else {
                    term
                }
            }
        };
        // The author may have promised less than the sum can be.
        let r = self.values[sum.index()].range;
        let range = Range { lo: r.lo.max(old.range.lo), hi: r.hi.min(old.range.hi) };
        if range == r && old.frac == 0 {
            return sum;
        }
        self.push(Op::Shl(sum, 0), range, old.frac)
    }

    fn finish(self) -> Kernel {
        let new_id = self.new_id;
        let new = |id: ValueId| new_id[id.index()].expect("everything that counts is written");
        let mut kernel = Kernel { values: self.values, ..self.kernel.clone() };
        kernel.outputs.iter_mut().for_each(|(_, id)| *id = new(*id));
        kernel.states.iter_mut().for_each(|s| s.next = new(s.next));
        kernel.names.retain(|(id, _)| new_id[id.index()].is_some());
        kernel.names.iter_mut().for_each(|(id, _)| *id = new(*id));
        kernel.remove_dead();
        kernel.validate();
        kernel
    }
}
