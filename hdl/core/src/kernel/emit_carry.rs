//! Additions with an extra low bit, as Verilog expressions.

use super::emit::Emitter;
use super::{Op, Value, ValueId};

impl Emitter<'_> {
    /// `v` and one bit below it, where `v` takes a carry or must stay apart from the sum that it reads.
    ///
    /// A carry enters through the low bit, so that synthesis maps it to one carry chain. Written as a subtraction, Yosys
    /// keeps the first operand as the one that feeds the chain, whatever selects the second.
    pub(super) fn carry(&mut self, v: &Value, stage: u32, bits: u32) -> Option<String> {
        let apart = |e: &Self, a, b| {
            let flat = e.kernel.states.is_empty();
            flat && e.kernel.side_by_side(a, b).is_none()
                && (e.chained(a, stage, bits) || e.chained(b, stage, bits))
        };
        Some(match v.op {
            Op::AddCarry(a, b, c) => {
                let (a, b, c) = (self.at(a, stage, bits), self.at(b, stage, bits), self.at(c, stage, 1));
                format!("{{{a}, {c}}} - {{~({b}), 1'b1}}")
            }
            Op::Add(a, b) if apart(self, a, b) => {
                let (a, b) = (self.at(a, stage, bits), self.at(b, stage, bits));
                format!("{{{a}, 1'b0}} - {{~({b}), 1'b1}}")
            }
            Op::Sub(a, b) if apart(self, a, b) => {
                let (a, b) = (self.at(a, stage, bits), self.at(b, stage, bits));
                format!("{{{a}, 1'b1}} - {{{b}, 1'b1}}")
            }
            _ => return None,
        })
    }

    /// Whether an adder of `bits` bits reads a whole sum that nothing else reads. Yosys would make one sum of three of both, of
    /// compressors in place of two carry chains; where the sum is extended or cut, it does not. In an update of state, with its
    /// few short sums, that is no loss.
    fn chained(&self, mut id: ValueId, stage: u32, bits: u32) -> bool {
        let mut shift = 0;
        loop {
            let v = self.value(id);
            if self.reads[id.index()] != 1 || self.stages.of[id.index()] != stage {
                return false;
            }
            match v.op {
                Op::Shl(a, n) => (id, shift) = (a, shift + u32::from(n)),
                Op::Add(a, b) if self.kernel.side_by_side(a, b).is_some() => return false,
                Op::Add(..) | Op::Sub(..) => return v.range.bits() + shift >= bits,
                _ => return false,
            }
        }
    }
}
