//! Tensors to beats and back: element 0 in the lowest bits, `lanes` elements a beat, the last beat padded with zeros.

use nervure_core::{Network, Rate, Samples, Stream};

use crate::golden::Recorded;
use crate::verilate::{Port, Stimulus};

/// Everything that enters, and the number of beats that must leave. The bits between the last element and the next whole
/// byte are ones: a design must not read them.
pub fn stimulus(
    network: &Network,
    inputs: &[Stream],
    samples: &Samples,
    count: usize,
    expected: Vec<(usize, usize)>,
) -> Stimulus {
    let steps = samples.steps.max(1);
    let mut all = Vec::new();
    for (n, stream) in inputs.iter().enumerate() {
        let port = Port::new(stream, true);
        let frames = if stream.tensor.rate == Rate::Step { steps } else { 1 };
        let mut values = vec![0; stream.tensor.len()];
        let mut words = Vec::with_capacity(count * frames * stream.beats() * port.words);
        for sample in 0..count {
            for step in 0..frames {
                samples.input(network, n, sample, step, &mut values);
                pack(&values, stream, port.words, &mut words);
            }
        }
        pad(&mut words, stream, &port);
        all.push((words, frames * stream.beats()));
    }
    Stimulus { inputs: all, expected }
}

/// Sets the bits between the last element of each beat and the next whole byte.
pub fn pad(words: &mut [u32], stream: &Stream, port: &Port) {
    let padding = (stream.width()..port.bits).map(|bit| (bit / 32, 1u32 << (bit % 32)));
    for (word, bit) in padding {
        words.iter_mut().skip(word).step_by(port.words).for_each(|w| *w |= bit);
    }
}

/// Beats of the first `count` samples of a recording.
pub fn expected(recorded: &Recorded, stream: &Stream, count: usize) -> Vec<u32> {
    let words = Port::new(stream, false).words;
    let mut values = vec![0; stream.tensor.len()];
    let mut beats = Vec::with_capacity(count * recorded.frames * stream.beats() * words);
    for sample in 0..count {
        for step in 0..recorded.frames {
            recorded.get(sample, step, &mut values);
            pack(&values, stream, words, &mut beats);
        }
    }
    beats
}

/// Appends the beats of one tensor.
pub fn pack(values: &[i64], stream: &Stream, words: usize, out: &mut Vec<u32>) {
    let bits = stream.tensor.format.bits as usize;
    let keep = u64::MAX >> (64 - bits);
    for beat in values.chunks(stream.lanes) {
        let start = out.len();
        let (mut held, mut filled) = (0u128, 0);
        for &v in beat {
            held |= u128::from(v as u64 & keep) << filled;
            filled += bits;
            while filled >= 32 {
                out.push(held as u32);
                held >>= 32;
                filled -= 32;
            }
        }
        if filled > 0 {
            out.push(held as u32);
        }
        out.resize(start + words, 0);
    }
}

/// Element `lane` of a beat.
pub fn unpack(beat: &[u32], stream: &Stream, lane: usize) -> i64 {
    let bits = stream.tensor.format.bits as usize;
    let at = lane * bits;
    let raw = (0..3)
        .rev()
        .fold(0u128, |raw, i| raw << 32 | u128::from(beat.get(at / 32 + i).copied().unwrap_or(0)));
    let raw = (raw >> (at % 32)) as u64 & (u64::MAX >> (64 - bits));
    if stream.tensor.format.signed { (raw << (64 - bits)) as i64 >> (64 - bits) } else { raw as i64 }
}
