//! A NIR graph in memory.

use super::array::Array;

/// How a convolution treats the border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding<const N: usize> {
    /// So many zeros on both sides of each axis.
    Explicit([usize; N]),
    /// As many zeros as keep the extents; only with stride 1.
    Same,
    /// No zeros.
    Valid,
}

/// What a node computes, with its parameters in the units of the file (seconds, volts).
///
/// A parameter of a neuron is a scalar, or an array of the layer's shape; all parameters of a node agree in this.
#[derive(Debug, Clone, PartialEq)]
pub enum Primitive {
    /// Where data come in.
    Input {
        /// Extents of what comes in.
        shape: Vec<usize>,
    },
    /// Where data go out.
    Output {
        /// Extents of what goes out.
        shape: Vec<usize>,
    },
    /// `y = W x + b`.
    Affine {
        /// `[..., out, in]`: two axes, or more in front for a batch of matrices.
        weight: Array,
        /// `[..., out]`; zeros where the file has none.
        bias: Array,
    },
    /// `y = W x`.
    Linear {
        /// `[..., out, in]`.
        weight: Array,
    },
    /// `y = s x`, element by element.
    Scale {
        /// A scalar, or the shape of `x`.
        scale: Array,
    },
    /// Convolution along one axis.
    Conv1d {
        /// `[out, in / groups, k]`.
        weight: Array,
        /// Step of the window.
        stride: usize,
        /// Border.
        padding: Padding<1>,
        /// Distance of the taps.
        dilation: usize,
        /// Groups of channels.
        groups: usize,
        /// `[out]`; zeros where the file has none.
        bias: Array,
        /// Extent of the input, where the file says.
        input_shape: Option<usize>,
    },
    /// Convolution along two axes.
    Conv2d {
        /// `[out, in / groups, kh, kw]`.
        weight: Array,
        /// Step of the window.
        stride: [usize; 2],
        /// Border.
        padding: Padding<2>,
        /// Distance of the taps.
        dilation: [usize; 2],
        /// Groups of channels.
        groups: usize,
        /// `[out]`; zeros where the file has none.
        bias: Array,
        /// Extents of the input without channels, where the file says.
        input_shape: Option<[usize; 2]>,
    },
    /// Sums over windows, each channel by itself.
    SumPool2d {
        /// Extents of the window.
        kernel_size: [usize; 2],
        /// Step of the window.
        stride: [usize; 2],
        /// Zeros on both sides.
        padding: [usize; 2],
    },
    /// Means over windows, each channel by itself.
    AvgPool2d {
        /// Extents of the window.
        kernel_size: [usize; 2],
        /// Step of the window.
        stride: [usize; 2],
        /// Zeros on both sides.
        padding: [usize; 2],
    },
    /// Several axes become one. Axes count from 0 without a batch; negative ones from the end.
    Flatten {
        /// First axis of those that become one.
        start_dim: i64,
        /// Last axis of those that become one.
        end_dim: i64,
        /// Extents of the input, where the file says.
        input_shape: Option<Vec<usize>>,
    },
    /// `y(t) = x(t - delay)`.
    Delay {
        /// Seconds, from 0.
        delay: Array,
    },
    /// `y = 1` where `x > threshold`, else 0.
    Threshold {
        /// A scalar, or the shape of `x`.
        threshold: Array,
    },
    /// `v' = r x`, gives `v`.
    I {
        /// Resistance.
        r: Array,
    },
    /// `v' = r x`; a spike where `v > v_threshold`, and then `v` becomes `v_reset`.
    If {
        /// Resistance.
        r: Array,
        /// Threshold.
        v_threshold: Array,
        /// Value after a spike.
        v_reset: Array,
    },
    /// `tau v' = v_leak - v + r x`, gives `v`.
    Li {
        /// Time constant, seconds, above 0.
        tau: Array,
        /// Resistance.
        r: Array,
        /// Value at rest.
        v_leak: Array,
    },
    /// [`Primitive::Li`] with a threshold.
    Lif {
        /// Time constant, seconds, above 0.
        tau: Array,
        /// Resistance.
        r: Array,
        /// Value at rest.
        v_leak: Array,
        /// Threshold.
        v_threshold: Array,
        /// Value after a spike.
        v_reset: Array,
    },
    /// `tau_syn i' = -i + w_in x`, `tau_mem v' = v_leak - v + r i`, gives `v`.
    CubaLi {
        /// Time constant of the current, seconds, above 0.
        tau_syn: Array,
        /// Time constant of the membrane, seconds, above 0.
        tau_mem: Array,
        /// Resistance.
        r: Array,
        /// Value at rest.
        v_leak: Array,
        /// Gain of the input; 1 where the file has none.
        w_in: Array,
    },
    /// [`Primitive::CubaLi`] with a threshold.
    CubaLif {
        /// Time constant of the current, seconds, above 0.
        tau_syn: Array,
        /// Time constant of the membrane, seconds, above 0.
        tau_mem: Array,
        /// Resistance.
        r: Array,
        /// Value at rest.
        v_leak: Array,
        /// Threshold.
        v_threshold: Array,
        /// Value after a spike.
        v_reset: Array,
        /// Gain of the input; 1 where the file has none.
        w_in: Array,
    },
}

impl Primitive {
    /// The name that the file gives it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Input { .. } => "Input",
            Self::Output { .. } => "Output",
            Self::Affine { .. } => "Affine",
            Self::Linear { .. } => "Linear",
            Self::Scale { .. } => "Scale",
            Self::Conv1d { .. } => "Conv1d",
            Self::Conv2d { .. } => "Conv2d",
            Self::SumPool2d { .. } => "SumPool2d",
            Self::AvgPool2d { .. } => "AvgPool2d",
            Self::Flatten { .. } => "Flatten",
            Self::Delay { .. } => "Delay",
            Self::Threshold { .. } => "Threshold",
            Self::I { .. } => "I",
            Self::If { .. } => "IF",
            Self::Li { .. } => "LI",
            Self::Lif { .. } => "LIF",
            Self::CubaLi { .. } => "CubaLI",
            Self::CubaLif { .. } => "CubaLIF",
        }
    }

    /// The parameters of a neuron or of another primitive that works element by element, by name: all of one shape, or
    /// single numbers.
    pub fn parameters(&self) -> Vec<(&'static str, &Array)> {
        match self {
            Self::Scale { scale } => vec![("scale", scale)],
            Self::Delay { delay } => vec![("delay", delay)],
            Self::Threshold { threshold } => vec![("threshold", threshold)],
            Self::I { r } => vec![("r", r)],
            Self::If { r, v_threshold, v_reset } => {
                vec![("r", r), ("v_threshold", v_threshold), ("v_reset", v_reset)]
            }
            Self::Li { tau, r, v_leak } => vec![("tau", tau), ("r", r), ("v_leak", v_leak)],
            Self::Lif { tau, r, v_leak, v_threshold, v_reset } => vec![
                ("tau", tau),
                ("r", r),
                ("v_leak", v_leak),
                ("v_threshold", v_threshold),
                ("v_reset", v_reset),
            ],
            Self::CubaLi { tau_syn, tau_mem, r, v_leak, w_in } => {
                vec![("tau_syn", tau_syn), ("tau_mem", tau_mem), ("r", r), ("v_leak", v_leak), ("w_in", w_in)]
            }
            Self::CubaLif { tau_syn, tau_mem, r, v_leak, v_threshold, v_reset, w_in } => vec![
                ("tau_syn", tau_syn),
                ("tau_mem", tau_mem),
                ("r", r),
                ("v_leak", v_leak),
                ("v_threshold", v_threshold),
                ("v_reset", v_reset),
                ("w_in", w_in),
            ],
            _ => Vec::new(),
        }
    }

    /// Whether its output depends on inputs of earlier time, so that a circle of nodes may pass through it.
    pub fn has_state(&self) -> bool {
        match self {
            Self::Delay { delay } => delay.data.iter().all(|d| *d > 0.0),
            other => matches!(
                other,
                Self::I { .. }
                    | Self::If { .. }
                    | Self::Li { .. }
                    | Self::Lif { .. }
                    | Self::CubaLi { .. }
                    | Self::CubaLif { .. }
            ),
        }
    }
}

/// A node of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Name in the file; a node of a nested graph is `outer.inner`.
    pub name: String,
    /// What it computes.
    pub primitive: Primitive,
    /// Extents of what it gives.
    pub shape: Vec<usize>,
}

/// A graph: at least one input and one output, every node on a way from an input or with a state of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Sorted by name; names are unique.
    pub nodes: Vec<Node>,
    /// From and to, as indices of `nodes`; sorted, without repetition.
    pub edges: Vec<(usize, usize)>,
    /// Version of the `nir` package that wrote the file.
    pub version: Option<String>,
}

impl Graph {
    /// Index of the node called `name`.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.nodes.binary_search_by(|n| n.name.as_str().cmp(name)).ok()
    }

    /// Nodes that `node` reads, ascending.
    pub fn sources(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        self.edges.iter().filter(move |e| e.1 == node).map(|e| e.0)
    }

    /// Nodes that read `node`, ascending.
    pub fn targets(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        self.edges.iter().filter(move |e| e.0 == node).map(|e| e.1)
    }
}

/// A graph, and what the reader tolerated in its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The graph.
    pub graph: Graph,
    /// Each a full sentence for the person.
    pub warnings: Vec<String>,
}
