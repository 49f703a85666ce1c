//! A block is one folder: in a copy of the workspace, `templates/act/negate` is added from `fixtures/`, nothing else is
//! touched, and the conformance tests run for it.
//!
//! The copy lies in the target folder and shares it, so that no dependency is compiled twice. Cargo knows a crate of a
//! workspace by its place in it: the profile differs, so that the copy's crates do not take the place of the original's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use nervure_tests::command::{root, target_folder, tree};

const TMP: &str = env!("CARGO_TARGET_TMPDIR");
const BLOCK: &str = "act/negate";

/// The sources: what is not ignored. Without git, everything but build products.
fn sources() -> BTreeMap<String, Vec<u8>> {
    let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let out = Command::new("git").args(args).current_dir(root()).output().ok().filter(|o| o.status.success());
    let Some(out) = out else {
        let skip = ["target/", "build/", ".git/"];
        return tree(&root()).into_iter().filter(|(p, _)| !skip.iter().any(|s| p.starts_with(s))).collect();
    };
    let text = String::from_utf8(out.stdout).expect("paths are UTF-8");
    let read = |path: &str| Some((path.to_owned(), std::fs::read(root().join(path)).ok()?));
    text.split('\0').filter(|p| !p.is_empty()).filter_map(read).collect()
}

/// Makes `folder` hold exactly `files`. What is the same stays untouched, so that cargo need not build it again.
fn copy(files: &BTreeMap<String, Vec<u8>>, folder: &Path) {
    let old = tree(folder);
    for path in old.keys().filter(|p| !files.contains_key(*p)) {
        std::fs::remove_file(folder.join(path)).expect("an old file is removed");
    }
    for (path, bytes) in files.iter().filter(|(p, b)| old.get(*p) != Some(b)) {
        let place = folder.join(path);
        std::fs::create_dir_all(place.parent().expect("a file is in a folder")).expect("a folder is made");
        std::fs::write(place, bytes).expect("a file is copied");
    }
}

fn conformance(folder: &Path, bless: bool) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args([
            "test",
            "--quiet",
            "--locked",
            "--config",
            "profile.dev.debug=false",
            "-p",
            "nervure-tests",
            "--test",
            "conformance",
            "--test",
            "kernels",
        ])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target_folder(TMP))
        .env("NERVURE_ONLY", BLOCK)
        .env_remove("NERVURE_BLESS");
    if bless {
        command.env("NERVURE_BLESS", "1");
    }
    let out = command.output().expect("cargo starts");
    let (said, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "bless {bless}:\n{said}\n{errors}");
}

#[test]
fn a_block_is_one_folder() {
    let folder: PathBuf = Path::new(TMP).join("add_a_block");
    let mut files = sources();
    let block = format!("templates/{BLOCK}/");
    assert!(!files.keys().any(|p| p.starts_with(&block)), "the library has no such block yet");
    for (name, bytes) in tree(&root().join("tests/fixtures/negate")) {
        files.insert(format!("{block}{}", name.trim_end_matches(".txt")), bytes);
    }
    copy(&files, &folder);
    conformance(&folder, true);
    conformance(&folder, false);
    let mut after = tree(&folder);
    let own = |p: &String| p.starts_with(&block);
    let recorded: Vec<String> = after.keys().filter(|p| own(p) && !files.contains_key(*p)).cloned().collect();
    assert!(recorded.iter().any(|p| p.ends_with("golden_0.v")), "its golden file was written: {recorded:?}");
    assert!(recorded.iter().any(|p| p.ends_with("area.json")), "its area was recorded: {recorded:?}");
    after.retain(|p, _| !recorded.contains(p));
    assert!(after.keys().eq(files.keys()), "files came or went");
    let changed: Vec<&String> =
        after.iter().filter(|(p, b)| files.get(*p) != Some(b)).map(|(p, _)| p).collect();
    assert!(changed.is_empty(), "other files changed: {changed:?}");
}
