//! One thread's runners and tensors. The inner loop of golden execution: it allocates nothing.

use std::array;

use nervure_core::{Network, Rate, Runner, Samples};

use super::plan::{PORTS, Plan, When};

pub(super) struct Worker<'a> {
    network: &'a Network,
    plan: &'a Plan,
    runners: Vec<Box<dyn Runner>>,
    arena: Vec<i64>,
}

impl std::fmt::Debug for Worker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("network", &self.network.name).finish_non_exhaustive()
    }
}

impl<'a> Worker<'a> {
    pub(super) fn new(network: &'a Network, plan: &'a Plan) -> Self {
        let runners = network.nodes.iter().map(|n| n.instance.runner()).collect();
        Self { network, plan, runners, arena: vec![0; plan.arena] }
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
                if first || *rate == Rate::Step {
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
                let mut x: [&[i64]; PORTS] = [&[]; PORTS];
                for (slot, range) in x.iter_mut().zip(&layer.inputs) {
                    *slot = &earlier[range.clone()];
                }
                let x = &x[..layer.inputs.len()];
                let mut y: [&mut [i64]; PORTS] = array::from_fn(|_| [].as_mut_slice());
                for (slot, range) in y.iter_mut().zip(&layer.outputs) {
                    (*slot, rest) = rest.split_at_mut(range.len());
                }
                before(n, runner.as_ref(), last || layer.when != When::Every, x);
                runner.step(x, &mut y[..layer.outputs.len()]);
            }
            after(&self.arena, step);
        }
    }
}
