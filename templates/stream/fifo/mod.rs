//! A queue of beats. Deliberately absent: crossing clocks.

use nervure_core::block::{Area, Block, Body, Interface, Rng, Stream, Template};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType, Timing, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::{area, counter_bits, lanes};

/// See the README.
pub(crate) struct Fifo;

/// Parameters of `stream/fifo`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What passes. Filled in from the layer before.
    input: TensorType,
    /// Elements a beat. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
    /// Beats it holds, 1 to 65536.
    depth: usize,
}

impl Params {
    /// Up to this depth the beats lie in distributed memory, which is read in the cycle of the address.
    const SHALLOW: usize = 64;

    /// Bits of a stored beat: the data and `tlast`.
    fn word(&self) -> usize {
        self.stream("x").width() + 1
    }

    fn stream(&self, name: &str) -> Stream {
        Stream::any(name, self.input.clone(), self.input_lanes)
    }
}

impl Block for Fifo {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "stream/fifo";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let one = Params { input: TensorType::frame(&[6], QType::signed(5)), input_lanes: 1, depth: 1 };
        let odd = Params { input: TensorType::step(&[6], QType::unsigned(1)), input_lanes: 2, depth: 5 };
        let power = Params { depth: 4, ..one.clone() };
        let deep = Params { input: TensorType::step(&[50], QType::unsigned(3)), input_lanes: 1, depth: 72 };
        vec![one, odd, power, deep]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let depth = if rng.random() { rng.random_range(1..17) } else { rng.random_range(1..140) };
        Some(Params { input: input.clone(), input_lanes: lanes(input, rng), depth })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        diag::in_range("depth", p.depth, 1..65537)?;
        Ok(Interface { inputs: vec![p.stream("x")], outputs: vec![p.stream("y")] })
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(_: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        y[0].copy_from_slice(x[0]);
    }

    fn body(p: &Params) -> Body {
        let context = json!({
            "depth": p.depth, "last_address": p.depth - 1, "word": p.word(),
            "address_bits": counter_bits(p.depth), "count_bits": counter_bits(p.depth + 1),
            "address_top": counter_bits(p.depth) - 1, "count_top": counter_bits(p.depth + 1) - 1,
            "power": p.depth.is_power_of_two(), "single": p.depth == 1, "shallow": p.depth <= Params::SHALLOW,
        });
        Body::Template(Box::new(Template {
            text: include_str!("fifo.v.tera"),
            context,
            memories: Vec::new(),
            kernels: Vec::new(),
            timing: Timing::Fifo { capacity: p.depth as u32 },
        }))
    }

    fn schedule(p: &Params, _: &Self::State, x: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, p.stream("x").beats_of(x[0]));
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let (word, address, count) = (p.word(), counter_bits(p.depth), counter_bits(p.depth + 1));
        let control = area(2 * count + 2 * address + 3, count + 2 * address);
        match p.depth {
            1 => area(2, word + 1),
            _ if p.depth > Params::SHALLOW => {
                let bram = (p.depth * word).div_ceil(t.block_ram_bits) as u32;
                control + area(word + 2 * address, word + 1) + Area { bram, ..Area::default() }
            }
            _ if t.lut_ram_words < 2 => control + area(2 * p.depth * word / 3, p.depth * word),
            // Four lookup tables hold 32 words of 6 bits or 64 words of 3; Yosys doubles the address.
            _ => control + area(4 * word.div_ceil(if p.depth <= 32 { 6 } else { 3 }), address),
        }
    }
}
