//! The hardware of `pool/sum2d`: counters along each axis, the memory of open sums, and the template's numbers.

use nervure_core::block::{Area, Body, Template};
use nervure_core::kernel::{Builder, Kernel};
use nervure_core::num::Overflow;
use nervure_core::{Target, Timing};
use serde_json::{Value, json};

use super::{Axis, Params};
use crate::shared::{area, counter_bits};

/// Memories of more words than this go to block RAM on every target.
const LUT_RAM_WORDS: usize = 64;

/// Bits of a counter that counts `n` things; none for one thing.
fn bits(n: usize) -> usize {
    if n > 1 { counter_bits(n) } else { 0 }
}

/// A sum that grows by one element.
fn add(p: &Params) -> Kernel {
    let k = Builder::new();
    let total = k.input("held", p.sum()) + k.input("x", p.input.format);
    // The format holds the sum of a whole window, so the bits above it say nothing.
    k.output_as("total", p.sum(), total.fit(p.sum(), Overflow::Wrap));
    k.finish()
}

/// Words of open sums: one per window of a row and beat of a pixel; windows of one row need but one at a time.
fn words(p: &Params) -> (usize, usize) {
    let across = if p.kernel[0] > 1 { p.axis(1).windows() } else { 1 };
    (across, p.beats())
}

/// Whether a sum has to be kept at all.
fn keeps(p: &Params) -> bool {
    p.kernel != [1, 1] || p.trailing()
}

/// The conditions that say something, joined; those that always hold are empty.
fn all<'a>(terms: impl IntoIterator<Item = &'a String>) -> String {
    let terms: Vec<&str> = terms.into_iter().map(String::as_str).filter(|t| !t.is_empty()).collect();
    if terms.is_empty() { "1'b1".into() } else { terms.join(" & ") }
}

/// What is to be known of one axis: the position in a window (`phase`) and the number of the window (`index`).
struct Counters {
    json: Value,
    /// Inside a window; at its first position; at its last; in the last window.
    used: Vec<String>,
    first: String,
    full: String,
    last_window: String,
}

fn counters(name: &str, a: Axis) -> Counters {
    let indices = a.extent.div_ceil(a.stride);
    let (phase, index) = (bits(a.stride.min(a.extent)), bits(indices));
    let is = |what: &str, width: usize, value: usize| {
        if width == 0 { String::new() } else { format!("({name}_{what}_q == {width}'d{value})") }
    };
    let end = all(&[is("index", index, indices - 1), is("phase", phase, (a.extent - 1) % a.stride)]);
    let mut used = Vec::new();
    if a.extent.min(a.stride) > a.kernel {
        used.push(format!("({name}_phase_q < {phase}'d{})", a.kernel));
    }
    if indices > a.windows() {
        used.push(format!("({name}_index_q != {index}'d{})", a.windows()));
    }
    let json = json!({
        "name": name, "phase_bits": phase, "index_bits": index,
        "phase_top": phase.max(1) - 1, "index_top": index.max(1) - 1,
        "next": if index > 0 && phase > 0 {
            format!("({name}_end | {})", is("phase", phase, a.stride - 1))
        } else {
            format!("{name}_end")
        },
        "end": end, "kernel": a.kernel, "windows": a.windows(),
    });
    let [first, full] = [0, a.kernel - 1].map(|at| is("phase", phase, at));
    Counters { json, used, first, full, last_window: is("index", index, a.windows() - 1) }
}

pub(super) fn body(p: &Params) -> Body {
    let [down, across] = p.axes();
    let (columns, beats) = words(p);
    let (column_bits, beat_bits) = (bits(columns), bits(beats));
    let index_bits = bits(across.extent.div_ceil(across.stride));
    // Dropped columns lie behind the last window, whose number is needed where the last sum waits for them.
    let column = match (column_bits, p.trailing()) {
        (0, _) => None,
        (n, true) => Some(format!("(tensor_end ? {n}'d{} : x_index_q[{}:0])", columns - 1, n - 1)),
        (n, false) if n < index_bits => Some(format!("x_index_q[{}:0]", n - 1)),
        _ => Some("x_index_q".into()),
    };
    let address: Vec<String> = column.into_iter().chain((beat_bits > 0).then(|| "beat_q".into())).collect();
    let depth = 1 << (column_bits + beat_bits);
    let (x_bits, sum_bits) = (p.input.format.bits as usize, p.sum().bits as usize);
    let part = |lane: usize, bits: usize| format!("[{}:{}]", (lane + 1) * bits - 1, lane * bits);
    let lanes: Vec<Value> =
        (0..p.input_lanes).map(|n| json!({"x": part(n, x_bits), "sum": part(n, sum_bits)})).collect();
    let (x, y) = (counters("x", across), counters("y", down));
    let both = |of: &dyn Fn(&Counters) -> String| all(&[of(&x), of(&y)]);
    let context = json!({
        "axes": [x.json, y.json], "first": both(&|a| a.first.clone()), "full": both(&|a| a.full.clone()),
        "used": all(x.used.iter().chain(&y.used)), "last_window": both(&|a| a.last_window.clone()),
        "channels": p.channels(),
        "beats": beats, "beat_bits": beat_bits, "beat_top": beat_bits.max(1) - 1, "last_beat": beats - 1,
        "x_width": p.input_lanes * x_bits, "word": p.input_lanes * sum_bits, "lanes": lanes,
        "keeps": keeps(p), "trailing": p.trailing(), "address": address.join(", "),
        "address_bits": column_bits + beat_bits, "address_top": (column_bits + beat_bits).max(1) - 1,
        "last_word": depth - 1, "block": depth > LUT_RAM_WORDS, "forward": beats == 1 && depth > 1,
    });
    Body::Template(Box::new(Template {
        text: include_str!("sum2d.v.tera"),
        context,
        memories: Vec::new(),
        kernels: if keeps(p) { vec![("add", add(p))] } else { Vec::new() },
        timing: Timing::Pipeline { depth: 1, prologue: 0 },
    }))
}

pub(super) fn cost(p: &Params, t: &Target) -> Area {
    let (columns, beats) = words(p);
    let depth = 1 << (bits(columns) + bits(beats));
    let word = p.input_lanes * p.sum().bits as usize;
    let counters: usize =
        p.axes().iter().map(|a| bits(a.stride) + bits(a.extent.div_ceil(a.stride))).sum::<usize>()
            + bits(beats);
    let x_width = p.input_lanes * p.input.format.bits as usize;
    let control = area(2 * counters + 12, counters + x_width + word + 8);
    if !keeps(p) {
        return control;
    }
    let memory = if depth == 1 {
        area(0, word)
    } else if depth > LUT_RAM_WORDS {
        Area { bram: (word * depth).div_ceil(t.block_ram_bits) as u32, ..Area::default() }
    } else if t.lut_ram_words < 2 {
        area(depth * word, depth * word)
    } else {
        area(word.div_ceil(6) * 4 * depth.div_ceil(32), word)
    };
    let forward = if beats == 1 && depth > 1 { area(word, word) } else { Area::default() };
    add(p).area(t) * p.input_lanes + control + memory + forward + area(word, 0)
}
