//! One lane of an event-driven engine: it adds a weight to what is stored for a neuron, or does the neuron's step.
//!
//! Deliberately absent: which weight, which neuron and when; an engine has that.

use nervure_core::QType;
use nervure_core::block::hex;
use nervure_core::kernel::emit::emit;
use nervure_core::kernel::{Builder, Expr, Kernel, Op, Param, Stages, ValueId};
use nervure_core::num::Overflow;

/// A part of what is stored for each neuron.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// Name of the lane's input; the output is `NAME_next`.
    pub(crate) name: String,
    /// Format in the memory.
    pub(crate) format: QType,
    /// What it holds at the start of a sample.
    pub(crate) reset: i64,
}

/// A lane: its kernel, and how the engine's nets connect to it.
///
/// The nets, `lanes` elements each and lane 0 lowest: `state` and `state_next` ([`Lane::state_bits`] a lane), `weights`,
/// `param` ([`Lane::param_bits`] a lane, where not zero) and `result`. One bit for all lanes: `update_q` does the neuron's
/// step; `zero_q`, set only together with `update_q`, stores the reset values instead.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    /// What is stored for each neuron: one sum where that is possible, else the current and the neuron's states.
    pub(crate) fields: Vec<Field>,
    /// The combinational kernel.
    pub(crate) kernel: Kernel,
    /// Format of the neuron's output.
    pub(crate) output: QType,
    /// Constants of each neuron.
    params: Vec<Param>,
    weight: QType,
}

impl Lane {
    /// A lane for the kernel `neuron`, for `current`s that are sums of `weight`s: no partial sum of a step leaves `current`.
    pub(crate) fn new(neuron: &Kernel, current: QType, weight: QType) -> Self {
        let integrator = Integrator::of(neuron);
        let fields = fields(neuron, integrator.as_ref(), current);
        Self {
            kernel: kernel(neuron, integrator.as_ref(), &fields, weight),
            output: neuron.outputs[0].0.format,
            params: neuron.params.clone(),
            fields,
            weight,
        }
    }

    /// Bits stored for one neuron.
    pub(crate) fn state_bits(&self) -> usize {
        self.fields.iter().map(|f| usize::from(f.format.bits)).sum()
    }

    /// Bits of the constants of one neuron; often none.
    pub(crate) fn param_bits(&self) -> usize {
        self.params.iter().map(|p| usize::from(p.port.format.bits)).sum()
    }

    /// The constants of `elements` (the neurons of one group, lane 0 first) as hexadecimal digits.
    ///
    /// An element is an index into the neuron's input tensor.
    pub(crate) fn param_word(&self, elements: impl Iterator<Item = usize>) -> String {
        let of =
            |e: usize| self.params.iter().map(move |p| (p.values[e % p.values.len()], p.port.format.bits));
        let bits = elements.flat_map(of).flat_map(|(v, bits)| (0..bits).map(move |b| v >> b & 1));
        hex(&bits.collect::<Vec<_>>(), 1)
    }

    /// The connections of instance number `lane`: port and net.
    pub(crate) fn connections(&self, lane: usize) -> Vec<[String; 2]> {
        let text = emit(&self.kernel, &Stages::combinational(&self.kernel));
        let (state, param) = (self.state_bits(), self.param_bits());
        let weight = usize::from(self.weight.bits);
        let mut list = Vec::new();
        let mut inputs = text.inputs.iter();
        let mut port = |ports: &mut std::slice::Iter<'_, _>, net: &str, stride: usize, at: &mut usize| {
            let p: &nervure_core::kernel::emit::PortText = ports.next().expect("as many as the kernel has");
            let (lo, hi) = (lane * stride + *at, lane * stride + *at + p.bits as usize - 1);
            *at += p.bits as usize;
            let range = if lo == hi { format!("{lo}") } else { format!("{hi}:{lo}") };
            list.push([p.name.clone(), if stride == 0 { net.into() } else { format!("{net}[{range}]") }]);
        };
        let mut at = 0;
        self.fields.iter().for_each(|_| port(&mut inputs, "state", state, &mut at));
        port(&mut inputs, "weights", weight, &mut 0);
        at = 0;
        self.params.iter().for_each(|_| port(&mut inputs, "param", param, &mut at));
        port(&mut inputs, "update_q", 0, &mut 0);
        port(&mut inputs, "zero_q", 0, &mut 0);
        let mut outputs = text.outputs.iter();
        at = 0;
        self.fields.iter().for_each(|_| port(&mut outputs, "state_next", state, &mut at));
        port(&mut outputs, "result", usize::from(self.output.bits), &mut 0);
        list
    }
}

/// A neuron whose current enters only by being added to its only state.
///
/// Then weights can be added to the stored state itself, and no accumulator is needed beside it.
struct Integrator {
    /// What is stored: the sum, or the sum with its high bits dropped where nothing else is read of it.
    stored: ValueId,
    format: QType,
    wraps: bool,
}

impl Integrator {
    fn of(kernel: &Kernel) -> Option<Self> {
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
        let ends = |id: ValueId| {
            kernel.states.iter().any(|s| s.next == id) || kernel.outputs.iter().any(|(_, out)| *out == id)
        };
        if kernel.states.len() != 1 || !exact || !enters_once || [state, input, added].into_iter().any(ends) {
            return None;
        }
        let v = kernel.value(sum);
        let whole =
            Self { stored: sum, format: QType::holding(v.range.lo, v.range.hi, v.frac), wraps: false };
        match readers(kernel, sum)[..] {
            [only] if matches!(kernel.value(only).op, Op::Wrap(_)) && !ends(sum) => {
                let w = kernel.value(only);
                let format = QType::holding(w.range.lo, w.range.hi, w.frac);
                Some(Self { stored: only, format, wraps: true })
            }
            _ => Some(whole),
        }
    }
}

fn find(kernel: &Kernel, wanted: Op) -> Option<ValueId> {
    kernel.values.iter().position(|v| v.op == wanted).map(|i| ValueId(i as u32))
}

fn readers(kernel: &Kernel, id: ValueId) -> Vec<ValueId> {
    let all = kernel.values.iter().enumerate().filter(move |(_, v)| v.op.operands().any(|o| o == id));
    all.map(|(i, _)| ValueId(i as u32)).collect()
}

fn fields(neuron: &Kernel, integrator: Option<&Integrator>, current: QType) -> Vec<Field> {
    if let Some(i) = integrator {
        return vec![Field { name: "sum".into(), format: i.format, reset: neuron.states[0].reset }];
    }
    let current = Field { name: "current".into(), format: current, reset: 0 };
    let states = neuron.states.iter().map(|s| Field {
        name: s.port.name.clone(),
        format: s.port.format,
        reset: s.reset,
    });
    std::iter::once(current).chain(states).collect()
}

fn kernel(neuron: &Kernel, integrator: Option<&Integrator>, fields: &[Field], weight: QType) -> Kernel {
    let k = Builder::new();
    let stored: Vec<Expr<'_>> = fields.iter().map(|f| k.input(&f.name, f.format)).collect();
    let weight = k.input("weight", weight);
    let params: Vec<Expr<'_>> = neuron.params.iter().map(|p| k.input(&p.port.name, p.port.format)).collect();
    let update = k.input("update", QType::unsigned(1));
    let clear = k.input("clear", QType::unsigned(1));
    let inner: Vec<Option<ValueId>> = match integrator {
        Some(i) => vec![Some(i.stored)],
        None => std::iter::once(find(neuron, Op::Input(0)))
            .chain((0..neuron.states.len()).map(|n| find(neuron, Op::State(n as u16))))
            .collect(),
    };
    let constants = (0..params.len()).map(|n| find(neuron, Op::Param(n as u16)));
    let given: Vec<(ValueId, Expr<'_>)> = inner
        .into_iter()
        .zip(stored.iter().copied())
        .chain(constants.zip(params.iter().copied()))
        .filter_map(|(id, e)| Some((id?, e)))
        .collect();
    let (outputs, next) = k.inline(neuron, &given);
    let wraps = integrator.is_some_and(|i| i.wraps);
    let mut after = Vec::new();
    if integrator.is_some() && fields[0].reset == 0 {
        after.push(within(
            &k,
            k.select_or_add((update, clear), next[0], (stored[0], weight)),
            &fields[0],
            wraps,
        ));
    } else {
        let integrated = within(&k, stored[0] + weight, &fields[0], wraps);
        if integrator.is_some() {
            after.push(k.select(update, next[0], integrated));
        } else {
            after.push(k.select(update, k.constant(0, integrated.frac()), integrated));
            after.extend(next.iter().zip(&stored[1..]).map(|(next, held)| k.select(update, *next, *held)));
        }
        after = after
            .into_iter()
            .zip(fields)
            .map(|(e, f)| k.select(clear, k.constant(f.reset, e.frac()), e))
            .collect();
    }
    for (f, after) in fields.iter().zip(after) {
        k.output_as(&format!("{}_next", f.name), f.format, after);
    }
    let (port, _) = &neuron.outputs[0];
    let out = k.promise(outputs[0], port.format.min().into(), port.format.max().into());
    k.output_as(&port.name, port.format, out);
    k.finish()
}

/// Partial sums stay within the field, by the choice of its format; or they wrap, as the neuron's own sum does.
fn within<'k>(k: &'k Builder, e: Expr<'k>, f: &Field, wraps: bool) -> Expr<'k> {
    if wraps {
        return e.fit(f.format, Overflow::Wrap);
    }
    k.promise(e, f.format.min().into(), f.format.max().into())
}
