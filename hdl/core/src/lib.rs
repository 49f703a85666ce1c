//! The language that every other crate speaks: integer arithmetic, the kernel DSL, the [`Block`] trait,
//! the two intermediate forms ([`Network`], [`Design`]) and [`Diagnostic`].
//!
//! Deliberately absent: floating point, the file system, and the name of any block.

pub mod block;
pub mod design;
pub mod diag;
pub mod ident;
pub mod kernel;
pub mod network;
pub mod num;
pub mod plant;
pub mod registry;
pub mod samples;
pub mod schedule;
pub mod simd;
pub mod target;
pub mod tensor;

pub use block::{Area, Block, Body, Fold, Interface, Memory, Stream, Template};
pub use design::{Bank, Bus, Channel, Design, Endpoint, Module};
pub use diag::{Diagnostic, Span};
pub use network::{InputPort, Network, Node, NodeId, TensorRef};
pub use num::{QType, Requant, Rounding};
pub use plant::Plant;
pub use registry::{AnyBlock, Instance, Registry, Runner};
pub use samples::{Elements, Samples};
pub use schedule::{Schedule, Slot, Timing};
pub use simd::vectorised;
pub use target::Target;
pub use tensor::{Packed, PackedMut, Rate, Tensor, TensorType};
