//! What is slow to make and depends on text alone, kept from one call to the next.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Entries of a kind that are kept, whatever their age.
const KEPT: usize = 512;
/// Age from which the others are removed.
const OLD: Duration = Duration::from_hours(24);

/// A folder of finished entries. Any number of processes may use it at once.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$NERVURE_CACHE`, else `$XDG_CACHE_HOME/nervure`, else `~/.cache/nervure`, else a folder for temporary files.
    pub fn open() -> Self {
        let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let root = from("NERVURE_CACHE")
            .or_else(|| from("XDG_CACHE_HOME").map(|p| p.join("nervure")))
            .or_else(|| from("HOME").map(|p| p.join(".cache/nervure")))
            .unwrap_or_else(|| std::env::temp_dir().join("nervure-cache"));
        Self::at(root)
    }

    /// The cache in `root`, which need not exist.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { root: std::path::absolute(&root).unwrap_or(root) }
    }

    /// Where the cache is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether there is an entry `key`.
    pub fn has(&self, kind: &str, key: &str) -> bool {
        self.root.join(kind).join(key).is_dir()
    }

    /// The folder of entry `key`, made by `build` when there is none: aside, then renamed, so that nobody sees half of it
    /// and nobody writes what another runs.
    pub fn entry(&self, kind: &str, key: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let folder = self.root.join(kind);
        let place = folder.join(key);
        if place.is_dir() {
            return Ok(place);
        }
        let context = || format!("cannot write the cache {} (set NERVURE_CACHE)", folder.display());
        std::fs::create_dir_all(&folder).with_context(context)?;
        let aside = tempfile::Builder::new().prefix("building-").tempdir_in(&folder).with_context(context)?;
        build(aside.path())?;
        if let Err(e) = std::fs::rename(aside.path(), &place)
            && !place.is_dir()
        {
            return Err(e).with_context(context);
        }
        prune(&folder);
        Ok(place)
    }
}

/// Removes what is old, beyond the newest [`KEPT`]; a failure to do so is no failure.
fn prune(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let age = |e: std::fs::DirEntry| Some((e.metadata().ok()?.modified().ok()?, e.path()));
    let mut entries: Vec<(SystemTime, PathBuf)> = entries.flatten().filter_map(age).collect();
    if entries.len() <= KEPT {
        return;
    }
    entries.sort();
    entries.truncate(entries.len() - KEPT);
    for (made, path) in entries {
        if made.elapsed().is_ok_and(|age| age > OLD) {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

/// SHA-256 of parts, each with its length, in hexadecimal.
pub fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all text");
        text
    })
}
