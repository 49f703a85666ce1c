//! The hardware of `engine/spiking_delay`: numbers and nets for its template.

use nervure_core::block::{Area, Body, Memory, Template};
use nervure_core::{Target, Timing};
use serde_json::{Value, json};

use super::Params;
use crate::shared::cell::kernel_of;
use crate::shared::lane::{Feed, Lane};
use crate::shared::spikes::{bits, parts};
use crate::shared::{area, counter_bits};

fn lane(p: &Params) -> Lane {
    let neuron = p.neuron().expect("the interface was checked");
    let feed = Feed { apart: true, ..Feed::weights(p.weight_format) };
    Lane::new(&kernel_of(neuron.as_ref()), p.current(), feed)
}

/// Rows `{beat, bit, group}`: for each lane the weight, and above it the delay.
fn rows(p: &Params, bit_bits: usize, group_bits: usize) -> Vec<Vec<i64>> {
    let (inputs, weight_bits) = (p.input.len(), p.weight_format.bits);
    let element = |address: usize, lane: usize| {
        let group = address % (1 << group_bits);
        let bit = (address >> group_bits) % (1 << bit_bits);
        let beat = address >> (group_bits + bit_bits);
        if group >= p.groups() || bit >= p.input_lanes {
            return 0;
        }
        let at = (group * p.lanes + lane) * inputs + beat * p.input_lanes + bit;
        p.weights.data[at] & ((1 << weight_bits) - 1) | p.delays.data[at] << weight_bits
    };
    let depth = p.beats() << (bit_bits + group_bits);
    (0..depth).map(|at| (0..p.lanes).map(|lane| element(at, lane)).collect()).collect()
}

/// `width` bits from `lo` on.
fn range(lo: usize, width: usize) -> String {
    format!("{}:{lo}", lo + width - 1)
}

/// Where each lane's parts lie in the nets of all lanes.
fn nets(p: &Params, lane: &Lane, slot_bits: usize) -> Vec<Value> {
    let weight = usize::from(p.weight_format.bits);
    let element = weight + slot_bits;
    let current = usize::from(lane.fields[0].format.bits);
    let state = lane.state_bits();
    let own = state - current;
    let net = |n: usize| {
        json!({
            "n": n, "weight": range(n * weight, weight), "row": range(n * element, weight),
            "delay": range(n * element + weight, slot_bits), "current": range(n * state, current),
            "own": range(n * state + current, own), "held": range(n * own, own),
        })
    };
    (0..p.lanes).map(net).collect()
}

pub(super) fn body(p: &Params) -> Body {
    let lane = lane(p);
    let (groups, beats, slots) = (p.groups(), p.beats(), p.slots());
    let (group_bits, bit_bits) = (bits(groups), bits(p.input_lanes));
    let (beat_bits, slot_bits) = (counter_bits(beats), bits(slots));
    let address = [(beats > 1, "beat_q"), (bit_bits > 0, "bit_index"), (group_bits > 0, "group_q")];
    let address: Vec<&str> = address.into_iter().filter_map(|(used, name)| used.then_some(name)).collect();
    let address = if address.is_empty() { "1'd0".into() } else { format!("{{{}}}", address.join(", ")) };
    let element = usize::from(p.weight_format.bits) + slot_bits;
    let (mut memories, places) = parts("synapse", element, &rows(p, bit_bits, group_bits));
    let param_width = p.lanes * lane.param_bits();
    let params: Vec<String> = (0..groups).map(|g| lane.param_word(g * p.lanes..(g + 1) * p.lanes)).collect();
    let param_word = params[0].clone();
    if param_width > 0 && groups > 1 {
        memories.push(Memory::constant("param", param_width, params));
    }
    let current = usize::from(lane.fields[0].format.bits);
    let context = json!({
        "lanes": p.lanes, "groups": groups, "group_bits": group_bits, "input_lanes": p.input_lanes,
        "element_bits": p.input.format.bits, "pending": p.input_lanes * usize::from(p.input.format.bits),
        "bit_bits": bit_bits, "beat_bits": beat_bits, "slots": slots, "slot_bits": slot_bits,
        "before_last_beat": (beats + (1 << beat_bits) - 2) % (1 << beat_bits), "address": address,
        "synapses": places, "synapse_width": p.lanes * element,
        "weight_width": p.lanes * usize::from(p.weight_format.bits),
        "current": current, "currents": slots << group_bits,
        "state": p.lanes * lane.state_bits(), "held": p.lanes * (lane.state_bits() - current),
        "nets": nets(p, &lane, slot_bits), "param_width": param_width, "param_word": param_word,
        "connections": (0..p.lanes).map(|n| lane.connections(n)).collect::<Vec<_>>(),
        "result_width": p.lanes * usize::from(lane.output.bits),
    });
    Body::Template(Box::new(Template {
        text: include_str!("spiking_delay.v.tera"),
        context,
        memories,
        kernels: vec![("lane", lane.kernel)],
        timing: Timing::Pipeline { depth: 1, prologue: (slots * groups) as u32 },
    }))
}

pub(super) fn cost(p: &Params, t: &Target) -> Area {
    let lane = lane(p);
    let (groups, slots, slot_bits) = (p.groups(), p.slots(), bits(p.slots()));
    let current = usize::from(lane.fields[0].format.bits);
    // Read in one place and written in another, at once: in lookup tables on every target that can.
    let ram = |width: usize, words: usize| match words {
        1 => area(0, width),
        words => area((width * words.div_ceil(32) * 2).div_ceil(3), 0),
    };
    let rings = (ram(current, slots * groups) + area(slot_bits, 0)) * p.lanes;
    let states = ram(p.lanes * (lane.state_bits() - current), groups);
    let element = usize::from(p.weight_format.bits) + slot_bits;
    let (width, depth) = (p.lanes * element, p.beats() << (bits(p.input_lanes) + bits(groups)));
    let rows = if depth <= t.lut_ram_words {
        area(width * depth.div_ceil(64), width)
    } else {
        Area { bram: (width * depth).div_ceil(t.block_ram_bits) as u32, ..Area::default() }
    };
    let control = area(50 + 3 * p.input_lanes, 30 + 2 * p.input_lanes + 2 * slot_bits + p.lanes);
    lane.kernel.area(t) * p.lanes + control + rings + states + rows
}
