//! Reader of ONNX files: a graph of operators over tensors, with its constants.
//!
//! What comes back is what the file says, checked for sense: every tensor has one source, no circle, every constant has as
//! many elements as its shape says, and all of them are numbers. Nodes come in an order in which nothing is read before it
//! is made.
//!
//! Deliberately absent: what an operator means (`streamline` knows), and data that lies in other files.

mod array;
mod graph;
mod proto;
mod read;
#[cfg(test)]
mod tests;

pub use array::{Array, Dtype};
pub(crate) use graph::quote;
pub use graph::{Attribute, Graph, Node, Port};
pub(crate) use read::in_file;
pub use read::read;
