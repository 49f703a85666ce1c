//! `nervure doctor`.

use anyhow::Result;
use nervure_sim::tool::KNOWN;
use nervure_sim::{Cache, MissingTool, Toolbox};
use serde_json::{Value, json};

use crate::console::Console;
use crate::table::table;

/// Without these nothing can be built and verified.
const REQUIRED: [&str; 5] = ["verilator", "iverilog", "yosys", "g++", "make"];

/// What is there, and what to install; the exit code.
pub(crate) fn doctor(console: &Console) -> Result<u8> {
    // Asking a tool for its version changes nothing, so that a dry run does so, too.
    let toolbox = Toolbox::new();
    let mut names: Vec<(&str, Option<&str>)> = REQUIRED.map(|name| (name, package(name))).to_vec();
    names.extend(KNOWN.iter().map(|k| (k.0, k.2)).filter(|k| !REQUIRED.contains(&k.0)));
    let (mut rows, mut list, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    let mut first = None;
    for (name, package) in names {
        let required = REQUIRED.contains(&name);
        let found = match toolbox.find(name) {
            Ok(tool) => Some(tool),
            Err(e) if e.is::<MissingTool>() => None,
            Err(e) => return Err(e),
        };
        let (version, path) =
            found.as_ref().map_or((None, None), |t| (Some(&t.version), Some(t.path.display().to_string())));
        list.push(json!({"name": name, "required": required, "found": found.is_some(), "version": version,
            "path": path, "package": package}));
        let state = match (&found, package) {
            (Some(tool), _) if tool.version.is_empty() => tool.path.display().to_string(),
            (Some(tool), _) => tool.version.clone(),
            (None, Some(package)) => format!("missing: apt-get install {package}"),
            (None, None) => "missing: see the vendor".to_owned(),
        };
        rows.push(vec![name.to_owned(), if required { "required" } else { "optional" }.to_owned(), state]);
        if found.is_none() && required {
            missing.extend(package);
            first.get_or_insert(name);
        }
    }
    let command = (!missing.is_empty()).then(|| format!("apt-get install -y {}", missing.join(" ")));
    let cache = Cache::open().root().display().to_string();
    let object: Value = json!({"tools": list, "install": command, "cache": cache, "ok": first.is_none()});
    console.result(&object, || {
        let verdict = match &command {
            Some(command) => format!("To install what is missing: {command}"),
            None => "Everything that is required is there.".to_owned(),
        };
        format!("{}\ncache      {cache}\n\n{verdict}", table(&rows))
    });
    if let Some(name) = first.filter(|_| !console.json) {
        console.complain(&format!("error: `{name}` is not installed"));
    }
    Ok(u8::from(first.is_some()) * 2)
}

/// Debian package of a required tool.
fn package(name: &str) -> Option<&'static str> {
    if name == "make" { Some("make") } else { KNOWN.iter().find(|k| k.0 == name).and_then(|k| k.2) }
}
