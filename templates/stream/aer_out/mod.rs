//! Spikes to address-events. Deliberately absent: arbitration, for there is one scanner.

use nervure_core::block::{Area, Block, Body, Interface, Rng, Stream, Template};
use nervure_core::{Diagnostic, QType, Rate, Schedule, Target, TensorType, Timing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::shared::spikes::{bits, check};
use crate::shared::{area, counter_bits, divisor};

/// See the README.
pub(crate) struct AerOut;

/// Parameters of `stream/aer_out`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Spikes or counts of spikes. Filled in from the layer before.
    input: TensorType,
    /// Elements a beat. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
}

impl Params {
    fn beats(&self) -> usize {
        self.input.len() / self.input_lanes
    }

    fn address_bits(&self) -> usize {
        counter_bits(self.input.len())
    }

    /// Bits of the number of a beat or, where lanes do not cut an address in two, of its first address; and how far beats are
    /// apart.
    fn place(&self) -> (usize, usize) {
        match self.input_lanes.is_power_of_two() {
            _ if self.beats() == 1 => (0, 0),
            true => (bits(self.beats()), 1),
            false => (self.address_bits(), self.input_lanes),
        }
    }

    /// The address of an event, from the place of its beat and its place in it.
    fn address(&self) -> String {
        let (all, (place, apart), index) = (self.address_bits(), self.place(), bits(self.input_lanes));
        match (place, index) {
            (0, 0) => "1'd0".into(),
            (0, _) => "index".into(),
            (_, 0) => "place_q".into(),
            _ if apart == 1 => "{place_q, index}".into(),
            _ => format!("place_q + {{{}'d0, index}}", all - index),
        }
    }
}

impl Block for AerOut {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "stream/aer_out";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let spikes = Params { input: TensorType::step(&[3, 8], QType::unsigned(1)), input_lanes: 4 };
        let counts = Params { input: TensorType::step(&[12], QType::unsigned(2)), input_lanes: 3 };
        let whole = Params { input_lanes: 24, ..spikes.clone() };
        let single = Params { input: TensorType::step(&[6], QType::unsigned(3)), input_lanes: 1 };
        vec![spikes, counts, whole, single]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let p = Params { input: input.clone(), input_lanes: divisor(input.len(), 32, rng) };
        check(input, p.input_lanes).is_ok().then_some(p)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        check(&p.input, p.input_lanes)?;
        let y = TensorType { rate: Rate::Event, ..p.input.clone() };
        Ok(Interface {
            inputs: vec![Stream::new("x", p.input.clone(), p.input_lanes)],
            outputs: vec![Stream::any("y", y, 1)],
        })
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(_: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        y[0].copy_from_slice(x[0]);
    }

    fn body(p: &Params) -> Body {
        let (place, apart) = p.place();
        let beats = p.beats();
        let bits_each = usize::from(p.input.format.bits);
        let context = json!({
            "lanes": p.input_lanes, "bits": bits_each, "width": p.input_lanes * bits_each,
            "index_bits": bits(p.input_lanes), "place_bits": place, "apart": apart, "beats": beats,
            "last_place": (beats - 1) * apart, "before_last": beats.saturating_sub(2) * apart,
            "address_bits": p.address_bits(), "address": p.address(),
        });
        Body::Template(Box::new(Template {
            text: include_str!("aer_out.v.tera"),
            context,
            memories: Vec::new(),
            kernels: Vec::new(),
            timing: Timing::Pipeline { depth: 0, prologue: 0 },
        }))
    }

    fn schedule(p: &Params, (): &(), x: &[&[i64]], _: bool, out: &mut Schedule) {
        for beat in x[0].chunks(p.input_lanes) {
            out.take(1);
            out.give(beat.iter().sum::<i64>() as usize);
        }
        out.give(1);
    }

    fn cost(p: &Params, _: &Target) -> Area {
        let width = p.input_lanes * usize::from(p.input.format.bits);
        let (place, address) = (p.place().0, p.address_bits());
        area(2 * width + 2 * place + address + 5, width + place + address + 6)
    }
}
