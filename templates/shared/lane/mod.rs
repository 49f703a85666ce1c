//! One lane of an event-driven engine: it adds a weight to what is stored for a neuron, or does the neuron's step.
//!
//! Deliberately absent: which weight, which neuron and when; an engine has that.

mod kernel;
mod neuron;

use nervure_core::QType;
use nervure_core::block::hex;
use nervure_core::kernel::emit::{PortText, emit};
use nervure_core::kernel::{Kernel, Param, Stages};

use neuron::{Integrator, Plan};

/// A part of what is stored for each neuron.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// Name of the lane's input; the output is `NAME_next`.
    pub(crate) name: String,
    /// Format in the memory.
    pub(crate) format: QType,
    /// What it holds at the start of a sample.
    pub(crate) reset: i64,
}

/// What an event brings to a lane, and what the engine does for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Feed {
    /// Format of a weight.
    pub(crate) weight: QType,
    /// Format of the value that the weight is multiplied by, where there is one.
    pub(crate) value: Option<QType>,
    /// Two events at once: a second weight is added, too.
    pub(crate) pair: bool,
    /// The lane can store the reset values; else the engine resets its registers itself.
    pub(crate) clear: bool,
    /// The current has a memory of its own, so that it is never one with the neuron's state.
    pub(crate) apart: bool,
    /// The neuron's step is done by the adder that integrates, in several cycles, where it can be.
    pub(crate) shared: bool,
}

impl Feed {
    /// One weight an event.
    pub(crate) const fn weights(weight: QType) -> Self {
        Self { weight, value: None, pair: false, clear: true, apart: false, shared: false }
    }
}

/// A lane: its kernel, and how the engine's nets connect to it.
///
/// Nets of `lanes` elements, lane 0 lowest: `state` and `state_next` ([`Lane::state_bits`] a lane), `weights`,
/// `second_weights` (with [`Feed::pair`]), `param` ([`Lane::param_bits`] a lane, where not zero) and `result`. One for all
/// lanes: `value_q` (with [`Feed::value`]), `update_q` does the neuron's step, `zero_q` (with [`Feed::clear`], set only
/// together with `update_q`) stores the reset values instead.
///
/// Where [`Lane::changes`] is not zero, the step takes that many cycles and one before: first `second_q` alone, in which
/// `result` is the spike and nothing is stored; then `update_q` for each change, with `spiked` (a bit a lane) the spike;
/// `second_q` comes with the second. Where there is one change, `update_q` with `second_q` is what `zero_q` is elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    /// What is stored for each neuron: one sum where that is possible (with its sign inverted where the adder is shared),
    /// else the current and the neuron's states.
    pub(crate) fields: Vec<Field>,
    /// The combinational kernel.
    pub(crate) kernel: Kernel,
    /// Format of the neuron's output.
    pub(crate) output: QType,
    /// Cycles in which the shared adder changes what is stored; 0 where the step takes one cycle in all.
    pub(crate) changes: usize,
    /// Constants of each neuron.
    params: Vec<Param>,
    feed: Feed,
}

impl Lane {
    /// A lane for the kernel `neuron`; no partial sum of a step leaves `current`.
    pub(crate) fn new(neuron: &Kernel, current: QType, feed: Feed) -> Self {
        let integrator = if feed.apart { None } else { Integrator::of(neuron) };
        let mut fields = fields(neuron, integrator.as_ref(), current);
        let plan = integrator.as_ref().filter(|_| feed.shared).and_then(|i| Plan::of(neuron, i));
        if plan.is_some() {
            let QType { bits, frac, .. } = fields[0].format;
            fields[0] = Field {
                name: "sum".into(),
                format: QType { bits, frac, signed: false },
                reset: 1 << (bits - 1),
            };
        }
        let kernel = match &plan {
            Some(plan) => kernel::shared(neuron, plan, &fields[0], &feed),
            None => kernel::direct(neuron, integrator.as_ref(), &fields, &feed),
        };
        let changes = plan.map_or(0, |p| p.changes.len());
        Self {
            kernel,
            output: neuron.outputs[0].0.format,
            params: neuron.params.clone(),
            fields,
            feed,
            changes,
        }
    }

    /// Bits stored for one neuron.
    pub(crate) fn state_bits(&self) -> usize {
        self.fields.iter().map(|f| usize::from(f.format.bits)).sum()
    }

    /// Bits of the constants of one neuron; often none.
    pub(crate) fn param_bits(&self) -> usize {
        self.params.iter().map(|p| usize::from(p.port.format.bits)).sum()
    }

    /// The constants of `elements` (the neurons of one group, lane 0 first) as hexadecimal digits.
    ///
    /// An element is an index into the neuron's input tensor.
    pub(crate) fn param_word(&self, elements: impl Iterator<Item = usize>) -> String {
        let of =
            |e: usize| self.params.iter().map(move |p| (p.values[e % p.values.len()], p.port.format.bits));
        let bits = elements.flat_map(of).flat_map(|(v, bits)| (0..bits).map(move |b| v >> b & 1));
        hex(&bits.collect::<Vec<_>>(), 1)
    }

    /// The connections of instance number `lane`: port and net.
    pub(crate) fn connections(&self, lane: usize) -> Vec<[String; 2]> {
        let text = emit(&self.kernel, &Stages::combinational(&self.kernel));
        let weight = usize::from(self.feed.weight.bits);
        let (state, param) = (self.state_bits(), self.param_bits());
        let vector = |net: &'static str, stride: usize, count: usize| vec![(net, stride); count];
        let flag = |net: &'static str, there: bool| vector(net, 0, usize::from(there));
        let pair = usize::from(self.feed.pair);
        let shared = self.changes > 0;
        let inputs = [
            vector("state", state, self.fields.len()),
            vector("weights", weight, 1),
            vector("second_weights", weight, pair),
            flag("value_q", self.feed.value.is_some()),
            vector("param", param, self.params.len()),
            flag("update_q", true),
            flag("second_q", shared),
            vector("spiked", 1, usize::from(shared)),
            flag("zero_q", self.feed.clear && self.changes != 1),
        ];
        let result = usize::from(self.output.bits);
        let outputs = [vector("state_next", state, self.fields.len()), vector("result", result, 1)];
        let mut list = connect(lane, &text.inputs, &inputs.concat());
        list.extend(connect(lane, &text.outputs, &outputs.concat()));
        list
    }
}

/// Ports with their nets; ports of one net follow each other in it. A net with stride 0 is the same for all lanes.
fn connect(lane: usize, ports: &[PortText], nets: &[(&str, usize)]) -> Vec<[String; 2]> {
    assert_eq!(ports.len(), nets.len(), "a lane's kernel has the ports that its feed says");
    let mut at = 0;
    let mut before = "";
    let mut list = Vec::new();
    for (p, (net, stride)) in ports.iter().zip(nets) {
        at = if *net == before { at } else { lane * stride };
        before = net;
        let high = at + p.bits as usize - 1;
        let range = if p.bits == 1 { format!("{at}") } else { format!("{high}:{at}") };
        list.push([p.name.clone(), if *stride == 0 { (*net).into() } else { format!("{net}[{range}]") }]);
        at = high + 1;
    }
    list
}

fn fields(neuron: &Kernel, integrator: Option<&Integrator>, current: QType) -> Vec<Field> {
    if let Some(i) = integrator {
        return vec![Field { name: "sum".into(), format: i.format, reset: neuron.states[0].reset }];
    }
    let current = Field { name: "current".into(), format: current, reset: 0 };
    let states = neuron.states.iter().map(|s| Field {
        name: s.port.name.clone(),
        format: s.port.format,
        reset: s.reset,
    });
    std::iter::once(current).chain(states).collect()
}

#[cfg(test)]
mod tests {
    use nervure_core::Rounding;
    use nervure_core::kernel::Builder;
    use nervure_core::num::Overflow;

    use super::*;

    const WEIGHT: QType = QType::signed(4);
    const MEMBRANE: QType = QType::signed(7);

    /// A leaky neuron that wraps, or saturates.
    fn neuron(subtract: bool, overflow: Overflow) -> Kernel {
        let k = Builder::new();
        let held = k.state("held", MEMBRANE, 0);
        let v = (held + k.input("current", QType::signed(6))).fit(MEMBRANE, overflow);
        let threshold = k.constant(9, 0);
        let spike = v.gt(threshold);
        let rest = if subtract {
            let less = v - k.select(spike, threshold, k.constant(0, 0));
            k.promise(less, MEMBRANE.min().into(), MEMBRANE.max().into())
        } else {
            k.select(spike, k.constant(0, 0), v)
        };
        let decayed = rest - rest.shr(2, Rounding::Floor);
        k.set(held, k.promise(decayed, MEMBRANE.min().into(), MEMBRANE.max().into()));
        k.output_as("spike_out", QType::unsigned(1), spike);
        k.finish()
    }

    fn lane(neuron: &Kernel) -> Lane {
        Lane::new(neuron, QType::signed(6), Feed { shared: true, clear: false, ..Feed::weights(WEIGHT) })
    }

    #[test]
    fn one_adder_does_what_the_neuron_does() {
        for (subtract, changes) in [(false, 1), (true, 2)] {
            let neuron = neuron(subtract, Overflow::Wrap);
            let lane = lane(&neuron);
            assert_eq!(lane.changes, changes);
            for held in MEMBRANE.min()..=MEMBRANE.max() {
                for weight in WEIGHT.min()..=WEIGHT.max() {
                    let expected = neuron.eval(0, &[weight], &[held]);
                    // Ports: sum, weight, update, second, spiked.
                    let half = lane.fields[0].reset;
                    let mut sum = lane.kernel.eval(0, &[held + half, weight, 0, 0, 0], &[]).outputs[0];
                    let spike = lane.kernel.eval(0, &[sum, weight, 0, 1, 0], &[]).outputs[1];
                    for second in 0..changes as i64 {
                        sum = lane.kernel.eval(0, &[sum, weight, 1, second, spike], &[]).outputs[0];
                    }
                    assert_eq!(
                        (spike, sum - half),
                        (expected.outputs[0], expected.next[0]),
                        "{held} and {weight}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_neuron_that_saturates_keeps_its_own_logic() {
        let neuron = neuron(false, Overflow::Saturate);
        assert_eq!(lane(&neuron).changes, 0);
    }
}
