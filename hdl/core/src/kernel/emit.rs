//! A kernel as Verilog: declarations and assignments for a template to print.
//!
//! Every operand is extended or cut to the exact width of its operation as a bit pattern, so no rule of Verilog about
//! signedness or context width is ever relied upon. Bits that nothing reads are gathered in one `unused` net.

use serde::Serialize;

use super::{BitOp, Cmp, Kernel, Op, Stages, Value, ValueId};
use crate::ident::Names;

/// A kernel's text. Port and net names are Verilog identifiers, unique in the module.
#[derive(Debug, Clone, Serialize)]
pub struct Text {
    /// Element inputs.
    pub inputs: Vec<PortText>,
    /// Per-element constants, fed from outside.
    pub params: Vec<PortText>,
    /// Stores: all words of one, the first lowest.
    pub stores: Vec<PortText>,
    /// States as they are before the step.
    pub states: Vec<PortText>,
    /// States as they become (stage 0).
    pub next: Vec<PortText>,
    /// Outputs (last stage).
    pub outputs: Vec<PortText>,
    /// Declarations with their assignments, in order.
    pub lines: Vec<String>,
    /// Registers between stages.
    pub registers: Vec<Register>,
    /// Stages; one means combinational.
    pub stages: u32,
    /// Bits that nothing reads, for the `unused` net.
    pub unused: Vec<String>,
}

/// A port.
#[derive(Debug, Clone, Serialize)]
pub struct PortText {
    /// Verilog identifier.
    pub name: String,
    /// ` signed [11:0]`, ` [3:0]` or nothing.
    pub kind: String,
    /// Width.
    pub bits: u32,
    /// The expression that drives it (outputs and next states).
    pub value: String,
}

/// A pipeline register.
#[derive(Debug, Clone, Serialize)]
pub struct Register {
    /// Verilog identifier.
    pub name: String,
    /// As in [`PortText`].
    pub kind: String,
    /// What it loads.
    pub value: String,
}

/// ` signed [11:0]`, ` [3:0]` or nothing, for a net of `bits` bits.
pub fn kind(bits: u32, signed: bool) -> String {
    let range = if bits == 1 { String::new() } else { format!(" [{}:0]", bits - 1) };
    if signed { format!(" signed{range}") } else { range }
}

/// `v` as an unsigned literal of `bits` bits (two's complement).
pub fn literal(v: i128, bits: u32) -> String {
    if v >= 0 { format!("{bits}'d{v}") } else { format!("{bits}'h{:x}", v & ((1i128 << bits) - 1)) }
}

/// `[hi:lo]`, or `[lo]` for one bit.
fn slice(lo: u32, bits: u32) -> String {
    if bits == 1 { format!("[{lo}]") } else { format!("[{}:{lo}]", lo + bits - 1) }
}

pub(super) struct Emitter<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) stages: &'a Stages,
    names: Vec<String>,
    stores: &'a [PortText],
    /// Reads of each value.
    pub(super) reads: Vec<u32>,
    /// Per value and stage: mask of bits that something reads there.
    used: Vec<Vec<u128>>,
    extra_unused: Vec<String>,
}

/// Prints `kernel`, pipelined as `stages` says.
pub fn emit(kernel: &Kernel, stages: &Stages) -> Text {
    let mut taken = Names::default();
    ["clk", "en", "unused"].iter().for_each(|n| {
        taken.claim(n);
    });
    let mut port = |name: &str, prefix: &str, bits: u32, signed: bool| PortText {
        name: taken.claim(&format!("{prefix}{name}")),
        kind: kind(bits, signed),
        bits,
        value: String::new(),
    };
    let of = |p: &super::Port| (p.format.bits.into(), p.format.signed);
    let mut inputs = Vec::new();
    for p in &kernel.inputs {
        let (b, s) = of(p);
        inputs.push(port(&p.name, "", b, s));
    }
    let mut params = Vec::new();
    for p in &kernel.params {
        let (b, s) = of(&p.port);
        params.push(port(&p.port.name, "", b, s));
    }
    let words = |s: &super::Store| s.words.len() as u32 * u32::from(s.format.bits);
    let stores: Vec<_> = kernel.stores.iter().map(|s| port(&s.name, "", words(s), false)).collect();
    let (mut states, mut next) = (Vec::new(), Vec::new());
    for s in &kernel.states {
        let (b, signed) = of(&s.port);
        states.push(port(&s.port.name, "", b, signed));
        next.push(port(&s.port.name, "next_", b, signed));
    }
    let mut outputs = Vec::new();
    for (p, _) in &kernel.outputs {
        let (b, s) = of(p);
        outputs.push(port(&p.name, "", b, s));
    }
    let mut names = Vec::new();
    let given = kernel.given_names();
    for (i, v) in kernel.values.iter().enumerate() {
        names.push(match v.op {
            Op::Input(n) => inputs[n as usize].name.clone(),
            Op::Param(n) => params[n as usize].name.clone(),
            Op::State(n) => states[n as usize].name.clone(),
            Op::Word(n, word) => taken.claim(&format!("{}_{word}", kernel.stores[n as usize].name)),
            Op::Const => String::new(),
            op => taken.claim(given[i].unwrap_or(default_name(op))),
        });
    }
    let mut e = Emitter {
        kernel,
        stages,
        names,
        stores: &stores,
        reads: kernel.reads(),
        used: vec![vec![0; stages.count as usize]; kernel.values.len()],
        extra_unused: Vec::new(),
    };
    let mut lines = Vec::new();
    for i in 0..kernel.values.len() {
        e.declare(i, &mut lines);
    }
    let last = stages.count - 1;
    for (text, (p, id)) in outputs.iter_mut().zip(&kernel.outputs) {
        text.value = e.at(*id, last, p.format.bits.into());
    }
    for (text, s) in next.iter_mut().zip(&kernel.states) {
        text.value = e.at(s.next, 0, s.port.format.bits.into());
    }
    let until = stages.last_reads(kernel);
    let registers = e.registers(&until);
    let mut unused: Vec<String> = (0..kernel.values.len()).filter_map(|i| e.unused(i, until[i])).collect();
    unused.append(&mut e.extra_unused);
    Text { inputs, params, stores, states, next, outputs, lines, registers, stages: stages.count, unused }
}

const fn default_name(op: Op) -> &'static str {
    match op {
        Op::Add(..) | Op::AddCarry(..) => "sum",
        Op::Complement(_) => "complement",
        Op::Sub(..) => "difference",
        Op::Mul(..) => "product",
        Op::Shl(..) | Op::Shr(..) => "shifted",
        Op::Compare(..) => "flag",
        Op::Bit(..) | Op::Not(_) => "bit_n",
        Op::Select(..) => "chosen",
        Op::Clamp(_) => "clamped",
        Op::Wrap(_) => "wrapped",
        Op::Table(..) => "looked_up",
        Op::Input(_) | Op::State(_) | Op::Param(_) | Op::Word(..) | Op::Const => "value",
    }
}

impl Emitter<'_> {
    pub(super) fn value(&self, id: ValueId) -> &Value {
        self.kernel.value(id)
    }

    /// Name of value `id` as seen in `stage`.
    fn name(&self, id: ValueId, stage: u32) -> String {
        let born = self.stages.of[id.index()];
        let name = &self.names[id.index()];
        if stage > born && !self.kernel.steady(id) { format!("{name}_q{}", stage) } else { name.clone() }
    }

    fn mark(&mut self, id: ValueId, stage: u32, lo: u32, bits: u32) {
        let stage = if self.kernel.steady(id) { 0 } else { stage as usize };
        self.used[id.index()][stage] |= ((1u128 << bits) - 1) << lo;
    }

    /// `bits` bits of value `id` from bit `from` up, sign- or zero-extended, as seen in `stage`.
    pub(super) fn slice(&mut self, id: ValueId, stage: u32, from: u32, bits: u32) -> String {
        let v = *self.value(id);
        let (width, signed) = (v.range.bits(), v.range.signed());
        if v.op == Op::Const {
            return literal((v.range.lo >> from) & ((1i128 << bits) - 1), bits);
        }
        let name = self.name(id, stage);
        let sign = if width == 1 { name.clone() } else { format!("{name}[{}]", width - 1) };
        if from >= width {
            if !signed {
                return literal(0, bits);
            }
            self.mark(id, stage, width - 1, 1);
            return if bits == 1 { sign } else { format!("{{{bits}{{{sign}}}}}") };
        }
        let own = bits.min(width - from);
        self.mark(id, stage, from, own);
        let part = match (own == width, own) {
            (true, _) => name.clone(),
            (false, 1) => format!("{name}[{from}]"),
            (false, _) => format!("{name}[{}:{from}]", from + own - 1),
        };
        let extra = bits - own;
        match (extra, signed) {
            (0, _) => part,
            (_, false) => format!("{{{extra}'d0, {part}}}"),
            (1, true) => format!("{{{sign}, {part}}}"),
            (_, true) => format!("{{{{{extra}{{{sign}}}}}, {part}}}"),
        }
    }

    pub(super) fn at(&mut self, id: ValueId, stage: u32, bits: u32) -> String {
        self.slice(id, stage, 0, bits)
    }

    fn declare(&mut self, i: usize, lines: &mut Vec<String>) {
        let v = self.kernel.values[i];
        if matches!(v.op, Op::Input(_) | Op::State(_) | Op::Param(_) | Op::Const) {
            return;
        }
        let (bits, signed, stage) = (v.range.bits(), v.range.signed(), self.stages.of[i]);
        let name = self.names[i].clone();
        let kind = kind(bits, signed);
        if let Op::Word(n, word) = v.op {
            let store = &self.stores[n as usize];
            let range = if store.bits == 1 { String::new() } else { slice(word * bits, bits) };
            lines.push(format!("wire{kind} {name} = {}{range};", store.name));
            return;
        }
        if let Op::Table(a, n) = v.op {
            let table = &self.kernel.tables[n as usize];
            let width = self.value(a).range.bits();
            let entries: Vec<String> = (table.lo..)
                .zip(&table.entries)
                .map(|(x, y)| {
                    format!("      {}: {name} = {};", literal(x.into(), width), literal((*y).into(), bits))
                })
                .collect();
            let argument = self.at(a, stage, width);
            lines.push(format!("reg{kind} {name};"));
            lines.push(format!("always @*\n    case ({argument})"));
            lines.extend(entries);
            lines.push(format!("      default: {name} = {};\n    endcase", literal(0, bits)));
            return;
        }
        if let Some(carry) = self.carry(&v, stage, bits) {
            lines.push(format!("wire [{bits}:0] {name}_carry = {carry};"));
            let range = if bits == 1 { "1".into() } else { format!("{bits}:1") };
            lines.push(format!("wire{kind} {name} = {name}_carry[{range}];"));
            self.extra_unused.push(format!("{name}_carry[0]"));
            return;
        }
        let expression = self.expression(&v, stage, bits);
        lines.push(format!("wire{kind} {name} = {expression};"));
    }

    fn expression(&mut self, v: &Value, stage: u32, bits: u32) -> String {
        match v.op {
            Op::Add(a, b) => {
                if let Some((high, n, low)) = self.kernel.side_by_side(a, b)
                    && bits > n.into()
                {
                    let n = u32::from(n);
                    return format!("{{{}, {}}}", self.at(high, stage, bits - n), self.at(low, stage, n));
                }
                for (x, c) in [(a, b), (b, a)] {
                    let r = self.value(c).range;
                    if r.lo == r.hi && r.lo < 0 {
                        return format!("{} - {}", self.at(x, stage, bits), literal(-r.lo, bits));
                    }
                }
                format!("{} + {}", self.at(a, stage, bits), self.at(b, stage, bits))
            }
            Op::Complement(a) => format!("~{}", self.at(a, stage, bits)),
            Op::Sub(a, b) => format!("{} - {}", self.at(a, stage, bits), self.at(b, stage, bits)),
            Op::Mul(a, b) => {
                let signed = v.range.signed();
                let (a, b) = (self.at(a, stage, bits), self.at(b, stage, bits));
                if signed { format!("$signed({a}) * $signed({b})") } else { format!("{a} * {b}") }
            }
            Op::Shl(a, n) => {
                let n = u32::from(n);
                let whole = self.at(a, stage, bits.saturating_sub(n).max(1));
                if n == 0 { whole } else { format!("{{{whole}, {n}'d0}}") }
            }
            Op::Shr(a, n, rounding) => self.shift_right(a, stage, n.into(), rounding, bits),
            Op::Compare(cmp, a, b) => {
                let range = self.value(a).range.union(self.value(b).range);
                let (x, y) = (self.at(a, stage, range.bits()), self.at(b, stage, range.bits()));
                let sign = match cmp {
                    Cmp::Gt => ">",
                    Cmp::Ge => ">=",
                    Cmp::Eq => return format!("{x} == {y}"),
                };
                if range.signed() {
                    format!("$signed({x}) {sign} $signed({y})")
                } else {
                    format!("{x} {sign} {y}")
                }
            }
            Op::Bit(op, a, b) => {
                let sign = match op {
                    BitOp::And => "&",
                    BitOp::Or => "|",
                    BitOp::Xor => "^",
                };
                format!("{} {sign} {}", self.at(a, stage, 1), self.at(b, stage, 1))
            }
            Op::Not(a) => format!("~{}", self.at(a, stage, 1)),
            Op::Select(c, a, b) => format!(
                "{} ? {} : {}",
                self.at(c, stage, 1),
                self.at(a, stage, bits),
                self.at(b, stage, bits)
            ),
            Op::Clamp(a) => self.clamp(a, stage, v, bits),
            Op::Wrap(a) => self.at(a, stage, bits),
            Op::Input(_) | Op::State(_) | Op::Param(_) | Op::Word(..) | Op::Const => {
                unreachable!("declared elsewhere")
            }
            Op::Table(..) | Op::AddCarry(..) => unreachable!("declared elsewhere"),
        }
    }

    /// Registers that carry each value from the stage that makes it to the last stage that reads it.
    fn registers(&self, until: &[u32]) -> Vec<Register> {
        let mut list = Vec::new();
        for (i, v) in self.kernel.values.iter().enumerate().filter(|(_, v)| v.op != Op::Const) {
            for stage in self.stages.of[i] + 1..=until[i] {
                let id = ValueId(i as u32);
                list.push(Register {
                    name: self.name(id, stage),
                    kind: kind(v.range.bits(), v.range.signed()),
                    value: self.name(id, stage - 1),
                });
            }
        }
        list
    }

    /// Bits of value `i` that nothing reads in its last stage, as a slice.
    fn unused(&self, i: usize, last: u32) -> Option<String> {
        let v = &self.kernel.values[i];
        let bits = v.range.bits();
        let all = if bits >= 128 { u128::MAX } else { (1u128 << bits) - 1 };
        let free = all & !self.used[i][last as usize];
        if v.op == Op::Const || free == 0 {
            return None;
        }
        let name = self.name(ValueId(i as u32), last);
        if free == all {
            return Some(name);
        }
        let (lo, hi) = (free.trailing_zeros(), 127 - free.leading_zeros());
        Some(if lo == hi { format!("{name}[{lo}]") } else { format!("{name}[{hi}:{lo}]") })
    }
}
