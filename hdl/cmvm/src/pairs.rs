//! Two-term common sub-expressions, greedily: while some pair of terms occurs in several places, it becomes a node.
//!
//! A pair is two nodes, the distance of their shifts, and whether their signs differ. All pairs of all sums are counted
//! once; a substitution changes the counts of the terms that it touches and no others.
//!
//! Source: Hartley, IEEE Trans. Circuits and Systems II 43(10), 1996 (two-term patterns of canonical digits); Hosangadi,
//! Fallah, Kastner, ASAP 2004 (linear systems); Sun et al., arXiv 2507.04535 (weights by overlap, levels as a limit).

use crate::Term;
use crate::draft::Draft;
use crate::random::Random;
use crate::table::Table;

/// Candidates of equal count that are compared with each other.
const LOOK: usize = 8;

/// The terms of one node in a sum: bit n of `plus` is `+ node * 2^n`.
#[derive(Debug, Clone, Copy)]
struct Entry {
    node: u32,
    plus: u64,
    minus: u64,
}

/// A kind of pair: `i * 2^s` and `j * 2^(s + distance)`, `i <= j`.
#[derive(Debug, Clone, Copy)]
struct Pair {
    i: u32,
    j: u32,
    distance: i32,
    opposite: bool,
}

impl Pair {
    fn of(a: Term, b: Term) -> Self {
        let (a, b) = if (a.node, a.shift) <= (b.node, b.shift) { (a, b) } else { (b, a) };
        let distance = i32::from(b.shift) - i32::from(a.shift);
        Self { i: a.node, j: b.node, distance, opposite: a.negative != b.negative }
    }

    const fn key(self) -> u64 {
        (self.i as u64) << 40
            | (self.j as u64) << 16
            | ((self.distance + 128) as u64) << 1
            | self.opposite as u64
    }

    const fn from_key(key: u64) -> Self {
        Self {
            i: (key >> 40) as u32,
            j: (key >> 16) as u32 & 0xff_ffff,
            distance: (key >> 1 & 0x7fff) as i32 - 128,
            opposite: key & 1 != 0,
        }
    }

    /// The pair at its lowest place.
    fn terms(self) -> (Term, Term) {
        let (s, t) = if self.distance < 0 { (-self.distance, 0) } else { (0, self.distance) };
        let term = |node, shift: i32, negative| Term { node, shift: shift as u8, negative };
        (term(self.i, s, false), term(self.j, t, self.opposite))
    }
}

struct Sharing<'d> {
    draft: &'d mut Draft,
    sums: Vec<Vec<Entry>>,
    /// Levels in units of Kraft's inequality that each sum can still waste.
    slack: Vec<u64>,
    /// For each node the sums that have or had it, a bit each.
    holders: Vec<Vec<u64>>,
    counts: Table,
    /// Pairs by count; an old count is noticed when it is looked at.
    buckets: Vec<Vec<u64>>,
    work: u64,
}

/// Makes nodes of all pairs that occur more than once, as long as every sum stays within its levels. Returns work done.
pub(crate) fn share(draft: &mut Draft, random: &mut Random) -> u64 {
    let mut sharing = Sharing::new(draft);
    while let Some(pair) = sharing.choose(random) {
        sharing.substitute(pair);
    }
    sharing.finish()
}

impl<'d> Sharing<'d> {
    fn new(draft: &'d mut Draft) -> Self {
        let slack = (0..draft.sums.len()).map(|e| {
            let slots = draft.slots(e);
            slots.next_power_of_two().max(1 << draft.sums[e].levels) - slots
        });
        let slack = slack.collect();
        let terms: Vec<Vec<Term>> = draft.sums.iter_mut().map(|s| std::mem::take(&mut s.terms)).collect();
        let total: usize = terms.iter().map(Vec::len).sum();
        let words = terms.len().div_ceil(64);
        let mut sharing = Self {
            sums: vec![Vec::new(); terms.len()],
            slack,
            holders: vec![vec![0; words]; draft.nodes.len()],
            counts: Table::new(total * 16),
            buckets: Vec::new(),
            work: 0,
            draft,
        };
        for (e, terms) in terms.into_iter().enumerate() {
            for term in terms {
                sharing.insert(e, term);
            }
        }
        sharing
    }

    fn find(&self, e: usize, node: u32) -> Result<usize, usize> {
        self.sums[e].binary_search_by_key(&node, |x| x.node)
    }

    /// Changes the counts of all pairs of `term` with sum `e`, which does not hold it now.
    fn count(&mut self, e: usize, term: Term, up: bool) {
        for entry in &self.sums[e] {
            for (mask, negative) in [(entry.plus, false), (entry.minus, true)] {
                let mut rest = mask;
                while rest != 0 {
                    let shift = rest.trailing_zeros() as u8;
                    rest &= rest - 1;
                    self.work += 1;
                    let key = Pair::of(term, Term { node: entry.node, shift, negative }).key();
                    let count = self.counts.entry(key);
                    if up {
                        *count += 1;
                        let n = *count as usize;
                        if n >= 2 {
                            if self.buckets.len() <= n {
                                self.buckets.resize(n + 1, Vec::new());
                            }
                            self.buckets[n].push(key);
                        }
                    } else {
                        *count -= 1;
                    }
                }
            }
        }
    }

    /// Adds `term` to sum `e`; two of the same make one of twice the value, opposites vanish.
    fn insert(&mut self, e: usize, mut term: Term) {
        while let Ok(at) = self.find(e, term.node) {
            let (bit, entry) = (1u64 << term.shift, &mut self.sums[e][at]);
            let (same, other) =
                if term.negative { (entry.minus, entry.plus) } else { (entry.plus, entry.minus) };
            if other & bit != 0 {
                return self.remove(e, Term { negative: !term.negative, ..term });
            }
            if same & bit == 0 {
                break;
            }
            self.remove(e, term);
            term.shift += 1;
        }
        self.count(e, term, true);
        let at = match self.find(e, term.node) {
            Ok(at) => at,
            Err(at) => {
                self.sums[e].insert(at, Entry { node: term.node, plus: 0, minus: 0 });
                at
            }
        };
        let entry = &mut self.sums[e][at];
        *(if term.negative { &mut entry.minus } else { &mut entry.plus }) |= 1 << term.shift;
        self.holders[term.node as usize][e / 64] |= 1 << (e % 64);
    }

    fn remove(&mut self, e: usize, term: Term) {
        let at = self.find(e, term.node).expect("the sum has the term");
        let entry = &mut self.sums[e][at];
        *(if term.negative { &mut entry.minus } else { &mut entry.plus }) &= !(1 << term.shift);
        if entry.plus | entry.minus == 0 {
            self.sums[e].remove(at);
        }
        self.count(e, term, false);
    }

    /// Where `pair` occurs in sum `e`: shifts of its first node where both signs are as they stand, and where they are
    /// reversed.
    fn places(&self, e: usize, pair: Pair) -> (u64, u64) {
        let (Ok(a), Ok(b)) = (self.find(e, pair.i), self.find(e, pair.j)) else { return (0, 0) };
        let (a, b) = (self.sums[e][a], self.sums[e][b]);
        let back = |m: u64| if pair.distance >= 0 { m >> pair.distance } else { m << -pair.distance };
        let (plus, minus) = if pair.opposite { (b.minus, b.plus) } else { (b.plus, b.minus) };
        (a.plus & back(plus), a.minus & back(minus))
    }

    /// Sums that may hold both nodes of `pair`.
    fn holders(&self, pair: Pair) -> Vec<usize> {
        let (a, b) = (&self.holders[pair.i as usize], &self.holders[pair.j as usize]);
        let mut list = Vec::new();
        for (w, (a, b)) in a.iter().zip(b).enumerate() {
            let mut rest = a & b;
            while rest != 0 {
                list.push(w * 64 + rest.trailing_zeros() as usize);
                rest &= rest - 1;
            }
        }
        list
    }

    /// What one substitution of `pair` wastes of a sum's slack.
    fn waste(&self, pair: Pair) -> u64 {
        let depth = |node: u32| self.draft.nodes[node as usize].depth;
        let (a, b) = (depth(pair.i), depth(pair.j));
        (1 << a.max(b)) - (1 << a.min(b))
    }

    /// Whether at least two substitutions of `pair` are within the levels.
    fn allowed(&self, pair: Pair) -> bool {
        let waste = self.waste(pair);
        if waste == 0 {
            return true;
        }
        let mut found = 0;
        for e in self.holders(pair) {
            let (plus, minus) = self.places(e, pair);
            let n = u64::from(plus.count_ones() + minus.count_ones());
            found += n.min(self.slack[e] / waste);
            if found >= 2 {
                return true;
            }
        }
        false
    }

    /// A pair of the highest count; of several, one whose operands overlap most: their sum grows least.
    fn choose(&mut self, random: &mut Random) -> Option<Pair> {
        while self.buckets.len() > 2 {
            let n = self.buckets.len() - 1;
            let mut found: Vec<(u64, Pair, u64)> = Vec::new();
            while found.len() < LOOK && !self.buckets[n].is_empty() {
                let at = random.below(self.buckets[n].len());
                let key = self.buckets[n].swap_remove(at);
                let count = self.counts.get(key) as usize;
                self.work += 1;
                if count < n && count >= 2 {
                    self.buckets[count].push(key);
                }
                let pair = Pair::from_key(key);
                if count == n && !found.iter().any(|f| f.0 == key) && self.allowed(pair) {
                    let score = self.overlap(pair);
                    found.push((key, pair, score));
                }
            }
            let best = found.iter().enumerate().max_by_key(|(i, f)| (f.2, usize::MAX - i)).map(|(i, _)| i);
            if let Some(best) = best {
                let (_, pair, _) = found.swap_remove(best);
                self.buckets[n].extend(found.iter().map(|f| f.0));
                return Some(pair);
            }
            self.buckets.pop();
        }
        None
    }

    /// Bits that both operands have, of all bits that either has, in 1024ths.
    fn overlap(&self, pair: Pair) -> u64 {
        let (a, b) = pair.terms();
        let top = |t: Term| u64::from(self.draft.nodes[t.node as usize].range.bits()) + u64::from(t.shift);
        let (low, high) = (a.shift.max(b.shift).into(), top(a).min(top(b)));
        high.saturating_sub(low) * 1024 / top(a).max(top(b))
    }

    fn substitute(&mut self, pair: Pair) {
        let waste = self.waste(pair);
        let (a, b) = pair.terms();
        let sum = self.draft.add(a, b);
        while self.holders.len() < self.draft.nodes.len() {
            let words = self.sums.len().div_ceil(64);
            self.holders.push(vec![0; words]);
        }
        for e in self.holders(pair) {
            let (mut plus, mut minus) = self.places(e, pair);
            while plus | minus != 0 && self.slack[e] >= waste {
                let at = (plus | minus).trailing_zeros() as u8;
                let negative = plus >> at & 1 == 0;
                let by = at - a.shift;
                let moved = |t: Term| Term { shift: t.shift + by, negative: t.negative != negative, ..t };
                self.remove(e, moved(a));
                self.remove(e, moved(b));
                self.insert(e, moved(sum));
                self.slack[e] -= waste;
                if pair.i == pair.j {
                    // Its places overlap each other: look again.
                    (plus, minus) = self.places(e, pair);
                } else {
                    let others = !(1u64 << at);
                    (plus, minus) = (plus & others, minus & others);
                }
            }
        }
    }

    fn finish(self) -> u64 {
        for (sum, entries) in self.draft.sums.iter_mut().zip(&self.sums) {
            for entry in entries {
                for (mask, negative) in [(entry.plus, false), (entry.minus, true)] {
                    let bits = (0..64u8).filter(|n| mask >> n & 1 == 1);
                    sum.terms.extend(bits.map(|shift| Term { node: entry.node, shift, negative }));
                }
            }
        }
        self.work
    }
}
