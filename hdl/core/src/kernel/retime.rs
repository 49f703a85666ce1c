//! Where the registers of a pipeline lie: as few stages as the clock allows, then as few register bits as those stages need.
//!
//! Values are ordered by when they arrive if nothing is registered. A cut in that time registers what is made before it and read
//! after it; the best sequence of cuts is found by dynamic programming. Afterwards single values move to later stages where that
//! saves bits. Deliberately absent: state, which has its place in the first stage ([`Kernel::stages`]).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Kernel, Op, Stages};
use crate::target::Target;

impl Kernel {
    /// Stages of a kernel without state, no slower than `budget_ps` where single operations allow it, and at most `most` of them
    /// even where they are then slower: no more than [`Kernel::stages`] has, with fewer registers.
    pub fn flat_stages(&self, target: &Target, budget_ps: u32, most: u32) -> Stages {
        assert!(self.states.is_empty(), "state stays in the first stage");
        let early = self.stages(target, budget_ps);
        let (budget, early) =
            if early.count <= most { (budget_ps, early) } else { self.relaxed(target, budget_ps, most) };
        let delays: Vec<u32> = self.values.iter().map(|v| self.delay_ps(v, target)).collect();
        let budget = budget.max(delays.iter().copied().max().unwrap_or(0));
        let cut = Cuts::new(self, &delays).best(budget).filter(|s| s.count <= early.count);
        let candidates = [Some(early), cut].into_iter().flatten().map(|mut stages| {
            stages.move_later(self, &delays, budget);
            stages
        });
        candidates.min_by_key(|s| (s.count, s.register_bits(self))).expect("one of them always exists")
    }

    /// The least budget for which there are no more than `most` stages, and those.
    fn relaxed(&self, target: &Target, budget_ps: u32, most: u32) -> (u32, Stages) {
        let (mut few, mut enough) = (budget_ps, self.critical_ps(target, &Stages::combinational(self)));
        while enough - few > 1 {
            let middle = few + (enough - few) / 2;
            if self.stages(target, middle).count <= most {
                enough = middle;
            } else {
                few = middle;
            }
        }
        (enough, self.stages(target, enough))
    }
}

/// What cuts in time cost.
struct Cuts {
    /// When each value arrives.
    arrival: Vec<u32>,
    /// Times at which a cut makes a difference, ascending; 0 is the first.
    times: Vec<u32>,
    /// Bits that a cut just after each of them registers.
    bits: Vec<u64>,
    /// By how much an operation that such a cut would split has begun before it.
    begun: Vec<u32>,
}

impl Cuts {
    fn new(kernel: &Kernel, delays: &[u32]) -> Self {
        let n = kernel.values.len();
        let (mut begin, mut arrival) = (vec![0; n], vec![0; n]);
        for (i, v) in kernel.values.iter().enumerate() {
            begin[i] = v.op.operands().map(|o| arrival[o.index()]).max().unwrap_or(0);
            arrival[i] = begin[i] + delays[i];
        }
        let mut times = arrival.clone();
        times.push(0);
        times.sort_unstable();
        times.dedup();
        let at = |t: u32| times.binary_search(&t).expect("every arrival is a time");
        let mut last_read: Vec<usize> = arrival.iter().map(|t| at(*t)).collect();
        for (i, v) in kernel.values.iter().enumerate() {
            let own = at(arrival[i]);
            v.op.operands().for_each(|o| last_read[o.index()] = last_read[o.index()].max(own));
        }
        kernel.outputs.iter().for_each(|(_, id)| last_read[id.index()] = times.len());
        let mut change = vec![0i64; times.len() + 1];
        for (i, v) in kernel.values.iter().enumerate().filter(|(_, v)| v.op != Op::Const) {
            change[at(arrival[i])] += i64::from(v.range.bits());
            change[last_read[i]] -= i64::from(v.range.bits());
        }
        let bits = change.iter().take(times.len()).scan(0, |sum, c| {
            *sum += c;
            Some(*sum as u64)
        });
        let bits = bits.collect();
        let begun = begun(&times, &begin, &arrival);
        Self { arrival, times, bits, begun }
    }

    /// Fewest stages within `budget`, then fewest bits. Nothing where an operation would be split however it is cut.
    fn best(&self, budget: u32) -> Option<Stages> {
        let last = self.times.len() - 1;
        // Per time: stages and bits up to a cut there, and the cut before it.
        let mut found: Vec<Option<(u32, u64, usize)>> = vec![None; self.times.len()];
        found[0] = Some((0, 0, 0));
        for to in 1..=last {
            let own = if to == last { 0 } else { self.bits[to] };
            let near = (0..to).rev().take_while(|from| self.times[to] - self.times[*from] <= budget);
            let ways = near.filter_map(|from| {
                let begun = if from == 0 { 0 } else { self.begun[from] };
                let (count, bits, _) = found[from]?;
                (self.times[to] - self.times[from] + begun <= budget).then_some((count + 1, bits + own, from))
            });
            found[to] = ways.min();
        }
        let mut cuts = Vec::new();
        let mut at = last;
        while at > 0 {
            at = found[at]?.2;
            cuts.push(self.times[at]);
        }
        cuts.reverse();
        // Cut 0 lies before everything.
        let of: Vec<u32> =
            self.arrival.iter().map(|t| cuts.iter().skip(1).filter(|cut| *cut < t).count() as u32).collect();
        Some(Stages { of, count: (cuts.len() as u32).max(1) })
    }
}

/// Per time: the longest that an operation which ends later has been going on.
fn begun(times: &[u32], begin: &[u32], arrival: &[u32]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..begin.len()).collect();
    order.sort_unstable_by_key(|i| begin[*i]);
    let (mut next, mut open) = (order.into_iter().peekable(), BinaryHeap::new());
    let mut longest = Vec::with_capacity(times.len());
    for &t in times {
        while let Some(i) = next.next_if(|i| begin[*i] < t) {
            open.push(Reverse((begin[i], arrival[i])));
        }
        while open.peek().is_some_and(|Reverse((_, end))| *end <= t) {
            open.pop();
        }
        longest.push(open.peek().map_or(0, |Reverse((begin, _))| t - begin));
    }
    longest
}

impl Stages {
    /// Moves values to later stages, the last ones first, where that saves bits and no stage becomes slower than `budget`.
    fn move_later(&mut self, kernel: &Kernel, delays: &[u32], budget: u32) {
        let mut until = self.last_reads(kernel);
        // Per value: the stage of its first reader, and the delay behind it in that stage.
        let mut read: Vec<(u32, u32)> = vec![(self.count - 1, 0); kernel.values.len()];
        for (i, v) in kernel.values.iter().enumerate().rev() {
            let fixed = matches!(v.op, Op::Input(_) | Op::State(_) | Op::Param(_) | Op::Const);
            let (latest, behind) = read[i];
            let now = self.of[i];
            let cost = |stage: u32| -> i64 {
                let own = i64::from(v.range.bits()) * i64::from(until[i] - stage);
                let longer = v.op.operands().filter(|o| kernel.value(*o).op != Op::Const).map(|o| {
                    let more = stage.saturating_sub(until[o.index()]);
                    i64::from(kernel.value(o).range.bits()) * i64::from(more)
                });
                own + longer.sum::<i64>()
            };
            let fits = |stage: u32| delays[i] + if stage == latest { behind } else { 0 } <= budget;
            let later = (now + 1..=latest).filter(|stage| !fixed && fits(*stage));
            let stage = later.fold(now, |best, stage| if cost(stage) < cost(best) { stage } else { best });
            self.of[i] = stage;
            let after = delays[i] + if stage == latest { behind } else { 0 };
            for o in v.op.operands() {
                until[o.index()] = until[o.index()].max(stage);
                let first = &mut read[o.index()];
                if stage < first.0 {
                    *first = (stage, after);
                } else if stage == first.0 {
                    first.1 = first.1.max(after);
                }
            }
        }
    }
}
