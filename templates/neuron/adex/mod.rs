//! Adaptive exponential integrate-and-fire neurons in fixed point, without a multiplier for the exponential. Deliberately absent:
//! synapses, and parameters in physical units.

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::{Builder, Expr};
use nervure_core::num::Overflow;
use nervure_core::{Diagnostic, QType, Rate, Rounding, Schedule, Target, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::membrane::{finer, holds, signed};
use crate::shared::neuron::one;
use crate::shared::per_element::PerElement;
use crate::shared::{area, divisor};

/// See the README.
pub(crate) struct Adex;

/// Parameters of `neuron/adex`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Input current over leak conductance; one neuron per element. Filled in from the layer before.
    input: TensorType,
    /// Neurons computed at once. Filled in from the layer before.
    #[serde(default = "one")]
    input_lanes: usize,
    /// Format of the membrane, 0 being rest; signed, with at least the fraction of the input.
    membrane: QType,
    /// Where the exponential takes over, an integer of the membrane's format.
    threshold: i64,
    /// Slope factor of the exponential: `2^slope / ln 2` membrane LSB; 1 to 12.
    slope: u32,
    /// Membrane at which it fires, an integer of its format.
    peak: i64,
    /// Membrane after a spike, an integer of its format, below the peak.
    reset: i64,
    /// The membrane moves by `2^-leak_shift` of what drives it in a step; 1 to 16.
    leak_shift: u32,
    /// Format of the adaptation; signed, with at least the fraction of the membrane.
    adaptation: QType,
    /// The adaptation moves by `2^-adaptation_shift` of its distance in a step; 1 to 16.
    adaptation_shift: u32,
    /// Coupling of the adaptation to the membrane, in 1/256; one integer, or one per neuron. 0 to 4096.
    a: PerElement,
    /// What a spike adds to the adaptation, an integer of its format; one for all, or one per neuron.
    b: PerElement,
}

/// State of the golden model, and the parameters of each neuron.
pub(crate) struct State {
    v: Vec<i64>,
    w: Vec<i64>,
    ab: Vec<[i64; 2]>,
}

/// Powers of two that lie between the threshold and the peak, at most.
const HIGHEST: i64 = 16;

impl Params {
    /// Bits that the adaptation has more than the membrane.
    fn finer(&self) -> i32 {
        i32::from(self.adaptation.frac) - i32::from(self.membrane.frac)
    }

    /// The slope factor `2^slope / ln 2`, rounded down; 94548/65536 is 1/ln 2.
    const fn slope_factor(&self) -> i64 {
        (94_548 << self.slope) >> 16
    }

    /// The exponential is less than half an LSB where the exponent of two is below minus this.
    const fn lowest(&self) -> u32 {
        self.slope + 2
    }

    /// `slope_factor * 2^((v - threshold) / 2^slope)`: a barrel shift of one plus the fraction.
    fn exponential<'k>(&self, k: &'k Builder, v: Expr<'k>) -> Expr<'k> {
        let (n, lowest) = (self.slope, self.lowest());
        let integer = |v: i64| k.constant(v, 0);
        let x = (v.read_as(0) - integer(self.threshold)).named("above_threshold");
        let fraction = x.fit(QType::unsigned(n as u8), Overflow::Wrap).named("fraction");
        let steps = x.shr(n, Rounding::Floor) + integer(lowest.into());
        let most = (((self.peak - 1 - self.threshold) >> n) + i64::from(lowest)).max(0);
        let by = steps.clamp(0, most).named("exponent");
        let mut power = (fraction + integer(1 << n)) * integer(self.slope_factor());
        let (highest, mut shifted) = (power.range().hi, 0);
        for bit in 0..by.range().bits() {
            let set = by.shr(bit, Rounding::Floor).fit(QType::unsigned(1), Overflow::Wrap);
            shifted += 1 << bit;
            power = k.select(set, power.shl(1 << bit), power).named("power");
            power = k.promise(power, 0, highest << shifted.min(most));
        }
        let exponential = k.select(steps.ge(integer(0)), power.shr(n + lowest, Rounding::Floor), integer(0));
        exponential.read_as(self.membrane.frac).named("exponential")
    }
}

impl Block for Adex {
    type Params = Params;
    type State = State;
    const NAME: &'static str = "neuron/adex";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let params = |value| serde_json::from_value(value).expect("fields of this block");
        let x = |n: usize, format: &str| json!({"shape": [n], "format": format, "rate": "step"});
        vec![
            // The paper's cell in 1/8 mV: threshold 20 mV above rest, slope factor 2 mV (16 LSB), a = 4/30, b = 2.7 mV.
            params(
                json!({"input": x(4, "s9.1"), "membrane": "s11.3", "threshold": 162, "slope": 3, "peak": 280,
                "reset": 0, "leak_shift": 4, "adaptation": "s16.8", "adaptation_shift": 8, "a": 34, "b": 691}),
            ),
            params(
                json!({"input": x(4, "s8"), "input_lanes": 2, "membrane": "s12.2", "threshold": 80, "slope": 4,
                "peak": 200, "reset": 50, "leak_shift": 3, "adaptation": "s12.2", "adaptation_shift": 5,
                "a": [0, 100, 256, 1000], "b": [40, 10, 0, -20]}),
            ),
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
        let (finer, more) = (rng.random_range(0..3), rng.random_range(0..5));
        let bits = (format.bits + finer + rng.random_range(0..3)).max(8);
        let membrane = QType { bits, frac: format.frac + finer as i8, signed: true };
        let adaptation = QType { bits: bits + more, frac: membrane.frac + more as i8, signed: true };
        let mut draw = |lo: i64, hi: i64| match input.len() {
            n @ 1..=64 if rng.random() => {
                PerElement::from((0..n).map(|_| rng.random_range(lo..=hi)).collect::<Vec<_>>())
            }
            _ => PerElement::from(rng.random_range(lo..=hi)),
        };
        let (a, b) = (draw(0, 600), draw(-adaptation.max() / 8, adaptation.max() / 2));
        let slope = rng.random_range(1..7);
        let threshold = rng.random_range(0..membrane.max() / 2);
        let peak = rng.random_range(threshold + 1..=membrane.max().min(threshold + (12 << slope)));
        Some(Params {
            input: input.clone(),
            input_lanes: divisor(input.len(), 4, rng),
            membrane,
            threshold,
            slope,
            peak,
            reset: rng.random_range(membrane.min() / 4..peak),
            leak_shift: rng.random_range(1..6),
            adaptation,
            adaptation_shift: rng.random_range(1..8),
            a,
            b,
        })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        let (m, w, len) = (p.membrane, p.adaptation, p.input.len());
        diag::in_range("membrane", m.bits as usize, 4..25)?;
        signed("membrane", m)?;
        finer("membrane", m, "the input current", p.input.format)?;
        diag::in_range("adaptation", w.bits as usize, 4..33)?;
        signed("adaptation", w)?;
        finer("adaptation", w, "the membrane", m)?;
        diag::in_range("slope", p.slope as usize, 1..13)?;
        diag::in_range("leak_shift", p.leak_shift as usize, 1..17)?;
        diag::in_range("adaptation_shift", p.adaptation_shift as usize, 1..17)?;
        let highest = m.max().min(p.threshold.saturating_add(HIGHEST << p.slope));
        holds("threshold", &p.threshold.into(), 0, m.max() - 1)?;
        holds("peak", &p.peak.into(), p.threshold + 1, highest)?;
        holds("reset", &p.reset.into(), m.min(), p.peak - 1)?;
        for (name, values, lo, hi) in [("a", &p.a, 0, 4096), ("b", &p.b, w.min(), w.max())] {
            values.check_len(name, len)?;
            holds(name, values, lo, hi)?;
        }
        let spikes = p.input.with_format(QType::unsigned(1));
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, spikes, p.input_lanes))
    }

    fn state(p: &Params) -> State {
        let n = p.input.len();
        let (a, b) = (p.a.each(n), p.b.each(n));
        State { v: vec![0; n], w: vec![0; n], ab: a.into_iter().zip(b).map(|(a, b)| [a, b]).collect() }
    }

    fn reset(_: &Params, s: &mut State) {
        s.v.fill(0);
        s.w.fill(0);
    }

    fn step(p: &Params, s: &mut State, x: &[&[i64]], y: &mut [&mut [i64]]) {
        let (n, finer) = (i64::from(p.slope), p.finer());
        let align = i32::from(p.membrane.frac) - i32::from(p.input.format.frac);
        let neurons = s.v.iter_mut().zip(&mut s.w).zip(&s.ab);
        for (((v, w), [a, b]), (i, spike)) in neurons.zip(x[0].iter().zip(y[0].iter_mut())) {
            let (exponent, fraction) = ((*v - p.threshold) >> n, (*v - p.threshold) & ((1 << n) - 1));
            // Between two powers of two, 2^x is the line from one to the other.
            let power = p.slope_factor() * ((1 << n) + fraction);
            let exponential = match exponent {
                e if e < -i64::from(p.lowest()) => 0,
                e if e < n => power >> (n - e),
                e => power << (e - n),
            };
            let drive = exponential - *v - (*w >> finer) + (i << align);
            let target = (a * (*v << finer)) >> 8;
            *v = p.membrane.saturate(*v + (drive >> p.leak_shift));
            *w = p.adaptation.saturate(*w + ((target - *w) >> p.adaptation_shift));
            *spike = i64::from(*v >= p.peak);
            if *spike == 1 {
                *v = p.reset;
                *w = p.adaptation.saturate(*w + b);
            }
        }
    }

    fn body(p: &Params) -> Body {
        let (k, frac) = (Builder::new(), p.membrane.frac);
        let list = |name: &str, frac: i8, values: &PerElement| k.param(name, frac, values.values().to_vec());
        let current = k.input("current", p.input.format);
        let (v_held, w_held) = (k.state("v", p.membrane, 0), k.state("w", p.adaptation, 0));
        let pull = w_held.shr(p.finer() as u32, Rounding::Floor).read_as(frac);
        let drive = (p.exponential(&k, v_held) - v_held - pull + current).named("drive");
        let v = (v_held + drive.shr(p.leak_shift, Rounding::Floor)).fit(p.membrane, Overflow::Saturate);
        let v = v.named("v_now");
        let fine = v_held.shl(p.finer() as u32).read_as(p.adaptation.frac);
        let target = (fine * list("a", 0, &p.a)).shr(8, Rounding::Floor).named("target");
        let change = (target - w_held).shr(p.adaptation_shift, Rounding::Floor);
        let w = (w_held + change).fit(p.adaptation, Overflow::Saturate).named("w_now");
        let spike = v.ge(k.constant(p.peak, frac)).named("spike");
        let raised = (w + list("b", p.adaptation.frac, &p.b)).fit(p.adaptation, Overflow::Saturate);
        k.set(v_held, k.select(spike, k.constant(p.reset, frac), v));
        k.set(w_held, k.select(spike, raised, w));
        k.output_as("spike_out", QType::unsigned(1), spike);
        Body::Kernel(k.finish())
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, p.input.len() / p.input_lanes);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let Body::Kernel(kernel) = Self::body(p) else { unreachable!("this neuron is a kernel") };
        let memory = p.input_lanes * usize::from(p.membrane.bits + p.adaptation.bits);
        kernel.area(t) * p.input_lanes + area(memory + 12, p.input_lanes + 8)
    }
}
