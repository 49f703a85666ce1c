//! The hardware of `engine/folded`: kernels between the registers, constant memories, and the template's numbers.

use nervure_core::block::{Area, Body, Memory, Template};
use nervure_core::kernel::{Builder, Expr, Kernel};
use nervure_core::num::{Overflow, counter_bits};
use nervure_core::{QType, Target, Timing};
use serde_json::json;

use super::{Fan, Params};
use crate::shared::area;

/// Names of the stages of sums; 2^24 inputs need at most this many.
const SUMS: [&str; 24] = [
    "sum0", "sum1", "sum2", "sum3", "sum4", "sum5", "sum6", "sum7", "sum8", "sum9", "sum10", "sum11",
    "sum12", "sum13", "sum14", "sum15", "sum16", "sum17", "sum18", "sum19", "sum20", "sum21", "sum22",
    "sum23",
];

fn multiply(x: QType, weight: QType) -> Kernel {
    let k = Builder::new();
    let product = k.input("x", x) * k.input("weight", weight);
    k.output("product", product);
    k.finish()
}

/// Adds `n` equal terms.
fn sum(term: QType, n: usize) -> Kernel {
    let k = Builder::new();
    let terms: Vec<Expr<'_>> = (0..n).map(|i| k.input(&format!("term{i}"), term)).collect();
    k.output("total", k.reduce(terms, |a, b| a + b));
    k.finish()
}

/// The end of the pipeline: what is held, or the bias, plus the sum of a beat.
fn accumulate(fan: Fan, sum: QType, format: QType, bias: Option<QType>) -> Kernel {
    let k = Builder::new();
    let held = (fan.beats() > 1).then(|| (k.input("first", QType::unsigned(1)), k.input("held", format)));
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

/// How many terms each stage of sums adds: the largest factors up to 8, or a larger prime at once.
fn stages(mut terms: usize) -> Vec<usize> {
    let mut list = Vec::new();
    while terms > 1 {
        let factor = (2..=8).rev().find(|f| terms.is_multiple_of(*f)).unwrap_or(terms);
        list.push(factor);
        terms /= factor;
    }
    list
}

fn bias_format(p: &Params, frac: i8) -> Option<QType> {
    if p.run_time_weights {
        return p.bias_format;
    }
    let data = &p.bias.as_ref()?.data;
    let (lo, hi) = (*data.iter().min()?, *data.iter().max()?);
    (lo != 0 || hi != 0).then(|| QType::holding(lo.into(), hi.into(), frac))
}

/// The combinational parts, in the order of the pipeline: one product, the stages of sums, the accumulation.
fn kernels(p: &Params, fan: Fan) -> Vec<(&'static str, Kernel)> {
    let y = p.sum().expect("the interface was checked");
    let mut list = vec![("multiply", multiply(p.input.format, p.weight_format))];
    for (name, factor) in SUMS.into_iter().zip(stages(fan.simd)) {
        let term = format(&list[list.len() - 1].1);
        list.push((name, sum(term, factor)));
    }
    let last = format(&list[list.len() - 1].1);
    list.push(("accumulate", accumulate(fan, last, y, bias_format(p, y.frac))));
    list
}

/// Word `{group, pass, beat}` holds the weights of `pe` rows for one beat.
fn weights(p: &Params, fan: Fan) -> Memory {
    let mut rows = Vec::new();
    for pass in 0..fan.groups * fan.passes() {
        for beat in 0..fan.beats() {
            let row = |pe: usize| (pass * fan.pe + pe) * fan.inputs + beat * fan.simd;
            let word: Vec<i64> =
                (0..fan.pe).flat_map(|pe| &p.weights.data[row(pe)..row(pe) + fan.simd]).copied().collect();
            rows.push(word);
        }
    }
    let memory = Memory::pack("weight", p.weight_format.bits.into(), rows.iter().map(Vec::as_slice));
    let holds = format!(
        "Word ((group * {} + pass) * {} + beat): {} of each of {} outputs, {} bits each, the first lowest.",
        fan.passes(),
        fan.beats(),
        fan.simd,
        fan.pe,
        p.weight_format.bits
    );
    written(p, memory, holds)
}

/// The same memory, on the register bus where weights are.
fn written(p: &Params, memory: Memory, holds: String) -> Memory {
    Memory { run_time: p.run_time_weights.then_some(holds), buffered: p.run_time_weights, ..memory }
}

/// Word `{group, pass}` holds the biases of `pe` outputs, in LSB of their format.
fn biases(p: &Params, fan: Fan, format: QType, sum: QType) -> Option<Memory> {
    let shift = u32::try_from(sum.frac - format.frac).expect("the interface was checked");
    let data: Vec<i64> = p.bias.as_ref()?.data.iter().map(|b| b >> shift).collect();
    let memory = Memory::pack("bias", format.bits.into(), data.chunks(fan.pe));
    let holds = format!("Biases of {} outputs, {} bits each, the first lowest.", fan.pe, format.bits);
    Some(written(p, memory, holds))
}

pub(super) fn body(p: &Params) -> Body {
    let fan = p.folded().expect("the interface was checked");
    let (beats, passes, words) = (fan.beats(), fan.passes(), fan.words());
    let y = p.sum().expect("the interface was checked");
    let kernels = kernels(p, fan);
    let depth = kernels.len();
    let mut terms = fan.simd;
    let levels: Vec<_> = kernels[1..depth - 1]
        .iter()
        .zip(stages(fan.simd))
        .zip(&kernels)
        .map(|(((name, kernel), factor), (from, before))| {
            terms /= factor;
            let from = if *from == "multiply" { "product" } else { from };
            let inputs: Vec<_> = kernel.inputs.iter().map(|port| &port.name).collect();
            json!({"name": name, "from": from, "from_bits": format(before).bits, "bits": format(kernel).bits,
                "factor": factor, "sums": fan.pe * terms, "terms": inputs})
        })
        .collect();
    let mut memories = vec![weights(p, fan)];
    let bias = bias_format(p, y.frac);
    let mut bias_word = String::new();
    let bias_stored = words > beats || p.run_time_weights;
    if let Some(memory) = bias.and_then(|format| biases(p, fan, format, y)) {
        bias_word.clone_from(&memory.words[0]);
        if bias_stored {
            memories.push(memory);
        }
    }
    let total = kernels[depth - 2].0;
    let context = json!({
        "outputs": fan.outputs, "inputs": fan.inputs, "vectors": fan.vectors, "groups": fan.groups,
        "pe": fan.pe, "simd": fan.simd, "beats": beats, "passes": passes,
        "last_beat": beats - 1, "beat_bits": counter_bits(beats), "beat_top": counter_bits(beats) - 1,
        "rows": words / beats, "last_word": words - 1, "word_bits": counter_bits(words),
        "word_top": counter_bits(words) - 1,
        "address": if words > beats { "word_q" } else if beats > 1 { "beat_q" } else { "1'd0" },
        "last_pass": passes - 1, "pass_bits": counter_bits(passes), "pass_top": counter_bits(passes) - 1,
        "last_row": words / beats - 1, "row_bits": counter_bits(words / beats), "row_top": counter_bits(words / beats) - 1,
        "x_bits": p.input.format.bits, "weight_bits": p.weight_format.bits, "y_bits": y.bits,
        "product_bits": format(&kernels[0].1).bits, "levels": levels,
        "total": if total == "multiply" { "product" } else { total }, "total_bits": format(&kernels[depth - 2].1).bits,
        "bias_bits": bias.map_or(0, |b| b.bits), "bias_word": bias_word, "bias_width": fan.pe * bias.map_or(0, |b| b.bits as usize),
        "depth": depth, "run_time": p.run_time_weights, "bias_stored": bias_stored,
    });
    Body::Template(Box::new(Template {
        text: include_str!("folded.v.tera"),
        context,
        memories,
        kernels,
        timing: Timing::Pipeline { depth: depth as u32, prologue: 0 },
    }))
}

/// Yosys gives a multiplier to products of 9 bits and more of operands of 2 bits and more.
pub(super) fn cost(p: &Params, t: &Target) -> Area {
    let fan = p.folded().expect("the interface was checked");
    let list = kernels(p, fan);
    let depth = list.len();
    let words = fan.words();
    let (x, w) = (p.input.format.bits as usize, p.weight_format.bits as usize);
    let hard = t.multiplier_bits[0] > 0 && format(&list[0].1).bits >= 9 && x.min(w) > 1;
    // A hard multiplier has its own registers; weights of a single word are constants.
    let product = match (hard, words) {
        (true, _) => list[0].1.area(t),
        (false, 1) if !p.run_time_weights => area(x * w / 3, format(&list[0].1).bits as usize),
        (false, _) => area(x * w + x.max(w), format(&list[0].1).bits as usize),
    };
    let mut total = product * (fan.pe * fan.simd);
    let mut terms = fan.simd;
    for ((_, kernel), factor) in list[1..depth - 1].iter().zip(stages(fan.simd)) {
        terms /= factor;
        total = total + (kernel.area(t) + area(0, format(kernel).bits as usize)) * (fan.pe * terms);
    }
    let y = format(&list[depth - 1].1).bits as usize;
    let held = usize::from(fan.beats() > 1);
    total = total + (list[depth - 1].1.area(t) + area(0, y * (1 + held))) * fan.pe;
    let counters = counter_bits(fan.beats()) + counter_bits(words);
    total
        + if p.run_time_weights {
            pair(words, fan.pe * fan.simd * w, t)
                + bias_format(p, 0)
                    .map_or(Area::default(), |b| pair(words / fan.beats(), fan.pe * usize::from(b.bits), t))
        } else {
            rom(words, fan.pe * fan.simd * w, t)
        }
        + if fan.passes() > 1 { store(fan.beats(), fan.simd * x, t) } else { Area::default() }
        + area(2 * counters + 10, counters + 3 * depth + 5 + fan.simd * x)
}

/// A constant memory with a register behind it.
fn rom(words: usize, width: usize, t: &Target) -> Area {
    match words {
        1 => Area::default(),
        _ if words <= t.lut_ram_words => {
            area((width * words).div_ceil(16).min(width * words.div_ceil(64)), width)
        }
        _ => Area { bram: (words * width).div_ceil(t.block_ram_bits) as u32, ..Area::default() },
    }
}

/// A memory of two halves with a register behind each of its ports, and what copies one into the other.
fn pair(words: usize, width: usize, t: &Target) -> Area {
    let (rows, bits) = (2 * words.next_power_of_two().max(2), counter_bits(words));
    let control = area(width + 3 * bits + 40, 2 * bits + 6);
    control
        + if rows <= t.lut_ram_words {
            area(2 * width * rows.div_ceil(64), 2 * width)
        } else {
            Area { bram: (rows * width).div_ceil(t.block_ram_bits) as u32, ..Area::default() }
        }
}

/// The stored input, its register, and the choice between it and what comes in.
fn store(words: usize, width: usize, t: &Target) -> Area {
    match words {
        1 => area(width, 2 * width),
        // Four lookup tables hold 64 words of 3 bits.
        _ if words <= t.lut_ram_words => area(width + 4 * width.div_ceil(3), width),
        _ => Area { bram: (words * width).div_ceil(t.block_ram_bits) as u32, ..area(width, 0) },
    }
}
