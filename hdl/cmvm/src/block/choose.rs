//! What to make next, where no target is in reach.

use super::Making;
use crate::lanes::Packed;

/// Candidates that are compared with each other.
const LOOK: usize = 4;
/// Nodes to come that are counted at most.
const AHEAD: usize = 24;

impl Making<'_> {
    /// The vector in reach that most targets want, if these are at least `least`. Of several, the one that brings most
    /// targets into reach, with those that its own targets bring.
    pub(super) fn most_wanted(&mut self, least: usize) -> Option<Packed> {
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
    pub(super) fn best_pair(&mut self) -> Option<(Packed, usize)> {
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
}
