//! Pooling, and other nodes that take spikes as they are.

use nervure_core::Diagnostic;

use super::fold::Fold;
use super::model::Conv;
use super::translate::unsupported;

/// What a node reads that takes spikes as they are. Errors: `E0131` for synapses in between.
pub(super) fn plain(name: &str, fold: &Fold) -> Result<Vec<usize>, Diagnostic> {
    if fold.is_identity() {
        return Ok(fold.shape.clone());
    }
    let message = format!("`{}` reads a weighted sum, not spikes", name.escape_debug());
    Err(unsupported(name, message, "put a neuron before it, or move the weights behind it"))
}

/// Pooling as a convolution of ones, and the shape that it gives.
pub(super) fn pooled(
    name: &str,
    fold: &Fold,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
) -> Result<(Conv, Vec<usize>), Diagnostic> {
    let shape = plain(name, fold)?;
    let [c, h, w] = shape[..] else {
        let message = format!("pooling reads shape {shape:?}, expected three axes");
        return Err(unsupported(name, message, "keep the map's axes up to here"));
    };
    let extent =
        |n: usize, a: usize| (n + 2 * padding[a]).checked_sub(kernel[a]).map(|rest| rest / stride[a] + 1);
    let (Some(oh), Some(ow)) = (extent(h, 0), extent(w, 1)) else {
        let message = format!("windows of {kernel:?} exceed the map of {h} x {w}");
        return Err(unsupported(name, message, "use smaller windows"));
    };
    let conv = Conv {
        weight: vec![1.0; c * kernel[0] * kernel[1]],
        bias: vec![0.0; c],
        input: [c, h, w],
        output: [c, oh, ow],
        kernel,
        stride,
        padding,
        dilation: [1, 1],
        groups: c,
    };
    Ok((conv, vec![c, oh, ow]))
}
