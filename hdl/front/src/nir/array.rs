//! Floating-point arrays as a file holds them.

/// A floating-point array, row-major. 32-bit values are converted exactly; every element is finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Extent of each axis, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Elements, last axis fastest.
    pub data: Vec<f64>,
}

impl Array {
    /// Shapes: `data.len()` is the product of `shape`.
    pub fn new(shape: &[usize], data: Vec<f64>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "shape and data agree");
        Self { shape: shape.to_vec(), data }
    }

    /// A single number.
    pub fn scalar(value: f64) -> Self {
        Self { shape: Vec::new(), data: vec![value] }
    }

    /// The one value of all elements, if there is one: a scalar, or an array whose elements are equal.
    #[expect(clippy::float_cmp, reason = "one value means one value, not nearly one")]
    pub fn scalar_or_uniform(&self) -> Option<f64> {
        let (&first, rest) = self.data.split_first()?;
        rest.iter().all(|v| *v == first).then_some(first)
    }

    /// Element `index`; the only element of a scalar, or of an array of one, stands for every index.
    pub fn get(&self, index: usize) -> Option<f64> {
        if let [only] = self.data.as_slice() { Some(*only) } else { self.data.get(index).copied() }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no element. The readers give no such array.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Whether all elements are zero.
    pub fn is_zero(&self) -> bool {
        self.data.iter().all(|v| *v == 0.0)
    }
}
