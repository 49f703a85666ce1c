//! The hardware of `engine/spiking`: the lane's kernel, the weight memory and the template's numbers.

use nervure_core::Timing;
use nervure_core::block::{Body, Memory, Template};
use serde_json::json;

use super::Params;
use crate::shared::counter_bits;
use crate::shared::lane::Lane;
use crate::shared::neuron::kernel_of;

/// The lane that this engine has `lanes` of.
pub(super) fn lane(p: &Params) -> Lane {
    let neuron = p.neuron().expect("the interface was checked");
    Lane::new(&kernel_of(neuron.as_ref()), p.current(), p.weight_format)
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
    let lane = lane(p);
    let (groups, beats) = (p.groups(), p.input.len() / p.input_lanes);
    let bits = |n: usize| if n > 1 { counter_bits(n) } else { 0 };
    let (group_bits, bit_bits, beat_bits) = (bits(groups), bits(p.input_lanes), counter_bits(beats));
    let address: Vec<&str> =
        [(beats > 1, "beat_q"), (bit_bits > 0, "bit_index"), (group_bits > 0, "group_q")]
            .into_iter()
            .filter_map(|(used, name)| used.then_some(name))
            .collect();
    let address = if address.is_empty() { "1'd0".into() } else { format!("{{{}}}", address.join(", ")) };
    let mut memories = weights(p, bit_bits, group_bits);
    let connections: Vec<_> = (0..p.lanes).map(|n| lane.connections(n)).collect();
    let weight_bits = usize::from(p.weight_format.bits);
    let mut at = 0;
    let slices: Vec<serde_json::Value> = memories
        .iter()
        .map(|m| {
            let lo = at;
            at += m.width;
            json!({"name": m.name, "lo": lo, "hi": at - 1})
        })
        .collect();
    let param_width = p.lanes * lane.param_bits();
    let params: Vec<String> = (0..groups).map(|g| lane.param_word(g * p.lanes..(g + 1) * p.lanes)).collect();
    let param_word = params[0].clone();
    if param_width > 0 && groups > 1 {
        memories.push(Memory { name: "param".into(), width: param_width, words: params });
    }
    let context = json!({
        "param_width": param_width, "param_word": param_word,
        "lanes": p.lanes, "groups": groups, "group_bits": group_bits, "input_lanes": p.input_lanes,
        "bit_bits": bit_bits, "beat_bits": beat_bits, "beats": beats, "address": address,
        "before_last_beat": (beats + (1 << beat_bits) - 2) % (1 << beat_bits),
        "word": p.lanes * lane.state_bits(), "connections": connections,
        "result_width": p.lanes * usize::from(lane.output.bits),
        "weight_width": p.lanes * weight_bits, "memories": slices,
    });
    Body::Template(Box::new(Template {
        text: include_str!("spiking.v.tera"),
        context,
        memories,
        kernels: vec![("lane", lane.kernel)],
        timing: Timing::Pipeline { depth: 1, prologue: groups as u32 },
    }))
}
