//! Integrate-and-fire neurons without leak. Deliberately absent: synapses (an engine has them) and refractory time.

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::Builder;
use nervure_core::num::Overflow;
use nervure_core::{Diagnostic, QType, Rate, Schedule, Target, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::area;
use crate::shared::membrane::{Compare, Firing, Reset};

/// See the README.
pub(crate) struct If;

/// Parameters of `neuron/if`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Input current; one neuron per element. Filled in from the layer before.
    input: TensorType,
    /// Neurons computed at once. Filled in from the layer before.
    #[serde(default = "one")]
    input_lanes: usize,
    /// Format of the membrane; signed, with the fraction of the input.
    membrane: QType,
    /// Threshold, an integer of the membrane's format.
    threshold: i64,
    /// Comparison with the threshold.
    compare: Compare,
    /// Reset after a spike.
    reset: Reset,
    /// What a membrane outside its format becomes.
    overflow: Overflow,
}

const fn one() -> usize {
    1
}

impl Params {
    const fn firing(&self) -> Firing {
        Firing {
            membrane: self.membrane,
            threshold: self.threshold,
            compare: self.compare,
            reset: self.reset,
            overflow: self.overflow,
        }
    }
}

impl Block for If {
    type Params = Params;
    type State = Vec<i64>;
    const NAME: &'static str = "neuron/if";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let base = Params {
            input: TensorType::step(&[6], QType::signed(9)),
            input_lanes: 1,
            membrane: QType::signed(10),
            threshold: 100,
            compare: Compare::Gt,
            reset: Reset::Zero,
            overflow: Overflow::Saturate,
        };
        let subtract = Params {
            input: TensorType::step(&[8], QType::signed(8)),
            input_lanes: 4,
            membrane: QType::signed(9),
            reset: Reset::Subtract,
            compare: Compare::Ge,
            ..base.clone()
        };
        let wrap = Params { input_lanes: 6, overflow: Overflow::Wrap, ..base.clone() };
        vec![base, subtract, wrap]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        if input.rate != Rate::Step || !input.format.signed || input.format.bits > 20 {
            return None;
        }
        let bits = (input.format.bits + rng.random_range(0..3)).max(4);
        let membrane = QType { bits, ..input.format };
        Some(Params {
            input: input.clone(),
            input_lanes: crate::shared::divisor(input.len(), 8, rng),
            membrane,
            threshold: rng.random_range(1..membrane.max()),
            compare: if rng.random() { Compare::Gt } else { Compare::Ge },
            reset: if rng.random() { Reset::Zero } else { Reset::Subtract },
            overflow: if rng.random() { Overflow::Saturate } else { Overflow::Wrap },
        })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        diag::in_range("membrane", p.membrane.bits as usize, 2..33)?;
        p.firing().check(&p.input)?;
        let spikes = p.input.with_format(QType::unsigned(1));
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, spikes, p.input_lanes))
    }

    fn state(p: &Params) -> Vec<i64> {
        vec![0; p.input.len()]
    }

    fn reset(_: &Params, membranes: &mut Vec<i64>) {
        membranes.fill(0);
    }

    fn step(p: &Params, membranes: &mut Vec<i64>, x: &[&[i64]], y: &mut [&mut [i64]]) {
        let firing = p.firing();
        for ((v, &current), spike) in membranes.iter_mut().zip(x[0]).zip(y[0].iter_mut()) {
            (*spike, *v) = firing.fire(*v + current);
        }
    }

    fn body(p: &Params) -> Body {
        let k = Builder::new();
        let current = k.input("current", p.input.format);
        let held = k.state("held", p.membrane, 0);
        let (spike, rest) = p.firing().kernel(&k, held + current);
        k.set(held, rest);
        k.output_as("spike_out", QType::unsigned(1), spike);
        Body::Kernel(k.finish())
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, p.input.len() / p.input_lanes);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let Body::Kernel(kernel) = Self::body(p) else { unreachable!("an IF neuron is a kernel") };
        let memory = p.input_lanes * p.membrane.bits as usize;
        kernel.area(t) * p.input_lanes + area(memory + 12, p.input_lanes + 8)
    }
}
