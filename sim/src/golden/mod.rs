//! The network executed by its blocks' definitions: what hardware is compared with, and the fast way to an answer.
//!
//! One worker a thread holds one set of runners and one flat arena with every tensor; nothing is allocated per sample or
//! step. Deliberately absent: time (see `nervure_back`) and any file.

mod plan;
mod record;
mod score;
mod worker;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use nervure_core::{Diagnostic, Network, Runner, Samples, TensorRef};

pub use record::Recorded;
pub use score::{accuracy, classes, mean, mse};

use plan::Plan;
use record::Sink;
use worker::Worker;

/// How to run.
#[derive(Debug, Clone, Copy, Default)]
pub struct GoldenOptions {
    /// Worker threads; 0 for one a core.
    pub threads: usize,
    /// Whether to record every layer's outputs, not only the network's.
    pub trace: bool,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Number of samples.
    pub count: usize,
    /// Time steps of each.
    pub steps: usize,
    /// One per network output.
    pub outputs: Vec<Recorded>,
    /// One per layer and output port, where asked for; otherwise empty.
    pub layers: Vec<Vec<Recorded>>,
}

/// Samples a worker takes at a time, at most: small enough to share the end of the work, large enough not to queue for it.
const CHUNK: usize = 256;

struct Job<'a> {
    first: usize,
    count: usize,
    sinks: Vec<Sink<'a>>,
}

/// Executes every sample. `progress` hears the number of samples done, from any thread.
///
/// A layer with a tensor per step on any port runs every step; a layer with tensors per frame only runs once, in the last
/// step where it reads what a stepping layer has left, else in the first. Errors: `E0407` for a layer that steps while
/// reading such a left-over, which exists only after the steps are over.
pub fn run(
    network: &Network,
    samples: &Samples,
    options: GoldenOptions,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Trace, Diagnostic> {
    let plan = Plan::new(network)?;
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if options.threads == 0 { cores() } else { options.threads };
    let steps = samples.steps.max(1);
    let mut outputs: Vec<Recorded> = (network.outputs.iter())
        .map(|(name, r)| Recorded::new(name, network.stream(*r).tensor, samples.count, steps))
        .collect();
    let mut layers = Vec::new();
    let mut tensors: Vec<TensorRef> = network.outputs.iter().map(|(_, r)| *r).collect();
    if options.trace {
        for (i, node) in network.nodes.iter().enumerate() {
            let ports = &node.instance.interface().outputs;
            let name = |port: &str| {
                if ports.len() == 1 { node.name.clone() } else { format!("{}.{port}", node.name) }
            };
            let record = |s: &nervure_core::Stream| {
                Recorded::new(&name(&s.name), s.tensor.clone(), samples.count, steps)
            };
            layers.push(ports.iter().map(record).collect::<Vec<_>>());
            tensors.extend(
                (0..ports.len()).map(|port| TensorRef::Output(nervure_core::network::NodeId(i), port)),
            );
        }
    }
    let chunk = samples.count.div_ceil(threads * 8).clamp(1, CHUNK);
    let mut jobs = deal(samples.count, chunk, outputs.iter_mut().chain(layers.iter_mut().flatten()));
    jobs.reverse();
    let (threads, jobs, done) = (threads.min(jobs.len()), Mutex::new(jobs), AtomicUsize::new(0));
    let work = || {
        let mut worker = Worker::new(network, &plan, false);
        loop {
            let Some(mut job) = jobs.lock().expect("no worker panics while it holds the queue").pop() else {
                return;
            };
            for i in 0..job.count {
                worker.sample(samples, job.first + i, &mut |_, _, _, _| (), &mut |arena, step| {
                    for (sink, &tensor) in job.sinks.iter_mut().zip(&tensors) {
                        sink.write(&arena[plan.range(tensor)], step + 1 == steps);
                    }
                });
            }
            progress(done.fetch_add(job.count, Ordering::Relaxed) + job.count);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    Ok(Trace { count: samples.count, steps, outputs, layers })
}

/// Cuts every recording into the parts of the chunks.
fn deal<'a>(count: usize, chunk: usize, recordings: impl Iterator<Item = &'a mut Recorded>) -> Vec<Job<'a>> {
    let mut jobs: Vec<Job> = (0..count.div_ceil(chunk))
        .map(|i| Job { first: i * chunk, count: chunk.min(count - i * chunk), sinks: Vec::new() })
        .collect();
    for recording in recordings {
        for (job, sink) in jobs.iter_mut().zip(recording.sinks(chunk)) {
            job.sinks.push(sink);
        }
    }
    jobs
}

/// Replays single samples layer by layer, for whoever needs what enters a layer (the exact timing, an isolated layer).
#[derive(Debug)]
pub struct Replay<'a> {
    worker: Worker<'a>,
    samples: &'a Samples,
    outputs: Vec<TensorRef>,
}

/// The fixed part of a [`Replay`].
#[derive(Debug)]
pub struct Replayer {
    plan: Plan,
}

impl Replayer {
    /// Errors: as [`run`].
    pub fn new(network: &Network) -> Result<Self, Diagnostic> {
        Ok(Self { plan: Plan::new(network)? })
    }

    /// Golden models and an arena of their own.
    pub fn replay<'a>(&'a self, network: &'a Network, samples: &'a Samples) -> Replay<'a> {
        let outputs = network.outputs.iter().map(|(_, r)| *r).collect();
        Replay { worker: Worker::new(network, &self.plan, true), samples, outputs }
    }
}

impl Replay<'_> {
    /// Calls `f(layer, runner, last, inputs)` before each execution of a layer, in the order of execution. `last` is set in
    /// the last step of the sample, and always for a layer that runs once.
    pub fn visit(&mut self, sample: usize, mut f: impl FnMut(usize, &dyn Runner, bool, &[&[i64]])) {
        self.worker.sample(self.samples, sample, &mut f, &mut |_, _| ());
    }

    /// The same, and `g(output, values)` for every output of the network after each step.
    pub fn visit_all(
        &mut self,
        sample: usize,
        mut f: impl FnMut(usize, &dyn Runner, bool, &[&[i64]]),
        mut g: impl FnMut(usize, &[i64]),
    ) {
        let (plan, outputs) = (self.worker.plan(), &self.outputs);
        self.worker.sample(self.samples, sample, &mut f, &mut |arena, _| {
            for (n, tensor) in outputs.iter().enumerate() {
                g(n, &arena[plan.range(*tensor)]);
            }
        });
    }
}

/// One [`Replay::visit`]. Errors: as [`run`].
pub fn visit(
    network: &Network,
    samples: &Samples,
    sample: usize,
    f: impl FnMut(usize, &dyn Runner, bool, &[&[i64]]),
) -> Result<(), Diagnostic> {
    Replayer::new(network)?.replay(network, samples).visit(sample, f);
    Ok(())
}
