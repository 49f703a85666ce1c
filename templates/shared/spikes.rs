//! What the engines that take spikes or counts of spikes have in common: their checks, their time, their memories.

use nervure_core::block::{Memory, Rng};
use nervure_core::{Diagnostic, QType, Rate, Schedule, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cell::Neuron;
use super::counter_bits;

/// What an element of several bits does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Values {
    /// It is served as often as it says.
    Repeat,
    /// It is served once, and multiplied.
    Multiply,
}

impl Values {
    /// What is done with elements of format `element`; `chosen` is what the parameters say.
    pub(crate) fn of(chosen: Option<Self>, element: QType) -> Self {
        let few = element.bits <= 5 && !element.signed;
        match chosen {
            _ if element.bits == 1 => Self::Repeat,
            Some(values) => values,
            None if few => Self::Repeat,
            None => Self::Multiply,
        }
    }

    /// Errors: `E0203` for elements that cannot be repeated.
    pub(crate) fn check(self, element: QType) -> Result<(), Diagnostic> {
        if self == Self::Multiply || !element.signed && element.bits <= 8 {
            return Ok(());
        }
        let message = format!("elements of {element} cannot be served as often as they say");
        Err(Diagnostic::new("E0203", message, "use `values: multiply`").at("values"))
    }

    /// How often `elements` are served in all.
    pub(crate) fn events(self, elements: &[i64]) -> usize {
        elements.iter().map(|v| self.times(*v)).sum()
    }

    /// How often an element of value `v` is served.
    pub(crate) fn times(self, v: i64) -> usize {
        match self {
            Self::Repeat => v as usize,
            Self::Multiply => usize::from(v != 0),
        }
    }
}

/// Bits of an index of `n` things; none for one thing.
pub(crate) fn bits(n: usize) -> usize {
    if n > 1 { counter_bits(n) } else { 0 }
}

/// Errors: `E0203` for an input that is no spikes or counts, `E0202` for lanes that do not divide it.
pub(crate) fn check(input: &TensorType, lanes: usize) -> Result<(), Diagnostic> {
    input.check().map_err(|d| d.at("input"))?;
    let x = input.format;
    if input.rate != Rate::Step || x.signed || x.frac != 0 || x.bits > 8 {
        let message = format!("the input is {input}, expected spikes or counts: u1 to u8, once a step");
        let help =
            "give the network input `format: u1` and `rate: step`, or put a spiking layer before this one";
        return Err(Diagnostic::new("E0203", message, help).at("input"));
    }
    diag::divides("input_lanes", lanes, "the elements of the input", input.len())
}

/// Errors: `E0201` for a number of bits beyond 2 to 24, `E0203` for a format without a sign.
pub(crate) fn check_weight_format(format: QType) -> Result<(), Diagnostic> {
    diag::in_range("weight_format", format.bits as usize, 2..25)?;
    if !(-64..=64).contains(&format.frac) {
        let message = format!("`weight_format` is {format}, with a fraction beyond -64 to 64 bits");
        let help = "read the weights with another fraction";
        return Err(Diagnostic::new("E0203", message, help).at("weight_format"));
    }
    if format.signed {
        return Ok(());
    }
    let message = format!("`weight_format` is {format}, which has no sign");
    Err(Diagnostic::new("E0203", message, "use a signed format, such as s4").at("weight_format"))
}

/// Loads the `count` beats one after the other, each with as many passes over `groups` as there are spikes in it. A beat is
/// loaded in the last cycle of the one before; it is taken from the stream where it is one of the first `outer`.
pub(crate) fn serve<'a>(
    beats: impl Iterator<Item = &'a [i64]>,
    count: usize,
    outer: usize,
    groups: usize,
    out: &mut Schedule,
) {
    for (n, beat) in beats.enumerate() {
        if n < outer {
            out.take(1);
        } else {
            out.busy(1);
        }
        let busy = beat.iter().sum::<i64>() as usize * groups;
        out.busy(if n + 1 == count { busy } else { busy.saturating_sub(1) });
    }
}

/// A memory of `rows`, elements of `bits` bits, cut into parts as wide as a block RAM of 36 Kbit is at this depth, so that no
/// multiplexer is needed behind one; and for each part its name and its place in a row.
pub(crate) fn parts(name: &str, bits: usize, rows: &[Vec<i64>]) -> (Vec<Memory>, Vec<Value>) {
    let shapes = [(512, 72), (1024, 36), (2048, 18), (4096, 9), (8192, 4), (16384, 2)];
    let width = shapes.iter().find(|(words, _)| rows.len() <= *words).map_or(1, |(_, width)| *width);
    let lanes = rows[0].len();
    let part = (width / bits).clamp(1, lanes);
    let memory = |(n, first): (usize, usize)| {
        let end = (first + part).min(lanes);
        let m = Memory::pack(&format!("{name}_{n}"), bits, rows.iter().map(|row| &row[first..end]));
        let place = json!({"name": m.name, "lo": first * bits, "hi": end * bits - 1});
        (m, place)
    };
    (0..lanes).step_by(part).enumerate().map(memory).unzip()
}

/// A random neuron for currents of type `current`, where there is one.
pub(crate) fn random_neuron(current: &TensorType, rng: &mut Rng) -> Option<Neuron> {
    let registry = crate::registry();
    let blocks: Vec<_> = registry.blocks().filter(|b| b.name().starts_with("neuron/")).collect();
    let block = blocks[rng.random_range(0..blocks.len())];
    let mut params = block.sample(current, rng)?.params().as_object()?.clone();
    params.remove("input");
    params.remove("input_lanes");
    Some(Neuron { block: block.name().into(), params })
}
