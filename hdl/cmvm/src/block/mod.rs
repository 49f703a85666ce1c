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

mod choose;
mod grow;

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
            for p in sum {
                live[p.node as usize] = true;
            }
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
            for p in sum {
                p.node = name[p.node as usize];
            }
        }
        // Equal sums count once: only the first of them is new.
        let mut longer: Vec<&Vec<Part>> = block.sums.iter().filter(|s| s.len() > 1).collect();
        longer.sort();
        longer.dedup();
        block.adders += longer.iter().map(|s| s.len() - 1).sum::<usize>();
        block
    }
}
