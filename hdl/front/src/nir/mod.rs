//! Readers of the two files in which trained spiking networks travel: NIR graphs (`.nir`) and lava-dl networks (`.net`).
//!
//! Both are HDF5. What comes back is what the file says, checked for sense: every number finite, every shape consistent
//! within its node, every edge between nodes that exist. Nested graphs are flattened.
//!
//! Deliberately absent: time steps, quantization, and the choice of a block: those belong to whoever turns a [`Graph`]
//! into a network.

mod array;
mod graph;
mod lava;

pub use array::Array;
pub use graph::{Graph, Loaded, Node, Padding, Primitive};
pub use lava::{LavaKind, LavaLayer, LavaLoaded, LavaNeuron, Window};
