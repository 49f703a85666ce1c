//! Tests of the whole way in, with one block of the crate's own.

mod builder;
mod errors;
mod load;
mod samples;
mod schema;

use std::path::{Path, PathBuf};

use nervure_core::{Diagnostic, Network};

use crate::testing;

/// A folder with files, gone when dropped.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn load_text(text: &str) -> Result<Network, Diagnostic> {
    load_with(text, &[])
}

fn load_with(text: &str, set: &[(&str, &str)]) -> Result<Network, Diagnostic> {
    let folder = Folder::new();
    let path = folder.write("network.yaml", text);
    let set: Vec<(String, String)> = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    crate::load(&path, &testing::registry(), &set).map_err(|mut d| {
        if let Some(span) = &mut d.span {
            span.file = span.file.rsplit('/').next().unwrap_or_default().to_owned();
        }
        d
    })
}

/// A network of two layers that is right.
const GOOD: &str = "\
nervure: 1
name: two
inputs:
  - {name: x, shape: [4], format: u1, rate: step}
layers:
  - name: hidden
    block: test/dense
    weights: [[1, 0, -1, 2], [0, 0, 1, -2]]
    weight_format: s3
    lanes: 2
    neuron:
      block: neuron/lif
      threshold: 12
      membrane: s12
    scale: {shift: 4, rounding: half_even}
  - name: out
    block: test/dense
    weights: [[1, -1]]
    weight_format: s2
outputs: [out]
";
