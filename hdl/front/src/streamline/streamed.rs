//! Layers that stream: how a convolution is written as windows and a matrix for each of them, and how many multipliers a
//! folded matrix gets.

use serde_json::{Map, Value, json};

use super::blocks;
use super::net::{Linear, Part};
use super::window::Window;

/// Largest divisor of `n` that is at most `most`.
fn divisor(n: usize, most: usize) -> usize {
    (1..=most.min(n)).rev().find(|d| n.is_multiple_of(*d)).unwrap_or(1)
}

/// Inputs and outputs of a folded layer that are worked on at once: at most `lanes` products.
fn shares(outputs: usize, inputs: usize, lanes: usize) -> (usize, usize) {
    let simd = divisor(inputs, lanes);
    (divisor(outputs, (lanes / simd).max(1)), simd)
}

/// The same as fields.
pub(super) fn folding(outputs: usize, inputs: usize, lanes: usize) -> Map<String, Value> {
    let (pe, simd) = shares(outputs, inputs, lanes);
    Map::from_iter([("pe".to_owned(), json!(pe)), ("simd".to_owned(), json!(simd))])
}

/// Outputs of a folded layer that leave in one beat.
pub(super) fn beat(outputs: usize, inputs: usize, lanes: usize) -> usize {
    shares(outputs, inputs, lanes).0
}

/// Largest window of a pool that has a tap for each of its elements; a larger one waits for the whole map.
const TAPS: usize = 64;

/// A pool over a map of `axes` axes takes pixel after pixel, `lanes` channels a beat. Sums of windows that lie side by side
/// are kept open instead of all their elements.
pub(super) fn pool(part: &mut Part, axes: usize, lanes: usize) {
    let list = |field: &str| -> Option<Vec<u64>> {
        part.fields.get(field)?.as_array().map(|l| l.iter().filter_map(Value::as_u64).collect())
    };
    let Some(kernel) = list("kernel") else { return };
    let apart = list("stride").is_none_or(|s| s.iter().zip(&kernel).all(|(s, k)| s >= k));
    if part.block == blocks::AVERAGE && axes == 2 && apart {
        part.block = blocks::SUM2D;
        part.fields.remove("divide");
        part.fields.insert("input_lanes".into(), json!(lanes));
    } else if [blocks::MAX, blocks::AVERAGE].contains(&part.block)
        && kernel.iter().product::<u64>() <= TAPS as u64
    {
        part.fields.insert("lanes".into(), json!(lanes));
    }
}

/// Whether no window lies in the padding alone: line buffers have no room for that.
pub(super) fn streams(window: &Window) -> bool {
    let axis = |n: usize| window.padding[n].iter().all(|p| *p <= (window.kernel[n] - 1) * window.dilation[n]);
    (0..window.kernel.len()).all(axis)
}

/// A convolution in two layers; `name` is that of the first.
pub(super) fn parts(linear: &Linear, window: &Window, groups: usize, lanes: usize, name: &str) -> [Part; 2] {
    let outputs = linear.bias.len();
    let taps: usize = window.kernel.iter().product();
    let inputs = linear.weights.len() / outputs;
    let (fan, own) = (inputs / taps, outputs / groups);
    let (pe, simd) = shares(own, inputs, lanes);
    // A pixel takes no longer than what is computed of it.
    let cycles = groups * (inputs / simd) * (own / pe);
    let (channels, apart) = (fan * groups, window.stride.iter().product::<usize>());
    let beat = (1..channels).find(|l| channels.is_multiple_of(*l) && channels / l * apart <= cycles);
    let mut fields = window.fields();
    fields.insert("kernel".into(), json!(window.kernel));
    fields.insert("lanes".into(), json!(beat.unwrap_or(channels)));
    if groups != 1 {
        fields.insert("groups".into(), json!(groups));
    }
    let windows = Part { block: blocks::WINDOW, from: None, fields, arrays: Vec::new() };
    // The file's order is channel, tap; a window has the channels of a tap together.
    let rows = linear.weights.chunks_exact(inputs);
    let rows = rows.flat_map(|row| (0..inputs).map(|n| row[n % fan * taps + n / fan])).collect();
    let shape = if groups == 1 { vec![outputs, inputs] } else { vec![groups, own, inputs] };
    let arrays = std::iter::once(("weights", shape, rows)).chain(linear.bias_array()).collect();
    let fields = folding(own, inputs, lanes);
    [windows, Part { block: blocks::FOLDED, from: Some(name.to_owned()), fields, arrays }]
}
