//! Samples for an ONNX model: numbers as the model takes them, or integers as the network takes them.

use std::path::Path;

use nervure_core::Diagnostic;

use super::walk::Input;
use crate::npz::Npz;
use crate::onnx::{Array, Dtype};

/// Samples, and the class of each.
#[derive(Debug, Clone)]
pub struct OnnxSamples {
    count: usize,
    /// Elements of a sample.
    len: usize,
    data: Vec<f64>,
    /// Whether the file holds integers: they are then the network's own.
    integers: bool,
    labels: Option<Vec<i64>>,
}

/// Reads samples: array `x`, `[samples, ...]`, and optionally `label`, `[samples]`. An integer type says that `x` holds the
/// network's own integers, a floating-point type that it holds what the model takes.
///
/// Errors: `E0101`, `E0105` to `E0107`, `E0110` for the file; `E0133` for a shape.
pub fn onnx_samples(path: &Path) -> Result<OnnxSamples, Diagnostic> {
    let mut npz = Npz::open(path, &path.display().to_string())?;
    let array = npz.read("x", 1 << 28)?;
    let wrong = |message: String| {
        Diagnostic::new("E0133", message, "save the samples as `[samples, ...]`, and one label for each")
    };
    let count = array.shape.first().copied().unwrap_or(0);
    let len: usize = array.shape.iter().skip(1).product();
    if array.shape.len() < 2 || count * len == 0 {
        return Err(wrong(format!(
            "`{}` has shape {:?}, expected [samples, ...]",
            path.display(),
            array.shape
        )));
    }
    let (integers, data) = array.floats()?;
    let labels = if npz.names().iter().any(|n| n == "label") {
        Some(npz.read("label", 1 << 24)?.integers()?)
    } else {
        None
    };
    if let Some(l) = labels.as_ref().filter(|l| l.len() != count) {
        return Err(wrong(format!("`{}` has {} labels for {count} samples", path.display(), l.len())));
    }
    Ok(OnnxSamples { count, len, data, integers, labels })
}

impl OnnxSamples {
    /// Errors: `E0133` for another number of elements than the model reads.
    pub(crate) fn check(&self, shape: &[usize]) -> Result<(), Diagnostic> {
        if self.len == shape.iter().product::<usize>() {
            return Ok(());
        }
        let message = format!(
            "samples have {} elements each, the model reads {:?}",
            self.len,
            &shape[1.min(shape.len())..]
        );
        Err(Diagnostic::new(
            "E0133",
            message,
            "save them as `[samples, ...]` with the shape of the model's input behind",
        ))
    }

    pub(crate) const fn integer(&self) -> bool {
        self.integers
    }

    pub(crate) fn values(&self) -> &[f64] {
        &self.data
    }

    pub(crate) fn labels(&self) -> Option<&[i64]> {
        self.labels.as_deref()
    }

    fn level(&self, v: f64, input: &Input) -> i64 {
        let n = if self.integers { v } else { ((v - input.offset) / input.scale).round_ties_even() };
        input.format.saturate(n as i64)
    }

    /// One array a sample: what the model gets when the network gets its integers.
    pub(crate) fn real(&self, input: &Input) -> Vec<Array> {
        let of = |v: &f64| super::evaluate::single(self.level(*v, input) as f64 * input.scale + input.offset);
        let dtype = if input.dtype.is_integer() { input.dtype } else { Dtype::Float };
        let one = |part: &[f64]| Array::new(&input.shape, part.iter().map(of).collect(), dtype);
        self.data.chunks_exact(self.len).map(one).collect()
    }

    /// Arrays of `samples.npz`.
    pub(crate) fn integers(&self, input: &Input) -> Vec<(String, Vec<usize>, Vec<i64>)> {
        let x = self.data.iter().map(|v| self.level(*v, input)).collect();
        let mut arrays = vec![("x".to_owned(), vec![self.count, self.len], x)];
        if let Some(labels) = &self.labels {
            arrays.push(("label".to_owned(), vec![self.count], labels.clone()));
        }
        arrays
    }
}
