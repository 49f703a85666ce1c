//! Requantization: from an accumulator to a narrower format.

use serde::{Deserialize, Serialize};

use super::Rounding;

/// How an accumulator `acc` becomes `round(acc * scale)`; clamping and the zero point come after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Requant {
    /// A power of two: `round(acc / 2^shift)`.
    Shift(Shift),
    /// ONNX Runtime's `QLinearMatMul`/`QLinearConv`: `round_half_even(acc * multiplier / 2^shift)`,
    /// the multiplier being the 24-bit significand of the float32 scale.
    Onnx {
        /// Multiplier and shift.
        onnx: Multiplier,
    },
    /// LiteRT's reference kernels: `round_half_up(acc * multiplier / 2^shift)`, the multiplier having 31 bits
    /// (Jacob et al., CVPR 2018, eq. 6, with a single rounding).
    Tflite {
        /// Multiplier and shift.
        tflite: Multiplier,
    },
}

/// A power-of-two scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shift {
    /// Right shift, 0 to 62.
    #[schemars(range(min = 0, max = 62))]
    pub shift: u32,
    /// Rounding of the dropped bits.
    pub rounding: Rounding,
}

/// Scale `multiplier / 2^shift`; one multiplier for the tensor, or one per output column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Multiplier {
    /// Non-negative, below 2^31; one value, or one per element of the last axis.
    #[serde(with = "one_or_many")]
    #[schemars(with = "OneOrMany")]
    pub multiplier: Vec<i64>,
    /// Right shift, 0 to 62; one value, or one per element of the last axis.
    #[serde(with = "one_or_many")]
    #[schemars(with = "OneOrMany")]
    pub shift: Vec<i64>,
}

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
enum OneOrMany {
    One(i64),
    Many(Vec<i64>),
}

mod one_or_many {
    use super::OneOrMany;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(v: &[i64], s: S) -> Result<S::Ok, S::Error> {
        if let [one] = v { one.serialize(s) } else { v.serialize(s) }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<i64>, D::Error> {
        Ok(match OneOrMany::deserialize(d)? {
            OneOrMany::One(v) => vec![v],
            OneOrMany::Many(v) => v,
        })
    }
}

impl Requant {
    /// Rounding of the final shift.
    pub const fn rounding(&self) -> Rounding {
        match self {
            Self::Shift(s) => s.rounding,
            Self::Onnx { .. } => Rounding::HalfEven,
            Self::Tflite { .. } => Rounding::HalfUp,
        }
    }

    /// `(multiplier, shift)` of column `column`.
    pub fn scale(&self, column: usize) -> (i64, u32) {
        match self {
            Self::Shift(s) => (1, s.shift),
            Self::Onnx { onnx: m } | Self::Tflite { tflite: m } => {
                let pick = |v: &[i64]| if v.len() == 1 { v[0] } else { v[column] };
                (pick(&m.multiplier), pick(&m.shift) as u32)
            }
        }
    }

    /// `acc` rescaled; not yet clamped. `column` is the index along the last axis.
    pub fn apply(&self, acc: i64, column: usize) -> i64 {
        let (multiplier, shift) = self.scale(column);
        self.rounding().shift(acc as i128 * multiplier as i128, shift) as i64
    }

    /// What is wrong with the parameters for a tensor of `columns` columns, if anything: field and reason.
    pub fn fault(&self, columns: usize) -> Option<(&'static str, String)> {
        match self {
            Self::Shift(s) => {
                (s.shift > 62).then(|| ("shift", format!("{} is out of range: 0 to 62", s.shift)))
            }
            Self::Onnx { onnx: m } | Self::Tflite { tflite: m } => {
                for (field, v, max) in
                    [("multiplier", &m.multiplier, (1i64 << 31) - 1), ("shift", &m.shift, 62)]
                {
                    if v.len() != 1 && v.len() != columns {
                        let n = v.len();
                        return Some((
                            field,
                            format!("{n} values for {columns} columns; give 1 or {columns}"),
                        ));
                    }
                    if let Some(bad) = v.iter().find(|v| !(0..=max).contains(v)) {
                        return Some((field, format!("{bad} is out of range: 0 to {max}")));
                    }
                }
                None
            }
        }
    }
}
