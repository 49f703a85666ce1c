//! A network file with other fields, and all its arrays in one archive.

use nervure_core::{Diagnostic, Tensor};
use serde_json::{Map, Value};

use super::NamedArrays;
use crate::load::{Arrays, reference};
use crate::yaml::{self, Node};

/// The archive.
pub const ARCHIVE: &str = "weights.npz";

/// The file in the making.
pub(super) struct Rewrite {
    root: Value,
    arrays: NamedArrays,
}

impl Rewrite {
    /// The document `root`, every array that it names taken from `arrays`. An array is called as its layer and field:
    /// `hidden.weights`. Errors: those of reading arrays.
    pub(super) fn new(root: &Node, arrays: &mut Arrays<'_>) -> Result<Self, Diagnostic> {
        let mut rewrite = Self { root: root.json(), arrays: Vec::new() };
        let mut layers = rewrite.root["layers"].take();
        for layer in layers.as_array_mut().into_iter().flatten() {
            let name = layer["name"].as_str().unwrap_or_default().to_owned();
            for (key, value) in layer.as_object_mut().into_iter().flatten() {
                if !["name", "block", "from", "fifo"].contains(&key.as_str()) {
                    rewrite.gather(&format!("{name}.{key}"), value, arrays)?;
                }
            }
        }
        rewrite.root["layers"] = layers;
        Ok(rewrite)
    }

    fn gather(&mut self, name: &str, value: &mut Value, arrays: &mut Arrays<'_>) -> Result<(), Diagnostic> {
        match value {
            Value::String(text) => {
                if let Some((file, key)) = reference(text) {
                    let array = arrays.array(&file, key)?;
                    let tensor: Tensor =
                        serde_json::from_value(array).expect("an array is a tensor as blocks read it");
                    *value = self.keep(name, &tensor);
                }
                Ok(())
            }
            Value::Array(items) => {
                let mut items = items.iter_mut().enumerate();
                items.try_for_each(|(n, item)| self.gather(&format!("{name}.{n}"), item, arrays))
            }
            Value::Object(fields) => {
                let mut fields = fields.iter_mut();
                fields.try_for_each(|(key, item)| self.gather(&format!("{name}.{key}"), item, arrays))
            }
            _ => Ok(()),
        }
    }

    /// Puts `tensor` into the archive, and says how the file names it.
    pub(super) fn keep(&mut self, name: &str, tensor: &Tensor) -> Value {
        let mut name = name.to_owned();
        while self.arrays.iter().any(|(other, ..)| *other == name) {
            name.push('_'); // Names may hold points: two paths may read the same.
        }
        let value = Value::from(format!("{ARCHIVE}:{name}"));
        self.arrays.push((name, tensor.shape.clone(), tensor.data.clone()));
        value
    }

    fn layer(&mut self, name: &str) -> &mut Map<String, Value> {
        self.part(name, None)
    }

    /// The fields of layer `name`, or of one of its own `layers`.
    fn part(&mut self, name: &str, inner: Option<usize>) -> &mut Map<String, Value> {
        let layers = self.root["layers"].as_array_mut().into_iter().flatten();
        let layer = layers.into_iter().find(|l| l["name"] == name);
        let part = layer.map(|layer| match inner {
            Some(n) => &mut layer["layers"][n],
            None => layer,
        });
        part.and_then(Value::as_object_mut).expect("the layer was loaded from this file")
    }

    /// Takes the array that is field `field` of layer `layer`, if it is one, out of the archive.
    pub(super) fn forget(&mut self, (layer, inner): (&str, Option<usize>), field: &str) {
        let old = self.part(layer, inner).get(field).and_then(Value::as_str).and_then(reference);
        if let Some((_, key)) = old.map(|(file, key)| (file, key.to_owned())) {
            self.arrays.retain(|(name, ..)| *name != key);
        }
    }

    /// Replaces field `field` of layer `layer` by a tensor in the archive.
    pub(super) fn array(&mut self, place: (&str, Option<usize>), field: &str, tensor: &Tensor) {
        self.forget(place, field);
        let inner = place.1.map(|n| format!(".layers.{n}")).unwrap_or_default();
        let value = self.keep(&format!("{}{inner}.{field}", place.0), tensor);
        self.field(place, field, value);
    }

    /// Replaces field `field` of layer `layer`.
    pub(super) fn field(&mut self, (layer, inner): (&str, Option<usize>), field: &str, value: Value) {
        self.part(layer, inner).insert(field.to_owned(), value);
    }

    /// Puts `layers` in the place of layer `name`. Their arrays are in the archive already.
    pub(super) fn replace(&mut self, name: &str, layers: Vec<Value>) {
        let list = self.root["layers"].as_array_mut().expect("the network was loaded from this file");
        let at = list.iter().position(|l| l["name"] == name).expect("the layer was loaded from this file");
        list.splice(at..=at, layers);
    }

    /// Fields of layer `name` as they are now.
    pub(super) fn fields(&mut self, name: &str) -> Map<String, Value> {
        self.layer(name).clone()
    }

    /// The file.
    pub(super) fn yaml(&self) -> String {
        let mut out = String::new();
        for (key, value) in self.root.as_object().into_iter().flatten() {
            match (key.as_str(), value) {
                ("inputs", Value::Array(items)) => {
                    out.push_str("inputs:\n");
                    for item in items {
                        out.push_str("  - ");
                        yaml::inline(&mut out, item);
                        out.push('\n');
                    }
                }
                ("layers", Value::Array(items)) => {
                    out.push_str("layers:\n");
                    for item in items {
                        layer(&mut out, item);
                    }
                }
                _ => yaml::entry(&mut out, 0, key, value),
            }
        }
        out
    }

    /// What it reads from the archive.
    pub(super) fn arrays(&self) -> &NamedArrays {
        &self.arrays
    }

    /// What it reads from the archive.
    pub(super) fn into_arrays(self) -> NamedArrays {
        self.arrays
    }
}

fn layer(out: &mut String, item: &Value) {
    out.push_str("  - ");
    yaml::entry(out, 0, "name", &item["name"]);
    for (key, value) in item.as_object().into_iter().flatten().filter(|(key, _)| *key != "name") {
        yaml::entry(out, 4, key, value);
    }
}
