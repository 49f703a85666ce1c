//! Verilator: one design to one program, which simulates from a stimulus file, or in turns with us, to a result file.
//!
//! A transfer happens in cycle c when `valid && ready` holds just before the c-th rising edge of `clk` at which `rst_n` is
//! high; the first such edge is cycle 0. Two edges with `rst_n` low come before it. Deliberately absent: what values mean
//! (see [`crate::cosim`]).

mod build;
mod harness;
mod run;
mod turns;

use std::path::PathBuf;

use nervure_core::Stream;

pub(crate) use build::{
    VERILATOR, compiler_call, include, names, runtime, runtime_key, runtime_sources, unit,
};
pub use build::{build, sources};
pub(crate) use harness::ports as boundary;
pub use harness::{harness, main_text};
pub(crate) use run::total;
pub use run::{
    Bus, Fed, Outcome, Reload, RunOptions, Status, Stimulus, Taken, Violation, ViolationKind, Waves, run,
};
pub use turns::{Other, Turns, run_in_turns};

/// A stream port of the top module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// `s_axis_NAME` or `m_axis_NAME`.
    pub prefix: String,
    /// Bits of `tdata`: the elements, rounded up to bytes.
    pub bits: usize,
    /// 32-bit words that hold a beat.
    pub words: usize,
}

impl Port {
    /// The port of a stream on the design's boundary.
    pub fn new(stream: &Stream, input: bool) -> Self {
        let bits = stream.width().next_multiple_of(8);
        let side = if input { 's' } else { 'm' };
        Self { prefix: format!("{side}_axis_{}", stream.name), bits, words: bits.div_ceil(32) }
    }
}

/// A compiled design.
#[derive(Debug, Clone)]
pub struct Model {
    /// The program.
    pub program: PathBuf,
    /// Its input ports.
    pub inputs: Vec<Port>,
    /// Its output ports.
    pub outputs: Vec<Port>,
    /// Whether it has a register bus.
    pub bus: bool,
}
