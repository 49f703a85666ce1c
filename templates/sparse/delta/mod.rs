//! Temporal deltas: what has changed since it was last said. Deliberately absent: the sum that makes values of differences again
//! (`neuron/li` without a leak), and the skipping of what has not changed (an array does that).

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::{Builder, Kernel};
use nervure_core::{Diagnostic, QType, Rate, Schedule, Target, TensorType};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::{area, counter_bits, divisor};

/// See the README.
pub(crate) struct Delta;

/// Parameters of `sparse/delta`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in, once a time step. Filled in from the layer before.
    input: TensorType,
    /// Elements a beat. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
    /// The largest difference that is not said, in input LSB; with 0, every one is.
    #[serde(default)]
    threshold: i64,
    /// What each element is taken to have been before the first step, in input LSB: a zero point; 0 unless given.
    #[serde(default, skip_serializing_if = "crate::shared::neuron::is_default")]
    start: i64,
}

impl Params {
    /// Format of a difference. At most one bit beyond 48; the interface refuses that.
    fn difference(&self) -> QType {
        QType { bits: self.input.format.bits + 1, signed: true, ..self.input.format }
    }

    fn beats(&self) -> usize {
        self.input.len() / self.input_lanes
    }

    fn kernel(&self) -> Kernel {
        let k = Builder::new();
        let format = self.input.format;
        let x = k.input("x", format);
        let said = k.state("said", format, self.start);
        let difference = (x - said).named("difference");
        let constant = |v| k.constant(v, format.frac);
        let changed = difference.gt(constant(self.threshold)) | constant(-self.threshold).gt(difference);
        let changed = changed.named("changed");
        k.set(said, k.select(changed, x, said));
        k.output_as("d", self.difference(), k.select(changed, difference, constant(0)));
        k.finish()
    }
}

impl Block for Delta {
    type Params = Params;
    /// What each element was when it was last said.
    type State = Vec<i64>;
    const NAME: &'static str = "sparse/delta";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let each = Params {
            input: TensorType::step(&[6], QType::signed(8)),
            input_lanes: 2,
            threshold: 0,
            start: 0,
        };
        let coarse = Params {
            input: TensorType::step(&[2, 2], QType { bits: 6, frac: 2, signed: false }),
            input_lanes: 1,
            threshold: 9,
            start: 20,
        };
        let wide = Params {
            input: TensorType::step(&[4], QType::signed(5)),
            input_lanes: 4,
            threshold: 4,
            start: -16,
        };
        vec![each, coarse, wide]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let bits = input.format.bits;
        if input.rate != Rate::Step || bits >= QType::MAX_BITS {
            return None;
        }
        let most = (1 << rng.random_range(0..=bits)) - 1;
        let threshold = rng.random_range(0..=most).min((1 << bits) - 2);
        let start = if rng.random() { 0 } else { rng.random_range(input.format.min()..=input.format.max()) };
        Some(Params { input: input.clone(), input_lanes: divisor(input.len(), 8, rng), threshold, start })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        p.input.check().map_err(|d| d.at("input"))?;
        if p.input.rate != Rate::Step {
            let message = format!("the input is {}, which has no time steps to compare", p.input);
            let help = "leave this layer out, or make the input pass once a step";
            return Err(Diagnostic::new("E0203", message, help).at("input"));
        }
        let format = p.input.format;
        if format.bits >= QType::MAX_BITS {
            let message = format!("a difference of {format} needs a bit more; at most {}", QType::MAX_BITS);
            return Err(Diagnostic::new("E0203", message, "use a narrower input").at("input"));
        }
        let largest = format.max() - format.min();
        if !(0..largest).contains(&p.threshold) {
            let message = format!("`threshold` is {}, expected 0 to {}", p.threshold, largest - 1);
            let help =
                format!("elements of {format} differ by at most {largest}; beyond, nothing would be said");
            return Err(Diagnostic::new("E0201", message, help).at("threshold"));
        }
        if !format.contains(p.start) {
            let message =
                format!("`start` is {}, outside {format} ({} to {})", p.start, format.min(), format.max());
            return Err(
                Diagnostic::new("E0206", message, "start from a value that the input can have").at("start")
            );
        }
        let y = p.input.with_format(p.difference());
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, y, p.input_lanes))
    }

    fn state(p: &Params) -> Vec<i64> {
        vec![0; p.input.len()]
    }

    fn reset(p: &Params, said: &mut Vec<i64>) {
        said.fill(p.start);
    }

    fn step(p: &Params, said: &mut Vec<i64>, x: &[&[i64]], y: &mut [&mut [i64]]) {
        for ((d, said), x) in y[0].iter_mut().zip(said).zip(x[0]) {
            *d = x - *said;
            if d.abs() <= p.threshold {
                *d = 0;
            }
            *said += *d;
        }
    }

    fn body(p: &Params) -> Body {
        Body::Kernel(p.kernel())
    }

    fn schedule(p: &Params, _: &Vec<i64>, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, p.beats());
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let (word, beats) = (p.input_lanes * usize::from(p.input.format.bits), p.beats());
        let memory = if beats == 1 {
            area(0, word)
        } else if t.lut_ram_words < 2 {
            area(beats * word, beats * word)
        } else {
            // Four lookup tables hold 32 words of 6 bits or 64 words of 3.
            let blocks = if beats <= 32 { word.div_ceil(6) } else { word.div_ceil(3) * beats.div_ceil(64) };
            area(4 * blocks, counter_bits(beats))
        };
        // The zero of a sample's first step costs one lookup table a bit in front of the subtractors.
        let out = p.input_lanes * usize::from(p.difference().bits);
        p.kernel().area(t) * p.input_lanes + memory + area(word + 6, out + 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_changes_add_up_until_they_are_said() {
        let p = Params { threshold: 2, start: 1, ..Delta::examples().remove(2) };
        let mut said = Delta::state(&p);
        Delta::reset(&p, &mut said);
        let mut y = [0; 4];
        for (x, d) in [
            ([3, 4, -1, 15], [0, 3, 0, 14]),
            ([4, 5, -2, -16], [3, 0, -3, -31]),
            ([4, 6, -5, -16], [0, 0, -3, 0]),
            ([1, 7, -5, -13], [-3, 3, 0, 3]),
        ] {
            Delta::step(&p, &mut said, &[&x], &mut [&mut y]);
            assert_eq!(y, d, "{x:?}");
        }
    }
}
