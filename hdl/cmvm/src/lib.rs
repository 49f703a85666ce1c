//! Products of a vector with a constant integer matrix, as graphs of adders that outputs share.
//!
//! [`solve`] takes a [`Matrix`] and gives a [`Solution`]: a flat list of operations `a * 2^s ± b * 2^t`, with the exact
//! range of every node, and a tap for each output. Every solution is proved before it is returned
//! ([`Solution::verify`]): plain integer coefficients of all nodes, compared with the columns of the matrix.
//!
//! Deliberately absent: floating point, hardware, clocks. The search counts work, not seconds, so that the same question
//! has the same answer on every machine and with any number of threads.

mod affinity;
mod assemble;
mod block;
mod digits;
mod distinct;
mod draft;
mod factor;
mod gains;
mod interval;
mod lanes;
mod matrix;
mod members;
mod pairs;
mod partition;
mod random;
mod reach;
mod refine;
mod search;
mod solution;
mod table;
mod tree;

pub use interval::Interval;
pub use matrix::Matrix;
pub use search::{Cost, Options, solve};
pub use solution::{Mismatch, Node, Operation, Solution, Tap, Term};
