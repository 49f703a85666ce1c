//! Documents that list what the sources have: blocks in `README.md`, dependencies in `deny.toml`, links between files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn read(path: &str) -> String {
    fs::read_to_string(crate::root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).expect("the folder is readable").map(|e| e.expect("as above").path());
    entries.filter(|p| p.is_dir()).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[test]
fn the_readme_lists_every_block() {
    let text = read("README.md");
    let (_, rest) = text.split_once("<!-- blocks").expect("the list of blocks is marked");
    let (list, _) = rest.split_once("<!-- end of blocks").expect("the list of blocks is marked");
    let listed: Vec<&str> =
        list.lines().filter_map(|l| l.strip_prefix("| `")).filter_map(|l| l.split('`').next()).collect();
    assert!(listed.is_sorted(), "in order of names: {listed:?}");
    let mut blocks = BTreeSet::new();
    // As the build script of the library finds them.
    for group in folders(&crate::root().join("templates")).into_iter().filter(|g| name(g) != "shared") {
        let block = |f: &PathBuf| f.join("mod.rs").exists().then(|| format!("{}/{}", name(&group), name(f)));
        blocks.extend(folders(&group).iter().filter_map(block));
    }
    let listed: BTreeSet<String> = listed.into_iter().map(str::to_owned).collect();
    assert_eq!(listed, blocks, "README.md against the folders of templates/");
}

#[test]
fn every_dependency_has_a_reason() {
    let root = crate::root();
    let mut used = BTreeSet::new();
    let crates =
        ["hdl/core", "hdl/front", "hdl/back", "hdl/cli", "templates", "sim", "tests", "benches", "xtask"];
    for folder in crates {
        let mut inside = false;
        for line in read(&format!("{folder}/Cargo.toml")).lines() {
            if line.starts_with('[') {
                inside = line.contains("dependencies");
            } else if inside && !line.starts_with('#') && !line.is_empty() {
                let word = line.split([' ', '.', '=']).next().unwrap_or_default();
                used.insert(word.to_owned());
            }
        }
    }
    used.retain(|name| name != "nervure" && !name.starts_with("nervure-"));
    let reasons: BTreeSet<String> = fs::read_to_string(root.join("deny.toml"))
        .expect("deny.toml exists")
        .lines()
        .skip_while(|l| *l != "# Reasons.")
        .filter_map(|l| l.strip_prefix("# ")?.split_once("  "))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(used, reasons, "direct dependencies against the reasons in deny.toml");
}

#[test]
fn links_lead_somewhere() {
    let root = crate::root();
    let mut files: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].iter().map(|f| root.join(f)).collect();
    for entry in fs::read_dir(root.join("docs")).expect("docs is readable") {
        files.push(entry.expect("docs is readable").path());
    }
    for file in files {
        let text = fs::read_to_string(&file).expect("a document is text");
        for target in text.split("](").skip(1).filter_map(|t| t.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            let folder = file.parent().expect("a file lies in a folder");
            assert!(folder.join(path).exists(), "{}: the link `{target}` leads nowhere", name(&file));
        }
    }
}
