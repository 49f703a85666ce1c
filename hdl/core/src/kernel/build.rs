//! Writing a kernel: expressions with operators, widths inferred.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops;

use super::{BitOp, Cmp, Kernel, Op, Param, Port, Range, State, Table, Value, ValueId};
use crate::num::{Overflow, QType, Rounding};

/// Collects a kernel. Equal operations are shared as they are written (common sub-expressions), constants fold.
#[derive(Debug, Default)]
pub struct Builder {
    graph: RefCell<Graph>,
}

#[derive(Debug, Default)]
struct Graph {
    kernel: Kernel,
    seen: HashMap<Value, ValueId>,
}

/// A value under construction; copy it freely.
#[derive(Debug, Clone, Copy)]
pub struct Expr<'k> {
    builder: &'k Builder,
    id: ValueId,
}

impl Builder {
    /// An empty kernel.
    pub fn new() -> Self {
        Self::default()
    }

    fn push(&self, op: Op, range: Range, frac: i8) -> Expr<'_> {
        let op = if range.lo == range.hi { Op::Const } else { op };
        let value = Value { op, range, frac };
        let mut graph = self.graph.borrow_mut();
        let graph = &mut *graph;
        let id = *graph.seen.entry(value).or_insert_with(|| {
            graph.kernel.values.push(value);
            ValueId(graph.kernel.values.len() as u32 - 1)
        });
        Expr { builder: self, id }
    }

    /// A new element input.
    pub fn input(&self, name: &str, format: QType) -> Expr<'_> {
        let n = {
            let list = &mut self.graph.borrow_mut().kernel.inputs;
            list.push(Port { name: name.into(), format });
            list.len() as u16 - 1
        };
        self.push(Op::Input(n), Range::of(format), format.frac)
    }

    /// A new state, `reset` at the start of every sample; give it its next value with [`Builder::set`].
    pub fn state(&self, name: &str, format: QType, reset: i64) -> Expr<'_> {
        let n = {
            let list = &mut self.graph.borrow_mut().kernel.states;
            list.push(State { port: Port { name: name.into(), format }, reset, next: ValueId(0) });
            list.len() as u16 - 1
        };
        let expr = self.push(Op::State(n), Range::of(format), format.frac);
        self.graph.borrow_mut().kernel.states[n as usize].next = expr.id;
        expr
    }

    /// A constant that differs from element to element; all equal values become one plain constant.
    pub fn param(&self, name: &str, frac: i8, values: Vec<i64>) -> Expr<'_> {
        let lo = *values.iter().min().expect("a parameter has at least one element") as i128;
        let hi = *values.iter().max().expect("a parameter has at least one element") as i128;
        if lo == hi {
            return self.constant(lo as i64, frac);
        }
        let format = QType::holding(lo, hi, frac);
        let n = {
            let list = &mut self.graph.borrow_mut().kernel.params;
            list.push(Param { port: Port { name: name.into(), format }, values });
            list.len() as u16 - 1
        };
        self.push(Op::Param(n), Range { lo, hi }, frac)
    }

    /// The constant `v * 2^-frac`.
    pub fn constant(&self, v: i64, frac: i8) -> Expr<'_> {
        self.push(Op::Const, Range { lo: v.into(), hi: v.into() }, frac)
    }

    /// Sets the next value of state `state` (an expression that [`Builder::state`] returned).
    pub fn set(&self, state: Expr<'_>, next: Expr<'_>) {
        let op = self.value(state.id).op;
        let Op::State(n) = op else { panic!("`set` takes a state, not {op:?}") };
        self.graph.borrow_mut().kernel.states[n as usize].next = next.id;
    }

    /// Names an output of exactly the width that the value needs.
    pub fn output(&self, name: &str, value: Expr<'_>) {
        let v = self.value(value.id);
        self.output_as(name, QType::holding(v.range.lo, v.range.hi, v.frac), value);
    }

    /// Names an output in a given format, which must hold the value.
    pub fn output_as(&self, name: &str, format: QType, value: Expr<'_>) {
        self.graph.borrow_mut().kernel.outputs.push((Port { name: name.into(), format }, value.id));
    }

    /// `if c { a } else { b }`. A comparison `c` of one branch with a constant narrows that branch.
    pub fn select<'k>(&'k self, c: Expr<'k>, a: Expr<'k>, b: Expr<'k>) -> Expr<'k> {
        let (a, b) = a.align(b);
        let condition = self.value(c.id);
        if condition.op == Op::Const {
            return if condition.range.lo == 1 { a } else { b };
        }
        let narrowed = |e: Expr<'k>, holds: bool| narrow(self, condition.op, e, holds);
        let range = match (narrowed(a, true), narrowed(b, false)) {
            (Some(x), Some(y)) => x.union(y),
            (Some(x), None) | (None, Some(x)) => x,
            (None, None) => unreachable!("a condition or its opposite holds"),
        };
        if a.id == b.id {
            return a;
        }
        self.push(Op::Select(c.id, a.id, b.id), range, self.value(a.id).frac)
    }

    /// Sum, smallest or largest of many values as a balanced tree. `combine` takes two expressions.
    pub fn reduce<'k>(
        &'k self,
        mut list: Vec<Expr<'k>>,
        combine: impl Fn(Expr<'k>, Expr<'k>) -> Expr<'k>,
    ) -> Expr<'k> {
        assert!(!list.is_empty(), "nothing to reduce");
        while list.len() > 1 {
            list = list.chunks(2).map(|p| if let [a, b] = p { combine(*a, *b) } else { p[0] }).collect();
        }
        list[0]
    }

    /// How many of the one-bit values are set.
    pub fn popcount<'k>(&'k self, bits: &[Expr<'k>]) -> Expr<'k> {
        self.reduce(bits.to_vec(), |a, b| a + b)
    }

    /// `entries[x - lo]`, with `lo` the smallest value of `x`; `entries` covers the whole range of `x`.
    pub fn table<'k>(&'k self, x: Expr<'k>, frac: i8, entries: Vec<i64>) -> Expr<'k> {
        let v = self.value(x.id);
        assert_eq!(entries.len() as i128, v.range.hi - v.range.lo + 1, "a table covers its argument's range");
        let range = Range {
            lo: (*entries.iter().min().expect("not empty")).into(),
            hi: (*entries.iter().max().expect("not empty")).into(),
        };
        let n = {
            let list = &mut self.graph.borrow_mut().kernel.tables;
            list.push(Table { lo: v.range.lo as i64, entries });
            list.len() as u16 - 1
        };
        self.push(Op::Table(x.id, n), range, frac)
    }

    /// The finished kernel: values that nothing uses are gone, and it is valid.
    pub fn finish(self) -> Kernel {
        let mut kernel = self.graph.into_inner().kernel;
        kernel.remove_dead();
        kernel.validate();
        kernel
    }

    fn value(&self, id: ValueId) -> Value {
        self.graph.borrow().kernel.values[id.index()]
    }

    /// Writes `kernel` into this one, with `given` in place of the values named there; widths are inferred anew.
    ///
    /// Returns the expressions of its outputs and of its next states. Every input and state that the result depends
    /// on must be given (or lie behind a given value), and the kernel has no parameters per element.
    pub fn inline<'k>(
        &'k self,
        kernel: &Kernel,
        given: &[(ValueId, Expr<'k>)],
    ) -> (Vec<Expr<'k>>, Vec<Expr<'k>>) {
        let mut done: Vec<Option<Expr<'k>>> = vec![None; kernel.values.len()];
        for (i, value) in kernel.values.iter().enumerate() {
            let id = ValueId(i as u32);
            if let Some((_, e)) = given.iter().find(|(at, _)| *at == id) {
                done[i] = Some(*e);
                continue;
            }
            if value.op.operands().any(|o| done[o.index()].is_none()) {
                continue;
            }
            let at = |id: ValueId| done[id.index()].expect("operands are done");
            let (lo, hi) = (value.range.lo as i64, value.range.hi as i64);
            done[i] = match value.op {
                Op::Input(_) | Op::State(_) => None,
                Op::Param(_) => panic!("a kernel with parameters per element cannot be inlined"),
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
                    Some(at(a).fit(QType::holding(lo.into(), hi.into(), value.frac), Overflow::Wrap))
                }
                Op::Table(a, n) => {
                    let table = &kernel.tables[n as usize];
                    let r = at(a).range();
                    let from = (r.lo as i64 - table.lo) as usize;
                    let count = (r.hi - r.lo + 1) as usize;
                    Some(self.table(at(a), value.frac, table.entries[from..from + count].to_vec()))
                }
            };
            if let (Some(e), Some((_, name))) = (done[i], kernel.names.iter().find(|(n, _)| *n == id)) {
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

/// Range of `e` where condition `c` is `holds`; nothing when it never is.
fn narrow(builder: &Builder, c: Op, e: Expr<'_>, holds: bool) -> Option<Range> {
    let mut r = e.range();
    if let Op::Compare(cmp, x, y) = c {
        let (rx, ry) = (builder.value(x).range, builder.value(y).range);
        let gap = i128::from(cmp == Cmp::Gt);
        match (cmp, holds) {
            (Cmp::Gt | Cmp::Ge, true) if x == e.id => r.lo = r.lo.max(ry.lo + gap),
            (Cmp::Gt | Cmp::Ge, true) if y == e.id => r.hi = r.hi.min(rx.hi - gap),
            (Cmp::Gt | Cmp::Ge, false) if x == e.id => r.hi = r.hi.min(ry.hi - 1 + gap),
            (Cmp::Gt | Cmp::Ge, false) if y == e.id => r.lo = r.lo.max(rx.lo + 1 - gap),
            _ => {}
        }
    }
    (r.lo <= r.hi).then_some(r)
}

impl<'k> Expr<'k> {
    /// The interval of integers this value can take.
    pub fn range(self) -> Range {
        self.builder.value(self.id).range
    }

    /// Bits after the binary point.
    pub fn frac(self) -> i8 {
        self.builder.value(self.id).frac
    }

    /// The same value with a name for the emitted Verilog.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.builder.graph.borrow_mut().kernel.names.push((self.id, name.into()));
        self
    }

    /// Both with the larger of the two fractions (exact).
    fn align(self, other: Self) -> (Self, Self) {
        let frac = self.frac().max(other.frac());
        (self.with_frac(frac), other.with_frac(frac))
    }

    fn with_frac(self, frac: i8) -> Self {
        let by = frac - self.frac();
        assert!(by >= 0, "only exact changes of fraction");
        if by == 0 {
            return self;
        }
        let (r, k) = (self.range(), by as u32);
        self.builder.push(Op::Shl(self.id, by as u8), Range { lo: r.lo << k, hi: r.hi << k }, frac)
    }

    /// The integer times `2^n`, at the same fraction.
    #[must_use]
    pub fn shl(self, n: u32) -> Self {
        let r = self.range();
        if n == 0 {
            return self;
        }
        self.builder.push(Op::Shl(self.id, n as u8), Range { lo: r.lo << n, hi: r.hi << n }, self.frac())
    }

    /// The integer divided by `2^n`, rounded, at the same fraction.
    #[must_use]
    pub fn shr(self, n: u32, rounding: Rounding) -> Self {
        if n == 0 {
            return self;
        }
        let r = self.range();
        let range = Range { lo: rounding.shift(r.lo, n), hi: rounding.shift(r.hi, n) };
        self.builder.push(Op::Shr(self.id, n as u8, rounding), range, self.frac())
    }

    /// `-1 - self`: every bit inverted.
    #[must_use]
    pub fn complement(self) -> Self {
        let r = self.range();
        self.builder.push(Op::Complement(self.id), Range { lo: -1 - r.hi, hi: -1 - r.lo }, self.frac())
    }

    /// The same integer read with another fraction (multiplies the value by a power of two; costs nothing).
    #[must_use]
    pub fn read_as(self, frac: i8) -> Self {
        if frac == self.frac() {
            return self;
        }
        self.builder.push(Op::Shl(self.id, 0), self.range(), frac)
    }

    fn compare(self, cmp: Cmp, other: Self) -> Self {
        let (a, b) = self.align(other);
        let (ra, rb) = (a.range(), b.range());
        let (always, never) = match cmp {
            Cmp::Gt => (ra.lo > rb.hi, ra.hi <= rb.lo),
            Cmp::Ge => (ra.lo >= rb.hi, ra.hi < rb.lo),
            Cmp::Eq => (ra == rb && ra.lo == ra.hi, ra.lo > rb.hi || rb.lo > ra.hi),
        };
        let range = Range { lo: i128::from(always), hi: i128::from(!never) };
        self.builder.push(Op::Compare(cmp, a.id, b.id), range, 0)
    }

    /// `self > other`, one bit.
    #[must_use]
    pub fn gt(self, other: Self) -> Self {
        self.compare(Cmp::Gt, other)
    }

    /// `self >= other`, one bit.
    #[must_use]
    pub fn ge(self, other: Self) -> Self {
        self.compare(Cmp::Ge, other)
    }

    /// `self == other`, one bit.
    #[must_use]
    pub fn equals(self, other: Self) -> Self {
        self.compare(Cmp::Eq, other)
    }

    /// The larger of the two.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.builder.select(self.ge(other), self, other)
    }

    /// The smaller of the two.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        self.builder.select(self.ge(other), other, self)
    }

    /// Clamped to `lo..=hi`.
    #[must_use]
    pub fn clamp(self, lo: i64, hi: i64) -> Self {
        let r = self.range();
        let range = Range { lo: r.lo.clamp(lo.into(), hi.into()), hi: r.hi.clamp(lo.into(), hi.into()) };
        if range == r {
            return self;
        }
        self.builder.push(Op::Clamp(self.id), range, self.frac())
    }

    /// Brought into `format`, whose fraction must equal this value's.
    #[must_use]
    pub fn fit(self, format: QType, overflow: Overflow) -> Self {
        assert_eq!(format.frac, self.frac(), "round before you fit");
        let (r, q) = (self.range(), Range::of(format));
        match overflow {
            Overflow::Saturate => self.clamp(format.min(), format.max()),
            Overflow::Wrap if r.lo >= q.lo && r.hi <= q.hi => self,
            Overflow::Wrap => self.builder.push(Op::Wrap(self.id), q, self.frac()),
        }
    }

    fn bit(self, op: BitOp, other: Self) -> Self {
        let one = Range { lo: 0, hi: 1 };
        for (a, b) in [(self, other), (other, self)] {
            if a.range().lo == a.range().hi {
                return match (op, a.range().lo) {
                    (BitOp::And, 1) | (BitOp::Or | BitOp::Xor, 0) => b,
                    (BitOp::And, _) | (BitOp::Or, _) => a,
                    (BitOp::Xor, _) => !b,
                };
            }
        }
        assert!(self.range() == one && other.range() == one, "bit operations take one-bit values");
        self.builder.push(Op::Bit(op, self.id, other.id), one, 0)
    }
}

impl ops::Add for Expr<'_> {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (a, b) = self.align(other);
        let (ra, rb) = (a.range(), b.range());
        let zero = Range { lo: 0, hi: 0 };
        if ra == zero || rb == zero {
            return if ra == zero { b } else { a };
        }
        self.builder.push(Op::Add(a.id, b.id), Range { lo: ra.lo + rb.lo, hi: ra.hi + rb.hi }, a.frac())
    }
}

impl ops::Sub for Expr<'_> {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let (a, b) = self.align(other);
        let (ra, rb) = (a.range(), b.range());
        if rb == (Range { lo: 0, hi: 0 }) {
            return a;
        }
        self.builder.push(Op::Sub(a.id, b.id), Range { lo: ra.lo - rb.hi, hi: ra.hi - rb.lo }, a.frac())
    }
}

impl ops::Mul for Expr<'_> {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let (ra, rb) = (self.range(), other.range());
        let frac = self.frac() + other.frac();
        for (r, e) in [(ra, other), (rb, self)] {
            if r.lo == r.hi && r.lo > 0 && (r.lo as u128).is_power_of_two() {
                return e.shl(r.lo.trailing_zeros()).read_as(frac);
            }
        }
        let corners = [ra.lo * rb.lo, ra.lo * rb.hi, ra.hi * rb.lo, ra.hi * rb.hi];
        let lo = corners.into_iter().min().expect("four corners");
        let hi = corners.into_iter().max().expect("four corners");
        self.builder.push(Op::Mul(self.id, other.id), Range { lo, hi }, frac)
    }
}

impl ops::Not for Expr<'_> {
    type Output = Self;

    fn not(self) -> Self {
        let r = self.range();
        self.builder.push(Op::Not(self.id), Range { lo: 1 - r.hi, hi: 1 - r.lo }, 0)
    }
}

impl ops::BitAnd for Expr<'_> {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        self.bit(BitOp::And, other)
    }
}

impl ops::BitOr for Expr<'_> {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.bit(BitOp::Or, other)
    }
}

impl ops::BitXor for Expr<'_> {
    type Output = Self;

    fn bitxor(self, other: Self) -> Self {
        self.bit(BitOp::Xor, other)
    }
}
