//! All the products of a few inputs at once: the vectors of weights that the outputs need, by few adders.
//!
//! A few inputs (a *block*) and one output make a vector of weights. Nodes are odd vectors, at first the units. A vector
//! is *in reach* when one adder makes it from two nodes; a target *wants* a vector when that and one node make the target.
//! Targets in reach are made at once. Else the vector in reach that most targets want becomes a node: one adder brings
//! all of these into reach. Both sets are kept as nodes come and targets go, in one hash table.
//!
//! While targets are further away, each has a sum of terms, at first canonical digits, and the pair of terms that occurs
//! most often competes; new nodes shorten the sums.
//!
//! Source: Voronenko and Püschel, ACM Trans. Algorithms 3(2), 2007 (sets and distances of multiple constant
//! multiplication, `H_cub`); Kumm, Hardieck, Zipf, IEEE Trans. Computers 66(12), 2017 (the same for matrices). That
//! blocks of a few inputs are solved this way is ours, and so is the table.

use crate::digits::canonical;
use crate::lanes::{Lanes, Packed};
use crate::random::Random;
use crate::reach::Reach;

/// A node of a block, times a power of two, perhaps negated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) node: u16,
    pub(crate) shift: u8,
    pub(crate) negative: bool,
}

/// A node of a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockNode {
    pub(crate) value: Packed,
    /// What it is the sum of; nothing for a unit.
    pub(crate) parts: Option<[Part; 2]>,
    doublings: u8,
    depth: u8,
}

impl BlockNode {
    /// A node of a finished block.
    pub(crate) const fn new(value: Packed, parts: Option<[Part; 2]>) -> Self {
        Self { value, parts, doublings: 0, depth: 0 }
    }
}

/// A finished block.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) nodes: Vec<BlockNode>,
    /// For each output the terms that add up to its vector.
    pub(crate) sums: Vec<Vec<Part>>,
    /// Adders: nodes, and those that the sums need for more than one term.
    pub(crate) adders: usize,
    pub(crate) work: u64,
}

/// Candidates that are compared with each other.
const LOOK: usize = 4;
/// Nodes to come that are counted at most.
const AHEAD: usize = 24;

struct Target {
    value: Packed,
    done: bool,
    /// Upper bound of the number of terms; two when it is in reach, three when it wants something in reach.
    terms: usize,
    sum: Vec<Part>,
}

struct Making<'r> {
    lanes: Lanes,
    levels: u8,
    nodes: Vec<BlockNode>,
    targets: Vec<Target>,
    table: &'r mut Reach,
    /// Targets in reach.
    ready: Vec<u16>,
    /// Vectors in reach by the number of targets that want them; an old number is noticed when it is looked at.
    wanted: Vec<Vec<Packed>>,
    random: &'r mut Random,
    work: u64,
}

/// The block of these `columns` (for each output its weights, below `2^bits` in magnitude), no node deeper than `levels`.
pub(crate) fn make(
    columns: &[Vec<i64>],
    lanes: Lanes,
    levels: u8,
    (table, random): (&mut Reach, &mut Random),
) -> Block {
    table.clear();
    let inputs = columns.first().map_or(0, Vec::len);
    let mut making = Making {
        lanes,
        levels,
        nodes: Vec::new(),
        targets: Vec::new(),
        table,
        ready: Vec::new(),
        wanted: Vec::new(),
        random,
        work: 0,
    };
    let needs: Vec<Option<(Packed, u8, bool)>> = columns
        .iter()
        .map(|column| {
            let x = lanes.pack(column.iter().copied());
            (x != 0).then(|| lanes.normal(x))
        })
        .collect();
    for i in 0..inputs {
        let unit = lanes.pack((0..inputs).map(|l| i64::from(l == i)));
        making.insert(unit, None, 0);
    }
    for (value, ..) in needs.iter().flatten() {
        making.aim(*value);
    }
    making.run();
    making.finish(&needs)
}

impl Making<'_> {
    /// Makes `value` a target, unless it is one or is a node.
    fn aim(&mut self, value: Packed) {
        let entry = self.table.entry(value);
        if entry.node().is_some() || entry.target().is_some() {
            return;
        }
        let t = self.targets.len();
        self.targets.push(Target { value, done: false, terms: usize::MAX, sum: Vec::new() });
        entry.set_target(t);
        if entry.reach().is_some() {
            self.ready.push(t as u16);
        }
        let mut sum = Vec::new();
        for (lane, w) in self.lanes.unpack(value).enumerate() {
            let (plus, minus) = canonical(w);
            let digits = (0..64u8).filter(|n| (plus | minus) >> n & 1 == 1);
            sum.extend(digits.map(|shift| Part {
                node: lane as u16,
                shift,
                negative: minus >> shift & 1 == 1,
            }));
        }
        self.targets[t].terms = sum.len();
        self.targets[t].sum = sum;
        for n in 0..self.nodes.len() {
            self.want(t, n);
        }
    }

    fn run(&mut self) {
        loop {
            while let Some(t) = self.ready.pop() {
                let target = &self.targets[t as usize];
                if !target.done {
                    let value = target.value;
                    self.realise(value);
                }
            }
            if self.targets.iter().all(|t| t.done) {
                return;
            }
            let pair = self.best_pair();
            let least = pair.map_or(1, |(_, count)| count);
            if let Some(value) = self.most_wanted(least) {
                self.realise(value);
            } else if let Some((value, _)) = pair {
                self.realise(value);
            } else {
                return;
            }
        }
    }

    /// The vector in reach that most targets want, if these are at least `least`. Of several, the one that brings most
    /// targets into reach, with those that its own targets bring.
    fn most_wanted(&mut self, least: usize) -> Option<Packed> {
        while self.wanted.len() > least.max(1) {
            let n = self.wanted.len() - 1;
            let mut found: Vec<Packed> = Vec::new();
            while found.len() < LOOK && !self.wanted[n].is_empty() {
                let at = self.random.below(self.wanted[n].len());
                let value = self.wanted[n].swap_remove(at);
                self.work += 1;
                let entry = self.table.get(value);
                let count = entry.wants() as usize;
                if entry.node().is_some() || entry.target().is_some() || count == 0 {
                    continue;
                }
                if count < n {
                    self.wanted[count].push(value);
                } else if !found.contains(&value) {
                    found.push(value);
                }
            }
            if found.is_empty() {
                self.wanted.pop();
                continue;
            }
            let best = if found.len() == 1 {
                0
            } else {
                let all: Vec<usize> = found.iter().map(|v| self.brings(*v)).collect();
                (0..found.len()).max_by_key(|i| (all[*i], found.len() - i)).expect("not empty")
            };
            let value = found.swap_remove(best);
            self.wanted[n].extend(found);
            return Some(value);
        }
        None
    }

    /// How many targets would be nodes soon if `value` was one: those in reach then, and those in reach by these.
    fn brings(&mut self, value: Packed) -> usize {
        let mut new = vec![value];
        let mut rest: Vec<usize> = (0..self.targets.len()).filter(|t| !self.targets[*t].done).collect();
        let mut at = 0;
        while at < new.len() && new.len() < AHEAD {
            let x = new[at];
            at += 1;
            let doublings = self.lanes.doublings(x);
            let before = rest.len();
            rest.retain(|t| {
                let target = self.targets[*t].value;
                let near = (0..=doublings).any(|shift| {
                    [target + (x << shift), target - (x << shift)].into_iter().any(|y| {
                        y != 0 && self.lanes.holds(y) && {
                            let (odd, ..) = self.lanes.normal(y);
                            self.table.get(odd).node().is_some() || new.contains(&odd)
                        }
                    })
                });
                if near {
                    new.push(target);
                }
                !near
            });
            self.work += before as u64 * u64::from(doublings + 1);
        }
        new.len()
    }

    /// The pair of terms that occurs most often in sums of four and more terms.
    fn best_pair(&mut self) -> Option<(Packed, usize)> {
        let mut all = Vec::new();
        for target in self.targets.iter().filter(|t| !t.done && t.terms > 3) {
            for (i, a) in target.sum.iter().enumerate() {
                for b in &target.sum[..i] {
                    let deep = 1 + self.nodes[a.node as usize].depth.max(self.nodes[b.node as usize].depth);
                    if deep >= self.levels {
                        continue;
                    }
                    let x = self.value(*a) + self.value(*b);
                    let shift = a.shift.min(b.shift);
                    if x != 0 && self.lanes.holds(x) && self.lanes.halvings(x) == shift.into() {
                        all.push((x >> shift).abs());
                    }
                }
            }
        }
        self.work += all.len() as u64;
        all.sort_unstable();
        let mut best: Option<(Packed, usize)> = None;
        let mut ties = 0;
        for run in all.chunk_by(|a, b| a == b) {
            let entry = self.table.get(run[0]);
            if entry.node().is_some() {
                continue;
            }
            let count = run.len() + entry.wants() as usize;
            let better = best.is_none_or(|(_, most)| count > most);
            ties = if better { 1 } else { ties + usize::from(best.is_some_and(|(_, most)| count == most)) };
            let tie = best.is_some_and(|(_, most)| count == most) && self.random.below(ties) == 0;
            if better || tie {
                best = Some((run[0], count));
            }
        }
        best
    }

    fn value(&self, part: Part) -> Packed {
        let x = self.nodes[part.node as usize].value << part.shift;
        if part.negative { -x } else { x }
    }

    /// Makes a node of `value`, which is in reach, at the least depth.
    fn realise(&mut self, value: Packed) {
        let mut best: Option<(u8, u8, [Part; 2])> = None;
        for n in 0..self.nodes.len() {
            let node = self.nodes[n];
            self.work += u64::from(node.doublings);
            for shift in 0..=node.doublings {
                for negative in [false, true] {
                    let x = node.value << shift;
                    let rest = if negative { value + x } else { value - x };
                    if rest == 0 || !self.lanes.holds(rest) {
                        continue;
                    }
                    let (other, up, minus) = self.lanes.normal(rest);
                    let Some(second) = self.table.get(other).node() else { continue };
                    let depth = 1 + node.depth.max(self.nodes[second as usize].depth);
                    let parts = [
                        Part { node: n as u16, shift, negative },
                        Part { node: second, shift: up, negative: minus },
                    ];
                    if best.is_none_or(|b| (depth, shift + up) < (b.0, b.1)) {
                        best = Some((depth, shift + up, parts));
                    }
                }
            }
        }
        let (depth, _, parts) = best.expect("the vector is in reach");
        self.insert(value, Some(parts), depth);
    }

    fn insert(&mut self, value: Packed, parts: Option<[Part; 2]>, depth: u8) {
        let n = self.nodes.len();
        self.nodes.push(BlockNode { value, parts, doublings: self.lanes.doublings(value), depth });
        let entry = self.table.entry(value);
        let target = entry.target();
        entry.set_node(n);
        if let Some(target) = target {
            self.targets[target as usize].done = true;
            self.forget(target as usize);
        }
        self.extend_reach(n);
        for t in 0..self.targets.len() {
            if !self.targets[t].done {
                if self.targets[t].terms > 3 {
                    self.shorten(t, n);
                }
                self.want(t, n);
            }
        }
    }

    /// Everything that one adder makes of node `n` and any node.
    fn extend_reach(&mut self, n: usize) {
        let new = self.nodes[n];
        for m in 0..=n {
            let old = self.nodes[m];
            let depth = 1 + new.depth.max(old.depth);
            if depth > self.levels {
                continue;
            }
            self.work += 2 * u64::from(new.doublings + old.doublings);
            for shift in 0..=old.doublings {
                self.reach(new.value + (old.value << shift), depth);
                self.reach(new.value - (old.value << shift), depth);
            }
            for shift in 1..=new.doublings {
                self.reach((new.value << shift) + old.value, depth);
                self.reach((new.value << shift) - old.value, depth);
            }
        }
    }

    fn reach(&mut self, x: Packed, depth: u8) {
        if x == 0 || !self.lanes.holds(x) || self.lanes.halvings(x) != 0 {
            return;
        }
        let value = x.abs();
        let entry = self.table.entry(value);
        if entry.reach().is_some_and(|least| least <= depth) {
            return;
        }
        entry.set_reach(depth);
        let wants = entry.wants();
        if let Some(target) = entry.target() {
            self.ready.push(target);
        } else if wants != 0 && depth < self.levels {
            self.offer(value, wants);
        }
    }

    fn offer(&mut self, value: Packed, wants: u16) {
        let n = wants as usize;
        if self.wanted.len() <= n {
            self.wanted.resize(n + 1, Vec::new());
        }
        self.wanted[n].push(value);
    }

    /// The vectors that target `t` wants because of node `n`.
    fn wishes(&self, t: usize, n: usize) -> impl Iterator<Item = Packed> + use<> {
        let (target, node, lanes) = (self.targets[t].value, self.nodes[n], self.lanes);
        let usable = node.depth < self.levels;
        let shifts = if usable { 0..node.doublings + 1 } else { 0..0 };
        shifts
            .flat_map(move |shift| {
                let x = node.value << shift;
                [target + x, target - x].into_iter().filter(move |x| *x != 0 && lanes.holds(*x))
            })
            .map(move |x| lanes.normal(x).0)
    }

    fn want(&mut self, t: usize, n: usize) {
        for value in self.wishes(t, n) {
            self.work += 1;
            let entry = self.table.entry(value);
            entry.want(true);
            let wants = entry.wants();
            if entry.reach().is_some_and(|depth| depth < self.levels) {
                self.targets[t].terms = self.targets[t].terms.min(3);
                self.offer(value, wants);
            }
        }
    }

    /// Takes back all that target `t` wants.
    fn forget(&mut self, t: usize) {
        for n in 0..self.nodes.len() - 1 {
            for value in self.wishes(t, n) {
                self.work += 1;
                self.table.entry(value).want(false);
            }
        }
    }

    /// A shorter sum for target `t` by the new node `n`: the node and canonical digits of what is left, or the node in
    /// place of two terms.
    fn shorten(&mut self, t: usize, n: usize) {
        let node = self.nodes[n];
        let kraft = |making: &Self, sum: &[Part]| -> u64 {
            sum.iter().map(|p| 1u64 << making.nodes[p.node as usize].depth).sum()
        };
        let limit = (1u64 << self.levels).max(kraft(self, &self.targets[t].sum));
        loop {
            let sum = &self.targets[t].sum;
            let found = sum.iter().enumerate().find_map(|(i, a)| {
                sum[..i].iter().enumerate().find_map(|(j, b)| {
                    let x = self.value(*a) + self.value(*b);
                    let shift = a.shift.min(b.shift);
                    (x.abs() == node.value << shift).then_some((i, j, shift, x < 0))
                })
            });
            let Some((i, j, shift, negative)) = found else { break };
            let mut next = sum.clone();
            next.swap_remove(i);
            next.swap_remove(j);
            next.push(Part { node: n as u16, shift, negative });
            if kraft(self, &next) > limit {
                break;
            }
            self.targets[t].terms = self.targets[t].terms.min(next.len());
            self.targets[t].sum = next;
        }
    }

    fn finish(self, needs: &[Option<(Packed, u8, bool)>]) -> Block {
        let mut sums = Vec::new();
        let mut live = vec![false; self.nodes.len()];
        for need in needs {
            let Some((value, shift, negative)) = *need else {
                sums.push(Vec::new());
                continue;
            };
            let entry = self.table.get(value);
            let whole = [Part { node: entry.node().unwrap_or(0), shift: 0, negative: false }];
            let sum = entry.target().map_or(&whole[..], |t| &self.targets[t as usize].sum);
            sum.iter().for_each(|p| live[p.node as usize] = true);
            let moved = |p: &Part| Part { shift: p.shift + shift, negative: p.negative != negative, ..*p };
            sums.push(sum.iter().map(moved).collect());
        }
        for (n, node) in self.nodes.iter().enumerate().rev() {
            if live[n] {
                node.parts.iter().flatten().for_each(|p| live[p.node as usize] = true);
            }
        }
        let mut block = Block { nodes: Vec::new(), sums, adders: 0, work: self.work };
        let mut name = vec![0; self.nodes.len()];
        for (n, node) in self.nodes.iter().enumerate() {
            if live[n] || node.parts.is_none() {
                name[n] = block.nodes.len() as u16;
                let rename = |p: Part| Part { node: name[p.node as usize], ..p };
                block.nodes.push(BlockNode { parts: node.parts.map(|p| p.map(rename)), ..*node });
                block.adders += usize::from(node.parts.is_some());
            }
        }
        for sum in &mut block.sums {
            sum.iter_mut().for_each(|p| p.node = name[p.node as usize]);
        }
        // Equal sums count once: only the first of them is new.
        let mut longer: Vec<&Vec<Part>> = block.sums.iter().filter(|s| s.len() > 1).collect();
        longer.sort();
        longer.dedup();
        block.adders += longer.iter().map(|s| s.len() - 1).sum::<usize>();
        block
    }
}
