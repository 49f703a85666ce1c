//! From the bytes of a NIR file to a graph.

use nervure_core::Diagnostic;

use super::draft::{self, Notes};
use super::fields::Fields;
use super::graph::{Graph, Loaded, Node};
use super::hdf5::{Hdf5, with_file};
use super::links::{self, Links};
use super::shape;

/// Reads a NIR graph. `shown` is the file's name in messages.
///
/// Errors: one diagnostic, `E0110` to `E0129`, `E0204`, `E0401`, `E0406`, which names the file, the node and the field.
pub fn read(bytes: &[u8], shown: &str) -> Result<Loaded, Diagnostic> {
    with_file(bytes, shown, graph)
}

fn graph(file: &Hdf5<'_>) -> Result<Loaded, Diagnostic> {
    let root = file.root()?;
    let shown = file.shown;
    if !root.groups.contains_key("node") {
        let lava = root.groups.contains_key("layer");
        let help = if lava {
            "it is a network of lava-dl; name it `*.net`"
        } else {
            "write the graph with `nir.write`"
        };
        let message = format!("`{shown}` is HDF5, but no NIR graph: it has no group `node`");
        return Err(Diagnostic::new("E0121", message, help));
    }
    let version = Fields::new(file, &root, "version", "the file").text_opt("version")?;
    let top = file.open(&root, "node")?;
    let type_name = Fields::new(file, &top, "node", "the graph").text_opt("type")?;
    if let Some(other) = type_name.filter(|t| t != "NIRGraph") {
        let message =
            format!("`{shown}` holds a single node of type `{}`, and no graph", other.escape_debug());
        return Err(Diagnostic::new(
            "E0121",
            message,
            "put it into a `nir.NIRGraph` with an input and an output",
        ));
    }
    let mut drafts = draft::read(file, &top)?;
    let links = Links::new(&drafts);
    links.check(&drafts.nodes, shown)?;
    let mut warnings = sentences(&drafts.notes, version.as_deref());
    let shapes = shape::infer(&mut drafts.nodes, &links, shown, &mut warnings)?;
    links::join(&mut drafts, shown)?;
    Ok(Loaded { graph: sorted(drafts, shapes, version), warnings })
}

/// The graph without inner nodes, by name.
fn sorted(drafts: draft::Drafts, shapes: Vec<Vec<usize>>, version: Option<String>) -> Graph {
    let nodes = drafts.nodes.into_iter().zip(shapes).enumerate();
    let mut nodes: Vec<_> = nodes.filter(|(_, (node, _))| !node.inner).collect();
    nodes.sort_by(|(_, (a, _)), (_, (b, _))| a.name.cmp(&b.name));
    let mut place = vec![0; nodes.iter().map(|(i, _)| i + 1).max().unwrap_or(0)];
    nodes.iter().enumerate().for_each(|(now, (before, _))| place[*before] = now);
    let mut edges: Vec<_> = drafts.edges.into_iter().map(|(from, to)| (place[from], place[to])).collect();
    edges.sort_unstable();
    let node = |(_, (draft, shape)): (usize, (draft::Draft, Vec<usize>))| Node {
        name: draft.name,
        primitive: draft.primitive,
        shape,
    };
    Graph { nodes: nodes.into_iter().map(node).collect(), edges, version }
}

/// What was filled in or passed over, a sentence each.
fn sentences(notes: &Notes, version: Option<&str>) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut say = |names: &[String], one: &str, many: &str, end: &str| match names {
        [] => {}
        [name] => warnings.push(format!("{one} `{}` {end}", name.escape_debug())),
        names => {
            let mut shown: Vec<String> =
                names.iter().take(8).map(|n| format!("`{}`", n.escape_debug())).collect();
            if names.len() > 8 {
                shown.push(format!("{} more", names.len() - 8));
            }
            let last = shown.pop().unwrap_or_default();
            warnings.push(format!("{many} {} and {last} {end}", shown.join(", ")));
        }
    };
    say(&notes.no_bias, "Node", "Nodes", "without `bias`: zeros are taken.");
    // Before 1.0.8 no version wrote it for sure.
    if version.and_then(numbers).is_some_and(|v| v >= [1, 0, 8]) {
        say(&notes.no_reset, "Node", "Nodes", "without `v_reset`: 0 is taken.");
    }
    say(&notes.unread, "Field", "Fields", "not known to NIR: passed over.");
    warnings
}

/// The first three numbers of a version.
fn numbers(version: &str) -> Option<[u32; 3]> {
    let mut parts = version.split('.').map(|p| p.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}
