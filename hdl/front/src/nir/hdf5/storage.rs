//! Whether a file holds what a dataset declares. Nothing is allocated before this is known.

use std::collections::BTreeSet;

use hdf5_pure::{Chunk, Dataset, Layout};

/// Filters that are undone: deflate, shuffle, checksums, LZF.
const FILTERS: [(u16, &str); 4] = [(1, "gzip"), (2, "shuffle"), (3, "fletcher32"), (32000, "lzf")];
/// So many bytes at most come out of deflate for each that goes in; out of LZF, fewer.
const EXPANSION: u64 = 1032;

/// Checks that the file, `file_size` long, holds the elements of `dataset`: of `shape`, `size` bytes each.
///
/// Errors: what is wrong, as the end of a sentence.
pub(super) fn check(dataset: &Dataset, shape: &[usize], size: usize, file_size: u64) -> Result<(), String> {
    let words = |e: hdf5_pure::Error| super::words(&e);
    let declared = shape.iter().product::<usize>() as u64 * size as u64;
    match dataset.layout().map_err(words)? {
        Layout::Compact { size } if size == declared => Ok(()),
        Layout::Contiguous { address: None, .. } => Err("the file holds no data for it".to_owned()),
        Layout::Contiguous { address: Some(address), size } if size == declared => {
            let end = address.checked_add(size).filter(|end| *end <= file_size);
            end.map(|_| ()).ok_or_else(|| format!("its {size} bytes lie beyond the end of the file"))
        }
        Layout::Compact { size } | Layout::Contiguous { size, .. } => {
            Err(format!("it declares {declared} bytes, and {size} are stored"))
        }
        Layout::Chunked { chunk_shape, .. } => {
            let pieces = grid(shape, &chunk_shape).filter(|n| *n <= file_size);
            let pieces = pieces
                .ok_or_else(|| format!("pieces of shape {chunk_shape:?} do not make shape {shape:?}"))?;
            let piece = chunk_shape.iter().try_fold(size as u64, |n, extent| n.checked_mul(*extent));
            let piece = piece.ok_or_else(|| format!("a piece has shape {chunk_shape:?}"))?;
            let filtered = filters(dataset)?;
            let chunks = dataset.chunks().map_err(words)?;
            let places: BTreeSet<&Vec<u64>> = chunks.iter().map(|c| &c.offset).collect();
            if chunks.len() as u64 != pieces || places.len() as u64 != pieces {
                return Err(format!("it is stored in {pieces} pieces, and the file holds {}", places.len()));
            }
            chunks.iter().try_for_each(|c| chunk(c, piece, filtered, file_size))
        }
        _ => Err("its data lie in other files".to_owned()),
    }
}

/// Number of pieces of extents `piece` that cover `shape`.
fn grid(shape: &[usize], piece: &[u64]) -> Option<u64> {
    if shape.len() != piece.len() || piece.contains(&0) {
        return None;
    }
    shape
        .iter()
        .zip(piece)
        .try_fold(1u64, |n, (extent, piece)| n.checked_mul((*extent as u64).div_ceil(*piece)))
}

/// Whether any filter may shrink the data. Errors: a filter that is not undone here.
fn filters(dataset: &Dataset) -> Result<bool, String> {
    let ids = dataset.filters();
    match ids.iter().find(|id| FILTERS.iter().all(|known| known.0 != **id)) {
        None => Ok(!ids.is_empty()),
        Some(id) => {
            let known: Vec<&str> = FILTERS.iter().map(|known| known.1).collect();
            Err(format!("it is compressed with filter {id}, and only {} can be undone", known.join(", ")))
        }
    }
}

/// Checks that `chunk` can become `piece` bytes.
fn chunk(chunk: &Chunk, piece: u64, filtered: bool, file_size: u64) -> Result<(), String> {
    let stored = chunk.storage_size;
    if chunk.address.checked_add(stored).is_none_or(|end| end > file_size) {
        return Err(format!("a piece of {stored} bytes lies beyond the end of the file"));
    }
    let most = if filtered { stored.saturating_mul(EXPANSION) } else { stored };
    if piece <= most {
        return Ok(());
    }
    Err(format!("{stored} bytes cannot become a piece of {piece} bytes"))
}
