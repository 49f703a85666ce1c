//! Event-based gated recurrent units: what happens to each element once its pre-activations are there. Deliberately absent: the
//! weights, which layers before this one have, and the smooth forms of the gates.

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::{Builder, Expr};
use nervure_core::num::Overflow;
use nervure_core::{Diagnostic, QType, Rate, Rounding, Schedule, Slot, Stream, Target, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::membrane::{finer, holds, signed};
use crate::shared::neuron::one;
use crate::shared::per_element::PerElement;
use crate::shared::{area, divisor};

/// See the README.
pub(crate) struct Egru;

/// Parameters of `neuron/egru`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Pre-activation of the update gate, the first of four inputs of the same type. Filled in from the layer before.
    input: TensorType,
    /// Units computed at once. Filled in from the layer before.
    #[serde(default = "one")]
    input_lanes: usize,
    /// Format of the cell state; signed, with at least the fraction of the inputs. The output has it, too, without the sign.
    cell: QType,
    /// Threshold of an event, an integer of the cell's format; one for all, or one per unit.
    threshold: PerElement,
}

/// State of the golden model.
pub(crate) struct State {
    c: Vec<i64>,
    y: Vec<i64>,
    threshold: Vec<i64>,
}

impl Params {
    const fn output(&self) -> QType {
        QType { bits: self.cell.bits - 1, frac: self.cell.frac, signed: false }
    }

    /// `sigma(a)` of the paper as a line with ends: `a / 4 + 1/2`, between 0 and 1.
    fn gate<'k>(&self, k: &'k Builder, a: Expr<'k>, name: &str) -> Expr<'k> {
        let frac = self.input.format.frac;
        let line = a.shr(2, Rounding::Floor) + k.constant(1 << (frac - 1), frac);
        line.clamp(0, 1 << frac).named(name)
    }
}

impl Block for Egru {
    type Params = Params;
    type State = State;
    const NAME: &'static str = "neuron/egru";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let params = |value| serde_json::from_value(value).expect("fields of this block");
        let x = |n: usize, format: &str| json!({"shape": [n], "format": format, "rate": "step"});
        vec![
            params(json!({"input": x(6, "s8.5"), "cell": "s8.6", "threshold": 16})),
            params(
                json!({"input": x(4, "s9.6"), "input_lanes": 2, "cell": "s8.6", "threshold": [0, 10, 20, 100]}),
            ),
        ]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let format = input.format;
        if input.rate != Rate::Step || !format.signed || format.bits > 16 || !(1..=12).contains(&format.frac)
        {
            return None;
        }
        let frac = format.frac + rng.random_range(0..4);
        let cell = QType { bits: rng.random_range(2..frac as u8 + 5), frac, signed: true };
        let each = rng.random();
        let n = if each { input.len() } else { 1 };
        let thresholds: Vec<i64> = (0..n).map(|_| rng.random_range(0..=cell.max() / 2)).collect();
        let threshold = if each { thresholds.into() } else { thresholds[0].into() };
        Some(Params { input: input.clone(), input_lanes: divisor(input.len(), 4, rng), cell, threshold })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        let format = p.input.format;
        diag::in_range("input", format.bits as usize, 2..17)?;
        signed("input", format)?;
        if !(1..=15).contains(&format.frac) {
            let message = format!("`input` has {} fraction bits, expected 1 to 15", format.frac);
            return Err(Diagnostic::new("E0203", message, "use a format such as s8.5").at("input"));
        }
        diag::in_range("cell", p.cell.bits as usize, 2..25)?;
        signed("cell", p.cell)?;
        finer("cell", p.cell, "a pre-activation", format)?;
        p.threshold.check_len("threshold", p.input.len())?;
        holds("threshold", &p.threshold, 0, p.cell.max())?;
        let stream = |name: &str| Stream::new(name, p.input.clone(), p.input_lanes);
        let y = Stream::new("y", p.input.with_format(p.output()), p.input_lanes);
        Ok(Interface { inputs: ["u", "r", "x", "h"].map(stream).to_vec(), outputs: vec![y] })
    }

    fn state(p: &Params) -> State {
        let n = p.input.len();
        State { c: vec![0; n], y: vec![0; n], threshold: p.threshold.each(n) }
    }

    fn reset(_: &Params, s: &mut State) {
        s.c.fill(0);
        s.y.fill(0);
    }

    fn step(p: &Params, s: &mut State, x: &[&[i64]], y: &mut [&mut [i64]]) {
        let frac = p.input.format.frac;
        let (one, finer) = (1i64 << frac, p.cell.frac - frac);
        let sigma = |a: i64| ((a >> 2) + one / 2).clamp(0, one);
        for (i, (c, before)) in s.c.iter_mut().zip(&mut s.y).enumerate() {
            let (u, r) = (sigma(x[0][i]), sigma(x[1][i]));
            let z = (x[2][i] + ((r * x[3][i]) >> frac)).clamp(-one, one);
            let mixed = (((u * z) << finer) + (one - u) * *c) >> frac;
            *c = p.cell.saturate(mixed - *before);
            *before = if *c > s.threshold[i] { *c } else { 0 };
        }
        y[0].copy_from_slice(&s.y);
    }

    fn body(p: &Params) -> Body {
        let (k, format, frac) = (Builder::new(), p.input.format, p.input.format.frac);
        let [u, r, x, h] = ["update", "gate", "candidate", "recurrent"].map(|name| k.input(name, format));
        let held = k.state("c", p.cell, 0);
        let threshold = k.param("threshold", p.cell.frac, p.threshold.values().to_vec());
        let (u, r) = (p.gate(&k, u, "u"), p.gate(&k, r, "r"));
        let gated = (r * h).shr(frac as u32, Rounding::Floor).read_as(frac);
        let z = (x + gated).clamp(-(1 << frac), 1 << frac).named("z");
        let kept = (k.constant(1 << frac, frac) - u) * held;
        let mixed = (u * z + kept).shr(frac as u32, Rounding::Floor).read_as(p.cell.frac).named("mixed");
        let zero = k.constant(0, p.cell.frac);
        let before = k.select(held.gt(threshold), held, zero).named("y_before");
        let c = (mixed - before).fit(p.cell, Overflow::Saturate).named("c_now");
        k.set(held, c);
        k.output_as("y_out", p.output(), k.select(c.gt(threshold), c, zero).clamp(0, p.cell.max()));
        Body::Kernel(k.finish())
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.slots.push(Slot { take: 0b1111, give: 1, repeat: (p.input.len() / p.input_lanes) as u32 });
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let Body::Kernel(kernel) = Self::body(p) else { unreachable!("this unit is a kernel") };
        let memory = p.input_lanes * usize::from(p.cell.bits);
        kernel.area(t) * p.input_lanes + area(memory + 12, memory + 8)
    }
}
