//! `docs/errors.md` lists every code that the sources can report, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// `E0101` and the like.
fn is_code(word: &str) -> bool {
    word.len() == 5 && word.starts_with("E0") && word[1..].bytes().all(|b| b.is_ascii_digit())
}

/// Codes in string literals of the Rust files below `folder`, with one file each.
fn in_sources(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("the sources are readable") {
        let path = entry.expect("the sources are readable").path();
        if path.is_dir() {
            // A test names codes that something else reports.
            if path.file_name().is_none_or(|n| n != "tests") {
                in_sources(&path, found);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).expect("sources are text");
            for code in text.split('"').filter(|w| is_code(w)) {
                found.insert(
                    code.to_owned(),
                    path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                );
            }
        }
    }
}

#[test]
fn the_table_and_the_sources_agree() {
    let root = crate::root();
    let mut reported = BTreeMap::new();
    for folder in ["hdl", "templates", "sim"] {
        in_sources(&root.join(folder), &mut reported);
    }
    let text = fs::read_to_string(root.join("docs/errors.md")).expect("docs/errors.md exists");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|l| l.starts_with("| E"))
        .map(|l| l.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let listed: BTreeSet<&str> = rows.iter().map(|r| r[0]).collect();
    assert_eq!(listed.len(), rows.len(), "a code is listed twice");
    assert!(rows.is_sorted_by(|a, b| a[0] < b[0]), "the codes are not in order");
    for row in &rows {
        assert!(is_code(row[0]), "`{}` is not a code", row[0]);
        assert!(
            row.len() == 3 && row.iter().all(|cell| !cell.is_empty()),
            "{}: three columns, all filled",
            row[0]
        );
    }
    let unlisted: Vec<_> = reported.iter().filter(|(code, _)| !listed.contains(code.as_str())).collect();
    assert!(unlisted.is_empty(), "reported, but not in docs/errors.md: {unlisted:?}");
    let unused: Vec<_> = listed.iter().filter(|code| !reported.contains_key(**code)).collect();
    assert!(unused.is_empty(), "in docs/errors.md, but nothing reports them: {unused:?}");
}
