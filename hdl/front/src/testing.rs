//! A block for this crate's own tests: a dense layer, as small as the trait allows, with a choice inside.

use nervure_core::block::Rng;
use nervure_core::*;
use serde::{Deserialize, Serialize};

/// A dense layer that cannot be built.
pub(crate) struct Dense;

/// Its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in.
    pub(crate) input: TensorType,
    /// Elements a beat that come in.
    pub(crate) input_lanes: usize,
    /// Weights, `[out, in]`.
    pub(crate) weights: Tensor,
    /// Format of a weight.
    pub(crate) weight_format: QType,
    /// Outputs a beat.
    #[serde(default = "one")]
    pub(crate) lanes: usize,
    /// What follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) neuron: Option<Neuron>,
    /// How it is scaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scale: Option<Requant>,
}

/// A tagged choice: serde buffers it, and loses the path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "block", deny_unknown_fields)]
pub(crate) enum Neuron {
    /// Leaky.
    #[serde(rename = "neuron/lif")]
    Lif {
        /// Fires at or above it.
        threshold: i64,
        /// Format of the membrane.
        membrane: QType,
    },
}

fn one() -> usize {
    1
}

impl Block for Dense {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "test/dense";
    const README: &'static str = "# Dense\n\nA dense layer.\n";

    fn examples() -> Vec<Params> {
        Vec::new()
    }

    fn sample(_: &TensorType, _: &mut Rng) -> Option<Params> {
        None
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        let out = p.weights.shape.first().copied().unwrap_or(0);
        p.weights.check("weights", &[out, p.input.len()], p.weight_format)?;
        diag::divides("lanes", p.lanes, "the outputs", out)?;
        let y = TensorType { shape: vec![out], format: QType::signed(16), rate: p.input.rate };
        let mut interface = Interface::one_to_one(p.input.clone(), p.input_lanes, y, p.lanes);
        interface.outputs.push(Stream::new("raw", TensorType::frame(&[2], QType::signed(16)), 1));
        Ok(interface)
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(_: &Params, (): &mut (), _: &[&[i64]], _: &mut [&mut [i64]]) {}

    fn body(_: &Params) -> Body {
        unreachable!("the front end builds no hardware")
    }

    fn schedule(_: &Params, _: &Self::State, _: &[&[i64]], _: bool, _: &mut Schedule) {}

    fn cost(_: &Params, _: &Target) -> Area {
        Area::default()
    }
}

/// A registry of that block.
pub(crate) fn registry() -> Registry {
    Registry::new(vec![registry::erase::<Dense>()], Vec::new(), Vec::new())
}
