//! From bytes to integers. The one place of the project where floating-point values are looked at.

use nervure_core::Diagnostic;

use super::header::Dtype;
use crate::shape_of;

/// An array as it lies in the file.
#[derive(Debug)]
pub(crate) struct Array {
    /// `weights.npz:hidden`.
    pub(crate) name: String,
    /// Extent of each axis.
    pub(crate) shape: Vec<usize>,
    /// Type of an element.
    pub(crate) dtype: Dtype,
    /// Byte order.
    pub(crate) big_endian: bool,
    /// Whether the first axis varies fastest.
    pub(crate) fortran: bool,
    /// Elements.
    pub(crate) bytes: Vec<u8>,
}

/// The first element that cannot be taken; numbers count in the file's order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not a whole number of 64 bits: its place, and the value as text.
    Fraction(usize, String),
    /// Refused by the caller: its place and value.
    Outside(usize, i64),
}

impl Array {
    /// All elements, row-major, each as `make` turns it; `make` refuses with `None`.
    pub(crate) fn map<T: Copy>(&self, make: impl Fn(i64) -> Option<T>) -> Result<Vec<T>, Fault> {
        let mut out = Vec::with_capacity(self.bytes.len() / self.dtype.bytes());
        let mut put = |value: Result<i64, String>| {
            let at = out.len();
            let value = value.map_err(|text| Fault::Fraction(at, text))?;
            out.push(make(value).ok_or(Fault::Outside(at, value))?);
            Ok(())
        };
        macro_rules! each {
            ($t:ty, $n:literal, $whole:expr) => {
                for chunk in self.bytes.chunks_exact($n) {
                    let raw: [u8; $n] = chunk.try_into().expect("chunks have this length");
                    let raw =
                        if self.big_endian { <$t>::from_be_bytes(raw) } else { <$t>::from_le_bytes(raw) };
                    put($whole(raw))?;
                }
            };
        }
        match self.dtype {
            Dtype::Bool => self.bytes.iter().try_for_each(|b| put(Ok(i64::from(*b))))?,
            Dtype::Unsigned(1) => self.bytes.iter().try_for_each(|b| put(Ok(i64::from(*b))))?,
            Dtype::Signed(1) => self.bytes.iter().try_for_each(|b| put(Ok(i64::from(*b as i8))))?,
            Dtype::Signed(2) => each!(i16, 2, |v| Ok(i64::from(v))),
            Dtype::Signed(4) => each!(i32, 4, |v| Ok(i64::from(v))),
            Dtype::Signed(_) => each!(i64, 8, Ok),
            Dtype::Unsigned(2) => each!(u16, 2, |v| Ok(i64::from(v))),
            Dtype::Unsigned(4) => each!(u32, 4, |v| Ok(i64::from(v))),
            Dtype::Unsigned(_) => each!(u64, 8, |v: u64| i64::try_from(v).map_err(|_| v.to_string())),
            Dtype::Float(2) => each!(u16, 2, |v| whole(half(v), || half(v).to_string())),
            Dtype::Float(4) => each!(f32, 4, |v: f32| whole(f64::from(v), || v.to_string())),
            Dtype::Float(_) => each!(f64, 8, |v: f64| whole(v, || if v.abs() > EXACT {
                format!("{v:e}")
            } else {
                v.to_string()
            })),
        }
        Ok(if self.fortran && self.shape.len() > 1 { shape_of::to_row_major(&out, &self.shape) } else { out })
    }

    /// All elements, row-major. Errors: `E0107` at the first that is not a whole number.
    pub(crate) fn integers(&self) -> Result<Vec<i64>, Diagnostic> {
        self.map(Some).map_err(|fault| match fault {
            Fault::Fraction(at, text) => self.fraction(at, &text),
            Fault::Outside(..) => unreachable!("every integer is taken"),
        })
    }

    /// All elements as binary64, row-major, and whether the file has an integer type. Errors: `E0107` for NaN and infinity.
    pub(crate) fn floats(&self) -> Result<(bool, Vec<f64>), Diagnostic> {
        let parts = |n: usize| self.bytes.chunks_exact(n);
        let order = |c: &[u8]| {
            let mut raw = [0u8; 8];
            let at = |i: usize| if self.big_endian { c.len() - 1 - i } else { i };
            (0..c.len()).for_each(|i| raw[i] = c[at(i)]);
            u64::from_le_bytes(raw)
        };
        let list: Vec<f64> = match self.dtype {
            Dtype::Float(2) => parts(2).map(|c| half(order(c) as u16)).collect(),
            Dtype::Float(4) => parts(4).map(|c| f64::from(f32::from_bits(order(c) as u32))).collect(),
            Dtype::Float(_) => parts(8).map(|c| f64::from_bits(order(c))).collect(),
            _ => return Ok((true, self.integers()?.into_iter().map(|v| v as f64).collect())),
        };
        if let Some(at) = list.iter().position(|v| !v.is_finite()) {
            return Err(self.fraction(at, &list[at].to_string()));
        }
        let row_major = self.fortran && self.shape.len() > 1;
        Ok((false, if row_major { shape_of::to_row_major(&list, &self.shape) } else { list }))
    }

    /// `E0107` for element `at` (in the file's order), which reads `text`.
    pub(crate) fn fraction(&self, at: usize, text: &str) -> Diagnostic {
        let place = shape_of::position(at, &self.shape, self.fortran);
        let large = text.parse::<f64>().is_ok_and(|v| v.is_finite() && v.abs() > EXACT);
        let what = if large { "too large to be an exact integer" } else { "not an integer" };
        Diagnostic::new(
            "E0107",
            format!("`{}` element {place:?} is {text}, {what}", self.name),
            "quantize in training: scale the values to their format, round, and save them with an integer type",
        )
    }
}

/// Every integer up to this size is a binary64 of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// `value` as an integer, where it is one and so small that no neighbour was rounded to it.
fn whole(value: f64, text: impl Fn() -> String) -> Result<i64, String> {
    if value.abs() <= EXACT && value.fract().abs() <= 0.0 { Ok(value as i64) } else { Err(text()) }
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f64::from(bits & 0x3ff);
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        e => (1024.0 + fraction) * 2f64.powi(e - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(dtype: Dtype, bytes: &[u8]) -> Array {
        let shape = vec![bytes.len() / dtype.bytes()];
        Array {
            name: "w.npz:a".into(),
            shape,
            dtype,
            big_endian: false,
            fortran: false,
            bytes: bytes.to_vec(),
        }
    }

    #[test]
    fn every_type_is_read_exactly() {
        assert_eq!(array(Dtype::Signed(1), &[255, 1]).integers(), Ok(vec![-1, 1]));
        assert_eq!(array(Dtype::Signed(2), &(-300i16).to_le_bytes()).integers(), Ok(vec![-300]));
        assert_eq!(array(Dtype::Unsigned(4), &u32::MAX.to_le_bytes()).integers(), Ok(vec![u32::MAX.into()]));
        assert_eq!(array(Dtype::Signed(8), &i64::MIN.to_le_bytes()).integers(), Ok(vec![i64::MIN]));
        assert_eq!(array(Dtype::Float(2), &0xc500u16.to_le_bytes()).integers(), Ok(vec![-5]));
        assert_eq!(array(Dtype::Float(4), &(-8f32).to_le_bytes()).integers(), Ok(vec![-8]));
        assert_eq!(array(Dtype::Float(8), &(-0f64).to_le_bytes()).integers(), Ok(vec![0]));
        let big = Array { big_endian: true, ..array(Dtype::Signed(2), &[1, 2]) };
        assert_eq!(big.integers(), Ok(vec![258]));
    }

    #[test]
    fn what_is_not_whole_is_named() {
        let say = |a: &Array| a.integers().expect_err("a diagnostic").message;
        assert_eq!(
            say(&array(Dtype::Float(4), &0.1f32.to_le_bytes())),
            "`w.npz:a` element [0] is 0.1, not an integer"
        );
        assert_eq!(
            say(&array(Dtype::Float(8), &f64::NAN.to_le_bytes())),
            "`w.npz:a` element [0] is NaN, not an integer"
        );
        assert!(say(&array(Dtype::Float(2), &0x7c00u16.to_le_bytes())).contains("is inf,"));
        assert!(say(&array(Dtype::Float(8), &1e300f64.to_le_bytes())).contains("is 1e300, too large"));
        assert!(say(&array(Dtype::Unsigned(8), &u64::MAX.to_le_bytes())).contains("5, too large"));
        assert_eq!(half(0x0001).to_bits(), 2f64.powi(-24).to_bits());
        assert_eq!(half(0x3c00).to_bits(), 1f64.to_bits());
    }
}
