//! Finds the blocks and the targets: a folder with a `mod.rs` is a block, one with a `target.yaml` a target.
//!
//! The type of block `group/some_name` is `SomeName` in its `mod.rs`. Adding a block edits no other file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn folders(of: &Path) -> Vec<PathBuf> {
    let mut list: Vec<PathBuf> = fs::read_dir(of)
        .expect("the block library is readable")
        .map(|e| e.expect("the block library is readable").path())
        .filter(|p| p.is_dir())
        .collect();
    list.sort();
    list
}

fn name(path: &Path) -> String {
    path.file_name().expect("a folder has a name").to_string_lossy().into_owned()
}

fn camel(snake: &str) -> String {
    snake.split('_').map(|w| w[..1].to_uppercase() + &w[1..]).collect()
}

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let (mut modules, mut blocks, mut targets) = (String::new(), String::new(), String::new());
    println!("cargo::rerun-if-changed={}", root.display());
    for group in folders(&root).iter().filter(|g| !["src", "shared"].contains(&name(g).as_str())) {
        println!("cargo::rerun-if-changed={}", group.display());
        for folder in folders(group) {
            let target = folder.join("target.yaml");
            if target.exists() {
                writeln!(targets, "    include_str!({target:?}),").expect("writing to a string");
                continue;
            }
            let file = folder.join("mod.rs");
            assert!(file.exists(), "{} has neither mod.rs nor target.yaml", folder.display());
            let module = format!("{}_{}", name(group), name(&folder));
            writeln!(modules, "#[path = {file:?}]\nmod {module};").expect("writing to a string");
            writeln!(blocks, "        erase::<{module}::{}>(),", camel(&name(&folder)))
                .expect("writing to a string");
        }
    }
    let text = format!(
        "{modules}\nfn blocks() -> Vec<Box<dyn AnyBlock>> {{\n    vec![\n{blocks}    ]\n}}\n\n\
         const TARGETS: &[&str] = &[\n{targets}];\n"
    );
    let out = PathBuf::from(env::var("OUT_DIR").expect("set by cargo")).join("library.rs");
    fs::write(out, text).expect("OUT_DIR is writable");
}
