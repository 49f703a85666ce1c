//! Any function of one narrow element, as a table. Deliberately absent: interpolation.

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::Builder;
use nervure_core::{Diagnostic, QType, Schedule, Target, Tensor, TensorType};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::{area, divisor};

/// See the README.
pub(crate) struct Table;

/// Parameters of `act/table`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Arguments, at most 12 bits each. Filled in from the layer before.
    input: TensorType,
    /// Elements looked up at once. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
    /// Format of an entry.
    output: QType,
    /// One entry per integer of the input's format, from its smallest up: `2^bits` in all.
    entries: Tensor,
}

impl Params {
    /// Widest argument.
    const MAX_BITS: u8 = 12;
}

impl Block for Table {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "act/table";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let square = Params {
            input: TensorType::frame(&[4], QType::signed(4)),
            input_lanes: 2,
            output: QType::unsigned(7),
            entries: Tensor::vector((-8..8).map(|x| x * x).collect()),
        };
        let step = Params {
            input: TensorType::step(&[3], QType { bits: 5, frac: 3, signed: false }),
            input_lanes: 1,
            output: QType { bits: 6, frac: 4, signed: true },
            entries: Tensor::vector((0..32).map(|x| (x * 7) % 64 - 32).collect()),
        };
        vec![square, step]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        if input.format.bits > 8 {
            return None;
        }
        let output = QType { bits: rng.random_range(2..10), frac: 0, signed: rng.random() };
        let entry = |_| rng.random_range(output.min()..=output.max());
        let entries = Tensor::vector((0..1 << input.format.bits).map(entry).collect());
        Some(Params { input: input.clone(), input_lanes: divisor(input.len(), 4, rng), output, entries })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        let bits = p.input.format.bits;
        if bits > Params::MAX_BITS {
            let message = format!("the input has {bits} bits, at most {} can be looked up", Params::MAX_BITS);
            return Err(Diagnostic::new("E0203", message, "put an `act/requant` in front").at("input"));
        }
        p.entries.check("entries", &[1 << bits], p.output)?;
        let y = p.input.with_format(p.output);
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, y, p.input_lanes))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        for (y, &x) in y[0].iter_mut().zip(x[0]) {
            *y = p.entries.data[(x - p.input.format.min()) as usize];
        }
    }

    fn body(p: &Params) -> Body {
        let k = Builder::new();
        let x = k.input("x", p.input.format);
        let y = k.table(x, p.output.frac, p.entries.data.clone()).named("entry");
        k.output_as("y", p.output, y);
        Body::Kernel(k.finish())
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, p.input.len() / p.input_lanes);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let Body::Kernel(kernel) = Self::body(p) else { unreachable!("a table is a kernel") };
        kernel.area(t) * p.input_lanes + area(3, p.input_lanes * p.output.bits as usize + 2)
    }
}
