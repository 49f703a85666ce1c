//! From the bytes of a dataset to numbers and text.

use hdf5_pure::{Datatype, DatatypeByteOrder, FloatingPointLayout, StringPadding};

/// Largest number up to which every integer is a 64-bit float.
const EXACT: i64 = 1 << 53;

/// 16-bit floats, as `NumPy` writes them.
const BINARY16: FloatingPointLayout = FloatingPointLayout {
    bit_offset: 0,
    bit_precision: 16,
    exponent_location: 10,
    exponent_size: 5,
    mantissa_location: 0,
    mantissa_size: 10,
    exponent_bias: 15,
};

/// How a number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number {
    class: Class,
    size: usize,
    big_endian: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Unsigned,
    Signed,
    Float,
}

impl Number {
    /// The numbers that `datatype` describes; `None` when it describes something else, or numbers that nobody writes.
    pub(super) fn of(datatype: &Datatype) -> Option<Self> {
        match datatype {
            Datatype::FixedPoint { size, byte_order, layout } => {
                let class = if layout.signed { Class::Signed } else { Class::Unsigned };
                let known = [1, 2, 4, 8].contains(size);
                let whole = known && layout.bit_offset == 0 && u32::from(layout.bit_precision) == size * 8;
                Self::new(class, *size, *byte_order).filter(|_| whole)
            }
            Datatype::FloatingPoint { size, byte_order, layout } => {
                let known = match size {
                    2 => BINARY16,
                    4 => FloatingPointLayout::IEEE754_BINARY32,
                    8 => FloatingPointLayout::IEEE754_BINARY64,
                    _ => return None,
                };
                Self::new(Class::Float, *size, *byte_order).filter(|_| *layout == known)
            }
            // What h5py writes for truth values.
            Datatype::Enumeration { base_type, size, .. }
                if matches!(**base_type, Datatype::FixedPoint { .. }) =>
            {
                Self::of(base_type).filter(|n| n.size == *size as usize)
            }
            _ => None,
        }
    }

    fn new(class: Class, size: u32, order: DatatypeByteOrder) -> Option<Self> {
        let big_endian = match order {
            DatatypeByteOrder::LittleEndian => false,
            DatatypeByteOrder::BigEndian => true,
            DatatypeByteOrder::Vax => return None,
        };
        Some(Self { class, size: size as usize, big_endian })
    }

    /// All numbers in `bytes`, exactly. Errors: the first integer beyond 2^53, as text.
    pub(super) fn decode(self, bytes: &[u8]) -> Result<Vec<f64>, String> {
        bytes.chunks_exact(self.size).map(|raw| self.one(raw)).collect()
    }

    fn one(self, raw: &[u8]) -> Result<f64, String> {
        let mut wide = [0; 8];
        for (to, from) in wide.iter_mut().zip(0..raw.len()) {
            *to = raw[if self.big_endian { raw.len() - 1 - from } else { from }];
        }
        let bits = u64::from_le_bytes(wide);
        let unused = 64 - 8 * raw.len() as u32;
        match self.class {
            Class::Float => Ok(match raw.len() {
                2 => half(bits as u16),
                4 => f64::from(f32::from_bits(bits as u32)),
                _ => f64::from_bits(bits),
            }),
            Class::Signed => {
                let value = (bits << unused) as i64 >> unused;
                if value.unsigned_abs() <= EXACT as u64 { Ok(value as f64) } else { Err(value.to_string()) }
            }
            Class::Unsigned => {
                if bits <= EXACT as u64 {
                    Ok(bits as f64)
                } else {
                    Err(bits.to_string())
                }
            }
        }
    }
}

/// IEEE 754 binary16, exactly.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => mantissa / 1024.0 * 2f64.powi(-14),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        e => (1.0 + mantissa / 1024.0) * 2f64.powi(e - 15),
    }
}

/// Texts of `size` bytes each.
pub(super) fn texts(bytes: &[u8], size: usize, padding: &StringPadding) -> Vec<String> {
    let text = |raw: &[u8]| {
        let end = raw.iter().position(|b| *b == 0).unwrap_or(raw.len());
        let text = String::from_utf8_lossy(&raw[..end]).into_owned();
        if *padding == StringPadding::SpacePad { text.trim_end_matches(' ').to_owned() } else { text }
    };
    bytes.chunks_exact(size.max(1)).map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_both_byte_orders_are_exact() {
        let number = |class, size, big_endian| Number { class, size, big_endian };
        assert_eq!(number(Class::Signed, 2, false).decode(&[0xfe, 0xff, 3, 0]), Ok(vec![-2.0, 3.0]));
        assert_eq!(number(Class::Signed, 2, true).decode(&[0xff, 0xfe, 0, 3]), Ok(vec![-2.0, 3.0]));
        assert_eq!(number(Class::Unsigned, 1, false).decode(&[255, 1]), Ok(vec![255.0, 1.0]));
        assert_eq!(number(Class::Float, 4, true).decode(&0.1f32.to_be_bytes()), Ok(vec![f64::from(0.1f32)]));
        assert_eq!(number(Class::Float, 8, false).decode(&(-0.3f64).to_le_bytes()), Ok(vec![-0.3]));
        assert_eq!(
            number(Class::Signed, 8, false).decode(&i64::MIN.to_le_bytes()),
            Err(i64::MIN.to_string())
        );
        assert_eq!(
            number(Class::Unsigned, 8, false).decode(&u64::MAX.to_le_bytes()),
            Err(u64::MAX.to_string())
        );
    }

    #[test]
    fn halves_are_those_of_the_standard() {
        for (bits, value) in
            [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (1, 2f64.powi(-24)), (0, 0.0f64)]
        {
            assert_eq!(half(bits).to_bits(), value.to_bits(), "{bits:#x}");
        }
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
    }

    #[test]
    fn texts_end_where_their_padding_begins() {
        assert_eq!(texts(b"dense\0\0\0pool  \0\0", 8, &StringPadding::NullPad), ["dense", "pool  "]);
        assert_eq!(texts(b"dense   ", 8, &StringPadding::SpacePad), ["dense"]);
    }
}
