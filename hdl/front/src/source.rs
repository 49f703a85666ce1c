//! Reading a network file: which file it is, how it is called, and the hash of everything that was read.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use nervure_core::{Diagnostic, Span};
use sha2::{Digest, Sha256};

/// Largest network file, bytes.
const MAX_BYTES: u64 = 100 << 20;

/// A network file's text and names.
#[derive(Debug)]
pub(crate) struct Source {
    /// The text, without a byte-order mark.
    pub(crate) text: String,
    /// The file as the user named it.
    pub(crate) shown: String,
    /// The file without any folder of this machine: `net.yaml`, or `folder/network.yaml`.
    pub(crate) short: String,
    /// Where arrays are looked for.
    pub(crate) folder: PathBuf,
}

/// Reads the file `path`, or `network.yaml` in the folder `path`.
///
/// Errors: `E0101` when there is none, `E0102` when it is not text, `E0110` when it is too large.
pub(crate) fn read(path: &Path) -> Result<Source, Diagnostic> {
    let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned());
    let meta = fs::metadata(path).map_err(|e| cannot_read(path, &e))?;
    let (file, short) = if meta.is_dir() {
        let file = path.join("network.yaml");
        if let Err(e) = fs::metadata(&file) {
            return Err(if e.kind() == ErrorKind::NotFound {
                no_network(path)
            } else {
                cannot_read(&file, &e)
            });
        }
        let short = name(path).map_or("network.yaml".into(), |folder| format!("{folder}/network.yaml"));
        (file, short)
    } else {
        (path.to_owned(), name(path).unwrap_or_default())
    };
    let shown = file.display().to_string();
    let bytes = read_bytes(&file)?;
    let text =
        String::from_utf8(bytes).map_err(|e| not_text(&shown, e.as_bytes(), e.utf8_error().valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let control = |b: &u8| (*b < b' ' && !b"\t\n\r".contains(b)) || *b == 0x7f;
    if let Some(at) = text.as_bytes().iter().position(control) {
        return Err(not_text(&shown, text.as_bytes(), at));
    }
    let folder = file.parent().map(Path::to_owned).unwrap_or_default();
    Ok(Source { text, shown, short, folder })
}

fn read_bytes(file: &Path) -> Result<Vec<u8>, Diagnostic> {
    let io = |e| cannot_read(file, &e);
    if !fs::metadata(file).map_err(io)?.is_file() {
        return Err(Diagnostic::new(
            "E0101",
            format!("`{}` is not a regular file", file.display()),
            "name a network file, or the folder that holds `network.yaml`",
        ));
    }
    let mut bytes = Vec::new();
    File::open(file).and_then(|f| f.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Diagnostic::new(
            "E0110",
            format!("`{}` is larger than {} MiB", file.display(), MAX_BYTES >> 20),
            "keep weights in an `.npz` beside the network file and write `weights: weights.npz:name`",
        ));
    }
    Ok(bytes)
}

/// `E0101` for a file that the system does not give us.
pub(crate) fn cannot_read(path: &Path, e: &std::io::Error) -> Diagnostic {
    let shown = path.display();
    let (message, help) = match e.kind() {
        ErrorKind::NotFound => {
            (format!("there is no file or folder `{shown}`"), "check the name and the current folder")
        }
        ErrorKind::PermissionDenied => (format!("`{shown}` may not be read"), "check its permissions"),
        _ => (format!("`{shown}` cannot be read: {e}"), "check the path and the disk"),
    };
    Diagnostic::new("E0101", message, help)
}

fn no_network(folder: &Path) -> Diagnostic {
    let mut others: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .filter(|n| Path::new(n).extension().is_some_and(|e| e == "yaml" || e == "yml"))
        .collect();
    others.sort();
    let help = match others.first() {
        Some(other) => format!("name the file itself: `{}`", folder.join(other).display()),
        None => "name a network file, or a folder that holds `network.yaml`".to_owned(),
    };
    Diagnostic::new("E0101", format!("the folder `{}` has no `network.yaml`", folder.display()), help)
}

fn not_text(shown: &str, bytes: &[u8], at: usize) -> Diagnostic {
    let before = &bytes[..at];
    let line = before.split(|b| *b == b'\n').count();
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    Diagnostic::new(
        "E0102",
        format!("this is not text in UTF-8: byte 0x{:02x} at offset {at}", bytes[at]),
        "a network file is YAML, saved as UTF-8; `nervure import` reads NIR and ONNX models",
    )
    .in_span(Span { file: shown.to_owned(), line, column })
}

/// SHA-256 over the text, then each array and each override that was read.
pub(crate) struct Digests(Sha256);

impl Digests {
    /// Starts with the text; a network without arrays and overrides has the hash of its file.
    pub(crate) fn new(text: &str) -> Self {
        Self(Sha256::new_with_prefix(text))
    }

    /// Adds something named. Text holds no zero byte, so parts cannot run into each other unseen.
    pub(crate) fn add(&mut self, name: &str, bytes: &[u8]) {
        self.0.update([0]);
        self.0.update(name);
        self.0.update([0]);
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// In hexadecimal.
    pub(crate) fn finish(self) -> String {
        self.0.finalize().iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a string");
            hex
        })
    }
}
