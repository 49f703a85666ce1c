//! Networks executed and designs held against them: the golden model in bulk and in a loop with a plant, co-simulation, lint,
//! synthesis figures.
//!
//! Deliberately absent: any decision about hardware. This crate starts programs and reads and writes files; it prints
//! nothing.

pub mod asic;
pub mod cache;
pub mod cosim;
pub mod faults;
pub mod golden;
pub mod lint;
pub mod plant;
pub mod predict;
pub mod synth;
pub mod tool;
pub mod verilate;

pub use cache::Cache;
pub use cosim::{Bench, CosimOptions, Report, SampleCycles, Subject, cosim};
pub use golden::{GoldenOptions, Trace};
pub use predict::{Deadlock, Prediction, predict, predict_steps};
pub use tool::{MissingTool, Toolbox};
