//! Where a layer has weights: itself, or in each of its own `layers`.

use nervure_core::{Node, Registry, Tensor};
use serde_json::Value;

use super::lines;
use crate::schema::walk;

/// The parameters of a layer, or of one of its own layers, with weights among them.
pub(super) struct Part<'a> {
    /// The layer.
    pub(super) node: &'a Node,
    /// Which of its own layers.
    pub(super) inner: Option<usize>,
    /// The weights, of two to four axes.
    pub(super) weights: Tensor,
    params: Value,
}

impl<'a> Part<'a> {
    /// All that a layer has.
    pub(super) fn all(node: &'a Node) -> Vec<Self> {
        let params = node.instance.params();
        let inner = params.get("layers").and_then(Value::as_array).cloned();
        let inner = inner.into_iter().flatten().enumerate();
        let inner = inner.filter_map(|(n, params)| Self::new(node, Some(n), params));
        Self::whole(node).into_iter().chain(inner).collect()
    }

    /// The layer itself, if it has weights.
    pub(super) fn whole(node: &'a Node) -> Option<Self> {
        Self::new(node, None, node.instance.params())
    }

    fn new(node: &'a Node, inner: Option<usize>, params: Value) -> Option<Self> {
        let weights: Tensor = serde_json::from_value(params.get("weights")?.clone()).ok()?;
        (2..=4).contains(&weights.shape.len()).then_some(Self { node, inner, weights, params })
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        self.inner.map_or_else(|| self.node.name.clone(), |n| format!("{}.layers.{n}", self.node.name))
    }

    /// A parameter.
    pub(super) fn param(&self, field: &str) -> Option<&Value> {
        self.params.get(field)
    }

    /// The schema of a parameter, if the block knows it: its description.
    fn described(&self, registry: &Registry, path: &[&str]) -> Option<String> {
        let block = registry.get(self.node.instance.block()).expect("the network was loaded with it");
        let inner = ["layers", "[0]"].iter().filter(|_| self.inner.is_some());
        let path: Vec<String> = inner.chain(path).map(|s| (*s).to_owned()).collect();
        let schema = block.schema();
        walk::find(&schema, &path).map(|node| walk::description(&schema, node).unwrap_or_default())
    }

    /// Whether the block knows a parameter.
    pub(super) fn takes(&self, registry: &Registry, path: &[&str]) -> bool {
        self.described(registry, path).is_some()
    }

    /// Whether it can be told its pattern.
    pub(super) fn knows_pattern(&self, registry: &Registry) -> bool {
        self.takes(registry, &["pattern", "n"]) && self.takes(registry, &["pattern", "m"])
    }

    /// The axis of the inputs.
    pub(super) fn axis(&self, registry: &Registry) -> usize {
        let layout = self.param("layout").and_then(Value::as_str);
        let description = self.described(registry, &["weights"]).unwrap_or_default();
        lines::axis(self.weights.shape.len(), layout, &description)
    }
}
