//! The lane as a kernel: the neuron's own kernel, with an addition of weights beside it or around it.

use nervure_core::kernel::{Builder, Cmp, Expr, Kernel, Op, ValueId};
use nervure_core::num::Overflow;
use nervure_core::{QType, Rounding};

use super::neuron::{Change, Integrator, Plan, find};
use super::{Feed, Field};

/// What the kernels below are made of.
struct Parts<'k> {
    k: &'k Builder,
    stored: Vec<Expr<'k>>,
    /// What is added for an event.
    row: Expr<'k>,
    params: Vec<Expr<'k>>,
}

impl<'k> Parts<'k> {
    fn new(k: &'k Builder, neuron: &Kernel, fields: &[Field], feed: &Feed) -> Self {
        let stored = fields.iter().map(|f| k.input(&f.name, f.format)).collect();
        let mut row = k.input("weight", feed.weight);
        if feed.pair {
            row = (row + k.input("second_weight", feed.weight)).named("both");
        }
        if let Some(value) = feed.value {
            row = row * k.input("value", value);
        }
        // A weight that is added once for each count carries the count's fraction, too.
        let row = row.read_as(neuron.inputs[0].format.frac);
        let params = neuron.params.iter().map(|p| k.input(&p.port.name, p.port.format)).collect();
        Self { k, stored, row, params }
    }

    fn flag(&self, name: &str) -> Expr<'k> {
        self.k.input(name, QType::unsigned(1))
    }

    /// The neuron's outputs and next states; `inner` are the values of its kernel that are stored.
    fn neuron(&self, neuron: &Kernel, inner: &[Option<ValueId>]) -> (Vec<Expr<'k>>, Vec<Expr<'k>>) {
        let constants = (0..self.params.len()).map(|n| find(neuron, Op::Param(n as u16)));
        let given: Vec<(ValueId, Expr<'k>)> = inner
            .iter()
            .copied()
            .zip(self.stored.iter().copied())
            .chain(constants.zip(self.params.iter().copied()))
            .filter_map(|(id, e)| Some((id?, e)))
            .collect();
        self.k.inline(neuron, &given)
    }

    fn finish(&self, neuron: &Kernel, fields: &[Field], after: Vec<Expr<'k>>, output: Expr<'k>) {
        for (f, after) in fields.iter().zip(after) {
            self.k.output_as(&format!("{}_next", f.name), f.format, after);
        }
        let (port, _) = &neuron.outputs[0];
        self.k.output_as(&port.name, port.format, output);
    }
}

/// Partial sums stay within the field, by the choice of its format; or they wrap, as the neuron's own sum does.
fn within<'k>(k: &'k Builder, e: Expr<'k>, f: &Field, wraps: bool) -> Expr<'k> {
    if wraps { e.fit(f.format, Overflow::Wrap) } else { promise(k, e, f.format) }
}

fn promise<'k>(k: &'k Builder, e: Expr<'k>, format: QType) -> Expr<'k> {
    k.promise(e, format.min().into(), format.max().into())
}

/// `update` does the neuron's step in one cycle; `clear`, only together with it, stores the reset values instead.
pub(super) fn direct(
    neuron: &Kernel,
    integrator: Option<&Integrator>,
    fields: &[Field],
    feed: &Feed,
) -> Kernel {
    let k = Builder::new();
    let parts = Parts::new(&k, neuron, fields, feed);
    let update = parts.flag("update");
    let clear = if feed.clear { parts.flag("clear") } else { k.constant(0, 0) };
    let inner = match integrator {
        Some(i) => vec![Some(i.stored)],
        None => std::iter::once(find(neuron, Op::Input(0)))
            .chain((0..neuron.states.len()).map(|n| find(neuron, Op::State(n as u16))))
            .collect(),
    };
    let (outputs, next) = parts.neuron(neuron, &inner);
    let wraps = integrator.is_some_and(|i| i.wraps);
    let (stored, row) = (&parts.stored, parts.row);
    let mut after = Vec::new();
    if integrator.is_some() && fields[0].reset == 0 {
        after.push(within(
            &k,
            k.select_or_add((update, clear), next[0], (stored[0], row)),
            &fields[0],
            wraps,
        ));
    } else {
        let integrated = within(&k, stored[0] + row, &fields[0], wraps);
        if integrator.is_some() {
            after.push(k.select(update, next[0], integrated));
        } else {
            after.push(k.select(update, k.constant(0, integrated.frac()), integrated));
            // The neuron's own kernel keeps its states within their formats, which its parts alone do not show.
            let kept = next.iter().zip(&fields[1..]).map(|(next, f)| promise(&k, *next, f.format));
            after.extend(kept.zip(&stored[1..]).map(|(next, held)| k.select(update, next, *held)));
        }
        after = after
            .into_iter()
            .zip(fields)
            .map(|(e, f)| k.select(clear, k.constant(f.reset, e.frac()), e))
            .collect();
    }
    let output = promise(&k, outputs[0], neuron.outputs[0].0.format);
    parts.finish(neuron, fields, after, output);
    drop(parts);
    k.finish()
}

/// One adder for all, with what it adds chosen by `{update, second}`: 0 a weight; 1 what compares with the threshold, for
/// the spike; 2 the first change after it; 3 the second change or, where there is none, minus everything (clear).
///
/// `spiked` is the spike, one cycle later. Per bit, an adder and this choice have six inputs where there is one change.
pub(super) fn shared(neuron: &Kernel, plan: &Plan, field: &Field, feed: &Feed) -> Kernel {
    let k = Builder::new();
    let fields = std::slice::from_ref(field);
    let parts = Parts::new(&k, neuron, fields, feed);
    // Stored with its sign inverted, so that the carry of the comparison is the spike.
    let (stored, bits) = (parts.stored[0], field.format.bits);
    let half = k.constant(1 << (bits - 1), stored.frac());
    let x = (stored - half).named("level");
    let (update, second, spiked) = (parts.flag("update"), parts.flag("second"), parts.flag("spiked"));
    let value = |id: ValueId| match neuron.value(id).op {
        Op::Param(n) => parts.params[usize::from(n)],
        _ => k.constant(neuron.value(id).range.lo as i64, x.frac()),
    };
    // All changes are subtractions: the complement and a carry.
    let nothing = k.constant(-1, x.frac());
    let change = |c: &Change| match *c {
        Change::Zero => k.select(spiked, x.complement(), nothing),
        Change::Less(id) => k.select(spiked, value(id).complement(), nothing),
        Change::Leak(n) => x.shr(n.into(), Rounding::Floor).complement(),
        Change::ZeroOrLeak(n) => {
            k.select(spiked, x.complement(), x.shr(n.into(), Rounding::Floor).complement())
        }
    };
    let changes: Vec<Expr<'_>> = plan.changes.iter().map(change).collect();
    let everything = x.complement();
    let mut last = *changes.get(1).unwrap_or(&everything);
    if let (true, true) = (feed.clear, changes.len() > 1) {
        last = k.select(parts.flag("clear"), everything, last);
    }
    let changed =
        if feed.clear || changes.len() > 1 { k.select(second, last, changes[0]) } else { changes[0] };
    let constant = neuron.value(plan.threshold).op == Op::Const;
    let threshold = value(plan.threshold);
    let above = i64::from(plan.compare == Cmp::Gt);
    let (compared, carry) = match (plan.compare, constant) {
        (_, true) => (half - threshold - k.constant(above, x.frac()), update),
        (Cmp::Ge, false) => (threshold.complement() + half, update | second),
        _ => (threshold.complement() + half, update),
    };
    let added = k.select(update, changed, k.select(second, compared, parts.row));
    let sum = k.add_carry(stored, added.fit(field.format, Overflow::Wrap), carry).named("total");
    let spike = sum.shr(bits.into(), Rounding::Floor).read_as(0).named("spike");
    let sum = sum.fit(field.format, Overflow::Wrap).named("after");
    parts.finish(neuron, fields, vec![sum], spike);
    drop(parts);
    k.finish()
}
