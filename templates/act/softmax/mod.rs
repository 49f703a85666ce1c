//! Softmax over the last axis, in integers: a table of exponentials and an exact division. Deliberately absent: classes without
//! probabilities (`seq/argmax` has those), and approximate reciprocals.

mod exponential;

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::{Builder, Expr, Kernel};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::flat;

/// See the README.
pub(crate) struct Softmax;

/// Parameters of `act/softmax`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Scores, at most 12 bits, their fraction 0 to 16; every row along the last axis becomes a distribution. Filled in from the
    /// layer before.
    input: TensorType,
    /// Bits of an exponential behind the point, 4 to 16.
    #[serde(default = "ten")]
    precision: u8,
    /// Format of a probability: unsigned, its fraction 1 to 16.
    output: QType,
}

const fn ten() -> u8 {
    10
}

impl Params {
    /// Widest score.
    const MAX_BITS: u8 = 12;

    /// The exponential of every distance from the largest score that does not round to 0, and one that does.
    fn table(&self) -> Vec<i64> {
        let format = self.input.format;
        let all = exponential::by_steps(format.frac as u8, self.precision, 1 << format.bits);
        let kept = all.iter().position(|e| *e == 0).map_or(all.len(), |first| first + 1);
        all[..kept].to_vec()
    }

    fn kernel(&self) -> Kernel {
        let k = Builder::new();
        let (x, table) = (flat::inputs(&k, "x", &self.input), self.table());
        let widest = i128::from(self.input.format.max()) - i128::from(self.input.format.min());
        let mut y = Vec::new();
        for row in x.chunks(self.input.columns()) {
            let largest = k.reduce(row.to_vec(), Expr::max).named("largest");
            let exponentials: Vec<Expr<'_>> = row
                .iter()
                .map(|x| {
                    let distance = k.promise(largest - *x, 0, widest).read_as(0);
                    let near = distance.clamp(0, table.len() as i64 - 1).named("distance");
                    let r = near.range();
                    k.table(near, 0, table[r.lo as usize..=r.hi as usize].to_vec()).named("exponential")
                })
                .collect();
            // The largest score itself adds 1.
            let all = k.reduce(exponentials.clone(), |a, b| a + b);
            let all = k.promise(all, 1 << self.precision, all.range().hi).named("all");
            y.extend(exponentials.iter().map(|e| self.divided(&k, *e, all)));
        }
        flat::outputs(&k, "y", self.output, y);
        k.finish()
    }

    /// `part / all` to the nearest of the output: a bit of the quotient after the other.
    fn divided<'k>(&self, k: &'k Builder, part: Expr<'k>, all: Expr<'k>) -> Expr<'k> {
        let (mut rest, mut quotient) = (part, k.constant(0, 0));
        for bit in 0..=self.output.frac {
            if bit > 0 {
                rest = rest.shl(1);
            }
            let fits = rest.ge(all);
            rest = k.promise(k.select(fits, rest - all, rest), 0, all.range().hi - 1).named("rest");
            // Twice the quotient and one more, without an adder.
            let one_more = quotient.complement().shl(1).complement();
            quotient = k.select(fits, one_more, quotient.shl(1));
        }
        let up = rest.shl(1).ge(all).named("up");
        (quotient.named("quotient") + up).clamp(0, self.output.max()).read_as(self.output.frac)
    }
}

impl Block for Softmax {
    type Params = Params;
    /// The exponentials of all distances.
    type State = Vec<i64>;
    const NAME: &'static str = "act/softmax";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let format = |bits, frac, signed| QType { bits, frac, signed };
        let classes = Params {
            input: TensorType::frame(&[5], format(6, 2, true)),
            precision: 10,
            output: format(8, 8, false),
        };
        let rows = Params {
            input: TensorType::step(&[2, 2], format(4, 0, false)),
            precision: 4,
            output: format(5, 4, false),
        };
        vec![classes, rows]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        if input.len() > 12 || input.format.bits > 8 {
            return None;
        }
        let frac = rng.random_range(1..7);
        let output = QType { bits: rng.random_range(1..9), frac, signed: false };
        let p = Params { input: input.clone(), precision: rng.random_range(4..12), output };
        Self::interface(&p).is_ok().then_some(p)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        flat::check(&p.input, "input")?;
        let x = p.input.format;
        if x.bits > Params::MAX_BITS || !(0..=16).contains(&x.frac) {
            let message = format!("the input is {x}, expected at most 12 bits and a fraction of 0 to 16");
            return Err(Diagnostic::new("E0203", message, "put an `act/quant` in front").at("input"));
        }
        diag::in_range("precision", p.precision.into(), 4..17)?;
        if p.output.signed || !(1..=16).contains(&p.output.frac) {
            let message = format!("`output` is {}, expected no sign and a fraction of 1 to 16", p.output);
            return Err(Diagnostic::new("E0203", message, "write `u8.8`, say").at("output"));
        }
        let n = p.input.len();
        Ok(Interface::one_to_one(p.input.clone(), n, p.input.with_format(p.output), n))
    }

    fn state(p: &Params) -> Vec<i64> {
        let x = p.input.format;
        (0..1 << x.bits).map(|d| exponential::by_squares(d, x.frac as u8, p.precision)).collect()
    }

    fn reset(_: &Params, _: &mut Vec<i64>) {}

    fn step(p: &Params, exponential: &mut Vec<i64>, x: &[&[i64]], y: &mut [&mut [i64]]) {
        let columns = p.input.columns();
        for (x, y) in x[0].chunks(columns).zip(y[0].chunks_mut(columns)) {
            let largest = x.iter().max().expect("a row has elements");
            let of = |x: i64| exponential[(largest - x) as usize];
            let all: i64 = x.iter().map(|x| of(*x)).sum();
            for (x, y) in x.iter().zip(y) {
                let nearest = ((of(*x) << (p.output.frac + 1)) + all) / (2 * all);
                *y = nearest.min(p.output.max());
            }
        }
    }

    fn body(p: &Params) -> Body {
        Body::Flat(p.kernel())
    }

    fn schedule(_: &Params, _: &Vec<i64>, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, 1);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        p.kernel().flat_area(t)
    }
}
