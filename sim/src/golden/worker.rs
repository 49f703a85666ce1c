//! One thread's runners and tensors. The inner loop of golden execution: it allocates nothing.

use std::array;

use nervure_core::{Network, Runner, Samples};

use super::plan::{PORTS, Plan, When};

pub(super) struct Worker<'a> {
    network: &'a Network,
    plan: &'a Plan,
    runners: Vec<Box<dyn Runner>>,
    arena: Vec<i64>,
    /// Network inputs that go to their layer without passing through the arena, if the samples are bytes.
    direct: Vec<bool>,
}

impl std::fmt::Debug for Worker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("network", &self.network.name).finish_non_exhaustive()
    }
}

impl<'a> Worker<'a> {
    /// `all`: every tensor is in the arena when a layer runs, for whoever looks on.
    pub(super) fn new(network: &'a Network, plan: &'a Plan, all: bool) -> Self {
        let runners = network.nodes.iter().map(|n| n.instance.runner()).collect();
        let direct = (0..plan.inputs.len()).map(|n| !all && plan.is_direct(n)).collect();
        Self { network, plan, runners, arena: vec![0; plan.arena], direct }
    }

    /// Where everything is.
    pub(super) const fn plan(&self) -> &'a Plan {
        self.plan
    }

    /// Executes a sample from reset: `before(layer, runner, last, inputs)` each layer, `after(arena, step)` each step.
    pub(super) fn sample(
        &mut self,
        samples: &Samples,
        sample: usize,
        before: &mut impl FnMut(usize, &dyn Runner, bool, &[&[i64]]),
        after: &mut impl FnMut(&[i64], usize),
    ) {
        for runner in &mut self.runners {
            runner.reset();
        }
        let steps = samples.steps.max(1);
        for step in 0..steps {
            let (first, last) = (step == 0, step + 1 == steps);
            for (n, (range, rate)) in self.plan.inputs.iter().enumerate() {
                if (first || rate.steps()) && !self.direct[n] {
                    samples.input(self.network, n, sample, step, &mut self.arena[range.clone()]);
                }
            }
            for (n, (layer, runner)) in self.plan.layers.iter().zip(&mut self.runners).enumerate() {
                let due = match layer.when {
                    When::First => first,
                    When::Every => true,
                    When::Last => last,
                };
                if !due {
                    continue;
                }
                let start = layer.outputs.first().map_or(self.plan.arena, |r| r.start);
                let (earlier, mut rest) = self.arena.split_at_mut(start);
                let mut y: [&mut [i64]; PORTS] = array::from_fn(|_| [].as_mut_slice());
                for (slot, range) in y.iter_mut().zip(&layer.outputs) {
                    (*slot, rest) = rest.split_at_mut(range.len());
                }
                let y = &mut y[..layer.outputs.len()];
                if let Some(n) = layer.direct.filter(|n| self.direct[*n]) {
                    let bytes = samples.bytes(self.network, n, sample, step);
                    if bytes.is_some_and(|x| runner.step_bytes(x, y)) {
                        continue;
                    }
                    samples.input(self.network, n, sample, step, &mut earlier[layer.inputs[0].clone()]);
                }
                let mut x: [&[i64]; PORTS] = [&[]; PORTS];
                for (slot, range) in x.iter_mut().zip(&layer.inputs) {
                    *slot = &earlier[range.clone()];
                }
                let x = &x[..layer.inputs.len()];
                before(n, runner.as_ref(), last || layer.when != When::Every, x);
                runner.step(x, y);
            }
            after(&self.arena, step);
        }
    }
}
