//! A new node: what comes into reach by it, and what targets want because of it.

use super::{BlockNode, Making, Part};
use crate::lanes::Packed;

impl Making<'_> {
    pub(super) fn value(&self, part: Part) -> Packed {
        let x = self.nodes[part.node as usize].value << part.shift;
        if part.negative { -x } else { x }
    }

    /// Makes a node of `value`, which is in reach, at the least depth.
    pub(super) fn realise(&mut self, value: Packed) {
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

    pub(super) fn insert(&mut self, value: Packed, parts: Option<[Part; 2]>, depth: u8) {
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

    pub(super) fn want(&mut self, t: usize, n: usize) {
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
}
