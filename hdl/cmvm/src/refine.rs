//! Fewer helpers: a block as a set of vectors that follow from each other.
//!
//! A set of vectors is a block where each of them follows from the units: where one adder makes it of two that follow,
//! within the levels. Targets are in the set; all others are helpers, and the fewer the better. An attempt takes a
//! helper out, puts a random vector in that makes one of those that no longer follow, and then drops all helpers that
//! are not needed any more. All ways to make a vector of two others are listed, so that an attempt is cheap.

use crate::block::{Block, BlockNode, Part};
use crate::lanes::{Lanes, Packed};
use crate::random::Random;
use crate::reach::Reach;

/// One vector of the set.
#[derive(Debug)]
struct Member {
    value: Packed,
    doublings: u8,
    /// Targets and units stay.
    stays: bool,
    /// Pairs of members that one adder makes it of.
    ways: Vec<[u16; 2]>,
}

/// A block under improvement.
#[derive(Debug)]
pub(crate) struct Refine<'t> {
    lanes: Lanes,
    levels: u8,
    units: usize,
    members: Vec<Member>,
    index: &'t mut Reach,
    /// Depth of each member, as far as it follows.
    depth: Vec<u8>,
    /// Scratch: vectors, and how many members want them.
    marks: Vec<(Packed, u8)>,
    pub(crate) work: u64,
}

/// Attempts end where more members than this need another way.
const BROKEN: usize = 3;
/// It does not follow.
const NONE: u8 = u8::MAX;

impl<'t> Refine<'t> {
    pub(crate) fn new(block: &Block, lanes: Lanes, levels: u8, index: &'t mut Reach) -> Self {
        index.clear();
        let units = block.nodes.iter().filter(|n| n.parts.is_none()).count();
        let mut refine = Self {
            lanes,
            levels,
            units,
            members: Vec::new(),
            index,
            depth: Vec::new(),
            marks: Vec::new(),
            work: 0,
        };
        let mut stays = vec![false; block.nodes.len()];
        block.sums.iter().flatten().for_each(|p| stays[p.node as usize] = true);
        stays[..units].fill(true);
        for (node, stays) in block.nodes.iter().zip(stays) {
            refine.insert(node.value, stays);
        }
        for m in units..refine.members.len() {
            refine.members[m].ways = refine.ways(m);
        }
        refine
    }

    /// Members that are neither units nor targets.
    pub(crate) fn helpers(&self) -> usize {
        self.members.iter().filter(|m| !m.stays).count()
    }

    fn insert(&mut self, value: Packed, stays: bool) {
        self.index.entry(value).set_node(self.members.len());
        let doublings = self.lanes.doublings(value);
        self.members.push(Member { value, doublings, stays, ways: Vec::new() });
    }

    /// Vectors that are `of` plus or minus member `m` times a power of two, odd.
    fn rests(&self, of: Packed, m: usize) -> impl Iterator<Item = Packed> + use<> {
        let (x, doublings, lanes) = (self.members[m].value, self.members[m].doublings, self.lanes);
        let both = (0..=doublings).flat_map(move |s| [of + (x << s), of - (x << s)]);
        both.filter(move |y| *y != 0 && lanes.holds(*y)).map(move |y| lanes.normal(y).0)
    }

    /// All ways to make member `m`, whose value may also be a vector that is no member yet.
    fn ways(&mut self, m: usize) -> Vec<[u16; 2]> {
        let mut ways = Vec::new();
        for a in (0..self.members.len()).filter(|a| *a != m) {
            self.work += 2 * u64::from(self.members[a].doublings + 1);
            for rest in self.rests(self.members[m].value, a) {
                // A pair is found from both sides, unless the other is shifted too far.
                if let Some(b) = self.index.get(rest).node().filter(|b| *b as usize != m) {
                    ways.push([a.min(b.into()) as u16, b.max(a as u16)]);
                }
            }
        }
        ways.sort_unstable();
        ways.dedup();
        ways
    }

    /// Works out what follows without member `out`; whether everything does.
    fn follows(&mut self, out: usize) -> bool {
        self.depth.clear();
        self.depth.resize(self.members.len(), NONE);
        self.depth[..self.units].fill(0);
        let mut rest: Vec<usize> = (self.units..self.members.len()).filter(|m| *m != out).collect();
        let mut made = Vec::new();
        for level in 1..=self.levels {
            let (before, depth) = (rest.len(), &self.depth);
            self.work += before as u64;
            made.clear();
            rest.retain(|m| {
                let ready = |way: &[u16; 2]| depth[way[0] as usize] < level && depth[way[1] as usize] < level;
                let now = self.members[*m].ways.iter().any(ready);
                if now {
                    made.push(*m);
                }
                !now
            });
            for m in &made {
                self.depth[*m] = level;
            }
            if rest.is_empty() || made.is_empty() {
                break;
            }
        }
        rest.is_empty()
    }

    /// Takes member `m` out.
    fn remove(&mut self, m: usize) {
        // The last one takes its place.
        let last = self.members.len() - 1;
        self.index.entry(self.members[m].value).clear_node();
        let rename = |n: u16| if n as usize == last { m as u16 } else { n };
        self.members.swap_remove(m);
        if m < last {
            self.index.entry(self.members[m].value).set_node(m);
        }
        for member in &mut self.members {
            member.ways.retain(|w| w[0] as usize != m && w[1] as usize != m);
            for way in &mut member.ways {
                *way = [rename(way[0]), rename(way[1])];
            }
        }
    }

    /// Puts a helper in, if one adder makes it of what follows.
    fn add(&mut self, value: Packed) -> bool {
        let m = self.members.len();
        self.insert(value, false);
        let ways = self.ways(m);
        if !ways.iter().any(|w| w.iter().all(|x| self.depth[*x as usize] < self.levels)) {
            self.index.entry(value).clear_node();
            self.members.pop();
            return false;
        }
        self.members[m].ways = ways;
        for e in self.units..m {
            let doublings = self.members[m].doublings;
            self.work += 2 * u64::from(doublings + 1);
            for rest in self.rests(self.members[e].value, m) {
                if let Some(b) = self.index.get(rest).node().filter(|b| *b as usize != e) {
                    let way = [b.min(m as u16), b.max(m as u16)];
                    if !self.members[e].ways.contains(&way) {
                        self.members[e].ways.push(way);
                    }
                }
            }
        }
        true
    }

    /// Drops helpers that are not needed, in a random order.
    pub(crate) fn prune(&mut self, random: &mut Random) {
        let mut order: Vec<Packed> = self.members.iter().filter(|m| !m.stays).map(|m| m.value).collect();
        random.shuffle(&mut order);
        for value in order {
            let m = self.index.get(value).node().expect("a member") as usize;
            if self.follows(m) {
                self.remove(m);
            }
        }
    }

    /// One attempt; there are never more helpers than before.
    pub(crate) fn attempt(&mut self, random: &mut Random) {
        self.work += 200;
        let helpers: Vec<usize> = (0..self.members.len()).filter(|m| !self.members[*m].stays).collect();
        if helpers.is_empty() {
            self.work += 10_000;
            return;
        }
        let needed = self.needed();
        let least = helpers.iter().map(|h| needed[*h]).min().expect("not empty").max(BROKEN as u16);
        let easy: Vec<usize> = helpers.into_iter().filter(|h| needed[*h] <= least).collect();
        let out = easy[random.below(easy.len())];
        if self.follows(out) {
            self.remove(out);
            return;
        }
        let follows_not = |m: &usize| *m != out && self.depth[*m] == NONE;
        let broken: Vec<usize> = (self.units..self.members.len()).filter(follows_not).collect();
        if broken.len() > BROKEN {
            return;
        }
        let mut values = self.wanted(&broken);
        for _ in 0..4 {
            if values.is_empty() {
                return;
            }
            let value = values.swap_remove(random.below(values.len()));
            if self.index.get(value).node().is_some() || !self.add(value) {
                continue;
            }
            if self.follows(out) {
                self.remove(out);
                self.drop_one(random);
                return;
            }
            self.remove(self.members.len() - 1);
            self.follows(out);
        }
    }

    /// Vectors that make each of `members` together with one that follows.
    fn wanted(&mut self, members: &[usize]) -> Vec<Packed> {
        self.marks.clear();
        self.marks.resize(1 << 13, (0, 0));
        if self.members.len() > 150 && members.len() > 1 {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (round, e) in members.iter().enumerate() {
            let last = round + 1 == members.len();
            for a in 0..self.members.len() {
                if self.depth[a] >= self.levels {
                    continue;
                }
                self.work += 2 * u64::from(self.members[a].doublings + 1);
                for value in self.rests(self.members[*e].value, a) {
                    if members.len() == 1 {
                        found.push(value);
                        continue;
                    }
                    let mut at = ((value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 51) as usize;
                    while self.marks[at].1 != 0 && self.marks[at].0 != value {
                        at = (at + 1) & (self.marks.len() - 1);
                    }
                    let mark = &mut self.marks[at];
                    if round == 0 {
                        *mark = (value, 1);
                    } else if usize::from(mark.1) == round && round > 0 {
                        mark.1 += 1;
                        if last {
                            found.push(value);
                        }
                    }
                }
            }
        }
        found
    }

    /// For each member how many others have no way without it.
    fn needed(&self) -> Vec<u16> {
        let mut needed = vec![0; self.members.len()];
        for member in &self.members[self.units..] {
            if let Some((first, others)) = member.ways.split_first() {
                let [a, b] = *first;
                for x in if a == b { &first[..1] } else { &first[..] } {
                    needed[*x as usize] += u16::from(others.iter().all(|w| w.contains(x)));
                }
            }
        }
        needed
    }

    /// Drops a helper that is not needed any more, if there is one.
    fn drop_one(&mut self, random: &mut Random) {
        let needed = self.needed();
        let free = |m: &usize| !self.members[*m].stays && needed[*m] == 0;
        let mut free: Vec<usize> = (self.units..self.members.len()).filter(free).collect();
        random.shuffle(&mut free);
        if let Some(m) = free.into_iter().find(|m| self.follows(*m)) {
            self.remove(m);
        }
    }

    /// The block again, with the sums of `old`.
    pub(crate) fn block(mut self, old: &Block) -> Block {
        assert!(self.follows(usize::MAX), "every attempt keeps a block");
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        order.sort_by_key(|m| (self.depth[*m], *m));
        let mut name = vec![0u16; order.len()];
        let mut nodes = Vec::new();
        for m in order {
            name[m] = nodes.len() as u16;
            let parts =
                (m >= self.units).then(|| self.parts(m).map(|p| Part { node: name[p.node as usize], ..p }));
            nodes.push(BlockNode::new(self.members[m].value, parts));
        }
        let member = |p: &Part| self.index.get(old.nodes[p.node as usize].value).node().expect("it stays");
        let moved = |p: &Part| Part { node: name[member(p) as usize], ..*p };
        let sums: Vec<Vec<Part>> = old.sums.iter().map(|s| s.iter().map(moved).collect()).collect();
        let gone = (old.nodes.len() - nodes.len()).min(old.adders);
        Block { adders: old.adders - gone, nodes, sums, work: self.work }
    }

    /// The parts of member `m`: least depth, then the smallest shifts.
    fn parts(&self, m: usize) -> [Part; 2] {
        let value = self.members[m].value;
        let ready = |w: &&[u16; 2]| w.iter().all(|x| self.depth[*x as usize] < self.depth[m]);
        let mut best: Option<(u8, [Part; 2])> = None;
        for way in self.members[m].ways.iter().filter(ready) {
            for (a, b) in [(way[0], way[1]), (way[1], way[0])] {
                for shift in 0..=self.members[a as usize].doublings {
                    for negative in [false, true] {
                        let x = self.members[a as usize].value << shift;
                        let rest = if negative { value + x } else { value - x };
                        if rest == 0 || !self.lanes.holds(rest) {
                            continue;
                        }
                        let (odd, up, minus) = self.lanes.normal(rest);
                        if odd == self.members[b as usize].value && best.is_none_or(|(s, _)| shift + up < s) {
                            let other = Part { node: b, shift: up, negative: minus };
                            best = Some((shift + up, [Part { node: a, shift, negative }, other]));
                        }
                    }
                }
            }
        }
        best.expect("a way was listed").1
    }
}
