//! How a layer or an output names a tensor: `layer`, `layer.port` or `input`.

use nervure_core::Diagnostic;
use serde_json::Value;

use crate::suggest;

/// Name and port of a reference. A name may itself hold points: the whole text is tried first.
pub(crate) fn split(text: &str, known: impl Fn(&str) -> bool) -> (&str, Option<&str>) {
    match text.rsplit_once('.') {
        Some((name, port)) if !known(text) && known(name) => (name, Some(port)),
        _ => (text, None),
    }
}

/// `E0108` for a reference to nothing.
pub(crate) fn unknown(text: &str, candidates: &[&str]) -> Diagnostic {
    let word = if suggest::nearest(text, candidates.iter().copied()).is_none() {
        text.split('.').next().unwrap_or(text)
    } else {
        text
    };
    Diagnostic::new(
        "E0108",
        format!("there is no input or layer `{}`", text.escape_debug()),
        suggest::help(word, candidates, "there are"),
    )
}

/// The tensors that `from` or `outputs` lists: one name, or a list of names. Errors: `E0104`.
pub(crate) fn list(value: &Value) -> Result<Vec<String>, Diagnostic> {
    let texts = match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) => items.iter().map(|i| i.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    texts.ok_or_else(|| {
        Diagnostic::new(
            "E0104",
            "expected a name, or a list of names",
            "write `hidden`, `hidden.port` or `[left, right]`; quote a name that looks like a number",
        )
    })
}

/// What a layer reads that does not say: the layer before, or the only input. Errors: `E0104`.
pub(crate) fn default_from(before: Option<&str>, inputs: &[&str]) -> Result<String, Diagnostic> {
    match (before, inputs) {
        (Some(before), _) => Ok(before.to_owned()),
        (None, [only]) => Ok((*only).to_owned()),
        (None, inputs) => {
            let n = inputs.len();
            let help = match n {
                0 => "give the network an input: `inputs: [{name: x, shape: [4], format: u8}]`".to_owned(),
                _ => format!("write `from: {}`", inputs[0]),
            };
            Err(Diagnostic::new("E0104", format!("`from` is missing, and the network has {n} inputs"), help))
        }
    }
}
