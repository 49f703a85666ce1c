//! A tensor of integers, and what they stand for: an exact scale and offset, then operators that were not yet applied.

use std::rc::Rc;

use super::evaluate::single;
use crate::onnx::Dtype;

/// A number for all elements, or one for each.
pub(crate) type List = Vec<f64>;

/// Element `at` of a list that may have one element for all.
pub(crate) fn pick(list: &[f64], at: usize) -> f64 {
    if let [one] = list { *one } else { list[at] }
}

/// An operator on one element. Each rounds to binary32, as the framework does.
#[derive(Clone)]
pub(crate) enum Step {
    Add(List),
    Mul(List),
    Div(List),
    /// Any function of one element.
    Function {
        f: Rc<dyn Fn(f64) -> f64>,
        /// Whether a larger argument never gives a smaller result.
        monotone: bool,
        /// Whether it is the identity between two limits.
        clamps: bool,
        /// Whether a larger argument always gives a larger result, so that the largest stays the largest.
        strict: bool,
        name: String,
    },
}

/// Integers `n` of a layer of the network, in a logical shape; element `at` stands for `scale * n + offset`, then `steps`.
#[derive(Clone)]
pub(crate) struct Stream {
    /// The layer that gives it.
    pub(crate) layer: usize,
    /// Extents as the file has them, one sample.
    pub(crate) shape: Vec<usize>,
    /// Where each element lies in what the layer gives.
    pub(crate) from: Vec<usize>,
    pub(crate) scale: List,
    pub(crate) offset: List,
    pub(crate) steps: Vec<Step>,
    pub(crate) dtype: Dtype,
    /// Whether nothing is rounded on the way: exact, where the framework would round to binary32.
    pub(crate) wide: bool,
}

impl Stream {
    pub(crate) fn len(&self) -> usize {
        self.from.len()
    }

    /// What integer `n` of element `at` stands for, before the steps.
    fn base(&self, at: usize, n: i64) -> f64 {
        self.rounded(n as f64 * pick(&self.scale, at) + pick(&self.offset, at))
    }

    fn rounded(&self, v: f64) -> f64 {
        if self.wide { v } else { single(v) }
    }

    /// What integer `n` of element `at` stands for, computed as the framework computes it.
    pub(crate) fn real(&self, at: usize, n: i64) -> f64 {
        self.steps.iter().fold(self.base(at, n), |v, step| match step {
            Step::Add(c) => self.rounded(v + pick(c, at)),
            Step::Mul(c) => self.rounded(v * pick(c, at)),
            Step::Div(c) => self.rounded(v / pick(c, at)),
            Step::Function { f, .. } => self.rounded(f(v)),
        })
    }

    /// Factor and addend of element `at`: what the integers stand for, without limits and without rounding. Nothing where
    /// a step is no such thing; `limits` says whether to pass over those that only limit.
    pub(crate) fn affine(&self, at: usize, limits: bool) -> Option<(f64, f64)> {
        let mut line = (pick(&self.scale, at), pick(&self.offset, at));
        for step in &self.steps {
            match step {
                Step::Add(c) => line.1 += pick(c, at),
                Step::Mul(c) => line = (line.0 * pick(c, at), line.1 * pick(c, at)),
                Step::Div(c) => line = (line.0 / pick(c, at), line.1 / pick(c, at)),
                Step::Function { clamps: true, .. } if limits => {}
                Step::Function { .. } => return None,
            }
        }
        Some(line)
    }

    pub(crate) fn monotone(&self) -> bool {
        self.steps.iter().all(|s| !matches!(s, Step::Function { monotone: false, .. }))
    }

    /// All lists that may differ from element to element.
    fn lists(&self) -> impl Iterator<Item = &List> {
        let steps = self.steps.iter().filter_map(|s| match s {
            Step::Add(c) | Step::Mul(c) | Step::Div(c) => Some(c),
            Step::Function { .. } => None,
        });
        [&self.scale, &self.offset].into_iter().chain(steps)
    }

    /// Whether all elements mean the same.
    pub(crate) fn uniform(&self) -> bool {
        self.lists().all(|l| l.len() == 1)
    }

    /// Whether the integers of two elements mean the same.
    pub(crate) fn alike(&self, a: usize, b: usize) -> bool {
        self.lists().all(|l| pick(l, a).to_bits() == pick(l, b).to_bits())
    }

    /// Other elements, in another shape: element `at` is what was element `from[at]`.
    pub(crate) fn moved(&self, shape: Vec<usize>, from: &[usize]) -> Self {
        let list = |l: &List| if l.len() == 1 { l.clone() } else { from.iter().map(|n| l[*n]).collect() };
        let steps = self.steps.iter().map(|s| match s {
            Step::Add(c) => Step::Add(list(c)),
            Step::Mul(c) => Step::Mul(list(c)),
            Step::Div(c) => Step::Div(list(c)),
            other @ Step::Function { .. } => other.clone(),
        });
        Self {
            layer: self.layer,
            shape,
            from: from.iter().map(|n| self.from[*n]).collect(),
            scale: list(&self.scale),
            offset: list(&self.offset),
            steps: steps.collect(),
            dtype: self.dtype,
            wide: self.wide,
        }
    }
}

/// One element where all are equal.
pub(crate) fn shortened(list: List) -> List {
    match &list[..] {
        [first, rest @ ..] if rest.iter().all(|v| v.to_bits() == first.to_bits()) => vec![*first],
        _ => list,
    }
}

/// `-log2(scale)`, where that is an integer a format can have.
pub(crate) fn fraction(scale: f64) -> Option<i8> {
    let bits = scale.log2();
    (scale > 0.0 && bits.fract().abs() <= 0.0 && bits.abs() <= 60.0).then_some(-bits as i8)
}
