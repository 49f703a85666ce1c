//! What several test files share: a network around one block, noise for its inputs, a design on disk, and the one check
//! that holds hardware against definition. Deliberately absent: the name of any block that is under test.

pub mod arrays;
pub mod command;
pub mod hdf5;
pub mod library;

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use nervure_back::{File, Guard, Hardened, Options, harden, lower, render};
use nervure_core::block::Rng;
use nervure_core::network::NodeId;
use nervure_core::{
    Design, Diagnostic, Elements, InputPort, Instance, Network, Node, QType, Registry, Samples, Target,
    TensorRef,
};
use nervure_sim::cosim::{Bench, Subject};
use nervure_sim::golden::{GoldenOptions, Trace};
use nervure_sim::{Cache, CosimOptions, Report, Toolbox, cosim};
use rand::{RngExt, SeedableRng};

/// The block library.
pub fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(nervure_templates::registry)
}

/// The target that golden text and recorded areas are for.
pub fn target() -> &'static Target {
    registry().target("xc7").expect("the library has the family of the first board")
}

/// Runs tools, and keeps what they compiled between test runs.
pub fn bench() -> Bench<'static> {
    static TOOLS: OnceLock<(Toolbox, Cache)> = OnceLock::new();
    let (toolbox, cache) = TOOLS.get_or_init(|| (Toolbox::new(), Cache::open()));
    Bench { toolbox, cache }
}

/// Whether recorded files are written instead of compared.
pub fn blessing() -> bool {
    std::env::var_os("NERVURE_BLESS").is_some()
}

/// A number that the environment sets, or what it is otherwise.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// A seeded generator.
pub fn rng(seed: u64) -> Rng {
    Rng::seed_from_u64(seed)
}

/// A network called `name` with one layer `layer` and nothing else: every input of the block is an input, every output an
/// output. A block without outputs gets a second reader of its input, or the network would have none.
pub fn alone(name: &str, layer: &str, instance: Arc<dyn Instance>) -> Network {
    let ports = instance.interface().clone();
    let input = |s: &nervure_core::Stream| InputPort {
        name: s.name.clone(),
        tensor: s.tensor.clone(),
        lanes: s.lanes,
    };
    let mut network = Network {
        name: name.into(),
        source: None,
        bus: None,
        inputs: ports.inputs.iter().map(input).collect(),
        nodes: vec![Node {
            name: layer.into(),
            instance,
            inputs: (0..ports.inputs.len()).map(TensorRef::Input).collect(),
            fifo: 0,
        }],
        outputs: (ports.outputs.iter().enumerate())
            .map(|(n, s)| (s.name.clone(), TensorRef::Output(NodeId(0), n)))
            .collect(),
    };
    if network.outputs.is_empty() {
        let x = &ports.inputs[0];
        let params = serde_json::json!({"input": x.tensor, "input_lanes": x.lanes});
        let instance = registry().get("stream/skid").and_then(|b| b.instantiate(params));
        let instance = instance.expect("a skid buffer takes any stream");
        network.nodes.push(Node {
            name: "witness".into(),
            instance,
            inputs: vec![TensorRef::Input(0)],
            fifo: 0,
        });
        network.outputs.push(("witness".into(), TensorRef::Output(NodeId(1), 0)));
    }
    network
}

/// One element over the whole range of `q`; every fourth is one of its ends, or zero.
fn element(q: QType, rng: &mut Rng) -> i64 {
    match rng.random_range(0..12) {
        0 => q.min(),
        1 => q.max(),
        2 => 0,
        _ => rng.random_range(q.min()..=q.max()),
    }
}

/// Noise for every input of `network`.
pub fn noise(network: &Network, count: usize, steps: usize, rng: &mut Rng) -> Samples {
    let mut inputs = Vec::new();
    for port in &network.inputs {
        let frames = if port.tensor.rate.steps() { steps } else { 1 };
        // Some samples are sparse, some dense: an event-driven block takes another time for each.
        let values = (0..count).flat_map(|_| {
            let density = rng.random_range(0..=8);
            let draw = |rng: &mut Rng| {
                if rng.random_range(0..8) < density { element(port.tensor.format, rng) } else { 0 }
            };
            (0..frames * port.tensor.len()).map(|_| draw(rng)).collect::<Vec<_>>()
        });
        inputs.push(Elements::I64(values.collect()));
    }
    Samples { count, steps, inputs, labels: None, targets: None }
}

/// The steps a sample that are worth a test: one and several where something steps, else one.
pub fn step_counts(network: &Network) -> &'static [usize] {
    if network.inputs.iter().any(|i| i.tensor.rate.steps()) { &[1, 5] } else { &[1] }
}

/// The golden answer.
pub fn golden(network: &Network, samples: &Samples) -> Result<Trace, Diagnostic> {
    nervure_sim::golden::run(network, samples, GoldenOptions { threads: 1, trace: false }, &|_| ())
}

/// A design with its files, on disk until this is dropped.
#[derive(Debug)]
pub struct Built {
    /// The design.
    pub design: Design,
    /// Its RTL.
    pub files: Vec<File>,
    /// The folder that holds `rtl/`.
    pub folder: tempfile::TempDir,
}

impl Built {
    /// Lowers, renders twice (the bytes must agree) and writes. Errors: those of lowering.
    pub fn new(network: &Network, target: &Target, options: &Options) -> Result<Self, Diagnostic> {
        let design = lower(network, registry(), target, options)?;
        let files = render(&design, registry(), target);
        let again = render(&lower(network, registry(), target, options)?, registry(), target);
        assert_eq!(files, again, "two renders of one network differ");
        Ok(Self::written(design, files))
    }

    /// The same with what `guard` names protected, and what was hardened. Errors: those of hardening, too.
    pub fn hardened(
        network: &Network,
        target: &Target,
        options: &Options,
        guard: Guard,
    ) -> Result<(Self, Hardened), Diagnostic> {
        let design = lower(network, registry(), target, options)?;
        let (files, hardened) = harden(&design, registry(), render(&design, registry(), target), guard)?;
        Ok((Self::written(design, files), hardened))
    }

    fn written(design: Design, files: Vec<File>) -> Self {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        for file in &files {
            let path = folder.path().join(&file.path);
            std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder is made");
            std::fs::write(path, &file.text).expect("a file is written");
        }
        Self { design, files, folder }
    }

    /// The folder of the Verilog.
    pub fn rtl(&self) -> std::path::PathBuf {
        self.folder.path().join("rtl")
    }

    /// What linters say, one line each; empty when all is well.
    pub fn lint(&self) -> Vec<String> {
        let findings =
            nervure_sim::lint::lint(&bench(), &self.rtl(), &self.design.name).expect("the linters run");
        findings.into_iter().map(|f| format!("{}: {}", f.tool, f.text)).collect()
    }

    /// Holds the hardware against the definition, bits and cycles, with stalls and a reset in mid-stream.
    ///
    /// Errors: what differs, in words. `reproduce` is the folder for a failure.
    pub fn check(
        &self,
        network: &Network,
        samples: &Samples,
        seed: u64,
        reproduce: Option<&Path>,
    ) -> Result<Report, String> {
        let trace = golden(network, samples).map_err(|d| d.to_string())?;
        let predicted = nervure_sim::predict(network, &self.design, samples).map_err(|e| format!("{e:#}"))?;
        let options = CosimOptions {
            seed,
            watchdog: 200_000,
            predicted: Some(predicted.cycles),
            reproduce: reproduce.map(Path::to_owned),
            network_text: nervure_front::to_yaml(network),
            ..CosimOptions::default()
        };
        let subject = Subject { design: &self.design, network, rtl: &self.rtl() };
        let report = cosim(&bench(), &subject, samples, &trace, &options).map_err(|e| format!("{e:#}"))?;
        let report = report.expect("this is no dry run");
        if report.passed() { Ok(report) } else { Err(describe(&report)) }
    }
}

/// A failed report in words.
fn describe(report: &Report) -> String {
    let mut lines: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
    lines.extend(report.first.iter().take(3).map(ToString::to_string));
    if let Some((sample, predicted, measured)) = &report.first_cycle_mismatch {
        lines.push(format!("cycles of sample {sample}: predicted {predicted:?}, measured {measured:?}"));
    }
    if let Some(folder) = &report.reproduction {
        lines.push(format!("reproduce with {}", folder.join("run.sh").display()));
    }
    lines.join("\n")
}

/// Runs `work` on every item with two threads; results in the order of the items.
pub fn on_two_threads<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let run = || {
        while let Some((i, item)) = {
            let i = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            items.get(i).map(|item| (i, item))
        } {
            let result = work(item);
            results.lock().expect("no panic while it is held").push((i, result));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(run);
        run();
    });
    let mut results = results.into_inner().expect("no panic while it was held");
    results.sort_by_key(|(i, _)| *i);
    results.into_iter().map(|(_, r)| r).collect()
}
