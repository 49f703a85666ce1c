//! Address-events to elements, once a step. Deliberately absent: time stamps, for who sends the events ends the step.

use nervure_core::block::{Area, Block, Body, Interface, Rng, Stream, Template};
use nervure_core::{Diagnostic, QType, Rate, Schedule, Target, TensorType, Timing, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::{area, counter_bits};

/// See the README.
pub(crate) struct AerIn;

/// Parameters of `stream/aer_in`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in, as events. Filled in from the layer before.
    input: TensorType,
    /// Elements a beat going out; a power of two that divides them.
    #[serde(default = "crate::shared::neuron::one")]
    lanes: usize,
    /// Format of an element, which saturates; that of the input unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<QType>,
}

impl Params {
    fn element(&self) -> QType {
        self.output.unwrap_or(self.input.format)
    }

    fn words(&self) -> usize {
        self.input.len() / self.lanes
    }

    /// Bits of an address, and how many of them choose the word and the lane.
    fn bits(&self) -> (usize, usize, usize) {
        let (all, lane) = (counter_bits(self.input.len()), self.lanes.ilog2() as usize);
        (all, all - lane, lane)
    }

    fn fault(&self) -> Option<(&'static str, &'static str, String, &'static str)> {
        if self.input.rate != Rate::Event {
            let message = format!("the input is {}, expected events", self.input);
            let help = "give the network input `rate: event`, or leave this layer out";
            return Some(("E0203", "input", message, help));
        }
        let (x, y) = (self.input.format, self.element());
        if y.signed || y.frac != 0 || y.bits > x.bits {
            let message = format!("`output` is {y}, and an element counts events of {x}");
            return Some(("E0203", "output", message, "use u1, or as many bits as the input has at most"));
        }
        if !self.lanes.is_power_of_two() {
            let message = format!("`lanes` is {}, which does not cut an address in two", self.lanes);
            return Some(("E0202", "lanes", message, "use a power of two; lanes are adapted between layers"));
        }
        None
    }
}

impl Block for AerIn {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "stream/aer_in";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let spikes = QType::unsigned(1);
        let camera = Params { input: TensorType::event(&[2, 3, 4], spikes), lanes: 4, output: None };
        let counts = Params { input: TensorType::event(&[10], QType::unsigned(3)), lanes: 2, output: None };
        let single =
            Params { input: TensorType::event(&[8], QType::unsigned(2)), lanes: 8, output: Some(spikes) };
        let plain = Params { input: TensorType::event(&[5], spikes), lanes: 1, output: None };
        vec![camera, counts, single, plain]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        if input.rate != Rate::Event {
            return None;
        }
        let powers: Vec<usize> = (0..6).map(|n| 1 << n).filter(|n| input.len().is_multiple_of(*n)).collect();
        let lanes = powers[rng.random_range(0..powers.len())];
        let bits = rng.random_range(1..=input.format.bits);
        let output = rng.random::<bool>().then_some(QType::unsigned(bits));
        Some(Params { input: input.clone(), lanes, output })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        p.input.check().map_err(|d| d.at("input"))?;
        diag::divides("lanes", p.lanes, "the elements of the input", p.input.len())?;
        if let Some((code, field, message, help)) = p.fault() {
            return Err(Diagnostic::new(code, message, help).at(field));
        }
        let y = TensorType { rate: Rate::Step, ..p.input.with_format(p.element()) };
        Ok(Interface {
            inputs: vec![Stream::any("x", p.input.clone(), 1)],
            outputs: vec![Stream::new("y", y, p.lanes)],
        })
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        for (y, &events) in y[0].iter_mut().zip(x[0]) {
            *y = p.element().saturate(events);
        }
    }

    fn body(p: &Params) -> Body {
        let (address, word, lane) = p.bits();
        let bits = usize::from(p.element().bits);
        let context = json!({
            "lanes": p.lanes, "bits": bits, "width": p.lanes * bits, "words": p.words(), "last_word": p.words() - 1,
            "address_bits": address, "word_bits": word, "lane_bits": lane, "depth_top": (1usize << word) - 1,
        });
        Body::Template(Box::new(Template {
            text: include_str!("aer_in.v.tera"),
            context,
            memories: Vec::new(),
            kernels: Vec::new(),
            timing: Timing::Pipeline { depth: 1, prologue: if word > 0 { p.words() as u32 } else { 0 } },
        }))
    }

    fn schedule(p: &Params, (): &(), x: &[&[i64]], _: bool, out: &mut Schedule) {
        out.take(x[0].iter().sum::<i64>() as usize);
        out.pass(1, 1);
        out.give(p.words() - 1);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let (_, word, lane) = p.bits();
        let width = p.lanes * usize::from(p.element().bits);
        if word == 0 {
            return area(2 * width + lane + 6, 2 * width + lane + 5);
        }
        let memory = if (1 << word) <= t.lut_ram_words {
            area((width * (1usize << word).div_ceil(32)).div_ceil(2), width)
        } else {
            Area { bram: (width << word).div_ceil(t.block_ram_bits) as u32, ..Area::default() }
        };
        memory + area(2 * width + 3 * word + lane + 8, 2 * width + 2 * word + lane + 9)
    }
}
