//! Tensors to beats and back: element 0 in the lowest bits, `lanes` elements a beat, the last beat padded with zeros; or
//! events, an address a beat, and a beat with the bit above the address set at the end of the step.

use nervure_core::{Network, Samples, Stream, TensorRef};

use crate::golden::Recorded;
use crate::verilate::{Port, Stimulus};

/// Everything that enters, and the number of beats that must leave. The bits between the last element and the next whole
/// byte are ones: a design must not read them. Events come in an order drawn from sample and step, for it must not matter;
/// ascending where a queue at the end of the design passes them on as they came.
pub fn stimulus(
    network: &Network,
    inputs: &[Stream],
    samples: &Samples,
    count: usize,
    expected: Vec<Vec<u32>>,
) -> Stimulus {
    let steps = samples.steps.max(1);
    let mut all = Vec::new();
    for (n, stream) in inputs.iter().enumerate() {
        let port = Port::new(stream, true);
        let frames = if stream.tensor.rate.steps() { steps } else { 1 };
        let mut values = vec![0; stream.tensor.len()];
        let mut words = Vec::with_capacity(count * frames * stream.beats() * port.words);
        let mut sizes = Vec::with_capacity(count);
        for sample in 0..count {
            let before = words.len();
            for step in 0..frames {
                samples.input(network, n, sample, step, &mut values);
                if stream.events {
                    let mut addresses = addresses(&values);
                    if !passed_on(network) {
                        shuffle(&mut addresses, (sample * frames + step) as u64);
                    }
                    pack_events(&addresses, stream, port.words, &mut words);
                } else {
                    pack(&values, stream, port.words, &mut words);
                }
            }
            sizes.push(((words.len() - before) / port.words) as u32);
        }
        pad(&mut words, stream, &port);
        all.push((words, sizes));
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

/// Beats of the first `count` samples of a recording, and how many each has.
pub fn expected(recorded: &Recorded, stream: &Stream, count: usize) -> (Vec<u32>, Vec<u32>) {
    let words = Port::new(stream, false).words;
    let mut values = vec![0; stream.tensor.len()];
    let mut beats = Vec::with_capacity(count * recorded.frames * stream.beats() * words);
    let mut sizes = Vec::with_capacity(count);
    for sample in 0..count {
        let before = beats.len();
        for step in 0..recorded.frames {
            recorded.get(sample, step, &mut values);
            if stream.events {
                pack_events(&addresses(&values), stream, words, &mut beats);
            } else {
                pack(&values, stream, words, &mut beats);
            }
        }
        sizes.push(((beats.len() - before) / words) as u32);
    }
    (beats, sizes)
}

/// Whether an output gives events as they came.
fn passed_on(network: &Network) -> bool {
    let event = |r: &TensorRef| network.stream(*r).events;
    network.outputs.iter().any(|(_, r)| match r {
        TensorRef::Output(id, _) => event(r) && network.nodes[id.0].inputs.iter().any(event),
        TensorRef::Input(_) => true,
    })
}

/// The address of every event, ascending; an element of value n is n events.
fn addresses(values: &[i64]) -> Vec<usize> {
    values.iter().enumerate().flat_map(|(n, v)| std::iter::repeat_n(n, *v as usize)).collect()
}

/// An order of its own for every `seed` (Fisher and Yates; xorshift).
fn shuffle(list: &mut [usize], seed: u64) {
    let mut state = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for i in (1..list.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        list.swap(i, (state >> 16) as usize % (i + 1));
    }
}

/// Appends the events of one step and its end, whose address is zero.
fn pack_events(addresses: &[usize], stream: &Stream, words: usize, out: &mut Vec<u32>) {
    let end = 1 << stream.address_bits();
    for beat in addresses.iter().copied().chain([end]) {
        out.push(beat as u32);
        out.resize(out.len() + words - 1, 0);
    }
}

/// Appends the beats of one tensor of elements.
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
