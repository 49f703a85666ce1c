//! From serde's words to a person's: what is wrong with a field, what was expected, and what to do.

use nervure_core::Diagnostic;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::schema::mismatch::mismatch;
use crate::schema::walk;
use crate::suggest;

/// What the fields belong to.
pub(crate) struct Context<'a> {
    /// For people: "`engine/spiking`", "an input".
    pub(crate) owner: &'a str,
    /// The fields, as they were given; [`skeleton`] will do.
    pub(crate) params: &'a Value,
    /// Their JSON Schema.
    pub(crate) schema: &'a Value,
    /// Fields that the schema does not know of.
    pub(crate) also: &'a [&'a str],
    /// Where to read on.
    pub(crate) more: &'a str,
}

/// `value` as a `T`. Errors: `E0103`, `E0104`.
pub(crate) fn decode<T: DeserializeOwned>(value: Value, cx: &Context<'_>) -> Result<T, Diagnostic> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let path = e.path().iter().map(ToString::to_string).filter(|s| s != "?").collect();
        explain(path, &e.inner().to_string(), cx)
    })
}

/// The diagnostic for serde's `message` about `path`: `E0103` for an unknown field, else `E0104`.
pub(crate) fn explain(mut path: Vec<String>, message: &str, cx: &Context<'_>) -> Diagnostic {
    if let Some(rest) = message.strip_prefix("unknown field `") {
        return unknown_field(path, rest, cx);
    }
    if let Some((field, _)) = message.strip_prefix("missing field `").and_then(|m| m.split_once('`')) {
        let parent = label(&path);
        let text = if path.is_empty() { String::new() } else { format!(" in `{parent}`") };
        let help = help(&[path.as_slice(), &[field.to_owned()]].concat(), field, cx);
        return at(path, Diagnostic::new("E0104", format!("the field `{field}` is missing{text}"), help));
    }
    let kind = message.strip_prefix("invalid type: ").or(message.strip_prefix("invalid value: "));
    let (text, help) = if let Some((found, expected)) = kind.and_then(|k| k.rsplit_once(", expected ")) {
        deepen(&mut path, cx.params, |v| unexpected(v).as_deref() == Some(found));
        let name = label(&path);
        let text = format!("`{name}` is {}, expected {}", found_words(found), expected_words(expected));
        (text, help(&path, &name, cx))
    } else if let Some((word, known)) =
        message.strip_prefix("unknown variant `").and_then(|m| m.split_once('`'))
    {
        deepen(&mut path, cx.params, |v| v.as_str() == Some(word));
        let text = format!("`{}` is `{}`, which is not one of its values", label(&path), word.escape_debug());
        (text, suggest::help(word, &backticked(known), "expected one of"))
    } else if message.starts_with("data did not match any variant") {
        let schema = walk::find(cx.schema, &path);
        let value = value_at(cx.params, &path);
        if let Some((below, message)) = schema.zip(value).and_then(|(s, v)| mismatch(cx.schema, s, v)) {
            path.extend(below);
            return explain(path, &message, cx);
        }
        let name = label(&path);
        let forms = schema.map(|s| walk::forms(cx.schema, s)).unwrap_or_default();
        let forms =
            if forms.is_empty() { cx.more.to_owned() } else { format!("write one of {}", forms.join(", ")) };
        (format!("`{name}` has none of the forms that it can take"), forms)
    } else {
        if let Some((word, _)) = message.strip_prefix('`').and_then(|m| m.split_once('`')) {
            deepen(&mut path, cx.params, |v| v.as_str() == Some(word));
        }
        let name = label(&path);
        (format!("`{name}`: {message}"), help(&path, &name, cx))
    };
    at(path, Diagnostic::new("E0104", text, help))
}

/// The same parameters without what is long: for messages only.
pub(crate) fn skeleton(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().take(32).map(skeleton).collect(),
        Value::Object(fields) => fields.iter().map(|(k, v)| (k.clone(), skeleton(v))).collect(),
        other => other.clone(),
    }
}

/// The value at `path`, where there is one; `[3]` is an element of a list.
pub(crate) fn value_at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |v, segment| match index(segment) {
        Some(n) => v.get(n).or_else(|| v.get(segment)),
        None => v.get(segment),
    })
}

/// The index in `[3]`.
pub(crate) fn index(segment: &str) -> Option<usize> {
    segment.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn at(path: Vec<String>, mut d: Diagnostic) -> Diagnostic {
    d.path = path;
    d
}

fn unknown_field(mut path: Vec<String>, rest: &str, cx: &Context<'_>) -> Diagnostic {
    let (name, known) = rest.split_once("`, ").unwrap_or((rest.trim_end_matches('`'), ""));
    if path.last().is_some_and(|last| last == name) {
        path.pop();
    }
    deepen(&mut path, cx.params, |v| v.get(name).is_some());
    let mut known = backticked(known);
    let owner = if path.is_empty() {
        known.extend(cx.also);
        cx.owner.to_owned()
    } else {
        format!("`{}`", label(&path))
    };
    let text = format!("{owner} has no field `{}`", name.escape_debug());
    path.push(name.to_owned());
    at(path, Diagnostic::new("E0103", text, suggest::help(name, &known, "expected one of")))
}

/// serde loses the path inside tagged choices: where the value at `path` is not what it speaks of, but exactly one value
/// below is, the path becomes that value's.
fn deepen(path: &mut Vec<String>, params: &Value, wanted: impl Fn(&Value) -> bool) {
    fn search(
        v: &Value,
        here: &mut Vec<String>,
        wanted: &dyn Fn(&Value) -> bool,
        found: &mut Vec<Vec<String>>,
    ) {
        if wanted(v) {
            found.push(here.clone());
        }
        let mut below = |segment: String, v: &Value| {
            here.push(segment);
            search(v, here, wanted, found);
            here.pop();
        };
        match v {
            Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| below(format!("[{i}]"), v)),
            Value::Object(fields) => fields.iter().for_each(|(k, v)| below(k.clone(), v)),
            _ => {}
        }
    }
    let Some(start) = value_at(params, path) else { return };
    if wanted(start) {
        return;
    }
    let mut found = Vec::new();
    search(start, &mut Vec::new(), &wanted, &mut found);
    if let [only] = found.as_mut_slice() {
        path.append(only);
    }
}

/// What serde calls a scalar.
pub(crate) fn unexpected(v: &Value) -> Option<String> {
    match v {
        Value::Null => Some("null".to_owned()),
        Value::Bool(b) => Some(format!("boolean `{b}`")),
        Value::Number(n) if n.is_f64() => Some(format!("floating point `{n}`")),
        Value::Number(n) => Some(format!("integer `{n}`")),
        Value::String(s) => Some(format!("string {s:?}")),
        _ => None,
    }
}

/// `shape[2]` for the last name of a path and what follows it.
fn label(path: &[String]) -> String {
    let name = path.iter().rposition(|s| index(s).is_none()).unwrap_or(0);
    path[name.min(path.len())..].iter().map(|s| s.escape_debug().to_string()).collect()
}

fn help(path: &[String], name: &str, cx: &Context<'_>) -> String {
    match walk::find(cx.schema, path).and_then(|s| walk::description(cx.schema, s)) {
        Some(text) => format!("`{name}`: {}. {}", text.trim_end_matches('.'), cx.more),
        None => cx.more.to_owned(),
    }
}

fn found_words(found: &str) -> String {
    let plain = |prefix: &str| found.strip_prefix(prefix).map(|v| v.trim_matches('`').to_owned());
    if let Some(number) = plain("integer ").or_else(|| plain("floating point ")).or_else(|| plain("boolean "))
    {
        return number;
    }
    match found {
        "null" | "unit value" => "empty".to_owned(),
        "sequence" => "a list".to_owned(),
        "map" => "a mapping".to_owned(),
        other => match other.strip_prefix("string ") {
            Some(text) if text.chars().count() > 60 => {
                format!("the text {}...\"", text.chars().take(50).collect::<String>())
            }
            Some(text) => format!("the text {text}"),
            None => other.to_owned(),
        },
    }
}

fn expected_words(expected: &str) -> String {
    let words = match expected {
        "usize" | "u64" => "a whole number from 0",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "i8" => "a whole number from -128 to 127",
        "i16" => "a whole number from -32768 to 32767",
        "i32" | "i64" => "a whole number",
        "a string" | "string" => "text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a mapping",
        "string or map" => "a name, or a mapping with one name",
        other if other.starts_with("struct ") || other.contains("tagged enum ") => "a mapping of fields",
        other => other,
    };
    words.to_owned()
}

fn backticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
