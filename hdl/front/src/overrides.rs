//! `--set layers.hidden.lanes=8`: fields of the file, replaced from the command line before anything is read from it.

use nervure_core::{AnyBlock, Diagnostic, Registry, Span};

use serde_json::Value;

use crate::builder::LAYER_FIELDS;
use crate::document;
use crate::schema::walk;
use crate::suggest;
use crate::yaml::{self, Entry, Kind, Mark, Node};

/// Replaces fields of `root`, in order. Errors: `E0109` for a field that does not exist, or a value that is not YAML.
pub(crate) fn apply(
    root: &mut Node,
    set: &[(String, String)],
    registry: &Registry,
) -> Result<(), Diagnostic> {
    for (i, (key, value)) in set.iter().enumerate() {
        let at = Mark { line: i as u32 + 1, column: 0 };
        one(root, key, value, at, registry).map_err(|mut d| {
            d.path = vec![key.clone()];
            d.in_span(Span { file: "--set".to_owned(), line: i + 1, column: 1 })
        })?;
    }
    Ok(())
}

fn one(root: &mut Node, key: &str, value: &str, at: Mark, registry: &Registry) -> Result<(), Diagnostic> {
    let mut value = yaml::parse(value, "--set").map_err(|d| {
        let message = format!("the value for `{}` cannot be read: {}", key.escape_debug(), d.message);
        fault(message, "write a number, a word, or a list such as `[1, 2]`")
    })?;
    stamp(&mut value, at);
    let (list, rest) = match key.split_once('.') {
        Some((list @ ("layers" | "inputs"), rest)) => (list, rest),
        _ if ["name", "bus", "outputs"].contains(&key) => return put(root, &[key], value, at),
        _ => {
            let help = "set `name`, `bus`, `outputs`, `inputs.NAME.FIELD` or `layers.NAME.PARAMETER`";
            return Err(fault(format!("there is no field `{}` to set", key.escape_debug()), help));
        }
    };
    let Some(Node { kind: Kind::List(items), .. }) = root.entry_mut(list) else {
        return Err(fault(format!("the file has no list `{list}`"), "set a field that the file has"));
    };
    let names: Vec<String> =
        items.iter().map(|i| i.get("name").and_then(Node::text).unwrap_or_default().to_owned()).collect();
    // A name may hold points: the longest that fits is meant.
    let field = |name: &String| rest.strip_prefix(name.as_str()).and_then(|r| r.strip_prefix('.'));
    let found = (0..names.len()).filter(|i| field(&names[*i]).is_some()).max_by_key(|i| names[*i].len());
    let Some((item, path)) = found.and_then(|i| Some((i, field(&names[i])?))) else {
        let word = rest.split('.').next().unwrap_or(rest);
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        if known.contains(&rest) {
            let message = format!("`{}` names no field", key.escape_debug());
            return Err(fault(message, format!("write `{list}.{rest}.FIELD=VALUE`")));
        }
        let message = format!("`{list}` has nothing called `{}`", word.escape_debug());
        return Err(fault(message, suggest::help(word, &known, "there are")));
    };
    let path: Vec<&str> = path.split('.').collect();
    let schema = match list {
        "inputs" => Some(schemars::schema_for!(document::Input).to_value()),
        _ => items[item]
            .get("block")
            .and_then(Node::text)
            .and_then(|b| registry.get(b).ok())
            .map(AnyBlock::schema),
    };
    if let Some(schema) = schema {
        check(&items[item], &schema, &path, if list == "layers" { &LAYER_FIELDS } else { &[] }, registry)?;
    }
    put(&mut items[item], &path, value, at)
}

/// Whether the file has the field already, or the schema knows it.
fn check(
    item: &Node,
    schema: &Value,
    path: &[&str],
    also: &[&str],
    registry: &Registry,
) -> Result<(), Diagnostic> {
    let at = |n: usize| path[..n].iter().try_fold(item, |node, field| node.get(field));
    let written = at(path.len()).is_some();
    let inner = (1..path.len()).rev().find_map(|n| {
        let node = at(n)?;
        Some((n, node, registry.get(node.get("block")?.text()?).ok()?))
    });
    if let Some((n, node, block)) = inner.filter(|_| !written) {
        return check(node, &block.schema(), &path[n..], &LAYER_FIELDS[1..2], registry);
    }
    let owned: Vec<String> = path.iter().map(|s| (*s).to_owned()).collect();
    if written || also.contains(&path[0]) || walk::find(schema, &owned).is_some() {
        return Ok(());
    }
    let known_levels = (0..path.len()).rev().find(|n| *n == 0 || walk::find(schema, &owned[..*n]).is_some());
    let level = known_levels.unwrap_or(0);
    let parent = if level == 0 { Some(schema) } else { walk::find(schema, &owned[..level]) };
    let mut known = parent.map(|p| walk::fields(schema, p)).unwrap_or_default();
    if known.is_empty() && level > 0 {
        return Ok(()); // Its block will say what it thinks of the field.
    }
    known.extend(if level == 0 { also } else { &[] });
    let message = format!("there is no field `{}` to set", path[level].escape_debug());
    Err(fault(message, suggest::help(path[level], &known, "expected one of")))
}

fn put(node: &mut Node, path: &[&str], value: Node, at: Mark) -> Result<(), Diagnostic> {
    let Some((field, rest)) = path.split_first() else {
        *node = value;
        return Ok(());
    };
    if matches!(node.kind, Kind::Null) {
        *node = Node { at, kind: Kind::Map(Vec::new()) };
    }
    let what = node.describe();
    let Kind::Map(entries) = &mut node.kind else {
        let message = format!("there is no field `{}` to set: its parent is {what}", field.escape_debug());
        return Err(fault(message, "set the parent as a whole, such as `{field: value}`"));
    };
    let place = entries.iter().position(|e| e.key == **field).unwrap_or_else(|| {
        entries.push(Entry { key: (*field).to_owned(), at, value: Node { at, kind: Kind::Null } });
        entries.len() - 1
    });
    entries[place].at = if rest.is_empty() { at } else { entries[place].at };
    put(&mut entries[place].value, rest, value, at)
}

fn stamp(node: &mut Node, at: Mark) {
    node.at = at;
    match &mut node.kind {
        Kind::List(items) => items.iter_mut().for_each(|n| stamp(n, at)),
        Kind::Map(entries) => entries.iter_mut().for_each(|e| {
            e.at = at;
            stamp(&mut e.value, at);
        }),
        _ => {}
    }
}

fn fault(message: impl Into<String>, help: impl Into<String>) -> Diagnostic {
    Diagnostic::new("E0109", message, help)
}
