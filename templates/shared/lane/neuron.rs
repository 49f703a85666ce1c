//! What a lane can make of a neuron's kernel: whether weights may be added to the membrane itself, and whether the adder
//! that does so can do the neuron's step as well.

use nervure_core::kernel::{Cmp, Kernel, Op, ValueId};
use nervure_core::{QType, Rounding};

/// A neuron whose current enters only by being added to its only state.
///
/// Then weights can be added to the stored state itself, and no accumulator is needed beside it.
pub(super) struct Integrator {
    /// What is stored: the sum, or the sum with its high bits dropped where nothing else is read of it.
    pub(super) stored: ValueId,
    pub(super) format: QType,
    /// High bits are dropped.
    pub(super) wraps: bool,
}

impl Integrator {
    pub(super) fn of(kernel: &Kernel) -> Option<Self> {
        let (state, input) = (find(kernel, Op::State(0))?, find(kernel, Op::Input(0))?);
        let [sum] = readers(kernel, state)[..] else { return None };
        let Op::Add(a, b) = kernel.value(sum).op else { return None };
        // A membrane may have more fraction bits than the current.
        let added = if a == state { b } else { a };
        let exact = match kernel.value(added).op {
            Op::Shl(x, n) => x == input && n > 0 && readers(kernel, added) == [sum],
            _ => added == input,
        };
        let enters_once = readers(kernel, input).len() == 1;
        let ends = |id| ends(kernel, id);
        if kernel.states.len() != 1 || !exact || !enters_once || [state, input, added].into_iter().any(ends) {
            return None;
        }
        let holding = |id: ValueId| {
            let v = kernel.value(id);
            QType::holding(v.range.lo, v.range.hi, v.frac)
        };
        match readers(kernel, sum)[..] {
            [only] if matches!(kernel.value(only).op, Op::Wrap(_)) && !ends(sum) => {
                Some(Self { stored: only, format: holding(only), wraps: true })
            }
            _ => Some(Self { stored: sum, format: holding(sum), wraps: false }),
        }
    }
}

/// A step that one adder can do, one addition a cycle: compare with the threshold, then change what is stored.
pub(super) struct Plan {
    pub(super) compare: Cmp,
    /// A constant, or a constant of each neuron.
    pub(super) threshold: ValueId,
    pub(super) changes: Vec<Change>,
}

/// An addition to what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// After a spike, all of it is taken away.
    Zero,
    /// After a spike, this constant is taken away.
    Less(ValueId),
    /// A part of it, `2^-n`, is taken away.
    Leak(u8),
    /// After a spike all of it is taken away, else a part.
    ZeroOrLeak(u8),
}

impl Plan {
    pub(super) fn of(kernel: &Kernel, integrator: &Integrator) -> Option<Self> {
        let x = integrator.stored;
        let [(_, spike)] = kernel.outputs[..] else { return None };
        let Op::Compare(compare @ (Cmp::Gt | Cmp::Ge), of, threshold) = kernel.value(spike).op else {
            return None;
        };
        // Between rest and the largest sum.
        let range = kernel.value(threshold).range;
        let between =
            range.lo >= i128::from(compare == Cmp::Ge) && range.hi <= i128::from(integrator.format.max());
        let constant = |id: ValueId| matches!(kernel.value(id).op, Op::Const | Op::Param(_));
        let aligned = kernel.value(threshold).frac == integrator.format.frac;
        if of != x || !between || !aligned || !constant(threshold) || !integrator.format.signed {
            return None;
        }
        let changes = changes(kernel, kernel.states[0].next, x, spike)?;
        let known = kernel.states[0].reset == 0 && (1..=2).contains(&changes.len());
        known.then_some(Self { compare, threshold, changes })
    }
}

/// The additions that turn `x` into `id`.
fn changes(kernel: &Kernel, id: ValueId, x: ValueId, spike: ValueId) -> Option<Vec<Change>> {
    let op = |id: ValueId| kernel.value(id).op;
    let nothing = |id: ValueId| op(id) == Op::Const && kernel.value(id).range.lo == 0;
    let constant = |id: ValueId| {
        let v = kernel.value(id);
        matches!(v.op, Op::Const | Op::Param(_)) && v.frac == kernel.value(x).frac
    };
    if id == x {
        return Some(Vec::new());
    }
    match op(id) {
        Op::Select(c, zero, kept) if c == spike && kept == x && nothing(zero) => Some(vec![Change::Zero]),
        Op::Select(c, less, kept) if c == spike && kept == x => match op(less) {
            Op::Sub(from, k) if from == x && constant(k) => Some(vec![Change::Less(k)]),
            _ => None,
        },
        Op::Sub(from, part) => match op(part) {
            Op::Select(c, k, zero) if from == x && c == spike && constant(k) && nothing(zero) => {
                Some(vec![Change::Less(k)])
            }
            Op::Shr(of, n, Rounding::Floor) if of == from => {
                let before = changes(kernel, from, x, spike)?;
                Some(match before[..] {
                    [Change::Zero] => vec![Change::ZeroOrLeak(n)],
                    _ => before.into_iter().chain([Change::Leak(n)]).collect(),
                })
            }
            _ => None,
        },
        _ => None,
    }
}

/// Where `wanted` is.
pub(super) fn find(kernel: &Kernel, wanted: Op) -> Option<ValueId> {
    kernel.values.iter().position(|v| v.op == wanted).map(|i| ValueId(i as u32))
}

fn readers(kernel: &Kernel, id: ValueId) -> Vec<ValueId> {
    let all = kernel.values.iter().enumerate().filter(move |(_, v)| v.op.operands().any(|o| o == id));
    all.map(|(i, _)| ValueId(i as u32)).collect()
}

/// Whether the value leaves the kernel.
fn ends(kernel: &Kernel, id: ValueId) -> bool {
    kernel.states.iter().any(|s| s.next == id) || kernel.outputs.iter().any(|(_, out)| *out == id)
}
