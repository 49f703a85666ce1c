//! Writing arrays: always 64-bit integers, always the same bytes for the same values.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use nervure_core::Diagnostic;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Writes named arrays `(name, shape, elements)`, row-major, to `path`. A half-written file is never seen: it is written
/// aside and renamed.
///
/// Errors: `E0101` when the file cannot be written.
pub fn write_npz(path: &Path, arrays: &[(String, Vec<usize>, Vec<i64>)]) -> Result<(), Diagnostic> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let aside = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let written = write(&aside, arrays).and_then(|()| fs::rename(&aside, path));
    written.map_err(|e| {
        // The first error is the one to tell of; the file aside may not even exist.
        let _ = fs::remove_file(&aside);
        let message = format!("`{}` cannot be written: {e}", path.display());
        Diagnostic::new("E0101", message, "check that the folder exists, may be written, and has room")
    })
}

fn write(path: &Path, arrays: &[(String, Vec<usize>, Vec<i64>)]) -> io::Result<()> {
    let mut zip = ZipWriter::new(BufWriter::new(File::create(path)?));
    for (name, shape, data) in arrays {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(1))
            .last_modified_time(DateTime::default())
            .large_file(data.len() >= 1 << 28);
        zip.start_file(format!("{name}.npy"), options)?;
        zip.write_all(&header(shape))?;
        let mut buffer = Vec::with_capacity(8 << 13);
        for chunk in data.chunks(1 << 13) {
            buffer.clear();
            buffer.extend(chunk.iter().flat_map(|v| v.to_le_bytes()));
            zip.write_all(&buffer)?;
        }
    }
    zip.finish()?.flush()
}

fn header(shape: &[usize]) -> Vec<u8> {
    let extents: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let extents = extents.join(", ") + if shape.len() == 1 { "," } else { "" };
    let mut text = format!("{{'descr': '<i8', 'fortran_order': False, 'shape': ({extents}), }}");
    // NumPy aligns the elements to 64 bytes: ten before the text, a newline after it.
    text.extend(std::iter::repeat_n(' ', 63 - (text.len() + 10) % 64));
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npz::Npz;

    #[test]
    fn what_is_written_reads_back_and_is_the_same_every_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let arrays = vec![
            ("y".to_owned(), vec![2, 3], vec![1, -2, 3, i64::MIN, i64::MAX, 0]),
            ("label".to_owned(), vec![2], vec![7, 8]),
            ("one".to_owned(), vec![], vec![9]),
        ];
        let (a, b) = (dir.path().join("a.npz"), dir.path().join("b.npz"));
        write_npz(&a, &arrays).expect("written");
        write_npz(&b, &arrays).expect("written");
        assert_eq!(fs::read(&a).expect("read"), fs::read(&b).expect("read"));
        let mut npz = Npz::open(&a, "a.npz").expect("an archive");
        assert_eq!(npz.names(), ["label", "one", "y"]);
        for (name, shape, data) in &arrays {
            let array = npz.read(name, 100).expect("an array");
            assert_eq!((&array.shape, &array.integers().expect("integers")), (shape, data));
        }
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 2, "nothing is left aside");
        assert!(write_npz(&dir.path().join("no/where.npz"), &arrays).is_err());
    }

    #[test]
    fn damaged_archives_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.npz");
        write_npz(&path, &[("w".to_owned(), vec![50], (0..50).collect())]).expect("written");
        let whole = fs::read(&path).expect("read");
        let mut seed = 1u32;
        for n in 0..whole.len() * 2 {
            let mut bytes = whole.clone();
            if n < whole.len() {
                bytes.truncate(n);
            } else {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                bytes[n - whole.len()] ^= (seed >> 24) as u8 | 1;
            }
            fs::write(&path, &bytes).expect("written");
            // A flipped bit may hit a field that nobody reads; what is read must then be right.
            if let Ok(array) = Npz::open(&path, "a.npz").and_then(|mut npz| npz.read("w", 100)) {
                assert_eq!(array.integers().expect("integers"), (0..50).collect::<Vec<_>>(), "byte {n}");
            }
        }
    }
}
