//! Leaky integrate-and-fire neurons. Deliberately absent: synapses (an engine has them) and refractory time.

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::Builder;
use nervure_core::num::Overflow;
use nervure_core::{Diagnostic, QType, Rate, Rounding, Schedule, Target, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::area;
use crate::shared::membrane::{Compare, Firing, Reset};

/// See the README.
pub(crate) struct Lif;

/// Parameters of `neuron/lif`.
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
    /// How the membrane decays in a step.
    leak: Leak,
    /// What a membrane outside its format becomes.
    overflow: Overflow,
}

/// Decay of the membrane in one step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Leak {
    /// `v - floor(v / 2^shift)`, or with `multiply` `floor(v * multiply / 2^shift)`; 1 to 16.
    shift: u32,
    /// Numerator of the decay factor, 0 to `2^shift`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    multiply: Option<i64>,
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

impl Block for Lif {
    type Params = Params;
    type State = Vec<i64>;
    const NAME: &'static str = "neuron/lif";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let base = Params {
            input: TensorType::step(&[6], QType::signed(9)),
            input_lanes: 1,
            membrane: QType::signed(10),
            threshold: 100,
            compare: Compare::Gt,
            reset: Reset::Zero,
            leak: Leak { shift: 3, multiply: None },
            overflow: Overflow::Saturate,
        };
        let subtract = Params {
            input: TensorType::step(&[8], QType::signed(8)),
            input_lanes: 4,
            membrane: QType::signed(9),
            reset: Reset::Subtract,
            compare: Compare::Ge,
            leak: Leak { shift: 4, multiply: Some(13) },
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
        let shift = rng.random_range(1..6);
        Some(Params {
            input: input.clone(),
            input_lanes: crate::shared::divisor(input.len(), 8, rng),
            membrane,
            threshold: rng.random_range(1..membrane.max()),
            compare: if rng.random() { Compare::Gt } else { Compare::Ge },
            reset: if rng.random() { Reset::Zero } else { Reset::Subtract },
            leak: Leak { shift, multiply: rng.random::<bool>().then(|| rng.random_range(0..=1 << shift)) },
            overflow: if rng.random() { Overflow::Saturate } else { Overflow::Wrap },
        })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        diag::in_range("shift", p.leak.shift as usize, 1..17).map_err(|d| d.at("leak"))?;
        if let Some(k) = p.leak.multiply {
            diag::in_range("multiply", k.max(-1) as usize, 0..(1 << p.leak.shift) + 1)
                .map_err(|d| d.at("leak"))?;
        }
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
            let decayed = match p.leak.multiply {
                None => *v - (*v >> p.leak.shift),
                Some(k) => (*v * k) >> p.leak.shift,
            };
            (*spike, *v) = firing.fire(decayed + current);
        }
    }

    /// The state is the membrane already decayed for the next step, so that a step is integrate, fire, reset, decay.
    fn body(p: &Params) -> Body {
        let k = Builder::new();
        let current = k.input("current", p.input.format);
        let held = k.state("held", p.membrane, 0);
        let (spike, rest) = p.firing().kernel(&k, held + current);
        let decayed = match p.leak.multiply {
            None => rest - rest.shr(p.leak.shift, Rounding::Floor).named("leak"),
            Some(m) => (rest * k.constant(m, 0)).shr(p.leak.shift, Rounding::Floor),
        };
        // Decay brings a membrane closer to zero (floor: never past -1), which intervals alone do not show.
        let (lo, hi) = (p.membrane.min().into(), p.membrane.max().into());
        k.set(held, k.promise(decayed, lo, hi).named("decayed"));
        k.output_as("spike_out", QType::unsigned(1), spike);
        Body::Kernel(k.finish())
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, p.input.len() / p.input_lanes);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let Body::Kernel(kernel) = Self::body(p) else { unreachable!("a LIF neuron is a kernel") };
        let memory = p.input_lanes * p.membrane.bits as usize;
        kernel.area(t) * p.input_lanes + area(memory + 12, p.input_lanes + 8)
    }
}
