//! The model on real numbers, as a framework executes it.

use std::collections::BTreeMap;

use nervure_core::Diagnostic;

use super::evaluate::evaluate;
use crate::onnx::{Array, Graph};

/// A graph whose constants are computed.
pub(crate) struct Executor<'a> {
    graph: &'a Graph,
    constants: BTreeMap<&'a str, Array>,
    /// Nodes that depend on the input.
    live: Vec<usize>,
}

impl<'a> Executor<'a> {
    /// Errors: as [`evaluate`].
    pub(crate) fn new(graph: &'a Graph) -> Result<Self, Diagnostic> {
        let mut constants: BTreeMap<&str, Array> =
            graph.constants.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
        let mut live = Vec::new();
        for (n, node) in graph.nodes.iter().enumerate() {
            let inputs: Option<Vec<Option<&Array>>> = node
                .inputs
                .iter()
                .map(|i| if i.is_empty() { Some(None) } else { constants.get(i.as_str()).map(Some) })
                .collect();
            match (inputs, node.outputs.first()) {
                (Some(inputs), Some(name)) => {
                    let value = evaluate(node, &inputs, graph.opset)?;
                    constants.insert(name, value);
                }
                _ => live.push(n),
            }
        }
        Ok(Self { graph, constants, live })
    }

    /// Constants by name, those that were computed among them.
    pub(crate) const fn constants(&self) -> &BTreeMap<&'a str, Array> {
        &self.constants
    }

    /// Nodes that depend on the input.
    pub(crate) fn live(&self) -> &[usize] {
        &self.live
    }

    /// All tensors for one sample. Errors: as [`evaluate`].
    pub(crate) fn run(&self, x: Array) -> Result<BTreeMap<&'a str, Array>, Diagnostic> {
        let mut values = BTreeMap::from([(self.graph.inputs[0].name.as_str(), x)]);
        for n in &self.live {
            let node = &self.graph.nodes[*n];
            let inputs: Vec<Option<&Array>> = node
                .inputs
                .iter()
                .map(|i| values.get(i.as_str()).or_else(|| self.constants.get(i.as_str())))
                .collect();
            let value = evaluate(node, &inputs, self.graph.opset)?;
            if let Some(name) = node.outputs.first() {
                values.insert(name, value);
            }
        }
        Ok(values)
    }
}
