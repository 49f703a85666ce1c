//! The interpreter: a kernel's exact meaning, used to check emission and passes.

use super::{BitOp, Cmp, Kernel, Op};

/// Result of one step: the outputs and the next states, in the kernel's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// One value per output port.
    pub outputs: Vec<i64>,
    /// One value per state.
    pub next: Vec<i64>,
}

impl Kernel {
    /// One step for element `element`, with inputs and states in the kernel's order.
    ///
    /// Panics when a value leaves its inferred range: that is a bug of range analysis.
    pub fn eval(&self, element: usize, inputs: &[i64], states: &[i64]) -> Step {
        let mut v: Vec<i128> = Vec::with_capacity(self.values.len());
        for value in &self.values {
            let at = |id: super::ValueId| v[id.index()];
            let r = value.range;
            let result = match value.op {
                Op::Input(n) => inputs[n as usize].into(),
                Op::State(n) => states[n as usize].into(),
                Op::Param(n) => self.params[n as usize].values[element].into(),
                Op::Word(n, word) => self.stores[n as usize].words[word as usize].into(),
                Op::Const => r.lo,
                Op::Add(a, b) => at(a) + at(b),
                Op::Sub(a, b) => at(a) - at(b),
                Op::AddCarry(a, b, c) => at(a) + at(b) + at(c),
                Op::Complement(a) => -1 - at(a),
                Op::Mul(a, b) => at(a) * at(b),
                Op::Shl(a, n) => at(a) << n,
                Op::Shr(a, n, rounding) => rounding.shift(at(a), n.into()),
                Op::Compare(Cmp::Gt, a, b) => (at(a) > at(b)).into(),
                Op::Compare(Cmp::Ge, a, b) => (at(a) >= at(b)).into(),
                Op::Compare(Cmp::Eq, a, b) => (at(a) == at(b)).into(),
                Op::Bit(BitOp::And, a, b) => at(a) & at(b),
                Op::Bit(BitOp::Or, a, b) => at(a) | at(b),
                Op::Bit(BitOp::Xor, a, b) => at(a) ^ at(b),
                Op::Not(a) => 1 - at(a),
                Op::Select(c, a, b) => {
                    if at(c) == 1 {
                        at(a)
                    } else {
                        at(b)
                    }
                }
                Op::Clamp(a) => at(a).clamp(r.lo, r.hi),
                Op::Wrap(a) => r.lo + (at(a) - r.lo).rem_euclid(r.hi - r.lo + 1),
                Op::Table(a, n) => {
                    let table = &self.tables[n as usize];
                    table.entries[(at(a) - i128::from(table.lo)) as usize].into()
                }
            };
            assert!((r.lo..=r.hi).contains(&result), "{:?} gave {result}, outside {r:?}", value.op);
            v.push(result);
        }
        let read = |id: super::ValueId| v[id.index()] as i64;
        Step {
            outputs: self.outputs.iter().map(|(_, id)| read(*id)).collect(),
            next: self.states.iter().map(|s| read(s.next)).collect(),
        }
    }
}
