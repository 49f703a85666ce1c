//! Rounding and clamping in the order that costs least.
//!
//! Rounding is monotonic, so a value that is clamped and then rounded can as well be rounded and then clamped, between the
//! rounded limits: what is behind a rectifier is then clamped once, and rounded where the sum still stands. A sum with a
//! constant rounds for nothing: half a unit joins the constant, and the digits below are dropped. For ties to even, where
//! nothing is left below, the lowest digit is dropped as well.
//!
//! Deliberately absent: sums without a constant, which would need an adder of all their digits in place of a short one.

use nervure_core::kernel::{BitOp, Cmp, Kernel, Op, Range, Value, ValueId};
use nervure_core::num::Rounding;

use super::regions::has_constant;

/// The same kernel with its roundings at the sums that they round.
pub(super) fn round_sums(kernel: &Kernel) -> Kernel {
    let with_constant = has_constant(kernel);
    let reads = kernel.reads();
    let mut new = Writer { values: Vec::with_capacity(kernel.values.len()) };
    let mut new_id: Vec<ValueId> = Vec::with_capacity(kernel.values.len());
    for value in &kernel.values {
        let id = match value.op {
            Op::Shr(a, n, rounding) if n > 0 => {
                let from = kernel.value(a);
                let (source, clamped) = match from.op {
                    Op::Clamp(s)
                        if reads[a.index()] == 1 && rounded(from.range, n, rounding) == value.range =>
                    {
                        (s, true)
                    }
                    _ => (a, false),
                };
                let of = (new_id[source.index()], n, rounding);
                let range = rounded(kernel.value(source).range, n, rounding);
                let half = with_constant[source.index()]
                    && matches!(rounding, Rounding::HalfUp | Rounding::HalfEven)
                    && (clamped || range == value.range);
                match (half, clamped) {
                    (false, false) => new.push(value.op.map(|o| new_id[o.index()]), value.range, value.frac),
                    (half, clamped) => {
                        let short = if half { new.half(of, range) } else { new.shr(of, range) };
                        if clamped { new.push(Op::Clamp(short), value.range, value.frac) } else { short }
                    }
                }
            }
            op => new.push(op.map(|o| new_id[o.index()]), value.range, value.frac),
        };
        new_id.push(id);
    }
    let mut kernel = Kernel { values: new.values, ..kernel.clone() };
    kernel.outputs.iter_mut().for_each(|(_, id)| *id = new_id[id.index()]);
    kernel.states.iter_mut().for_each(|s| s.next = new_id[s.next.index()]);
    kernel.names.iter_mut().for_each(|(id, _)| *id = new_id[id.index()]);
    kernel.remove_dead();
    kernel
}

/// The range of what has the range `of`, rounded.
const fn rounded(of: Range, n: u8, rounding: Rounding) -> Range {
    Range { lo: rounding.shift(of.lo, n as u32), hi: rounding.shift(of.hi, n as u32) }
}

/// Values in the making.
struct Writer {
    values: Vec<Value>,
}

impl Writer {
    fn push(&mut self, op: Op, range: Range, frac: i8) -> ValueId {
        let op = if range.lo == range.hi { Op::Const } else { op };
        self.values.push(Value { op, range, frac });
        ValueId(self.values.len() as u32 - 1)
    }

    fn shr(&mut self, (of, n, rounding): (ValueId, u8, Rounding), range: Range) -> ValueId {
        let frac = self.values[of.index()].frac;
        self.push(Op::Shr(of, n, rounding), range, frac)
    }

    /// The rounding shift of a sum, by half a unit in its constant.
    fn half(&mut self, (sum, n, rounding): (ValueId, u8, Rounding), range: Range) -> ValueId {
        let Value { range: whole, frac, .. } = self.values[sum.index()];
        let half = 1i128 << (n - 1);
        let constant = self.push(Op::Const, Range { lo: half, hi: half }, frac);
        let more = Range { lo: whole.lo + half, hi: whole.hi + half };
        let sum = self.push(Op::Add(sum, constant), more, frac);
        if rounding == Rounding::HalfUp {
            return self.shr((sum, n, Rounding::Floor), range);
        }
        // An odd number where nothing is left below was a tie.
        let bit = Range { lo: 0, hi: 1 };
        let floor = self.shr((sum, n, Rounding::Floor), rounded(more, n, Rounding::Floor));
        let odd = self.push(Op::Wrap(floor), bit, 0);
        let rest = self.push(Op::Wrap(sum), Range { lo: 0, hi: (1 << n) - 1 }, 0);
        let one = self.push(Op::Const, Range { lo: 1, hi: 1 }, 0);
        let some = self.push(Op::Compare(Cmp::Ge, rest, one), bit, 0);
        let lowest = self.push(Op::Bit(BitOp::And, odd, some), bit, 0);
        let pairs = rounded(more, n + 1, Rounding::Floor);
        let high = self.shr((sum, n + 1, Rounding::Floor), pairs);
        let even = self.push(Op::Shl(high, 1), Range { lo: pairs.lo * 2, hi: pairs.hi * 2 }, frac);
        let lowest = self.push(Op::Shl(lowest, 0), bit, frac);
        // Bits side by side; the clamp, which does nothing, keeps what reads them from taking them for a sum.
        let sum = self.push(Op::Add(even, lowest), range, frac);
        self.push(Op::Clamp(sum), range, frac)
    }
}
