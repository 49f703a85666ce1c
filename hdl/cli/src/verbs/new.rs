//! `nervure new`.

use std::path::Path;

use anyhow::{Context, Result};
use nervure_core::Diagnostic;
use serde_json::json;

use crate::console::Console;
use crate::embedded;

/// Copies an example to `dir`, which must not exist or be empty.
pub(crate) fn new(console: &Console, example: &str, dir: &Path) -> Result<bool> {
    let files = embedded::example(example)?;
    let taken = dir.exists() && !std::fs::read_dir(dir).is_ok_and(|mut list| list.next().is_none());
    if taken {
        let message = format!("`{}` exists", dir.display());
        return Err(Diagnostic::new("E0505", message, "name a folder that does not exist yet").into());
    }
    let context = || format!("cannot write {}", dir.display());
    if !console.dry {
        std::fs::create_dir_all(dir).with_context(context)?;
        for (name, bytes) in &files {
            std::fs::write(dir.join(name), bytes).with_context(context)?;
        }
    }
    let names: Vec<&str> = files.iter().map(|f| f.0).collect();
    let shown = dir.display();
    console.result(&json!({"example": example, "dir": shown.to_string(), "files": names}), || {
        format!("{shown}: {}\nNow: nervure build {shown}", names.join(", "))
    });
    Ok(true)
}
