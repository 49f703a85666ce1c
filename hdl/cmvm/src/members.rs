//! A set of vectors that follow from the units: how each can be made of two others, and how it is made.
//!
//! For each member all its ways are listed. Each member has one way at a time, so that taking one out only touches those
//! whose ways depend on it. Trials change a copy of the depths; a commit makes them real.

use crate::lanes::{Lanes, Packed};

/// A pair of members that one adder makes another of.
pub(crate) type Way = [u16; 2];

/// It does not follow.
pub(crate) const NONE: u8 = u8::MAX;
/// Places of the filter of vectors in reach, in bits.
const NEAR: u32 = 17;

/// One vector of the set.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) value: Packed,
    pub(crate) doublings: u8,
    /// Targets and units stay.
    pub(crate) stays: bool,
    pub(crate) depth: u8,
    /// How it is made; units are not.
    way: Way,
    ways: Vec<Way>,
}

/// A vector that is no member yet: its ways, and for members that follow from it the other one of the pair.
#[derive(Debug, Default)]
pub(crate) struct Candidate {
    value: Packed,
    id: u16,
    way: Way,
    ways: Vec<Way>,
    uses: Vec<Way>,
}

/// The set.
#[derive(Debug)]
pub(crate) struct Members {
    pub(crate) lanes: Lanes,
    pub(crate) levels: u8,
    pub(crate) list: Vec<Member>,
    /// Those in use, and places for others.
    pub(crate) alive: Vec<u16>,
    free: Vec<u16>,
    /// For each member those that have a way with it, a bit each.
    users: Vec<u64>,
    words: usize,
    /// Members by value: open addressing.
    index: Vec<(u32, u16)>,
    /// How many pairs of members make a vector, by a hash of it.
    near: Vec<u8>,
    /// Depths in a trial, new ways, and members whose depths are not as before.
    pub(crate) trial: Vec<u8>,
    ways: Vec<Way>,
    loose: Vec<u16>,
    pub(crate) work: u64,
}

/// Fibonacci hashing (Knuth, volume 3, 6.4).
const fn hash(value: Packed, bits: u32) -> usize {
    ((value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize
}

impl Members {
    /// No members, and room for `most`.
    pub(crate) fn new(lanes: Lanes, levels: u8, most: usize) -> Self {
        let words = most.div_ceil(64);
        Self {
            lanes,
            levels,
            list: Vec::with_capacity(most),
            alive: Vec::with_capacity(most),
            free: Vec::new(),
            users: vec![0; most * words],
            words,
            index: vec![(0, 0); (most * 4).next_power_of_two()],
            near: vec![0; 1 << NEAR],
            trial: vec![NONE; most],
            ways: vec![[0; 2]; most],
            loose: Vec::new(),
            work: 0,
        }
    }

    fn slot(&self, value: Packed) -> usize {
        let mask = self.index.len() - 1;
        let mut at = hash(value, self.index.len().trailing_zeros());
        while self.index[at].0 != value as u32 && self.index[at].0 != 0 {
            at = (at + 1) & mask;
        }
        at
    }

    /// The member of this value.
    pub(crate) fn find(&self, value: Packed) -> Option<u16> {
        let (key, id) = self.index[self.slot(value)];
        (key != 0).then_some(id)
    }

    fn forget(&mut self, value: Packed) {
        let (mask, bits) = (self.index.len() - 1, self.index.len().trailing_zeros());
        let mut hole = self.slot(value);
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let key = self.index[at].0;
            if key == 0 {
                break;
            }
            // It may move down unless its own place is behind the hole.
            let home = hash(key.into(), bits);
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.index[hole] = self.index[at];
                hole = at;
            }
        }
        self.index[hole] = (0, 0);
    }

    /// Whether it may be that one adder makes `value` of two members.
    pub(crate) fn is_near(&self, value: Packed) -> bool {
        self.near[hash(value, NEAR)] != 0
    }

    /// Counts everything that one adder makes of member `m` and any member.
    fn count_near(&mut self, m: u16, by: u8) {
        let lanes = self.lanes;
        let (x, dx) = (self.list[m as usize].value, self.list[m as usize].doublings);
        for other in &self.alive {
            let (y, dy) = (self.list[*other as usize].value, self.list[*other as usize].doublings);
            self.work += u64::from(dx + dy + 1);
            let near = &mut self.near;
            let mut note = |v: Packed| {
                if v != 0 && lanes.holds(v) && lanes.halvings(v) == 0 {
                    let place = &mut near[hash(v.abs(), NEAR)];
                    *place = place.wrapping_add(by);
                }
            };
            for s in 0..=dy {
                note(x + (y << s));
                note(x - (y << s));
            }
            for s in 1..=dx {
                note((x << s) + y);
                note((x << s) - y);
            }
        }
    }

    /// Puts in a vector that stands by itself or follows by `way`.
    pub(crate) fn insert(&mut self, value: Packed, stays: bool, way: Option<Way>) {
        let depth = way.map_or(0, |w| 1 + self.depth(w[0]).max(self.depth(w[1])));
        let mut candidate = Candidate::default();
        self.examine(value, &mut candidate);
        self.complete(&mut candidate);
        candidate.way = way.unwrap_or_default();
        self.trial[candidate.id as usize] = depth;
        self.admit(candidate, stays);
    }

    fn depth(&self, m: u16) -> u8 {
        self.list[m as usize].depth
    }

    /// All ways to `value`, which is no member, and some from it. True if it follows in the trial.
    pub(crate) fn examine(&mut self, value: Packed, found: &mut Candidate) -> bool {
        let id = self.free.last().map_or(self.list.len() as u16, |id| *id);
        (found.value, found.id) = (value, id);
        found.ways.clear();
        found.uses.clear();
        self.work += self.alive.len() as u64 * 3;
        let mut deepest = NONE;
        for m in &self.alive {
            let x = self.list[*m as usize].value;
            // value ± x = b * 2^g: ways to `value`, to `x`, and to `b` if g is zero.
            for sum in [value + x, value - x] {
                let (odd, shift, _) = self.lanes.normal(sum);
                if odd == value {
                    found.uses.push([*m, id]);
                    continue;
                }
                let Some(b) = self.find(odd) else { continue };
                let depth = self.trial[*m as usize].max(self.trial[b as usize]);
                if depth < deepest {
                    (deepest, found.way) = (depth, [*m, b]);
                }
                found.ways.push([*m, b]);
                found.uses.push([*m, b]);
                if shift == 0 {
                    found.uses.push([b, *m]);
                }
            }
        }
        self.trial[id as usize] = deepest.saturating_add(1);
        deepest < self.levels - 1
    }

    /// The other ways from the examined vector: those with its double, and so on.
    pub(crate) fn complete(&mut self, found: &mut Candidate) {
        let (value, id) = (found.value, found.id);
        let doublings = self.lanes.doublings(value);
        self.work += self.alive.len() as u64 * u64::from(doublings);
        for s in 1..=doublings {
            for x in [(value << s) + value, (value << s) - value] {
                if let (true, Some(e)) = (x != value, self.find(x)) {
                    found.uses.push([e, id]);
                }
            }
            for m in &self.alive {
                let x = self.list[*m as usize].value;
                for rest in [x + (value << s), x - (value << s)] {
                    if let Some(b) = self.find(rest.abs()) {
                        found.uses.push([*m, b]);
                    }
                }
            }
        }
    }

    /// Makes the examined vector a member at its depth in the trial.
    pub(crate) fn admit(&mut self, new: Candidate, stays: bool) {
        let Candidate { value, id, way, mut ways, mut uses } = new;
        for way in &mut ways {
            way.sort_unstable();
        }
        ways.sort_unstable();
        ways.dedup();
        uses.sort_unstable();
        uses.dedup();
        let bit = |n: u16| (n as usize / 64, 1u64 << (n % 64));
        for x in ways.iter().flatten() {
            self.users[*x as usize * self.words + bit(id).0] |= bit(id).1;
        }
        for [e, other] in uses {
            if self.list[e as usize].ways.contains(&[id, other]) {
                continue;
            }
            self.list[e as usize].ways.push([id, other]);
            for x in [id, other] {
                self.users[x as usize * self.words + bit(e).0] |= bit(e).1;
            }
        }
        let doublings = self.lanes.doublings(value);
        let member = Member { value, doublings, stays, depth: self.trial[id as usize], way, ways };
        if self.free.pop().is_some() {
            self.list[id as usize] = member;
        } else {
            self.list.push(member);
        }
        self.alive.push(id);
        let at = self.slot(value);
        self.index[at] = (value as u32, id);
        self.count_near(id, 1);
    }

    /// Takes out a member that no way in use needs.
    pub(crate) fn remove(&mut self, m: u16) {
        self.count_near(m, 1u8.wrapping_neg());
        let row = m as usize * self.words;
        for w in 0..self.words {
            let mut rest = std::mem::take(&mut self.users[row + w]);
            while rest != 0 {
                let user = w * 64 + rest.trailing_zeros() as usize;
                rest &= rest - 1;
                self.list[user].ways.retain(|w| !w.contains(&m));
            }
        }
        let (word, bit) = (m as usize / 64, 1u64 << (m % 64));
        self.users.iter_mut().skip(word).step_by(self.words).for_each(|w| *w &= !bit);
        self.forget(self.list[m as usize].value);
        self.list[m as usize].ways.clear();
        let at = self.alive.iter().position(|a| *a == m).expect("it is in use");
        self.alive.swap_remove(at);
        self.free.push(m);
    }

    /// Members all of whose ways are with member `out`; of more than `most`, no more are listed.
    pub(crate) fn dependants(&mut self, out: u16, most: usize, found: &mut Vec<u16>) {
        found.clear();
        for w in 0..self.words {
            let mut rest = self.users[out as usize * self.words + w];
            while rest != 0 {
                let user = (w * 64) as u16 + rest.trailing_zeros() as u16;
                rest &= rest - 1;
                self.work += 1;
                let member = &self.list[user as usize];
                if member.depth > 0 && member.ways.iter().all(|w| w.contains(&out)) {
                    found.push(user);
                    if found.len() > most {
                        return;
                    }
                }
            }
        }
    }

    /// A trial without member `out`: `broken` are those that do not follow any more.
    pub(crate) fn without(&mut self, out: u16, broken: &mut Vec<u16>) {
        for m in &self.alive {
            self.trial[*m as usize] = self.list[*m as usize].depth;
        }
        self.loose.clear();
        self.trial[out as usize] = NONE;
        let (mut at, mut x) = (0, out);
        loop {
            for w in 0..self.words {
                let mut rest = self.users[x as usize * self.words + w];
                while rest != 0 {
                    let user = (w * 64) as u16 + rest.trailing_zeros() as u16;
                    rest &= rest - 1;
                    self.work += 1;
                    let n = user as usize;
                    if self.trial[n] != NONE && self.list[n].depth > 0 && self.list[n].way.contains(&x) {
                        self.trial[n] = NONE;
                        self.loose.push(user);
                    }
                }
            }
            let Some(next) = self.loose.get(at) else { break };
            (at, x) = (at + 1, *next);
        }
        broken.clear();
        broken.extend(&self.loose);
        self.settle(broken);
    }

    /// Lets members of `broken` follow where they can.
    fn settle(&mut self, broken: &mut Vec<u16>) {
        let mut before = usize::MAX;
        while broken.len() < before && !broken.is_empty() {
            before = broken.len();
            let (list, trial, ways, work) = (&self.list, &mut self.trial, &mut self.ways, &mut self.work);
            broken.retain(|m| {
                let member = &list[*m as usize];
                let mut best = NONE;
                let mut look = |way: Way| {
                    let deepest = trial[way[0] as usize].max(trial[way[1] as usize]);
                    if deepest < best {
                        (best, ways[*m as usize]) = (deepest, way);
                    }
                };
                *work += 1 + member.ways.len() as u64 / 2;
                member.ways.iter().for_each(|w| look(*w));
                let follows = best < self.levels;
                if follows {
                    trial[*m as usize] = best + 1;
                }
                !follows
            });
        }
    }

    /// Whether everything follows in the trial if the examined vector, which does, is put in as well.
    pub(crate) fn closes(&mut self, new: &Candidate, broken: &mut Vec<u16>) -> bool {
        let id = new.id;
        let mut before = usize::MAX;
        while broken.len() < before && !broken.is_empty() {
            before = broken.len();
            broken.retain(|m| {
                let deepest = |o: u16| self.trial[id as usize].max(self.trial[o as usize]);
                let others = new.uses.iter().filter(|u| u[0] == *m).map(|u| u[1]);
                let Some(other) = others.min_by_key(|o| deepest(*o)) else { return true };
                let depth = deepest(other).saturating_add(1);
                if depth > self.levels {
                    return true;
                }
                self.trial[*m as usize] = depth;
                self.ways[*m as usize] = [id, other];
                false
            });
            self.settle(broken);
        }
        broken.is_empty()
    }

    /// Makes the trial real.
    pub(crate) fn commit(&mut self) {
        for m in &self.loose {
            let member = &mut self.list[*m as usize];
            member.depth = self.trial[*m as usize];
            member.way = self.ways[*m as usize];
        }
    }

    /// How a member is made.
    pub(crate) fn way(&self, m: u16) -> Way {
        self.list[m as usize].way
    }
}
