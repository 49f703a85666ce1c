//! A parameter that is one integer for all elements, or one integer for each.

use std::borrow::Cow;
use std::fmt;

use nervure_core::{Diagnostic, Tensor};
use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// One integer, or as many as the input has elements (nested lists, or `file.npz:array`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct PerElement(Tensor);

impl PerElement {
    /// The integers: one, or one per element.
    pub(crate) fn values(&self) -> &[i64] {
        &self.0.data
    }

    /// One integer per element, for `len` elements.
    pub(crate) fn each(&self, len: usize) -> Vec<i64> {
        (0..len).map(|i| self.0.data[i % self.0.data.len()]).collect()
    }

    /// Errors: `E0205` for another number of integers than 1 (without a list) or `len`.
    pub(crate) fn check_len(&self, field: &str, len: usize) -> Result<(), Diagnostic> {
        let n = self.0.data.len();
        if self.0.shape.is_empty() || n == len && n > 0 {
            return Ok(());
        }
        Err(Diagnostic::new(
            "E0205",
            format!("`{field}` has {n} elements, expected one integer or {len} of them"),
            "give one integer for all neurons, or one per neuron in the order of the tensor",
        )
        .at(field))
    }

    /// The first integer that is not `good`.
    pub(crate) fn find_bad(&self, good: impl Fn(i64) -> bool) -> Option<i64> {
        self.0.data.iter().copied().find(|v| !good(*v))
    }
}

impl From<i64> for PerElement {
    fn from(v: i64) -> Self {
        Self(Tensor::new(&[], vec![v]))
    }
}

impl From<Vec<i64>> for PerElement {
    fn from(v: Vec<i64>) -> Self {
        Self(Tensor::vector(v))
    }
}

impl<'de> Deserialize<'de> for PerElement {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct OneOrEach;
        impl<'de> Visitor<'de> for OneOrEach {
            type Value = PerElement;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or one per element (nested lists, or `file.npz:array`)")
            }

            fn visit_i64<E: Error>(self, v: i64) -> Result<PerElement, E> {
                Ok(v.into())
            }

            fn visit_u64<E: Error>(self, v: u64) -> Result<PerElement, E> {
                i64::try_from(v).map(PerElement::from).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<PerElement, A::Error> {
                Tensor::deserialize(SeqAccessDeserializer::new(seq)).map(PerElement)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PerElement, A::Error> {
                Tensor::deserialize(MapAccessDeserializer::new(map)).map(PerElement)
            }
        }
        d.deserialize_any(OneOrEach)
    }
}

impl JsonSchema for PerElement {
    fn schema_name() -> Cow<'static, str> {
        "PerElement".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["integer", "array", "string", "object"],
            "description": "An integer for all elements, or one per element: nested lists, or `file.npz:array`"
        })
    }
}
