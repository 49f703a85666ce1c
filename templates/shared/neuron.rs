//! What the integrate-and-fire blocks have in common: their parameters, and random ones.

use nervure_core::block::Rng;
use nervure_core::num::Overflow;
use nervure_core::{QType, Rate, TensorType};
use rand::RngExt;
use serde_json::{Map, Value, json};

/// The parameters of a block that fires: those of every one, and between them its own.
macro_rules! firing_params {
    ($(#[$about:meta])* $({ $($own:tt)* })?) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct Params {
            /// Input current; one neuron per element. Filled in from the layer before.
            input: nervure_core::TensorType,
            /// Neurons computed at once. Filled in from the layer before.
            #[serde(default = "crate::shared::neuron::one")]
            input_lanes: usize,
            /// Format of the membrane; signed, with at least the fraction of the input.
            membrane: nervure_core::QType,
            /// Threshold, an integer of the membrane's format; one for all, or one per neuron.
            threshold: crate::shared::per_element::PerElement,
            /// Comparison with the threshold.
            compare: crate::shared::membrane::Compare,
            /// Reset after a spike: `zero`, `subtract` (the threshold), `none`, or `{value: N}`.
            reset: crate::shared::membrane::Reset,
            $($($own)*)?
            /// What a membrane outside its format becomes.
            overflow: nervure_core::num::Overflow,
            /// Added to the membrane in every step; one integer, or one per neuron.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            bias: Option<crate::shared::per_element::PerElement>,
            /// Lowest membrane at the end of a step, 0 or negative; by default the format's.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            floor: Option<i64>,
            /// Whether a spike resets in its own step (the default), or in the next.
            #[serde(default, skip_serializing_if = "crate::shared::neuron::is_default")]
            reset_at: crate::shared::membrane::When,
            /// Whether a membrane that a subtraction left above the threshold owes it once more before it fires again.
            #[serde(default, skip_serializing_if = "crate::shared::neuron::is_default")]
            double_reset: bool,
            /// Largest number of spikes in a step, 1 to 255; the default is 1.
            #[serde(default = "crate::shared::neuron::one", skip_serializing_if = "crate::shared::neuron::is_one")]
            max_spikes: usize,
            /// Whether a spike leaves in its own step (the default), or in the next.
            #[serde(default, skip_serializing_if = "crate::shared::neuron::is_default")]
            emit: crate::shared::membrane::When,
            /// Steps after a spike in which the membrane rests and nothing fires, up to 4095.
            #[serde(default, skip_serializing_if = "crate::shared::neuron::is_default")]
            refractory: usize,
        }

        impl Params {
            const fn firing(&self) -> crate::shared::membrane::Firing<'_> {
                crate::shared::membrane::Firing {
                    threshold: &self.threshold,
                    compare: self.compare,
                    reset: self.reset,
                    reset_at: self.reset_at,
                    double_reset: self.double_reset,
                    max_spikes: self.max_spikes,
                    floor: self.floor,
                    emit: self.emit,
                    refractory: self.refractory,
                    adaptation: None,
                }
            }
        }
    };
}
pub(crate) use firing_params;

/// The methods of `Block` that all blocks share whose parameters give a `Cell`.
macro_rules! cell_methods {
    () => {
        fn interface(p: &Params) -> Result<Interface, Diagnostic> {
            let cell = p.cell();
            cell.check()?;
            let y = p.input.with_format(cell.output());
            Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, y, p.input_lanes))
        }

        fn state(p: &Params) -> Neurons {
            p.cell().neurons()
        }

        fn reset(_: &Params, neurons: &mut Neurons) {
            neurons.reset();
        }

        fn step(_: &Params, neurons: &mut Neurons, x: &[&[i64]], y: &mut [&mut [i64]]) {
            neurons.step(x[0], y[0]);
        }

        fn step_packed(
            _: &Params,
            neurons: &mut Neurons,
            steps: usize,
            x: nervure_core::Packed,
            y: nervure_core::PackedMut,
        ) -> bool {
            neurons.step_packed(steps, x, y)
        }

        fn body(p: &Params) -> Body {
            Body::Kernel(p.cell().kernel())
        }

        fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
            out.pass(1, p.input.len() / p.input_lanes);
        }

        fn cost(p: &Params, t: &Target) -> Area {
            p.cell().cost(p.input_lanes, t)
        }
    };
}
pub(crate) use cell_methods;

pub(crate) const fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(crate) const fn is_one(n: &usize) -> bool {
    *n == 1
}

pub(crate) const fn saturate() -> Overflow {
    Overflow::Saturate
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(crate) fn is_saturate(o: &Overflow) -> bool {
    *o == Overflow::Saturate
}

pub(crate) fn is_default<T: Default + PartialEq>(v: &T) -> bool {
    *v == T::default()
}

/// Random parameters: a tree of JSON that grows, since most fields may be absent.
pub(crate) struct Draw<'a> {
    input: &'a TensorType,
    pub(crate) fields: Map<String, Value>,
    membrane: QType,
    adaptive: bool,
}

impl<'a> Draw<'a> {
    /// Those of every membrane, or nothing for an input that is no current.
    pub(crate) fn new(input: &'a TensorType, rng: &mut Rng) -> Option<Self> {
        let format = input.format;
        if input.rate != Rate::Step
            || !format.signed
            || format.bits > 20
            || !(-60..=60).contains(&format.frac)
        {
            return None;
        }
        let finer = if rng.random() { 0 } else { rng.random_range(0..4) };
        let bits = (format.bits + finer + rng.random_range(0..3)).max(4);
        let membrane = QType { bits, frac: format.frac + finer as i8, signed: true };
        let mut draw = Self { input, fields: Map::new(), membrane, adaptive: false };
        draw.set("input", json!(input));
        draw.set("input_lanes", json!(super::divisor(input.len(), 8, rng)));
        draw.set("membrane", json!(membrane));
        draw.set("overflow", json!(if rng.random() { "saturate" } else { "wrap" }));
        if rng.random_range(0..4) == 0 {
            let bias = draw.one_or_each(membrane.min() / 4, membrane.max() / 4, rng);
            draw.set("bias", bias);
        }
        Some(draw)
    }

    /// Sets a field.
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        self.fields.insert(name.into(), value);
    }

    fn one_or_each(&self, lo: i64, hi: i64, rng: &mut Rng) -> Value {
        let n = self.input.len();
        let each = n <= 64 && rng.random();
        let one = rng.random_range(lo..=hi);
        if each { (0..n).map(|_| rng.random_range(lo..=hi)).collect() } else { json!(one) }
    }

    /// A random decay.
    pub(crate) fn leak(&self, rng: &mut Rng) -> Value {
        let shift = rng.random_range(1..6);
        let mut leak = json!({"shift": shift});
        if rng.random() {
            leak["multiply"] = self.one_or_each(0, 1 << shift, rng);
        }
        if rng.random() {
            leak["rounding"] =
                json!(["floor", "toward_zero", "half_up", "half_even"][rng.random_range(0..4)]);
        }
        leak
    }

    /// A random synapse, without its decay.
    pub(crate) fn synapse(&mut self, rng: &mut Rng) {
        let format = self.input.format;
        let frac = rng.random_range(format.frac..=self.membrane.frac);
        let bits =
            (i16::from(format.bits) + i16::from(frac - format.frac) + rng.random_range(0..3)).max(4) as u8;
        self.set("current", json!(QType { bits, frac, signed: true }));
        self.set("order", json!(if rng.random() { "current_first" } else { "membrane_first" }));
        if rng.random() {
            self.set("current_overflow", json!("wrap"));
        }
    }

    /// A random adaptation of the threshold.
    pub(crate) fn adaptation(&mut self, rng: &mut Rng) {
        let finer = rng.random_range(0..4);
        let bits = (self.membrane.bits - 1 + finer).min(32);
        let format = QType { bits, frac: self.membrane.frac + finer as i8, signed: false };
        let (leak, jump) = (self.leak(rng), self.one_or_each(0, format.max() / 2, rng));
        self.set("adaptation", json!(format));
        self.set("adaptation_leak", leak);
        self.set("jump", jump);
        self.adaptive = true;
    }

    /// Random firing: any options that go together.
    pub(crate) fn firing(&mut self, rng: &mut Rng) {
        let max = self.membrane.max();
        let top = if rng.random() { max } else { (max / 4).max(2) };
        let threshold = self.one_or_each(1, top - 1, rng);
        self.set("threshold", threshold);
        self.set("compare", json!(if rng.random() { "gt" } else { "ge" }));
        let reset = rng.random_range(0..6);
        let value = rng.random_range(self.membrane.min()..=max / 2);
        let reset = [
            json!("zero"),
            json!("zero"),
            json!("subtract"),
            json!("subtract"),
            json!("none"),
            json!({"value": value}),
        ][reset]
            .clone();
        let (none, subtract) = (reset == "none", reset == "subtract");
        let simple = none || reset.is_object();
        if rng.random_range(0..4) == 0 {
            let highest = if reset.is_object() { value.min(0) } else { 0 };
            self.set("floor", json!(rng.random_range(self.membrane.min()..=highest)));
        }
        self.set("reset", reset);
        if rng.random_range(0..4) == 0 {
            self.set("emit", json!("next_step"));
        }
        let most = json!([2, 3, 4, 5, 7, 15, 100][rng.random_range(0..7)]);
        // Of these, an adaptive threshold goes with rest alone.
        match if self.adaptive { rng.random_range(4..8) } else { rng.random_range(0..8) } {
            0 if !none => self.set("reset_at", json!("next_step")),
            1 if subtract => self.set("double_reset", json!(true)),
            2 if !simple => self.set("max_spikes", most),
            3 if !simple => {
                self.set("max_spikes", most);
                self.set("reset_at", json!("next_step"));
            }
            4 if !none => self.set("refractory", json!(rng.random_range(1..6))),
            _ => {}
        }
    }

    /// The parameters of a block.
    pub(crate) fn finish<P: serde::de::DeserializeOwned>(self) -> P {
        serde_json::from_value(Value::Object(self.fields)).expect("fields of this block")
    }
}
