//! The loop of plant and hardware: every answer of the RTL moves the plant, which makes the next input.
//!
//! Bits are held against the golden loop, cycles of every step against the prediction and against the deadline. The plant
//! takes no cycle: a step is on offer in the cycle after the answer to the one before, the hardest case, for a design that
//! rests in between can only be further.

use anyhow::{Context, Result, ensure};
use nervure_core::Plant;

use super::compare::Reference;
use super::report::{Pass, Report, SampleCycles};
use super::{Bench, Subject, pack};
use crate::golden::Trace;
use crate::plant::{Motion, Recording};
use crate::verilate::{Model, Outcome, RunOptions, Turns, build, run_in_turns};

/// How to simulate the loop.
#[derive(Debug, Clone)]
pub struct ClosedOptions {
    /// Seed of initial values and stalls.
    pub seed: u64,
    /// Chance in 256 of a stall in the pass under back-pressure.
    pub stall: u8,
    /// Episodes of that pass, at most.
    pub stall_episodes: usize,
    /// Cycles without a transfer that count as a deadlock.
    pub watchdog: u64,
    /// Cycles of every step, as predicted.
    pub predicted: Option<Vec<SampleCycles>>,
    /// Cycles after which the answer to a step comes too late.
    pub deadline: u64,
}

impl ClosedOptions {
    /// The usual, for a deadline.
    pub fn new(deadline: u64, predicted: Option<Vec<SampleCycles>>) -> Self {
        Self { seed: 1, stall: 80, stall_episodes: 8, watchdog: 1_000_000, predicted, deadline }
    }
}

/// A plant, and its loop with the golden model.
#[derive(Debug, Clone, Copy)]
pub struct Loop<'a> {
    /// The plant.
    pub plant: &'a Plant,
    /// What the golden model was told; as many episodes as are simulated.
    pub recording: &'a Recording,
    /// What it answered.
    pub trace: &'a Trace,
}

/// What the loop around the hardware showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Closed {
    /// Bits and cycles; a sample of `sample_cycles` is a step, of one episode after the other.
    pub report: Report,
    /// First step in which the plant told the hardware something else than the golden model: episode, step.
    pub diverged: Option<(usize, usize)>,
    /// Cycles after which an answer comes too late.
    pub deadline: u64,
    /// The step that took longest: episode, step, cycles from its first beat in to its last beat out.
    pub worst: Option<(usize, usize, u64)>,
    /// Steps that took longer than the deadline.
    pub missed: usize,
}

impl Closed {
    /// Whether trajectories and cycles are as they should be, and every answer was in time.
    pub fn passed(&self) -> bool {
        self.report.passed() && self.diverged.is_none() && self.missed == 0
    }
}

/// Closes the loop around the hardware; `None` in a dry run.
pub fn close(bench: &Bench, subject: &Subject, l: &Loop, options: &ClosedOptions) -> Result<Option<Closed>> {
    let (toolbox, design) = (bench.toolbox, subject.design);
    let samples = &l.recording.samples;
    ensure!(
        samples.count == l.trace.count && samples.count > 0,
        "one golden answer an episode, and at least one"
    );
    let rtl = std::path::absolute(subject.rtl).context("no current folder")?;
    let model = build(toolbox, bench.cache, design, &rtl, false)?;
    let mut closed = Closed {
        report: Report { samples: samples.count, ..Report::default() },
        diverged: None,
        deadline: options.deadline,
        worst: None,
        missed: 0,
    };
    let base = RunOptions { seed: options.seed, watchdog: options.watchdog, ..RunOptions::default() };
    let stalled = RunOptions {
        seed: options.seed + 1,
        stall_in: options.stall,
        stall_out: options.stall,
        ..base.clone()
    };
    let few = samples.count.min(options.stall_episodes);
    let passes = [(Pass::ClosedLoop, &base, samples.count), (Pass::ClosedLoopStalled, &stalled, few)];
    for (pass, run, count) in passes {
        // A design that hangs would only hang again.
        if count == 0 || !closed.report.failures.is_empty() {
            continue;
        }
        let simulation = Simulation { bench, subject, l, model: &model, rtl: &rtl, count };
        let Some(outcome) = simulation.run(pass, run, &mut closed)? else { return Ok(None) };
        if pass == Pass::ClosedLoop {
            closed.judge(cycles(subject, l, &outcome), l.plant.steps, options);
        }
    }
    Ok(Some(closed))
}

struct Simulation<'a> {
    bench: &'a Bench<'a>,
    subject: &'a Subject<'a>,
    l: &'a Loop<'a>,
    model: &'a Model,
    rtl: &'a std::path::Path,
    count: usize,
}

impl Simulation<'_> {
    fn run(&self, pass: Pass, options: &RunOptions, closed: &mut Closed) -> Result<Option<Outcome>> {
        let (design, network, trace) = (self.subject.design, self.subject.network, self.l.trace);
        let (plant, samples, count) = (self.l.plant, &self.l.recording.samples, self.count);
        let outputs = design.outputs.iter().zip(&trace.outputs);
        let (expected, sizes): (Vec<_>, Vec<_>) = outputs.map(|(s, r)| pack::expected(r, s, count)).unzip();
        let stimulus = pack::stimulus(network, &design.inputs, samples, count, sizes);
        let turns = Turns {
            count: count * plant.steps,
            inputs: design.inputs.iter().map(nervure_core::Stream::beats).collect(),
            outputs: design.outputs.iter().map(nervure_core::Stream::beats).collect(),
        };
        let mut motion = Motion::new(plant, network);
        let mut diverged = None;
        let mut answers: Vec<Vec<i64>> = design.outputs.iter().map(|s| vec![0; s.tensor.len()]).collect();
        let outcome = run_in_turns(
            self.bench.toolbox,
            self.model,
            self.rtl,
            &stimulus,
            &turns,
            options,
            &mut |n, answer, words| {
                if n > 0 {
                    self.unpack(answer, &mut answers);
                    motion.act(|output, element| answers[output][element]);
                }
                if n == turns.count {
                    return;
                }
                if n % plant.steps == 0 {
                    motion.start(n / plant.steps);
                }
                self.tell(&motion, words);
                let same = self.golden(n, &stimulus.inputs).eq(words.iter());
                if !same && diverged.is_none() {
                    diverged = Some((n / plant.steps, n % plant.steps));
                }
            },
        )?;
        let Some(outcome) = outcome else { return Ok(None) };
        closed.diverged = closed.diverged.or(diverged);
        let reference = Reference { design, network, trace, model: self.model, expected: &expected };
        reference.check(pass, &stimulus, &outcome, &mut closed.report);
        Ok(Some(outcome))
    }

    /// The words of every input in this step.
    fn tell(&self, motion: &Motion, words: &mut Vec<u32>) {
        for (n, (stream, port)) in self.subject.design.inputs.iter().zip(&self.model.inputs).enumerate() {
            let (start, mut values) = (words.len(), vec![0; stream.tensor.len()]);
            motion.sense(n, &mut values);
            pack::pack(&values, stream, port.words, words);
            pack::pad(&mut words[start..], stream, port);
        }
    }

    /// What the golden loop was told in turn `n`.
    fn golden<'b>(&'b self, n: usize, inputs: &'b [(Vec<u32>, Vec<u32>)]) -> impl Iterator<Item = &'b u32> {
        let ports = self.subject.design.inputs.iter().zip(&self.model.inputs).zip(inputs);
        ports.flat_map(move |((s, p), (all, _))| all[n * s.beats() * p.words..][..s.beats() * p.words].iter())
    }

    fn unpack(&self, mut words: &[u32], answers: &mut [Vec<i64>]) {
        for ((stream, port), y) in self.subject.design.outputs.iter().zip(&self.model.outputs).zip(answers) {
            for (i, y) in y.iter_mut().enumerate() {
                let beat = &words[i / stream.lanes * port.words..][..port.words];
                *y = pack::unpack(beat, stream, i % stream.lanes);
            }
            words = &words[stream.beats() * port.words..];
        }
    }
}

/// First and last cycle of every step that was answered.
fn cycles(subject: &Subject, l: &Loop, outcome: &Outcome) -> Vec<SampleCycles> {
    let finish = |step: usize| {
        let ends = subject.design.outputs.iter().zip(&outcome.outputs);
        ends.map(|(s, taken)| taken.cycles.get((step + 1) * s.beats() - 1).copied())
            .try_fold(0, |latest: u64, cycle| Some(latest.max(cycle?)))
    };
    let start = |step: usize| outcome.inputs.iter().filter_map(|i| i.first.get(step)).min();
    let of = |step| Some(SampleCycles { start: *start(step)?, finish: finish(step)? });
    (0..l.recording.samples.count * l.plant.steps).map_while(of).collect()
}

impl Closed {
    fn judge(&mut self, cycles: Vec<SampleCycles>, steps: usize, options: &ClosedOptions) {
        let lengths = cycles.iter().map(|c| c.count()).enumerate();
        let worst = lengths.max_by_key(|&(n, c)| (c, std::cmp::Reverse(n)));
        self.worst = worst.map(|(n, c)| (n / steps, n % steps, c));
        self.missed = cycles.iter().filter(|c| c.count() > options.deadline).count();
        self.report.sample_cycles = cycles;
        self.report.compare_cycles(options.predicted.as_deref());
    }
}
