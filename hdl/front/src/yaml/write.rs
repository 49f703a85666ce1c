//! Printing JSON values as YAML: matrices one row a line, everything else on one line.

use std::fmt::Write as _;

use serde_json::Value;

/// Appends `key: value`, indented by `indent` spaces. Lists of lists get one line per inner list.
pub(crate) fn entry(out: &mut String, indent: usize, key: &str, value: &Value) {
    let pad = " ".repeat(indent);
    match value {
        Value::Array(rows) if rows.iter().any(Value::is_array) => {
            writeln!(out, "{pad}{}:", quoted(key)).expect("writing to a string");
            for row in rows {
                write!(out, "{pad}  - ").expect("writing to a string");
                inline(out, row);
                out.push('\n');
            }
        }
        _ => {
            write!(out, "{pad}{}: ", quoted(key)).expect("writing to a string");
            inline(out, value);
            out.push('\n');
        }
    }
}

/// Appends `value` in flow style.
pub(crate) fn inline(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => out.push_str(&quoted(text)),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                inline(out, item);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (i, (key, item)) in fields.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                out.push_str(&quoted(key));
                out.push_str(": ");
                inline(out, item);
            }
            out.push('}');
        }
        other => write!(out, "{other}").expect("writing to a string"),
    }
}

/// `text` as a YAML scalar that reads back as the same text: plain where that is safe, else in double quotes.
fn quoted(text: &str) -> String {
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_./-".contains(c));
    let special = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    if word && !special.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            ' ' => out.push(' '),
            c if c.is_ascii_graphic() || c.is_alphanumeric() => out.push(c),
            c if (c as u32) < 0x1_0000 => write!(out, "\\u{:04x}", c as u32).expect("writing to a string"),
            c => write!(out, "\\U{:08x}", c as u32).expect("writing to a string"),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;

    #[test]
    fn what_is_printed_reads_back() {
        let hostile = [
            "",
            "true",
            "No",
            "s12",
            "1",
            "-",
            "a: b",
            "#x",
            "\u{e9}\u{1f600}\0\n\t\"\\",
            "'",
            "\u{2028}\u{85}",
            " a ",
        ];
        for text in hostile {
            let mut out = String::new();
            entry(&mut out, 0, text, &Value::from(text));
            let back = parse(&out, "n").unwrap_or_else(|d| panic!("{text:?} printed {out:?}: {d}"));
            assert_eq!(back.json(), serde_json::json!({ text: text }), "{out:?}");
        }
        let value = serde_json::json!({"w": [[1, -2], [3, 4]], "m": {"shift": 4, "k": [1]}, "n": null, "e": [], "o": {}});
        let mut out = String::new();
        for (key, v) in value.as_object().expect("an object") {
            entry(&mut out, 0, key, v);
        }
        assert_eq!(parse(&out, "n").expect("YAML").json(), value, "{out}");
        assert!(out.contains("w:\n  - [1, -2]\n  - [3, 4]\n"), "{out}");
    }
}
