//! The nodes of a file in one list, those of nested graphs too. Their inputs and outputs stay as nodes until the whole is
//! checked.

use std::collections::{BTreeMap, BTreeSet};

use nervure_core::{Diagnostic, Network};

use super::fields::Fields;
use super::graph::Primitive;
use super::hdf5::{Group, Hdf5};
use super::primitive;
use crate::suggest;

/// Most edges of a graph.
pub(super) const MAX_EDGES: usize = 1 << 14;
/// Deepest nesting of graphs.
const MAX_DEPTH: usize = 16;

/// A node on its way into the graph.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) primitive: Primitive,
    /// An input or output of a nested graph: it gives what it gets.
    pub(super) inner: bool,
}

/// Nodes and edges of a file.
#[derive(Default)]
pub(super) struct Drafts {
    pub(super) nodes: Vec<Draft>,
    pub(super) edges: BTreeSet<(usize, usize)>,
    pub(super) notes: Notes,
}

/// What was filled in or passed over.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) no_bias: Vec<String>,
    pub(super) no_reset: Vec<String>,
    pub(super) unread: Vec<String>,
}

/// Where edges of a node's name begin and end.
enum Ends {
    Node(usize),
    /// Inputs and outputs of a nested graph.
    Graph(Vec<usize>, Vec<usize>),
}

/// Reads the graph in `group`. Errors: those of its nodes, `E0110`, `E0123`, `E0124`, `E0126`, `E0401`, `E0406`.
pub(super) fn read(file: &Hdf5<'_>, group: &Group) -> Result<Drafts, Diagnostic> {
    let mut drafts = Drafts::default();
    level(file, group, "", 0, &mut drafts)?;
    let mut names: Vec<&str> = drafts.nodes.iter().map(|n| n.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(drafts),
        Some(pair) => Err(Diagnostic::new(
            "E0401",
            format!("`{}`: two nodes are called `{}`", file.shown, pair[0].escape_debug()),
            "a node of a nested graph is called `graph.node`; rename the other, or the graph",
        )
        .at(pair[0])),
    }
}

fn level(
    file: &Hdf5<'_>,
    group: &Group,
    prefix: &str,
    depth: usize,
    drafts: &mut Drafts,
) -> Result<(), Diagnostic> {
    let (owner, name) = if prefix.is_empty() {
        ("the graph".to_owned(), "node")
    } else {
        (format!("the graph `{}`", prefix.escape_debug()), prefix)
    };
    let fields = Fields::new(file, group, name, &owner);
    if depth > MAX_DEPTH {
        let what = format!("is nested {depth} deep, and {MAX_DEPTH} is the limit");
        return Err(fields.fault("E0110", "nodes", &what, "write the nodes into the graph around it"));
    }
    if !group.groups.contains_key("nodes") {
        let what = "has no group `nodes`";
        return Err(fields.fault("E0123", "nodes", what, "write the graph with `nir.write`"));
    }
    let nodes = file.open(group, "nodes")?;
    let mut ends = BTreeMap::new();
    for name in nodes.groups.keys() {
        let full = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        ends.insert(name.clone(), node(file, &nodes, name, full, depth, drafts)?);
    }
    for (from, to) in fields.pairs("edges")? {
        edge(&fields, &ends, &from, &to, drafts)?;
    }
    Ok(())
}

/// Reads the node `name` in `nodes`, called `full` in the end.
fn node(
    file: &Hdf5<'_>,
    nodes: &Group,
    name: &str,
    full: String,
    depth: usize,
    drafts: &mut Drafts,
) -> Result<Ends, Diagnostic> {
    let group = file.open(nodes, name)?;
    let fields = Fields::new(file, &group, &full, &format!("node `{}`", full.escape_debug()));
    if drafts.nodes.len() >= Network::MAX_NODES {
        let what = format!("is one too many: a graph has at most {} nodes", Network::MAX_NODES);
        return Err(fields.fault("E0406", "type", &what, "split the network"));
    }
    let type_name = fields.text("type")?;
    if type_name == "NIRGraph" {
        let before = drafts.nodes.len();
        level(file, &group, &full, depth + 1, drafts)?;
        return Ok(enclose(before, drafts));
    }
    let fields = fields.with_type(&type_name);
    fields.has("type");
    let read = primitive::read(&fields, &type_name)?;
    let notes = &mut drafts.notes;
    if read.no_bias {
        notes.no_bias.push(full.clone());
    }
    if read.no_reset {
        notes.no_reset.push(full.clone());
    }
    for field in fields.unread().into_iter().filter(|f| *f != "metadata") {
        notes.unread.push(format!("{full}.{field}"));
    }
    drafts.nodes.push(Draft { name: full, primitive: read.primitive, inner: false });
    Ok(Ends::Node(drafts.nodes.len() - 1))
}

/// Marks the inputs and outputs of a nested graph, whose nodes begin with number `first`.
fn enclose(first: usize, drafts: &mut Drafts) -> Ends {
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for (i, node) in drafts.nodes.iter_mut().enumerate().skip(first) {
        if node.inner {
            continue;
        }
        match node.primitive {
            Primitive::Input { .. } => inputs.push(i),
            Primitive::Output { .. } => outputs.push(i),
            _ => continue,
        }
        node.inner = true;
    }
    Ends::Graph(inputs, outputs)
}

fn edge(
    fields: &Fields<'_>,
    ends: &BTreeMap<String, Ends>,
    from: &str,
    to: &str,
    drafts: &mut Drafts,
) -> Result<(), Diagnostic> {
    let shown = format!("the edge from `{}` to `{}`", from.escape_debug(), to.escape_debug());
    let find = |name: &str, outgoing: bool| match ends.get(name) {
        Some(Ends::Node(node)) => Ok(*node),
        Some(Ends::Graph(inputs, outputs)) => {
            let (side, word) = if outgoing { (outputs, "outputs") } else { (inputs, "inputs") };
            if let [only] = side.as_slice() {
                return Ok(*only);
            }
            let what =
                format!("has {shown}, but the graph `{}` has {} {word}", name.escape_debug(), side.len());
            Err(fields.fault("E0126", "edges", &what, "give a nested graph one input and one output"))
        }
        None => {
            let known: Vec<&str> = ends.keys().map(String::as_str).collect();
            let what = format!("has {shown}, but there is no node `{}`", name.escape_debug());
            Err(fields.fault("E0126", "edges", &what, suggest::help(name, &known, "the nodes are")))
        }
    };
    let edge = (find(from, true)?, find(to, false)?);
    if drafts.edges.len() >= MAX_EDGES {
        let what = format!("has more than {MAX_EDGES} edges");
        return Err(fields.fault("E0110", "edges", &what, "split the network"));
    }
    if drafts.edges.insert(edge) {
        return Ok(());
    }
    let what = format!("has {shown} twice");
    Err(fields.fault("E0126", "edges", &what, "write every edge once; to double a signal, use a Scale node"))
}
