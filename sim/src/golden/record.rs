//! Recorded tensors, in the narrowest integers that hold their format.

use nervure_core::{Elements, TensorType};

/// Every value of one tensor: `[count, len]`, or `[count, steps, len]` where it passes once a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The output's or layer's name.
    pub name: String,
    /// What it is.
    pub tensor: TensorType,
    /// Tensors a sample: 1, or the number of steps.
    pub frames: usize,
    /// The values.
    pub elements: Elements,
}

impl Recorded {
    /// Zeros for `count` samples of `steps` steps.
    pub fn new(name: &str, tensor: TensorType, count: usize, steps: usize) -> Self {
        let frames = if tensor.rate.steps() { steps } else { 1 };
        let (n, format) = (count * frames * tensor.len(), tensor.format);
        let elements = if format.min() >= 0 && format.max() <= u8::MAX.into() {
            Elements::U8(vec![0; n])
        } else if format.min() >= i16::MIN.into() && format.max() <= i16::MAX.into() {
            Elements::I16(vec![0; n])
        } else {
            Elements::I64(vec![0; n])
        };
        Self { name: name.into(), tensor, frames, elements }
    }

    /// Copies the tensor of sample `sample` at step `step` into `out`.
    pub fn get(&self, sample: usize, step: usize, out: &mut [i64]) {
        self.elements.copy((sample * self.frames + step) * self.tensor.len(), out);
    }

    /// The parts of consecutive chunks of `chunk` samples.
    pub(super) fn sinks(&mut self, chunk: usize) -> Vec<Sink<'_>> {
        let n = chunk * self.frames * self.tensor.len();
        let parts: Vec<Part> = match &mut self.elements {
            Elements::Bits { .. } => unreachable!("a recording has whole elements"),
            Elements::U8(v) => v.chunks_mut(n).map(Part::U8).collect(),
            Elements::I16(v) => v.chunks_mut(n).map(Part::I16).collect(),
            Elements::I64(v) => v.chunks_mut(n).map(Part::I64).collect(),
        };
        let (name, tensor) = (&self.name, &self.tensor);
        parts.into_iter().map(|part| Sink { name, tensor, part }).collect()
    }
}

enum Part<'a> {
    U8(&'a mut [u8]),
    I16(&'a mut [i16]),
    I64(&'a mut [i64]),
}

/// The unwritten rest of a chunk of a recording.
pub(super) struct Sink<'a> {
    name: &'a str,
    tensor: &'a TensorType,
    part: Part<'a>,
}

impl Sink<'_> {
    /// Appends one tensor.
    ///
    /// Panics when a value is outside the tensor's format: then a block's `step` is wrong, and nothing could be compared.
    pub(super) fn write(&mut self, values: &[i64]) {
        let format = self.tensor.format;
        let (min, max) = (format.min(), format.max());
        let outside = values.iter().filter(|&&v| v < min || v > max).count() > 0;
        assert!(!outside, "the definition of `{}` leaves its format {format}: {values:?}", self.name);
        match &mut self.part {
            Part::U8(rest) => *rest = fill(std::mem::take(rest), values, |v| v as u8),
            Part::I16(rest) => *rest = fill(std::mem::take(rest), values, |v| v as i16),
            Part::I64(rest) => *rest = fill(std::mem::take(rest), values, |v| v),
        }
    }
}

/// Fills the front of `rest` and returns what is left of it.
fn fill<'a, T>(rest: &'a mut [T], values: &[i64], convert: impl Fn(i64) -> T) -> &'a mut [T] {
    let (head, tail) = rest.split_at_mut(values.len());
    head.iter_mut().zip(values).for_each(|(o, &v)| *o = convert(v));
    tail
}
