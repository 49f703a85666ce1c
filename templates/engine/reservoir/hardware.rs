//! The hardware of `engine/reservoir`: numbers and nets for its template.

use nervure_core::block::{Area, Body, Memory, Template};
use nervure_core::{Target, Timing};
use serde_json::{Value, json};

use super::{Params, hash};
use crate::shared::cell::kernel_of;
use crate::shared::lane::{Feed, Lane};
use crate::shared::spikes::bits;
use crate::shared::{area, counter_bits};

/// Bits of the number of an input or a neuron; the template doubles it to 32.
const NUMBER: usize = 16;

fn lane(p: &Params) -> Lane {
    let neuron = p.neuron().expect("the interface was checked");
    Lane::new(&kernel_of(neuron.as_ref()), p.current(), Feed::weights(hash::format(p)))
}

/// A net of `width` bits as the low bits of `to`.
fn padded(net: &str, width: usize, to: usize) -> String {
    if to > width { format!("{{{}'d0, {net}}}", to - width) } else { net.into() }
}

/// The size of a weight, `size` with `width` bits, shifted left in `to` bits.
fn shifted(width: usize, by: usize, to: usize) -> String {
    let below = if by > 0 { format!("{{size, {by}'d0}}") } else { "size".into() };
    padded(&below, width + by, to)
}

pub(super) fn body(p: &Params) -> Body {
    let lane = lane(p);
    let (groups, beats, outer) = (p.groups(), p.beats(), p.outer());
    let width = p.input_lanes.max(p.lanes);
    let (group_bits, bit_bits, beat_bits) = (bits(groups), bits(width), counter_bits(beats));
    let (source_bits, target_bits) = (counter_bits(p.sources()), counter_bits(p.neurons));
    let weight_bits = usize::from(hash::format(p).bits);
    let param_width = p.lanes * lane.param_bits();
    let params: Vec<String> = (0..groups).map(|g| lane.param_word(g * p.lanes..(g + 1) * p.lanes)).collect();
    let param_word = params[0].clone();
    let mut memories = Vec::new();
    if param_width > 0 && groups > 1 {
        memories.push(Memory::constant("param", param_width, params));
    }
    let before = |beat: usize| (beat + (1 << beat_bits) - 2) % (1 << beat_bits);
    let size_bits = p.magnitude_bits + 1;
    // A group's neurons are counted where their numbers are not made of its number and the lane's.
    let (counted, lane_bits) = (groups > 1 && !p.lanes.is_power_of_two(), bits(p.lanes));
    let targets: Vec<Value> = (0..p.lanes)
        .map(|n| {
            let number = match (groups, lane_bits) {
                (1, _) => format!("{target_bits}'d{n}"),
                (_, 0) if !counted => "group1_q".into(),
                _ if counted => format!("first1_q + {target_bits}'d{n}"),
                _ => format!("{{group1_q, {lane_bits}'d{n}}}"),
            };
            let word = padded(&format!("target_{n}"), target_bits, NUMBER);
            let (lo, hi) = (n * weight_bits, (n + 1) * weight_bits - 1);
            json!({"n": n, "number": number, "word": word, "lo": lo, "hi": hi})
        })
        .collect();
    let context = json!({
        "neurons": p.neurons, "lanes": p.lanes, "groups": groups, "group_bits": group_bits,
        "input_lanes": p.input_lanes, "width": width, "bit_bits": bit_bits, "beat_bits": beat_bits,
        "source_bits": source_bits, "target_bits": target_bits, "weight_bits": weight_bits,
        "external": padded("s_axis_x_tdata", p.input_lanes, width),
        "own": padded("previous", p.lanes, width), "seed": format!("{:08x}", p.seed),
        "source_index": padded("bit_index", bit_bits, source_bits),
        "source": padded("source_q", source_bits, NUMBER),
        "density": p.density, "recurrent_density": p.recurrent_density, "positive": p.positive,
        "magnitude_bits": p.magnitude_bits, "size_bits": size_bits,
        "used_bits": NUMBER + p.magnitude_bits,
        "by_input": shifted(size_bits, p.input_shift, weight_bits),
        "by_neuron": shifted(size_bits, p.recurrent_shift, weight_bits),
        "targets": targets, "counted": counted, "before_last_beat": before(beats), "before_inner": before(outer),
        "previous_from": (outer - 1) % (1 << group_bits), "word": p.lanes * lane.state_bits(),
        "connections": (0..p.lanes).map(|n| lane.connections(n)).collect::<Vec<_>>(),
        "result_width": p.lanes, "param_width": param_width, "param_word": param_word,
        "weight_width": p.lanes * weight_bits,
    });
    Body::Template(Box::new(Template {
        text: include_str!("reservoir.v.tera"),
        context,
        memories,
        kernels: vec![("lane", lane.kernel)],
        timing: Timing::Pipeline { depth: 2, prologue: groups as u32 },
    }))
}

pub(super) fn cost(p: &Params, t: &Target) -> Area {
    let lane = lane(p);
    let width = p.input_lanes.max(p.lanes);
    // Three rounds a lane, of the last one only the bits that are read; a round is one lookup table a bit.
    let weight_bits = usize::from(hash::format(p).bits);
    let hash = area(2 * 32 + 17 + p.magnitude_bits + 8 + 3 * weight_bits, weight_bits);
    let ram = |width: usize| match p.groups() {
        1 => area(0, width),
        groups => area((width * groups.div_ceil(32) * 2).div_ceil(3), 0),
    };
    let memory = ram(p.lanes * (lane.state_bits() + 1));
    let control = area(120 + 3 * width, 60 + width + p.lanes);
    (lane.kernel.area(t) + hash) * p.lanes + control + memory
}
