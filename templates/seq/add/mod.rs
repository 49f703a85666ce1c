//! Sums of several tensors, element by element. Deliberately absent: sums over time (`seq/sum` has those), and weights.

use nervure_core::block::{Area, Block, Body, Interface, Rng, Stream};
use nervure_core::kernel::Builder;
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
    /// What comes in, two to eight tensors. Filled in from the layers that are read.
    inputs: Vec<TensorType>,
    /// Elements a beat, of every input and of the output; divides the elements.
    lanes: usize,
}

/// Inputs, at most.
const MOST: usize = 8;

impl Params {
    fn frac(&self) -> i8 {
        self.inputs.iter().map(|t| t.format.frac).max().expect("there are inputs")
    }

    /// By how many bits the elements of an input move up.
    fn shift(&self, input: &TensorType) -> u32 {
        (i32::from(self.frac()) - i32::from(input.format.frac)) as u32
    }

    /// The smallest and the largest sum, or nothing where one of them is out of all proportion.
    fn range(&self) -> Option<(i128, i128)> {
        let end = |of: fn(QType) -> i64| {
            let moved = |t: &TensorType| {
                Some(i128::from(of(t.format)) << (self.shift(t) <= 64).then(|| self.shift(t))?)
            };
            self.inputs.iter().map(moved).sum::<Option<i128>>()
        };
        Some((end(QType::min)?, end(QType::max)?))
    }

    fn output(&self) -> Option<QType> {
        let (lo, hi) = self.range()?;
        let fits = (-1i128 << (QType::MAX_BITS - 1)) <= lo && hi < 1i128 << (QType::MAX_BITS - 1);
        fits.then(|| QType::holding(lo, hi, self.frac()))
    }
}

fn fault(message: String, help: &str) -> Diagnostic {
    Diagnostic::new("E0203", message, help).at("inputs")
}

impl Block for Add {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "seq/add";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let counts = |bits| TensorType::frame(&[10], QType::unsigned(bits));
        let members = Params { inputs: vec![counts(4), counts(4), counts(6)], lanes: 2 };
        let fixed = |bits, frac| TensorType::step(&[2, 2], QType { bits, frac, signed: true });
        let spikes = TensorType::step(&[4], QType::unsigned(1));
        vec![members, Params { inputs: vec![fixed(5, 2), fixed(6, 0), spikes], lanes: 4 }]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let count = rng.random_range(2..5);
        let lanes = divisor(input.len(), 8, rng);
        let other = |rng: &mut Rng| {
            let frac = input.format.frac.saturating_add(rng.random_range(0..3));
            input.with_format(QType { bits: rng.random_range(2..9), frac, signed: rng.random() })
        };
        let mut inputs = vec![input.clone()];
        inputs.extend((1..count).map(|_| other(rng)));
        let params = Params { inputs, lanes };
        params.output().is_some().then_some(params)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        if !(2..=MOST).contains(&p.inputs.len()) {
            let message = format!("{} inputs, expected 2 to {MOST}", p.inputs.len());
            return Err(fault(message, "list the layers to read in `from`"));
        }
        let first = &p.inputs[0];
        for input in &p.inputs {
            input.check().map_err(|d| d.at("inputs"))?;
            if input.len() != first.len() {
                let message = format!("{first} and {input} do not have equally many elements");
                return Err(fault(message, "add tensors of one shape"));
            }
            if input.rate != first.rate {
                let message = format!("{first} and {input} do not pass equally often");
                return Err(fault(message, "read tensors that all pass once a step, or all once a frame"));
            }
        }
        diag::divides("lanes", p.lanes, "the elements of each input", first.len())?;
        let Some(format) = p.output() else {
            let message = format!("a format for the sum needs more than {} bits", QType::MAX_BITS);
            return Err(fault(message, "requantize one of them first"));
        };
        let stream = |n: usize, t: &TensorType| Stream::new(&format!("x{n}"), t.clone(), p.lanes);
        let inputs = p.inputs.iter().enumerate().map(|(n, t)| stream(n, t)).collect();
        Ok(Interface { inputs, outputs: vec![Stream::new("y", first.with_format(format), p.lanes)] })
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        y[0].fill(0);
        for (x, input) in x.iter().zip(&p.inputs) {
            let shift = p.shift(input);
            y[0].iter_mut().zip(*x).for_each(|(y, x)| *y += x << shift);
        }
    }

    fn body(p: &Params) -> Body {
        let k = Builder::new();
        let term = |n: usize, t: &TensorType| k.input(&format!("x{n}"), t.format);
        let sum = p.inputs.iter().enumerate().map(|(n, t)| term(n, t)).reduce(|a, b| a + b);
        let format = p.output().expect("the interface was checked");
        k.output_as("sum", format, sum.expect("there are inputs"));
        Body::Kernel(k.finish())
    }

    fn schedule(p: &Params, (): &(), x: &[&[i64]], _: bool, out: &mut Schedule) {
        let all = (1u16 << p.inputs.len()) - 1;
        out.pass_from(all as u8, 1, x[0].len() / p.lanes);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let Body::Kernel(kernel) = Self::body(p) else { unreachable!("a sum is a kernel") };
        let bits = usize::from(p.output().map_or(0, |q| q.bits));
        kernel.area(t) * p.lanes + area(4 + p.inputs.len(), p.lanes * bits + 4)
    }
}
