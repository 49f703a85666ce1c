//! Several tensors as one. Deliberately absent: sums of tensors, and axes: the result is flat.

use nervure_core::block::{Area, Block, Body, Interface, Rng, Stream, Template};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType, Timing, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::{area, counter_bits, divisor};

/// See the README.
pub(crate) struct Concat;

/// Parameters of `seq/concat`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in, two to eight tensors. Filled in from the layers that are read.
    inputs: Vec<TensorType>,
    /// Elements a beat, of every input and of the output; divides the elements of each input.
    lanes: usize,
}

/// Inputs, at most.
const MOST: usize = 8;

impl Params {
    fn len(&self) -> usize {
        self.inputs.iter().map(TensorType::len).sum()
    }

    fn frac(&self) -> i8 {
        self.inputs.iter().map(|t| t.format.frac).max().expect("there are inputs")
    }

    /// By how many bits the elements of an input move up.
    fn shift(&self, input: &TensorType) -> u32 {
        (i32::from(self.frac()) - i32::from(input.format.frac)) as u32
    }

    /// The narrowest format that holds every input, as wide as it takes.
    fn bits(&self) -> (u32, bool) {
        let signed = self.inputs.iter().any(|t| t.format.signed);
        let wide =
            |t: &TensorType| u32::from(t.format.bits) + self.shift(t) + u32::from(signed && !t.format.signed);
        (self.inputs.iter().map(wide).max().expect("there are inputs"), signed)
    }

    fn output(&self) -> QType {
        let (bits, signed) = self.bits();
        QType { bits: bits as u8, frac: self.frac(), signed }
    }

    /// The lanes of a beat of `input` in the output's format, highest first.
    fn convert(&self, name: &str, input: &TensorType) -> String {
        let (q, y, shift) = (input.format, self.output(), self.shift(input));
        let pad = u32::from(y.bits) - u32::from(q.bits) - shift;
        let lane = |lane: usize| {
            let (lo, hi) = (lane * q.bits as usize, (lane + 1) * q.bits as usize - 1);
            let data = format!("s_axis_{name}_tdata");
            let mut parts = Vec::new();
            if pad > 0 {
                let sign = if q.signed { format!("{data}[{hi}]") } else { "1'b0".to_owned() };
                parts.push(format!("{{{pad}{{{sign}}}}}"));
            }
            parts.push(format!("{data}[{hi}:{lo}]"));
            if shift > 0 {
                parts.push(format!("{shift}'d0"));
            }
            parts.join(", ")
        };
        (0..self.lanes).rev().map(lane).collect::<Vec<_>>().join(", ")
    }
}

fn fault(message: String, help: &str) -> Diagnostic {
    Diagnostic::new("E0203", message, help).at("inputs")
}

impl Block for Concat {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "seq/concat";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let spikes = |n| TensorType::step(&[n], QType::unsigned(1));
        let two = Params { inputs: vec![spikes(4), spikes(6)], lanes: 2 };
        let counts = TensorType::step(&[2, 2], QType::unsigned(3));
        let membranes = TensorType::step(&[4], QType { bits: 5, frac: 2, signed: true });
        let mixed = Params { inputs: vec![counts, membranes, spikes(4)], lanes: 4 };
        let frames = |bits| TensorType::frame(&[3], QType::signed(bits));
        vec![two, mixed, Params { inputs: vec![frames(4), frames(7)], lanes: 1 }]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let count = rng.random_range(2..5);
        let lanes = divisor(input.len(), 8, rng);
        let other = |rng: &mut Rng| TensorType {
            shape: vec![lanes * rng.random_range(1..4)],
            format: QType { bits: rng.random_range(2..9), frac: input.format.frac, signed: rng.random() },
            rate: input.rate,
        };
        let mut inputs = vec![input.clone()];
        inputs.extend((1..count).map(|_| other(rng)));
        let params = Params { inputs, lanes };
        (params.bits().0 <= u32::from(QType::MAX_BITS)).then_some(params)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        if !(2..=MOST).contains(&p.inputs.len()) {
            let message = format!("{} inputs, expected 2 to {MOST}", p.inputs.len());
            return Err(fault(message, "list the layers to read in `from`"));
        }
        for input in &p.inputs {
            input.check().map_err(|d| d.at("inputs"))?;
            diag::divides("lanes", p.lanes, "the elements of each input", input.len())?;
            if input.rate != p.inputs[0].rate {
                let message = format!("{} and {input} do not pass equally often", p.inputs[0]);
                return Err(fault(message, "read tensors that all pass once a step, or all once a frame"));
            }
        }
        let bits = p.bits().0;
        if bits > u32::from(QType::MAX_BITS) {
            let message = format!("a format for all inputs needs {bits} bits; at most {}", QType::MAX_BITS);
            return Err(fault(message, "requantize one of them first"));
        }
        let names = (0..p.inputs.len()).map(|n| format!("x{n}"));
        let inputs = names.zip(&p.inputs).map(|(name, t)| Stream::new(&name, t.clone(), p.lanes)).collect();
        let y = TensorType { shape: vec![p.len()], format: p.output(), rate: p.inputs[0].rate };
        Ok(Interface { inputs, outputs: vec![Stream::new("y", y, p.lanes)] })
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        let all = x.iter().zip(&p.inputs).flat_map(|(x, t)| x.iter().map(|v| *v << p.shift(t)));
        y[0].iter_mut().zip(all).for_each(|(y, v)| *y = v);
    }

    fn body(p: &Params) -> Body {
        let beats = p.len() / p.lanes;
        let bits = counter_bits(beats);
        let mut at = 0;
        let count = p.inputs.len();
        let inputs: Vec<_> = (p.inputs.iter().enumerate())
            .map(|(n, t)| {
                let name = format!("x{n}");
                let (first, own) = (at, t.len() / p.lanes);
                at += own;
                let from = format!("(beat_q >= {bits}'d{first})");
                let to = format!("(beat_q < {bits}'d{at})");
                let turn = match (n == 0, n + 1 == count) {
                    (true, _) => to,
                    (_, true) => from,
                    _ => format!("{from} & {to}"),
                };
                json!({"name": name, "beats": own, "turn": turn, "data": p.convert(&name, t)})
            })
            .collect();
        let unused: Vec<String> = (0..count - 1).map(|n| format!("s_axis_x{n}_tlast")).collect();
        let context = json!({
            "inputs": inputs, "bits": bits, "last": beats - 1, "final": format!("x{}", count - 1),
            "width": p.lanes * p.output().bits as usize, "unused": unused.join(", "),
        });
        Body::Template(Box::new(Template {
            text: include_str!("concat.v.tera"),
            context,
            memories: Vec::new(),
            kernels: Vec::new(),
            timing: Timing::Pipeline { depth: 0, prologue: 0 },
        }))
    }

    fn schedule(p: &Params, (): &(), _: &[&[i64]], _: bool, out: &mut Schedule) {
        for (n, input) in p.inputs.iter().enumerate() {
            out.pass_from(1 << n, 1, input.len() / p.lanes);
        }
    }

    fn cost(p: &Params, _: &Target) -> Area {
        let (width, bits) = (p.lanes * p.output().bits as usize, counter_bits(p.len() / p.lanes));
        area(width * (p.inputs.len() - 1).div_ceil(2) + 2 * bits + 4, width + bits + 2)
    }
}
