//! Passes on kernels. Each keeps the meaning ([`Kernel::eval`]) exactly.

use super::{Kernel, Op, ValueId};

impl Kernel {
    /// Reads through values that only repeat another, shift one that was shifted already, or clamp one that nothing else
    /// reads and that was clamped already, and removes what is left unread.
    ///
    /// Afterwards an operation may combine values whose fractions differ: only the integers count. The last pass before
    /// emission, therefore.
    pub fn simplify(&mut self) {
        let reads = self.reads();
        for i in 0..self.values.len() {
            let read = |id: ValueId| match self.value(id).op {
                Op::Shl(a, 0) if self.value(a).range == self.value(id).range => a,
                _ => id,
            };
            let op = self.values[i].op.map(read);
            let op = match op {
                Op::Shl(a, n) => match self.value(a).op {
                    Op::Shl(b, m) if u32::from(n) + u32::from(m) < 64 => Op::Shl(b, n + m),
                    _ => op,
                },
                Op::Clamp(a) if self.value(a).range == self.values[i].range => Op::Shl(a, 0),
                // The outer range is what the inner limits become.
                Op::Clamp(a) => match self.value(a).op {
                    Op::Clamp(b) if reads[a.index()] == 1 => Op::Clamp(b),
                    _ => op,
                },
                _ => op,
            };
            self.values[i].op = op;
        }
        self.remove_dead();
    }

    /// How many operations, outputs and next states read each value.
    pub fn reads(&self) -> Vec<u32> {
        let mut reads = vec![0; self.values.len()];
        let operands = self.values.iter().flat_map(|v| v.op.operands());
        let ends = self.outputs.iter().map(|(_, id)| *id).chain(self.states.iter().map(|s| s.next));
        operands.chain(ends).for_each(|id| reads[id.index()] += 1);
        reads
    }

    /// Where `a + b` is no more than bits side by side: what the upper ones are, times which power of two, and the lower.
    pub fn side_by_side(&self, a: ValueId, b: ValueId) -> Option<(ValueId, u8, ValueId)> {
        [(a, b), (b, a)].into_iter().find_map(|(x, low)| match self.value(x).op {
            Op::Shl(high, n) => {
                let r = self.value(low).range;
                (n > 0 && r.lo >= 0 && r.bits() <= n.into()).then_some((high, n, low))
            }
            _ => None,
        })
    }

    /// Removes values that no output or state needs, and inputs' and names' references to them.
    pub fn remove_dead(&mut self) {
        let mut live = vec![false; self.values.len()];
        let roots = self.outputs.iter().map(|(_, id)| *id).chain(self.states.iter().map(|s| s.next));
        roots.for_each(|id| live[id.index()] = true);
        for i in (0..self.values.len()).rev() {
            // Ports stay even when unread: they are part of the interface.
            let op = self.values[i].op;
            live[i] |= matches!(op, Op::Input(_) | Op::State(_) | Op::Param(_) | Op::Word(..));
            if live[i] {
                self.values[i].op.operands().for_each(|o| live[o.index()] = true);
            }
        }
        let mut new_id = vec![ValueId(u32::MAX); self.values.len()];
        let mut kept = Vec::new();
        for (i, value) in self.values.iter().enumerate().filter(|(i, _)| live[*i]) {
            new_id[i] = ValueId(kept.len() as u32);
            let mut value = *value;
            value.op = value.op.map(|id| new_id[id.index()]);
            kept.push(value);
        }
        self.values = kept;
        self.names.retain(|(id, _)| live[id.index()]);
        self.names.iter_mut().for_each(|(id, _)| *id = new_id[id.index()]);
        self.outputs.iter_mut().for_each(|(_, id)| *id = new_id[id.index()]);
        self.states.iter_mut().for_each(|s| s.next = new_id[s.next.index()]);
    }
}
