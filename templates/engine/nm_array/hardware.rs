//! The hardware of `engine/nm_array`: kernels of a slot, memories, and the template's numbers.

use nervure_core::block::{Area, Body, Memory, Template};
use nervure_core::kernel::{Builder, Expr, Kernel};
use nervure_core::num::{counter_bits, gcd};
use nervure_core::{QType, Target, Timing};
use serde_json::{Value, json};

use super::array::Array;
use super::layer::Stage;
use super::memories::{self, Field, LOOPS, TileBits, Widths};
use super::plan::{self, Program};
use super::{Params, timing};
use crate::shared::area;

fn multiply(x: QType, weight: QType) -> Kernel {
    let k = Builder::new();
    k.output("product", k.input("x", x) * k.input("weight", weight));
    k.finish()
}

/// Adds the sums of a column's chains.
fn total(chain: QType, chains: usize) -> Kernel {
    let k = Builder::new();
    let terms: Vec<Expr<'_>> = (0..chains).map(|i| k.input(&format!("chain_{i}"), chain)).collect();
    k.output("total", k.reduce(terms, |a, b| a + b));
    k.finish()
}

/// Format of the only output of `kernel`.
fn format(kernel: &Kernel) -> QType {
    kernel.outputs[0].0.format
}

/// Format of the sum that comes out of a chain.
fn chain_format(array: &Array, product: QType) -> QType {
    let n = array.chain as i128;
    let range = QType::holding(i128::from(product.min()) * n, i128::from(product.max()) * n, 0);
    QType { signed: true, ..range }
}

fn kernels(array: &Array) -> Vec<(&'static str, Kernel)> {
    let mut list = vec![("multiply", multiply(array.activation, array.weight))];
    if array.chains() > 1 {
        list.push(("total", total(chain_format(array, format(&list[0].1)), array.chains())));
    }
    list
}

/// Verilog for `value` in `bits` bits.
fn literal(value: i64, bits: usize) -> String {
    format!("{bits}'h{:x}", if bits < 64 { value & ((1 << bits) - 1) } else { value })
}

/// The instruction's fields: those that differ lie in a memory, the others are constants.
///
/// Those that the register bus may write all lie in the memory.
fn instruction(p: &Params, fields: &[Field]) -> (Vec<Value>, Option<Memory>) {
    let mut at = 0;
    let mut words = vec![Vec::new(); p.layers.len()];
    let list = fields.iter().map(|f| {
        let same = p.run_time.is_none() && f.values.iter().all(|v| *v == f.values[0]);
        let value = if same {
            literal(f.values[0], f.bits)
        } else {
            for (word, v) in words.iter_mut().zip(&f.values) {
                word.extend((0..f.bits).map(|n| v >> n & 1));
            }
            at += f.bits;
            format!("instruction_q[{}:{}]", at - 1, at - f.bits)
        };
        let signed = ["height", "width", "zero_point", "least", "most"].contains(&f.name);
        json!({"name": f.name, "bits": f.bits, "value": value, "signed": signed})
    });
    let list = list.collect();
    let memory = (at > 0).then(|| memories::instruction(p, fields, &words));
    (list, memory)
}

/// Choices of a multiplexer of `count` parts of `bits` bits, but the first.
fn parts(count: usize, bits: usize) -> Vec<Value> {
    let index = counter_bits(count);
    (1..count)
        .map(|n| json!({"index": format!("{index}'d{n}"), "hi": (n + 1) * bits - 1, "lo": n * bits}))
        .collect()
}

/// What walks over the map: the address, and with padding the position.
fn walkers(bits: &TileBits) -> Vec<Value> {
    let of = |name: &str, width: usize, signed: bool, n: usize| {
        let [one, two, three, four] = LOOPS.map(|l| l[n]);
        let step = format!("end_0 ? (end_1 ? (end_2 ? {four} : {three}) : {two}) : {one}");
        json!({"name": name, "bits": width, "signed": signed, "step": step})
    };
    let mut list = vec![of("granule", bits.granule, false, 1)];
    if bits.down > 0 {
        list.push(of("down", bits.down, true, 2));
        list.push(of("across", bits.across, true, 3));
    }
    list
}

/// The four loops: whether any layer uses them, and what has to end before they go on.
fn loops(program: &Program) -> Vec<Value> {
    let mut inner = String::new();
    (0..4)
        .map(|n| {
            let most = program.list.iter().map(|i| i.loops[n].count).max().unwrap_or(1);
            let text = inner.clone();
            inner += &format!(" & end_{n}");
            json!({"counts": most > 1, "bits": counter_bits(most), "inner": text})
        })
        .collect()
}

fn log2(n: usize) -> usize {
    n.trailing_zeros() as usize
}

/// Half of what a shift drops, in `bits` bits.
fn half(bits: usize, shift: usize) -> String {
    if shift == 1 { format!("{bits}'d1") } else { format!("{{{}'d1, {}'d0}}", bits - shift + 1, shift - 1) }
}

/// `name` in `to` bits, of which it has `from`.
fn widen(name: &str, from: usize, to: usize) -> String {
    match to.checked_sub(from) {
        Some(0) => name.into(),
        Some(more) => format!("{{{more}'d0, {name}}}"),
        None => format!("{name}[{}:0]", to - 1),
    }
}

/// `name`, signed, in `to` bits, of which it has `from`.
fn extend(name: &str, from: usize, to: usize) -> String {
    if to == from {
        name.into()
    } else {
        format!("$signed({{{{{}{{{name}[{}]}}}}, {name}}})", to - from, from - 1)
    }
}

/// Numbers of the way in: lanes, places, and the address in units of lanes.
fn loading(p: &Params, stage: &Stage, array: &Array, word_at_bits: usize) -> Value {
    let (lanes, unit) = array.beat(stage.channels, p.input_lanes);
    let (beats, units) = (stage.channels / lanes, array.word() / unit);
    let places = p.input.len() / stage.channels;
    let (x, bits) = (p.input.format, array.activation.bits as usize);
    let from = x.bits as usize;
    let stored = if array.offset(x) > 0 {
        match from {
            1 => "~element".into(),
            _ => format!("{{~element[{}], element[{}:0]}}", from - 1, from - 2),
        }
    } else if from == bits {
        "element".into()
    } else if x.signed {
        format!("{{{{{}{{element[{}]}}}}, element}}", bits - from, from - 1)
    } else {
        format!("{{{}'d0, element}}", bits - from)
    };
    let low = log2(units);
    let load_bits = word_at_bits + low;
    json!({
        "x_lanes": lanes, "x_unit": unit, "in_bits": from, "stored": stored, "beats": beats, "beat_bits": counter_bits(beats),
        "places": places, "place_bits": counter_bits(places), "skip": array.padded(stage.channels) / unit - beats + 1,
        "load_bits": load_bits, "load_units": units, "load_low": low.saturating_sub(1), "load_one": one("take", units),
        "load_word": format!("load_at_q[{}:{low}]", load_bits - 1),
    })
}

/// `flag` as the lowest of `width` bits.
fn one(flag: &str, width: usize) -> String {
    if width == 1 { flag.into() } else { format!("{{{}'d0, {flag}}}", width - 1) }
}

/// Numbers of the way out: what is given, in units of `finish` and in beats.
fn giving(stages: &[Stage], array: &Array) -> Value {
    let last = &stages[stages.len() - 1];
    let (lanes, bits) = (gcd(last.outputs, array.finish), last.output.format.bits as usize);
    let subs = array.finish / lanes;
    let units = memories::units(array, stages);
    let place_units = last.outputs.div_ceil(array.finish);
    json!({
        "y_lanes": lanes, "y_bits": bits, "y_subs": subs, "sub_bits": counter_bits(subs),
        "sub_choices": parts(subs, lanes * bits), "units": units, "unit_at_bits": counter_bits(units),
        "ragged_units": last.outputs % array.finish / lanes, "place_units": place_units,
        "place_unit_bits": counter_bits(place_units),
    })
}

/// Numbers of the sums and of their end.
fn finishing(p: &Params, stages: &[Stage], array: &Array, program: &Program, widths: &Widths) -> Value {
    let most = |of: &dyn Fn(&plan::Instruction) -> usize| program.list.iter().map(of).max().unwrap_or(1);
    let (pool, places, cells) = (most(&|i| i.pool), most(&|i| i.pixels / i.pool), most(&|i| i.pixels));
    let (cell_bits, pool_bits, part_bits) =
        (counter_bits(cells), counter_bits(pool), counter_bits(array.parts()));
    let scales: usize = stages.iter().map(|s| s.outputs.div_ceil(array.finish)).sum();
    let scale_bits = counter_bits(scales.max(2));
    let (inner, outer) = memories::unit_bits(array, program, stages);
    let store_bits = inner.max(outer);
    let (shift, _) = memories::scales(p);
    let shift = shift as usize;
    // A product, and half of what is dropped.
    let scaled = (widths.sum + widths.multiplier).max(shift + 1) + 1;
    let rounded = (scaled - shift).max(widths.result + 1);
    let scaled = rounded + shift;
    let store_low = log2(array.word() / array.finish);
    json!({
        "cells": cells.max(2), "cell_bits": cell_bits, "max_pool": pool, "pool_bits": pool_bits,
        "in_pool": widen("in_pool_q", pool_bits, cell_bits), "pool_step": widen("last_in_pool", pool_bits, cell_bits),
        "max_places": places, "drain_place_bits": counter_bits(places), "parts": array.parts(), "part_bits": part_bits,
        "part_choices": parts(array.parts(), array.finish * widths.sum),
        "part_scale": widen("part_q", part_bits, scale_bits), "part_wide": widen("part_q", part_bits, store_bits),
        "parts_scale": literal(array.parts() as i64, scale_bits), "parts_store": literal(array.parts() as i64, store_bits),
        "scale_bits": scale_bits, "scale_words": scales.max(2), "store_bits": store_bits,
        "store_units": array.word() / array.finish, "store_low": store_low.saturating_sub(1),
        "store_one": one("store", array.word() / array.finish),
        "store_word": format!("store_at[{}:{store_low}]", inner - 1),
        "finish_bits": widths.sum + widths.multiplier, "multiplier_bits": widths.multiplier,
        "shift": shift, "scaled_bits": scaled, "rounded_bits": rounded, "result_bits": widths.result,
        "half": half(scaled, shift),
        "zero_wide": extend("zero_point", widths.result, rounded + 1),
        "least_wide": extend("least", widths.result, rounded + 1), "most_wide": extend("most", widths.result, rounded + 1),
        "sum_bits": widths.sum, "stages": timing::finish(p.rescales()),
        "gives_sums": p.layers[p.layers.len() - 1].rescale.is_none(),
    })
}

/// Numbers of the array itself.
fn proportions(array: &Array) -> Value {
    let index_bits = memories::index_bits(array);
    let spreads = array.spreads.iter().map(|s| json!({"width": s.width, "share": s.share, "step": s.step}));
    let turn_bits = log2(array.granules);
    let reach = |s: &super::array::Spread| (array.groups() - 1) / s.share * s.step + s.width;
    let used = array.spreads.iter().map(reach).max().expect("there is a layer").min(array.word());
    json!({
        "used": used, "layers": array.feeds.len(), "layer_bits": counter_bits(array.feeds.len()), "rows": array.rows,
        "columns": array.columns, "chain": array.chain, "chains": array.chains(), "group": array.group,
        "groups": array.groups(), "choices": array.choices, "broadcast": array.broadcast, "spans": array.spans(),
        "finish": array.finish, "x_bits": array.activation.bits, "weight_bits": array.weight.bits, "index_bits": index_bits,
        "slot_bits": index_bits + array.weight.bits as usize, "picks": parts(array.choices, array.activation.bits.into()),
        "granule": array.granule, "granules": array.granules, "word": array.word(), "wave": array.words(),
        "sum_at": timing::sum_at(array), "early": timing::early(array), "spreads": spreads.collect::<Vec<_>>(),
        "spread_bits": counter_bits(array.spreads.len()), "turn_bits": turn_bits,
        "turns": (0..turn_bits).map(|n| 1 << n).collect::<Vec<usize>>(),
    })
}

/// Numbers of the way through tiles, groups of columns and windows.
fn walking((program, others): &(Program, Vec<Program>), array: &Array, bits: &TileBits) -> Value {
    let all = || others.iter().chain([program]);
    let tiles = all().map(|p| p.list.iter().map(|i| i.tiles.len()).sum::<usize>()).max().unwrap_or(1);
    let groups = program.list.iter().map(|i| i.groups).max().unwrap_or(1);
    let waves = all().flat_map(|p| &p.list).map(|i| i.groups * i.tiles.len()).max().unwrap_or(1);
    json!({
        "waves_bits": counter_bits(waves + 1), "tile_at_bits": counter_bits(tiles), "max_groups": groups,
        "group_bits": counter_bits(groups), "loops": loops(program), "walkers": walkers(bits),
        "granule_at_bits": bits.granule, "word_at_bits": bits.granule - log2(array.granules),
        "memory_words": program.words, "down_bits": bits.down, "across_bits": bits.across,
        "down_hi": bits.granule + bits.down - usize::from(bits.down > 0),
        "accumulates": all().flat_map(|p| &p.list).any(|i| i.tiles.len() > 1),
    })
}

pub(super) fn body(p: &Params) -> Body {
    let (stages, array) = p.resolved();
    let programs = plan::programs(&stages, &array);
    let (program, _) = &programs;
    let widths = memories::widths(p, &stages, &array);
    let bits = memories::tile_bits(&stages, program, &array);
    let kernels = kernels(&array);
    let product = format(&kernels[0].1);
    let chain = chain_format(&array, product);
    let total = kernels.get(1).map_or(chain, |(_, k)| format(k));
    let (fields, instruction) = instruction(p, &memories::fields(p, &stages, &array, &programs, &widths));
    let weight = memories::weights(p, &stages, &array, &programs);
    let tile = memories::tiles(p, &programs, &bits);
    let terms: Vec<String> = (0..array.chains()).map(|n| format!("chain_{n}")).collect();
    let mut context = json!({
        "product_wide": extend("product_q", product.bits.into(), chain.bits.into()),
        "product_bits": product.bits, "chain_bits": chain.bits, "total_bits": total.bits, "terms": terms,
        "instruction_bits": instruction.as_ref().map_or(0, |m| m.width), "instruction_words": stages.len(), "fields": fields,
        "run_time": p.run_time.is_some(), "weight_words": weight.words.len(), "weight_at_bits": counter_bits(weight.words.len()),
        "tile_words": tile.words.len(), "tile_bits": tile.width,
    });
    let more = [
        proportions(&array),
        walking(&programs, &array, &bits),
        loading(p, &stages[0], &array, log2(program.words)),
        giving(&stages, &array),
        finishing(p, &stages, &array, program, &widths),
    ];
    let all = context.as_object_mut().expect("an object");
    for part in more {
        let Value::Object(part) = part else { unreachable!("an object") };
        all.extend(part);
    }
    let finish = memories::finishing(p, &stages, &array, &widths);
    let memories = [weight, tile, finish].into_iter().chain(instruction).collect();
    Body::Template(Box::new(Template {
        text: include_str!("nm_array.v.tera"),
        context,
        memories,
        kernels,
        timing: Timing::Pipeline { depth: 1, prologue: 0 },
    }))
}

/// Slots by their multiplier and its choice, columns by their sums, the rest by its memories.
pub(super) fn cost(p: &Params, t: &Target) -> Area {
    let (stages, array) = p.resolved();
    let program = plan::program(&stages, &array);
    let widths = memories::widths(p, &stages, &array);
    let kernels = kernels(&array);
    let (x, w) = (array.activation.bits as usize, array.weight.bits as usize);
    let product = format(&kernels[0].1);
    let chain = chain_format(&array, product).bits as usize;
    let hard = t.multiplier_bits[0] > 0 && product.bits >= 9;
    let multiplier = if hard {
        kernels[0].1.area(t) + area(0, 2 * w)
    } else {
        area(x * w + x.max(w) + chain, x + 2 * w + product.bits as usize + chain)
    };
    let slot = multiplier + area(x * (array.choices - 1).div_ceil(3), 2 * memories::index_bits(&array));
    let column = kernels.get(1).map_or(Area::default(), |(_, k)| k.area(t) + area(0, format(k).bits.into()));
    let cells = program.list.iter().map(|i| i.pixels).max().unwrap_or(1);
    let sums = memory(cells, array.columns * widths.sum, t);
    let waves: usize = program.list.iter().map(|i| i.groups * i.tiles.len()).sum();
    let word = array.word() * x;
    let rescaled = widths.multiplier * widths.sum / 2 + 4 * widths.result;
    slot * (array.rows * array.columns)
        + (column + area(widths.sum, 0)) * array.columns
        + sums * 2
        + memory(program.words, word, t)
        + memory(
            memories::units(&array, &stages),
            array.finish * stages[stages.len() - 1].output.format.bits as usize,
            t,
        )
        + memory(
            waves * array.words(),
            array.chains() * array.group * array.columns * (w + memories::index_bits(&array)),
            t,
        )
        + area(rescaled, rescaled) * array.finish
        + area(word * (1 + log2(array.granules)) + array.groups() * array.choices * x, 2 * word)
        + area(300, 300)
}

/// A memory with a register behind it.
fn memory(words: usize, width: usize, t: &Target) -> Area {
    if words <= t.lut_ram_words {
        area(4 * width.div_ceil(3) * words.div_ceil(64), width)
    } else {
        Area { bram: (words * width).div_ceil(t.block_ram_bits) as u32, ..Area::default() }
    }
}
