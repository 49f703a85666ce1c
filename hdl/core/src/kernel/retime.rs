//! Where the registers of a pipeline lie: as few stages as the clock allows, then as few register bits as those stages need.
//!
//! Values are ordered by when they arrive, as early as they can or as late as they may, with registers only where the clock forces
//! them. A cut in that time registers what is made before it and read after it; the cheapest sequence of cuts that keeps to the
//! clock is found by dynamic programming. Afterwards single values move to later stages where that saves bits. Deliberately
//! absent: state, which has its place in the first stage ([`Kernel::stages`]).

use super::{Kernel, Op, Stages, ValueId};
use crate::target::Target;

impl Kernel {
    /// Stages of a kernel without state, no slower than `budget_ps` where single operations allow it, and at most `most` of them
    /// even where they are then slower: no more than [`Kernel::stages`] has, with fewer registers.
    pub fn flat_stages(&self, target: &Target, budget_ps: u32, most: u32) -> Stages {
        assert!(self.states.is_empty(), "state stays in the first stage");
        let early = self.stages(target, budget_ps);
        let (budget, early) =
            if early.count <= most { (budget_ps, early) } else { self.relaxed(target, budget_ps, most) };
        if early.count == 1 {
            return early;
        }
        let delays: Vec<u32> = self.values.iter().map(|v| self.delay_ps(v, target)).collect();
        let budget = budget.max(delays.iter().copied().max().unwrap_or(0));
        let count = early.count;
        let orders = [self.earliest(&delays, budget), self.latest(&delays, budget)];
        let cut = orders.map(|arrival| Cuts::new(self, &delays, arrival, budget).best());
        let candidates = std::iter::once(early).chain(cut).filter(|s| s.count <= count).map(|mut stages| {
            stages.move_later(self, &delays, budget);
            stages
        });
        let fewest = candidates.min_by_key(|s| (s.count, s.register_bits(self)));
        fewest.expect("the earliest stages are among them")
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

    /// When each value arrives at the earliest; a stage takes `budget`.
    fn earliest(&self, delays: &[u32], budget: u32) -> Vec<u32> {
        let mut arrival = vec![0; self.values.len()];
        for (i, v) in self.values.iter().enumerate() {
            let begin = v.op.operands().map(|o| arrival[o.index()]).max().unwrap_or(0);
            arrival[i] = fit(begin, delays[i], budget);
        }
        arrival
    }

    /// When each value may arrive at the latest; inputs arrive at 0.
    fn latest(&self, delays: &[u32], budget: u32) -> Vec<u32> {
        // Counted from the end, where the last ones arrive: what lies behind each value, and with the value itself.
        let mut behind = vec![0; self.values.len()];
        let mut end = 0;
        for (i, v) in self.values.iter().enumerate().rev() {
            let begin = fit(behind[i], delays[i], budget);
            behind[i] = begin - delays[i];
            end = end.max(begin.next_multiple_of(budget));
            v.op.operands().for_each(|o| behind[o.index()] = behind[o.index()].max(begin));
        }
        let fixed = |op: Op| matches!(op, Op::Input(_) | Op::Param(_) | Op::Word(..) | Op::Const);
        let values = self.values.iter().zip(behind);
        values.map(|(v, behind)| if fixed(v.op) { 0 } else { end - behind }).collect()
    }
}

/// When an operation ends that may begin at `begin`: in the same stage where it fits, else in the next.
fn fit(begin: u32, delay: u32, budget: u32) -> u32 {
    let room = begin.next_multiple_of(budget.max(1)) - begin;
    if delay <= room || room == 0 { begin + delay } else { begin + room + delay }
}

/// What cuts in time cost, and how far apart they may be.
struct Cuts {
    /// When each value arrives.
    arrival: Vec<u32>,
    /// Times at which a cut makes a difference, ascending; 0 is the first.
    times: Vec<u32>,
    /// Bits that a cut just after each of them registers.
    bits: Vec<u64>,
    /// The last of them up to which one stage can compute from a cut at each.
    reach: Vec<usize>,
}

impl Cuts {
    fn new(kernel: &Kernel, delays: &[u32], arrival: Vec<u32>, budget: u32) -> Self {
        let mut times = arrival.clone();
        times.push(0);
        times.sort_unstable();
        times.dedup();
        let at = |t: u32| times.binary_search(&t).expect("every arrival is a time");
        let made: Vec<usize> = arrival.iter().map(|t| at(*t)).collect();
        let mut last_read = made.clone();
        for (v, made) in kernel.values.iter().zip(&made) {
            v.op.operands().for_each(|o| last_read[o.index()] = last_read[o.index()].max(*made));
        }
        kernel.outputs.iter().for_each(|(_, id)| last_read[id.index()] = times.len());
        let mut change = vec![0i64; times.len() + 1];
        let moving = |i: &usize| !kernel.steady(ValueId(*i as u32));
        for i in (0..kernel.values.len()).filter(moving) {
            let v = &kernel.values[i];
            change[made[i]] += i64::from(v.range.bits());
            change[last_read[i]] -= i64::from(v.range.bits());
        }
        let sum = change.iter().take(times.len()).scan(0, |sum, c| {
            *sum += c;
            Some(*sum as u64)
        });
        let bits = sum.collect();
        let reach = reach(kernel, delays, &made, times.len(), budget);
        Self { arrival, times, bits, reach }
    }

    /// Fewest stages, then fewest bits.
    fn best(&self) -> Stages {
        let last = self.times.len() - 1;
        // Per time: stages and bits up to a cut there, and the cut before it.
        let mut found = vec![(u32::MAX, u64::MAX, 0); self.times.len()];
        found[0] = (0, 0, 0);
        for from in 0..last {
            let (count, bits, _) = found[from];
            for to in from + 1..=self.reach[from] {
                let own = if to == last { 0 } else { self.bits[to] };
                found[to] = found[to].min((count + 1, bits + own, from));
            }
        }
        let mut cuts = Vec::new();
        let mut at = last;
        while at > 0 {
            at = found[at].2;
            cuts.push(self.times[at]);
        }
        // The first lies before everything.
        cuts.pop();
        let stage = |t: &u32| cuts.iter().filter(|cut| *cut < t).count() as u32;
        Stages { of: self.arrival.iter().map(stage).collect(), count: cuts.len() as u32 + 1 }
    }
}

/// Per time: the last one up to which a stage that begins behind it keeps to the budget; at least the next.
fn reach(kernel: &Kernel, delays: &[u32], made: &[usize], times: usize, budget: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..made.len()).collect();
    order.sort_by_key(|i| made[*i]);
    let mut ends = vec![0; made.len()];
    let mut first = 0;
    let of = |from: usize| {
        while first < order.len() && made[order[first]] <= from {
            first += 1;
        }
        for &i in &order[first..] {
            let inside = kernel.values[i].op.operands().filter(|o| made[o.index()] > from);
            ends[i] = delays[i] + inside.map(|o| ends[o.index()]).max().unwrap_or(0);
            if ends[i] > budget {
                return (made[i] - 1).max(from + 1);
            }
        }
        times - 1
    };
    (0..times).map(of).collect()
}

impl Stages {
    /// Moves values to later stages, the last ones first, where that saves bits and no stage becomes slower than `budget`.
    fn move_later(&mut self, kernel: &Kernel, delays: &[u32], budget: u32) {
        let mut until = self.last_reads(kernel);
        // Per value: the stage of its first reader, and the delay behind it in that stage.
        let mut read: Vec<(u32, u32)> = vec![(self.count - 1, 0); kernel.values.len()];
        for (i, v) in kernel.values.iter().enumerate().rev() {
            let fixed = kernel.steady(ValueId(i as u32))
                || matches!(v.op, Op::Input(_) | Op::State(_) | Op::Param(_));
            let (latest, behind) = read[i];
            let now = self.of[i];
            let cost = |stage: u32| -> i64 {
                let own = i64::from(v.range.bits()) * i64::from(until[i] - stage);
                let longer = v.op.operands().filter(|o| !kernel.steady(*o)).map(|o| {
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
