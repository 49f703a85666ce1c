//! Weights that come without their zeros: `weights: {planes: file.npz:hidden}` and `weights: {semi_structured: {...}}`.
//!
//! Whatever block has a field of weights may be given either; it gets the whole matrix. Deliberately absent: the name of any
//! block, and layouts that are not written down anywhere (that of cuSPARSELt, which is one opaque buffer).

pub(crate) mod planes;
mod semi_structured;

use nervure_core::{Diagnostic, Tensor};
use serde_json::{Map, Value};

/// Replaces every field of `params`, or of parts of it, that is packed weights by the whole matrix.
///
/// Errors: `E0104` for a field that is missing or mistyped, `E0105` for planes that are damaged or indices that make no sense,
/// `E0205` for shapes that do not fit together.
pub(crate) fn unpack(params: &mut Map<String, Value>) -> Result<(), Diagnostic> {
    params.iter_mut().try_for_each(|(field, value)| field_of(value).map_err(|d| d.at(field.clone())))
}

fn field_of(value: &mut Value) -> Result<(), Diagnostic> {
    type Read = fn(&Value) -> Result<Tensor, Diagnostic>;
    let forms: [(&str, Read); 2] = [("planes", planes::read), ("semi_structured", semi_structured::read)];
    match value {
        Value::Object(fields) => {
            let form = forms.into_iter().find(|(name, _)| fields.len() == 1 && fields.contains_key(*name));
            let Some((name, read)) = form else { return unpack(fields) };
            let tensor = read(&fields[name]).map_err(|d| d.at(name))?;
            *value = serde_json::json!({"shape": tensor.shape, "data": tensor.data});
            Ok(())
        }
        Value::Array(items) if items.first().is_some_and(Value::is_object) => {
            let mut items = items.iter_mut().enumerate();
            items.try_for_each(|(n, item)| field_of(item).map_err(|d| d.at(format!("[{n}]"))))
        }
        _ => Ok(()),
    }
}

/// The tensor in `value`. Errors: `E0104`.
fn tensor(value: &Value, help: &str) -> Result<Tensor, Diagnostic> {
    serde_json::from_value(value.clone())
        .map_err(|e| Diagnostic::new("E0104", format!("expected an array: {e}"), help))
}
