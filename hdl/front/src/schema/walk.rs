//! Looking things up in a JSON Schema: which field is meant, what it is for, which forms it can take.

use serde_json::Value;

use crate::explain::index;

/// `node`, or what its `$ref` names.
pub(crate) fn resolve<'a>(root: &'a Value, mut node: &'a Value) -> &'a Value {
    for _ in 0..8 {
        let target = node.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
        match target.and_then(|pointer| root.pointer(pointer)) {
            Some(next) => node = next,
            None => break,
        }
    }
    node
}

/// The schemas that `node` chooses from, itself first.
pub(super) fn choices<'a>(root: &'a Value, node: &'a Value) -> Vec<&'a Value> {
    let mut all = vec![resolve(root, node)];
    let mut next = 0;
    while next < all.len() && all.len() < 64 {
        for keyword in ["anyOf", "oneOf", "allOf"] {
            let parts = all[next].get(keyword).and_then(Value::as_array);
            all.extend(parts.into_iter().flatten().map(|part| resolve(root, part)));
        }
        next += 1;
    }
    all
}

/// The schema of the value at `path`.
pub(crate) fn find<'a>(root: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(root, |node, segment| {
        choices(root, node).into_iter().find_map(|choice| match index(segment) {
            Some(_) => choice.get("items"),
            None => choice.get("properties")?.get(segment),
        })
    })
}

/// Names of the fields that a value of schema `node` can have.
pub(crate) fn fields<'a>(root: &'a Value, node: &'a Value) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for choice in choices(root, node) {
        let fields = choice.get("properties").and_then(Value::as_object);
        for name in fields.into_iter().flat_map(|f| f.keys()) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    names
}

/// First paragraph of a schema's description, on one line.
pub(crate) fn description(root: &Value, node: &Value) -> Option<String> {
    let text = node.get("description").or_else(|| resolve(root, node).get("description"))?.as_str()?;
    let first = text.split("\n\n").next().unwrap_or(text);
    Some(first.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The alternatives of a schema, in short: `{shift, rounding}`, `{onnx: {multiplier, shift}}`.
pub(crate) fn forms(root: &Value, node: &Value) -> Vec<String> {
    let choices: Vec<&Value> = choices(root, node);
    let inner = if choices.len() > 1 { &choices[1..] } else { &choices[..] };
    inner.iter().map(|c| form(root, c, 2)).filter(|f| !f.is_empty() && f != "null").collect()
}

fn form(root: &Value, node: &Value, depth: usize) -> String {
    if let Some(fixed) = node.get("const") {
        return format!("`{}`", fixed.as_str().map_or_else(|| fixed.to_string(), str::to_owned));
    }
    if let Some(values) = node.get("enum").and_then(Value::as_array) {
        return values
            .iter()
            .map(|v| format!("`{}`", v.as_str().unwrap_or("?")))
            .collect::<Vec<_>>()
            .join(", ");
    }
    match node.get("properties").and_then(Value::as_object) {
        Some(fields) if depth > 0 => {
            let field = |(name, schema): (&String, &Value)| match form(root, resolve(root, schema), depth - 1)
            {
                inner if inner.starts_with('{') => format!("{name}: {inner}"),
                _ => name.clone(),
            };
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        Some(_) => "{...}".to_owned(),
        None => node.get("type").and_then(Value::as_str).unwrap_or_default().to_owned(),
    }
}
