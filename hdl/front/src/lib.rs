//! The front door: files and Rust code become a [`Network`](nervure_core::Network).
//!
//! [`load()`] reads a network file with its weights, [`samples()`] reads inputs, [`plant()`] what is controlled, [`to_yaml`]
//! prints a network back, and [`NetworkBuilder`] is the same way in from Rust; [`nir`] and [`onnx`] read what other programs
//! trained, [`mod@import`] and [`streamline`] make networks of it; [`prune`](mod@prune) takes weights away. Whatever is wrong with a
//! file is one [`Diagnostic`](nervure_core::Diagnostic) with its place and remedy; no file makes this crate panic, hang,
//! or reserve memory that the file does not fill.
//!
//! Deliberately absent: floating point beyond this crate (arrays of a network file must hold whole numbers), the name of
//! any block (there is only the [`Registry`](nervure_core::Registry)), and everything that comes after the network.

mod builder;
mod document;
mod event_list;
mod explain;
mod functions;
pub mod import;
mod load;
mod locate;
pub mod nir;
mod npz;
pub mod onnx;
mod order;
mod overrides;
mod packed;
mod plant;
mod print;
pub mod prune;
mod reference;
mod samples;
mod schema;
mod shape_of;
mod source;
pub mod streamline;
mod suggest;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod yaml;

pub use builder::{NetworkBuilder, default_lanes};
pub use load::load;
pub use npz::write_npz;
pub use plant::{PlantFile, plant};
pub use print::to_yaml;
pub use samples::samples;
pub use schema::schema;
