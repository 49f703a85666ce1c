//! Opening an archive and reading its arrays, within limits.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use nervure_core::Diagnostic;
use zip::ZipArchive;
use zip::result::ZipError;

use super::array::Array;
use super::header::{self, Reject};
use crate::{shape_of, source, suggest};

/// An open `.npz`.
pub(crate) struct Npz {
    shown: String,
    zip: ZipArchive<BufReader<File>>,
}

impl Npz {
    /// Opens `path`, called `shown` in diagnostics. Errors: `E0101`, `E0105`.
    pub(crate) fn open(path: &Path, shown: &str) -> Result<Self, Diagnostic> {
        let cannot = |e: &std::io::Error| {
            let mut d = source::cannot_read(Path::new(shown), e);
            if e.kind() == std::io::ErrorKind::NotFound {
                d.message = format!("there is no file `{shown}`");
                d.help = format!("put it into `{}`, or correct the name", folder(path));
            }
            d
        };
        let meta = fs::metadata(path).map_err(|e| cannot(&e))?;
        if !meta.is_file() {
            return Err(Diagnostic::new(
                "E0101",
                format!("`{shown}` is not a regular file"),
                "name an `.npz` file",
            ));
        }
        let file = File::open(path).map_err(|e| cannot(&e))?;
        let zip =
            ZipArchive::new(BufReader::with_capacity(1 << 18, file)).map_err(|e| zip_error(shown, &e))?;
        Ok(Self { shown: shown.to_owned(), zip })
    }

    /// Names of the arrays, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |n: &str| n.strip_suffix(".npy").map(str::to_owned);
        let mut names: Vec<String> = self.zip.file_names().filter_map(|n| name(&n.ok()?)).collect();
        names.sort();
        names
    }

    /// Reads array `key` of at most `limit` elements.
    ///
    /// Errors: `E0105` for a damaged archive, `E0106` when there is no such array, `E0107` for an element type that is
    /// not numeric, `E0110` for a larger array.
    pub(crate) fn read(&mut self, key: &str, limit: usize) -> Result<Array, Diagnostic> {
        let name = format!("{}:{key}", self.shown);
        let file = format!("{key}.npy");
        if self.zip.index_for_name(&file).is_none() {
            let known = self.names();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let help = match known.as_slice() {
                [] => "the archive is empty; write it with `numpy.savez_compressed`".to_owned(),
                known => suggest::help(key, known, "it has"),
            };
            let message = format!("`{}` has no array `{}`", self.shown, key.escape_debug());
            return Err(Diagnostic::new("E0106", message, help));
        }
        let mut entry = self.zip.by_name(&file).map_err(|e| zip_error(&self.shown, &e))?;
        let header = header::read(&mut entry).map_err(|r| reject(&name, r))?;
        let Some(count) = shape_of::count(&header.shape, limit) else {
            return Err(Diagnostic::new(
                "E0110",
                format!("`{name}` has shape {:?}, more than {limit} elements", header.shape),
                "split the array; an array of this size does not fit any device",
            ));
        };
        let expected = count * header.dtype.bytes();
        let mut bytes = Vec::with_capacity(expected.min(entry.size() as usize).min(1 << 24));
        // One byte more than expected: the end of the entry is where its checksum is compared.
        let read = entry.by_ref().take(expected as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|e| broken(&name, &io_words(&e)))?;
        if bytes.len() != expected {
            let found = if bytes.len() < expected { bytes.len().to_string() } else { "more".to_owned() };
            let what = format!("its header tells of {expected} bytes, and there are {found}");
            return Err(broken(&name, &what));
        }
        let header::Header { dtype, big_endian, fortran, shape } = header;
        Ok(Array { name, shape, dtype, big_endian, fortran, bytes })
    }
}

fn folder(path: &Path) -> String {
    let folder = path.parent().map(|p| p.display().to_string()).unwrap_or_default();
    if folder.is_empty() { ".".to_owned() } else { folder }
}

fn zip_error(name: &str, e: &ZipError) -> Diagnostic {
    match e {
        ZipError::Io(e) => broken(name, &io_words(e)),
        ZipError::UnsupportedArchive(what) => broken(name, what),
        _ => broken(name, "it is not a zip archive, or only a part of one"),
    }
}

fn io_words(e: &io::Error) -> String {
    match e.to_string().as_str() {
        "Invalid checksum" => "its checksum is wrong".to_owned(),
        other => other.to_owned(),
    }
}

fn broken(name: &str, what: &str) -> Diagnostic {
    let what = what.trim_end_matches('.');
    Diagnostic::new(
        "E0105",
        format!("`{name}` cannot be read: {what}"),
        "write it again with `numpy.savez_compressed`; a copy or download may have been cut short",
    )
}

fn reject(name: &str, r: Reject) -> Diagnostic {
    match r {
        Reject::Broken(what) => broken(name, &what),
        Reject::Type(dtype) => Diagnostic::new(
            "E0107",
            format!("`{name}` has elements of type `{}`, expected integers", dtype.escape_debug()),
            "save the array with an integer type, such as `a.astype(numpy.int16)`",
        ),
    }
}
