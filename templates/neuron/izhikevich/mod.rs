//! Izhikevich's quadratic neurons in fixed point. Deliberately absent: synapses, and time steps other than 1 ms.

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::{Builder, Expr};
use nervure_core::num::Overflow;
use nervure_core::{Diagnostic, QType, Rate, Rounding, Schedule, Target, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::membrane::{finer, holds, signed};
use crate::shared::neuron::{is_one, one};
use crate::shared::per_element::PerElement;
use crate::shared::{area, divisor};

/// See the README.
pub(crate) struct Izhikevich;

/// Parameters of `neuron/izhikevich`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Input current, mV per ms; one neuron per element. Filled in from the layer before.
    input: TensorType,
    /// Neurons computed at once. Filled in from the layer before.
    #[serde(default = "one")]
    input_lanes: usize,
    /// Format of membrane and recovery, mV; signed, with at least the fraction of the input, 0 to 12 fraction bits.
    membrane: QType,
    /// Speed of the recovery, in 1/4096; one integer, or one per neuron. The paper's 0.02 is 82.
    a: PerElement,
    /// Sensitivity of the recovery to the membrane, in 1/4096. The paper's 0.2 is 819.
    b: PerElement,
    /// Membrane after a spike, an integer of its format. The paper's -65 mV.
    c: PerElement,
    /// What a spike adds to the recovery, an integer of its format.
    d: PerElement,
    /// Membrane at which it fires, an integer of its format. The paper's 30 mV.
    peak: i64,
    /// Membrane and recovery at the start of a sample. The paper's are -65 mV and -13.
    start: [i64; 2],
    /// Half steps: the membrane takes `2^halvings` Euler steps a ms, 0 to 3. The paper's is 1, the default.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    halvings: usize,
}

/// State of the golden model, and the parameters of each neuron.
pub(crate) struct State {
    v: Vec<i64>,
    u: Vec<i64>,
    abcd: Vec<[i64; 4]>,
}

impl Params {
    fn constant<'k>(&self, k: &'k Builder, v: i64) -> Expr<'k> {
        k.constant(v, self.membrane.frac)
    }

    /// `0.04 v^2 + 5 v + rest`, with 41/1024 for 0.04: three shifts.
    fn slope<'k>(&self, k: &'k Builder, v: Expr<'k>, rest: Expr<'k>) -> Expr<'k> {
        let frac = self.membrane.frac;
        let highest = i128::from(self.membrane.min()) * i128::from(self.membrane.min());
        let square = (v * v).shr(frac as u32, Rounding::Floor).read_as(frac);
        // No square is negative. Said of the product itself, it would hide the signs of its factors.
        let square = if frac > 0 { k.promise(square, 0, highest >> frac) } else { square };
        let times_41 = square.shl(5) + square.shl(3) + square;
        (times_41.shr(10, Rounding::Floor) + (v.shl(2) + v) + rest).named("slope")
    }
}

impl Block for Izhikevich {
    type Params = Params;
    type State = State;
    const NAME: &'static str = "neuron/izhikevich";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let params = |value| serde_json::from_value(value).expect("fields of this block");
        let x = |n: usize, format: &str| json!({"shape": [n], "format": format, "rate": "step"});
        vec![
            // A regular spiking neuron.
            params(json!({"input": x(4, "s7"), "membrane": "s16.6", "a": 82, "b": 819, "c": -4160, "d": 512,
                "peak": 1920, "start": [-4160, -832]})),
            // Regular, fast, chattering and bursting, two at once.
            params(
                json!({"input": x(4, "s9.2"), "input_lanes": 2, "membrane": "s14.4", "a": [82, 410, 82, 82],
                "b": 819, "c": [-1040, -1040, -800, -880], "d": [128, 32, 32, 64], "peak": 480,
                "start": [-1040, -208], "halvings": 2}),
            ),
        ]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let format = input.format;
        if input.rate != Rate::Step || !format.signed || format.bits > 16 || !(-8..=8).contains(&format.frac)
        {
            return None;
        }
        let frac = format.frac.max(0) + rng.random_range(0..3);
        let one = 1i64 << frac;
        let mut draw = |lo: i64, hi: i64| match input.len() {
            n @ 1..=64 if rng.random() => {
                PerElement::from((0..n).map(|_| rng.random_range(lo..=hi)).collect::<Vec<_>>())
            }
            _ => PerElement::from(rng.random_range(lo..=hi)),
        };
        let (a, b) = (draw(0, 500), draw(-300, 1200));
        let (c, d) = (draw(-80 * one, -40 * one), draw(-10 * one, 10 * one));
        Some(Params {
            input: input.clone(),
            input_lanes: divisor(input.len(), 4, rng),
            membrane: QType { bits: (8 + rng.random_range(0..5) + frac as u8).min(24), frac, signed: true },
            a,
            b,
            c,
            d,
            peak: rng.random_range(0..=40 * one),
            start: [-65 * one, rng.random_range(-20 * one..=5 * one)],
            halvings: rng.random_range(0..3),
        })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        let (m, len) = (p.membrane, p.input.len());
        diag::in_range("membrane", m.bits as usize, 8..25)?;
        signed("membrane", m)?;
        finer("membrane", m, "the input current", p.input.format)?;
        if !(0..=12).contains(&m.frac) {
            let message = format!("`membrane` has {} fraction bits, expected 0 to 12", m.frac);
            return Err(Diagnostic::new("E0203", message, "use a format such as s16.6").at("membrane"));
        }
        diag::in_range("halvings", p.halvings, 0..4)?;
        let list = [("a", &p.a, 0, 4096), ("b", &p.b, -65536, 65536)];
        let volts = [("c", &p.c), ("d", &p.d)].map(|(name, list)| (name, list, m.min(), m.max()));
        for (name, values, lo, hi) in list.into_iter().chain(volts) {
            values.check_len(name, len)?;
            holds(name, values, lo, hi)?;
        }
        for (name, v) in [("peak", p.peak), ("start", p.start[0]), ("start", p.start[1])] {
            holds(name, &v.into(), m.min(), m.max())?;
        }
        // A neuron that is reset to where it fires would never stop.
        holds("c", &p.c, m.min(), p.peak - 1)?;
        let spikes = p.input.with_format(QType::unsigned(1));
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, spikes, p.input_lanes))
    }

    fn state(p: &Params) -> State {
        let n = p.input.len();
        let [a, b, c, d] = [&p.a, &p.b, &p.c, &p.d].map(|list| list.each(n));
        let abcd = (0..n).map(|i| [a[i], b[i], c[i], d[i]]).collect();
        State { v: vec![0; n], u: vec![0; n], abcd }
    }

    fn reset(p: &Params, s: &mut State) {
        s.v.fill(p.start[0]);
        s.u.fill(p.start[1]);
    }

    fn step(p: &Params, s: &mut State, x: &[&[i64]], y: &mut [&mut [i64]]) {
        let frac = p.membrane.frac as u32;
        let align = i32::from(p.membrane.frac) - i32::from(p.input.format.frac);
        let neurons = s.v.iter_mut().zip(&mut s.u).zip(&s.abcd);
        for (((v, u), [a, b, c, d]), (i, spike)) in neurons.zip(x[0].iter().zip(y[0].iter_mut())) {
            for _ in 0..1 << p.halvings {
                let square = (41 * ((*v * *v) >> frac)) >> 10;
                let slope = square + 5 * *v + (140 << frac) - *u + (i << align);
                *v = p.membrane.saturate(*v + (slope >> p.halvings));
            }
            *u = p.membrane.saturate(*u + ((a * (((b * *v) >> 12) - *u)) >> 12));
            *spike = i64::from(*v >= p.peak);
            if *spike == 1 {
                *v = *c;
                *u = p.membrane.saturate(*u + d);
            }
        }
    }

    fn body(p: &Params) -> Body {
        let (k, format) = (Builder::new(), p.membrane);
        let current = k.input("current", p.input.format);
        let (v_held, u_held) = (k.state("v", format, p.start[0]), k.state("u", format, p.start[1]));
        let list = |name: &str, frac: i8, values: &PerElement| k.param(name, frac, values.values().to_vec());
        // What does not change within the step: 140 - u + i.
        let rest = (current - u_held + p.constant(&k, 140 << format.frac)).named("drive");
        let mut v = v_held;
        for _ in 0..1 << p.halvings {
            let change = p.slope(&k, v, rest).shr(p.halvings as u32, Rounding::Floor);
            v = (v + change).fit(format, Overflow::Saturate).named("v_now");
        }
        let target = (v * list("b", 0, &p.b)).shr(12, Rounding::Floor);
        let change = ((target - u_held) * list("a", 0, &p.a)).shr(12, Rounding::Floor);
        let u = (u_held + change).fit(format, Overflow::Saturate).named("u_now");
        let spike = v.ge(p.constant(&k, p.peak)).named("spike");
        let raised = (u + list("d", format.frac, &p.d)).fit(format, Overflow::Saturate);
        k.set(v_held, k.select(spike, list("c", format.frac, &p.c), v));
        k.set(u_held, k.select(spike, raised, u));
        k.output_as("spike_out", QType::unsigned(1), spike);
        Body::Kernel(k.finish())
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, p.input.len() / p.input_lanes);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let Body::Kernel(kernel) = Self::body(p) else { unreachable!("this neuron is a kernel") };
        let memory = 2 * p.input_lanes * usize::from(p.membrane.bits);
        kernel.area(t) * p.input_lanes + area(memory + 12, p.input_lanes + 8)
    }
}
