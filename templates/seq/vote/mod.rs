//! The choice of the majority. Deliberately absent: votes of different weight (add the counts with `seq/add` instead).

use nervure_core::block::{Area, Block, Body, Interface, Rng, Stream};
use nervure_core::kernel::Builder;
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::{area, divisor};

/// See the README.
pub(crate) struct Vote;

/// Parameters of `seq/vote`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in, three to eight tensors of classes. Filled in from the layers that are read.
    inputs: Vec<TensorType>,
    /// Elements a beat, of every input and of the output; divides the elements.
    #[serde(default = "crate::shared::neuron::one")]
    lanes: usize,
}

/// Voters, at most.
const MOST: usize = 8;

impl Block for Vote {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "seq/vote";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let digit = TensorType::frame(&[1], QType::unsigned(4));
        let pixels = TensorType::step(&[2, 3], QType::unsigned(2));
        let three = Params { inputs: vec![digit; 3], lanes: 1 };
        vec![three, Params { inputs: vec![pixels; 4], lanes: 3 }]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let lanes = divisor(input.len(), 4, rng);
        let p = Params { inputs: vec![input.clone(); rng.random_range(3..6)], lanes };
        Self::interface(&p).is_ok().then_some(p)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        let fault = |message: String, help: &str| Err(Diagnostic::new("E0203", message, help).at("inputs"));
        if !(3..=MOST).contains(&p.inputs.len()) {
            let message = format!("{} inputs, expected 3 to {MOST}", p.inputs.len());
            return fault(message, "list the layers that vote in `from`");
        }
        let first = &p.inputs[0];
        first.check().map_err(|d| d.at("inputs"))?;
        if first.format.signed || first.format.frac != 0 || first.format.bits > 16 {
            let message = format!("the voters say {first}, expected classes: u1 to u16");
            return fault(message, "put an index of the largest, such as `seq/argmax`, before this layer");
        }
        if let Some(other) = p.inputs.iter().find(|t| *t != first) {
            let message = format!("one voter says {first}, another {other}");
            return fault(message, "let all choose among the same classes, equally often");
        }
        diag::divides("lanes", p.lanes, "the elements of each input", first.len())?;
        let stream = |n: usize| Stream::new(&format!("x{n}"), first.clone(), p.lanes);
        let inputs = (0..p.inputs.len()).map(stream).collect();
        Ok(Interface { inputs, outputs: vec![Stream::new("y", first.clone(), p.lanes)] })
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(_: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        for (e, y) in y[0].iter_mut().enumerate() {
            let votes = |class: i64| x.iter().filter(|x| x[e] == class).count();
            let classes = x.iter().map(|x| x[e]);
            let most = classes.clone().map(votes).max().unwrap_or(0);
            *y = classes.filter(|class| votes(*class) == most).min().unwrap_or(0);
        }
    }

    fn body(p: &Params) -> Body {
        let k = Builder::new();
        let classes: Vec<_> =
            p.inputs.iter().enumerate().map(|(n, t)| k.input(&format!("x{n}"), t.format)).collect();
        let votes = |of: usize| {
            let others = classes.iter().enumerate().filter(|(n, _)| *n != of);
            let agree = others.map(|(_, c)| c.equals(classes[of])).reduce(|a, b| a + b);
            agree.expect("there are others").named(&format!("votes_{of}"))
        };
        let mut best = (classes[0], votes(0));
        for (n, &class) in classes.iter().enumerate().skip(1) {
            let own = votes(n);
            let better = own.gt(best.1) | (own.equals(best.1) & best.0.gt(class));
            best = (k.select(better, class, best.0), k.select(better, own, best.1));
        }
        k.output_as("class", p.inputs[0].format, best.0);
        Body::Kernel(k.finish())
    }

    fn schedule(p: &Params, (): &(), x: &[&[i64]], _: bool, out: &mut Schedule) {
        let all = (1u16 << p.inputs.len()) - 1;
        out.pass_from(all as u8, 1, x[0].len() / p.lanes);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let Body::Kernel(kernel) = Self::body(p) else { unreachable!("a vote is a kernel") };
        let bits = usize::from(p.inputs[0].format.bits);
        kernel.area(t) * p.lanes + area(4 + p.inputs.len(), p.lanes * bits + 4)
    }
}
