//! Kernels made of kernels: one written into another, and adders shared between branches.

use super::{Builder, Expr, Kernel, Op, Range, ValueId};
use crate::num::{Overflow, QType};

impl Builder {
    /// Writes `kernel` into this one, with `given` in place of the values named there; widths are inferred anew.
    ///
    /// Returns the expressions of its outputs and of its next states. Every input, state, parameter and word that the result
    /// depends on must be given, or lie behind a given value.
    pub fn inline<'k>(
        &'k self,
        kernel: &Kernel,
        given: &[(ValueId, Expr<'k>)],
    ) -> (Vec<Expr<'k>>, Vec<Expr<'k>>) {
        self.written(kernel, given, &kernel.given_names())
    }

    /// The same without the names that the author of `kernel` gave to values.
    pub fn inline_unnamed<'k>(
        &'k self,
        kernel: &Kernel,
        given: &[(ValueId, Expr<'k>)],
    ) -> (Vec<Expr<'k>>, Vec<Expr<'k>>) {
        self.written(kernel, given, &[])
    }

    fn written<'k>(
        &'k self,
        kernel: &Kernel,
        given: &[(ValueId, Expr<'k>)],
        names: &[Option<&str>],
    ) -> (Vec<Expr<'k>>, Vec<Expr<'k>>) {
        let mut done: Vec<Option<Expr<'k>>> = vec![None; kernel.values.len()];
        given.iter().rev().for_each(|(at, e)| done[at.index()] = Some(*e));
        // What was promised of a value holds here where nothing comes in that could not come in there.
        let within = |r: Range, of: Range| r.lo >= of.lo && r.hi <= of.hi;
        let promised = given.iter().all(|(at, e)| within(e.range(), kernel.value(*at).range));
        for (i, value) in kernel.values.iter().enumerate() {
            if done[i].is_some() {
                continue;
            }
            if value.op.operands().any(|o| done[o.index()].is_none()) {
                continue;
            }
            let at = |id: ValueId| done[id.index()].expect("operands are done");
            let (lo, hi) = (value.range.lo as i64, value.range.hi as i64);
            done[i] = match value.op {
                Op::Input(_) | Op::State(_) | Op::Param(_) | Op::Word(..) => None,
                Op::Const => Some(self.constant(lo, value.frac)),
                Op::Add(a, b) => Some(at(a) + at(b)),
                Op::AddCarry(a, b, c) => Some(self.add_carry(at(a), at(b), at(c))),
                Op::Sub(a, b) => Some(at(a) - at(b)),
                Op::Complement(a) => Some(at(a).complement()),
                Op::Mul(a, b) => Some(at(a) * at(b)),
                Op::Shl(a, n) => Some(at(a).shl(n.into()).read_as(value.frac)),
                Op::Shr(a, n, rounding) => Some(at(a).shr(n.into(), rounding)),
                Op::Compare(cmp, a, b) => Some(at(a).compare(cmp, at(b))),
                Op::Bit(op, a, b) => Some(at(a).bit(op, at(b))),
                Op::Not(a) => Some(!at(a)),
                Op::Select(c, a, b) => Some(self.select(at(c), at(a), at(b))),
                Op::Clamp(a) => Some(at(a).clamp(lo, hi)),
                Op::Wrap(a) => {
                    // Not `holding`: a signed field of one bit stays one.
                    let (bits, signed) = (value.range.bits() as u8, value.range.signed());
                    Some(at(a).fit(QType { bits, frac: value.frac, signed }, Overflow::Wrap))
                }
                Op::Table(a, n) => {
                    let table = &kernel.tables[n as usize];
                    let r = at(a).range();
                    let from = (r.lo as i64 - table.lo) as usize;
                    let count = (r.hi - r.lo + 1) as usize;
                    Some(self.table(at(a), value.frac, table.entries[from..from + count].to_vec()))
                }
            };
            if let Some(e) = done[i].filter(|e| promised && !within(e.range(), value.range)) {
                done[i] = Some(self.assume(e, value.range));
            }
            if let (Some(e), Some(Some(name))) = (done[i], names.get(i)) {
                let _ = e.named(name);
            }
        }
        let read = |id: ValueId| done[id.index()].expect("every input that counts is given");
        let outputs = kernel.outputs.iter().map(|(_, id)| read(*id)).collect();
        (outputs, kernel.states.iter().map(|s| read(s.next)).collect())
    }

    /// `a + b + carry`, one adder; `carry` has one bit.
    pub fn add_carry<'k>(&'k self, a: Expr<'k>, b: Expr<'k>, carry: Expr<'k>) -> Expr<'k> {
        let (a, b) = a.align(b);
        let (ra, rb, rc) = (a.range(), b.range(), carry.range());
        let range = Range { lo: ra.lo + rb.lo + rc.lo, hi: ra.hi + rb.hi + rc.hi };
        self.push(Op::AddCarry(a.id, b.id, carry.id), range, a.frac())
    }

    /// `if c { a } else { x + y }` with one adder where `a` has the shape `r - r / 2^n` or has no adder at its end.
    ///
    /// With `zero` (one bit, only ever set together with `c`) the result is 0; `a` is 0 where `r` is.
    pub fn select_or_add<'k>(
        &'k self,
        (c, zero): (Expr<'k>, Expr<'k>),
        a: Expr<'k>,
        (x, y): (Expr<'k>, Expr<'k>),
    ) -> Expr<'k> {
        let value = self.value(a.id);
        let nothing = self.constant(0, value.frac);
        let kept = match value.op {
            Op::Sub(r, part) => match self.value(part).op {
                Op::Shr(of, n, rounding) if of == r => Some((Expr { builder: self, id: r }, n, rounding)),
                _ => None,
            },
            _ => None,
        };
        let chosen = self.select(c, kept.map_or(a, |(r, ..)| r), x);
        let first = self.select(zero, nothing, chosen);
        let range = value.range.union(x.range()).union((x + y).range()).union(Range { lo: 0, hi: 0 });
        let sum = match kept {
            // Where `c` is set, `first` is `r`, so that one shifter serves both branches.
            Some((_, n, rounding)) => {
                let part = first.shr(n.into(), rounding).complement();
                self.add_carry(first, self.select(c, part, y), c)
            }
            None => first + self.select(c, nothing, y),
        };
        self.assume(sum, range)
    }

    /// The same value, which the author knows to lie in `lo..=hi` for a reason that the graph does not show.
    pub fn promise<'k>(&'k self, e: Expr<'k>, lo: i128, hi: i128) -> Expr<'k> {
        self.assume(e, Range { lo, hi })
    }

    fn assume<'k>(&'k self, e: Expr<'k>, range: Range) -> Expr<'k> {
        let v = self.value(e.id);
        let range = Range { lo: range.lo.max(v.range.lo), hi: range.hi.min(v.range.hi) };
        self.push(v.op, range, v.frac)
    }
}
