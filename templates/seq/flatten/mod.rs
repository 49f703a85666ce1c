//! Another shape for the same elements.

use nervure_core::block::{Area, Block, Body, Interface, Rng, Template};
use nervure_core::kernel::Builder;
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType, Timing};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::{area, divisor, flat};

/// See the README.
pub(crate) struct Flatten;

/// Parameters of `seq/flatten`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What passes. Filled in from the layer before.
    input: TensorType,
    /// Elements a beat. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
    /// Extents of the result, of as many elements. Unless given: one axis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shape: Option<Vec<usize>>,
}

impl Params {
    const fn width(&self) -> usize {
        self.input_lanes * self.input.format.bits as usize
    }
}

impl Block for Flatten {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "seq/flatten";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let frame =
            Params { input: TensorType::frame(&[2, 3], QType::signed(4)), input_lanes: 2, shape: None };
        let step = Params {
            input: TensorType::step(&[2, 1, 2], QType::unsigned(1)),
            input_lanes: 1,
            shape: Some(vec![1, 4]),
        };
        vec![frame, step]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let shape = rng.random::<bool>().then(|| {
            let rows = divisor(input.len(), input.len(), rng);
            vec![rows, input.len() / rows]
        });
        Some(Params { input: input.clone(), input_lanes: divisor(input.len(), 8, rng), shape })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        p.input.check().map_err(|d| d.at("input"))?;
        let shape = p.shape.clone().unwrap_or_else(|| vec![p.input.len()]);
        let y = TensorType { shape, ..p.input.clone() };
        y.check()?;
        if y.len() != p.input.len() {
            let (shape, n) = (&y.shape, p.input.len());
            return Err(Diagnostic::new(
                "E0205",
                format!("`shape` is {shape:?}, of {} elements, and the input has {n}", y.len()),
                "give extents whose product is the number of elements",
            )
            .at("shape"));
        }
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, y, p.input_lanes))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(_: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        y[0].copy_from_slice(x[0]);
    }

    fn body(p: &Params) -> Body {
        if p.input_lanes == p.input.len() && p.input.len() <= flat::MAX_ELEMENTS {
            let k = Builder::new();
            let x = flat::inputs(&k, "x", &p.input);
            flat::outputs(&k, "y", p.input.format, x);
            return Body::Flat(k.finish());
        }
        Body::Template(Box::new(Template {
            text: include_str!("flatten.v.tera"),
            context: json!({"width_top": p.width() - 1}),
            memories: Vec::new(),
            kernels: Vec::new(),
            timing: Timing::Pipeline { depth: 0, prologue: 0 },
        }))
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, p.input.len() / p.input_lanes);
    }

    fn cost(p: &Params, _: &Target) -> Area {
        area(2, p.width() + 2)
    }
}
