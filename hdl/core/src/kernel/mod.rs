//! Kernels: what a block does to one element in one step, as a dataflow graph of exact fixed-point values.
//!
//! A kernel is written once, with [`Builder`], and consumed three times: [`Kernel::eval`] interprets it,
//! [`emit`] prints it as Verilog, [`Kernel::area`] and [`Kernel::stages`] cost and pipeline it.
//! Every value carries the interval of integers it can take; widths follow from intervals, so nothing is ever cut
//! short silently: an addition grows, a comparison narrows the branches of the selection that it controls.
//!
//! Deliberately absent: loops and memories. An engine (a template) feeds kernels.

mod build;
mod compose;
mod cost;
pub mod emit;
mod emit_carry;
mod emit_round;
mod eval;
mod expr;
mod optimise;
mod pipeline;
mod retime;

pub use build::Builder;
pub use expr::Expr;
pub use pipeline::Stages;

use crate::block::{Memory, hex};
use crate::num::{QType, Rounding, bits_for};

/// Index of a value in [`Kernel::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

impl ValueId {
    /// As an index into [`Kernel::values`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A closed interval of integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    /// Smallest value.
    pub lo: i128,
    /// Largest value.
    pub hi: i128,
}

impl Range {
    /// The interval of `format`.
    pub const fn of(format: QType) -> Self {
        Self { lo: format.min() as i128, hi: format.max() as i128 }
    }

    /// Bits of the shortest field that holds it.
    pub fn bits(self) -> u32 {
        bits_for(self.lo, self.hi)
    }

    /// Whether the field needs a sign.
    pub const fn signed(self) -> bool {
        self.lo < 0
    }

    /// The smallest interval that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cmp {
    /// Greater than.
    Gt,
    /// Greater than or equal.
    Ge,
    /// Equal.
    Eq,
}

/// Two-input bit operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BitOp {
    /// Both.
    And,
    /// Either.
    Or,
    /// Exactly one.
    Xor,
}

/// One operation. Operands come earlier in [`Kernel::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Port number n of [`Kernel::inputs`].
    Input(u16),
    /// What state number n held before this step.
    State(u16),
    /// This element's constant in parameter number n.
    Param(u16),
    /// A word of a store: number of the store, number of the word. It is there in every stage.
    Word(u16, u32),
    /// The value of the range, which has `lo == hi`.
    Const,
    /// `a + b`.
    Add(ValueId, ValueId),
    /// `a - b`.
    Sub(ValueId, ValueId),
    /// `a + b + c`, `c` one bit.
    AddCarry(ValueId, ValueId, ValueId),
    /// `-1 - a`.
    Complement(ValueId),
    /// `a * b`.
    Mul(ValueId, ValueId),
    /// `a * 2^n`.
    Shl(ValueId, u8),
    /// `a / 2^n`, rounded.
    Shr(ValueId, u8, Rounding),
    /// One bit.
    Compare(Cmp, ValueId, ValueId),
    /// Of one-bit values.
    Bit(BitOp, ValueId, ValueId),
    /// Of a one-bit value.
    Not(ValueId),
    /// The second where the first (one bit) is set, else the third.
    Select(ValueId, ValueId, ValueId),
    /// Clamped to the value's range.
    Clamp(ValueId),
    /// The low bits, read as the value's range (a power of two wide).
    Wrap(ValueId),
    /// Entry `a - table.lo` of table number n.
    Table(ValueId, u16),
}

impl Op {
    /// The operands, in order.
    pub fn operands(self) -> impl Iterator<Item = ValueId> {
        let list = match self {
            Self::Input(_) | Self::State(_) | Self::Param(_) | Self::Word(..) | Self::Const => [None; 3],
            Self::Shl(a, _)
            | Self::Shr(a, _, _)
            | Self::Not(a)
            | Self::Complement(a)
            | Self::Clamp(a)
            | Self::Wrap(a)
            | Self::Table(a, _) => [Some(a), None, None],
            Self::Add(a, b)
            | Self::Sub(a, b)
            | Self::Mul(a, b)
            | Self::Compare(_, a, b)
            | Self::Bit(_, a, b) => [Some(a), Some(b), None],
            Self::Select(c, a, b) | Self::AddCarry(c, a, b) => [Some(c), Some(a), Some(b)],
        };
        list.into_iter().flatten()
    }

    /// The same operation of other operands.
    #[must_use]
    pub fn map(self, f: impl Fn(ValueId) -> ValueId) -> Self {
        match self {
            Self::Input(_) | Self::State(_) | Self::Param(_) | Self::Word(..) | Self::Const => self,
            Self::Add(a, b) => Self::Add(f(a), f(b)),
            Self::Sub(a, b) => Self::Sub(f(a), f(b)),
            Self::AddCarry(a, b, c) => Self::AddCarry(f(a), f(b), f(c)),
            Self::Complement(a) => Self::Complement(f(a)),
            Self::Mul(a, b) => Self::Mul(f(a), f(b)),
            Self::Shl(a, k) => Self::Shl(f(a), k),
            Self::Shr(a, k, r) => Self::Shr(f(a), k, r),
            Self::Compare(c, a, b) => Self::Compare(c, f(a), f(b)),
            Self::Bit(o, a, b) => Self::Bit(o, f(a), f(b)),
            Self::Not(a) => Self::Not(f(a)),
            Self::Select(c, a, b) => Self::Select(f(c), f(a), f(b)),
            Self::Clamp(a) => Self::Clamp(f(a)),
            Self::Wrap(a) => Self::Wrap(f(a)),
            Self::Table(a, t) => Self::Table(f(a), t),
        }
    }
}

/// One value of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Value {
    /// What makes it.
    pub op: Op,
    /// Every integer it can be.
    pub range: Range,
    /// Bits after the binary point.
    pub frac: i8,
}

/// A typed port of a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name, unique in its list.
    pub name: String,
    /// Format; for an input its whole range is possible.
    pub format: QType,
}

/// A state: a register or, for many elements, a memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Name and format.
    pub port: Port,
    /// Value at the start of a sample.
    pub reset: i64,
    /// What it becomes.
    pub next: ValueId,
}

/// A constant that differs from element to element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Name and format.
    pub port: Port,
    /// One entry per element.
    pub values: Vec<i64>,
}

/// Words that the register bus of a design writes, between two samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// Name, unique in its list.
    pub name: String,
    /// Format of a word, at most 32 bits; its whole range is possible.
    pub format: QType,
    /// The words after reset.
    pub words: Vec<i64>,
    /// What they are and in which order they lie, in one line for the register map.
    pub holds: String,
}

impl Store {
    /// Words in 32 bits of the register bus.
    pub const fn packed(&self) -> usize {
        32 / self.format.bits as usize
    }

    /// As the register bus sees it: as many words as fit in 32 bits, the first lowest.
    pub fn memory(&self) -> Memory {
        let bits = self.format.bits.into();
        let rows = self.words.chunks(self.packed()).map(|row| {
            let mut row = row.to_vec();
            row.resize(self.packed(), 0);
            hex(&row, bits)
        });
        let holds = format!("{}, {} of {bits} bits in each, the first lowest.", self.holds, self.packed());
        Memory {
            name: self.name.clone(),
            width: self.packed() * bits,
            words: rows.collect(),
            run_time: Some(holds),
            buffered: true,
        }
    }
}

/// A lookup table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Table {
    /// Argument of the first entry.
    pub lo: i64,
    /// Consecutive entries.
    pub entries: Vec<i64>,
}

/// A finished graph, in topological order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kernel {
    /// The values; operands come before their uses.
    pub values: Vec<Value>,
    /// Names that the author gave to values, for people who read the Verilog.
    pub names: Vec<(ValueId, String)>,
    /// Element inputs.
    pub inputs: Vec<Port>,
    /// States.
    pub states: Vec<State>,
    /// Constants per element.
    pub params: Vec<Param>,
    /// Stores.
    pub stores: Vec<Store>,
    /// Tables.
    pub tables: Vec<Table>,
    /// Outputs: port and value.
    pub outputs: Vec<(Port, ValueId)>,
}

impl Kernel {
    /// Per value the first name that its author gave it.
    pub(crate) fn given_names(&self) -> Vec<Option<&str>> {
        let mut names = vec![None; self.values.len()];
        self.names.iter().rev().for_each(|(id, name)| names[id.index()] = Some(name.as_str()));
        names
    }

    /// Whether the value is the same in every stage: no register carries it.
    pub(crate) fn steady(&self, id: ValueId) -> bool {
        matches!(self.value(id).op, Op::Const | Op::Word(..))
    }

    /// The value `id`.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// Checks what every other method relies on: operands precede uses, outputs and next states fit their formats.
    ///
    /// Panics when broken: a kernel comes from our own builder, never from a user.
    pub fn validate(&self) {
        for (i, v) in self.values.iter().enumerate() {
            assert!(v.range.lo <= v.range.hi, "empty range at value {i}");
            assert!(v.op.operands().all(|o| o.index() < i), "operand after use at value {i}");
        }
        let fits = |port: &Port, id: ValueId| {
            let (r, q) = (self.value(id).range, Range::of(port.format));
            assert!(r.lo >= q.lo && r.hi <= q.hi, "`{}` can be {r:?}, outside {}", port.name, port.format);
            assert_eq!(self.value(id).frac, port.format.frac, "`{}` has another fraction", port.name);
        };
        self.outputs.iter().for_each(|(port, id)| fits(port, *id));
        self.states.iter().for_each(|s| fits(&s.port, s.next));
    }
}
