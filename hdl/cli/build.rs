//! Embeds what the command carries with it: the board files with their pins, and the shipped examples.
//!
//! Adding a board or an example edits no file of this crate.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn entries(of: &Path) -> Vec<PathBuf> {
    let Ok(list) = fs::read_dir(of) else { return Vec::new() };
    let mut list: Vec<PathBuf> =
        list.map(|e| e.expect("a folder of the repository is readable").path()).collect();
    list.sort();
    list
}

fn name(path: &Path) -> String {
    path.file_name().expect("an entry has a name").to_string_lossy().into_owned()
}

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("set by cargo")).join("../..");
    let root = root.canonicalize().expect("the crate lies in the repository");
    let mut text = String::new();
    let mut list = |constant: &str, files: Vec<PathBuf>| {
        writeln!(text, "const {constant}: &[(&str, &[u8])] = &[").expect("writing to a string");
        for file in files {
            let folder = file.parent().map(name).unwrap_or_default();
            let short =
                if constant == "EXAMPLES" { format!("{folder}/{}", name(&file)) } else { name(&file) };
            writeln!(text, "    ({short:?}, include_bytes!({:?})),", file.display().to_string())
                .expect("writing to a string");
        }
        writeln!(text, "];").expect("writing to a string");
    };
    for folder in ["boards", "constraints", "examples"] {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
    }
    let yaml = |p: &PathBuf| p.extension().is_some_and(|e| e == "yaml");
    list("BOARDS", entries(&root.join("boards")).into_iter().filter(yaml).collect());
    list("CONSTRAINTS", entries(&root.join("constraints")).into_iter().filter(|p| p.is_file()).collect());
    let examples = entries(&root.join("examples")).into_iter().filter(|p| p.join("network.yaml").is_file());
    let shipped = |p: &PathBuf| {
        p.extension().is_some_and(|e| ["yaml", "npz", "nir", "md"].iter().any(|known| e == *known))
    };
    let files = examples.flat_map(|e| entries(&e)).filter(shipped).filter(|p| p.is_file());
    list("EXAMPLES", files.collect());
    let out = PathBuf::from(env::var("OUT_DIR").expect("set by cargo")).join("embedded.rs");
    fs::write(out, text).expect("OUT_DIR is writable");
}
