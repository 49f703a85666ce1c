//! A lava-dl network in memory: integers already.

use nervure_core::Tensor;

/// A layer of a lava-dl network; each reads the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LavaLayer {
    /// Extents of what it gives, as the file says: `[features]`, or channels, height, width.
    pub shape: Vec<usize>,
    /// What it does with its input.
    pub kind: LavaKind,
    /// What it does with the result. A layer that only moves data has none, and a dense layer that gives sums.
    pub neuron: Option<LavaNeuron>,
}

/// What a layer does with its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LavaKind {
    /// Where data come in; each element times `weight`, plus `bias`.
    Input {
        /// Gain, where the file has one.
        weight: Option<i64>,
        /// Offset, where the file has one.
        bias: Option<i64>,
    },
    /// Every output sees every input.
    Dense {
        /// `[out, in]`.
        weight: Tensor,
        /// `[out]`.
        bias: Option<Tensor>,
        /// Steps that a spike takes to leave: `[1]` or `[out]`.
        delay: Option<Tensor>,
    },
    /// Convolution over height and width.
    Conv {
        /// `[out, in / groups, kh, kw]`.
        weight: Tensor,
        /// The window.
        window: Window,
        /// Groups of channels.
        groups: usize,
        /// `[out]`.
        bias: Option<Tensor>,
        /// Steps that a spike takes to leave: `[1]`, `[out]`, or one for each neuron.
        delay: Option<Tensor>,
    },
    /// Sums over windows, each channel by itself, times the one weight.
    Pool {
        /// `[1, 1, kh, kw]`.
        weight: Tensor,
        /// The window.
        window: Window,
        /// Steps that a spike takes to leave.
        delay: Option<Tensor>,
    },
    /// Several axes become one.
    Flatten,
    /// The mean of each of `shape[0]` groups.
    Average,
}

/// A window over height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Extents.
    pub kernel_size: [usize; 2],
    /// Step.
    pub stride: [usize; 2],
    /// Zeros on both sides.
    pub padding: [usize; 2],
    /// Distance of the taps.
    pub dilation: [usize; 2],
}

/// The neuron that lava-dl calls CUBA: `u = u (4096 - i_decay) / 4096 + (x << 6)`,
/// `v = v (4096 - v_decay) / 4096 + u`, a spike where `v >= v_th_mant << 6`, and then `v` becomes 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LavaNeuron {
    /// Decay of the current, 0 to 4096: one element, or one for each channel.
    pub i_decay: Tensor,
    /// Decay of the voltage, 0 to 4096: one element, or one for each channel.
    pub v_decay: Tensor,
    /// Threshold, above 0.
    pub v_th_mant: i64,
    /// Steps of rest after a spike; lava-dl writes 1, which is none.
    pub ref_delay: i64,
    /// Whether a spike carries the voltage.
    pub graded: bool,
    /// Power of two of a normalization of the current, where the file has one.
    pub weight_exp: Option<i64>,
}

/// A network, and what the reader tolerated in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LavaLoaded {
    /// Layers in order.
    pub layers: Vec<LavaLayer>,
    /// Each a full sentence for the person.
    pub warnings: Vec<String>,
}
