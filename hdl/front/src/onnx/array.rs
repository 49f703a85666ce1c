//! Constants: from the several ways in which a file holds numbers to one.

use nervure_core::Diagnostic;

use super::graph::quote;
use super::proto;

/// Most elements of a constant.
const MAX_ELEMENTS: usize = 1 << 26;

/// Type of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// binary32, and the shorter formats, which are exact in it.
    Float,
    /// binary64.
    Double,
    /// Integers of so many bits, with a sign or without.
    Int {
        /// Bits.
        bits: u8,
        /// Two's complement.
        signed: bool,
    },
}

impl Dtype {
    /// Of 64 bits, with a sign: shapes and indices.
    pub const INDEX: Self = Self::Int { bits: 64, signed: true };

    /// The number that a file has for it.
    pub(crate) const fn from_number(n: i32) -> Option<Self> {
        Some(match n {
            1 | 10 | 16 => Self::Float,
            11 => Self::Double,
            2 => Self::Int { bits: 8, signed: false },
            3 => Self::Int { bits: 8, signed: true },
            4 => Self::Int { bits: 16, signed: false },
            5 => Self::Int { bits: 16, signed: true },
            6 => Self::Int { bits: 32, signed: true },
            7 => Self::INDEX,
            9 => Self::Int { bits: 1, signed: false },
            12 => Self::Int { bits: 32, signed: false },
            13 => Self::Int { bits: 64, signed: false },
            21 => Self::Int { bits: 4, signed: false },
            22 => Self::Int { bits: 4, signed: true },
            _ => return None,
        })
    }

    /// Whether it holds integers.
    pub const fn is_integer(self) -> bool {
        matches!(self, Self::Int { .. })
    }

    /// Smallest and largest integer, where it holds integers of at most 32 bits.
    pub const fn ends(self) -> Option<(i64, i64)> {
        match self {
            Self::Int { bits, signed: true } if bits <= 32 => {
                Some((-(1 << (bits - 1)), (1 << (bits - 1)) - 1))
            }
            Self::Int { bits, signed: false } if bits <= 32 => Some((0, (1 << bits) - 1)),
            _ => None,
        }
    }
}

/// A constant, row-major. Every type is held in binary64, which is exact for all but the largest 64-bit integers.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Extent of each axis, outermost first.
    pub shape: Vec<usize>,
    /// Elements, last axis fastest.
    pub data: Vec<f64>,
    /// Type in the file.
    pub dtype: Dtype,
}

impl Array {
    /// Shapes: `data.len()` is the product of `shape`.
    pub fn new(shape: &[usize], data: Vec<f64>, dtype: Dtype) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "shape and data agree");
        Self { shape: shape.to_vec(), data, dtype }
    }

    /// Integers of one axis.
    pub fn indices(list: &[i64]) -> Self {
        Self::new(&[list.len()], list.iter().map(|v| *v as f64).collect(), Dtype::INDEX)
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Errors: `E0154`, without the file's name.
    pub(crate) fn decode(tensor: &proto::Tensor, name: &str) -> Result<Self, Diagnostic> {
        let wrong = |message: String, help: &str| {
            Diagnostic::new("E0154", format!("tensor {} {message}", quote(name)), help)
        };
        if tensor.data_location != 0 {
            let help = "save the model with its weights inside, for example with `onnx.save(model, name)`";
            return Err(wrong("lies in another file".into(), help));
        }
        let Some(dtype) = Dtype::from_number(tensor.data_type) else {
            let message = format!("has element type {}, which is not read", tensor.data_type);
            return Err(wrong(message, "use float32 or an integer type"));
        };
        let shape: Option<Vec<usize>> = tensor.dims.iter().map(|d| usize::try_from(*d).ok()).collect();
        let count = |s: &Vec<usize>| s.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        let Some((shape, count)) =
            shape.and_then(|s| count(&s).map(|n| (s, n))).filter(|s| s.1 <= MAX_ELEMENTS)
        else {
            let message = format!(
                "has {} axes with more than {MAX_ELEMENTS} elements, or a negative extent",
                tensor.dims.len()
            );
            return Err(wrong(message, "split the tensor; one of this size does not fit any device"));
        };
        let data = elements(tensor, dtype, count);
        if data.len() != count {
            let message = format!("has shape {shape:?}, but {} elements", data.len());
            return Err(wrong(message, "the file is damaged; write it again"));
        }
        if let Some(at) = data.iter().position(|v| !v.is_finite()) {
            let message = format!("element {at} is {}", data[at]);
            return Err(wrong(message, "train or export again: weights must be finite numbers"));
        }
        Ok(Self { shape, data, dtype })
    }
}

/// The elements, wherever they lie; some other number of them where the file is not sound.
fn elements(t: &proto::Tensor, dtype: Dtype, count: usize) -> Vec<f64> {
    let raw = &t.raw_data;
    macro_rules! each {
        ($t:ty, $n:literal) => {{
            if raw.len() != count * $n {
                return vec![0.0; raw.len() / $n];
            }
            let part = |c: &[u8]| <$t>::from_le_bytes(c.try_into().expect("chunks have this length"));
            raw.chunks_exact($n).map(part).map(|v| v as f64).collect()
        }};
    }
    let short = || t.int32_data.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
    if raw.is_empty() {
        let half = |convert: fn(u16) -> f64| t.int32_data.iter().map(|v| convert(*v as u16)).collect();
        return match t.data_type {
            1 => t.float_data.iter().map(|v| f64::from(*v)).collect(),
            10 => half(half_to_f64),
            16 => half(|bits| f64::from(f32::from_bits(u32::from(bits) << 16))),
            11 => t.double_data.clone(),
            7 => t.int64_data.iter().map(|v| *v as f64).collect(),
            12 | 13 => t.uint64_data.iter().map(|v| *v as f64).collect(),
            21 | 22 => nibbles(t.int32_data.iter().map(|v| *v as u8), dtype, count),
            _ => short(),
        };
    }
    match t.data_type {
        1 => each!(f32, 4),
        11 => each!(f64, 8),
        2 | 9 => each!(u8, 1),
        3 => each!(i8, 1),
        4 => each!(u16, 2),
        5 => each!(i16, 2),
        6 => each!(i32, 4),
        7 => each!(i64, 8),
        12 => each!(u32, 4),
        13 => each!(u64, 8),
        21 | 22 => nibbles(raw.iter().copied(), dtype, count),
        _ if raw.len() != count * 2 => vec![0.0; raw.len() / 2],
        kind => {
            let bits = raw.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]]));
            let wide = |b: u16| f64::from(f32::from_bits(u32::from(b) << 16));
            bits.map(|b| if kind == 10 { half_to_f64(b) } else { wide(b) }).collect()
        }
    }
}

/// Two elements of four bits a byte, the first one low.
fn nibbles(bytes: impl Iterator<Item = u8>, dtype: Dtype, count: usize) -> Vec<f64> {
    let signed = matches!(dtype, Dtype::Int { signed: true, .. });
    let value = |n: u8| if signed && n > 7 { f64::from(n) - 16.0 } else { f64::from(n) };
    let mut all: Vec<f64> = bytes.flat_map(|b| [value(b & 15), value(b >> 4)]).collect();
    if all.len() == count + 1 {
        all.pop();
    }
    all
}

/// IEEE 754 binary16.
fn half_to_f64(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 => f64::INFINITY,
        e => (1024.0 + fraction) * 2f64.powi(e - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}
