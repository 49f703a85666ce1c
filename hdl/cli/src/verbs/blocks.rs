//! `nervure blocks`.

use anyhow::Result;
use nervure_core::AnyBlock;
use serde_json::{Value, json};

use crate::console::Console;
use crate::table::table;

/// Lists the blocks, or describes one: its README and its parameters.
pub(crate) fn blocks(console: &Console, name: Option<&str>) -> Result<bool> {
    let registry = nervure_templates::registry();
    if let Some(name) = name {
        let block = registry.get(name)?;
        let schema = block.schema();
        let object = json!({"name": name, "title": title(block), "readme": block.readme(), "schema": schema});
        console.result(&object, || {
            format!("{}\n\n## Parameters\n\n{}", block.readme().trim_end(), parameters(&schema))
        });
        return Ok(true);
    }
    let list: Vec<Value> = registry
        .blocks()
        .map(|b| json!({"name": b.name(), "title": title(b), "schema": b.schema()}))
        .collect();
    console.result(&json!({"blocks": list}), || {
        table(&registry.blocks().map(|b| vec![b.name().to_owned(), title(b).to_owned()]).collect::<Vec<_>>())
    });
    Ok(true)
}

/// First line of the README.
fn title(block: &dyn AnyBlock) -> &'static str {
    block.readme().lines().next().unwrap_or_default().trim_start_matches('#').trim()
}

fn parameters(schema: &Value) -> String {
    let Some(fields) = schema["properties"].as_object() else { return "none".to_owned() };
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let row = |(name, field): (&String, &Value)| {
        let follows = name == "input" || name == "input_lanes";
        let need = match field.get("default") {
            _ if follows => "from the layer before".to_owned(),
            Some(default) if !default.is_null() => format!("default {default}"),
            _ if required.contains(&name.as_str()) => "required".to_owned(),
            _ => "optional".to_owned(),
        };
        let about = field["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>();
        vec![name.clone(), kind(field), need, about.join(" ")]
    };
    let head = ["NAME", "TYPE", "", "MEANING"].map(ToOwned::to_owned).to_vec();
    table(&std::iter::once(head).chain(fields.iter().map(row)).collect::<Vec<_>>())
}

/// A JSON Schema type in a few words.
fn kind(field: &Value) -> String {
    let name = |reference: &str| reference.rsplit('/').next().unwrap_or_default().to_owned();
    let list =
        |of: &Value| of.as_array().map(|a| a.iter().map(kind).filter(|k| k != "null").collect::<Vec<_>>());
    if let Some(reference) = field["$ref"].as_str() {
        return name(reference);
    }
    if let Some(words) = field["enum"].as_array() {
        return words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" | ");
    }
    if let Some(word) = field["const"].as_str() {
        return word.to_owned();
    }
    if let Some(any) =
        list(&field["anyOf"]).or_else(|| list(&field["oneOf"])).or_else(|| list(&field["allOf"]))
    {
        return any.join(" | ");
    }
    match &field["type"] {
        Value::String(one) if one == "array" => format!("list of {}", kind(&field["items"])),
        Value::String(one) => one.clone(),
        Value::Array(several) => {
            several.iter().filter_map(Value::as_str).filter(|t| *t != "null").collect::<Vec<_>>().join(" | ")
        }
        _ => "any".to_owned(),
    }
}
