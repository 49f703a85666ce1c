//! `NumPy`'s `.npz`: a zip archive of arrays.
//!
//! Nothing is reserved on the word of a header: sizes are checked against a limit first, and memory grows with what the
//! archive really delivers.

mod archive;
mod array;
mod header;
mod write;

pub(crate) use archive::Npz;
pub(crate) use array::{Array, Fault};
pub(crate) use header::Dtype;
pub use write::write_npz;
