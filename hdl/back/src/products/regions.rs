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
    /// A value itself; nothing if it is too wide.
    fn leaf(kernel: &Kernel, id: ValueId) -> Option<Self> {
        let value = kernel.value(id);
        if value.op == Op::Const {
            return Some(Self { constant: value.range.lo, ..Self::default() });
        }
        let narrow = |v: i128| v.unsigned_abs() >> Matrix::MAX_INPUT_BITS == 0;
        let r = value.range;
        (narrow(r.lo) && narrow(r.hi)).then(|| Self { weights: BTreeMap::from([(id, 1)]), constant: 0 })
    }

    /// Adds `other * by`; changes nothing, and says so, where a number gets too large.
    fn add(&mut self, other: &Self, by: i128) -> bool {
        let sum = |a: i128, b: i128| b.checked_mul(by).and_then(|b| a.checked_add(b));
        let fits = |w: i128| w.unsigned_abs() >> Matrix::MAX_WEIGHT_BITS == 0;
        let weight = |leaf: &ValueId| self.weights.get(leaf).copied().unwrap_or(0);
        let all = other.weights.iter().all(|(leaf, w)| sum(weight(leaf), *w).is_some_and(fits));
        let Some(constant) = sum(self.constant, other.constant).filter(|_| all) else { return false };
        self.constant = constant;
        for (leaf, w) in &other.weights {
            let weight = self.weights.entry(*leaf).or_default();
            *weight += w * by;
            if *weight == 0 {
                self.weights.remove(leaf);
            }
        }
        true
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

/// Which values are sums with a constant that need an adder for it.
pub(super) fn has_constant(kernel: &Kernel) -> Vec<bool> {
    let with = |s: &Option<Sum>| s.as_ref().is_some_and(|s| s.constant != 0 && !s.weights.is_empty());
    sums(kernel).iter().map(with).collect()
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

/// Each value as a sum of leaves, where it is one. Of sums that only other sums read nothing is left but that they are
/// sums: a chain of additions would else take the square of its length.
fn sums(kernel: &Kernel) -> Vec<Option<Sum>> {
    let parts: Vec<_> = (0..kernel.values.len()).map(|i| sum_of(kernel, ValueId(i as u32))).collect();
    // How often sums will read each value; nothing where anything else does.
    let mut reads: Vec<Option<u32>> = vec![Some(0); kernel.values.len()];
    kernel.outputs.iter().for_each(|(_, id)| reads[id.index()] = None);
    kernel.states.iter().for_each(|s| reads[s.next.index()] = None);
    for (value, parts) in kernel.values.iter().zip(&parts) {
        for o in value.op.operands() {
            let n = &mut reads[o.index()];
            *n = if parts.is_some() { n.map(|n| n + 1) } else { None };
        }
    }
    let mut sums: Vec<Option<Sum>> = Vec::with_capacity(kernel.values.len());
    for part in &parts {
        let sum =
            part.as_ref().and_then(|(parts, constant)| sum(kernel, &mut sums, &reads, parts, *constant));
        if sum.is_some() {
            for (id, _) in part.iter().flat_map(|(parts, _)| parts) {
                reads[id.index()] = reads[id.index()].map(|n| n - 1);
                if let (Some(0), Some(sum)) = (reads[id.index()], &mut sums[id.index()]) {
                    *sum = Sum::default();
                }
            }
        }
        sums.push(sum);
    }
    sums
}

/// The sum of `parts` and `constant`.
fn sum(
    kernel: &Kernel,
    sums: &mut [Option<Sum>],
    reads: &[Option<u32>],
    parts: &[(ValueId, i128)],
    constant: i128,
) -> Option<Sum> {
    let length = |id: ValueId| sums[id.index()].as_ref().map_or(1, |s| s.weights.len());
    let longest = (0..parts.len()).max_by_key(|p| length(parts[*p].0))?;
    let (first, by) = parts[longest];
    // The longest part is the start where nothing else reads it, so that a chain grows in place.
    let taken = reads[first.index()] == Some(1) && by == 1 && sums[first.index()].is_some();
    let mut total = Sum::default();
    if taken {
        total = sums[first.index()].as_mut().map(std::mem::take).expect("it is a sum");
    }
    let others = || parts.iter().enumerate().filter(|(p, _)| !taken || *p != longest).map(|(_, part)| *part);
    let constant = Sum { constant, ..Sum::default() };
    let mut add = |id: ValueId, by: i128| match &sums[id.index()] {
        Some(part) => total.add(part, by),
        None => Sum::leaf(kernel, id).is_some_and(|leaf| total.add(&leaf, by)),
    };
    let added = others().take_while(|(id, by)| add(*id, *by)).count();
    if added == others().count() && total.add(&constant, 1) {
        return Some(total);
    }
    // As it was.
    if taken {
        for (id, by) in others().take(added) {
            let part = sums[id.index()].clone().or_else(|| Sum::leaf(kernel, id));
            total.add(&part.expect("it was added"), -by);
        }
        sums[first.index()] = Some(total);
    }
    None
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
