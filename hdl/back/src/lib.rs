//! From a network to Verilog: passes, lowering, exact timing, rendering.
//!
//! Everything here is a pure function of its arguments: no file is read or written, no clock, no environment.
//! Files come back as values.

mod bus;
mod fuse;
mod harden;
mod lower;
mod passes;
mod products;
mod render;
mod replay;

pub use harden::{Guard, Hardened, Storage, harden, storage};
pub use lower::{Options, lower};
pub use passes::{PASSES, Pass, optimise};
pub use products::share_constant_products;
pub use render::{File, render};
pub use replay::{Replay, SampleCycles};
