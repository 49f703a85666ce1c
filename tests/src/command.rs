//! The `nervure` command as a person runs it: built once, started in a folder, heard out.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// What a finished run left.
#[derive(Debug, Clone)]
pub struct Run {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// Standard output as one JSON value.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("standard output is not JSON: {e}\n{self:?}"))
    }
}

/// The workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the workspace").to_owned()
}

/// The target folder of the running test, from its `CARGO_TARGET_TMPDIR`.
pub fn target_folder(tmp: &str) -> PathBuf {
    Path::new(tmp).parent().expect("the folder for temporary files is inside").to_owned()
}

/// The program, from the sources at hand.
fn program(tmp: &str) -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let target = target_folder(tmp);
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--locked", "-p", "nervure"])
            .current_dir(root())
            .env("CARGO_TARGET_DIR", &target)
            .status();
        assert!(status.is_ok_and(|s| s.success()), "the command builds");
        target.join("debug").join(format!("nervure{}", std::env::consts::EXE_SUFFIX))
    })
}

/// Runs `nervure` with `args` in `folder`. `tmp` is the test's `CARGO_TARGET_TMPDIR`.
pub fn nervure<S: AsRef<OsStr>>(tmp: &str, folder: &Path, args: impl IntoIterator<Item = S>) -> Run {
    let out = Command::new(program(tmp)).args(args).current_dir(folder).output().expect("the command starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run { code: out.status.code().unwrap_or(-1), stdout: text(&out.stdout), stderr: text(&out.stderr) }
}

/// Every file below `folder`, by path with `/`, sorted.
pub fn tree(folder: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut files = std::collections::BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if let (Ok(name), Ok(bytes)) = (path.strip_prefix(folder), std::fs::read(&path)) {
                files.insert(name.to_string_lossy().replace('\\', "/"), bytes);
            }
        }
    }
    files
}
