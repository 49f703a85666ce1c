//! One file a verb. Each returns whether every check passed; an error is bad input or a missing tool.

mod asic;
mod blocks;
mod boards;
mod build;
mod closed;
mod doctor;
mod faults;
mod folding;
mod import;
mod import_onnx;
mod mask;
mod new;
mod prune;
mod reload;
mod run;
mod summary;
mod synth;
mod verify;

pub(crate) use blocks::blocks;
pub(crate) use boards::boards;
pub(crate) use build::build;
pub(crate) use doctor::doctor;
pub(crate) use import::import;
pub(crate) use mask::mask;
pub(crate) use new::new;
pub(crate) use prune::prune;
pub(crate) use run::run;
pub(crate) use synth::synth;
pub(crate) use verify::verify;
