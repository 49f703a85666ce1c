//! Sums of tensors, element by element: the end of a residual path, or of an ensemble. Deliberately absent: weights, rounding,
//! and sums over time (`seq/sum` has those).

use nervure_core::block::{Area, Block, Body, Interface, Rng, Stream};
use nervure_core::kernel::{Builder, Kernel};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::{area, divisor};

/// See the README.
pub(crate) struct Add;

/// Parameters of `seq/add`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in, two to eight tensors of equally many elements. Filled in from the layers that are read.
    inputs: Vec<TensorType>,
    /// Elements a beat, of every stream; all of them unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lanes: Option<usize>,
}

/// Inputs, at most.
const MOST: usize = 8;

impl Params {
    fn lanes(&self) -> usize {
        self.lanes.unwrap_or(self.inputs[0].len())
    }

    fn frac(&self) -> i8 {
        self.inputs.iter().map(|t| t.format.frac).max().expect("there are inputs")
    }

    /// By how many bits the elements of an input move up.
    fn shift(&self, input: &TensorType) -> u32 {
        (i32::from(self.frac()) - i32::from(input.format.frac)) as u32
    }

    /// Format of the sum: the shortest that holds every one. Errors: `E0207`.
    fn sum(&self) -> Result<QType, Diagnostic> {
        let of = |end: fn(QType) -> i64| {
            let ends = self.inputs.iter().map(|t| i128::from(end(t.format)) << self.shift(t).min(64));
            ends.sum::<i128>()
        };
        let sum = QType::holding(of(QType::min), of(QType::max), self.frac());
        if sum.bits <= QType::MAX_BITS {
            return Ok(sum);
        }
        let message = format!("the sum needs {} bits; at most {}", sum.bits, QType::MAX_BITS);
        let help = "bring formats and fractions closer together with an `act/quant` in front";
        Err(Diagnostic::new("E0207", message, help).at("inputs"))
    }

    fn kernel(&self) -> Kernel {
        let (k, sum) = (Builder::new(), self.sum().expect("the interface was checked"));
        let x = self.inputs.iter().enumerate().map(|(n, t)| k.input(&format!("x{n}"), t.format)).collect();
        k.output_as("y", sum, k.reduce(x, |a, b| a + b).named("total"));
        k.finish()
    }
}

impl Block for Add {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "seq/add";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let format = |bits, frac, signed| QType { bits, frac, signed };
        let two = Params {
            inputs: vec![
                TensorType::frame(&[2, 2], format(6, 2, true)),
                TensorType::frame(&[2, 2], format(5, 4, false)),
            ],
            lanes: None,
        };
        let counts = |bits| TensorType::frame(&[10], format(bits, 0, false));
        let members = Params { inputs: [4, 4, 6].map(counts).to_vec(), lanes: Some(2) };
        let mixed = Params {
            inputs: vec![
                TensorType::step(&[2, 2], format(5, 2, true)),
                TensorType::step(&[2, 2], format(6, 0, true)),
                TensorType::step(&[4], format(1, 0, false)),
            ],
            lanes: Some(1),
        };
        vec![two, members, mixed]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let other = |rng: &mut Rng| {
            let frac = input.format.frac.saturating_add(rng.random_range(-2..3));
            input.with_format(QType { bits: rng.random_range(2..9), frac, signed: rng.random() })
        };
        let mut inputs = vec![input.clone()];
        inputs.extend((0..rng.random_range(1..4)).map(|_| other(rng)));
        let lanes = rng.random::<bool>().then(|| divisor(input.len(), 8, rng));
        let p = Params { inputs, lanes };
        Self::interface(&p).is_ok().then_some(p)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        let fault = |message: String, help: &str| Err(Diagnostic::new("E0203", message, help).at("inputs"));
        if !(2..=MOST).contains(&p.inputs.len()) {
            let message = format!("{} inputs, expected 2 to {MOST}", p.inputs.len());
            return fault(message, "list the layers to read in `from`");
        }
        let first = &p.inputs[0];
        for input in &p.inputs {
            input.check().map_err(|d| d.at("inputs"))?;
            if input.len() != first.len() {
                let message = format!("{first} and {input} do not have equally many elements");
                return fault(message, "add tensors of one shape");
            }
            if input.rate != first.rate {
                let message = format!("{first} and {input} do not pass equally often");
                return fault(message, "read tensors that all pass once a step, or all once a frame");
            }
        }
        diag::divides("lanes", p.lanes(), "the elements of each input", first.len())?;
        let y = first.with_format(p.sum()?);
        let stream = |(n, t): (usize, &TensorType)| Stream::new(&format!("x{n}"), t.clone(), p.lanes());
        Ok(Interface {
            inputs: p.inputs.iter().enumerate().map(stream).collect(),
            outputs: vec![Stream::new("y", y, p.lanes())],
        })
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        for (e, y) in y[0].iter_mut().enumerate() {
            *y = x.iter().zip(&p.inputs).map(|(x, t)| x[e] << p.shift(t)).sum();
        }
    }

    fn body(p: &Params) -> Body {
        Body::Kernel(p.kernel())
    }

    fn schedule(p: &Params, (): &(), _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass_from(((1u16 << p.inputs.len()) - 1) as u8, 1, p.inputs[0].len() / p.lanes());
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let bits = p.sum().expect("the interface was checked").bits as usize;
        p.kernel().area(t) * p.lanes() + area(4 + p.inputs.len(), p.lanes() * bits + 4)
    }
}
