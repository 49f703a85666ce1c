//! Pipelining: which register stage computes each value.

use super::Kernel;
use crate::target::Target;

/// A schedule: values of stage `n` are computed after `n` registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stages {
    /// Stage of each value.
    pub of: Vec<u32>,
    /// Number of stages, at least 1; registers lie between them, none after the last.
    pub count: u32,
}

impl Stages {
    /// Everything in one stage: a combinational kernel.
    pub fn combinational(kernel: &Kernel) -> Self {
        Self { of: vec![0; kernel.values.len()], count: 1 }
    }

    /// The last stage that reads each value; outputs are read in the last one. What is the same in every stage is read
    /// where it is.
    pub(super) fn last_reads(&self, kernel: &Kernel) -> Vec<u32> {
        let mut until = self.of.clone();
        for (v, &stage) in kernel.values.iter().zip(&self.of) {
            let moving = v.op.operands().filter(|o| !kernel.steady(*o));
            moving.for_each(|o| until[o.index()] = until[o.index()].max(stage));
        }
        let moving = kernel.outputs.iter().filter(|(_, id)| !kernel.steady(*id));
        moving.for_each(|(_, id)| until[id.index()] = self.count - 1);
        until
    }

    /// Bits of all registers between stages.
    pub fn register_bits(&self, kernel: &Kernel) -> u64 {
        let bits = kernel.values.iter().map(|v| u64::from(v.range.bits()));
        let span = self.last_reads(kernel).into_iter().zip(&self.of).map(|(until, of)| u64::from(until - of));
        bits.zip(span).map(|(bits, span)| bits * span).sum()
    }
}

impl Kernel {
    /// Earliest stages such that no stage is slower than `budget_ps`, where single operations allow it.
    ///
    /// Whatever a next state depends on stays in stage 0, so that a state is read and written in one cycle and
    /// elements can follow each other every cycle.
    pub fn stages(&self, target: &Target, budget_ps: u32) -> Stages {
        let mut in_loop = vec![false; self.values.len()];
        self.states.iter().for_each(|s| in_loop[s.next.index()] = true);
        for i in (0..self.values.len()).rev().filter(|_| !self.states.is_empty()) {
            if in_loop[i] {
                self.values[i].op.operands().for_each(|o| in_loop[o.index()] = true);
            }
        }
        let mut of = Vec::with_capacity(self.values.len());
        let mut ends = Vec::with_capacity(self.values.len());
        for (i, value) in self.values.iter().enumerate() {
            let delay = self.delay_ps(value, target);
            let stage = value.op.operands().map(|o| of[o.index()]).max().unwrap_or(0);
            let start = value
                .op
                .operands()
                .filter(|o| of[o.index()] == stage && !self.steady(*o))
                .map(|o| ends[o.index()])
                .max()
                .unwrap_or(0);
            let next_stage = !in_loop[i] && start > 0 && start + delay > budget_ps;
            of.push(stage + u32::from(next_stage));
            ends.push(if next_stage { delay } else { start + delay });
        }
        let count = of.iter().max().map_or(1, |s| s + 1);
        Stages { of, count }
    }

    /// Delay of the slowest stage, picoseconds.
    pub fn critical_ps(&self, target: &Target, stages: &Stages) -> u32 {
        let mut ends = vec![0; self.values.len()];
        for (i, value) in self.values.iter().enumerate() {
            let same = |o: &super::ValueId| stages.of[o.index()] == stages.of[i];
            let start = value.op.operands().filter(same).map(|o| ends[o.index()]).max().unwrap_or(0);
            ends[i] = start + self.delay_ps(value, target);
        }
        ends.into_iter().max().unwrap_or(0)
    }
}
