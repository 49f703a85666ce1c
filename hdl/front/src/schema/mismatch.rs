//! Where a value departs from its schema, in serde's words: for choices, of which serde only says that none fits.

use serde_json::Value;

use super::walk::{choices, resolve};

/// The first departure of `value` from schema `node`: path below it, and a message as serde would word it.
///
/// Of a choice, the alternative that shares most fields with the value is taken as the one that was meant.
pub(crate) fn mismatch(root: &Value, node: &Value, value: &Value) -> Option<(Vec<String>, String)> {
    let node = resolve(root, node);
    if node.get("anyOf").or(node.get("oneOf")).is_some() {
        let leaf = |c: &&Value| c.get("anyOf").or(c.get("oneOf")).is_none();
        let leaves: Vec<&Value> = choices(root, node).into_iter().filter(leaf).collect();
        return choice(root, &leaves, value);
    }
    if let Some(properties) = node.get("properties").and_then(Value::as_object) {
        let Some(fields) = value.as_object() else { return wrong_type(value, "a map") };
        let known = || properties.keys().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
        if let (Some(name), Some(false)) = (
            fields.keys().find(|k| !properties.contains_key(*k)),
            node.get("additionalProperties").and_then(Value::as_bool),
        ) {
            return Some((Vec::new(), format!("unknown field `{name}`, expected one of {}", known())));
        }
        let required = node.get("required").and_then(Value::as_array).into_iter().flatten();
        if let Some(name) = required.filter_map(Value::as_str).find(|r| !fields.contains_key(*r)) {
            return Some((Vec::new(), format!("missing field `{name}`")));
        }
        return fields.iter().find_map(|(name, inner)| {
            let (mut path, message) = mismatch(root, properties.get(name)?, inner)?;
            path.insert(0, name.clone());
            Some((path, message))
        });
    }
    let words = words(node);
    if !words.is_empty() {
        return word(&words, value);
    }
    match node.get("type").and_then(Value::as_str)? {
        "integer" if !(value.is_i64() || value.is_u64()) => wrong_type(value, "i64"),
        "string" if !value.is_string() => wrong_type(value, "a string"),
        "boolean" if !value.is_boolean() => wrong_type(value, "a boolean"),
        "array" if !value.is_array() => wrong_type(value, "a sequence"),
        "null" if !value.is_null() => wrong_type(value, "nothing"),
        _ => None,
    }
}

fn choice(root: &Value, choices: &[&Value], value: &Value) -> Option<(Vec<String>, String)> {
    let faults: Vec<_> = choices.iter().map(|c| (*c, mismatch(root, c, value))).collect();
    if faults.iter().any(|(_, fault)| fault.is_none()) {
        return None;
    }
    let known: Vec<&str> = choices.iter().flat_map(|c| words(c)).collect();
    let Some(fields) = value.as_object() else {
        return if known.is_empty() { None } else { word(&known, value) };
    };
    let shared = |c: &Value| {
        let properties = c.get("properties").and_then(Value::as_object);
        properties.map_or(0, |p| p.keys().filter(|k| fields.contains_key(*k)).count())
    };
    let most = faults.iter().map(|(c, _)| shared(c)).max().filter(|n| *n > 0)?;
    let mut best = faults.into_iter().filter(|(c, _)| shared(c) == most);
    let (_, fault) = best.next()?;
    if best.next().is_some() { None } else { fault }
}

/// The words that a schema lists, if it does.
fn words(node: &Value) -> Vec<&str> {
    let listed = node.get("enum").and_then(Value::as_array).into_iter().flatten();
    listed.chain(node.get("const")).filter_map(Value::as_str).collect()
}

fn word(known: &[&str], value: &Value) -> Option<(Vec<String>, String)> {
    match value.as_str() {
        Some(word) if known.contains(&word) => None,
        Some(word) => {
            let known: Vec<String> = known.iter().map(|k| format!("`{k}`")).collect();
            Some((Vec::new(), format!("unknown variant `{word}`, expected one of {}", known.join(", "))))
        }
        None => wrong_type(value, "a string"),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "its callers return what it returns")]
fn wrong_type(value: &Value, expected: &str) -> Option<(Vec<String>, String)> {
    let found = crate::explain::unexpected(value)
        .unwrap_or_else(|| if value.is_array() { "sequence".to_owned() } else { "map".to_owned() });
    Some((Vec::new(), format!("invalid type: {found}, expected {expected}")))
}
