//! Constant memories of `engine/spiking_conv`: weights, tables of what an input position reaches, constants of neurons.

use nervure_core::block::Memory;

use super::Params;
use super::taps::Axis;
use crate::shared::counter_bits;
use crate::shared::lane::Lane;

/// Bits of an index of `n` things; none for one thing.
pub(super) fn bits(n: usize) -> usize {
    if n > 1 { counter_bits(n) } else { 0 }
}

/// One number in every word of a table.
pub(super) struct Field {
    /// Its name in the Verilog.
    pub(super) name: String,
    pub(super) lo: usize,
    pub(super) bits: usize,
}

/// A table of numbers, and where each lies in a word. Numbers that are zero everywhere are left out.
pub(super) struct Table {
    pub(super) memory: Memory,
    pub(super) fields: Vec<Field>,
}

impl Table {
    /// Shapes: `rows` as long as `names` each.
    fn new(name: &str, names: &[&str], rows: &[Vec<usize>]) -> Self {
        let mut fields = Vec::new();
        let mut lo = 0;
        let widths: Vec<usize> = (0..names.len())
            .map(|n| bits(rows.iter().map(|r| r[n]).max().expect("a table has rows") + 1))
            .collect();
        for (field, &bits) in names.iter().zip(&widths).filter(|(_, bits)| **bits > 0) {
            fields.push(Field { name: format!("{name}_{field}"), lo, bits });
            lo += bits;
        }
        let word = |row: &Vec<usize>| -> Vec<i64> {
            let split =
                |(v, bits): (&usize, &usize)| (0..*bits).map(|b| (v >> b & 1) as i64).collect::<Vec<_>>();
            row.iter().zip(&widths).flat_map(split).collect()
        };
        let words: Vec<Vec<i64>> = rows.iter().map(word).collect();
        Self { memory: Memory::pack(&format!("{name}_table"), 1, words.iter().map(Vec::as_slice)), fields }
    }

    /// Of one axis: first word of state, first row of weights, how many more outputs, whether there is none.
    ///
    /// `positions` lists the input position of each word; `word` and `row` are the distances of neighbours.
    pub(super) fn axis(name: &str, a: Axis, positions: &[usize], word: usize, row: usize) -> Self {
        let rows: Vec<Vec<usize>> = positions
            .iter()
            .map(|&at| {
                let taps = if at < a.extent { a.taps(at) } else { Vec::new() };
                let missed = usize::from(at < a.extent && taps.is_empty());
                let (output, tap) = taps.first().copied().unwrap_or_default();
                vec![output * word, tap * row, taps.len().saturating_sub(1), missed]
            })
            .collect();
        Self::new(name, &["base", "tap", "more", "missed"], &rows)
    }

    /// First slice of the group of each channel, and its first weight row unless the address of the row holds the channel.
    pub(super) fn channels(p: &Params, channels: &[usize]) -> Self {
        let (ins, rows) = (p.map()[2] / p.groups, if in_address(p, channels) { 0 } else { p.rows() });
        let row = |&c: &usize| {
            let c = c.min(p.map()[2] - 1);
            vec![c / ins * p.group_slices(), c * rows]
        };
        Self::new("c", &["base", "tap"], &channels.iter().map(row).collect::<Vec<_>>())
    }
}

/// Whether weight rows are addressed by tap and channel side by side: where no address is wasted by that.
///
/// `channels` lists the channel of each number that names one.
pub(super) fn in_address(p: &Params, channels: &[usize]) -> bool {
    channels.len() == p.map()[2] && channels.len().is_power_of_two()
}

/// Weight memories, one per part of the lanes: a row holds the weights from one channel through one tap to one slice. Taps
/// are counted from the kernel's end. Rows lie as `{tap, slice, channel}` where [`in_address`], else `{channel, tap, slice}`.
///
/// A part is as wide as a block RAM of 36 Kbit is at this depth, so that no multiplexer is needed behind it.
pub(super) fn weights(p: &Params, in_address: bool) -> Vec<Memory> {
    let [out, ins, height, width] = [0, 1, 2, 3].map(|n| p.weights.shape[n]);
    let bits = p.weight_format.bits as usize;
    let (channels, slices) = (p.map()[2], p.group_slices());
    let depth = p.rows() * channels;
    let most = [(512, 72), (1024, 36), (2048, 18), (4096, 9), (8192, 4), (16384, 2)]
        .iter()
        .find(|(words, _)| depth <= *words)
        .map_or(1, |(_, most)| *most);
    let part = (1..=p.lanes).filter(|n| p.lanes.is_multiple_of(*n) && n * bits <= most).max().unwrap_or(1);
    let weight = |address: usize, lane: usize| {
        let (row, channel) = if in_address {
            (address / channels, address % channels)
        } else {
            (address % p.rows(), address / p.rows())
        };
        let (slice, tap) = (row % slices, height * width - 1 - row / slices);
        let o = channel / ins * (out / p.groups) + slice * p.lanes + lane;
        p.weights.data[(o * ins + channel % ins) * height * width + tap]
    };
    (0..p.lanes)
        .step_by(part)
        .enumerate()
        .map(|(n, first)| {
            let row = |at| (first..first + part).map(|lane| weight(at, lane)).collect();
            let rows: Vec<Vec<i64>> = (0..depth).map(row).collect();
            Memory::pack(&format!("weight_{n}"), bits, rows.iter().map(Vec::as_slice))
        })
        .collect()
}

/// Constants of the neurons of each word of state; of each slice, where all positions have the same.
pub(super) fn constants(p: &Params, lane: &Lane) -> Memory {
    let width = p.lanes * lane.param_bits();
    let word = |n: usize| lane.param_word(n * p.lanes..(n + 1) * p.lanes);
    let mut words: Vec<String> = (0..if width > 0 { p.words() } else { 1 }).map(word).collect();
    let slices = p.slices().min(words.len());
    if words.iter().enumerate().all(|(n, w)| *w == words[n % slices]) {
        words.truncate(slices);
    }
    Memory::constant("constants", width, words)
}
