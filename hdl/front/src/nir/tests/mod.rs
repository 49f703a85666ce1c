//! Reading what others wrote, what we wrote, and what nobody should have written.

mod fixtures;
mod hostile;
mod published;

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// The bytes of a network in `tests/fixtures/nir`.
fn fixture(name: &str) -> Vec<u8> {
    fs::read(root().join("tests/fixtures/nir").join(name)).expect("the fixtures are part of the project")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The node called `name`.
fn node<'a>(graph: &'a Graph, name: &str) -> &'a Node {
    &graph.nodes[graph.find(name).unwrap_or_else(|| panic!("there is no node {name}"))]
}

/// Edges as names.
fn edges(graph: &Graph) -> Vec<(&str, &str)> {
    graph.edges.iter().map(|(a, b)| (graph.nodes[*a].name.as_str(), graph.nodes[*b].name.as_str())).collect()
}
