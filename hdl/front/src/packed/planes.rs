//! N:M weights as a memory holds them: a plane of values and a plane of indices, with a checksum over both.
//!
//! One array of bytes, numbers with their lowest byte first:
//!
//! | bytes | |
//! |---|---|
//! | 4 | `NMP1` |
//! | 24 | six words of 32 bits: outputs, inputs, `n`, `m`, bits of a value (two's complement), columns of a tile |
//! | | values, their bits one behind the other, lowest first; filled up to a byte |
//! | | indices in their block, `ceil(log2 m)` bits each, likewise |
//! | 4 | CRC-32 (IEEE 802.3) of all before |
//!
//! Both planes have the same order: tiles of `columns` outputs, in each the blocks of `m` inputs, in each `n` slots, in each
//! the columns. Indices ascend; a slot that is not used, also that of a column beyond the last output, is value 0, index 0.

use nervure_core::{Diagnostic, Tensor};
use serde_json::Value;

use super::tensor;
use crate::prune::Pattern;

const MAGIC: &[u8; 4] = b"NMP1";
const HEADER: usize = 4 + 6 * 4;
/// Most weights.
const MAX: usize = 1 << 26;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    outputs: usize,
    inputs: usize,
    pattern: Pattern,
    bits: usize,
    columns: usize,
}

impl Header {
    fn blocks(&self) -> usize {
        self.inputs.div_ceil(self.pattern.m())
    }

    fn slots(&self) -> usize {
        self.outputs.div_ceil(self.columns) * self.blocks() * self.pattern.n() * self.columns
    }

    /// Bits of an index.
    fn index(&self) -> usize {
        self.pattern.m().next_power_of_two().trailing_zeros() as usize
    }

    /// Calls `visit` with each output, first input of a block and slot, in the order of the planes; outputs may not exist.
    fn each(&self, mut visit: impl FnMut(usize, usize, usize)) {
        for tile in (0..self.outputs).step_by(self.columns) {
            for block in 0..self.blocks() {
                for slot in 0..self.pattern.n() {
                    for column in tile..tile + self.columns {
                        visit(column, block * self.pattern.m(), slot);
                    }
                }
            }
        }
    }
}

/// `weights`, `[out, in]`, which have the pattern and fit `bits`; tiles of `columns` outputs.
pub(crate) fn pack(weights: &Tensor, pattern: Pattern, bits: usize, columns: usize) -> Vec<u8> {
    let [outputs, inputs] = weights.shape[..] else { panic!("weights are a matrix") };
    let header = Header { outputs, inputs, pattern, bits, columns };
    let (mut values, mut indices) = (Writer::default(), Writer::default());
    header.each(|output, from, slot| {
        let row = weights.data.get(output * inputs..(output + 1) * inputs).unwrap_or_default();
        let block = row.iter().enumerate().skip(from).take(pattern.m());
        let (at, value) = block.filter(|(_, w)| **w != 0).nth(slot).map_or((from, 0), |(at, w)| (at, *w));
        values.put(value as u64, bits);
        indices.put((at - from) as u64, header.index());
    });
    let mut bytes = MAGIC.to_vec();
    for word in [outputs, inputs, pattern.n(), pattern.m(), bits, columns] {
        bytes.extend((word as u32).to_le_bytes());
    }
    bytes.extend(values.bytes);
    bytes.extend(indices.bytes);
    bytes.extend(crc32(&bytes).to_le_bytes());
    bytes
}

/// The matrix in an array of bytes. Errors: `E0104`, `E0105`.
pub(super) fn read(value: &Value) -> Result<Tensor, Diagnostic> {
    let help = "write `{planes: file.npz:hidden}`, of a file of `nervure prune --planes`";
    let tensor = tensor(value, help)?;
    let bytes: Option<Vec<u8>> = tensor.data.iter().map(|b| u8::try_from(*b).ok()).collect();
    bytes.ok_or("an element is no byte").and_then(|bytes| unpack(&bytes)).map_err(|what| {
        let help = "write it again with `nervure prune --planes`; a copy may have been cut short";
        Diagnostic::new("E0105", format!("these are no planes of weights: {what}"), help)
    })
}

/// The matrix. Errors: what is wrong.
fn unpack(bytes: &[u8]) -> Result<Tensor, &'static str> {
    let header = header(bytes)?;
    let planes = [header.bits, header.index()].map(|bits| (header.slots() * bits).div_ceil(8));
    if bytes.len() != HEADER + planes[0] + planes[1] + 4 {
        return Err("the length is not that of the header");
    }
    let (all, sum) = bytes.split_at(bytes.len() - 4);
    if crc32(all).to_le_bytes() != *sum {
        return Err("the checksum is wrong");
    }
    let (values, indices) = all[HEADER..].split_at(planes[0]);
    let (mut values, mut indices) = (Reader { bytes: values, at: 0 }, Reader { bytes: indices, at: 0 });
    let mut weights = Tensor::new(&[header.outputs, header.inputs], vec![0; header.outputs * header.inputs]);
    let mut wrong = None;
    header.each(|output, from, _| {
        let (word, index) = (values.get(header.bits), indices.get(header.index()) as usize);
        // Shifted up and down again, the sign goes all the way.
        let value = ((word << (64 - header.bits)) as i64) >> (64 - header.bits);
        if value == 0 {
            return;
        }
        let row = weights.data.chunks_mut(header.inputs).nth(output).unwrap_or_default();
        let block = row.get_mut(from..).unwrap_or_default();
        let len = block.len().min(header.pattern.m());
        if index >= len {
            wrong = Some("a weight lies outside the matrix");
        } else if block[index..len].iter().any(|w| *w != 0) {
            wrong = Some("the indices of a block do not ascend");
        } else {
            block[index] = value;
        }
    });
    wrong.map_or(Ok(weights), Err)
}

fn header(bytes: &[u8]) -> Result<Header, &'static str> {
    if bytes.len() < HEADER + 4 || bytes[..4] != *MAGIC {
        return Err("they do not begin with `NMP1`");
    }
    let mut words =
        bytes[4..HEADER].chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]]) as usize);
    let mut word = || words.next().expect("six words were cut out");
    let (outputs, inputs) = (word(), word());
    let pattern = Pattern::new(word(), word()).map_err(|_| "the pattern is none")?;
    let (bits, columns) = (word(), word());
    let fits = outputs.checked_mul(inputs).is_some_and(|n| (1..=MAX).contains(&n));
    if !fits || !(2..=48).contains(&bits) || !(1..=outputs).contains(&columns) {
        return Err("the header makes no sense");
    }
    Ok(Header { outputs, inputs, pattern, bits, columns })
}

/// Bits one behind the other, lowest first.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    len: usize,
}

impl Writer {
    fn put(&mut self, word: u64, bits: usize) {
        for n in 0..bits {
            if self.len.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().expect("one was pushed") |= ((word >> n & 1) as u8) << (self.len % 8);
            self.len += 1;
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn get(&mut self, bits: usize) -> u64 {
        let bit = |at: usize| u64::from(self.bytes[at / 8] >> (at % 8) & 1);
        let word = (0..bits).fold(0, |word, n| word | bit(self.at + n) << n);
        self.at += bits;
        word
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(state: &mut u64) -> i64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 40) as i64
    }

    /// Random weights of a random pattern, and the bits that they need.
    fn weights(state: &mut u64) -> (Tensor, Pattern, usize) {
        let (out, inputs) = (1 + next(state) as usize % 7, 1 + next(state) as usize % 40);
        let m = 1 + next(state) as usize % Pattern::MAX_M;
        let pattern = Pattern::new(1 + next(state) as usize % m, m).expect("a pattern");
        let bits = 2 + next(state) as usize % 15;
        let mut data = vec![0; out * inputs];
        for block in data.chunks_mut(inputs).flat_map(|row| row.chunks_mut(m)) {
            for _ in 0..pattern.n() {
                let at = next(state) as usize % block.len();
                block[at] = next(state) % (1 << bits) - (1 << (bits - 1));
            }
        }
        (Tensor::new(&[out, inputs], data), pattern, bits)
    }

    #[test]
    fn the_check_is_that_of_ieee() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn planes_are_as_they_are_described() {
        let weights = Tensor::new(&[2, 5], vec![0, 4, 0, -3, 7, 0, 0, 0, 0, 0]);
        let bytes = pack(&weights, Pattern::new(2, 4).expect("a pattern"), 4, 2);
        let header = [2u32, 5, 2, 4, 4, 2].iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>();
        assert_eq!((&bytes[..4], &bytes[4..28]), (&b"NMP1"[..], &header[..]));
        // Slots 4 | 0, -3 | 0, 7 | 0, 0 | 0; their indices 1 | 0, 3 | 0, 0 | 0, 0 | 0.
        assert_eq!(bytes[28..34], [0x04, 0x0d, 0x07, 0x00, 0b0011_0001, 0]);
    }

    /// Cases made outside of this project: see their README. There, a weight of a pruned block may have been rounded to 0 and
    /// keeps its slot, which ours do not.
    #[test]
    fn planes_are_those_of_the_neutral_cases() {
        const SIDE: usize = 384;
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared/data/nm/minilm_l0_query.npz");
        if !file.is_file() {
            eprintln!(
                "skipped: planes_are_those_of_the_neutral_cases (no folder shared/data/nm beside the workspace)"
            );
            return;
        }
        let mut npz = crate::npz::Npz::open(&file, "minilm").expect("an archive");
        let mut array = |name: &str| npz.read(name, 1 << 20).and_then(|a| a.integers()).expect("an array");
        for (name, n, m) in [("1of4", 1, 4), ("2of4", 2, 4), ("2of8", 2, 8), ("4of8", 4, 8)] {
            let pattern = Pattern::new(n, m).expect("a pattern");
            let (w, values, index) = (
                array(&format!("{name}/W")),
                array(&format!("{name}/values")),
                array(&format!("{name}/index")),
            );
            let transposed = (0..SIDE * SIDE).map(|at| w[at % SIDE * SIDE + at / SIDE]).collect();
            let bytes = pack(&Tensor::new(&[SIDE, SIDE], transposed), pattern, 8, SIDE);
            let (ours, rest) = bytes[HEADER..].split_at(values.len());
            let mut indices = Reader { bytes: rest, at: 0 };
            let bits = m.trailing_zeros() as usize;
            let indices: Vec<i64> = values.iter().map(|_| indices.get(bits) as i64).collect();
            let mut compared = 0;
            for block in 0..SIDE / m {
                for column in 0..SIDE {
                    let slots: Vec<usize> = (0..n).map(|slot| (block * n + slot) * SIDE + column).collect();
                    if slots.iter().all(|at| values[*at] != 0) {
                        let same = |at: &usize| {
                            i64::from(ours[*at] as i8) == values[*at] && indices[*at] == index[*at]
                        };
                        assert!(slots.iter().all(same), "{name}, block {block}, column {column}");
                        compared += 1;
                    }
                }
            }
            assert!(compared > SIDE * SIDE / m * 9 / 10, "{name}: only {compared} blocks");
        }
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let state = &mut 1;
        for _ in 0..300 {
            let (weights, pattern, bits) = weights(state);
            let columns = 1 + next(state) as usize % weights.shape[0];
            let bytes = pack(&weights, pattern, bits, columns);
            assert_eq!(unpack(&bytes), Ok(weights), "{pattern}, {columns} columns");
        }
    }

    #[test]
    fn damage_is_noticed() {
        let (weights, pattern, bits) = weights(&mut 7);
        let bytes = pack(&weights, pattern, bits, 1);
        for n in 0..bytes.len() {
            assert!(unpack(&bytes[..n]).is_err(), "cut at {n}");
            for flip in [1u8, 0x10, 0x80] {
                let mut other = bytes.clone();
                other[n] ^= flip;
                assert!(unpack(&other).is_err(), "byte {n}");
            }
        }
        // Right by its checksum, and still wrong.
        let signed = |mut bytes: Vec<u8>| {
            bytes.truncate(bytes.len() - 4);
            bytes.extend(crc32(&bytes).to_le_bytes());
            unpack(&bytes)
        };
        let weights = Tensor::new(&[1, 3], vec![1, 1, 0]);
        let mut bytes = pack(&weights, Pattern::new(2, 3).expect("a pattern"), 4, 1);
        assert_eq!(bytes[29], 0b0100);
        for (indices, what) in [
            (0b0001, "the indices of a block do not ascend"),
            (0b0101, "the indices of a block do not ascend"),
            (0b1100, "a weight lies outside the matrix"),
        ] {
            bytes[29] = indices;
            assert_eq!(signed(bytes.clone()), Err(what), "{indices:b}");
        }
    }
}
