//! House rules that no compiler checks, on every file that is tracked (or will be: not ignored).

use std::path::{Path, PathBuf};
use std::process::Command;

/// Longest Rust file, lines; tests included.
const LONGEST: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the workspace").to_owned()
}

/// Paths below the root, sorted; nothing where the workspace is no git checkout (an unpacked archive).
fn files() -> Vec<String> {
    let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let out = Command::new("git").args(args).current_dir(root()).output();
    let Some(out) = out.ok().filter(|o| o.status.success()) else {
        eprintln!("skipped: this is no git checkout");
        return Vec::new();
    };
    let text = String::from_utf8(out.stdout).expect("paths are UTF-8");
    let mut files: Vec<String> = text
        .split('\0')
        .filter(|f| !f.is_empty() && root().join(f).is_file())
        .map(ToOwned::to_owned)
        .collect();
    files.sort();
    files
}

fn rust() -> impl Iterator<Item = (String, String)> {
    let rust = files().into_iter().filter(|f| has_extension(f, "rs"));
    rust.map(|f| (std::fs::read_to_string(root().join(&f)).expect("a Rust file is text"), f))
        .map(|(t, f)| (f, t))
}

fn has_extension(file: &str, extension: &str) -> bool {
    Path::new(file).extension().is_some_and(|e| e == extension)
}

fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rust_is_formatted() {
    // `cargo fmt` does not see the modules that the build script of `templates` includes.
    let list: Vec<String> = rust().map(|(f, _)| f).collect();
    if list.is_empty() {
        return;
    }
    let out = Command::new("rustfmt")
        .args(["--check", "--edition", "2024", "--config", "skip_children=true", "--unstable-features"])
        .args(&list)
        .current_dir(root())
        .output();
    // A stable rustfmt has no `skip_children`; then modules are visited more than once, and no harm is done.
    let out = out.ok().filter(|o| o.status.success()).or_else(|| {
        Command::new("rustfmt")
            .args(["--check", "-l", "--edition", "2024"])
            .args(&list)
            .current_dir(root())
            .output()
            .ok()
    });
    let out = out.expect("rustfmt comes with the tool chain");
    let mut said: Vec<String> = String::from_utf8_lossy(&out.stdout).lines().map(ToOwned::to_owned).collect();
    said.sort();
    said.dedup();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "run rustfmt on these:\n{}\n{errors}", said.join("\n"));
}

#[test]
fn every_rust_file_says_what_it_is_for() {
    let silent = rust().filter(|(_, text)| !text.starts_with("//! ")).map(|(f, _)| f);
    none(&silent.map(|f| format!("{f} does not begin with `//! `")).collect::<Vec<_>>());
}

#[test]
fn no_rust_file_is_too_long() {
    let long = rust().map(|(f, text)| (f, text.lines().count())).filter(|(_, n)| *n > LONGEST);
    none(&long.map(|(f, n)| format!("{f} has {n} lines; at most {LONGEST}")).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_to_do() {
    // Put together here, so that this file is not its own finding.
    let marks = ["todo", "unimplemented"].map(|word| format!("{word}!("));
    let found = rust().flat_map(|(f, text)| {
        let marks = marks.iter().filter(move |m| text.contains(m.as_str()));
        marks.map(move |m| format!("{f} has `{m}...)`")).collect::<Vec<_>>()
    });
    none(&found.collect::<Vec<_>>());
}

#[test]
fn no_file_knows_a_machine() {
    // Folders of machines that this was written on, home folders, and mirrors of package registries.
    let marks: Vec<String> = [
        ["/wo", "rk/"],
        ["/ho", "me/"],
        ["/ro", "ot/"],
        ["/Us", "ers/"],
        ["C:\\", "Users"],
        ["arti", "factory"],
        ["nex", "us."],
        ["sparse+", "http"],
        ["index.cra", "tes.io"],
        ["/tm", "p/t2-"],
    ]
    .map(|parts| parts.concat())
    .to_vec();
    let mut wrong = Vec::new();
    for file in files() {
        let Ok(text) = std::fs::read_to_string(root().join(&file)) else { continue };
        for (n, line) in text.lines().enumerate() {
            if let Some(mark) = marks.iter().find(|m| line.contains(m.as_str())) {
                wrong.push(format!("{file}:{} has `{mark}`", n + 1));
            }
        }
    }
    none(&wrong);
}

#[test]
fn no_rust_file_outside_its_folder_names_a_block() {
    // Plumbing that every design may need, documentation, tests, neighbours in the library, and the one file of each importer
    // that names the blocks of its networks excepted.
    let plumbing = ["stream/fork", "stream/width", "stream/fifo", "stream/discard"];
    let blocks = nervure_tests::registry().blocks().map(nervure_core::AnyBlock::name);
    let blocks: Vec<&str> = blocks.filter(|b| !plumbing.contains(b)).collect();
    let tests = |f: &str| f.contains("test") || f.starts_with("templates/") || f.starts_with("benches/");
    let writers = ["hdl/front/src/import/write.rs", "hdl/front/src/streamline/blocks.rs"];
    let tests = |f: &str| tests(f) || writers.contains(&f);
    let mut wrong = Vec::new();
    for (file, text) in rust().filter(|(f, _)| !tests(f)) {
        let code = text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//"));
        for (n, line) in code.take_while(|(_, l)| !l.contains("#[cfg(test)]")) {
            if let Some(block) = blocks.iter().find(|b| line.contains(&format!("\"{b}\""))) {
                wrong.push(format!("{file}:{} names the block {block}", n + 1));
            }
        }
    }
    none(&wrong);
}
