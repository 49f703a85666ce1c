//! Which values of a kernel are sums of others times constants.

use std::collections::{BTreeMap, BTreeSet};

use nervure_cmvm::Matrix;
use nervure_core::kernel::{Kernel, Op, ValueId};

/// A value that something other than a sum reads.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) value: ValueId,
    /// Of each leaf.
    pub(super) weights: Vec<i64>,
    pub(super) constant: i128,
}

/// Sums that share leaves.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) leaves: Vec<ValueId>,
    pub(super) roots: Vec<Root>,
    /// Bits that its adders span as it stands; a product with a constant is an adder for each digit but one.
    pub(super) bits: u64,
}

/// A sum: weights of leaves, and a constant.
#[derive(Debug, Clone, Default)]
struct Sum {
    weights: BTreeMap<ValueId, i128>,
    constant: i128,
}

impl Sum {
    /// Adds `other * by`; nothing where a number gets too large.
    fn add(mut self, other: &Self, by: i128) -> Option<Self> {
        self.constant = self.constant.checked_add(other.constant.checked_mul(by)?)?;
        for (leaf, w) in &other.weights {
            let sum = self.weights.entry(*leaf).or_default();
            *sum = sum.checked_add(w.checked_mul(by)?)?;
        }
        self.weights.retain(|_, w| *w != 0);
        let fits = |w: &i128| w.unsigned_abs() >> Matrix::MAX_WEIGHT_BITS == 0;
        self.weights.values().all(fits).then_some(self)
    }
}

/// Operands of a sum with their factors, and its constant; nothing for any other operation.
fn sum_of(kernel: &Kernel, id: ValueId) -> Option<(Vec<(ValueId, i128)>, i128)> {
    let constant = |id: ValueId| (kernel.value(id).op == Op::Const).then(|| kernel.value(id).range.lo);
    let parts = match kernel.value(id).op {
        Op::Add(a, b) => (vec![(a, 1), (b, 1)], 0),
        Op::Sub(a, b) => (vec![(a, 1), (b, -1)], 0),
        Op::AddCarry(a, b, c) => (vec![(a, 1), (b, 1), (c, 1)], 0),
        Op::Shl(a, n) => (vec![(a, 1 << n)], 0),
        Op::Complement(a) => (vec![(a, -1)], -1),
        Op::Mul(a, b) => match (constant(a), constant(b)) {
            (_, Some(c)) => (vec![(a, c)], 0),
            (Some(c), _) => (vec![(b, c)], 0),
            _ => return None,
        },
        _ => return None,
    };
    Some(parts)
}

/// The regions of `kernel`.
pub(super) fn regions(kernel: &Kernel) -> Vec<Region> {
    let sums = sums(kernel);
    let mut roots = BTreeSet::new();
    let mut read = |id: ValueId| {
        if sums[id.index()].is_some() {
            roots.insert(id);
        }
    };
    kernel.outputs.iter().for_each(|(_, id)| read(*id));
    kernel.states.iter().for_each(|s| read(s.next));
    for (_, value) in kernel.values.iter().enumerate().filter(|(i, _)| sums[*i].is_none()) {
        value.op.operands().for_each(&mut read);
    }
    let rank = ranks(kernel, &sums);
    let mut group = BTreeMap::new();
    for root in &roots {
        let mut leaves = leaves(&sums, *root).map(|leaf| (rank[root.index()], leaf));
        if let Some(first) = leaves.next() {
            let first = find(&mut group, first);
            for leaf in leaves {
                let other = find(&mut group, leaf);
                group.insert(other, first);
            }
        }
    }
    let mut members: BTreeMap<Ranked, Vec<ValueId>> = BTreeMap::new();
    for root in roots {
        if let Some(leaf) = leaves(&sums, root).next() {
            members.entry(find(&mut group, (rank[root.index()], leaf))).or_default().push(root);
        }
    }
    members.into_values().map(|roots| region(kernel, &sums, &roots)).collect()
}

/// A leaf, as sums of one rank read it.
type Ranked = (u32, ValueId);

fn leaves(sums: &[Option<Sum>], root: ValueId) -> impl Iterator<Item = ValueId> + '_ {
    sums[root.index()].iter().flat_map(|s| s.weights.keys().copied())
}

/// How many sums lie one behind the other before each value. Only sums of one rank may share a region: then no leaf of a
/// region depends on its roots.
fn ranks(kernel: &Kernel, sums: &[Option<Sum>]) -> Vec<u32> {
    let mut rank: Vec<u32> = Vec::with_capacity(sums.len());
    for (i, value) in kernel.values.iter().enumerate() {
        let behind = |o: ValueId| rank[o.index()] + u32::from(sums[i].is_none() && sums[o.index()].is_some());
        rank.push(value.op.operands().map(behind).max().unwrap_or(0));
    }
    rank
}

/// The end of the chain from `id`, with the chain made short.
fn find(group: &mut BTreeMap<Ranked, Ranked>, id: Ranked) -> Ranked {
    let mut end = id;
    while let Some(next) = group.get(&end).filter(|n| **n != end) {
        end = *next;
    }
    let mut at = id;
    while at != end {
        at = group.insert(at, end).unwrap_or(end);
    }
    end
}

/// Each value as a sum of leaves, where it is one.
fn sums(kernel: &Kernel) -> Vec<Option<Sum>> {
    let mut sums: Vec<Option<Sum>> = Vec::with_capacity(kernel.values.len());
    let narrow = |id: ValueId| {
        let r = kernel.value(id).range;
        r.lo.unsigned_abs().max(r.hi.unsigned_abs()) >> Matrix::MAX_INPUT_BITS == 0
    };
    for i in 0..kernel.values.len() {
        let sum = sum_of(kernel, ValueId(i as u32)).and_then(|(parts, constant)| {
            parts.into_iter().try_fold(Sum { constant, ..Sum::default() }, |sum, (id, by)| {
                let value = kernel.value(id);
                let leaf = || {
                    let constant = if value.op == Op::Const { value.range.lo } else { 0 };
                    let weights = (value.op != Op::Const).then_some((id, 1)).into_iter().collect();
                    Sum { weights, constant }
                };
                let part = sums[id.index()].clone().unwrap_or_else(leaf);
                part.weights.keys().all(|l| narrow(*l)).then_some(())?;
                sum.add(&part, by)
            })
        });
        sums.push(sum);
    }
    sums
}

fn region(kernel: &Kernel, sums: &[Option<Sum>], roots: &[ValueId]) -> Region {
    let sum = |id: &ValueId| sums[id.index()].as_ref().expect("roots are sums");
    let leaves: BTreeSet<ValueId> = roots.iter().flat_map(|r| sum(r).weights.keys().copied()).collect();
    let mut inside = BTreeSet::new();
    let mut stack = roots.to_vec();
    while let Some(id) = stack.pop() {
        if sums[id.index()].is_some() && inside.insert(id) {
            stack.extend(sum_of(kernel, id).into_iter().flat_map(|(parts, _)| parts).map(|(id, _)| id));
        }
    }
    let bits = inside.iter().map(|id| {
        let adders = match sum_of(kernel, *id) {
            Some((parts, _)) if parts.len() > 1 => 1,
            Some((parts, _)) => digits(parts[0].1) - 1,
            None => 0,
        };
        u64::from(adders * kernel.value(*id).range.bits())
    });
    let root = |id: &ValueId| Root {
        value: *id,
        weights: leaves.iter().map(|l| sum(id).weights.get(l).copied().unwrap_or(0) as i64).collect(),
        constant: sum(id).constant,
    };
    Region { bits: bits.sum(), roots: roots.iter().map(root).collect(), leaves: leaves.into_iter().collect() }
}

/// Canonical signed digits of a factor that are not zero; at least one.
fn digits(v: i128) -> u32 {
    (v ^ (3 * v)).count_ones().max(1)
}
