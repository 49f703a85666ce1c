//! Fewer helpers: a block as a set of vectors that follow from each other.
//!
//! A set of vectors is a block where each of them follows from the units: where one adder makes it of two that follow,
//! within the levels. Targets are in the set; all others are helpers, and the fewer the better. An attempt takes a
//! helper out, puts a vector in that makes all of those that no longer follow, and then drops helpers that are not
//! needed any more.

use crate::block::{Block, BlockNode, Part};
use crate::lanes::{Lanes, Packed};
use crate::members::{Candidate, Members, NONE};
use crate::random::Random;

/// A block under improvement.
#[derive(Debug)]
pub(crate) struct Refine {
    members: Members,
    /// Scratch: members that do not follow, those that have no other way, a vector to put in, and how many members want which vector in which round.
    broken: Vec<u16>,
    needy: Vec<u16>,
    candidate: Candidate,
    marks: Vec<(u32, u32)>,
    round: u32,
}

/// Attempts end where more members than this have no way without the helper.
const NEEDY: usize = 3;
/// Vectors that an attempt examines, and helpers that it tries to drop.
const TRIES: usize = 4;
const DROPS: usize = 24;
/// Places of marks, in bits.
const MARKS: u32 = 13;

impl Refine {
    pub(crate) fn new(block: &Block, lanes: Lanes, levels: u8) -> Self {
        let mut stays: Vec<bool> = block.nodes.iter().map(|n| n.parts.is_none()).collect();
        block.sums.iter().flatten().for_each(|p| stays[p.node as usize] = true);
        let mut members = Members::new(lanes, levels, block.nodes.len() + 1);
        for (node, stays) in block.nodes.iter().zip(stays) {
            members.insert(node.value, stays, node.parts.map(|parts| parts.map(|p| p.node)));
        }
        Self {
            members,
            broken: Vec::new(),
            needy: Vec::new(),
            candidate: Candidate::default(),
            marks: vec![(0, 0); 1 << MARKS],
            round: 0,
        }
    }

    /// Work that was done.
    pub(crate) const fn work(&self) -> u64 {
        self.members.work
    }

    /// Members that are neither units nor targets.
    pub(crate) fn helpers(&self) -> Vec<u16> {
        let list = &self.members.list;
        self.members.alive.iter().copied().filter(|m| !list[*m as usize].stays).collect()
    }

    /// Drops helpers that are not needed, in a random order.
    pub(crate) fn prune(&mut self, random: &mut Random) {
        let mut order = self.helpers();
        random.shuffle(&mut order);
        for m in order {
            self.drop_one(m);
        }
    }

    /// Drops member `m` unless some have no way without it. True if it is gone.
    fn drop_one(&mut self, m: u16) -> bool {
        self.members.dependants(m, 0, &mut self.needy);
        self.needy.is_empty() && self.take_out(m)
    }

    /// A trial without member `m`; it is real, and `m` gone, if everything follows.
    fn take_out(&mut self, m: u16) -> bool {
        self.members.without(m, &mut self.broken);
        if self.broken.is_empty() {
            self.members.commit();
            self.members.remove(m);
        }
        self.broken.is_empty()
    }

    /// One attempt; there are never more helpers than before.
    pub(crate) fn attempt(&mut self, random: &mut Random) {
        self.members.work += 20;
        let mut helpers = self.helpers();
        if helpers.is_empty() {
            self.members.work += 10_000;
            return;
        }
        let out = helpers.swap_remove(random.below(helpers.len()));
        self.members.dependants(out, NEEDY, &mut self.needy);
        if self.needy.len() > NEEDY || self.take_out(out) {
            return;
        }
        if self.needy.is_empty() {
            // They only have ways with each other.
            self.needy.push(self.broken[random.below(self.broken.len())]);
        }
        let trial = self.members.trial.clone();
        let (broken, needy) = (self.broken.clone(), self.needy.clone());
        for value in self.wanted(&needy, random) {
            if !self.members.examine(value, &mut self.candidate) {
                continue;
            }
            self.members.complete(&mut self.candidate);
            if self.members.closes(&self.candidate, &mut self.broken) {
                self.members.commit();
                self.members.admit(std::mem::take(&mut self.candidate), false);
                self.members.remove(out);
                random.shuffle(&mut helpers);
                helpers.truncate(DROPS);
                for m in helpers {
                    self.drop_one(m);
                }
                return;
            }
            self.members.trial.clone_from(&trial);
            self.broken.clone_from(&broken);
        }
    }

    /// Some vectors that make each of `members` together with one that follows, and that may be in reach.
    fn wanted(&mut self, members: &[u16], random: &mut Random) -> Vec<Packed> {
        let set = &mut self.members;
        let lanes = set.lanes;
        let mut found = Vec::new();
        let mut first = random.below(set.alive.len());
        for (n, e) in members.iter().enumerate() {
            let (last, target) = (n + 1 == members.len(), set.list[*e as usize].value);
            self.round += 1;
            for _ in 0..set.alive.len() {
                first = (first + 1) % set.alive.len();
                let a = set.alive[first] as usize;
                if set.trial[a] >= set.levels {
                    continue;
                }
                let (x, doublings) = (set.list[a].value, set.list[a].doublings);
                set.work += u64::from(doublings + 1);
                let both = (0..=doublings).flat_map(|s| [target + (x << s), target - (x << s)]);
                for y in both.filter(|y| *y != 0 && lanes.holds(*y)) {
                    let value = lanes.normal(y).0;
                    if members.len() > 1 {
                        let mark = &mut self.marks[place(value)];
                        let before = n == 0 || *mark == (value as u32, self.round - 1);
                        if before {
                            *mark = (value as u32, self.round);
                        }
                        if !before || !last {
                            continue;
                        }
                    }
                    if set.is_near(value) && set.find(value).is_none() {
                        found.push(value);
                        if found.len() == TRIES {
                            return found;
                        }
                    }
                }
            }
        }
        found
    }

    /// The block again, with the sums of `old`.
    pub(crate) fn block(self, old: &Block) -> Block {
        let set = &self.members;
        let mut order = set.alive.clone();
        order.sort_by_key(|m| (set.list[*m as usize].depth, *m));
        let mut name = vec![0u16; set.list.len()];
        let mut nodes = Vec::new();
        for m in order {
            name[m as usize] = nodes.len() as u16;
            let member = &set.list[m as usize];
            assert!(member.depth != NONE, "every attempt keeps a block");
            let parts =
                (member.depth > 0).then(|| self.parts(m).map(|p| Part { node: name[p.node as usize], ..p }));
            nodes.push(BlockNode::new(member.value, parts));
        }
        let member = |p: &Part| set.find(old.nodes[p.node as usize].value).expect("it stays");
        let moved = |p: &Part| Part { node: name[member(p) as usize], ..*p };
        let sums: Vec<Vec<Part>> = old.sums.iter().map(|s| s.iter().map(moved).collect()).collect();
        let gone = (old.nodes.len() - nodes.len()).min(old.adders);
        Block { adders: old.adders - gone, nodes, sums, work: self.work() }
    }

    /// The parts of member `m`, with the smallest shifts.
    fn parts(&self, m: u16) -> [Part; 2] {
        let (set, [a, b]) = (&self.members, self.members.way(m));
        let value = |m: u16| set.list[m as usize].value;
        let tries = [(a, b, false), (a, b, true), (b, a, false), (b, a, true)].into_iter().filter_map(|t| {
            let (a, b, negative) = t;
            let rest = if negative { value(m) + value(a) } else { value(m) - value(a) };
            let (odd, shift, minus) = set.lanes.normal(rest);
            let other = Part { node: b, shift, negative: minus };
            (odd == value(b)).then_some([Part { node: a, shift: 0, negative }, other])
        });
        tries.min_by_key(|parts| parts[1].shift).expect("the way was listed")
    }
}

/// The mark of `value`.
const fn place(value: Packed) -> usize {
    ((value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - MARKS)) as usize
}
