//! The hardware of `engine/spiking_conv`: the lane with its bias, and the template's numbers.

use nervure_core::block::{Area, Body, Memory, Template};
use nervure_core::kernel::{Builder, Expr, Kernel, Op, ValueId};
use nervure_core::{QType, Target, Timing};
use serde_json::{Value, json};

use super::memories::{Table, bits, constants, in_address, weights};
use super::{Layout, Params, Sharing, Values};
use crate::shared::area;
use crate::shared::cell::kernel_of;
use crate::shared::lane::{Feed, Lane};

/// Memories of more words than this go to block RAM on every target.
const LUT_RAM_WORDS: usize = 64;

/// Cycles for an event of each input element; one that reaches no output still takes its cycle.
pub(super) fn cycles(p: &Params) -> Vec<usize> {
    let taps = |n: usize| {
        let a = p.axis(n);
        (0..a.extent).map(|at| a.taps(at).len()).collect::<Vec<_>>()
    };
    let mut cycles = vec![0; p.input.len()];
    for (y, down) in taps(0).iter().enumerate() {
        for (x, across) in taps(1).iter().enumerate() {
            for c in 0..p.map()[2] {
                cycles[p.at(y, x, c)] = (down * across * p.group_slices()).max(1);
            }
        }
    }
    cycles
}

/// Whether an event may begin in the word in which the one before ended, or a pass where an event did, a cycle later.
///
/// Events of different beats lie further apart; an event of several words begins and ends in different ones.
fn collides(p: &Params) -> bool {
    let taps = |n: usize| (0..p.axis(n).extent).map(|at| p.axis(n).taps(at)).collect::<Vec<_>>();
    let (down, across) = (taps(0), taps(1));
    let single = |all: &[Vec<(usize, usize)>]| all.iter().any(|t| t.len() == 1);
    if p.group_slices() > 1 || p.words() == 1 || !single(&down) {
        return false;
    }
    // In one row of outputs, neighbours in a beat of one channel may share a column.
    let beat = if p.layout == Layout::Chw { p.input_lanes } else { 1 };
    let meet = |x: &[Vec<(usize, usize)>]| {
        let mut ends = x.iter().enumerate().filter_map(|(n, t)| Some((n, t.last()?.0)));
        ends.any(|(n, end)| x[n + 1..].iter().any(|t| t.first().is_some_and(|t| t.0 == end)))
    };
    single(&across) || across.chunks(beat).any(meet)
}

/// The neuron with the bias added to its current, behind the sum of state and current where there is one: so the lane
/// still finds that sum, and adds weights to it.
fn biased(neuron: &Kernel, bias: &[i64], frac: i8) -> Kernel {
    let find = |wanted: Op| neuron.values.iter().position(|v| v.op == wanted).map(|i| ValueId(i as u32));
    let input = find(Op::Input(0)).expect("a neuron reads its current");
    let readers = |id: ValueId| -> Vec<ValueId> {
        let reads = |i: &usize| neuron.values[*i].op.operands().any(|o| o == id);
        (0..neuron.values.len()).filter(reads).map(|i| ValueId(i as u32)).collect()
    };
    let k = Builder::new();
    let port = &neuron.inputs[0];
    let current = k.input(&port.name, port.format);
    let bias = k.param("bias", frac, bias.to_vec());
    let states: Vec<Expr<'_>> =
        neuron.states.iter().map(|s| k.state(&s.port.name, s.port.format, s.reset)).collect();
    let mut given: Vec<(ValueId, Expr<'_>)> = Vec::new();
    for (n, param) in neuron.params.iter().enumerate() {
        let constant = k.param(&param.port.name, param.port.format.frac, param.values.clone());
        given.extend(find(Op::Param(n as u16)).map(|id| (id, constant)));
    }
    for (n, state) in states.iter().enumerate() {
        given.extend(find(Op::State(n as u16)).map(|id| (id, *state)));
    }
    let within = |e, id: ValueId| k.promise(e, neuron.value(id).range.lo, neuron.value(id).range.hi);
    let scaled = match readers(input)[..] {
        [only] if matches!(neuron.value(only).op, Op::Shl(..)) => only,
        _ => input,
    };
    let sum = match (readers(scaled).as_slice(), find(Op::State(0))) {
        (&[sum], Some(state)) => match neuron.value(sum).op {
            Op::Add(a, b) if (a, b) == (state, scaled) || (a, b) == (scaled, state) => Some(sum),
            _ => None,
        },
        _ => None,
    };
    given.push(match sum {
        Some(sum) => (sum, within(states[0] + current + bias, sum)),
        None => (input, within(current + bias, input)),
    });
    let (outputs, next) = k.inline(neuron, &given);
    // What the neuron promises of its values holds here, too.
    let in_format = |e, q: QType| k.promise(e, q.min().into(), q.max().into());
    for ((state, next), s) in states.iter().zip(next).zip(&neuron.states) {
        k.set(*state, in_format(next, s.port.format));
    }
    for ((port, _), out) in neuron.outputs.iter().zip(outputs) {
        k.output_as(&port.name, port.format, in_format(out, port.format));
    }
    k.finish()
}

/// The lane that this engine has `lanes` of.
pub(super) fn lane(p: &Params) -> Lane {
    let neuron = kernel_of(p.neuron().expect("the interface was checked").as_ref());
    let neuron = match &p.bias {
        Some(bias) => biased(&neuron, &bias.data, p.current().frac),
        None => neuron,
    };
    let feed = Feed {
        value: (p.values() == Values::Multiply).then_some(p.input.format),
        shared: p.sharing == Sharing::Adder,
        ..Feed::weights(p.weight_format)
    };
    let lane = Lane::new(&neuron, p.current(), feed);
    // A second change would read what the first has not yet written.
    if lane.changes > 1 { Lane::new(&neuron, p.current(), Feed { shared: false, ..feed }) } else { lane }
}

/// A counter of the beat at hand: its name, how many it counts, and the names of its counter within a beat's elements.
fn positions(p: &Params) -> Vec<(&'static str, usize)> {
    let [height, width, channels] = p.map();
    match p.layout {
        Layout::Hwc => vec![("c", channels / p.input_lanes), ("x", width), ("y", height)],
        Layout::Chw => vec![("x", width / p.input_lanes), ("y", height), ("c", channels)],
    }
}

/// How one axis of the element at hand is addressed: as Verilog, and the position of each address.
fn address(p: &Params, name: &str) -> (String, Vec<usize>) {
    let counted = positions(p).into_iter().find(|(n, _)| *n == name).expect("every axis is counted").1;
    let within = name == if p.layout == Layout::Hwc { "c" } else { "x" };
    let lanes = if within { p.input_lanes } else { 1 };
    let lane_bits = bits(lanes);
    let parts: Vec<String> = [(counted > 1, format!("{name}_q")), (lane_bits > 0, "lane".into())]
        .into_iter()
        .filter_map(|(used, part)| used.then_some(part))
        .collect();
    let of = |at: usize| {
        let (high, low) = (at >> lane_bits, at % (1 << lane_bits));
        if low < lanes { high * lanes + low } else { usize::MAX }
    };
    let list = (0..counted << lane_bits).map(of).collect();
    (if parts.len() > 1 { format!("{{{}}}", parts.join(", ")) } else { parts.concat() }, list)
}

/// Names of a counter of `n` things: its bits, its highest bit, its last value.
fn index(n: usize) -> Value {
    json!({"bits": bits(n), "top": bits(n).max(1) - 1, "last": n - 1})
}

/// `terms`, each with its bits, added at a width of `to` bits.
fn sum(terms: &[(&str, usize)], to: usize) -> String {
    let wide = |(name, bits): &(&str, usize)| match to - bits {
        0 => (*name).to_owned(),
        more => format!("{{{more}'d0, {name}}}"),
    };
    if terms.is_empty() { format!("{to}'d0") } else { terms.iter().map(wide).collect::<Vec<_>>().join(" + ") }
}

pub(super) fn body(p: &Params) -> Body {
    let lane = lane(p);
    let [down, across] = [p.axis(0), p.axis(1)];
    let [_, out_width, _] = p.out();
    let (slices, group_slices, words) = (p.slices(), p.group_slices(), p.words());
    let row = across.kernel * group_slices;

    let [(y_at, ys), (x_at, xs), (c_at, cs)] = ["y", "x", "c"].map(|n| address(p, n));
    let mut tables = vec![
        (y_at, Table::axis("y", down, &ys, out_width * slices, row)),
        (x_at, Table::axis("x", across, &xs, slices, group_slices)),
    ];
    tables.push((c_at.clone(), Table::channels(p, &cs)));
    let side_by_side = in_address(p, &cs);
    let weights = weights(p, side_by_side);
    // What `tap_q` counts, and what stands beside it.
    let (taps, beside) = if side_by_side { (p.rows(), cs.len()) } else { (p.rows() * p.map()[2], 1) };
    let (word_bits, tap_bits, channel_bits) = (bits(words), bits(taps), bits(beside));
    let fields: Vec<(&str, usize)> =
        tables.iter().flat_map(|(_, t)| &t.fields).map(|f| (f.name.as_str(), f.bits)).collect();
    let of = |what: &str| -> Vec<(&str, usize)> {
        fields.iter().filter(|(name, _)| name.ends_with(what)).copied().collect()
    };
    let more = |name: &str| fields.iter().find(|(n, _)| *n == format!("{name}_more")).map_or(0, |f| f.1);
    let missed: Vec<&str> = of("_missed").iter().map(|f| f.0).collect();
    let (start, start_tap) = (sum(&of("_base"), word_bits), sum(&of("_tap"), tap_bits));

    let (y_step, y_tap_step) = down.steps();
    let (x_step, x_tap_step) = across.steps();
    let mut ends = Vec::new();
    let mut counters: Vec<Value> = Vec::new();
    for (name, n) in positions(p).into_iter().filter(|(_, n)| *n > 1) {
        let inner = ends.join(" & ");
        counters.push(json!({"name": name, "count": index(n), "inner": inner}));
        ends.push(format!("{name}_end"));
    }
    let row_address: Vec<&str> = [(tap_bits > 0, "tap_q"), (channel_bits > 0, "channel_q")]
        .into_iter()
        .filter_map(|(used, name)| used.then_some(name))
        .collect();
    let row_address =
        if row_address.is_empty() { "1'd0".into() } else { format!("{{{}}}", row_address.join(", ")) };
    let position_end = if ends.is_empty() { "1'b1".into() } else { ends.join(" & ") };
    let mut at = 0;
    let parts: Vec<Value> = weights
        .iter()
        .map(|m| {
            let lo = at;
            at += m.width;
            json!({"name": m.name, "lo": lo, "hi": at - 1})
        })
        .collect();
    let constants = constants(p, &lane);
    let depth = constants.words.len();
    // Where slices are a power of two, the low bits of a word's address are its slice.
    let (constant_index, count) = match depth {
        1 => (String::new(), false),
        n if n == words => ("word_q".into(), false),
        n if n.is_power_of_two() => (format!("word_q[{}:0]", bits(n) - 1), false),
        _ => ("index_q".into(), true),
    };
    let element = p.input.format.bits as usize;
    let table_json: Vec<Value> = tables
        .iter()
        .filter(|(_, t)| !t.fields.is_empty())
        .map(|(at, t)| {
            let fields: Vec<Value> = t
                .fields
                .iter()
                .map(|f| json!({"name": f.name, "lo": f.lo, "hi": f.lo + f.bits - 1, "top": f.bits - 1}))
                .collect();
            json!({"name": t.memory.name, "address": at, "fields": fields, "width": t.memory.width,
                "single": t.memory.words.len() == 1, "word": t.memory.words[0]})
        })
        .collect();
    let context = json!({
        "lanes": p.lanes, "input_lanes": p.input_lanes, "lane": index(p.input_lanes), "element": element,
        "multiply": p.values() == Values::Multiply,
        "values": p.input_lanes * element, "map": p.out(), "slices": slices, "words": index(words),
        "taps": index(taps), "slice": index(group_slices), "channels": index(beside), "channel": c_at,
        "x_more": index(1 << more("x")), "y_more": index(1 << more("y")),
        "x_step": x_step * slices - (group_slices - 1), "y_step": y_step * out_width * slices,
        "x_tap_step": x_tap_step * group_slices - (group_slices - 1), "y_tap_step": y_tap_step * row,
        "missed": missed, "start": start, "start_tap": start_tap, "counters": counters,
        "position_end": position_end, "row_address": row_address, "tables": table_json,
        "parts": parts, "weight_width": at, "forward": collides(p),
        "block": words > LUT_RAM_WORDS, "word": p.lanes * lane.state_bits(),
        "result_width": p.lanes * usize::from(lane.output.bits),
        "connections": (0..p.lanes).map(|n| lane.connections(n)).collect::<Vec<_>>(),
        "constant_width": constants.width, "constant_word": constants.words[0],
        "constant_index": constant_index, "index_count": count, "phased": lane.changes == 1, "index": index(depth),
    });
    let mut memories: Vec<Memory> = weights;
    let used = tables.into_iter().map(|(_, t)| t.memory).filter(|m| m.width > 0 && m.words.len() > 1);
    memories.extend(used);
    if constants.width > 0 && depth > 1 {
        memories.push(constants);
    }
    Body::Template(Box::new(Template {
        text: include_str!("spiking_conv.v.tera"),
        context,
        memories,
        kernels: vec![("lane", lane.kernel)],
        timing: Timing::Pipeline { depth: 1, prologue: words as u32 },
    }))
}

pub(super) fn cost(p: &Params, t: &Target) -> Area {
    let Body::Template(body) = body(p) else { unreachable!("an engine is a template") };
    let word = p.lanes * lane(p).state_bits();
    let block = |bits: usize| Area { bram: bits.div_ceil(t.block_ram_bits) as u32, ..Area::default() };
    let memory = |width: usize, words: usize, rewritten: bool| {
        if words > t.lut_ram_words.max(1) {
            block(width * words)
        } else if rewritten && words > 1 {
            area((width * words.div_ceil(32) * 2).div_ceil(3), width)
        } else {
            area(width * words.div_ceil(64), width)
        }
    };
    let mut sum = body.kernels[0].1.area(t) * p.lanes + memory(word, p.words(), true);
    for m in &body.memories {
        let table = m.name.ends_with("_table");
        sum = sum
            + if table {
                area(m.width * m.words.len().div_ceil(1 << t.lut_inputs).max(1), 0)
            } else {
                memory(m.width, m.words.len(), false)
            };
    }
    let forward = if collides(p) { area(word + 8, word + 1) } else { Area::default() };
    let address = bits(p.words());
    let value = if p.values() == Values::Multiply { 2 * usize::from(p.input.format.bits) } else { 0 };
    sum + forward
        + area(0, value)
        + area(60 + 3 * p.input_lanes + 4 * address, 40 + 2 * p.input_lanes + 4 * address + p.lanes)
}
