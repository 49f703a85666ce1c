//! From a network file to Verilog text, and the samples that come with it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use nervure_back::{File, Options, lower, optimise, render};
use nervure_core::{Design, Diagnostic, Elements, Network, Registry, Samples, Target};

/// Time steps of noise.
const NOISE_STEPS: usize = 16;
/// Samples of noise, unless more are asked for.
const NOISE: usize = 100;

/// A network and what became of it.
pub(crate) struct Compiled<'a> {
    /// As it was written: the meaning.
    pub(crate) network: Network,
    /// After the passes: what was lowered.
    pub(crate) optimised: Network,
    /// Modules and streams.
    pub(crate) design: Design,
    /// What it is for.
    pub(crate) target: &'a Target,
}

impl<'a> Compiled<'a> {
    /// Passes and lowering. Errors: those of both.
    pub(crate) fn new(
        network: Network,
        registry: &Registry,
        target: &'a Target,
        options: &Options,
    ) -> Result<Self, Diagnostic> {
        let optimised = optimise(&network)?;
        let design = lower(&optimised, registry, target, options)?;
        Ok(Self { network, optimised, design, target })
    }

    /// The Verilog.
    pub(crate) fn files(&self, registry: &Registry) -> Vec<File> {
        render(&self.design, registry, self.target)
    }
}

/// The network file meant by `path`: in a build directory, the one that was built.
pub(crate) fn network_file(path: &Path) -> PathBuf {
    let built = path.join("sim/network.yaml");
    if !path.join("network.yaml").is_file() && path.join("manifest.json").is_file() && built.is_file() {
        return built;
    }
    path.to_owned()
}

/// `samples.npz` beside the network file.
pub(crate) fn samples_beside(network: &Path) -> PathBuf {
    let folder = if network.is_dir() { network } else { network.parent().unwrap_or(Path::new("")) };
    folder.join("samples.npz")
}

/// Reproducible noise over the whole range of every input, one element in four not zero.
pub(crate) fn noise(network: &Network, count: usize, seed: u64) -> Samples {
    let count = if count == 0 { NOISE } else { count };
    let steps = if network.inputs.iter().any(|i| i.tensor.rate.steps()) { NOISE_STEPS } else { 1 };
    let mut state = seed;
    let mut draw = move || {
        // SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let mut inputs = Vec::new();
    for port in &network.inputs {
        let format = port.tensor.format;
        let frames = if port.tensor.rate.steps() { steps } else { 1 };
        let range = (i128::from(format.max()) - i128::from(format.min()) + 1) as u128;
        let mut element = || {
            let (word, keep) = (draw(), draw() % 4 == 0);
            if keep { (i128::from(format.min()) + (u128::from(word) % range) as i128) as i64 } else { 0 }
        };
        inputs.push(Elements::I64((0..count * frames * port.tensor.len()).map(|_| element()).collect()));
    }
    Samples { count, steps, inputs, labels: None, targets: None }
}

/// The samples as arrays that the front end reads back.
pub(crate) fn arrays(network: &Network, samples: &Samples) -> Vec<(String, Vec<usize>, Vec<i64>)> {
    let mut list = Vec::new();
    for (port, elements) in network.inputs.iter().zip(&samples.inputs) {
        let mut shape = vec![samples.count];
        if port.tensor.rate.steps() {
            shape.push(samples.steps);
        }
        shape.extend(&port.tensor.shape);
        let mut data = vec![0; elements.len()];
        elements.copy(0, &mut data);
        list.push((port.name.clone(), shape, data));
    }
    list
}
