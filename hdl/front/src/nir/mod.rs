//! Readers of the two files in which trained spiking networks travel: NIR graphs (`.nir`) and lava-dl networks (`.net`).
//!
//! Both are HDF5. What comes back is what the file says, checked for sense: every number finite, every shape consistent
//! along the edges, every node on a way from an input to an output, no circle without state. Nested graphs are flattened.
//!
//! Deliberately absent: time steps, quantization, and the choice of a block: those belong to whoever turns a [`Graph`]
//! into a network.

mod array;
mod draft;
mod fields;
mod graph;
mod hdf5;
mod lava;
mod lava_check;
mod lava_read;
mod links;
mod primitive;
mod read;
mod shape;
#[cfg(test)]
mod tests;

pub use array::Array;
pub use graph::{Graph, Loaded, Node, Padding, Primitive};
pub use lava::{LavaKind, LavaLayer, LavaLoaded, LavaNeuron, Window};
pub use lava_read::read_lava;
pub use read::read;
