//! From a diagnostic's path to a line and a column.

use nervure_core::{Diagnostic, Span};

use crate::explain::index;
use crate::yaml::{Kind, Mark, Node};

/// Lists whose items have names.
const NAMED: [&str; 4] = ["inputs", "layers", "sequences", "states"];

/// `d` with the place of the longest part of its path that the file has, unless it has a place already.
pub(crate) fn place(mut d: Diagnostic, root: &Node, file: &str) -> Diagnostic {
    if d.span.is_none() {
        let mut at = find(root, &d.path);
        if let ("E0103", Some((last, before))) = (d.code, d.path.split_last()) {
            // What is wrong with an unknown field is its name, not its value.
            let parent = node_at(root, before);
            at = parent.and_then(|p| p.entry(last)).map_or(at, |e| e.at);
        }
        d.span = Some(Box::new(span(at, file)));
        name_items(&mut d.path, root);
    }
    d
}

/// A place as a span; `--set` for what the command line says.
pub(crate) fn span(at: Mark, file: &str) -> Span {
    let line = at.line as usize;
    match at.column {
        0 => Span { file: "--set".to_owned(), line, column: 1 },
        column => Span { file: file.to_owned(), line, column: column as usize },
    }
}

/// Where the longest known part of `path` stands. Items of a list are known by `[index]` or by their field `name`.
pub(crate) fn find(root: &Node, path: &[String]) -> Mark {
    let mut node = root;
    let mut at = root.at;
    for segment in path {
        let next = match &node.kind {
            Kind::Map(_) => node.entry(segment).map(|e| {
                let block = matches!(e.value.kind, Kind::List(_) | Kind::Map(_)) || e.value.at == e.at;
                (if block && e.value.at.column != 0 { e.at } else { e.value.at }, &e.value)
            }),
            Kind::List(_) => item(node, segment).map(|n| (n.at, n)),
            _ => None,
        };
        let Some(next) = next else { break };
        (at, node) = next;
    }
    at
}

fn node_at<'a>(root: &'a Node, path: &[String]) -> Option<&'a Node> {
    path.iter().try_fold(root, |node, segment| node.get(segment).or_else(|| item(node, segment)))
}

fn item<'a>(list: &'a Node, segment: &str) -> Option<&'a Node> {
    let Kind::List(items) = &list.kind else { return None };
    let named = || items.iter().find(|i| i.get("name").and_then(Node::text) == Some(segment));
    index(segment).and_then(|n| items.get(n)).or_else(named)
}

/// Writes `layers.hidden` for `layers.[2]` where item 2 has a name.
fn name_items(path: &mut [String], root: &Node) {
    let [list, segment, ..] = path else { return };
    let items = root.get(list).filter(|_| NAMED.contains(&list.as_str()));
    if let (Some(items), Some(_)) = (items, index(segment)) {
        let name = item(items, segment).and_then(|i| i.get("name")).and_then(Node::text);
        if let Some(name) = name.filter(|n| !n.is_empty()) {
            *segment = name.to_owned();
        }
    }
}
