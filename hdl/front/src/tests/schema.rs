//! The schema for editors.

use serde_json::Value;

use crate::{schema, testing};

/// Every `$ref` in `value` leads somewhere in `root`.
fn check_references(root: &Value, value: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                assert!(target.strip_prefix('#').and_then(|p| root.pointer(p)).is_some(), "{target}");
            }
            fields.values().for_each(|v| check_references(root, v));
        }
        Value::Array(items) => items.iter().for_each(|v| check_references(root, v)),
        _ => {}
    }
}

#[test]
fn one_schema_for_the_whole_file() {
    let schema = schema(&testing::registry());
    check_references(&schema, &schema);
    let layer = &schema["properties"]["layers"]["items"]["oneOf"][0];
    assert_eq!(layer["properties"]["block"]["const"], "test/dense");
    assert_eq!(layer["required"], serde_json::json!(["name", "block", "weights", "weight_format"]));
    assert_eq!(layer["additionalProperties"], false);
    assert_eq!(layer["description"], "A dense layer.");
    for field in ["name", "from", "fifo", "input", "input_lanes", "weights", "lanes"] {
        assert!(layer["properties"][field]["description"].is_string(), "{field}: {layer:#}");
    }
    assert!(schema["$defs"]["Tensor"]["type"].as_array().expect("types").contains(&"string".into()));
    assert_eq!(schema["properties"]["inputs"]["items"]["additionalProperties"], false);
}
