//! Random small networks of all blocks: the hardware's bits and cycles against the definition.
//!
//! `NERVURE_CASES` raises the number of networks, `NERVURE_SEED` changes them; a failure prints both and leaves a folder
//! with network, stimulus and `run.sh`. The generator of a network draws layer after layer, so that a shorter network of
//! the same seed is the beginning of a longer one: that is what makes shrinking the length useful.

use std::path::{Path, PathBuf};

use nervure_back::Options;
use nervure_core::block::Rng;
use nervure_core::network::NodeId;
use nervure_core::{InputPort, Network, Node, QType, Rate, TensorRef, TensorType};
use nervure_tests::{Built, noise, registry, rng, setting};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::RngExt;

/// Networks of one of the two tests, unless `NERVURE_CASES` says otherwise.
const CASES: u32 = 50;

/// One of the things that can enter a network: events, spikes, or integers once a step or once a frame.
fn input(rng: &mut Rng) -> TensorType {
    let shape = match rng.random_range(0..3) {
        0 => vec![rng.random_range(1..=24)],
        1 => vec![rng.random_range(1..=4), rng.random_range(1..=6)],
        _ => vec![rng.random_range(1..=2), rng.random_range(1..=3), rng.random_range(1..=4)],
    };
    let bits = rng.random_range(2..=12);
    let format = if rng.random() { QType::signed(bits) } else { QType::unsigned(bits) };
    match rng.random_range(0..10) {
        0 => TensorType::event(&shape, QType::unsigned(rng.random_range(1..=2))),
        1..=4 => TensorType::step(&shape, QType::unsigned(1)),
        5..=7 => TensorType::step(&shape, format),
        _ => TensorType::frame(&shape, format),
    }
}

fn divisor(n: usize, rng: &mut Rng) -> usize {
    let all: Vec<usize> = (1..=n).filter(|d| n.is_multiple_of(*d)).collect();
    all[rng.random_range(0..all.len())]
}

/// A layer that takes `tensor`: any block of the library that can, with one input.
fn layer(tensor: &TensorType, rng: &mut Rng) -> std::sync::Arc<dyn nervure_core::Instance> {
    let blocks: Vec<_> = registry().blocks().collect();
    loop {
        let block = blocks[rng.random_range(0..blocks.len())];
        if let Some(instance) = block.sample(tensor, rng)
            && instance.interface().inputs.len() == 1
        {
            return instance;
        }
    }
}

/// As network files call it: the layer, or the layer and the port where it has several.
fn output_name(network: &Network, tensor: TensorRef) -> String {
    let layer = network.tensor_name(tensor).to_owned();
    match tensor {
        TensorRef::Output(id, _) if network.nodes[id.0].instance.interface().outputs.len() > 1 => {
            format!("{layer}.{}", network.stream(tensor).name)
        }
        _ => layer,
    }
}

/// A chain of `length` layers; some tensors on the way are outputs, too, and some layers sit on a branch of their own.
fn network(seed: u64, length: usize) -> Network {
    let rng = &mut rng(seed);
    let tensor = input(rng);
    let lanes = if tensor.rate == Rate::Event { 1 } else { divisor(tensor.len(), rng) };
    let mut network = Network {
        name: format!("random {seed}"),
        inputs: vec![InputPort { name: "x".into(), tensor, lanes }],
        ..Network::default()
    };
    let mut at = TensorRef::Input(0);
    for n in 0.. {
        let instance = layer(&network.stream(at).tensor, rng);
        let ports = instance.interface().outputs.len();
        let fifo = if rng.random_range(0..4) == 0 { rng.random_range(1..6) } else { 0 };
        network.nodes.push(Node {
            name: format!("{} {n}", instance.block()),
            instance,
            inputs: vec![at],
            fifo,
        });
        // A further output: this layer's first; the others of a fork are read by nobody.
        // Events have one reader, which is the next layer.
        let also = rng.random_range(0..3) == 0;
        if ports > 0 {
            at = TensorRef::Output(NodeId(n), rng.random_range(0..ports));
        }
        let also = also && network.stream(at).tensor.rate != Rate::Event;
        let enough = n + 1 >= length && matches!(at, TensorRef::Output(..));
        if enough || (also && ports > 0) {
            if !network.outputs.iter().any(|(_, r)| *r == at) {
                network.outputs.push((output_name(&network, at), at));
            }
        }
        if enough {
            break;
        }
    }
    network
}

fn check(seed: u64, length: usize, samples: usize, steps: usize) -> Result<(), String> {
    let network = network(seed, length);
    let names: Vec<&str> = registry().targets.iter().map(|t| t.name.as_str()).collect();
    let rng = &mut rng(!seed);
    let target = registry().target(names[rng.random_range(0..names.len())]).expect("it is in the list");
    let clock_mhz = rng.random::<bool>().then(|| rng.random_range(20..300));
    let built = Built::new(&network, target, &Options { clock_mhz, ..Options::default() })
        .map_err(|d| format!("does not build: {d}"))?;
    let steps = if network.inputs[0].tensor.rate.steps() { steps } else { 1 };
    let samples = noise(&network, samples, steps, rng);
    let folder = failures().join(format!("seed_{seed}_length_{length}_steps_{steps}"));
    built.check(&network, &samples, seed, Some(&folder)).map(|_| ())
}

fn failures() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("random_networks")
}

fn many(half: u64) {
    let seed = setting("NERVURE_SEED", 1);
    let cases = setting("NERVURE_CASES", (2 * CASES).into()).div_ceil(2) as u32;
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = half as u8;
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 40, ..Config::default() };
    let generator = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, generator);
    // Another seed is another network, not a smaller one.
    let case = ((0u64..1 << 40).no_shrink(), 1usize..=5, 1usize..=12, 1usize..=4);
    let outcome = runner.run(&case, |(seed, length, samples, steps)| {
        check(seed, length, samples, steps).map_err(TestCaseError::fail)
    });
    if let Err(e) = outcome {
        panic!(
            "{e}\n(seed, length, samples, steps) as above; NERVURE_SEED={seed} NERVURE_CASES={} repeats the run",
            2 * cases
        );
    }
}

#[test]
fn random_networks_are_exact() {
    many(0);
}

#[test]
fn more_random_networks_are_exact() {
    many(1);
}

#[test]
fn random_networks_survive_being_written() {
    for seed in 0..40 {
        let network = network(seed, 4);
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let file = folder.path().join("network.yaml");
        let text = nervure_front::to_yaml(&network);
        std::fs::write(&file, &text).expect("the network is written");
        let again = nervure_front::load(&file, registry(), &[]);
        let again = again.unwrap_or_else(|d| panic!("seed {seed}: {d}\n{text}"));
        assert_eq!(nervure_front::to_yaml(&again), text, "seed {seed}");
    }
}
