//! The one specification of a leaky integrator that may fire: options, and what of them goes together.
//!
//! [`super::integrate`] is the definition in plain integers, [`super::circuit`] the hardware. Both start from a [`Cell`].

use nervure_core::num::Overflow;
use nervure_core::{Diagnostic, QType, TensorType, diag};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::leak::Leak;
use super::per_element::PerElement;

/// When a neuron fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Compare {
    /// When the membrane is greater than the threshold.
    Gt,
    /// When it is greater or equal.
    Ge,
}

/// What a spike does to the membrane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reset {
    /// Sets it to zero.
    Zero,
    /// Subtracts the threshold.
    Subtract,
    /// Nothing.
    None,
    /// Sets it to a value, an integer of the membrane's format.
    Value(i64),
}

/// In which step something that a spike causes happens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum When {
    /// In the step of the spike.
    #[default]
    Now,
    /// In the step after it.
    NextStep,
}

/// Which synaptic current the membrane adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// The current of this step.
    CurrentFirst,
    /// The current of the step before.
    MembraneFirst,
}

/// A neuron: a membrane, perhaps behind a filter of the input current, perhaps firing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell<'a> {
    pub(crate) input: &'a TensorType,
    pub(crate) membrane: QType,
    pub(crate) overflow: Overflow,
    pub(crate) leak: Option<&'a Leak>,
    pub(crate) bias: Option<&'a PerElement>,
    pub(crate) synapse: Option<Synapse<'a>>,
    pub(crate) firing: Option<Firing<'a>>,
}

/// Exponential filter of the input current.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Synapse<'a> {
    pub(crate) format: QType,
    pub(crate) leak: &'a Leak,
    pub(crate) order: Order,
    pub(crate) overflow: Overflow,
}

/// Firing and reset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Firing<'a> {
    pub(crate) threshold: &'a PerElement,
    pub(crate) compare: Compare,
    pub(crate) reset: Reset,
    pub(crate) reset_at: When,
    pub(crate) double_reset: bool,
    pub(crate) max_spikes: usize,
    pub(crate) floor: Option<i64>,
    pub(crate) emit: When,
    pub(crate) refractory: usize,
    pub(crate) adaptation: Option<Adaptation<'a>>,
}

/// What every spike adds to the threshold, and how that fades.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Adaptation<'a> {
    pub(crate) format: QType,
    pub(crate) leak: &'a Leak,
    pub(crate) jump: &'a PerElement,
}

fn fault<T>(field: &str, message: String, help: &str) -> Result<T, Diagnostic> {
    Err(Diagnostic::new("E0203", message, help).at(field))
}

impl Cell<'_> {
    /// Format of an output: spikes, or the membrane of a read-out.
    pub(crate) fn output(&self) -> QType {
        self.firing.map_or(self.membrane, |f| QType::holding(0, f.max_spikes as i128, 0))
    }

    /// Errors: `E0201`, `E0203` and `E0205` for what does not fit together.
    pub(crate) fn check(&self) -> Result<(), Diagnostic> {
        let len = self.input.len();
        if let Some(leak) = self.leak {
            leak.check("leak", len)?;
        }
        diag::in_range("membrane", self.membrane.bits as usize, 2..33)?;
        signed("membrane", self.membrane)?;
        if let Some(s) = self.synapse {
            s.leak.check("current_leak", len)?;
            diag::in_range("current", s.format.bits as usize, 2..33)?;
            signed("current", s.format)?;
            finer("current", s.format, "the input current", self.input.format)?;
            finer("membrane", self.membrane, "the synaptic current", s.format)?;
        } else {
            finer("membrane", self.membrane, "the input current", self.input.format)?;
        }
        if let Some(bias) = self.bias {
            bias.check_len("bias", len)?;
            holds("bias", bias, self.membrane.min(), self.membrane.max())?;
        }
        self.firing.map_or(Ok(()), |f| f.check(self.membrane, len))
    }
}

/// Errors: `E0203` for a value outside `lo..=hi`, which follows from the format of the membrane.
pub(crate) fn holds(field: &str, values: &PerElement, lo: i64, hi: i64) -> Result<(), Diagnostic> {
    values.find_bad(|v| (lo..=hi).contains(&v)).map_or(Ok(()), |v| {
        let message = format!("`{field}` is {v}, expected {lo} to {hi}");
        fault(field, message, "bring it into this range, or widen the membrane")
    })
}

/// Errors: `E0203` for a format without a sign.
pub(crate) fn signed(field: &str, format: QType) -> Result<(), Diagnostic> {
    if format.signed {
        return Ok(());
    }
    let message = format!("`{field}` is {format}, which has no sign");
    fault(field, message, "use a signed format, such as s12")
}

/// Whether what has format `from` can be added to a state of format `to` exactly. Errors: `E0203`.
pub(crate) fn finer(field: &str, to: QType, what: &str, from: QType) -> Result<(), Diagnostic> {
    let by = i32::from(to.frac) - i32::from(from.frac);
    if by < 0 {
        let message = format!("`{field}` has {} fraction bits, {what} has {}", to.frac, from.frac);
        return fault(field, message, "give it at least the same fraction");
    }
    let bits = i32::from(from.bits) + by;
    if bits > 40 {
        let message = format!("{what} needs {bits} bits at the fraction of `{field}`, at most 40");
        return fault(field, message, "use a smaller fraction");
    }
    Ok(())
}

impl Firing<'_> {
    fn check(&self, membrane: QType, len: usize) -> Result<(), Diagnostic> {
        self.threshold.check_len("threshold", len)?;
        let max = membrane.max();
        if let Some(t) = self.threshold.find_bad(|t| (0..max).contains(&t)) {
            return fault(
                "threshold",
                format!("`threshold` is {t}, expected 0 to {} for a membrane of {membrane}", max - 1),
                "lower the threshold or widen the membrane",
            );
        }
        if self.compare == Compare::Ge && self.threshold.values().contains(&0) {
            return fault(
                "threshold",
                "`threshold` is 0 with `compare: ge`: the neuron would fire at rest".into(),
                "use a threshold of at least 1, or `compare: gt`",
            );
        }
        if let Some(a) = self.adaptation {
            a.check(membrane, len)?;
        }
        self.check_reset(membrane)?;
        self.check_together()
    }

    fn check_reset(&self, membrane: QType) -> Result<(), Diagnostic> {
        if let Reset::Value(v) = self.reset
            && !membrane.contains(v)
        {
            let (lo, hi) = (membrane.min(), membrane.max());
            let message = format!("`reset` is to {v}, expected {lo} to {hi} for a membrane of {membrane}");
            return fault("reset", message, "bring it closer to zero, or widen the membrane");
        }
        let Some(floor) = self.floor else { return Ok(()) };
        if !(membrane.min()..=0).contains(&floor) {
            let message =
                format!("`floor` is {floor}, expected {} to 0: the membrane starts at 0", membrane.min());
            return fault("floor", message, "use a negative floor, such as minus the threshold");
        }
        match self.reset {
            Reset::Value(v) if v < floor => fault(
                "floor",
                format!("`floor` is {floor}, above the reset to {v}"),
                "lower the floor, or raise the value of the reset",
            ),
            _ => Ok(()),
        }
    }

    /// Options that exclude each other.
    fn check_together(&self) -> Result<(), Diagnostic> {
        let many = self.max_spikes != 1;
        let rests = self.refractory > 0;
        let next = self.reset_at == When::NextStep;
        let subtract = self.reset == Reset::Subtract;
        let none = self.reset == Reset::None;
        diag::in_range("max_spikes", self.max_spikes, 1..256)?;
        diag::in_range("refractory", self.refractory, 0..4096)?;
        let rules = [
            (none && next, "reset_at", "`reset_at: next_step` with `reset: none`", "leave `reset_at` out"),
            (
                self.double_reset && (!subtract || next),
                "double_reset",
                "`double_reset` without `reset: subtract` in the step of the spike",
                "use `reset: subtract` and `reset_at: now`, or leave `double_reset` out",
            ),
            (
                self.double_reset && (many || rests),
                "double_reset",
                "`double_reset` together with `max_spikes` or `refractory`",
                "leave one of them out",
            ),
            (
                self.adaptation.is_some() && (many || next || self.double_reset),
                "adaptation",
                "an adaptive threshold together with `max_spikes`, `reset_at: next_step` or `double_reset`",
                "leave the other one out",
            ),
            (
                many && !subtract && self.reset != Reset::Zero,
                "max_spikes",
                "`max_spikes` above 1 without `reset: subtract` or `reset: zero`",
                "use one of these resets, or one spike a step",
            ),
            (
                many && self.threshold.values().contains(&0),
                "threshold",
                "`threshold` is 0 with `max_spikes` above 1: any membrane would give all of them",
                "use a threshold of at least 1",
            ),
            (
                rests && (many || none || next),
                "refractory",
                "`refractory` together with `max_spikes`, `reset: none` or `reset_at: next_step`",
                "leave one of them out: a resting membrane stays where the reset put it",
            ),
        ];
        let broken = rules.into_iter().find(|(broken, ..)| *broken);
        broken.map_or(Ok(()), |(_, field, message, help)| fault(field, message.into(), help))
    }
}

impl Adaptation<'_> {
    fn check(&self, membrane: QType, len: usize) -> Result<(), Diagnostic> {
        let format = self.format;
        self.leak.check("adaptation_leak", len)?;
        diag::in_range("adaptation", format.bits as usize, 1..33)?;
        if format.signed {
            let message = format!("`adaptation` is {format}, which has a sign");
            return fault("adaptation", message, "use an unsigned format, such as u12.4");
        }
        let finer = i32::from(format.frac) - i32::from(membrane.frac);
        if !(0..=24).contains(&finer) {
            let (a, m) = (format.frac, membrane.frac);
            let message = format!("`adaptation` has {a} fraction bits, the membrane has {m}");
            return fault("adaptation", message, "give it the membrane's fraction, or up to 24 bits more");
        }
        self.jump.check_len("jump", len)?;
        self.jump.find_bad(|j| format.contains(j)).map_or(Ok(()), |j| {
            let message =
                format!("`jump` is {j}, expected 0 to {} for an adaptation of {format}", format.max());
            fault("jump", message, "lower it, or widen the adaptation")
        })
    }
}
