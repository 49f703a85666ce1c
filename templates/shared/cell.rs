//! A neuron as a part of an engine: another block, named in the engine's parameters.

use std::sync::{Arc, LazyLock};

use nervure_core::block::Body;
use nervure_core::kernel::Kernel;
use nervure_core::{Diagnostic, Instance, Registry, TensorType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Where a neuron's block is looked up: read once, for a layer asks many times.
static REGISTRY: LazyLock<Registry> = LazyLock::new(crate::registry);

/// A neuron block and its parameters; `input` and `input_lanes` are filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Neuron {
    /// Name of the block, such as `neuron/lif`.
    pub(crate) block: String,
    /// Its parameters.
    #[serde(flatten)]
    pub(crate) params: Map<String, Value>,
}

impl Neuron {
    /// The neurons of a layer as one block, which takes a tensor of currents of type `current`.
    ///
    /// Errors: what the block says of its parameters; `E0304` for a block that is not one kernel from current to output.
    pub(crate) fn instance(
        &self,
        current: &TensorType,
        lanes: usize,
    ) -> Result<Arc<dyn Instance>, Diagnostic> {
        let mut params = self.params.clone();
        params.insert("input".into(), json!(current));
        params.insert("input_lanes".into(), json!(lanes));
        let neuron = REGISTRY.get(&self.block)?.instantiate(Value::Object(params))?;
        let ports = neuron.interface();
        let elementwise = matches!(
            (&ports.inputs[..], &ports.outputs[..]),
            ([x], [y]) if x.tensor.shape == y.tensor.shape && y.tensor.rate == current.rate
        );
        match neuron.body() {
            Body::Kernel(k) if elementwise && !k.states.is_empty() => Ok(neuron),
            _ => Err(Diagnostic::new(
                "E0304",
                format!("`{}` is not a neuron: current in, one value out, with a state", self.block),
                "name a block whose name begins with `neuron/`",
            )
            .at("block")),
        }
    }
}

/// The kernel of a block that [`Neuron::instance`] returned.
pub(crate) fn kernel_of(neuron: &dyn Instance) -> Kernel {
    match neuron.body() {
        Body::Kernel(k) => k,
        Body::Flat(_) | Body::Template(_) => unreachable!("the neuron was checked"),
    }
}
