//! Exponential decay of a state in one step, as a shift or as a multiplication and a shift.

use nervure_core::kernel::{Builder, Expr};
use nervure_core::{Diagnostic, Rounding, diag};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::per_element::PerElement;

/// Decay of a state in one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Leak {
    /// `v - round(v / 2^shift)`, or with `multiply` `round(v * multiply / 2^shift)`; 1 to 24.
    pub(crate) shift: u32,
    /// Numerator of the decay factor, 0 to `2^shift`; one integer, or one per element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) multiply: Option<PerElement>,
    /// Rounding of the division; by default toward minus infinity.
    #[serde(default = "floor", skip_serializing_if = "is_floor")]
    pub(crate) rounding: Rounding,
}

const fn floor() -> Rounding {
    Rounding::Floor
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_floor(r: &Rounding) -> bool {
    *r == Rounding::Floor
}

impl Leak {
    /// Errors: `E0201` for a shift or a factor out of range; `E0205` for a wrong number of factors.
    pub(crate) fn check(&self, field: &str, len: usize) -> Result<(), Diagnostic> {
        diag::in_range("shift", self.shift as usize, 1..25).map_err(|d| d.at(field))?;
        let Some(m) = &self.multiply else { return Ok(()) };
        m.check_len("multiply", len).map_err(|d| d.at(field))?;
        let one = 1i64 << self.shift;
        let bad = m.find_bad(|k| (0..=one).contains(&k));
        bad.map_or(Ok(()), |k| {
            Err(Diagnostic::new(
                "E0201",
                format!("`multiply` is {k}, expected 0 to {one}"),
                format!("choose a value from 0 to {one}"),
            )
            .at("multiply")
            .at(field))
        })
    }

    /// The definition, for `len` elements.
    pub(crate) fn plain(&self, len: usize) -> Decay {
        let decay = Decay { shift: self.shift, rounding: self.rounding, multiply: Vec::new() };
        Decay { multiply: self.multiply.as_ref().map_or_else(Vec::new, |m| m.each(len)), ..decay }
    }

    /// The hardware; `v` lies in `lo..=hi`, and so does the result.
    pub(crate) fn kernel<'k>(
        &self,
        k: &'k Builder,
        v: Expr<'k>,
        name: &str,
        (lo, hi): (i64, i64),
    ) -> Expr<'k> {
        let decayed = match &self.multiply {
            None => v - v.shr(self.shift, self.rounding).named(name),
            Some(m) => (v * k.param(&format!("{name}_factor"), 0, m.values().to_vec()))
                .shr(self.shift, self.rounding),
        };
        // Decay brings a state closer to zero (floor: never past -1), which intervals alone do not show.
        k.promise(decayed, lo.into(), hi.into())
    }
}

/// A decay with its numbers laid out for many elements.
#[derive(Debug)]
pub(crate) struct Decay {
    shift: u32,
    rounding: Rounding,
    /// One per element; empty for `v - v / 2^shift`.
    multiply: Vec<i64>,
}

impl Decay {
    /// One step of every element of `v`.
    pub(crate) fn step(&self, v: &mut [i64]) {
        let n = self.shift;
        let half = 1i64 << (n - 1);
        match self.rounding {
            Rounding::Floor => self.each(v, |p| p >> n),
            Rounding::TowardZero => self.each(v, |p| if p < 0 { -(-p >> n) } else { p >> n }),
            Rounding::HalfUp => self.each(v, |p| (p + half) >> n),
            // A tie goes down where the quotient below it is even.
            Rounding::HalfEven => self.each(v, |p| (p + half - 1 + ((p >> n) & 1)) >> n),
        }
    }

    fn each(&self, v: &mut [i64], divide: impl Fn(i64) -> i64) {
        if self.multiply.is_empty() {
            for v in v {
                *v -= divide(*v);
            }
        } else {
            v.iter_mut().zip(&self.multiply).for_each(|(v, k)| *v = divide(*v * k));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decay_divides_as_its_rounding_says() {
        for rounding in [Rounding::Floor, Rounding::TowardZero, Rounding::HalfUp, Rounding::HalfEven] {
            for (shift, multiply) in [(1, None), (3, None), (2, Some(3)), (4, Some(0)), (3, Some(8))] {
                let leak = Leak { shift, multiply: multiply.map(PerElement::from), rounding };
                let all: Vec<i64> = (-70..=70).collect();
                let mut decayed = all.clone();
                leak.plain(all.len()).step(&mut decayed);
                for (v, d) in all.iter().zip(decayed) {
                    let exact = match multiply {
                        None => i128::from(*v) - rounding.shift((*v).into(), shift),
                        Some(k) => rounding.shift(i128::from(v * k), shift),
                    };
                    assert_eq!(i128::from(d), exact, "{v} by {leak:?}");
                }
            }
        }
    }
}
