//! The 2:4 layout of CUTLASS and of `PyTorch`'s semi-structured tensors.
//!
//! `values` are `[out, in / 2]`, two for every four consecutive inputs. `meta` has four bits for each four inputs, the index of
//! the first value in the lower two and that of the second in the upper two; eight such to an integer of 32 bits for 8-bit
//! values, four to one of 16 bits for 16-bit values, the first lowest. `order: plain` is a matrix of these integers, row by
//! row; `order: cutlass` is how tensor cores want them, which is what `PyTorch` keeps: rows interleaved within 16 (32-bit meta)
//! or 32 (16-bit meta), 2x2 blocks swizzled, column pairs one behind the other.

use nervure_core::{Diagnostic, Tensor};
use serde::Deserialize;
use serde_json::Value;

use super::tensor;

const HELP: &str = "write `{semi_structured: {values: w.npz:values, meta: w.npz:meta, order: cutlass}}`, with `order: plain` for meta that is not reordered";

/// How the integers of `meta` lie.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
enum Order {
    /// Row by row.
    Plain,
    /// Reordered for tensor cores.
    Cutlass,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Packed {
    values: Value,
    meta: Value,
    order: Order,
}

/// The whole matrix, `[out, in]`. Errors: `E0104`, `E0105`, `E0205`.
pub(super) fn read(value: &Value) -> Result<Tensor, Diagnostic> {
    let packed: Packed = serde_json::from_value(value.clone())
        .map_err(|e| Diagnostic::new("E0104", format!("these are no semi-structured weights: {e}"), HELP))?;
    let values = tensor(&packed.values, HELP).map_err(|d| d.at("values"))?;
    let meta = tensor(&packed.meta, HELP).map_err(|d| d.at("meta"))?;
    unpack(&values, &meta, packed.order)
}

fn unpack(values: &Tensor, meta: &Tensor, order: Order) -> Result<Tensor, Diagnostic> {
    let shapes = |help: &str| {
        let (v, m) = (&values.shape, &meta.shape);
        Err(Diagnostic::new("E0205", format!("`values` has shape {v:?} and `meta` {m:?}"), help))
    };
    let ([rows, half], [meta_rows, columns]) = (&values.shape[..], &meta.shape[..]) else {
        return shapes("give two matrices, `[out, in / 2]` and `[out, in / 32]` (or `in / 16` of 16 bits)");
    };
    let (rows, half, columns) = (*rows, *half, *columns);
    let blocks = [8, 4].into_iter().find(|n| rows == *meta_rows && columns > 0 && half == columns * n * 2);
    let Some(blocks) = blocks else {
        return shapes("an integer of `meta` stands for 16 values, or for 8 where it has 16 bits");
    };
    if order == Order::Cutlass && (!rows.is_multiple_of(32) || !columns.is_multiple_of(2)) {
        return shapes("a reordered `meta` has a multiple of 32 rows and an even number of columns");
    }
    let mut weights = Tensor::new(&[rows, half * 2], vec![0; rows * half * 2]);
    for (n, pair) in values.data.chunks_exact(2).enumerate() {
        let (row, block) = (n / (half / 2), n % (half / 2));
        let at = match order {
            Order::Plain => row * columns + block / blocks,
            Order::Cutlass => reordered(row, block / blocks, rows, blocks),
        };
        let four = meta.data[at] >> (block % blocks * 4);
        let (first, second) = ((four & 3) as usize, (four >> 2 & 3) as usize);
        if first >= second && pair.iter().any(|v| *v != 0) {
            let message = format!("`meta` row {row}, block {block} has the indices {first} and {second}");
            let help = "indices of a block ascend; correct `order`, or write the arrays again";
            return Err(Diagnostic::new("E0105", message, help).at("meta"));
        }
        let block = &mut weights.data[n * 4..][..4];
        (block[first], block[second]) = (pair[0], pair[1]);
    }
    Ok(weights)
}

/// Where the integer of a row and column lies among those that are reordered: what `reorder_meta` of CUTLASS does, and then
/// its layout of interleaved column pairs.
fn reordered(row: usize, column: usize, rows: usize, blocks: usize) -> usize {
    let (group, interleave) = if blocks == 4 { (32, 4) } else { (16, 2) };
    let mut at = (row / group * group + row % 8 * interleave + row % group / 8, column);
    at = match (at.0 % 2, at.1 % 2) {
        (0, 1) => (at.0 + 1, at.1 - 1),
        (1, 0) => (at.0 - 1, at.1 + 1),
        _ => at,
    };
    at.1 / 2 * rows * 2 + at.0 * 2 + at.1 % 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(state: &mut u64) -> i64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 40) as i64
    }

    /// Values and meta of a 2:4 matrix, row by row. Of fewer than two weights the indices are those that `PyTorch` takes.
    fn pack(weights: &Tensor, blocks: usize) -> (Tensor, Tensor) {
        let (rows, inputs) = (weights.shape[0], weights.shape[1]);
        let mut values = Vec::new();
        let mut meta = vec![0i64; rows * inputs / 4 / blocks];
        for (n, four) in weights.data.chunks(4).enumerate() {
            let there: Vec<usize> = (0..4).filter(|i| four[*i] != 0).collect();
            let (first, second) = match there[..] {
                [a, b] => (a, b),
                [3 | 2] | [] => (2, 3),
                [a] => (a, 3),
                _ => panic!("two of four"),
            };
            values.extend([four[first], four[second]]);
            meta[n / blocks] |= ((second << 2 | first) as i64) << (n % blocks * 4);
        }
        // As signed integers of the file would be read.
        let bits = 64 - blocks * 4;
        let meta = meta.into_iter().map(|m| m << bits >> bits).collect();
        (Tensor::new(&[rows, inputs / 2], values), Tensor::new(&[rows, inputs / 4 / blocks], meta))
    }

    /// Where `PyTorch`'s conversion back to dense looks for an integer of `meta`: the same layout, told the other way round.
    fn looked_for(row: usize, column: usize, rows: usize, blocks: usize) -> usize {
        let (stride, quarter) = if blocks == 4 { (8, [0, 1, 4, 5]) } else { (4, [0, 1, 32, 33]) };
        column % 2 * 2 + column / 2 * 2 * rows + row % 8 * stride + quarter[row / 8 % 4] + row / 32 * 64
    }

    #[test]
    fn both_orders_and_both_widths_are_read_back() {
        let state = &mut 3;
        for blocks in [4, 8] {
            for (rows, columns) in [(32, 2), (64, 4), (96, 6)] {
                let mut data = vec![0; rows * columns * blocks * 4];
                for four in data.chunks_mut(4) {
                    for _ in 0..2 {
                        four[next(state) as usize % 4] = next(state) % 256 - 128;
                    }
                }
                let weights = Tensor::new(&[rows, columns * blocks * 4], data);
                let (values, meta) = pack(&weights, blocks);
                assert_eq!(unpack(&values, &meta, Order::Plain).as_ref(), Ok(&weights));
                let mut moved = meta.clone();
                for (n, m) in meta.data.iter().enumerate() {
                    moved.data[looked_for(n / columns, n % columns, rows, blocks)] = *m;
                }
                assert_eq!(unpack(&values, &moved, Order::Cutlass).as_ref(), Ok(&weights));
                assert_ne!(unpack(&values, &moved, Order::Plain).as_ref(), Ok(&weights));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_explained() {
        let t = |shape: &[usize]| Tensor::new(shape, vec![1; shape.iter().product()]);
        let code = |v: &[usize], m: &[usize], order| unpack(&t(v), &t(m), order).map_err(|d| d.code);
        assert_eq!(code(&[2, 16], &[2, 3], Order::Plain), Err("E0205"));
        assert_eq!(code(&[2, 16], &[1, 1], Order::Plain), Err("E0205"));
        assert_eq!(code(&[2, 16], &[2], Order::Plain), Err("E0205"));
        assert_eq!(code(&[16, 32], &[16, 2], Order::Cutlass), Err("E0205"));
        assert_eq!(code(&[2, 16], &[2, 1], Order::Plain), Err("E0105"), "indices 1 and 0");
        let missing = read(&serde_json::json!({"values": [[1, 2]], "meta": [[4]]}));
        assert_eq!(missing.map_err(|d| d.code), Err("E0104"));
    }
}
