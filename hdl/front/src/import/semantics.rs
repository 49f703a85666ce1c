//! What a NIR graph leaves open, and what each framework makes of it: update order, comparison, reset, decay, delay.

use std::str::FromStr;

use nervure_core::num::Overflow;
use nervure_core::{Diagnostic, Rounding};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::suggest;

/// A framework, whose reading of a file a [`Semantics`] spells out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// snnTorch.
    Snntorch,
    /// Norse.
    Norse,
    /// Spyx.
    Spyx,
    /// sinabs.
    Sinabs,
    /// Lava's bit-accurate processes, as Loihi computes.
    Loihi,
    /// lava-dl's slayer.
    Slayer,
}

impl Preset {
    /// Every preset by its name.
    pub const ALL: [(&'static str, Self); 6] = [
        ("snntorch", Self::Snntorch),
        ("norse", Self::Norse),
        ("spyx", Self::Spyx),
        ("sinabs", Self::Sinabs),
        ("loihi", Self::Loihi),
        ("slayer", Self::Slayer),
    ];
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<&str> = Self::ALL.iter().map(|p| p.0).collect();
        let found = Self::ALL.iter().find(|p| p.0 == text).map(|p| p.1);
        found.ok_or_else(|| {
            format!(
                "there is no preset `{}`; {}",
                text.escape_debug(),
                suggest::help(text, &names, "the presets are")
            )
        })
    }
}

/// The neurons that presets treat differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Without leak: IF, and the integrator I.
    If,
    /// With one state: LIF, LI, a bare threshold.
    Lif,
    /// With a synaptic current: CubaLIF, CubaLI.
    CubaLif,
}

/// How a time constant becomes a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// `1 - dt / tau`.
    Euler,
    /// `exp(-dt / tau)`.
    Exp,
}

/// Comparison with the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// `v > threshold`.
    Gt,
    /// `v >= threshold`.
    Ge,
}

/// What a spike does to the membrane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// Sets it to zero.
    Zero,
    /// Subtracts the threshold.
    Subtract,
    /// Sets it to the `v_reset` of the file.
    Value,
    /// Nothing.
    None,
}

/// In which step something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// In the step of the spike.
    Now,
    /// In the step after it.
    NextStep,
}

/// Which current the membrane sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// That of this step.
    CurrentFirst,
    /// That of the step before.
    MembraneFirst,
}

/// Lower limit of the membrane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Floor {
    /// None.
    None,
    /// Minus the threshold.
    Threshold,
}

/// What an IF neuron multiplies its input by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfGain {
    /// `r`: one step of input is one unit.
    Unit,
    /// `r dt`, the Euler step of `v' = r x`.
    Dt,
}

/// What recurrent synapses do in the first step of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstStep {
    /// No spikes have come yet, but their bias counts.
    Bias,
    /// Nothing, not even their bias.
    Skip,
}

/// Everything that a file leaves open, for one kind of neuron. Every field can be set alone (`--with FIELD=VALUE`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Semantics {
    /// How a time constant becomes a factor.
    pub decay: Decay,
    /// What an IF neuron multiplies its input by.
    pub if_gain: IfGain,
    /// Which current the membrane sees.
    pub order: Order,
    /// Comparison with the threshold.
    pub compare: Compare,
    /// What a spike does to the membrane.
    pub reset: Reset,
    /// When it does so.
    pub reset_at: When,
    /// A second threshold is subtracted before the comparison while the membrane is above the threshold after its reset.
    pub double_reset: bool,
    /// Spikes in a step, at most; 0 for as many as the membrane holds.
    pub max_spikes: u32,
    /// Lower limit of the membrane.
    pub floor: Floor,
    /// When a spike leaves.
    pub emit: When,
    /// What recurrent synapses do in the first step.
    pub first_step: FirstStep,
    /// Rounding of a decay.
    pub rounding: Rounding,
    /// What a membrane becomes that leaves its format.
    pub overflow: Overflow,
    /// Formats as Loihi has them: decays in 1/4096, six fraction bits below the weights, a membrane of 24 bits.
    pub loihi_formats: bool,
    /// What Loihi subtracts from the decay factor of the current, in 1/4096.
    pub current_decay_offset: u32,
}

impl Semantics {
    /// What `preset` makes of a neuron of this kind.
    pub fn new(preset: Preset, kind: Kind) -> Self {
        let base = Self {
            decay: Decay::Euler,
            if_gain: IfGain::Unit,
            order: Order::CurrentFirst,
            compare: Compare::Gt,
            reset: Reset::Subtract,
            reset_at: When::Now,
            double_reset: false,
            max_spikes: 1,
            floor: Floor::None,
            emit: When::Now,
            first_step: FirstStep::Bias,
            rounding: Rounding::Floor,
            overflow: Overflow::Saturate,
            loihi_formats: false,
            current_decay_offset: 0,
        };
        let loihi = Self {
            reset: Reset::Zero,
            emit: When::NextStep,
            rounding: Rounding::TowardZero,
            loihi_formats: true,
            ..base
        };
        match preset {
            Preset::Snntorch if kind == Kind::CubaLif => Self { double_reset: true, ..base },
            Preset::Snntorch => Self { reset_at: When::NextStep, ..base },
            Preset::Norse => Self { reset: Reset::Zero, first_step: FirstStep::Skip, ..base },
            Preset::Spyx => Self { emit: When::NextStep, ..base },
            Preset::Sinabs => Self {
                decay: Decay::Exp,
                compare: Compare::Ge,
                max_spikes: 0,
                floor: if kind == Kind::If { Floor::Threshold } else { Floor::None },
                ..base
            },
            Preset::Loihi => Self { current_decay_offset: 1, ..loihi },
            Preset::Slayer => Self { compare: Compare::Ge, ..loihi },
        }
    }

    /// Replaces one field. Errors: `E0130` for a field or value that there is not.
    pub fn set(&mut self, field: &str, value: &str) -> Result<(), Diagnostic> {
        match field {
            "decay" => read(&mut self.decay, field, value),
            "if_gain" => read(&mut self.if_gain, field, value),
            "order" => read(&mut self.order, field, value),
            "compare" => read(&mut self.compare, field, value),
            "reset" => {
                read(&mut self.reset, field, value)?;
                // The extra subtraction is a property of resets that subtract.
                self.double_reset &= self.reset == Reset::Subtract;
                Ok(())
            }
            "reset_at" => {
                read(&mut self.reset_at, field, value)?;
                self.double_reset &= self.reset_at == When::Now;
                Ok(())
            }
            "double_reset" => read(&mut self.double_reset, field, value),
            "max_spikes" => read(&mut self.max_spikes, field, value),
            "floor" => read(&mut self.floor, field, value),
            "emit" => read(&mut self.emit, field, value),
            "first_step" => read(&mut self.first_step, field, value),
            "rounding" => read(&mut self.rounding, field, value),
            "overflow" => read(&mut self.overflow, field, value),
            _ => Err(Diagnostic::new(
                "E0130",
                format!("there is no option `{}`", field.escape_debug()),
                suggest::help(field, &Self::FIELDS, "the options are"),
            )
            .at("with")),
        }
    }

    const FIELDS: [&str; 13] = [
        "decay",
        "if_gain",
        "order",
        "compare",
        "reset",
        "reset_at",
        "double_reset",
        "max_spikes",
        "floor",
        "emit",
        "first_step",
        "rounding",
        "overflow",
    ];
}

fn read<T: DeserializeOwned>(field: &mut T, name: &str, text: &str) -> Result<(), Diagnostic> {
    let value = serde_json::from_str(text).ok().filter(|v: &Value| !v.is_object() && !v.is_array());
    let value = value.unwrap_or_else(|| Value::String(text.to_owned()));
    *field = T::deserialize(value).map_err(|e| {
        let message = format!("option `{name}` cannot be `{}`: {e}", text.escape_debug());
        Diagnostic::new("E0130", message, "write FIELD=VALUE with one of the values named above").at("with")
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_can_be_set_and_says_what_it_takes() {
        let values = [
            ("decay", "exp"),
            ("if_gain", "dt"),
            ("order", "membrane_first"),
            ("compare", "ge"),
            ("reset", "value"),
            ("reset_at", "next_step"),
            ("double_reset", "true"),
            ("max_spikes", "7"),
            ("floor", "threshold"),
            ("emit", "next_step"),
            ("first_step", "skip"),
            ("rounding", "toward_zero"),
            ("overflow", "wrap"),
        ];
        assert_eq!(values.map(|v| v.0), Semantics::FIELDS);
        for (field, value) in values {
            let before = Semantics::new(Preset::Snntorch, Kind::If);
            let before = Semantics { reset_at: When::Now, ..before };
            let mut after = before;
            after.set(field, value).expect(field);
            assert_ne!(before, after, "{field}");
            let e = after.set(field, "[nonsense]").expect_err("not a value");
            assert!(e.code == "E0130" && e.message.contains(field), "{e}");
        }
        let e = Semantics::new(Preset::Norse, Kind::Lif).set("resett", "zero").expect_err("no such field");
        assert!(e.help.contains("did you mean `reset`"), "{e}");
    }

    #[test]
    fn presets_have_names() {
        for (name, preset) in Preset::ALL {
            assert_eq!(name.parse(), Ok(preset));
        }
        assert!("snntorch2".parse::<Preset>().expect_err("unknown").contains("did you mean `snntorch`"));
    }
}
