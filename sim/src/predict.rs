//! The exact cycles of a design for given samples, without simulating a gate: every module's schedule, replayed together.

use std::fmt;

use anyhow::Result;
use nervure_back::Replay;
use nervure_core::{Design, Instance, Network, Rate, Samples, Schedule, Stream};

use crate::cosim::SampleCycles;
use crate::golden::Replayer;

/// What is known before any simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prediction {
    /// First and last cycle of every sample when all follow one another at full speed.
    pub cycles: Vec<SampleCycles>,
    /// Per layer of the network: elements that entered its first input, and how many of them were not zero.
    pub entered: Vec<(u64, u64)>,
}

/// A design in which nothing can move any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlock {
    /// From which cycle on.
    pub cycle: u64,
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the design deadlocks in cycle {}: a queue is too short for the paths that meet behind it",
            self.cycle
        )
    }
}

impl std::error::Error for Deadlock {}

/// Predicts `design`, which was lowered from exactly this `network`.
///
/// Errors: the golden model's diagnostics; [`Deadlock`].
pub fn predict(network: &Network, design: &Design, samples: &Samples) -> Result<Prediction> {
    let (all, entered) = every_schedule(network, design, samples)?;
    let steps = samples.steps.max(1);
    let replay = Replay::new(design, &all, &beats(&design.inputs, steps), &beats(&design.outputs, steps));
    let cycles = replay.run(samples.count).map_err(|cycle| Deadlock { cycle })?;
    Ok(Prediction { cycles: cycles.into_iter().map(SampleCycles::from).collect(), entered })
}

/// Predicts every step of every sample where a step is on offer only when the answer to the one before was taken, from the
/// first beat in to the last beat out.
///
/// Every input and output passes once a step. Errors: as [`predict`].
pub fn predict_steps(network: &Network, design: &Design, samples: &Samples) -> Result<Vec<SampleCycles>> {
    let (all, _) = every_schedule(network, design, samples)?;
    let replay = Replay::new(design, &all, &beats(&design.inputs, 1), &beats(&design.outputs, 1));
    let cycles = replay.run_in_turns(samples.count * samples.steps).map_err(|cycle| Deadlock { cycle })?;
    Ok(cycles.into_iter().map(SampleCycles::from).collect())
}

/// Beats of a sample of `steps` steps.
fn beats(streams: &[Stream], steps: usize) -> Vec<u64> {
    streams.iter().map(|s| (s.beats() * frames(s, steps)) as u64).collect()
}

/// Per sample and module its schedule.
type Schedules = Vec<Vec<Schedule>>;

/// Of all samples, and what entered each layer.
fn every_schedule(
    network: &Network,
    design: &Design,
    samples: &Samples,
) -> Result<(Schedules, Vec<(u64, u64)>)> {
    let replayer = Replayer::new(network)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, samples.count.max(1));
    let chunk = samples.count.div_ceil(threads).max(1);
    let part = |first: usize| schedules(network, &replayer, design, samples, first, chunk);
    let parts: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> =
            (0..samples.count).step_by(chunk).map(|first| scope.spawn(move || part(first))).collect();
        running.into_iter().map(|t| t.join().expect("a block's schedule does not panic")).collect()
    });
    let mut entered = vec![(0, 0); network.nodes.len()];
    let mut all = Vec::with_capacity(samples.count);
    for (schedules, part) in parts {
        all.extend(schedules);
        for (sum, part) in entered.iter_mut().zip(part) {
            *sum = (sum.0 + part.0, sum.1 + part.1);
        }
    }
    Ok((all, entered))
}

/// Per sample and module its schedule, and what entered each layer.
fn schedules(
    network: &Network,
    replayer: &Replayer,
    design: &Design,
    samples: &Samples,
    first: usize,
    count: usize,
) -> (Schedules, Vec<(u64, u64)>) {
    let steps = samples.steps.max(1);
    let mut replay = replayer.replay(network, samples);
    let mut module_of = vec![Vec::new(); network.nodes.len()];
    for (m, module) in design.modules.iter().enumerate() {
        if let Some(layer) = module.node {
            module_of[layer].push(m);
        }
    }
    let mut entered = vec![(0, 0); network.nodes.len()];
    let mut plumbed = vec![Schedule::default(); design.modules.len()];
    for (m, module) in design.modules.iter().enumerate().filter(|(_, m)| m.node.is_none()) {
        plumbing(module.instance.as_ref(), steps, &mut plumbed[m]);
    }
    let last = samples.count.min(first + count);
    let list = (first..last).map(|sample| {
        let mut of_sample = plumbed.clone();
        replay.visit(sample, |layer, runner, last, x| {
            let x0 = x.first().copied().unwrap_or_default();
            entered[layer].0 += x0.len() as u64;
            entered[layer].1 += x0.iter().filter(|v| **v != 0).count() as u64;
            for &m in &module_of[layer] {
                runner.schedule(x, last, &mut of_sample[m]);
            }
        });
        of_sample
    });
    (list.collect(), entered)
}

const fn frames(stream: &Stream, steps: usize) -> usize {
    match stream.tensor.rate {
        Rate::Frame => 1,
        Rate::Step => steps,
    }
}

/// Plumbing moves beats whatever they hold, so any data will do.
fn plumbing(instance: &dyn Instance, steps: usize, out: &mut Schedule) {
    let x = &instance.interface().inputs[0];
    let data = vec![0; x.tensor.len()];
    let (frames, runner) = (frames(x, steps), instance.runner());
    for step in 0..frames {
        runner.schedule(&[&data], step + 1 == frames, out);
    }
}
