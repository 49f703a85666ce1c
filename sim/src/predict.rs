//! The exact cycles of a design for given samples, without simulating a gate: every module's schedule, replayed together.

use std::fmt;

use anyhow::Result;
use nervure_back::Replay;
use nervure_core::{Design, Instance, Network, Rate, Runner, Samples, Schedule, Stream};

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
    let Known { schedules, entered, questions, answers } = know(network, design, samples)?;
    let cycles = Replay::new(design, &schedules, questions, answers).run();
    let cycles = cycles.map_err(|cycle| Deadlock { cycle })?;
    Ok(Prediction { cycles: cycles.into_iter().map(SampleCycles::from).collect(), entered })
}

/// Predicts every step of every sample where a step is on offer only when the answer to the one before was taken, from the
/// first beat in to the last beat out.
///
/// Every input and output passes once a step, and not as events. Errors: as [`predict`].
pub fn predict_steps(network: &Network, design: &Design, samples: &Samples) -> Result<Vec<SampleCycles>> {
    let schedules = know(network, design, samples)?.schedules;
    let turns = samples.count * samples.steps;
    let beats = |streams: &[Stream]| streams.iter().map(|s| vec![s.beats() as u64; turns]).collect();
    let replay = Replay::new(design, &schedules, beats(&design.inputs), beats(&design.outputs));
    let cycles = replay.run_in_turns().map_err(|cycle| Deadlock { cycle })?;
    Ok(cycles.into_iter().map(SampleCycles::from).collect())
}

/// What is known of all samples.
struct Known {
    /// Per sample and module.
    schedules: Vec<Vec<Schedule>>,
    /// Per layer, as in [`Prediction::entered`].
    entered: Vec<(u64, u64)>,
    /// Per input and sample, beats.
    questions: Vec<Vec<u64>>,
    /// Per output and sample, beats.
    answers: Vec<Vec<u64>>,
}

fn know(network: &Network, design: &Design, samples: &Samples) -> Result<Known> {
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
    let mut answers = vec![Vec::with_capacity(samples.count); design.outputs.len()];
    for part in parts {
        all.extend(part.schedules);
        for (sum, part) in entered.iter_mut().zip(part.entered) {
            *sum = (sum.0 + part.0, sum.1 + part.1);
        }
        for beats in part.answers {
            answers.iter_mut().zip(beats).for_each(|(all, n)| all.push(n));
        }
    }
    let inputs = design.inputs.iter().enumerate();
    let questions = inputs.map(|(n, s)| questions(network, samples, n, s)).collect();
    Ok(Known { schedules: all, entered, questions, answers })
}

/// What is known of some of the samples.
struct Part {
    /// Per sample and module.
    schedules: Vec<Vec<Schedule>>,
    /// Per layer, as in [`Prediction::entered`].
    entered: Vec<(u64, u64)>,
    /// Per sample and output, beats.
    answers: Vec<Vec<u64>>,
}

/// Beats of every sample at input `n` of the network.
fn questions(network: &Network, samples: &Samples, n: usize, stream: &Stream) -> Vec<u64> {
    let frames = frames(stream, samples.steps.max(1));
    if !stream.events {
        return vec![(stream.beats() * frames) as u64; samples.count];
    }
    let mut values = vec![0; stream.tensor.len()];
    let mut beats = |sample: usize, step: usize| {
        samples.input(network, n, sample, step, &mut values);
        stream.beats_of(&values) as u64
    };
    (0..samples.count).map(|sample| (0..frames).map(|step| beats(sample, step)).sum()).collect()
}

fn schedules(
    network: &Network,
    replayer: &Replayer,
    design: &Design,
    samples: &Samples,
    first: usize,
    count: usize,
) -> Part {
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
    let mut answers = Vec::new();
    let list = (first..last).map(|sample| {
        let mut of_sample = plumbed.clone();
        let mut beats: Vec<u64> = design
            .outputs
            .iter()
            .map(|s| if s.events { 0 } else { (s.beats() * frames(s, steps)) as u64 })
            .collect();
        let before = |layer: usize, runner: &dyn Runner, last, x: &[&[i64]]| {
            let x0 = x.first().copied().unwrap_or_default();
            entered[layer].0 += x0.len() as u64;
            entered[layer].1 += x0.iter().filter(|v| **v != 0).count() as u64;
            for &m in &module_of[layer] {
                runner.schedule(x, last, &mut of_sample[m]);
            }
        };
        replay.visit_all(sample, before, |output, values| {
            let stream = &design.outputs[output];
            if stream.events {
                beats[output] += stream.beats_of(values) as u64;
            }
        });
        answers.push(beats);
        of_sample
    });
    Part { schedules: list.collect(), entered, answers }
}

const fn frames(stream: &Stream, steps: usize) -> usize {
    match stream.tensor.rate {
        Rate::Frame => 1,
        Rate::Step | Rate::Event => steps,
    }
}

/// Plumbing moves beats whatever they hold, so any data will do; a queue, the only plumbing of events, needs no schedule.
fn plumbing(instance: &dyn Instance, steps: usize, out: &mut Schedule) {
    let x = &instance.interface().inputs[0];
    let data = vec![0; x.tensor.len()];
    let (frames, runner) = (frames(x, steps), instance.runner());
    for step in 0..frames {
        runner.schedule(&[&data], step + 1 == frames, out);
    }
}
