//! The blocks of which an imported network consists, or one whose layers were split, by name. No other file of the importer, or of
//! pruning, names one.

/// A rectifier.
pub(crate) const RELU: &str = "act/relu";
/// Another shape.
pub(crate) const FLATTEN: &str = "seq/flatten";
/// Another order.
pub(crate) const GATHER: &str = "seq/gather";
/// The class.
pub(crate) const ARGMAX: &str = "seq/argmax";
/// A matrix, all products at once.
pub(crate) const DENSE: &str = "dense/unrolled";
/// A matrix on a few multipliers.
pub(crate) const FOLDED: &str = "engine/folded";
/// A convolution, all products at once.
pub(crate) const CONV: &str = "conv/unrolled";
/// The windows of a convolution, one after the other.
pub(crate) const WINDOW: &str = "conv/window";
/// A shift, or a multiplier.
pub(crate) const REQUANT: &str = "act/requant";
/// The largest of a window.
pub(crate) const MAX: &str = "pool/max";
/// The sum of a window.
pub(crate) const AVERAGE: &str = "pool/average";
/// Sums of windows that do not overlap, of maps that pass pixel by pixel.
pub(crate) const SUM2D: &str = "pool/sum2d";
/// A sum of two or more.
pub(crate) const ADD: &str = "seq/add";
/// Another fixed-point format.
pub(crate) const QUANT: &str = "act/quant";
/// Any function.
pub(crate) const TABLE: &str = "act/table";
/// Thresholds reached.
pub(crate) const THRESHOLD: &str = "act/threshold";
