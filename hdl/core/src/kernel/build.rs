//! Writing a kernel: expressions with operators, widths inferred.

use std::cell::RefCell;
use std::collections::HashMap;

use super::{Cmp, Expr, Kernel, Op, Param, Port, Range, State, Store, Table, Value, ValueId};
use crate::num::QType;

/// Collects a kernel. Equal operations are shared as they are written (common sub-expressions), constants fold.
#[derive(Debug, Default)]
pub struct Builder {
    pub(super) graph: RefCell<Graph>,
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) kernel: Kernel,
    seen: HashMap<Value, ValueId>,
    tables: HashMap<Table, u16>,
}

impl Builder {
    /// An empty kernel.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn push(&self, op: Op, range: Range, frac: i8) -> Expr<'_> {
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

    /// A new store; its words, in order.
    pub fn store(&self, store: Store) -> Vec<Expr<'_>> {
        let (count, format) = (store.words.len() as u32, store.format);
        let n = {
            let list = &mut self.graph.borrow_mut().kernel.stores;
            list.push(store);
            list.len() as u16 - 1
        };
        (0..count).map(|word| self.push(Op::Word(n, word), Range::of(format), format.frac)).collect()
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
            let graph = &mut *self.graph.borrow_mut();
            let table = Table { lo: v.range.lo as i64, entries };
            let list = &mut graph.kernel.tables;
            *graph.tables.entry(table).or_insert_with_key(|table| {
                list.push(table.clone());
                list.len() as u16 - 1
            })
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

    pub(super) fn value(&self, id: ValueId) -> Value {
        self.graph.borrow().kernel.values[id.index()]
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
