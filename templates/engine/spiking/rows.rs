//! The weight memory: which rows it has, and how it is cut into block RAMs.

use nervure_core::Tensor;
use nervure_core::block::Memory;

use super::{Params, Values};

/// Most rows that a bias may need.
pub(super) const MAX: usize = 256;

/// A row of weights whose input is always active; biases are made of such rows.
pub(super) struct Constant {
    /// A weight for each neuron.
    pub(super) weights: Vec<i64>,
    /// The input.
    pub(super) value: i64,
    /// Not in the first step of a sample.
    pub(super) later: bool,
}

/// The rows of `bias`, at most `limit` of them: no part has another sign than what it is a part of, so that no partial sum
/// is larger than the bias.
///
/// Where values are multiplied, a row stands for a power of two, as small as brings every rest within a weight.
pub(super) fn split(p: &Params, bias: &Tensor, later: bool, limit: usize) -> Vec<Constant> {
    let (lo, hi) = (p.weight_format.min(), p.weight_format.max());
    let top = if p.values() == Values::Multiply { p.element().max().ilog2() } else { 0 };
    let mut rest = bias.data.clone();
    let mut list = Vec::new();
    while list.len() < limit && rest.iter().any(|r| *r != 0) {
        let fits = |n: &u32| rest.iter().all(|r| (lo..=hi).contains(&(r / (1 << n))));
        let value = 1i64 << (0..top).find(fits).unwrap_or(top);
        let take = |rest: &mut i64| {
            let part = (*rest / value).clamp(lo, hi);
            *rest -= part * value;
            part
        };
        list.push(Constant { weights: rest.iter_mut().map(take).collect(), value, later });
    }
    list
}

/// What a row holds, for who writes it.
fn describe(p: &Params, bit_bits: usize, group_bits: usize, first: usize) -> String {
    let (elements, groups) = (1usize << bit_bits, 1usize << group_bits);
    let own = match &p.recurrent {
        Some(_) => format!(
            "; from beat {} on, {} of the layer's own outputs of the step before make a beat",
            p.input.len() / p.input_lanes,
            p.lanes
        ),
        None => String::new(),
    };
    format!(
        "Word (b * {elements} + e) * {groups} + g: the weights ({}) from input b * {} + e to the neurons from g * {} + {first} on, \
         {} bits each, the first lowest{own}.",
        p.weight_format, p.input_lanes, p.lanes, p.weight_format.bits
    )
}

/// Weight memories, one per slice of lanes: row `{beat, bit, group}` holds the weights from one input to one group.
///
/// A slice is as wide as a block RAM of 36 Kbit is at this depth, so that no multiplexer is needed behind it.
pub(super) fn memories(p: &Params, bit_bits: usize, group_bits: usize) -> Vec<Memory> {
    let bits = usize::from(p.weight_format.bits);
    let depth = p.beats() << (bit_bits + group_bits);
    // With two read ports, the widest shape is not to be had.
    let shapes = [(512, 72), (1024, 36), (2048, 18), (4096, 9), (8192, 4), (16384, 2)];
    let width =
        shapes[p.events - 1..].iter().find(|(words, _)| depth <= *words).map_or(1, |(_, width)| *width);
    let slice = (width / bits).clamp(1, p.lanes);
    let constants = p.constants();
    let (inputs, outer, groups) = (p.input.len(), p.input.len() / p.input_lanes, p.groups());
    let recurrent_beats = if p.recurrent.is_some() { groups } else { 0 };
    let weight = |beat: usize, bit: usize, neuron: usize| {
        if beat < outer {
            return if bit < p.input_lanes {
                p.weights.data[neuron * inputs + beat * p.input_lanes + bit]
            } else {
                0
            };
        }
        let beat = beat - outer;
        match &p.recurrent {
            Some(w) if beat < recurrent_beats => {
                if bit < p.lanes {
                    w.data[neuron * p.neurons() + beat * p.lanes + bit]
                } else {
                    0
                }
            }
            _ if bit < p.width() => {
                constants.get((beat - recurrent_beats) * p.width() + bit).map_or(0, |c| c.weights[neuron])
            }
            _ => 0,
        }
    };
    let row = |address: usize, lane: usize| {
        let group = address % (1 << group_bits);
        let bit = (address >> group_bits) % (1 << bit_bits);
        let beat = address >> (group_bits + bit_bits);
        if group < groups { weight(beat, bit, group * p.lanes + lane) } else { 0 }
    };
    (0..p.lanes)
        .step_by(slice)
        .enumerate()
        .map(|(n, first)| {
            let lanes = first..(first + slice).min(p.lanes);
            let rows: Vec<Vec<i64>> =
                (0..depth).map(|at| lanes.clone().map(|lane| row(at, lane)).collect()).collect();
            let run_time = p.run_time_weights.then(|| describe(p, bit_bits, group_bits, first));
            Memory { run_time, ..Memory::pack(&format!("weight_{n}"), bits, rows.iter().map(Vec::as_slice)) }
        })
        .collect()
}
