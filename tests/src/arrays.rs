//! Reads arrays of outside test data: `.npz` with small integers and single floats, which the product itself would refuse.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use nervure_core::num::Multiplier;

/// One array.
#[derive(Debug, Clone)]
pub struct Array {
    /// Extent of each axis.
    pub shape: Vec<usize>,
    /// Integers; for floats the bits of the (nearest) float32.
    pub data: Vec<i64>,
}

impl Array {
    /// The only element.
    pub fn scalar(&self) -> i64 {
        assert_eq!(self.data.len(), 1, "a scalar has one element");
        self.data[0]
    }

    /// The elements as float32.
    pub fn floats(&self) -> Vec<f32> {
        self.data.iter().map(|bits| f32::from_bits(*bits as u32)).collect()
    }
}

/// A positive float32 as a 24-bit integer and a right shift.
fn significand(scale: f32) -> (i64, i64) {
    let bits = i64::from(scale.to_bits());
    let exponent = bits >> 23;
    assert!((1..255).contains(&exponent), "a normal positive number");
    ((bits & 0x7f_ffff) | 0x80_0000, 150 - exponent)
}

/// ONNX Runtime's scales: product and quotient, each rounded to a float32.
pub fn onnx_scale(a_scale: f32, w_scales: &[f32], y_scale: f32) -> Multiplier {
    let (multiplier, shift) = w_scales.iter().map(|w| significand(a_scale * w / y_scale)).unzip();
    Multiplier { multiplier, shift }
}

/// A folder of outside test data beside the workspace; prints which test is skipped where there is none.
pub fn outside(folder: &str, test: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("skipped: {test} (no folder shared/data/{folder} beside the workspace)");
    None
}

/// Every array of an `.npz` file by name.
pub fn read_npz(file: &Path) -> BTreeMap<String, Array> {
    let file = File::open(file).expect("the test data is readable");
    let mut archive = zip::ZipArchive::new(file).expect("an npz file is a zip archive");
    (0..archive.len())
        .map(|i| {
            let mut entry = archive.by_index(i).expect("the archive is whole");
            let name = entry.name().expect("names are text").trim_end_matches(".npy").to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("the archive is whole");
            (name, array(&bytes))
        })
        .collect()
}

fn array(bytes: &[u8]) -> Array {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00", "version 1 of the format");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..end]).expect("the header is text");
    let between = |from: &str, to: &str| {
        let rest = header.split_once(from).expect("the header has every field").1;
        rest.split_once(to).expect("the header has every field").0.to_owned()
    };
    let shape = between("'shape': (", ")");
    let shape: Vec<usize> = shape.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let data = &bytes[end..];
    let halves = || data.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    let words = || data.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let long = || data.chunks_exact(8).map(|b| <[u8; 8]>::try_from(b).expect("a chunk of eight"));
    let data: Vec<i64> = match between("'descr': '", "'").as_str() {
        "|i1" => data.iter().map(|&b| i64::from(b as i8)).collect(),
        "|u1" => data.iter().map(|&b| i64::from(b)).collect(),
        "<i2" => halves().map(|w| i64::from(w as i16)).collect(),
        "<u2" => halves().map(i64::from).collect(),
        "<i4" => words().map(|w| i64::from(w as i32)).collect(),
        "<f4" => words().map(i64::from).collect(),
        "<i8" => long().map(i64::from_le_bytes).collect(),
        // As float32, too: so far only spikes are read from them.
        "<f8" => long().map(|b| i64::from((f64::from_le_bytes(b) as f32).to_bits())).collect(),
        other => panic!("elements of type {other} are not needed so far"),
    };
    if header.contains("'fortran_order': False") {
        return Array { shape, data };
    }
    let [rows, columns] = shape[..] else { panic!("only matrices come with the first axis fastest") };
    let data = (0..rows * columns).map(|i| data[i % columns * rows + i / columns]).collect();
    Array { shape, data }
}
