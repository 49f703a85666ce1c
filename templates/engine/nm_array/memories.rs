//! What is in the array's memories: weights with their places, tiles, scales, instructions.

use nervure_core::Diagnostic;
use nervure_core::block::Memory;
use nervure_core::num::{Rounding, bits_for, counter_bits};

use super::array::{Array, Feed};
use super::layer::Stage;
use super::plan::{Instruction, Program, Tile};
use super::{Layer, Params};

/// A number of the instruction.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) bits: usize,
    /// One a layer.
    pub(super) values: Vec<i64>,
}

/// Bits of an index into the activations of a group.
pub(super) fn index_bits(array: &Array) -> usize {
    if array.choices > 1 { counter_bits(array.choices) } else { 0 }
}

/// A memory that the register bus writes, if any is: as long as any pattern needs it.
fn finished(mut memory: Memory, words: usize, p: &Params, what: &str) -> Memory {
    // A memory has an address, so at least two words.
    let zero = "0".repeat(memory.width.div_ceil(4));
    memory.words.resize(words.max(memory.words.len()).max(2), zero);
    memory.run_time = p.run_time.is_some().then(|| what.into());
    memory
}

/// Words in the order in which they are read: layer, group of columns, tile, and the groups of every chain from above. In a word:
/// chain, slot of the group, column; of each `{index, value}`.
pub(super) fn weights(
    p: &Params,
    stages: &[Stage],
    array: &Array,
    (program, others): &(Program, Vec<Program>),
) -> Memory {
    let mut words: Vec<Vec<i64>> = Vec::new();
    for (((layer, stage), feed), i) in p.layers.iter().zip(stages).zip(&array.feeds).zip(&program.list) {
        for group in 0..i.groups {
            for tile in &i.tiles {
                let slots = slots(layer, stage, array, *feed, tile, group);
                for word in 0..array.words() {
                    let rows = (0..array.chains()).flat_map(|h| {
                        (0..array.group).map(move |k| h * array.chain + word * array.group + k)
                    });
                    words.push(rows.flat_map(|row| slots[row].iter().copied()).collect());
                }
            }
        }
    }
    let waves = |p: &Program| p.list.iter().map(|i| i.groups * i.tiles.len()).sum::<usize>() * array.words();
    let bits = array.weight.bits as usize + index_bits(array);
    let memory = Memory::pack("weight", bits, words.iter().map(Vec::as_slice));
    let what = format!(
        "Words as the array reads them: layer, group of {} outputs, tile, group of slots. In a word {} chain(s) of {} slot(s) of {} \
         column(s), the last fastest: the weight ({}) and above it the index of its activation, {} bits.",
        array.columns,
        array.chains(),
        array.group,
        array.columns,
        array.weight,
        index_bits(array)
    );
    finished(memory, others.iter().map(waves).max().unwrap_or(0), p, &what)
}

/// `{index, value}` of every row and column. Indices ascend in a block; an absent slot is value 0, index 0.
fn slots(
    layer: &Layer,
    stage: &Stage,
    array: &Array,
    feed: Feed,
    tile: &Tile,
    group: usize,
) -> Vec<Vec<i64>> {
    let mut slots = vec![vec![0; array.columns]; array.rows];
    let bits = array.weight.bits;
    for column in 0..array.columns.min(stage.outputs - group * array.columns) {
        for block in 0..feed.blocks {
            let from = block * feed.block;
            let kept =
                tile.inputs[from..from + feed.block].iter().enumerate().filter_map(|(index, input)| {
                    let (tap, channel) = (*input)?;
                    let w = stage.weight(layer, group * array.columns + column, tap, channel);
                    (w != 0).then_some((from + index, w))
                });
            for (n, (at, w)) in kept.enumerate() {
                let row = block * feed.slots + n;
                let first = row / array.group / feed.spread.share * feed.spread.step;
                slots[row][column] = ((at - first) as i64) << bits | w & ((1 << bits) - 1);
            }
        }
    }
    slots
}

/// The shift that all scales are brought to, and the multipliers over it, one list a layer.
///
/// It is the largest of all; at run time the one that was asked for.
pub(super) fn scales(p: &Params) -> (u32, Vec<Vec<i128>>) {
    let reduced: Vec<Vec<(i64, u32)>> = p.layers.iter().map(reduced).collect();
    let largest = reduced.iter().flatten().map(|(_, s)| *s).max().unwrap_or(0).max(1);
    let shift = p.run_time.as_ref().map_or(largest, |r| r.shift);
    let up = |list: &Vec<(i64, u32)>| {
        list.iter().map(|(m, s)| i128::from(*m) << shift.saturating_sub(*s)).collect()
    };
    (shift, reduced.iter().map(up).collect())
}

/// Errors: `E0203` for a scale that the shift, or the bits, of a multiplier cannot hold.
pub(super) fn check_scales(p: &Params) -> Result<(), Diagnostic> {
    let (shift, multipliers) = scales(p);
    let most = p.run_time.as_ref().map_or(48, |r| r.multiplier_bits);
    if !(1..=62).contains(&shift) || !(1..=48).contains(&most) {
        let message =
            format!("a shift of {shift} and multipliers of {most} bits; expected 1 to 62, and 1 to 48");
        return Err(Diagnostic::new("E0201", message, "40 and 40 serve most networks").at("run_time"));
    }
    for (n, (layer, multipliers)) in p.layers.iter().zip(&multipliers).enumerate() {
        let finer = reduced(layer).iter().any(|(_, s)| *s > shift);
        let largest = multipliers.iter().max().copied().unwrap_or(0);
        if finer || largest >= 1 << most {
            let message = format!(
                "over one shift ({shift}) a multiplier of this layer needs more than {most} bits, or a larger shift"
            );
            let help = "bring the shifts of layers and outputs closer together, or widen `run_time`";
            return Err(Diagnostic::new("E0203", message, help)
                .at("mode")
                .at("rescale")
                .at(n.to_string())
                .at("layers"));
        }
    }
    Ok(())
}

/// Multiplier and shift of every output, in lowest terms.
fn reduced(layer: &Layer) -> Vec<(i64, u32)> {
    let Some(rescale) = &layer.rescale else { return Vec::new() };
    let lowest = |column| {
        let (m, s) = rescale.mode.scale(column);
        let by = s.min(if m == 0 { s } else { m.trailing_zeros() });
        (m >> by, s - by)
    };
    (0..layer.weights.shape[0]).map(lowest).collect()
}

/// What each sum starts from, for activations as they are stored.
fn bias(layer: &Layer, output: usize, zero: i64) -> i64 {
    let len = layer.weights.data.len() / layer.weights.shape[0];
    let weights: i64 = layer.weights.data[output * len..][..len].iter().sum();
    layer.bias.as_ref().map_or(0, |b| b.data[output]) - zero * weights
}

/// The zero of a layer's input as it is stored.
fn zero(layer: &Layer, stage: &Stage, array: &Array) -> i64 {
    layer.input_zero - array.offset(stage.input)
}

/// Word: of each result of a part `{multiplier, bias}`; in the order layer, group of columns, part.
pub(super) fn finishing(p: &Params, stages: &[Stage], array: &Array, widths: &Widths) -> Memory {
    let (_, multipliers) = scales(p);
    let (low, bits) = (widths.sum, widths.sum + widths.multiplier);
    let mut words: Vec<Vec<i64>> = Vec::new();
    for ((layer, stage), multipliers) in p.layers.iter().zip(stages).zip(&multipliers) {
        let zero = zero(layer, stage, array);
        let of = |output: usize| {
            if output >= stage.outputs {
                return [0, 0];
            }
            [bias(layer, output, zero), multipliers.get(output).map_or(0, |m| *m as i64)]
        };
        let outputs: Vec<usize> = (0..stage.outputs.next_multiple_of(array.finish)).collect();
        words.extend(outputs.chunks(array.finish).map(|part| part.iter().flat_map(|o| of(*o)).collect()));
    }
    // Two widths in turn: bit by bit.
    let flat: Vec<Vec<i64>> = words
        .iter()
        .map(|word| {
            let pair = |p: &[i64]| {
                let (b, m) = (p[0], p[1]);
                (0..bits)
                    .map(move |n| if n < low { b >> n & 1 } else { m >> (n - low) & 1 })
                    .collect::<Vec<_>>()
            };
            word.chunks(2).flat_map(pair).collect()
        })
        .collect();
    let what = format!(
        "A word for every {} output(s) of every layer: of each the bias ({low} bits, less the input's zero times the sum of its weights), \
         and above it the multiplier over the common shift.",
        array.finish
    );
    finished(Memory::pack("finish", 1, flat.iter().map(Vec::as_slice)), 0, p, &what)
}

/// Widths that follow from all layers together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Widths {
    /// A sum, with its bias: any more bits say nothing.
    pub(super) sum: usize,
    /// A multiplier, unsigned; 0 where no layer rescales.
    pub(super) multiplier: usize,
    /// A result before it is stored or given, signed.
    pub(super) result: usize,
}

pub(super) fn widths(p: &Params, stages: &[Stage], array: &Array) -> Widths {
    let signed = |lo: i128, hi: i128| bits_for(lo.min(-1), hi) as usize;
    let sum = stages.iter().map(|s| signed(s.sum.0, s.sum.1)).max().expect("there is a layer");
    let multiplier = match (&p.run_time, p.rescales()) {
        (_, false) => 0,
        (Some(run_time), true) => run_time.multiplier_bits as usize,
        (None, true) => scales(p).1.into_iter().flatten().map(|m| bits_for(0, m) as usize).max().unwrap_or(0),
    };
    let last = stages[stages.len() - 1].output.format;
    let given = if p.layers[p.layers.len() - 1].rescale.is_some() {
        signed(last.min().into(), last.max().into())
    } else {
        1
    };
    Widths { sum, multiplier, result: given.max(array.activation.bits.into()) }
}

/// Word: `{across of each granule, down, granule}`, the positions only where there is padding.
pub(super) fn tiles(p: &Params, (program, others): &(Program, Vec<Program>), bits: &TileBits) -> Memory {
    let words: Vec<Vec<i64>> = program
        .list
        .iter()
        .flat_map(|i| &i.tiles)
        .map(|t| {
            let mut word: Vec<i64> = (0..bits.granule).map(|n| t.granule as i64 >> n & 1).collect();
            if bits.down > 0 {
                word.extend((0..bits.down).map(|n| t.down as i64 >> n & 1));
                word.extend(t.across.iter().flat_map(|a| (0..bits.across).map(|n| *a as i64 >> n & 1)));
            }
            word
        })
        .collect();
    let most = others.iter().map(|p| p.list.iter().map(|i| i.tiles.len()).sum()).max().unwrap_or(0);
    let what = format!(
        "A word for every tile of a window, layer by layer: the granule that it begins with ({} bits, from the window's first), and with \
         padding the positions down ({} bits) and across ({} bits, of each granule).",
        bits.granule, bits.down, bits.across
    );
    finished(Memory::pack("tile", 1, words.iter().map(Vec::as_slice)), most, p, &what)
}

/// Widths of a tile's numbers; those of positions are 0 where no layer has padding.
#[derive(Debug, Clone, Copy)]
pub(super) struct TileBits {
    pub(super) granule: usize,
    pub(super) down: usize,
    pub(super) across: usize,
}

/// Positions that are compared with the map's ends: two's complement.
pub(super) fn tile_bits(stages: &[Stage], program: &Program, array: &Array) -> TileBits {
    let granule = counter_bits(program.words * array.granules);
    let reach = |n: usize| {
        let of = |s: &Stage| (s.axes[n].padding[0].max(1), s.axes[n].padded() + s.axes[n].stride);
        stages.iter().map(of).map(|(lo, hi)| bits_for(-(lo as i128), hi as i128) as usize).max()
    };
    let padding = stages.iter().any(|s| s.axes.iter().any(|a| a.padding != [0, 0]));
    let of = |n| if padding { reach(n).expect("there is a layer") } else { 0 };
    TileBits { granule, down: of(0), across: of(1) }
}

/// The instruction's numbers, for every layer; those that could only be 0 are left out.
///
/// Their widths are those of all programs together.
pub(super) fn fields(
    p: &Params,
    stages: &[Stage],
    array: &Array,
    programs: &(Program, Vec<Program>),
    widths: &Widths,
) -> Vec<Field> {
    let (program, others) = programs;
    let bits = tile_bits(stages, program, array);
    let mut fields = Vec::new();
    let mut add = |name, bits: usize, of: &dyn Fn(usize, &Instruction) -> i64| {
        let values = program.list.iter().enumerate().map(|(n, i)| of(n, i)).collect();
        fields.push(Field { name, bits, values });
    };
    let all = || others.iter().chain([program]);
    let most = |of: &dyn Fn(&Instruction) -> usize| all().flat_map(|p| &p.list).map(of).max().unwrap_or(0);
    let tiles_before = |n: usize| program.list[..n].iter().map(|i| i.tiles.len()).sum::<usize>() as i64;
    let tiles = all().map(|p| p.list.iter().map(|i| i.tiles.len()).sum()).max().unwrap_or(0);
    add("first_tile", counter_bits(tiles), &|n, _| tiles_before(n));
    add("last_tile", counter_bits(tiles), &|n, _| tiles_before(n + 1) - 1);
    let groups = most(&|i| i.groups);
    if groups > 1 {
        add("last_group", counter_bits(groups), &|_, i| i.groups as i64 - 1);
    }
    let waves = |i: &Instruction| i.groups * i.tiles.len();
    add("waves", counter_bits(most(&waves) + 1), &|_, i| waves(i) as i64);
    for (n, [last, granules, down, across]) in LOOPS.iter().enumerate() {
        let counts = most(&|i| i.loops[n].count);
        if counts > 1 {
            add(last, counter_bits(counts), &|_, i| i.loops[n].count as i64 - 1);
        }
        add(granules, bits.granule, &|_, i| i.loops[n].granules);
        if bits.down > 0 {
            add(down, bits.down, &|_, i| i.loops[n].down);
            add(across, bits.across, &|_, i| i.loops[n].across);
        }
    }
    add("first_granule", bits.granule, &|_, i| i.start[0]);
    if bits.down > 0 {
        add("first_down", bits.down, &|_, i| i.start[1]);
        add("first_across", bits.across, &|_, i| i.start[2]);
        add("height", bits.down, &|_, i| i.extent[0] as i64);
        add("width", bits.across, &|_, i| i.extent[1] as i64);
        add("zero", array.activation.bits.into(), &|n, _| zero(&p.layers[n], &stages[n], array));
    }
    if array.spreads.len() > 1 {
        add("spread", counter_bits(array.spreads.len()), &|_, i| i.spread as i64);
    }
    let (pool, places) = (most(&|i| i.pool), most(&|i| i.pixels / i.pool));
    if pool > 1 {
        add("last_in_pool", counter_bits(pool), &|_, i| i.pool as i64 - 1);
    }
    if places > 1 {
        add("last_place", counter_bits(places), &|_, i| (i.pixels / i.pool) as i64 - 1);
    }
    if array.parts() > 1 {
        add("last_part", counter_bits(array.parts()), &|_, i| i.last_parts as i64 - 1);
    }
    let parts_before =
        |n: usize| stages[..n].iter().map(|s| s.outputs.div_ceil(array.finish)).sum::<usize>() as i64;
    add("first_scale", counter_bits((parts_before(stages.len()) as usize).max(2)), &|n, _| parts_before(n));
    let (inner, outer) = unit_bits(array, program, stages);
    add("first_unit", inner.max(outer), &|_, i| i.unit[0] as i64);
    add("unit_step", inner.max(outer), &|_, i| i.unit[1] as i64);
    if widths.multiplier > 0 {
        rescaling(p, stages, array, widths, &mut add);
    }
    fields
}

/// The instructions, a word a layer.
pub(super) fn instruction(p: &Params, fields: &[Field], words: &[Vec<i64>]) -> Memory {
    let names: Vec<String> = fields.iter().map(|f| format!("{} ({})", f.name, f.bits)).collect();
    let what = format!("A word for every layer, lowest first, with its bits: {}.", names.join(", "));
    finished(Memory::pack("instruction", 1, words.iter().map(Vec::as_slice)), 0, p, &what)
}

/// Adds a number: its name, bits, and value in each layer.
type Add<'a> = dyn FnMut(&'static str, usize, &dyn Fn(usize, &Instruction) -> i64) + 'a;

/// The numbers of what comes after the multiplier.
fn rescaling(p: &Params, stages: &[Stage], array: &Array, widths: &Widths, add: &mut Add<'_>) {
    let rescale = |n: usize| p.layers[n].rescale.as_ref();
    let less = |n: usize| if n + 1 < stages.len() { array.offset(stages[n].output.format) } else { 0 };
    let even = |n| rescale(n).map_or(0, |r| i64::from(r.mode.rounding() == Rounding::HalfEven));
    add("half_even", 1, &|n, _| even(n));
    add("zero_point", widths.result, &|n, _| rescale(n).map_or(0, |r| r.zero_point - less(n)));
    add("least", widths.result, &|n, _| rescale(n).map_or(0, |r| r.ends()[0] - less(n)));
    add("most", widths.result, &|n, _| rescale(n).map_or(0, |r| r.ends()[1] - less(n)));
}

/// Names of the four loops' numbers, innermost first.
pub(super) const LOOPS: [[&str; 4]; 4] = [
    ["last_0", "granules_0", "down_0", "across_0"],
    ["last_1", "granules_1", "down_1", "across_1"],
    ["last_2", "granules_2", "down_2", "across_2"],
    ["last_3", "granules_3", "down_3", "across_3"],
];

/// Bits of the number of a unit of `finish` results: in the memory of activations, and among the results that are given.
pub(super) fn unit_bits(array: &Array, program: &Program, stages: &[Stage]) -> (usize, usize) {
    let inner = counter_bits(program.words * array.word() / array.finish);
    (inner, counter_bits(units(array, stages)))
}

/// Units of `finish` results that are given.
pub(super) fn units(array: &Array, stages: &[Stage]) -> usize {
    let last = &stages[stages.len() - 1];
    last.output.len() / last.outputs * last.outputs.div_ceil(array.finish)
}
