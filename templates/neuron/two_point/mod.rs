//! Context-sensitive two-point cells: one stream is what a cell has received, another its context. Deliberately absent: weights, and
//! state.

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::Builder;
use nervure_core::{Diagnostic, QType, Rounding, Schedule, Slot, Stream, Target, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::neuron::one;
use crate::shared::{area, divisor};

/// See the README.
pub(crate) struct TwoPoint;

/// Parameters of `neuron/two_point`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Integrated receptive field, the first input. Filled in from the layer before.
    input: TensorType,
    /// Cells computed at once. Filled in from the layer before.
    #[serde(default = "one")]
    input_lanes: usize,
    /// Format of the context, the second input, which has the shape and the rate of the first.
    context: QType,
    /// Format of the output; unsigned.
    output: QType,
    /// Largest output, a whole number: the paper's `ReLU6` ends at 6.
    #[serde(default = "six", skip_serializing_if = "is_six")]
    cap: i64,
}

const fn six() -> i64 {
    6
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_six(cap: &i64) -> bool {
    *cap == 6
}

impl Params {
    /// Fraction bits of the exact sum.
    fn exact(&self) -> i8 {
        self.input.format.frac + self.input.format.frac.max(self.context.frac)
    }

    fn highest(&self) -> i64 {
        self.output.max().min(self.cap << self.output.frac)
    }
}

impl Block for TwoPoint {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "neuron/two_point";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let format = |bits, frac| QType { bits, frac, signed: true };
        let base = Params {
            input: TensorType::step(&[6], format(8, 4)),
            input_lanes: 1,
            context: format(8, 4),
            output: QType { bits: 7, frac: 4, signed: false },
            cap: 6,
        };
        let frame = Params {
            input: TensorType::frame(&[2, 4], format(6, 3)),
            input_lanes: 4,
            context: format(9, 5),
            output: QType { bits: 4, frac: 2, signed: false },
            cap: 100,
        };
        vec![base, frame]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let format = input.format;
        if format.bits > 16 || !(0..=8).contains(&format.frac) {
            return None;
        }
        let context =
            QType { bits: rng.random_range(2..13), frac: rng.random_range(0..7), signed: rng.random() };
        let frac = rng.random_range(0..=format.frac);
        Some(Params {
            input: input.clone(),
            input_lanes: divisor(input.len(), 8, rng),
            context,
            output: QType { bits: rng.random_range(1..16), frac, signed: false },
            cap: if rng.random() { 6 } else { rng.random_range(1..30) },
        })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        let fault =
            |field: &str, message: String, help: &str| Err(Diagnostic::new("E0203", message, help).at(field));
        for (field, q) in [("input", p.input.format), ("context", p.context), ("output", p.output)] {
            diag::in_range(field, q.bits as usize, 1..17)?;
            if !(0..=16).contains(&q.frac) {
                let message = format!("`{field}` has {} fraction bits, expected 0 to 16", q.frac);
                return fault(field, message, "use a format such as s8.4");
            }
        }
        if p.output.signed {
            let message = format!("`output` is {}, which has a sign", p.output);
            return fault("output", message, "use an unsigned format, such as u7.4: no output is negative");
        }
        if p.output.frac > p.exact() {
            let (o, most) = (p.output.frac, p.exact());
            let message = format!("`output` has {o} fraction bits, the sum has {most}");
            return fault("output", message, "use a smaller fraction");
        }
        if !(1..=65535).contains(&p.cap) {
            let message = format!("`cap` is {}, expected 1 to 65535", p.cap);
            return fault("cap", message, "the paper's is 6");
        }
        let stream = |name: &str, format| Stream::new(name, p.input.with_format(format), p.input_lanes);
        let inputs = vec![stream("r", p.input.format), stream("c", p.context)];
        Ok(Interface { inputs, outputs: vec![stream("y", p.output)] })
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        let (fr, fc, exact) = (p.input.format.frac, p.context.frac, p.exact());
        let (square, line, product) = (exact - 2 * fr, exact - fr, exact - fr - fc);
        for ((y, &r), &c) in y[0].iter_mut().zip(x[0]).zip(x[1]) {
            let sum = ((r * r) << square) + ((2 * r) << line) + ((c * ((1 << fr) + r.abs())) << product);
            *y = (sum >> (exact - p.output.frac)).clamp(0, p.highest());
        }
    }

    fn body(p: &Params) -> Body {
        let k = Builder::new();
        let (r, c) = (k.input("receptive", p.input.format), k.input("context", p.context));
        let zero = k.constant(0, p.input.format.frac);
        let size = k.select(r.ge(zero), r, zero - r).named("size");
        let modulation = (c * (size + k.constant(1, 0))).named("modulation");
        let sum = (r * r + r.shl(1) + modulation).named("sum");
        let kept = sum.shr((sum.frac() - p.output.frac) as u32, Rounding::Floor).read_as(p.output.frac);
        k.output_as("y_out", p.output, kept.clamp(0, p.highest()));
        Body::Kernel(k.finish())
    }

    fn schedule(p: &Params, (): &(), _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.slots.push(Slot { take: 0b11, give: 1, repeat: (p.input.len() / p.input_lanes) as u32 });
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let Body::Kernel(kernel) = Self::body(p) else { unreachable!("a two-point cell is a kernel") };
        kernel.area(t) * p.input_lanes + area(8, p.input_lanes * usize::from(p.output.bits) + 4)
    }
}
