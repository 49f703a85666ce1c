//! The build directory: written aside, renamed when complete, never over something that is not one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nervure_core::Diagnostic;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The file that makes a folder a build directory.
pub(crate) const MANIFEST: &str = "manifest.json";

/// A build directory in the making.
pub(crate) struct Aside {
    place: PathBuf,
    folder: tempfile::TempDir,
}

impl Aside {
    /// A folder beside `place`, or among temporary files when it will not stay. Errors: `E0503` when `place` is something else than a build directory.
    pub(crate) fn new(place: &Path, dry: bool) -> Result<Self> {
        refuse_others(place)?;
        let place = std::path::absolute(place)?;
        if dry {
            return Ok(Self { place, folder: tempfile::tempdir()? });
        }
        let parent = place.parent().unwrap_or(&place).to_owned();
        let context = || format!("cannot write to {}", parent.display());
        fs::create_dir_all(&parent).with_context(context)?;
        let folder =
            tempfile::Builder::new().prefix(".nervure-").tempdir_in(&parent).with_context(context)?;
        Ok(Self { place, folder })
    }

    /// Where it is being made.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let file = self.path().join(path);
        let context = || format!("cannot write {}", file.display());
        fs::create_dir_all(file.parent().unwrap_or(self.path())).with_context(context)?;
        fs::write(&file, bytes).with_context(context)
    }

    /// Puts it in its place, instead of the build that is there.
    pub(crate) fn finish(self) -> Result<PathBuf> {
        let context = || format!("cannot write {}", self.place.display());
        readable(self.path())?;
        refuse_others(&self.place)?;
        let old = tempfile::Builder::new()
            .prefix(".nervure-old-")
            .tempdir_in(self.place.parent().unwrap_or(&self.place))?;
        if self.place.exists() {
            fs::rename(&self.place, old.path().join("old")).with_context(context)?;
        }
        let made = self.folder.keep();
        if let Err(e) = fs::rename(&made, &self.place) {
            let _ = fs::rename(old.path().join("old"), &self.place);
            let _ = fs::remove_dir_all(&made);
            return Err(e).with_context(context);
        }
        Ok(self.place)
    }
}

/// A folder for temporary files is the owner's alone; a build directory is as any other.
#[cfg(unix)]
fn readable(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let rtl = fs::metadata(folder.join("rtl"))?.permissions().mode();
    Ok(fs::set_permissions(folder, fs::Permissions::from_mode(rtl))?)
}

#[cfg(not(unix))]
fn readable(_: &Path) -> Result<()> {
    Ok(())
}

fn refuse_others(place: &Path) -> Result<(), Diagnostic> {
    let Ok(meta) = fs::symlink_metadata(place) else { return Ok(()) };
    let empty = || fs::read_dir(place).is_ok_and(|mut list| list.next().is_none());
    if meta.is_dir() && (place.join(MANIFEST).is_file() && manifest(place).is_ok() || empty()) {
        return Ok(());
    }
    Err(Diagnostic::new(
        "E0503",
        format!("`{}` exists and is not a build directory", place.display()),
        "name another folder with `-o`, or remove this one",
    ))
}

/// The manifest of build directory `place`. Errors: `E0504`.
pub(crate) fn manifest(place: &Path) -> Result<Value, Diagnostic> {
    let wrong = |what: &str| {
        Diagnostic::new(
            "E0504",
            format!("`{}` is not a build directory: {what}", place.display()),
            "`nervure build NET -o DIR` makes one",
        )
    };
    let text =
        fs::read_to_string(place.join(MANIFEST)).map_err(|_| wrong("it has no readable `manifest.json`"))?;
    let value: Value = serde_json::from_str(&text).map_err(|e| wrong(&format!("`manifest.json`: {e}")))?;
    if value["generator"] != "nervure" {
        return Err(wrong("its `manifest.json` is not of `nervure`"));
    }
    Ok(value)
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a string");
        hex
    })
}

/// SHA-256 of every file below `folder`, by path with `/`.
pub(crate) fn hashes(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut list = BTreeMap::new();
    let mut open = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
            if path.is_dir() {
                open.push((path, format!("{name}/")));
            } else {
                let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                list.insert(name, sha256(&bytes));
            }
        }
    }
    Ok(list)
}
