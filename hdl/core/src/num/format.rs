//! Number formats: how many bits, how many of them fraction, signed or not.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A fixed-point format. An integer `n` in this format stands for `n * 2^-frac`.
///
/// Written `u1`, `s8` or, with a fraction, `s8.4`: eight bits in all, four of them after the binary point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QType {
    /// Bits in all, sign included: 1 to 48.
    pub bits: u8,
    /// Bits after the binary point; may exceed `bits` or be negative.
    pub frac: i8,
    /// Two's complement when true.
    pub signed: bool,
}

/// What happens to a value that its format cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// Keep the low bits (two's complement).
    Wrap,
    /// Clamp to the nearest value that fits.
    Saturate,
}

impl QType {
    /// The widest format offered.
    pub const MAX_BITS: u8 = 48;

    /// An unsigned integer of `bits` bits.
    pub const fn unsigned(bits: u8) -> Self {
        Self { bits, frac: 0, signed: false }
    }

    /// A two's-complement integer of `bits` bits.
    pub const fn signed(bits: u8) -> Self {
        Self { bits, frac: 0, signed: true }
    }

    /// The shortest integer format that holds `lo..=hi`, with `frac` fraction bits.
    pub fn holding(lo: i128, hi: i128, frac: i8) -> Self {
        // A signed format has at least two bits.
        let signed = lo < 0;
        Self { bits: (super::bits_for(lo, hi) as u8).max(1 + u8::from(signed)), frac, signed }
    }

    /// Smallest integer of the format.
    pub const fn min(self) -> i64 {
        if self.signed { -(1 << (self.bits - 1)) } else { 0 }
    }

    /// Largest integer of the format.
    pub const fn max(self) -> i64 {
        if self.signed { (1 << (self.bits - 1)) - 1 } else { (1 << self.bits) - 1 }
    }

    /// Whether `v` is an integer of the format.
    pub const fn contains(self, v: i64) -> bool {
        v >= self.min() && v <= self.max()
    }

    /// `v` brought into the format.
    pub const fn fit(self, v: i64, overflow: Overflow) -> i64 {
        match overflow {
            Overflow::Saturate => self.saturate(v),
            Overflow::Wrap => self.wrap(v),
        }
    }

    /// `v` clamped into the format.
    pub const fn saturate(self, v: i64) -> i64 {
        if v < self.min() {
            self.min()
        } else if v > self.max() {
            self.max()
        } else {
            v
        }
    }

    /// The low bits of `v`, read in the format.
    pub const fn wrap(self, v: i64) -> i64 {
        let shift = 64 - self.bits as u32;
        if self.signed { (v << shift) >> shift } else { (((v << shift) as u64) >> shift) as i64 }
    }
}

impl fmt::Display for QType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.signed { 's' } else { 'u' }, self.bits)?;
        if self.frac != 0 { write!(f, ".{}", self.frac) } else { Ok(()) }
    }
}

impl FromStr for QType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{}` is not a number format; write `u8`, `s12` or `s8.4` (bits, then fraction bits)",
                text.escape_debug()
            )
        };
        let signed = match text.chars().next() {
            Some('s') => true,
            Some('u') => false,
            _ => return Err(wrong()),
        };
        let (bits, frac) = text[1..].split_once('.').unwrap_or((&text[1..], "0"));
        let bits: u8 = bits.parse().map_err(|_| wrong())?;
        let frac: i8 = frac.parse().map_err(|_| wrong())?;
        if bits == 0 || bits > Self::MAX_BITS || (signed && bits < 2) || !(-64..=64).contains(&frac) {
            return Err(format!(
                "`{text}` is out of range: 1 to {} bits (a signed format has at least 2), fraction -64 to 64",
                Self::MAX_BITS
            ));
        }
        Ok(Self { bits, frac, signed })
    }
}

impl Serialize for QType {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for QType {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for QType {
    fn schema_name() -> Cow<'static, str> {
        "QType".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[su][0-9]+(\\.-?[0-9]+)?$",
            "description": "Number format: s or u, bits, then optionally a point and the fraction bits: u1, s8, s8.4"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints_and_refuses_the_rest() {
        for text in ["u1", "s8", "s8.4", "u16.-2", "s48"] {
            assert_eq!(text.parse::<QType>().expect("valid").to_string(), text);
        }
        for text in ["", "8", "u0", "s1", "s99", "u8.x", "i8", "s", "é", "u8.100"] {
            assert!(text.parse::<QType>().is_err(), "{text}");
        }
    }

    #[test]
    fn fits_by_wrap_and_by_saturation() {
        let q = QType::signed(4);
        assert_eq!((q.min(), q.max()), (-8, 7));
        assert_eq!((q.wrap(8), q.wrap(-9), q.saturate(8), q.saturate(-9)), (-8, 7, 7, -8));
        assert_eq!(QType::unsigned(4).wrap(-1), 15);
        assert_eq!(QType::holding(-5, 3, 0), QType::signed(4));
        assert_eq!(QType::holding(0, 0, 0), QType::unsigned(1));
        assert_eq!(QType::holding(-1, 0, 0), QType::signed(2));
    }
}
