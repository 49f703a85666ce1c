//! Shapes and element numbers, for people.

/// Number of elements, unless it exceeds `limit`.
pub(crate) fn count(shape: &[usize], limit: usize) -> Option<usize> {
    // A zero extent anywhere makes the product zero, however large the others are.
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b)).filter(|n| *n <= limit)
}

/// Position of element `index` along each axis; `fortran` when the first axis varies fastest.
pub(crate) fn position(mut index: usize, shape: &[usize], fortran: bool) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    let axes: Vec<usize> =
        if fortran { (0..shape.len()).collect() } else { (0..shape.len()).rev().collect() };
    for axis in axes {
        at[axis] = index % shape[axis].max(1);
        index /= shape[axis].max(1);
    }
    at
}

/// Row-major order from first-axis-fastest order.
pub(crate) fn to_row_major<T: Copy>(data: &[T], shape: &[usize]) -> Vec<T> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for extent in shape {
        strides.push(stride);
        stride *= extent;
    }
    let mut at = vec![0; shape.len()];
    let mut from = 0;
    let mut out = Vec::with_capacity(data.len());
    for _ in 0..data.len() {
        out.push(data[from]);
        for axis in (0..shape.len()).rev() {
            at[axis] += 1;
            from += strides[axis];
            if at[axis] < shape[axis] {
                break;
            }
            from -= strides[axis] * shape[axis];
            at[axis] = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_told_apart() {
        assert_eq!(to_row_major(&[1, 4, 2, 5, 3, 6], &[2, 3]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(to_row_major(&[7], &[]), [7]);
        assert_eq!(position(4, &[2, 3], false), [1, 1]);
        assert_eq!(position(4, &[2, 3], true), [0, 2]);
        assert_eq!(count(&[1 << 40, 1 << 40], 100), None);
        assert_eq!(count(&[1 << 40, 0, 1 << 40], 100), Some(0));
        assert_eq!(count(&[], 100), Some(1));
    }
}
