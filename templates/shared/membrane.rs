//! Firing and reset, as every integrate-and-fire neuron does them: once as plain integers, once as a kernel.

use nervure_core::kernel::{Builder, Expr};
use nervure_core::num::Overflow;
use nervure_core::{Diagnostic, QType, TensorType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a neuron fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Compare {
    /// When the membrane is greater than the threshold.
    Gt,
    /// When it is greater or equal.
    Ge,
}

/// What a spike does to the membrane, in the same step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reset {
    /// Sets it to zero.
    Zero,
    /// Subtracts the threshold.
    Subtract,
}

/// The options that IF and LIF share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Firing {
    pub(crate) membrane: QType,
    pub(crate) threshold: i64,
    pub(crate) compare: Compare,
    pub(crate) reset: Reset,
    pub(crate) overflow: Overflow,
}

impl Firing {
    /// Errors: `E0203` for formats or a threshold that do not fit together.
    pub(crate) fn check(&self, current: &TensorType) -> Result<(), Diagnostic> {
        let fault =
            |field: &str, message: String, help: &str| Err(Diagnostic::new("E0203", message, help).at(field));
        if !self.membrane.signed {
            let m = self.membrane;
            return fault(
                "membrane",
                format!("`membrane` is {m}, which has no sign"),
                "use a signed format, such as s12",
            );
        }
        if self.membrane.frac != current.format.frac {
            let (m, c) = (self.membrane.frac, current.format.frac);
            return fault(
                "membrane",
                format!("`membrane` has {m} fraction bits, the input current has {c}"),
                "give both the same fraction",
            );
        }
        let max = self.membrane.max();
        if !(0..max).contains(&self.threshold) {
            let (t, m) = (self.threshold, self.membrane);
            return fault(
                "threshold",
                format!("`threshold` is {t}, expected 0 to {} for a membrane of {m}", max - 1),
                "lower the threshold or widen the membrane",
            );
        }
        if self.compare == Compare::Ge && self.threshold == 0 {
            return fault(
                "threshold",
                "`threshold` is 0 with `compare: ge`: the neuron would fire at rest".into(),
                "use a threshold of at least 1, or `compare: gt`",
            );
        }
        Ok(())
    }

    /// The definition: membrane `v` after integration, brought into its format; returns the spike and the new membrane.
    pub(crate) fn fire(&self, v: i64) -> (i64, i64) {
        let v = self.membrane.fit(v, self.overflow);
        let spike = match self.compare {
            Compare::Gt => v > self.threshold,
            Compare::Ge => v >= self.threshold,
        };
        match (spike, self.reset) {
            (false, _) => (0, v),
            (true, Reset::Zero) => (1, 0),
            (true, Reset::Subtract) => (1, v - self.threshold),
        }
    }

    /// The hardware: the same for the exact sum `v`. Saturation comes after the comparison, where only one side is left of it.
    pub(crate) fn kernel<'k>(&self, k: &'k Builder, v: Expr<'k>) -> (Expr<'k>, Expr<'k>) {
        let v = match self.overflow {
            Overflow::Wrap => v.fit(self.membrane, Overflow::Wrap).named("membrane"),
            Overflow::Saturate => v,
        };
        let threshold = k.constant(self.threshold, v.frac());
        let spike = match self.compare {
            Compare::Gt => v.gt(threshold),
            Compare::Ge => v.ge(threshold),
        }
        .named("spike");
        let rest = match self.reset {
            Reset::Zero => k.select(spike, k.constant(0, v.frac()), v),
            Reset::Subtract => {
                let top = v.fit(self.membrane, Overflow::Saturate);
                top - k.select(spike, threshold, k.constant(0, v.frac()))
            }
        };
        (spike, rest.fit(self.membrane, Overflow::Saturate).named("rest"))
    }
}
