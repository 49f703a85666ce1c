//! One JSON Schema for a whole network file: completion and checks in an editor.

pub(crate) mod mismatch;
pub(crate) mod walk;

use nervure_core::{AnyBlock, Bus, Registry};
use serde_json::{Map, Value, json};

use crate::document;

/// JSON Schema (draft 2020-12) of network files over the blocks of `registry`.
///
/// A layer is one of the blocks, told apart by `block`. `input` and `input_lanes` may be left out, being what the layer
/// before delivers; a tensor may be text, being an array of an `.npz`.
pub fn schema(registry: &Registry) -> Value {
    let mut definitions = Map::new();
    let input = place("input", schemars::schema_for!(document::Input).to_value(), &mut definitions);
    let layers: Vec<Value> = registry.blocks().map(|b| layer(b, &mut definitions)).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Nervure network",
        "type": "object",
        "required": ["nervure", "name", "inputs", "layers"],
        "additionalProperties": false,
        "properties": {
            "nervure": {"const": 1, "description": "Version of the file format."},
            "name": {"type": "string", "minLength": 1, "description": "Name of the network."},
            "bus": {
                "enum": Bus::NAMES.map(|(name, _)| name),
                "description": "What reaches weights that are written at run time; AXI4-Lite unless given.",
            },
            "inputs": {"type": "array", "items": input, "description": "What enters."},
            "layers": {
                "type": "array",
                "minItems": 1,
                "items": {"oneOf": layers},
                "description": "Layers, in any order that has no cycle.",
            },
            "outputs": names("What leaves: layers, or `layer.port`. By default the last layer."),
        },
        "$defs": definitions,
    })
}

fn names(description: &str) -> Value {
    json!({
        "description": description,
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    })
}

fn layer(block: &dyn AnyBlock, definitions: &mut Map<String, Value>) -> Value {
    let key = block.name().replace('/', ".");
    let mut schema = place(&key, block.schema(), definitions);
    let Some(fields) = schema.as_object_mut() else { return schema };
    fields.insert("title".to_owned(), block.name().into());
    let about = block.readme().lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#'));
    fields.insert("description".to_owned(), about.unwrap_or(block.name()).into());
    if let Some(required) = fields.entry("required").or_insert_with(|| json!([])).as_array_mut() {
        required.retain(|r| !["input", "inputs", "input_lanes"].iter().any(|known| r == known));
        required.splice(0..0, [json!("name"), json!("block")]);
    }
    if let Some(properties) = fields.entry("properties").or_insert_with(|| json!({})).as_object_mut() {
        let own = std::mem::take(properties);
        properties.insert(
            "name".to_owned(),
            json!({"type": "string", "minLength": 1, "description": "Name of the layer."}),
        );
        properties.insert("block".to_owned(), json!({"const": block.name()}));
        properties.insert(
            "from".to_owned(),
            names("What it reads: an input, a layer, or `layer.port`; by default the layer before."),
        );
        let fifo = json!({"type": "integer", "minimum": 0, "description": "Beats of queue in front of it."});
        properties.insert("fifo".to_owned(), fifo);
        properties.extend(own);
    }
    schema
}

/// Moves the definitions of `schema` to the whole, under names of their own unless the same definition is there already.
fn place(key: &str, mut schema: Value, definitions: &mut Map<String, Value>) -> Value {
    let own = schema.as_object_mut().and_then(|fields| {
        fields.shift_remove("$schema");
        fields.shift_remove("$defs")
    });
    let Some(Value::Object(own)) = own else { return schema };
    let renamed: Vec<(String, String)> = own
        .iter()
        .map(|(name, definition)| match definitions.get(name) {
            Some(other) if other != definition => (name.clone(), format!("{key}.{name}")),
            _ => (name.clone(), name.clone()),
        })
        .collect();
    for ((_, name), (_, mut definition)) in renamed.iter().zip(own) {
        rename(&mut definition, &renamed);
        definitions.insert(name.clone(), definition);
    }
    rename(&mut schema, &renamed);
    schema
}

fn rename(value: &mut Value, names: &[(String, String)]) {
    match value {
        Value::Object(fields) => {
            for (key, v) in fields.iter_mut() {
                if let (true, Some(name)) =
                    (key == "$ref", v.as_str().and_then(|r| r.strip_prefix("#/$defs/")))
                {
                    if let Some((_, new)) = names.iter().find(|(old, _)| old == name) {
                        *v = Value::from(format!("#/$defs/{new}"));
                    }
                } else {
                    rename(v, names);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|v| rename(v, names)),
        _ => {}
    }
}
