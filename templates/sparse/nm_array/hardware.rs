//! The hardware of `sparse/nm_array`: kernels between the registers, the tile memory, and the template's numbers.

use nervure_core::block::{Area, Body, Memory, Template};
use nervure_core::kernel::{Builder, Expr, Kernel};
use nervure_core::num::{Overflow, counter_bits};
use nervure_core::{QType, Target, Timing};
use serde_json::json;

use super::Params;
use super::planes::planes;
use crate::shared::area;
use crate::shared::pattern::Pattern;

fn multiply(x: QType, weight: QType) -> Kernel {
    let k = Builder::new();
    let product = k.input("x", x) * k.input("weight", weight);
    k.output("product", product);
    k.finish()
}

/// Adds the `n` products of a column.
fn sum(term: QType, n: usize) -> Kernel {
    let k = Builder::new();
    let terms: Vec<Expr<'_>> = (0..n).map(|i| k.input(&format!("term{i}"), term)).collect();
    k.output("total", k.reduce(terms, |a, b| a + b));
    k.finish()
}

/// The end of the pipeline: what is held, or the bias, plus the sum of a block.
fn accumulate(p: &Params, sum: QType, format: QType, bias: Option<QType>) -> Kernel {
    let k = Builder::new();
    let held = (p.blocks() > 1).then(|| (k.input("first", QType::unsigned(1)), k.input("held", format)));
    let bias = bias.map_or(k.constant(0, format.frac), |b| k.input("bias", b));
    let start = held.map_or(bias, |(first, held)| k.select(first, bias, held).named("start"));
    // The format holds every partial sum, so the bits above it say nothing.
    k.output_as("y", format, (start + k.input("sum", sum)).fit(format, Overflow::Wrap));
    k.finish()
}

/// Format of the only output of `kernel`.
fn format(kernel: &Kernel) -> QType {
    kernel.outputs[0].0.format
}

fn bias_format(p: &Params, frac: i8) -> Option<QType> {
    let data = &p.bias.as_ref()?.data;
    let (lo, hi) = (*data.iter().min()?, *data.iter().max()?);
    (lo != 0 || hi != 0).then(|| QType::holding(lo.into(), hi.into(), frac))
}

/// The combinational parts, in the order of the pipeline: one product, the sum of a column, the accumulation.
fn kernels(p: &Params) -> Vec<(&'static str, Kernel)> {
    let y = p.sum().expect("the interface was checked");
    let mut list = vec![("multiply", multiply(p.input.format, p.weight_format))];
    if p.pattern.n > 1 {
        let term = format(&list[0].1);
        list.push(("sum", sum(term, p.pattern.n)));
    }
    let last = format(&list[list.len() - 1].1);
    list.push(("accumulate", accumulate(p, last, y, bias_format(p, y.frac))));
    list
}

/// Bits of an index into a block.
fn index_bits(m: usize) -> usize {
    if m > 1 { counter_bits(m) } else { 0 }
}

/// Word `{block, group}` is a tile: for each column and slot `{index, value}`.
fn tiles(p: &Params) -> Memory {
    let Pattern { n, m } = p.pattern;
    let planes = planes(&p.weights, p.pattern);
    let bits = p.weight_format.bits as usize;
    let slot = |block: usize, column: usize, slot: usize| {
        let at = (block * n + slot) * p.outputs() + column;
        planes.index[at] << bits | planes.values[at] & ((1 << bits) - 1)
    };
    let mut words: Vec<Vec<i64>> = Vec::new();
    for block in 0..p.blocks() {
        for group in 0..p.groups() {
            let columns = group * p.columns..(group + 1) * p.columns;
            words.push(
                columns.flat_map(|c| (0..n).map(move |s| (c, s))).map(|(c, s)| slot(block, c, s)).collect(),
            );
        }
    }
    Memory::pack("tile", bits + index_bits(m), words.iter().map(Vec::as_slice))
}

/// An address made of counters, most significant first: the expression, its bits, and the words it reaches.
///
/// A counter of one state has no bits and no name.
fn address(fields: &[(&str, usize)]) -> (String, usize, usize) {
    let used: Vec<_> = fields.iter().filter(|(_, n)| *n > 1).collect();
    let bits = used.iter().map(|(_, n)| counter_bits(*n)).sum();
    let last = used.iter().fold(0, |at, (_, n)| (at << counter_bits(*n)) + n - 1);
    let names: Vec<&str> = used.iter().map(|(name, _)| *name).collect();
    let text = if names.len() == 1 { names[0].into() } else { format!("{{{}}}", names.join(", ")) };
    (text, bits, last + 1)
}

pub(super) fn body(p: &Params) -> Body {
    let Pattern { n, m } = p.pattern;
    let (rows, blocks, groups) = (p.rows(), p.blocks(), p.groups());
    let lanes = p.lanes(p.inputs());
    let (x_bits, index_bits) = (p.input.format.bits as usize, index_bits(m));
    let y = p.sum().expect("the interface was checked");
    let kernels = kernels(p);
    let depth = kernels.len() + 1;
    let counter = |name: &str, count: usize| {
        json!({"name": name, "count": count, "bits": counter_bits(count), "top": counter_bits(count) - 1,
            "last": count - 1})
    };
    let mut memories = vec![tiles(p)];
    let bias = bias_format(p, y.frac);
    let mut bias_word = String::new();
    if let (Some(format), Some(bias)) = (bias, &p.bias) {
        let memory = Memory::pack("bias", format.bits.into(), bias.data.chunks(p.columns));
        bias_word.clone_from(&memory.words[0]);
        if groups > 1 {
            memories.push(memory);
        }
    }
    let (cell, cell_bits, cells) = address(&[("row_q", rows), ("group_q", groups)]);
    let (place, _, places) = address(&[("row_q", rows), ("block_q", blocks)]);
    let choices: Vec<_> = (1..m)
        .map(|i| json!({"index": format!("{index_bits}'d{i}"), "hi": (i + 1) * x_bits - 1, "lo": i * x_bits}))
        .collect();
    let (total, total_kernel) = &kernels[kernels.len() - 2];
    let terms: Vec<_> = total_kernel.inputs.iter().map(|port| &port.name).collect();
    let tail = (p.inputs() - (blocks - 1) * m) / lanes;
    let context = json!({
        "outputs": p.outputs(), "inputs": p.inputs(), "n": n, "m": m, "columns": p.columns, "lanes": lanes,
        "rows": rows, "blocks": blocks, "groups": groups, "parts": m / lanes, "last_part": m / lanes - 1,
        "tail": tail, "tail_part": tail - 1, "ragged": tail < m / lanes,
        "row": counter("row", rows), "block_counter": counter("block", blocks), "group": counter("group", groups),
        "tile": counter("tile", blocks * groups),
        "cell": cell, "cell_bits": cell_bits, "cell_top": cell_bits.saturating_sub(1), "last_cell": cells - 1,
        "place": place, "places": places, "last_place": places - 1,
        "x_bits": x_bits, "weight_bits": p.weight_format.bits, "index_bits": index_bits, "choices": choices,
        "product_bits": format(&kernels[0].1).bits, "y_bits": y.bits,
        "total": if n > 1 { *total } else { "product" }, "total_bits": format(total_kernel).bits, "terms": terms,
        "bias_bits": bias.map_or(0, |b| b.bits), "bias_word": bias_word, "bias_width": p.columns * bias.map_or(0, |b| b.bits as usize),
        "bias_lo": (depth - 2) * cell_bits, "bias_hi": (depth - 2) * cell_bits + counter_bits(groups) - 1,
        "depth": depth,
    });
    Body::Template(Box::new(Template {
        text: include_str!("nm_array.v.tera"),
        context,
        memories,
        kernels,
        timing: Timing::Pipeline { depth: depth as u32, prologue: 0 },
    }))
}

/// Yosys gives a multiplier to products of 9 bits and more of operands of 2 bits and more.
pub(super) fn cost(p: &Params, t: &Target) -> Area {
    let Pattern { n, m } = p.pattern;
    let list = kernels(p);
    let (x, w) = (p.input.format.bits as usize, p.weight_format.bits as usize);
    let (product, y) = (format(&list[0].1).bits as usize, format(&list[list.len() - 1].1).bits as usize);
    let hard = t.multiplier_bits[0] > 0 && product >= 9 && x > 1;
    // A hard multiplier has its own registers.
    let multiplier = if hard { list[0].1.area(t) } else { area(x * w + x.max(w), x + w + product) };
    let mut column = list[list.len() - 1].1.area(t) + area(0, y);
    if n > 1 {
        column = column + list[1].1.area(t) + area(0, format(&list[1].1).bits as usize);
    }
    let (cells, tiles) = (p.rows() * p.groups(), p.blocks() * p.groups());
    let counters = counter_bits(cells * p.blocks()) + counter_bits(tiles);
    (multiplier + area(x * (m - 1).div_ceil(3), 0)) * (n * p.columns)
        + column * p.columns
        + if cells > 1 { memory(cells, p.columns * y, 0, t) } else { area(0, p.columns * y) }
        + rom(tiles, p.columns * n * (w + index_bits(m)), t)
        + memory(p.rows() * p.blocks(), m * x, 1, t)
        + area(2 * counters + 20, 2 * counters + 3 * list.len() + 8)
}

/// The tile memory and its register.
fn rom(words: usize, width: usize, t: &Target) -> Area {
    match words {
        1 => Area::default(),
        _ if words <= t.lut_ram_words => {
            area((width * words).div_ceil(16).min(width * words.div_ceil(64)), width)
        }
        _ => Area { bram: (words * width).div_ceil(t.block_ram_bits) as u32, ..Area::default() },
    }
}

/// A memory that is written and read at two addresses, with `registers` behind it.
///
/// Without one it cannot be a block RAM.
fn memory(words: usize, width: usize, registers: usize, t: &Target) -> Area {
    if words == 1 {
        area(0, 2 * width)
    } else if t.lut_ram_words > 1 && (registers == 0 || words <= t.lut_ram_words) {
        // Four lookup tables hold 64 words of 3 bits.
        area(4 * width.div_ceil(3) * words.div_ceil(64), width * registers)
    } else if registers == 0 {
        area(words * width, words * width)
    } else {
        Area { bram: (words * width).div_ceil(t.block_ram_bits) as u32, ..Area::default() }
    }
}
