//! The network executed by its blocks' definitions: what hardware is compared with, and the fast way to an answer.
//!
//! One worker a thread holds one set of runners and two flat arenas with every tensor; nothing is allocated per sample or
//! step. Deliberately absent: time (see `nervure_back`) and any file.

mod plan;
mod record;
mod score;
mod worker;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use nervure_core::{Diagnostic, Network, Runner, Samples, Stream};

use rayon::{ThreadPool, ThreadPoolBuilder};

pub use record::Recorded;
pub use score::{accuracy, classes, mean, mse};

use plan::Plan;
use record::Sink;
use worker::{At, Worker};

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

/// A network ready to be executed, as often as there are samples: what a step needs is worked out once.
#[derive(Debug)]
pub struct Simulator<'a> {
    network: &'a Network,
    plan: Arc<Plan>,
    trace: bool,
    /// One a thread, made when there is work for it.
    workers: Vec<Option<Worker<'a>>>,
    /// The threads but the caller's own; they wait for the next run.
    pool: ThreadPool,
}

impl<'a> Simulator<'a> {
    /// A layer with a tensor per step on any port runs every step; a layer with tensors per frame only runs once, in the last
    /// step where it reads what a stepping layer has left, else in the first. Errors: `E0407` for a layer that steps while
    /// reading such a left-over, which exists only after the steps are over.
    pub fn new(network: &'a Network, options: GoldenOptions) -> Result<Self, Diagnostic> {
        let plan = Arc::new(Plan::new(network, false)?);
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if options.threads == 0 { cores() } else { options.threads };
        let workers = std::iter::repeat_with(|| None).take(threads).collect();
        // One at least, which costs nothing while it has nothing to do.
        let pool = ThreadPoolBuilder::new().num_threads((threads - 1).max(1)).build();
        let pool = pool.expect("the system gives a thread");
        Ok(Self { network, plan, trace: options.trace, workers, pool })
    }

    /// Executes every sample. `progress` hears the number of samples done, from any thread.
    pub fn run(&mut self, samples: &Samples, progress: &(dyn Fn(usize) + Sync)) -> Trace {
        let Self { network, plan, workers, pool, .. } = self;
        let (network, plan) = (*network, &*plan);
        let (count, steps) = (samples.count, samples.steps.max(1));
        let mut outputs: Vec<Recorded> = (network.outputs.iter())
            .map(|(name, r)| Recorded::new(name, network.stream(*r).tensor, count, steps))
            .collect();
        let mut layers = Vec::new();
        let mut wanted: Vec<usize> = network.outputs.iter().map(|(_, r)| plan.index(*r)).collect();
        for (i, node) in network.nodes.iter().enumerate().filter(|_| self.trace) {
            let ports = &node.instance.interface().outputs;
            let name = |port: &str| {
                if ports.len() == 1 { node.name.clone() } else { format!("{}.{port}", node.name) }
            };
            let record = |s: &Stream| Recorded::new(&name(&s.name), s.tensor.clone(), count, steps);
            layers.push(ports.iter().map(record).collect::<Vec<_>>());
            wanted.extend(plan.layers[i].outputs.clone());
        }
        let chunk = count.div_ceil(workers.len() * 8).clamp(1, CHUNK);
        let mut jobs = deal(count, chunk, outputs.iter_mut().chain(layers.iter_mut().flatten()));
        jobs.reverse();
        let threads = workers.len().min(jobs.len());
        let (jobs, done) = (Mutex::new(jobs), AtomicUsize::new(0));
        let work = |worker: &mut Option<Worker<'a>>| {
            let worker = worker.get_or_insert_with(|| Worker::new(network, plan));
            loop {
                let Some(mut job) = jobs.lock().expect("no worker panics while it holds the queue").pop()
                else {
                    return;
                };
                for i in 0..job.count {
                    let sinks = &mut job.sinks;
                    worker.sample(samples, job.first + i, &wanted, &mut |_, _, _, _| (), &mut |n, values| {
                        sinks[n].write(values);
                    });
                }
                progress(done.fetch_add(job.count, Ordering::Relaxed) + job.count);
            }
        };
        let (mut workers, work) = (workers.iter_mut().take(threads), &work);
        let own = workers.next();
        pool.in_place_scope(|scope| {
            workers.for_each(|worker| scope.spawn(move |_| work(worker)));
            if let Some(worker) = own {
                work(worker);
            }
        });
        Trace { count, steps, outputs, layers }
    }
}

/// [`Simulator::run`], once. Errors: those of [`Simulator::new`].
pub fn run(
    network: &Network,
    samples: &Samples,
    options: GoldenOptions,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Trace, Diagnostic> {
    Ok(Simulator::new(network, options)?.run(samples, progress))
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
    /// Tensors.
    outputs: Vec<usize>,
}

/// The fixed part of a [`Replay`].
#[derive(Debug)]
pub struct Replayer {
    plan: Arc<Plan>,
}

impl Replayer {
    /// Errors: as [`run`].
    pub fn new(network: &Network) -> Result<Self, Diagnostic> {
        Ok(Self { plan: Arc::new(Plan::new(network, true)?) })
    }

    /// Golden models and an arena of their own.
    pub fn replay<'a>(&'a self, network: &'a Network, samples: &'a Samples) -> Replay<'a> {
        let outputs = network.outputs.iter().map(|(_, r)| self.plan.index(*r)).collect();
        Replay { worker: Worker::new(network, &self.plan), samples, outputs }
    }

    /// Golden models that are moved step by step, by whoever makes the inputs as they go.
    pub fn stepper<'a>(&'a self, network: &'a Network) -> Stepper<'a> {
        let outputs = network.outputs.iter().map(|(_, r)| self.plan.index(*r)).collect();
        Stepper { worker: Worker::new(network, &self.plan), outputs, step: 0 }
    }
}

/// A network that is moved step by step.
#[derive(Debug)]
pub struct Stepper<'a> {
    worker: Worker<'a>,
    /// Tensors.
    outputs: Vec<usize>,
    step: usize,
}

impl Stepper<'_> {
    /// Begins a sample.
    pub fn reset(&mut self) {
        self.worker.reset();
        self.step = 0;
    }

    /// Input `n`, to be written before a step.
    pub fn input(&mut self, n: usize) -> &mut [i64] {
        self.worker.tensor_mut(n)
    }

    /// One step; `last` in the last of a sample.
    pub fn step(&mut self, last: bool) {
        let at = At { samples: None, step: self.step, count: 1, last };
        self.worker.layers(at, &mut |_, _, _, _| ());
        self.step += 1;
    }

    /// Output `n`, as the last step left it.
    pub fn output(&self, n: usize) -> &[i64] {
        self.worker.tensor(self.outputs[n])
    }
}

impl Replay<'_> {
    /// Calls `f(layer, runner, last, inputs)` before each execution of a layer, in the order of execution. `last` is set in
    /// the last step of the sample, and always for a layer that runs once.
    pub fn visit(&mut self, sample: usize, mut f: impl FnMut(usize, &dyn Runner, bool, &[&[i64]])) {
        self.worker.sample(self.samples, sample, &[], &mut f, &mut |_, _| ());
    }

    /// The same, and `g(output, values)` for every output of the network: after each step, or once where it passes once.
    pub fn visit_all(
        &mut self,
        sample: usize,
        mut f: impl FnMut(usize, &dyn Runner, bool, &[&[i64]]),
        mut g: impl FnMut(usize, &[i64]),
    ) {
        self.worker.sample(self.samples, sample, &self.outputs, &mut f, &mut g);
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
