//! Errors for people and for machines: the line of the file, a caret, the remedy.

use anyhow::Error;
use nervure_core::{Diagnostic, Span};
use nervure_sim::MissingTool;
use serde_json::{Value, json};

/// The longest line that is shown.
const WIDTH: usize = 160;

/// As text.
pub(crate) fn text(error: &Error) -> String {
    if let Some(d) = error.downcast_ref::<Diagnostic>() {
        return diagnostic(d);
    }
    if let Some(tool) = error.downcast_ref::<MissingTool>() {
        return format!("error: {tool}\n  = help: `nervure doctor` lists every tool");
    }
    format!("error: {error:#}")
}

/// As JSON.
pub(crate) fn object(error: &Error) -> Value {
    let inner = if let Some(d) = error.downcast_ref::<Diagnostic>() {
        let span = d.span.as_deref();
        json!({
            "code": d.code, "message": d.message, "path": d.path.join("."), "file": span.map(|s| &s.file),
            "line": span.map(|s| s.line), "column": span.map(|s| s.column), "help": d.help,
        })
    } else if let Some(tool) = error.downcast_ref::<MissingTool>() {
        json!({"code": "missing-tool", "message": tool.to_string(), "tool": tool.name, "package": tool.package,
            "help": "`nervure doctor` lists every tool"})
    } else {
        json!({"code": "failed", "message": format!("{error:#}")})
    };
    json!({ "error": inner })
}

/// The message, then the line that it is about, where that can be read.
fn diagnostic(d: &Diagnostic) -> String {
    let source = d.span.as_deref().and_then(|span| Some((span, line(span)?)));
    let Some((span, line)) = source else { return d.to_string() };
    let path = if d.path.is_empty() { String::new() } else { format!(" ({})", d.path.join(".")) };
    let (number, before) = (span.line.to_string(), span.column.saturating_sub(1));
    let margin = " ".repeat(number.len());
    // Tabs stay tabs, so that the caret stands below its column whatever their width.
    let blank: String = line.chars().take(before).map(|c| if c == '\t' { c } else { ' ' }).collect();
    let rest: Vec<char> = line.chars().skip(before).collect();
    let word = rest.iter().take_while(|c| !c.is_whitespace() && !",]}".contains(**c)).count();
    let carets = "^".repeat(word.clamp(1, WIDTH));
    format!(
        "error[{}]: {}\n{margin}--> {}:{}:{}{path}\n{margin} |\n{number} | {line}\n{margin} | {blank}{carets}\n{margin} = help: {}",
        d.code, d.message, span.file, span.line, span.column, d.help
    )
}

/// The line of a span; nothing where it is too long to help.
fn line(span: &Span) -> Option<String> {
    let text = std::fs::read_to_string(&span.file).ok()?;
    let line = text.lines().nth(span.line.checked_sub(1)?)?;
    let line = line.trim_start_matches('\u{feff}');
    (line.chars().count() <= WIDTH && !line.chars().any(|c| c.is_control() && c != '\t'))
        .then(|| line.to_owned())
}
