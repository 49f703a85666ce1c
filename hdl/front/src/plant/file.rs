//! The fields of a plant file, as they are written.

use std::collections::BTreeMap;

use nervure_core::{QType, Rounding};
use serde::Deserialize;

/// A plant file.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Version of the format.
    #[serde(rename = "nervure")]
    _version: u32,
    /// Name of the plant.
    pub(super) name: String,
    /// Steps a second, from 1.
    pub(super) rate_hz: u32,
    /// What comes from outside: set-points, disturbances, noise.
    pub(super) sequences: Vec<Sequence>,
    /// The states.
    pub(super) states: Vec<State>,
    /// Per input of the network: one sum an element.
    pub(super) senses: BTreeMap<String, Vec<Sum>>,
    /// What the control is judged by.
    pub(super) tracking: Option<Tracking>,
}

/// Values from outside.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sequence {
    /// Name.
    pub(super) name: String,
    /// `FILE.npz:ARRAY`, an array `[episodes, steps]` of integers in an archive beside the plant file.
    pub(super) array: String,
    /// Format that holds every value, such as `s16.8`.
    pub(super) format: QType,
}

/// A state.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Name.
    pub(super) name: String,
    /// Format, to which it saturates, such as `s24.16`.
    pub(super) format: QType,
    /// Value at the start of an episode, an integer of the format; 0 unless given.
    #[serde(default)]
    pub(super) start: i64,
    /// What it is in the next step.
    pub(super) next: Sum,
}

/// A sum of terms, divided by a power of two.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sum {
    /// The terms.
    pub(super) terms: Vec<Term>,
    /// The sum is divided by `2^shift`; 0 to 62, and 0 unless given.
    #[serde(default)]
    pub(super) shift: u32,
    /// Rounding of the division: `floor` unless given.
    #[serde(default = "floor")]
    pub(super) rounding: Rounding,
}

const fn floor() -> Rounding {
    Rounding::Floor
}

/// A gain times signals.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Term {
    /// An integer.
    pub(super) gain: i64,
    /// A signal, `abs(signal)`, or a list of up to three whose product counts; without it, the gain alone.
    pub(super) of: Option<Of>,
}

/// One signal or several.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub(super) enum Of {
    /// One.
    One(String),
    /// Their product.
    Product(Vec<String>),
}

impl Of {
    /// The names.
    pub(super) fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Product(names) => names,
        }
    }
}

/// What the control is judged by.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tracking {
    /// The state that should follow.
    pub(super) state: String,
    /// The sequence that it should follow; its fraction is at most that of the state.
    pub(super) target: String,
    /// Sequences whose changes, too, are something to settle from.
    #[serde(default)]
    pub(super) disturbances: Vec<String>,
    /// A distance up to this counts as settled, in the state's LSB.
    pub(super) band: i64,
}
