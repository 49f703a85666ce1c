//! Rounding shifts and clamps as Verilog expressions.

use super::emit::{Emitter, literal};
use super::{Value, ValueId};
use crate::num::Rounding;

impl Emitter<'_> {
    /// Arithmetic shift right: the kept bits, plus one where the dropped bits say so.
    pub(super) fn shift_right(
        &mut self,
        a: ValueId,
        stage: u32,
        n: u32,
        rounding: Rounding,
        bits: u32,
    ) -> String {
        let kept = self.slice(a, stage, n, bits);
        let half = |e: &mut Self| e.slice(a, stage, n - 1, 1);
        let below = |e: &mut Self| if n >= 2 { Some(e.slice(a, stage, 0, n - 1)) } else { None };
        let up = match rounding {
            Rounding::Floor => return kept,
            Rounding::HalfUp => half(self),
            Rounding::HalfEven => {
                let odd = self.slice(a, stage, n, 1);
                let half = half(self);
                match below(self) {
                    Some(rest) => format!("({half} & ((|{rest}) | {odd}))"),
                    None => format!("({half} & {odd})"),
                }
            }
            Rounding::TowardZero => {
                if !self.value(a).range.signed() {
                    return kept;
                }
                let width = self.value(a).range.bits();
                let sign = self.slice(a, stage, width - 1, 1);
                let dropped = self.slice(a, stage, 0, n);
                format!("({sign} & (|{dropped}))")
            }
        };
        if bits == 1 { format!("{kept} ^ {up}") } else { format!("{kept} + {{{}'d0, {up}}}", bits - 1) }
    }

    pub(super) fn clamp(&mut self, a: ValueId, stage: u32, v: &Value, bits: u32) -> String {
        let from = self.value(a).range;
        let (width, signed) = (from.bits(), from.signed());
        let mut text = String::new();
        let power = |x: i128| (x > 0 && (x as u128).is_power_of_two()).then(|| x.trailing_zeros());
        if from.hi > v.range.hi {
            let over = match power(v.range.hi + 1) {
                Some(k) if signed => {
                    let sign = self.slice(a, stage, width - 1, 1);
                    let high = self.slice(a, stage, k, width - 1 - k);
                    format!("~{sign} & (|{high})")
                }
                Some(k) => format!("|{}", self.slice(a, stage, k, width - k)),
                None => self.against(a, stage, ">", v.range.hi),
            };
            text += &format!("({over}) ? {} : ", literal(v.range.hi, bits));
        }
        if from.lo < v.range.lo {
            let sign = self.slice(a, stage, width - 1, 1);
            let under = match power(-v.range.lo) {
                _ if v.range.lo == 0 => sign,
                Some(k) if width - 1 > k => {
                    let high = self.slice(a, stage, k, width - 1 - k);
                    format!("{sign} & ~(&{high})")
                }
                _ => self.against(a, stage, "<", v.range.lo),
            };
            text += &format!("({under}) ? {} : ", literal(v.range.lo, bits));
        }
        text + &self.at(a, stage, bits)
    }

    fn against(&mut self, a: ValueId, stage: u32, sign: &str, limit: i128) -> String {
        let r = self.value(a).range;
        let (x, y) = (self.at(a, stage, r.bits()), literal(limit, r.bits()));
        if r.signed() { format!("$signed({x}) {sign} $signed({y})") } else { format!("{x} {sign} {y}") }
    }
}
