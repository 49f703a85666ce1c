//! One thread's runners and tensors. The inner loop of golden execution: it allocates nothing.
//!
//! A sample's steps are taken some at a time, layer by layer. A tensor of spikes may lie in two places, as bits and as
//! integers: whoever reads it gets the form that it asks for, and what is not there is worked out.

use std::array;
use std::sync::Arc;

use nervure_core::simd::bits;
use nervure_core::{Network, Packed, PackedMut, Runner, Samples};

use super::plan::{PORTS, Place, Plan, When};

pub(super) struct Worker<'a> {
    network: &'a Network,
    plan: Arc<Plan>,
    runners: Vec<Box<dyn Runner>>,
    /// Layers that may know a quicker way from bits: until they say no.
    quick: Vec<bool>,
    tensors: Tensors,
}

struct Tensors {
    plan: Arc<Plan>,
    wide: Vec<i64>,
    bits: Vec<u64>,
    /// Where each tensor of the steps at hand is.
    has: Vec<Has>,
}

/// Forms in which a tensor is there.
#[derive(Clone, Copy, Default)]
struct Has {
    wide: bool,
    bits: bool,
}

/// What a worker is at.
#[derive(Clone, Copy)]
pub(super) struct At<'s> {
    /// Where inputs come from that nobody has written, and which sample.
    pub(super) samples: Option<(&'s Samples, usize)>,
    /// The first step at hand, and their number.
    pub(super) step: usize,
    pub(super) count: usize,
    /// They are the last ones of the sample.
    pub(super) last: bool,
}

impl At<'_> {
    /// Step `i` of input `n`.
    fn input(self, network: &Network, n: usize, i: usize, out: &mut [i64]) {
        let (samples, sample) = self.samples.expect("inputs are written, or come from samples");
        samples.input(network, n, sample, self.step + i, out);
    }

    /// The same as bits, where it is stored so.
    fn bits(self, network: &Network, n: usize, i: usize, out: &mut [u64]) -> bool {
        self.samples.is_some_and(|(samples, sample)| samples.bits(network, n, sample, self.step + i, out))
    }
}

impl std::fmt::Debug for Worker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("network", &self.network.name).finish_non_exhaustive()
    }
}

impl<'a> Worker<'a> {
    pub(super) fn new(network: &'a Network, plan: &Arc<Plan>) -> Self {
        Self {
            network,
            plan: plan.clone(),
            runners: network.nodes.iter().map(|n| n.instance.runner()).collect(),
            quick: plan.layers.iter().map(|layer| layer.spikes).collect(),
            tensors: Tensors {
                plan: plan.clone(),
                wide: vec![0; plan.wide],
                bits: vec![0; plan.bits],
                has: vec![Has::default(); plan.tensors.len()],
            },
        }
    }

    /// Executes a sample from reset: `before(layer, runner, last, inputs)` each layer that does not start from bits, and
    /// `after(n, values)` for each tensor that `wanted` has at place `n`, step by step.
    pub(super) fn sample(
        &mut self,
        samples: &Samples,
        sample: usize,
        wanted: &[usize],
        before: &mut impl FnMut(usize, &dyn Runner, bool, &[&[i64]]),
        after: &mut impl FnMut(usize, &[i64]),
    ) {
        self.reset();
        let (plan, steps) = (self.plan.clone(), samples.steps.max(1));
        for step in (0..steps).step_by(plan.span) {
            let count = plan.span.min(steps - step);
            let at = At { samples: Some((samples, sample)), step, count, last: step + count == steps };
            for (n, input) in self.network.inputs.iter().enumerate() {
                if step == 0 || input.tensor.rate.steps() {
                    self.tensors.has[n] = Has::default();
                }
            }
            self.layers(at, before);
            for (n, &tensor) in wanted.iter().enumerate() {
                let place = &plan.tensors[tensor];
                if at.last || place.rate.steps() {
                    self.tensors.want_wide(self.network, tensor, at);
                    let count = place.count(at.count);
                    (0..count).for_each(|i| after(n, &self.tensors.wide[place.wide(i)]));
                }
            }
        }
    }

    /// Runners as at the start of a sample.
    pub(super) fn reset(&mut self) {
        for runner in &mut self.runners {
            runner.reset();
        }
    }

    /// A tensor in the first step at hand, to be written by somebody else.
    pub(super) fn tensor_mut(&mut self, n: usize) -> &mut [i64] {
        self.tensors.has[n] = Has { wide: true, bits: false };
        &mut self.tensors.wide[self.plan.tensors[n].wide(0)]
    }

    /// A tensor, as a layer that starts from integers left it in the first step at hand.
    pub(super) fn tensor(&self, n: usize) -> &[i64] {
        &self.tensors.wide[self.plan.tensors[n].wide(0)]
    }

    /// The steps at hand of every layer that is due.
    pub(super) fn layers(&mut self, at: At, before: &mut impl FnMut(usize, &dyn Runner, bool, &[&[i64]])) {
        for (n, layer) in self.plan.clone().layers.iter().enumerate() {
            let count = match layer.when {
                When::First if at.step > 0 => continue,
                When::Last if !at.last => continue,
                When::First | When::Last => 1,
                When::Every => at.count,
            };
            if self.quick[n] && self.step_packed(n, count, at) {
                continue;
            }
            for &input in &layer.inputs {
                self.tensors.want_wide(self.network, input, at);
            }
            let runner = &mut self.runners[n];
            for i in 0..count {
                let last = layer.when != When::Every || (at.last && i + 1 == count);
                self.tensors.with(n, i, |x, y| {
                    before(n, runner.as_ref(), last, x);
                    runner.step(x, y);
                });
            }
        }
    }

    /// Layer `n` from bits, where it knows the way.
    fn step_packed(&mut self, n: usize, count: usize, at: At) -> bool {
        let layer = &self.plan.layers[n];
        let (input, output) = (layer.inputs[0], layer.outputs.start);
        self.tensors.want_bits(self.network, input, at);
        let all = |place: &Place| place.bits(0).start..place.bits(place.count(count) - 1).end;
        let from = all(&self.plan.tensors[input]);
        let to = &self.plan.tensors[output];
        let done = if to.spikes {
            let to = all(to);
            let (earlier, later) = self.tensors.bits.split_at_mut(to.start);
            let y = PackedMut::Bits(&mut later[..to.len()]);
            self.runners[n].step_packed(count, Packed::Bits(&earlier[from]), y)
        } else if to.count(count) == 1 {
            let x = Packed::Bits(&self.tensors.bits[from]);
            self.runners[n].step_packed(count, x, PackedMut::Wide(&mut self.tensors.wide[to.wide(0)]))
        } else {
            false
        };
        self.tensors.has[output] = Has { wide: !to.spikes, bits: to.spikes };
        self.quick[n] = done;
        done
    }
}

impl Tensors {
    /// Makes a tensor be there as integers.
    fn want_wide(&mut self, network: &Network, tensor: usize, at: At) {
        let (place, has) = (&self.plan.tensors[tensor], &mut self.has[tensor]);
        if has.wide {
            return;
        }
        for i in 0..place.count(at.count) {
            let wide = &mut self.wide[place.wide(i)];
            if has.bits {
                bits::unpack(&self.bits[place.bits(i)], wide);
            } else {
                at.input(network, tensor, i, wide);
            }
        }
        has.wide = true;
    }

    /// Makes a tensor of spikes be there as bits.
    fn want_bits(&mut self, network: &Network, tensor: usize, at: At) {
        let (place, has) = (&self.plan.tensors[tensor], &mut self.has[tensor]);
        if has.bits {
            return;
        }
        for i in 0..place.count(at.count) {
            let (wide, bits) = (&mut self.wide[place.wide(i)], &mut self.bits[place.bits(i)]);
            if has.wide {
                bits::pack(wide, bits);
            } else if !at.bits(network, tensor, i, bits) {
                at.input(network, tensor, i, wide);
                bits::pack(wide, bits);
            }
        }
        has.bits = true;
    }

    /// The inputs and outputs of layer `n` in step `i` of those at hand, all as integers.
    fn with(&mut self, n: usize, i: usize, step: impl FnOnce(&[&[i64]], &mut [&mut [i64]])) {
        let (plan, layer) = (&self.plan, &self.plan.layers[n]);
        let outputs = &plan.tensors[layer.outputs.clone()];
        let mut at = outputs.first().map_or(plan.wide, |t| t.wide(0).start);
        let (earlier, mut rest) = self.wide.split_at_mut(at);
        let mut x: [&[i64]; PORTS] = [&[]; PORTS];
        for (slot, &input) in x.iter_mut().zip(&layer.inputs) {
            *slot = &earlier[plan.tensors[input].wide(i)];
        }
        let mut y: [&mut [i64]; PORTS] = array::from_fn(|_| [].as_mut_slice());
        for (slot, output) in y.iter_mut().zip(outputs) {
            let place = output.wide(i);
            let (own, later) = rest[place.start - at..].split_at_mut(place.len());
            (*slot, rest, at) = (own, later, place.end);
        }
        step(&x[..layer.inputs.len()], &mut y[..outputs.len()]);
        self.has[layer.outputs.clone()].fill(Has { wide: true, bits: false });
    }
}
