//! Memory units of the expressive leaky memory neuron. Deliberately absent: its synaptic traces, which are leaky integrators, and
//! its perceptron.

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::Builder;
use nervure_core::num::Overflow;
use nervure_core::{Diagnostic, QType, Rate, Rounding, Schedule, Target, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::leak::{Decay, Leak};
use crate::shared::membrane::{holds, signed};
use crate::shared::neuron::one;
use crate::shared::per_element::PerElement;
use crate::shared::{area, divisor};

/// See the README.
pub(crate) struct Elm;

/// Parameters of `neuron/elm`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What the perceptron proposes for each memory unit. Filled in from the layer before.
    input: TensorType,
    /// Units computed at once. Filled in from the layer before.
    #[serde(default = "one")]
    input_lanes: usize,
    /// Format of a memory unit, which is what leaves; signed, with at least the fraction of the input.
    memory: QType,
    /// How a memory unit decays in a step; as a rule one `multiply` per unit.
    leak: Leak,
    /// How much of the proposal enters, `lambda * (1 - kappa)` in `2^-gain_shift`; one integer, or one per unit.
    gain: PerElement,
    /// Scale of `gain`, 0 to 24.
    gain_shift: u32,
    /// The proposal is clamped to this many input LSB on either side: the place of the paper's tanh.
    limit: i64,
}

/// State of the golden model.
pub(crate) struct State {
    m: Vec<i64>,
    decay: Decay,
    gain: Vec<i64>,
}

impl Params {
    /// Bits that the memory's fraction has more than the input's.
    fn finer(&self) -> i32 {
        i32::from(self.memory.frac) - i32::from(self.input.format.frac)
    }
}

impl Block for Elm {
    type Params = Params;
    type State = State;
    const NAME: &'static str = "neuron/elm";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let params = |value| serde_json::from_value(value).expect("fields of this block");
        let x = |n: usize, format: &str| json!({"shape": [n], "format": format, "rate": "step"});
        vec![
            // Time constants of 2 to 200 steps, lambda = 5.
            params(json!({"input": x(4, "s9.6"), "memory": "s16.10", "leak": {"shift": 12,
                "multiply": [2484, 3706, 4015, 4076]}, "gain": [8060, 1950, 405, 100], "gain_shift": 12, "limit": 64})),
            params(json!({"input": x(6, "s8"), "input_lanes": 3, "memory": "s10", "leak": {"shift": 3},
                "gain": 3, "gain_shift": 2, "limit": 90})),
        ]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let format = input.format;
        if input.rate != Rate::Step
            || !format.signed
            || format.bits > 16
            || !(-20..=20).contains(&format.frac)
        {
            return None;
        }
        let more = rng.random_range(0..6);
        let bits = (format.bits + more + rng.random_range(0..3)).max(4);
        let mut each = |lo: i64, hi: i64| match input.len() {
            n @ 1..=64 if rng.random() => {
                PerElement::from((0..n).map(|_| rng.random_range(lo..=hi)).collect::<Vec<_>>())
            }
            _ => PerElement::from(rng.random_range(lo..=hi)),
        };
        let (multiply, gain) = (each(0, 64), each(0, 200));
        let multiply = if rng.random() { Some(multiply) } else { None };
        let rounding = if rng.random() { Rounding::Floor } else { Rounding::HalfUp };
        Some(Params {
            input: input.clone(),
            input_lanes: divisor(input.len(), 8, rng),
            memory: QType { bits, frac: format.frac + more as i8, signed: true },
            leak: Leak { shift: 6, multiply, rounding },
            gain,
            gain_shift: rng.random_range(0..8),
            limit: rng.random_range(1..=format.max()),
        })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        let format = p.input.format;
        diag::in_range("input", format.bits as usize, 2..17)?;
        signed("input", format)?;
        diag::in_range("memory", p.memory.bits as usize, 2..33)?;
        signed("memory", p.memory)?;
        if !(0..=16).contains(&p.finer()) {
            let (m, x) = (p.memory.frac, format.frac);
            let message = format!("`memory` has {m} fraction bits, the input has {x}");
            let help = "give it the input's fraction, or up to 16 bits more";
            return Err(Diagnostic::new("E0203", message, help).at("memory"));
        }
        p.leak.check("leak", p.input.len())?;
        diag::in_range("gain_shift", p.gain_shift as usize, 0..25)?;
        p.gain.check_len("gain", p.input.len())?;
        holds("gain", &p.gain, 0, 1 << 20)?;
        holds("limit", &p.limit.into(), 1, format.max())?;
        let y = p.input.with_format(p.memory);
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, y, p.input_lanes))
    }

    fn state(p: &Params) -> State {
        let n = p.input.len();
        State { m: vec![0; n], decay: p.leak.plain(n), gain: p.gain.each(n) }
    }

    fn reset(_: &Params, s: &mut State) {
        s.m.fill(0);
    }

    fn step(p: &Params, s: &mut State, x: &[&[i64]], y: &mut [&mut [i64]]) {
        let (finer, shift) = (p.finer(), p.gain_shift);
        s.decay.step(&mut s.m);
        for ((m, gain), x) in s.m.iter_mut().zip(&s.gain).zip(x[0]) {
            let proposal = (*x).clamp(-p.limit, p.limit) << finer;
            *m = p.memory.saturate(*m + ((gain * proposal) >> shift));
        }
        y[0].copy_from_slice(&s.m);
    }

    fn body(p: &Params) -> Body {
        let k = Builder::new();
        let x = k.input("proposal", p.input.format);
        let held = k.state("held", p.memory, 0);
        let gain = k.param("gain", 0, p.gain.values().to_vec());
        let clamped = x.clamp(-p.limit, p.limit).named("clamped");
        let fine = clamped.shl(p.finer() as u32).read_as(p.memory.frac);
        let entering = (gain * fine).shr(p.gain_shift, Rounding::Floor).named("entering");
        let m = (held + entering).fit(p.memory, Overflow::Saturate).named("memory");
        let range = (p.memory.min(), p.memory.max());
        k.set(held, p.leak.kernel(&k, m, "leak", range).named("decayed"));
        k.output_as("memory_out", p.memory, m);
        Body::Kernel(k.finish())
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, p.input.len() / p.input_lanes);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let Body::Kernel(kernel) = Self::body(p) else { unreachable!("this unit is a kernel") };
        let memory = p.input_lanes * usize::from(p.memory.bits);
        kernel.area(t) * p.input_lanes + area(memory + 12, memory + 8)
    }
}
