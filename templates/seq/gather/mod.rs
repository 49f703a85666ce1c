//! Elements in another order, some of them left out or given twice. Deliberately absent: an order that depends on the data.

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::{Builder, Kernel};
use nervure_core::{Diagnostic, QType, Schedule, Target, Tensor, TensorType};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::flat;

/// See the README.
pub(crate) struct Gather;

/// Parameters of `seq/gather`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in. Filled in from the layer before.
    input: TensorType,
    /// For each element of the result: where it lies in the input, in row-major order.
    order: Tensor,
    /// Extents of the result; one axis unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shape: Option<Vec<usize>>,
}

impl Params {
    fn output(&self) -> TensorType {
        let shape = self.shape.clone().unwrap_or_else(|| vec![self.order.data.len()]);
        TensorType { shape, ..self.input.clone() }
    }

    fn kernel(&self) -> Kernel {
        let k = Builder::new();
        let x = flat::inputs(&k, "x", &self.input);
        flat::outputs(&k, "y", self.input.format, self.order.data.iter().map(|n| x[*n as usize]));
        k.finish()
    }
}

impl Block for Gather {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "seq/gather";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        // Channels first to channels last.
        let map = Params {
            input: TensorType::frame(&[2, 2, 3], QType::signed(4)),
            order: Tensor::vector((0..12).map(|n| n % 2 * 6 + n / 2).collect()),
            shape: Some(vec![2, 3, 2]),
        };
        let some = Params {
            input: TensorType::step(&[5], QType::unsigned(3)),
            order: Tensor::vector(vec![4, 0, 4]),
            shape: None,
        };
        vec![map, some]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        if input.len() > 64 {
            return None;
        }
        let n = rng.random_range(1..=input.len());
        let order = (0..n).map(|_| rng.random_range(0..input.len() as i64)).collect();
        Some(Params { input: input.clone(), order: Tensor::vector(order), shape: None })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        flat::check(&p.input, "input")?;
        let y = p.output();
        flat::check(&y, "shape")?;
        if y.len() != p.order.data.len() {
            let message =
                format!("`shape` is {:?}, and `order` has {} elements", y.shape, p.order.data.len());
            let help = "give as many elements as the result has";
            return Err(Diagnostic::new("E0205", message, help).at("order"));
        }
        if let Some(n) = p.order.data.iter().find(|n| !(0..p.input.len() as i64).contains(n)) {
            let message = format!("`order` names element {n} of {}", p.input.len());
            return Err(Diagnostic::new("E0201", message, "count elements from 0").at("order"));
        }
        let lanes = y.len();
        Ok(Interface::one_to_one(p.input.clone(), p.input.len(), y, lanes))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        for (y, n) in y[0].iter_mut().zip(&p.order.data) {
            *y = x[0][*n as usize];
        }
    }

    fn body(p: &Params) -> Body {
        Body::Flat(p.kernel())
    }

    fn schedule(_: &Params, (): &(), _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, 1);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        p.kernel().flat_area(t)
    }
}
