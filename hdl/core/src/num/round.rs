//! Rounding of a right shift.

use serde::{Deserialize, Serialize};

/// How the bits that a right shift drops decide the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Toward minus infinity (an arithmetic shift).
    Floor,
    /// To nearest, ties toward plus infinity.
    HalfUp,
    /// To nearest, ties to the even result (IEEE 754 `roundTiesToEven`).
    HalfEven,
    /// Toward zero (C integer division).
    TowardZero,
}

impl Rounding {
    /// `v / 2^shift` rounded to an integer. `shift` is at most 100.
    pub const fn shift(self, v: i128, shift: u32) -> i128 {
        if shift == 0 {
            return v;
        }
        let floor = v >> shift;
        let dropped = v - (floor << shift);
        let half = 1i128 << (shift - 1);
        let up = match self {
            Self::Floor => false,
            Self::HalfUp => dropped >= half,
            Self::HalfEven => dropped > half || (dropped == half && floor & 1 == 1),
            Self::TowardZero => v < 0 && dropped != 0,
        };
        floor + up as i128
    }
}

#[cfg(test)]
mod tests {
    use super::Rounding::{Floor, HalfEven, HalfUp, TowardZero};

    #[test]
    fn quarters_round_as_documented() {
        // -1.5, -0.5, 0.5, 1.5, 2.5, -2.25 in quarters
        let quarters = [-6, -2, 2, 6, 10, -9];
        let by = |mode: super::Rounding| quarters.map(|v| mode.shift(v, 2));
        assert_eq!(by(Floor), [-2, -1, 0, 1, 2, -3]);
        assert_eq!(by(HalfUp), [-1, 0, 1, 2, 3, -2]);
        assert_eq!(by(HalfEven), [-2, 0, 0, 2, 2, -2]);
        assert_eq!(by(TowardZero), [-1, 0, 0, 1, 2, -2]);
    }
}
