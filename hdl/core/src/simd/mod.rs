//! Loops compiled once for each generation of vector instructions, and chosen when the program runs.
//!
//! A loop is written as a loop over slices, and the compiler vectorises it; those that it cannot are in [`bits`] and [`nonzero`].
//! Deliberately absent: vector types.

pub mod bits;
pub mod nonzero;
pub mod rows;

use fearless_simd::{Level, dispatch};

/// Runs `work` as compiled for the widest vectors of the processor at hand.
///
/// Write `#[inline(always)]` before the closure and on every function it calls: what is not inlined is compiled for the
/// oldest processor.
#[inline(always)]
#[expect(clippy::inline_always, reason = "what is not inlined is not vectorised")]
pub fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    dispatch!(Level::new(), _ => work())
}
