//! The hardware of `engine/spiking`: the lane's kernel, the weight memory and the template's numbers.

use nervure_core::block::{Body, Memory, Template};
use nervure_core::kernel::{Builder, Expr, Kernel, Op, ValueId};
use nervure_core::{QType, Timing};
use serde_json::json;

use super::Params;
use crate::shared::counter_bits;

/// A part of what is stored for each neuron.
pub(super) struct Field {
    name: String,
    pub(super) format: QType,
    reset: i64,
}

fn neuron_kernel(p: &Params) -> Kernel {
    match p.neuron().expect("the interface was checked").body() {
        Body::Kernel(k) => k,
        Body::Template(_) => unreachable!("the interface was checked"),
    }
}

/// Where the current enters only by being added to the only state: that sum.
///
/// Then weights can be added to the stored state itself, and no accumulator is needed beside it.
fn integrator(kernel: &Kernel) -> Option<ValueId> {
    let find = |wanted: Op| kernel.values.iter().position(|v| v.op == wanted).map(|i| ValueId(i as u32));
    let (state, input) = (find(Op::State(0))?, find(Op::Input(0))?);
    let readers = |id: ValueId| {
        let all = kernel.values.iter().enumerate().filter(move |(_, v)| v.op.operands().any(|o| o == id));
        all.map(|(i, _)| ValueId(i as u32)).collect::<Vec<_>>()
    };
    let [sum] = readers(state)[..] else { return None };
    let added = matches!(kernel.value(sum).op, Op::Add(..)) && readers(input) == [sum];
    let bypassed = kernel.states[0].next == state || kernel.outputs.iter().any(|(_, id)| *id == input);
    (kernel.states.len() == 1 && added && !bypassed).then_some(sum)
}

/// What is stored for each neuron: one sum where that is possible, else the current and the neuron's states.
pub(super) fn fields(p: &Params) -> Vec<Field> {
    let kernel = neuron_kernel(p);
    if let Some(sum) = integrator(&kernel) {
        let v = kernel.value(sum);
        let format = QType::holding(v.range.lo, v.range.hi, v.frac);
        return vec![Field { name: "sum".into(), format, reset: kernel.states[0].reset }];
    }
    let current = Field { name: "current".into(), format: p.current(), reset: 0 };
    let states = kernel.states.iter().map(|s| Field {
        name: s.port.name.clone(),
        format: s.port.format,
        reset: s.reset,
    });
    std::iter::once(current).chain(states).collect()
}

/// One lane: adds a weight to what is stored, or (`update`) does the neuron's step; `clear`, set only together with
/// `update`, stores the reset values instead.
fn lane(p: &Params, fields: &[Field]) -> Kernel {
    let neuron = neuron_kernel(p);
    let k = Builder::new();
    let stored: Vec<Expr<'_>> = fields.iter().map(|f| k.input(&f.name, f.format)).collect();
    let weight = k.input("weight", p.weight_format);
    let update = k.input("update", QType::unsigned(1));
    let clear = k.input("clear", QType::unsigned(1));
    let find = |wanted: Op| neuron.values.iter().position(|v| v.op == wanted).map(|i| ValueId(i as u32));
    let given: Vec<(ValueId, Expr<'_>)> = match integrator(&neuron) {
        Some(sum) => vec![(sum, stored[0])],
        None => std::iter::once(find(Op::Input(0)))
            .chain((0..neuron.states.len()).map(|n| find(Op::State(n as u16))))
            .zip(&stored)
            .filter_map(|(id, e)| Some((id?, *e)))
            .collect(),
    };
    let (spike, next) = k.inline(&neuron, &given);
    // Partial sums stay within the current's range, by the choice of the field's format.
    let within = |e| k.promise(e, fields[0].format.min().into(), fields[0].format.max().into());
    let mut after = Vec::new();
    if integrator(&neuron).is_some() && fields[0].reset == 0 {
        after.push(within(k.select_or_add((update, clear), next[0], (stored[0], weight))));
    } else {
        let integrated = within(stored[0] + weight);
        if integrator(&neuron).is_some() {
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
    k.output_as("spike_out", QType::unsigned(1), spike[0]);
    k.finish()
}

/// Weight memories, one per slice of lanes: row `{beat, bit, group}` holds the weights from one input to one group.
///
/// A slice is as wide as a block RAM of 36 Kbit is at this depth, so that no multiplexer is needed behind it.
fn weights(p: &Params, bit_bits: usize, group_bits: usize) -> Vec<Memory> {
    let (inputs, bits) = (p.input.len(), p.weight_format.bits as usize);
    let beats = inputs / p.input_lanes;
    let depth = beats << (bit_bits + group_bits);
    let width = [(512, 72), (1024, 36), (2048, 18), (4096, 9), (8192, 4), (16384, 2)]
        .iter()
        .find(|(words, _)| depth <= *words)
        .map_or(1, |(_, width)| *width);
    let slice = (1..=p.lanes).filter(|n| p.lanes.is_multiple_of(*n) && n * bits <= width).max().unwrap_or(1);
    let row = |address: usize, lane: usize| {
        let group = address % (1 << group_bits);
        let bit = (address >> group_bits) % (1 << bit_bits);
        let input = (address >> (group_bits + bit_bits)) * p.input_lanes + bit;
        let used = bit < p.input_lanes && group < p.groups();
        if used { p.weights.data[(group * p.lanes + lane) * inputs + input] } else { 0 }
    };
    (0..p.lanes)
        .step_by(slice)
        .enumerate()
        .map(|(n, first)| {
            let rows: Vec<Vec<i64>> =
                (0..depth).map(|at| (first..first + slice).map(|lane| row(at, lane)).collect()).collect();
            Memory::pack(&format!("weight_{n}"), bits, rows.iter().map(Vec::as_slice))
        })
        .collect()
}

pub(super) fn body(p: &Params) -> Body {
    let fields = fields(p);
    let (groups, beats) = (p.groups(), p.input.len() / p.input_lanes);
    let bits = |n: usize| if n > 1 { counter_bits(n) } else { 0 };
    let (group_bits, bit_bits, beat_bits) = (bits(groups), bits(p.input_lanes), counter_bits(beats));
    let address: Vec<&str> =
        [(beats > 1, "beat_q"), (bit_bits > 0, "bit_index"), (group_bits > 0, "group_q")]
            .into_iter()
            .filter_map(|(used, name)| used.then_some(name))
            .collect();
    let address = if address.is_empty() { "1'd0".into() } else { format!("{{{}}}", address.join(", ")) };
    let memories = weights(p, bit_bits, group_bits);
    let lane_bits: usize = fields.iter().map(|f| f.format.bits as usize).sum();
    let field_slices: Vec<Vec<serde_json::Value>> = (0..p.lanes)
        .map(|lane| {
            let mut at = lane * lane_bits;
            fields
                .iter()
                .map(|f| {
                    let (lo, hi) = (at, at + f.format.bits as usize - 1);
                    at = hi + 1;
                    json!({"name": f.name, "lo": lo, "hi": hi})
                })
                .collect()
        })
        .collect();
    let weight_bits = p.weight_format.bits as usize;
    let weight_slices: Vec<[usize; 2]> =
        (0..p.lanes).map(|l| [(l + 1) * weight_bits - 1, l * weight_bits]).collect();
    let mut at = 0;
    let slices: Vec<serde_json::Value> = memories
        .iter()
        .map(|m| {
            let lo = at;
            at += m.width;
            json!({"name": m.name, "lo": lo, "hi": at - 1})
        })
        .collect();
    let context = json!({
        "lanes": p.lanes, "groups": groups, "group_bits": group_bits, "input_lanes": p.input_lanes,
        "bit_bits": bit_bits, "beat_bits": beat_bits, "beats": beats, "address": address,
        "before_last_beat": (beats + (1 << beat_bits) - 2) % (1 << beat_bits),
        "word": p.lanes * lane_bits, "fields": field_slices, "weight_slices": weight_slices,
        "weight_width": p.lanes * weight_bits, "memories": slices,
    });
    Body::Template(Box::new(Template {
        text: include_str!("spiking.v.tera"),
        context,
        memories,
        kernels: vec![("lane", lane(p, &fields))],
        timing: Timing::Pipeline { depth: 1, prologue: groups as u32 },
    }))
}
