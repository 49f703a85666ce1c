//! Rational functions, one for each group of channels. Deliberately absent: polynomials in hardware; a function of at most
//! twelve bits is a table.

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::{Builder, Kernel};
use nervure_core::{Diagnostic, QType, Schedule, Target, Tensor, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::{area, divisor, flat, matrix};

/// See the README.
pub(crate) struct Rational;

/// Parameters of `act/rational`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Arguments, at most 12 bits, their fraction 0 to 12. Filled in from the layer before.
    input: TensorType,
    /// Elements computed at once, where there is one group. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
    /// Coefficients of the polynomial above, `[groups, degree + 1]`, that of x^0 first; degree 0 to 5. As many groups as rows, which
    /// divide the channels (the last axis).
    numerator: Tensor,
    /// Coefficients of the polynomial below, `[groups, degree]`, that of x^1 first; degree 1 to 5.
    denominator: Tensor,
    /// Format of a coefficient: at most 16 bits, its fraction 0 to 16.
    coefficient: QType,
    /// Format of the result, which saturates; its fraction 0 to 16.
    output: QType,
}

impl Params {
    const MAX_BITS: u8 = 12;
    const MAX_DEGREE: usize = 5;

    fn groups(&self) -> usize {
        self.numerator.shape[0]
    }

    fn group(&self, element: usize) -> usize {
        let columns = self.input.columns();
        element % columns / (columns / self.groups())
    }

    fn lanes(&self) -> usize {
        if self.groups() == 1 { self.input_lanes } else { self.input.len() }
    }

    fn row(list: &Tensor, group: usize) -> &[i64] {
        list.rows().nth(group).expect("there is a row for every group")
    }

    /// All results of a group, from the smallest argument up; by Horner's rule.
    fn table(&self, group: usize) -> Vec<i64> {
        let frac = u32::from(self.input.format.frac.unsigned_abs());
        let horner = |list: &[i64], x: i64| {
            let highest = list.len() as u32 - 1;
            let value = list
                .iter()
                .rev()
                .enumerate()
                .fold(0i128, |sum, (n, c)| sum * i128::from(x) + (i128::from(*c) << (frac * n as u32)));
            (value, frac * highest)
        };
        let below: Vec<i64> = [&[0], Self::row(&self.denominator, group)].concat();
        let of = |x| {
            let (p, p_frac) = horner(Self::row(&self.numerator, group), x);
            let (q, q_frac) = horner(&below, x);
            let one = 1i128 << (u32::from(self.coefficient.frac.unsigned_abs()) + q_frac);
            let up_by = |a: u32, b: u32| a.saturating_sub(b);
            let above = p << (up_by(q_frac, p_frac) + u32::from(self.output.frac.unsigned_abs()));
            let below = (one + q.abs()) << up_by(p_frac, q_frac);
            let whole = above.div_euclid(below);
            let up = 2 * above.rem_euclid(below) >= below;
            (whole + i128::from(up)).clamp(self.output.min().into(), self.output.max().into()) as i64
        };
        (self.input.format.min()..=self.input.format.max()).map(of).collect()
    }

    /// For one element, or for all of them.
    fn kernel(&self) -> Kernel {
        let k = Builder::new();
        let tables: Vec<Vec<i64>> = (0..self.groups()).map(|g| self.table(g)).collect();
        if let [table] = &tables[..] {
            let x = k.input("x", self.input.format);
            k.output_as("y", self.output, k.table(x, self.output.frac, table.clone()).named("quotient"));
        } else {
            let x = flat::inputs(&k, "x", &self.input).into_iter().enumerate();
            let y = x.map(|(e, x)| k.table(x, self.output.frac, tables[self.group(e)].clone()));
            flat::outputs(&k, "y", self.output, y);
        }
        k.finish()
    }
}

/// Errors: `E0205` for anything but `groups` rows of `least` to `most` coefficients.
fn check_rows(
    field: &str,
    list: &Tensor,
    groups: usize,
    (least, most): (usize, usize),
) -> Result<(), Diagnostic> {
    if let [rows, n] = list.shape[..]
        && rows == groups
        && (least..=most).contains(&n)
    {
        return Ok(());
    }
    let message = format!("`{field}` has shape {:?}, expected [{groups}, {least} to {most}]", list.shape);
    let help = "give one row of coefficients for each group, the same groups above and below";
    Err(Diagnostic::new("E0205", message, help).at(field))
}

impl Block for Rational {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "act/rational";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let format = |bits, frac, signed| QType { bits, frac, signed };
        // x (1 + x) / (1 + |x| / 2), like a smooth rectifier.
        let one = Params {
            input: TensorType::frame(&[4], format(6, 3, true)),
            input_lanes: 2,
            numerator: Tensor::new(&[1, 3], vec![0, 64, 64]),
            denominator: Tensor::new(&[1, 1], vec![32]),
            coefficient: format(9, 6, true),
            output: format(8, 3, true),
        };
        let groups = Params {
            input: TensorType::step(&[2, 4], format(5, 2, false)),
            input_lanes: 1,
            numerator: Tensor::new(&[2, 4], vec![3, -20, 7, 1, -31, 0, 0, 2]),
            denominator: Tensor::new(&[2, 2], vec![-9, 4, 0, 31]),
            coefficient: format(6, 4, true),
            output: format(7, 4, true),
        };
        vec![one, groups]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        if input.format.bits > 8 || input.len() > 64 {
            return None;
        }
        let groups = divisor(input.columns(), 4, rng);
        let coefficient =
            QType { bits: rng.random_range(2..12), frac: rng.random_range(0..10), signed: true };
        let (lo, hi) = (coefficient.min(), coefficient.max());
        let output = QType { bits: rng.random_range(2..9), frac: rng.random_range(0..6), signed: true };
        let p = Params {
            input: input.clone(),
            input_lanes: divisor(input.len(), 8, rng),
            numerator: matrix(groups, rng.random_range(1..7), lo, hi, rng),
            denominator: matrix(groups, rng.random_range(1..6), lo, hi, rng),
            coefficient,
            output,
        };
        Self::interface(&p).is_ok().then_some(p)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        p.input.check().map_err(|d| d.at("input"))?;
        let x = p.input.format;
        if x.bits > Params::MAX_BITS || !(0..=12).contains(&x.frac) {
            let message = format!("the input is {x}, expected at most 12 bits and a fraction of 0 to 12");
            return Err(Diagnostic::new("E0203", message, "put an `act/quant` in front").at("input"));
        }
        for (field, q, most) in [("coefficient", p.coefficient, 16), ("output", p.output, QType::MAX_BITS)] {
            if q.bits > most || !(0..=16).contains(&q.frac) {
                let message =
                    format!("`{field}` is {q}, expected at most {most} bits and a fraction of 0 to 16");
                return Err(Diagnostic::new("E0203", message, "choose a narrower format").at(field));
            }
        }
        let groups = p.numerator.shape.first().copied().unwrap_or(0);
        check_rows("numerator", &p.numerator, groups, (1, Params::MAX_DEGREE + 1))?;
        check_rows("denominator", &p.denominator, groups, (1, Params::MAX_DEGREE))?;
        diag::divides("numerator", groups, "the channels of the input", p.input.columns())?;
        p.numerator.check("numerator", &p.numerator.shape, p.coefficient)?;
        p.denominator.check("denominator", &p.denominator.shape, p.coefficient)?;
        if groups > 1 {
            flat::check(&p.input, "input")?;
        }
        Ok(Interface::one_to_one(p.input.clone(), p.lanes(), p.input.with_format(p.output), p.lanes()))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        // Everything times 2^(coefficient + degree * input), the fractions of the largest power, so that all are integers.
        let frac = p.input.format.frac as u32;
        let degree = (p.numerator.shape[1] - 1).max(p.denominator.shape[1]) as u32;
        for (e, (y, &x)) in y[0].iter_mut().zip(x[0]).enumerate() {
            let term =
                |c: i64, power: u32| (i128::from(c) * i128::from(x).pow(power)) << (frac * (degree - power));
            let sum = |list: &[i64], from: u32| (from..).zip(list).map(|(n, c)| term(*c, n)).sum::<i128>();
            let above = sum(Params::row(&p.numerator, p.group(e)), 0) << p.output.frac;
            let below = (1 << (p.coefficient.frac as u32 + frac * degree))
                + sum(Params::row(&p.denominator, p.group(e)), 1).abs();
            let nearest = (2 * above + below).div_euclid(2 * below);
            *y = nearest.clamp(p.output.min().into(), p.output.max().into()) as i64;
        }
    }

    fn body(p: &Params) -> Body {
        if p.groups() == 1 { Body::Kernel(p.kernel()) } else { Body::Flat(p.kernel()) }
    }

    fn schedule(p: &Params, (): &(), _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, p.input.len() / p.lanes());
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let kernel = p.kernel();
        if p.groups() > 1 {
            return kernel.flat_area(t);
        }
        kernel.area(t) * p.input_lanes + area(3, p.input_lanes * p.output.bits as usize + 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_rounded_to_the_nearest() {
        let p = Rational::examples().remove(0);
        let mut y = [0; 4];
        // x = 1, -1, 2 and -4: 2 / 1.5, 0, 6 / 2, 12 / 3, in eighths.
        Rational::step(&p, &mut (), &[&[8, -8, 16, -32]], &mut [&mut y]);
        assert_eq!(y, [11, 0, 24, 32]);
    }
}
