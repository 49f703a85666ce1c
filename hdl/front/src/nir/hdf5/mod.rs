//! Groups and datasets of an HDF5 file, read within limits.
//!
//! The library that decodes the container trusts sizes that a file declares and follows what it refers to. So every read
//! goes through a [`Meter`]; a dataset is read only when the file holds as many bytes as it declares; and the work is done
//! by a thread with a stack that the deepest description of an element type, which recurses, cannot fill.

mod decode;
mod meter;
mod storage;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::thread;

use hdf5_pure::{Dataset, Datatype, File, VlenStringReadOptions};
use nervure_core::Diagnostic;

use self::decode::Number;
use self::meter::Meter;
use crate::nir::array::Array;

/// Largest file, bytes.
const MAX_BYTES: usize = 1 << 30;
/// Most numbers in all datasets that are read.
const MAX_ELEMENTS: usize = 1 << 26;
/// Longest name, bytes; names go into messages.
const MAX_NAME: usize = 1 << 10;
/// Longest text of a dataset, bytes.
const MAX_TEXT: usize = 1 << 14;
/// Most texts of a dataset.
const MAX_TEXTS: usize = 1 << 15;
/// Most bytes of a text, or of the texts of a dataset that keeps them elsewhere.
const MAX_TEXT_BYTES: usize = 1 << 22;
/// A description of an element type is at most 64 KiB long, eight bytes for each step of the recursion.
const STACK: usize = 128 << 20;

/// Runs `read` with the file, on a stack of its own.
///
/// Errors: `E0110` for a file beyond the limit, `E0120` for one that is no HDF5, and those of `read`.
pub(super) fn with_file<T: Send>(
    bytes: &[u8],
    shown: &str,
    read: impl FnOnce(&Hdf5<'_>) -> Result<T, Diagnostic> + Send,
) -> Result<T, Diagnostic> {
    if bytes.len() > MAX_BYTES {
        return Err(Diagnostic::new(
            "E0110",
            format!("`{shown}` is larger than {} MiB", MAX_BYTES >> 20),
            "split the network; one of this size does not fit any device",
        ));
    }
    let work = || {
        let file = File::from_source(Meter::new(bytes)).map_err(|e| no_hdf5(shown, &e))?;
        read(&Hdf5 { file, shown, elements_left: Cell::new(MAX_ELEMENTS) })
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        // A panic of the library is a diagnostic, for it is the file that provoked it.
        let joined =
            thread.map(|t| t.join().unwrap_or_else(|_| Err(damaged(shown, "", "it cannot be decoded"))));
        joined.unwrap_or_else(|e| Err(damaged(shown, "", &e.to_string())))
    })
}

fn no_hdf5(shown: &str, e: &hdf5_pure::Error) -> Diagnostic {
    Diagnostic::new(
        "E0120",
        format!("`{shown}` is no HDF5 file that can be read: {}", words(e)),
        "name a file written by `nir.write` or by `export_hdf5` of lava-dl; a copy or download may have been cut short",
    )
}

/// `E0120` for the object at `path`.
fn damaged(shown: &str, path: &str, why: &str) -> Diagnostic {
    let at = if path.is_empty() { String::new() } else { format!(" at `{}`", path.escape_debug()) };
    Diagnostic::new(
        "E0120",
        format!("`{shown}` is damaged{at}: {}", why.trim_end_matches('.')),
        "write it again with `nir.write` or `export_hdf5`; a copy or download may have been cut short",
    )
}

/// `E0120` for what the library says of the object at `path`.
fn fault(shown: &str, path: &str, e: &hdf5_pure::Error) -> Diagnostic {
    use hdf5_pure::FormatError as F;
    let mut d = damaged(shown, path, &words(e));
    let newer = |e: &F| {
        matches!(e, F::UnsupportedVersion(_) | F::InvalidLayoutVersion(_) | F::InvalidDatatypeVersion { .. })
    };
    if matches!(e, hdf5_pure::Error::Format(e) if newer(e)) {
        d.help = String::from(
            "the newest forms of HDF5 are not read: write it with `libver=\"earliest\"`, the default",
        );
    }
    d
}

/// What the library says, on one line.
fn words(e: &hdf5_pure::Error) -> String {
    let text: String = e.to_string().chars().take(200).collect();
    text.escape_debug().to_string()
}

/// An open file.
pub(super) struct Hdf5<'a> {
    file: File,
    /// The file as the user named it.
    pub(super) shown: &'a str,
    elements_left: Cell<usize>,
}

/// What a dataset holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// Numbers, finite or not.
    Numbers(Array),
    /// Texts with their shape.
    Texts(Vec<usize>, Vec<String>),
}

/// A group with what lies in it.
pub(super) struct Group {
    path: String,
    /// Groups in this one.
    pub(super) groups: BTreeMap<String, hdf5_pure::Group>,
    /// Datasets in this group.
    pub(super) data: BTreeMap<String, Dataset>,
}

impl Hdf5<'_> {
    /// The outermost group.
    pub(super) fn root(&self) -> Result<Group, Diagnostic> {
        self.list(&self.file.root(), String::new())
    }

    /// The group `name` in `parent`, which has one of this name.
    pub(super) fn open(&self, parent: &Group, name: &str) -> Result<Group, Diagnostic> {
        self.list(&parent.groups[name], parent.path_of(name))
    }

    fn list(&self, group: &hdf5_pure::Group, path: String) -> Result<Group, Diagnostic> {
        let fault = |e| fault(self.shown, &path, &e);
        let groups: BTreeMap<_, _> = group.iter_groups().map_err(fault)?.collect();
        let data: BTreeMap<_, _> = group.iter_datasets().map_err(fault)?.collect();
        match groups.keys().chain(data.keys()).map(String::len).find(|n| *n > MAX_NAME) {
            None => Ok(Group { path, groups, data }),
            Some(n) => {
                Err(damaged(self.shown, &path, &format!("it holds something with a name of {n} bytes")))
            }
        }
    }

    /// The dataset `name` in `group`, which has one of this name.
    ///
    /// Errors: `E0110` beyond a limit, `E0120` for what cannot be decoded, `E0124` for elements that are neither numbers
    /// nor text.
    pub(super) fn read(&self, group: &Group, name: &str) -> Result<Content, Diagnostic> {
        let (dataset, path) = (&group.data[name], group.path_of(name));
        let fault = |e| fault(self.shown, &path, &e);
        let shape = dataset.shape().map_err(fault)?;
        let datatype = dataset.datatype().map_err(fault)?;
        let shape = self.sizes(&shape, &path)?;
        let count: usize = shape.iter().product();
        if let Datatype::VariableLength { is_string: true, .. } = datatype {
            self.within(count, MAX_TEXTS, &path)?;
            storage::check(dataset, &shape, 16, self.file.file_size())
                .map_err(|why| damaged(self.shown, &path, &why))?;
            let options = VlenStringReadOptions::new().with_max_elements(MAX_TEXTS);
            let options = options.with_max_payload_bytes(MAX_TEXT_BYTES);
            let texts = dataset.read_vlen_strings(options).map_err(fault)?;
            return self.texts(shape, texts, &path);
        }
        let size = datatype.type_size() as usize;
        let number = Number::of(&datatype);
        let bytes = match (&datatype, number) {
            (_, Some(_)) => {
                self.within(count, self.elements_left.get(), &path)?;
                self.elements_left.set(self.elements_left.get() - count);
                count * size
            }
            (Datatype::String { .. }, _) => {
                self.within(count, MAX_TEXTS, &path)?;
                let bytes = count.saturating_mul(size);
                self.within(bytes, MAX_TEXT_BYTES, &path)?;
                bytes
            }
            _ => return Err(self.no_numbers(&path)),
        };
        storage::check(dataset, &shape, size, self.file.file_size())
            .map_err(|why| damaged(self.shown, &path, &why))?;
        let raw = dataset.read_raw().map_err(fault)?;
        if raw.len() != bytes {
            let why = format!("it declares {bytes} bytes, and there are {}", raw.len());
            return Err(damaged(self.shown, &path, &why));
        }
        match (datatype, number) {
            (_, Some(number)) => {
                let data = number.decode(&raw).map_err(|value| self.too_large_integer(&path, &value))?;
                Ok(Content::Numbers(Array { shape, data }))
            }
            (Datatype::String { padding, .. }, _) => {
                self.texts(shape, decode::texts(&raw, size, &padding), &path)
            }
            _ => Err(self.no_numbers(&path)),
        }
    }

    fn texts(&self, shape: Vec<usize>, texts: Vec<String>, path: &str) -> Result<Content, Diagnostic> {
        if let Some(long) = texts.iter().find(|text| text.len() > MAX_TEXT) {
            return Err(damaged(self.shown, path, &format!("it holds a text of {} bytes", long.len())));
        }
        if shape.iter().product::<usize>() == texts.len() {
            return Ok(Content::Texts(shape, texts));
        }
        Err(damaged(self.shown, path, &format!("it holds {} texts, and its shape is {shape:?}", texts.len())))
    }

    /// Extents that have 1 to [`MAX_ELEMENTS`] elements.
    fn sizes(&self, shape: &[u64], path: &str) -> Result<Vec<usize>, Diagnostic> {
        let count = shape.iter().try_fold(1u64, |n, extent| n.checked_mul(*extent));
        let sizes: Vec<usize> = shape.iter().filter_map(|extent| usize::try_from(*extent).ok()).collect();
        match count {
            _ if shape.contains(&0) => Err(Diagnostic::new(
                "E0204",
                format!(
                    "`{}`: `{}` has shape {shape:?}, which has no element",
                    self.shown,
                    path.escape_debug()
                ),
                "write every array with at least one element",
            )),
            Some(n) if n <= MAX_ELEMENTS as u64 && sizes.len() == shape.len() => Ok(sizes),
            _ => {
                Err(self.too_large(&format!("has shape {shape:?}, more than {MAX_ELEMENTS} elements"), path))
            }
        }
    }

    fn within(&self, count: usize, limit: usize, path: &str) -> Result<(), Diagnostic> {
        if count <= limit {
            return Ok(());
        }
        Err(self.too_large(&format!("has {count} elements or bytes, and {limit} more can be read"), path))
    }

    fn too_large(&self, what: &str, path: &str) -> Diagnostic {
        Diagnostic::new(
            "E0110",
            format!("`{}`: `{}` {what}", self.shown, path.escape_debug()),
            "split the network; one of this size does not fit any device",
        )
    }

    fn no_numbers(&self, path: &str) -> Diagnostic {
        Diagnostic::new(
            "E0124",
            format!("`{}`: `{}` holds neither numbers nor text", self.shown, path.escape_debug()),
            "write integers or 16, 32 or 64-bit floats; complex numbers and records are not read",
        )
    }

    fn too_large_integer(&self, path: &str, value: &str) -> Diagnostic {
        Diagnostic::new(
            "E0125",
            format!("`{}`: `{}` holds the integer {value}, beyond 2^53", self.shown, path.escape_debug()),
            "no parameter of a network is as large; look for an element type that was mixed up",
        )
    }
}

impl Group {
    /// Where the member `name` lies in the file.
    fn path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }
}
