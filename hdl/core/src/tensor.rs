//! Integer tensors and the type of what flows along an edge.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::diag::Diagnostic;
use crate::num::QType;

/// How often a tensor passes along an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// Once an inference.
    Frame,
    /// Once a time step; a sample is one or more steps.
    Step,
    /// Once a time step, as a list of address-events: an element of value n is n events of its address.
    Event,
}

impl Rate {
    /// Whether it passes once a time step, however it is written down.
    pub const fn steps(self) -> bool {
        matches!(self, Self::Step | Self::Event)
    }
}

/// The integers of a tensor in a form that is quicker to read than a list of 64 bits each.
#[derive(Debug, Clone, Copy)]
pub enum Packed<'a> {
    /// Spikes, as [`crate::simd::bits`] has them: words of their own for each step.
    Bits(&'a [u64]),
    /// 16 bits each, filled up to whole blocks in each step.
    Short(&'a [[i16; 64]]),
}

/// Where a tensor is to be left.
#[derive(Debug)]
pub enum PackedMut<'a> {
    /// Spikes, as [`crate::simd::bits`] has them: words of their own for each step.
    Bits(&'a mut [u64]),
    /// 64 bits each.
    Wide(&'a mut [i64]),
}

/// Shape, element format and rate of an edge.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TensorType {
    /// Extent of each axis, outermost first.
    pub shape: Vec<usize>,
    /// Format of an element.
    pub format: QType,
    /// Once a frame, once a time step, or as events.
    pub rate: Rate,
}

impl TensorType {
    /// Largest number of elements of an edge.
    pub const MAX_LEN: usize = 1 << 24;

    /// A tensor that passes once an inference.
    pub fn frame(shape: &[usize], format: QType) -> Self {
        Self { shape: shape.to_vec(), format, rate: Rate::Frame }
    }

    /// A tensor that passes once a time step.
    pub fn step(shape: &[usize], format: QType) -> Self {
        Self { shape: shape.to_vec(), format, rate: Rate::Step }
    }

    /// A tensor that passes once a time step, as a list of address-events.
    pub fn event(shape: &[usize], format: QType) -> Self {
        Self { shape: shape.to_vec(), format, rate: Rate::Event }
    }

    /// Elements in all.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no element (refused by [`TensorType::check`]).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Extent of the last axis: what "per column" refers to.
    pub fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// The same shape and rate with another element format.
    #[must_use]
    pub fn with_format(&self, format: QType) -> Self {
        Self { format, ..self.clone() }
    }

    /// Errors: `E0204` for no axis, a zero extent, or more than [`TensorType::MAX_LEN`] elements; `E0203` for events whose
    /// number is no number of 1 to 8 bits.
    pub fn check(&self) -> Result<(), Diagnostic> {
        let len = self.shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
        let q = self.format;
        match len {
            Some(1..=Self::MAX_LEN)
                if self.rate == Rate::Event && (q.signed || q.frac != 0 || q.bits > 8) =>
            {
                let message = format!("an element cannot be {q} events in a step");
                let help = "give events a format from u1 to u8: the most events of one address in a step";
                Err(Diagnostic::new("E0203", message, help).at("format"))
            }
            Some(1..=Self::MAX_LEN) if !self.shape.is_empty() => Ok(()),
            _ => Err(Diagnostic::new(
                "E0204",
                format!("shape {:?} does not have 1 to {} elements", self.shape, Self::MAX_LEN),
                "give every axis an extent of at least 1, and split tensors that are larger",
            )
            .at("shape")),
        }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        let rate = match self.rate {
            Rate::Frame => "",
            Rate::Step => " per step",
            Rate::Event => " as events",
        };
        write!(f, "{}[{}]{rate}", self.format, shape.join("x"))
    }
}

/// A constant integer tensor, row-major. Written as nested lists, or as `{shape, data}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Extent of each axis, outermost first.
    pub shape: Vec<usize>,
    /// Elements, last axis fastest.
    pub data: Vec<i64>,
}

impl Tensor {
    /// Shapes: `data.len()` is the product of `shape`.
    pub fn new(shape: &[usize], data: Vec<i64>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "shape and data agree");
        Self { shape: shape.to_vec(), data }
    }

    /// A vector.
    pub fn vector(data: Vec<i64>) -> Self {
        Self { shape: vec![data.len()], data }
    }

    /// Rows of a matrix: slices along the last axis.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, i64> {
        self.data.chunks_exact(self.shape.last().copied().unwrap_or(1).max(1))
    }

    /// Errors: `E0205` for another shape than `shape`; `E0206` for an element outside `format`.
    pub fn check(&self, field: &str, shape: &[usize], format: QType) -> Result<(), Diagnostic> {
        if self.shape != shape {
            return Err(Diagnostic::new(
                "E0205",
                format!("`{field}` has shape {:?}, expected {shape:?}", self.shape),
                "weights are [out, in]; transpose them, or correct the shapes around this layer",
            )
            .at(field));
        }
        match self.data.iter().position(|&v| !format.contains(v)) {
            None => Ok(()),
            Some(at) => Err(Diagnostic::new(
                "E0206",
                format!(
                    "`{field}` element {at} is {}, outside {format} ({} to {})",
                    self.data[at],
                    format.min(),
                    format.max()
                ),
                "widen the format, or quantize the values to it before they come here",
            )
            .at(field)),
        }
    }
}

impl Serialize for Tensor {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        struct Nested<'a>(&'a [usize], &'a [i64]);
        impl Serialize for Nested<'_> {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                let Some((&n, inner)) = self.0.split_first() else { return self.1[0].serialize(s) };
                let chunk = inner.iter().product::<usize>();
                let mut seq = s.serialize_seq(Some(n))?;
                for part in self.1.chunks(chunk.max(1)) {
                    seq.serialize_element(&Nested(inner, part))?;
                }
                seq.end()
            }
        }
        Nested(&self.shape, &self.data).serialize(s)
    }
}

impl<'de> Deserialize<'de> for Tensor {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct TensorVisitor;
        impl<'de> Visitor<'de> for TensorVisitor {
            type Value = Tensor;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("nested lists of integers, or `file.npz:array`")
            }

            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Tensor, E> {
                Ok(Tensor { shape: Vec::new(), data: vec![v] })
            }

            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Tensor, E> {
                i64::try_from(v).map_err(de::Error::custom).and_then(|v| self.visit_i64(v))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tensor, A::Error> {
                let mut all = Tensor { shape: vec![0], data: Vec::new() };
                while let Some(part) = seq.next_element::<Tensor>()? {
                    if all.shape[0] == 0 {
                        all.shape.extend(&part.shape);
                    } else if all.shape[1..] != part.shape {
                        return Err(de::Error::custom("ragged list: every row must have the same length"));
                    }
                    all.shape[0] += 1;
                    all.data.extend(part.data);
                }
                Ok(all)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Tensor, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Raw {
                    shape: Vec<usize>,
                    data: Vec<i64>,
                }
                let raw = Raw::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let len = raw.shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
                if len != Some(raw.data.len()) {
                    let (shape, n) = (raw.shape, raw.data.len());
                    return Err(de::Error::custom(format!("shape {shape:?} does not have {n} elements")));
                }
                Ok(Tensor { shape: raw.shape, data: raw.data })
            }
        }
        d.deserialize_any(TensorVisitor)
    }
}

impl schemars::JsonSchema for Tensor {
    fn schema_name() -> Cow<'static, str> {
        "Tensor".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["array", "string", "object"],
            "description": "Integers as nested lists, or `file.npz:array` (beside the network file)"
        })
    }
}
