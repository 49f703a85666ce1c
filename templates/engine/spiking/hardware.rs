//! The hardware of `engine/spiking`: numbers and nets for its template.

use nervure_core::block::{Area, Body, Memory, Template, hex};
use nervure_core::{QType, Target, Timing};
use serde_json::{Value, json};

use super::{Params, Sharing, Values, mask, rows};
use crate::shared::cell::kernel_of;
use crate::shared::lane::{Feed, Lane};
use crate::shared::{area, counter_bits};

/// The lane that this engine has `lanes` of.
pub(super) fn lane(p: &Params) -> Lane {
    let neuron = p.neuron().expect("the interface was checked");
    let element = p.element();
    let feed = Feed {
        value: (p.values() == Values::Multiply).then_some(element),
        pair: p.events == 2,
        clear: p.groups() > 1,
        shared: p.sharing != Some(Sharing::Off),
        ..Feed::weights(p.weight_format)
    };
    Lane::new(&kernel_of(neuron.as_ref()), p.current(), feed)
}

/// `count` elements of `from` in `net`, as `width` elements of `to`: extended, and zero above.
fn widened(net: &str, count: usize, from: QType, width: usize, to: QType) -> String {
    let (own, bits) = (usize::from(from.bits), usize::from(to.bits));
    let extra = bits - own;
    let mut parts: Vec<String> = Vec::new();
    if width > count {
        parts.push(format!("{}'d0", (width - count) * bits));
    }
    if extra == 0 {
        parts.push(net.into());
    } else {
        for e in (0..count).rev() {
            let (lo, hi) = (e * own, e * own + own - 1);
            parts.push(if from.signed {
                format!("{{{extra}{{{net}[{hi}]}}}}")
            } else {
                format!("{extra}'d0")
            });
            parts.push(if own == 1 { format!("{net}[{lo}]") } else { format!("{net}[{hi}:{lo}]") });
        }
    }
    if parts.len() == 1 { parts.remove(0) } else { format!("{{{}}}", parts.join(", ")) }
}

/// What is loaded instead of a beat from the stream: by number of the beat before, and otherwise.
fn inner_words(p: &Params, output: QType, beat_bits: usize) -> (Vec<Value>, String) {
    let (width, element) = (p.width(), p.element());
    let bits = width * usize::from(element.bits);
    let active = |chosen: &dyn Fn(bool) -> bool, rows: &[rows::Constant]| {
        let word: Vec<i64> = rows.iter().map(|c| if chosen(c.later) { c.value } else { 0 }).collect();
        let any = word.iter().any(|v| *v != 0);
        any.then(|| format!("{bits}'h{}", hex(&word, element.bits.into())))
    };
    let constants = p.constants();
    let words = constants.chunks(width).map(|rows| {
        match (active(&|later| !later, rows), active(&|later| later, rows)) {
            (Some(always), None) => always,
            (None, Some(later)) => format!("first_q ? {bits}'d0 : {later}"),
            (Some(always), Some(later)) => format!("{always} | (first_q ? {bits}'d0 : {later})"),
            (None, None) => unreachable!("a beat of constants has one"),
        }
    });
    let before = p.beats() - constants.len().div_ceil(width);
    let at = |beat: usize| format!("{beat_bits}'d{}", (beat + (1 << beat_bits) - 1) % (1 << beat_bits));
    let mut list: Vec<Value> =
        words.enumerate().map(|(n, word)| json!({"at": at(before + n), "word": word})).collect();
    let otherwise = match p.recurrent {
        Some(_) => format!("first_q ? {bits}'d0 : {}", widened("previous", p.lanes, output, width, element)),
        None => list.pop().map_or(String::new(), |c| c["word"].as_str().expect("a text").into()),
    };
    (list, otherwise)
}

pub(super) fn body(p: &Params) -> Body {
    let lane = lane(p);
    let (groups, beats, width, element) = (p.groups(), p.beats(), p.width(), p.element());
    let bits = |n: usize| if n > 1 { counter_bits(n) } else { 0 };
    let (group_bits, bit_bits, beat_bits) = (bits(groups), bits(width), counter_bits(beats));
    let address = |index: &str| {
        let parts = [(beats > 1, "beat_q"), (bit_bits > 0, index), (group_bits > 0, "group_q")];
        let parts: Vec<&str> = parts.into_iter().filter_map(|(used, name)| used.then_some(name)).collect();
        if parts.is_empty() { "1'd0".into() } else { format!("{{{}}}", parts.join(", ")) }
    };
    let mut memories = rows::memories(p, bit_bits, group_bits);
    let mut at = 0;
    let slices: Vec<Value> = memories
        .iter()
        .map(|m| {
            at += m.width;
            json!({"name": m.name, "lo": at - m.width, "hi": at - 1})
        })
        .collect();
    let param_width = p.lanes * lane.param_bits();
    let params: Vec<String> = (0..groups).map(|g| lane.param_word(g * p.lanes..(g + 1) * p.lanes)).collect();
    let param_word = params[0].clone();
    if param_width > 0 && groups > 1 {
        memories.push(Memory::constant("param", param_width, params));
    }
    // A bit for each bit of a group's outputs.
    let neuron = p.neuron().expect("the interface was checked");
    let gate = mask::gate(p, &kernel_of(neuron.as_ref()));
    let gates: Vec<Vec<i64>> = gate.iter().flat_map(|g| g.chunks(p.lanes)).map(<[i64]>::to_vec).collect();
    let spread = |g: &Vec<i64>| -> Vec<i64> {
        g.iter().flat_map(|kept| std::iter::repeat_n(*kept, usize::from(lane.output.bits))).collect()
    };
    let gates: Vec<Vec<i64>> = gates.iter().map(spread).collect();
    let gate_word = gates.first().map_or(String::new(), |g| hex(g, 1));
    if groups > 1 && gate.is_some() {
        memories.push(Memory::pack("gate", 1, gates.iter().map(Vec::as_slice)));
    }
    // What the lanes say, before silenced neurons are held back.
    let connections = |n: usize| -> Vec<[String; 2]> {
        let said = |net: String| if gate.is_some() { net.replacen("result", "said", 1) } else { net };
        lane.connections(n).into_iter().map(|[port, net]| [port, said(net)]).collect()
    };
    let resets: Vec<i64> = (0..p.lanes)
        .flat_map(|_| &lane.fields)
        .flat_map(|f| (0..f.format.bits).map(|b| f.reset >> b & 1))
        .collect();
    let before = |beat: usize| (beat + (1 << beat_bits) - 2) % (1 << beat_bits);
    let outer = p.input.len() / p.input_lanes;
    let (inner, otherwise) = inner_words(p, lane.output, beat_bits);
    let output_bits = usize::from(lane.output.bits);
    // A group fires in one cycle; its output leaves with that or, in parts, in the cycles after; then or meanwhile it changes.
    let phases = 1 + lane.changes.max(if p.chunks() > 1 { p.chunks() } else { 0 });
    let context = json!({
        "lanes": p.lanes, "groups": groups, "group_bits": group_bits, "group_top": (1usize << group_bits) - 1, "input_lanes": p.input_lanes,
        "width": width, "element_bits": element.bits, "pending": width * usize::from(element.bits),
        "bit_bits": bit_bits, "beat_bits": beat_bits, "beats": beats,
        "address": address("bit_index"), "second_address": address("second_index"), "pair": p.events == 2,
        "multiply": p.values() == Values::Multiply,
        "before_last_beat": before(beats), "before_inner": before(outer), "has_inner": beats > outer,
        "external": widened("s_axis_x_tdata", p.input_lanes, p.input.format, width, element),
        "inner": inner, "otherwise": otherwise, "recurrent": p.recurrent.is_some(),
        "later": p.recurrent.is_some() || p.constants().iter().any(|c| c.later),
        "previous_from": (outer - 1) % (1 << group_bits),
        "word": p.lanes * lane.state_bits(), "reset_word": hex(&resets, 1),
        "connections": (0..p.lanes).map(connections).collect::<Vec<_>>(),
        "gated": gate.is_some(), "gate_word": gate_word, "run_time": p.run_time_weights,
        "result_width": p.lanes * output_bits, "changes": lane.changes,
        "chunks": p.chunks(), "chunk_bits": bits(p.chunks()),
        "phases": phases, "phase_bits": bits(phases), "output_width": p.lanes / p.chunks() * output_bits, "param_width": param_width, "param_word": param_word,
        "weight_width": p.lanes * usize::from(p.weight_format.bits), "memories": slices,
    });
    Body::Template(Box::new(Template {
        text: include_str!("spiking.v.tera"),
        context,
        memories,
        kernels: vec![("lane", lane.kernel)],
        timing: Timing::Pipeline { depth: 1, prologue: groups as u32 },
    }))
}

pub(super) fn cost(p: &Params, t: &Target) -> Area {
    let Body::Template(body) = body(p) else { unreachable!("an engine is a template") };
    let (lane, groups) = (lane(p), p.groups());
    let word: usize = body.memories.iter().map(|m| m.width).sum();
    let rows = body.memories[0].words.len();
    let (stored, pending) = (p.lanes * lane.state_bits(), p.width() * usize::from(p.element().bits));
    let output = p.lanes * usize::from(lane.output.bits);
    // A shared adder takes one lookup table a bit, with all that selects what it adds.
    let logic = match lane.changes {
        0 => body.kernels[0].1.area(t),
        _ => area(lane.state_bits() + (p.events - 1) * usize::from(p.weight_format.bits), 0),
    };
    // Finding one event costs two tables an element, finding two costs nine for two.
    let scan = if p.events == 2 { 9 * pending / 2 } else { 2 * pending };
    let parts = if p.chunks() > 1 { output.div_ceil(4) } else { 0 };
    let held = if p.chunks() > 1 { output + output / p.chunks() } else { output };
    let control = area(38 + scan + parts, 22 + pending + held);
    let memory = match groups {
        1 => area(0, stored),
        _ if groups <= t.lut_ram_words => area((stored * groups.div_ceil(32)).div_ceil(2), 0),
        _ => Area { bram: (stored * groups).div_ceil(t.block_ram_bits) as u32, ..Area::default() },
    };
    let weights = if rows <= t.lut_ram_words {
        area(p.events * word * rows.div_ceil(64), p.events * word)
    } else {
        Area { bram: (word * rows).div_ceil(t.block_ram_bits) as u32, ..Area::default() }
    };
    logic * p.lanes + control + memory + weights
}
