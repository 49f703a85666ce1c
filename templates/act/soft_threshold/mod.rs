//! Soft threshold, the shrinkage of sparse coding. Deliberately absent: the iteration around it (a network unrolls that), and a
//! threshold that is learned at run time.

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::{Builder, Kernel};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::per_element::PerElement;
use crate::shared::{area, divisor};

/// See the README.
pub(crate) struct SoftThreshold;

/// Parameters of `act/soft_threshold`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in. Filled in from the layer before.
    input: TensorType,
    /// Elements computed at once. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
    /// By how much every element comes closer to 0, in input LSB, at least 0; one for all, or one for each.
    lambda: PerElement,
}

impl Params {
    /// Smallest and largest result over all elements.
    fn ends(&self) -> (i64, i64) {
        let least = self.lambda.values().iter().copied().min().expect("there is a threshold");
        let x = self.input.format;
        ((x.min() + least).min(0), (x.max() - least).max(0))
    }

    /// `x - clamp(x, -lambda, lambda)`: what is left over beyond the dead zone.
    fn kernel(&self) -> Kernel {
        let k = Builder::new();
        let x = k.input("x", self.input.format);
        let (format, each) = (self.input.format, self.lambda.each(self.input.len()));
        let upper = k.param("lambda", format.frac, each.clone());
        let capped = x.min(upper);
        let inside = if format.signed {
            let lower = k.param("minus_lambda", format.frac, each.iter().map(|l| -l).collect());
            capped.max(lower)
        } else {
            capped
        };
        let (lo, hi) = self.ends();
        let y = k.promise(x - inside.named("inside"), lo.into(), hi.into());
        k.output_as("y", format, y.named("shrunk"));
        k.finish()
    }
}

impl Block for SoftThreshold {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "act/soft_threshold";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let one = Params {
            input: TensorType::frame(&[6], QType { bits: 7, frac: 3, signed: true }),
            input_lanes: 3,
            lambda: 9.into(),
        };
        // One passes as it is, one is always 0.
        let each = Params {
            input: TensorType::step(&[2, 2], QType::signed(5)),
            input_lanes: 1,
            lambda: vec![0, 3, 16, 7].into(),
        };
        let unsigned =
            Params { input: TensorType::frame(&[4], QType::unsigned(4)), input_lanes: 4, lambda: 5.into() };
        vec![one, each, unsigned]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let most = input.format.max().min(1 << 40);
        let lambda: PerElement = if rng.random::<bool>() && input.len() <= 64 {
            (0..input.len()).map(|_| rng.random_range(0..=most)).collect::<Vec<_>>().into()
        } else {
            rng.random_range(0..=most).into()
        };
        Some(Params { input: input.clone(), input_lanes: divisor(input.len(), 8, rng), lambda })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        p.input.check().map_err(|d| d.at("input"))?;
        p.lambda.check_len("lambda", p.input.len())?;
        let most = i128::from(p.input.format.max()) + i128::from(p.input.format.signed);
        if let Some(v) = p.lambda.find_bad(|v| (0..=most).contains(&v.into())) {
            let message = format!("`lambda` is {v}, expected 0 to {most}");
            let help = format!("the input is {}; beyond {most} every element would be 0", p.input.format);
            return Err(Diagnostic::new("E0201", message, help).at("lambda"));
        }
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, p.input.clone(), p.input_lanes))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        let lambda = p.lambda.values();
        for (i, (y, &x)) in y[0].iter_mut().zip(x[0]).enumerate() {
            *y = x.signum() * (x.abs() - lambda[i % lambda.len()]).max(0);
        }
    }

    fn body(p: &Params) -> Body {
        Body::Kernel(p.kernel())
    }

    fn schedule(p: &Params, (): &(), _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, p.input.len() / p.input_lanes);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let kernel = p.kernel();
        let param: usize = kernel.params.iter().map(|c| c.port.format.bits as usize).sum();
        let stages = kernel.stages(t, t.budget_ps(t.clock_mhz)).count as usize;
        let registers = p.input_lanes * stages * p.input.format.bits as usize + stages + 3;
        kernel.area(t) * p.input_lanes + area(p.input_lanes * param + 4, registers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_closer_to_zero() {
        let p = SoftThreshold::examples().remove(0);
        let mut y = [0; 6];
        SoftThreshold::step(&p, &mut (), &[&[-64, -10, -9, 0, 9, 63]], &mut [&mut y]);
        assert_eq!(y, [-55, -1, 0, 0, 0, 54]);
    }
}
