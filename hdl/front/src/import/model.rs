//! A spiking network in real numbers, its semantics settled: what is between a file and an integer network.

use std::collections::BTreeSet;

use super::semantics::Semantics;

/// Layers in order; each reads the input or an earlier layer.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    /// Extents of the input; of a map: channels, height, width.
    pub(crate) input: Vec<usize>,
    pub(crate) layers: Vec<Layer>,
    /// Layers whose output leaves.
    pub(crate) outputs: Vec<usize>,
}

/// Ends of the names of layers that the importer adds; a model's own layer may not take them.
const ADDED: [&str; 4] = [".now", ".map", ".counts", ".class"];

impl Model {
    /// Gives every layer a name that a network file can have: of its own, not the input's, no reference to an array, and
    /// none that an added layer takes.
    pub(crate) fn rename(&mut self) {
        let mut taken = BTreeSet::from(["x".to_owned()]);
        for layer in &mut self.layers {
            let mut name = layer.name.replace(".npz:", ".npz_");
            while taken.contains(&name) || ADDED.iter().any(|end| name.ends_with(end)) {
                name.push('_');
            }
            taken.insert(name.clone());
            layer.name = name;
        }
    }
}

/// A layer.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) name: String,
    /// The layer that it reads (of several, see [`Op::Concat`]); nothing for the input.
    pub(crate) from: Option<usize>,
    /// Extents; of a map: channels, height, width.
    pub(crate) shape: Vec<usize>,
    /// What the integers of its output must be multiplied by.
    pub(crate) scale: f64,
    pub(crate) op: Op,
}

/// What a layer does.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Synapses and neurons.
    Neurons(Box<Neurons>),
    /// Sums over windows, each channel by itself.
    Pool { kernel: [usize; 2], stride: [usize; 2] },
    /// The input of so many steps ago.
    Delay { steps: usize },
    /// Several sources one behind the other; nothing stands for the input.
    Concat { sources: Vec<Option<usize>> },
}

/// Synapses and neurons.
#[derive(Debug, Clone)]
pub(crate) struct Neurons {
    pub(crate) synapse: Synapse,
    /// From the layer's own spikes of the step before: a dense matrix and a bias.
    pub(crate) recurrent: Option<(Vec<f64>, Vec<f64>)>,
    pub(crate) neuron: Neuron,
}

/// Feed-forward synapses.
#[derive(Debug, Clone)]
pub(crate) enum Synapse {
    /// `weight: [out, in]`, `bias: [out]`.
    Dense { weight: Vec<f64>, bias: Vec<f64>, inputs: usize, outputs: usize },
    /// Cross-correlation.
    Conv(Conv),
}

/// A convolution over maps.
#[derive(Debug, Clone)]
pub(crate) struct Conv {
    /// `[out, in / groups, kh, kw]`.
    pub(crate) weight: Vec<f64>,
    /// `[out]`.
    pub(crate) bias: Vec<f64>,
    /// Extents of the input: channels, height, width.
    pub(crate) input: [usize; 3],
    /// Extents of the output: channels, height, width.
    pub(crate) output: [usize; 3],
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) groups: usize,
}

impl Synapse {
    pub(crate) fn weights(&self) -> &[f64] {
        match self {
            Self::Dense { weight, .. } | Self::Conv(Conv { weight, .. }) => weight,
        }
    }

    pub(crate) fn weights_mut(&mut self) -> &mut Vec<f64> {
        match self {
            Self::Dense { weight, .. } | Self::Conv(Conv { weight, .. }) => weight,
        }
    }

    pub(crate) fn bias(&self) -> &[f64] {
        match self {
            Self::Dense { bias, .. } | Self::Conv(Conv { bias, .. }) => bias,
        }
    }

    pub(crate) fn bias_mut(&mut self) -> &mut Vec<f64> {
        match self {
            Self::Dense { bias, .. } | Self::Conv(Conv { bias, .. }) => bias,
        }
    }
}

/// Neurons of one layer: in a step,
/// `i = current_decay i + x`, `v = decay v + i + bias`, then the semantics decide.
///
/// Per-neuron lists have one element where all are equal.
#[derive(Debug, Clone)]
pub(crate) struct Neuron {
    pub(crate) semantics: Semantics,
    /// Decay factor of the membrane.
    pub(crate) decay: Vec<f64>,
    /// Decay factor of the current, for a neuron that has one.
    pub(crate) current_decay: Option<Vec<f64>>,
    /// Added to the membrane every step.
    pub(crate) bias: Vec<f64>,
    /// Threshold; nothing for a read-out, whose output is the membrane.
    pub(crate) threshold: Option<Vec<f64>>,
    /// Membrane after a reset to a value.
    pub(crate) reset_value: Vec<f64>,
}

/// Element `n` of a list that may have one element for all.
pub(crate) fn at(list: &[f64], n: usize) -> f64 {
    if let [one] = list { *one } else { list[n] }
}

/// The list with one element where all are equal.
pub(crate) fn shortened(list: Vec<f64>) -> Vec<f64> {
    if list.windows(2).all(|w| w[0].to_bits() == w[1].to_bits()) { vec![list[0]] } else { list }
}
