//! Co-simulation: the emitted design against the golden model, bit by bit and cycle by cycle.
//!
//! Three passes: at full speed, where cycles are counted; with random stalls on both sides from other initial values; and
//! with a reset in mid-stream. With a plant, [`close()`] adds two in which the hardware's answers make its next inputs. Works on any design that computes a network, whole or one layer alone.

mod closed;
mod compare;
pub mod pack;
mod reload;
mod report;
mod reproduce;
mod script;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use nervure_core::{Design, Network, Samples};

use crate::cache::Cache;
use crate::golden::Trace;
use crate::tool::Toolbox;
use crate::verilate::{Outcome, RunOptions, Stimulus, Waves, build, run};
use compare::Reference;

pub use closed::{Closed, ClosedOptions, Loop, close};
pub use reload::{reload, samples_to_reload};
pub use report::{Failure, Fault, Mismatch, Pass, Report, SampleCycles, Waiting};
pub use script::writes;

/// Samples of the pass with a reset.
const RESET_SAMPLES: usize = 8;

/// How to co-simulate.
#[derive(Debug, Clone)]
pub struct CosimOptions {
    /// Seed of initial values, stalls and the moment of the reset.
    pub seed: u64,
    /// Chance in 256 of a stall in the pass under back-pressure.
    pub stall: u8,
    /// Samples of that pass, at most.
    pub stall_samples: usize,
    /// Cycles without a transfer that count as a deadlock: more than the longest computation.
    pub watchdog: u64,
    /// Cycles of every sample at full speed, as predicted.
    pub predicted: Option<Vec<SampleCycles>>,
    /// Waves of the pass at full speed.
    pub waves: Option<Waves>,
    /// Folder for what reproduces a failure.
    pub reproduce: Option<PathBuf>,
    /// Whether to write it without a failure, too.
    pub reproduce_always: bool,
    /// The network as text, for that folder.
    pub network_text: String,
}

impl Default for CosimOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            stall: 80,
            stall_samples: usize::MAX,
            watchdog: 1_000_000,
            predicted: None,
            waves: None,
            reproduce: None,
            reproduce_always: false,
            network_text: String::new(),
        }
    }
}

/// A stimulus, where it was written, and what must come out.
struct Prepared {
    stimulus: Stimulus,
    file: PathBuf,
    expected: Vec<Vec<u32>>,
}

/// What it takes to simulate anything.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// Starts the tools.
    pub toolbox: &'a Toolbox,
    /// Keeps what was compiled.
    pub cache: &'a Cache,
}

/// A design, its meaning, and its files. Input and output n of the design are input and output n of the network.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The design; only its name and boundary count.
    pub design: &'a Design,
    /// What it computes.
    pub network: &'a Network,
    /// Folder of the Verilog and memory files.
    pub rtl: &'a Path,
}

/// Holds a design against `trace`, the golden model's answer to `samples`; `None` in a dry run.
pub fn cosim(
    bench: &Bench,
    subject: &Subject,
    samples: &Samples,
    trace: &Trace,
    options: &CosimOptions,
) -> Result<Option<Report>> {
    let (Bench { toolbox, cache }, Subject { design, network, rtl }) = (*bench, *subject);
    ensure!(design.inputs.len() == network.inputs.len(), "the design has other inputs than the network");
    ensure!(design.outputs.len() == network.outputs.len(), "the design has other outputs than the network");
    ensure!(
        samples.count == trace.count && samples.count > 0,
        "one golden answer a sample, and at least one sample"
    );
    let start = Instant::now();
    let rtl = &std::path::absolute(rtl)?;
    let model = build(toolbox, cache, design, rtl, false)?;
    let compiled = start.elapsed();

    let start = Instant::now();
    let scratch = tempfile::tempdir().context("cannot make a folder for temporary files")?;
    let prepare =
        |count: usize, name: &str| prepare(design, network, samples, trace, count, scratch.path().join(name));
    let stalled = options.stall_samples.min(samples.count);
    let all = prepare(samples.count, "stimulus.bin")?;
    let some = if stalled < samples.count { Some(prepare(stalled, "stalled.bin")?) } else { None };
    let some = some.as_ref().unwrap_or(&all);
    let few = prepare(samples.count.min(RESET_SAMPLES), "reset.bin")?;
    let base = RunOptions { seed: options.seed, watchdog: options.watchdog, ..RunOptions::default() };
    let back_pressure = RunOptions {
        seed: options.seed + 1,
        stall_in: options.stall,
        stall_out: options.stall,
        ..base.clone()
    };
    let mut reset = RunOptions { seed: options.seed + 2, ..base.clone() };
    let simulate = |p: &Prepared, o: &RunOptions| run(toolbox, &model, rtl, &p.stimulus, &p.file, o);
    let reference = |p: &'_ Prepared, pass, outcome: &Outcome, report: &mut Report| {
        let r = Reference { design, network, trace, model: &model, expected: &p.expected };
        r.check(pass, &p.stimulus, outcome, report);
        r.cycles(&p.stimulus, outcome)
    };
    let mut report = Report { samples: samples.count, ..Report::default() };
    let (fast, slow) = std::thread::scope(|scope| {
        let slow = scope.spawn(|| simulate(some, &back_pressure));
        let fast = simulate(&all, &base);
        (fast, slow.join().expect("running a command does not panic"))
    });
    if let Some(outcome) = fast? {
        report.sample_cycles = reference(&all, Pass::FullSpeed, &outcome, &mut report);
        report.compare_cycles(options.predicted.as_deref());
        reset.reset_at =
            Some(moment(&report.sample_cycles, RESET_SAMPLES.min(samples.count), &outcome, options.seed));
    }
    if let Some(outcome) = slow? {
        reference(some, Pass::BackPressure, &outcome, &mut report);
    }
    // A design that hangs would only hang again.
    if report.failures.is_empty()
        && let Some(outcome) = simulate(&few, &reset)?
    {
        reference(&few, Pass::Reset, &outcome, &mut report);
    }
    (report.compile_s, report.simulate_s) = (compiled.as_secs_f64(), start.elapsed().as_secs_f64());
    if let Some(waves) = &options.waves {
        let model = build(toolbox, cache, design, rtl, true)?;
        let file = std::path::absolute(&waves.file)?;
        let waves = Some(Waves { file, window: waves.window.clone() });
        run(toolbox, &model, rtl, &all.stimulus, &all.file, &RunOptions { waves, ..base.clone() })?;
    }
    if toolbox.is_dry() {
        return Ok(None);
    }
    if let Some(folder) = &options.reproduce
        && (options.reproduce_always || !report.passed())
    {
        let (prepared, run) = match report.failed_pass() {
            Some(Pass::BackPressure) => (some, &back_pressure),
            Some(Pass::Reset | Pass::Reload) => (&few, &reset),
            _ => (&all, &base),
        };
        reproduce::write(folder, design, rtl, &model, prepared, run, &options.network_text)?;
        report.reproduction = Some(folder.clone());
    }
    Ok(Some(report))
}

fn prepare(
    design: &Design,
    network: &Network,
    samples: &Samples,
    trace: &Trace,
    count: usize,
    file: PathBuf,
) -> Result<Prepared> {
    let outputs = design.outputs.iter().zip(&trace.outputs);
    let (expected, beats) = outputs.map(|(s, r)| pack::expected(r, s, count)).unzip();
    let stimulus = pack::stimulus(network, &design.inputs, samples, count, beats);
    stimulus.write(&file)?;
    Ok(Prepared { stimulus, file, expected })
}

/// A cycle within the first `count` samples, drawn from the seed; never 0, which would be no reset in mid-stream.
fn moment(cycles: &[SampleCycles], count: usize, outcome: &Outcome, seed: u64) -> u64 {
    let start = cycles.first().map_or(0, |c| c.start);
    let end = cycles.get(..count).and_then(<[_]>::last).map_or(outcome.cycles, |c| c.finish);
    let draw = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
    start + 1 + draw % end.saturating_sub(start).max(1)
}

impl Report {
    fn compare_cycles(&mut self, predicted: Option<&[SampleCycles]>) {
        self.cycles_measured = self.sample_cycles.iter().map(|c| c.count()).sum();
        let Some(predicted) = predicted else { return };
        self.cycles_predicted = Some(predicted.iter().map(|c| c.count()).sum());
        let mut wrong = predicted.iter().zip(&self.sample_cycles).enumerate().filter(|(_, (p, m))| p != m);
        self.first_cycle_mismatch = wrong.clone().next().map(|(i, (p, m))| (i, *p, *m));
        self.cycle_mismatches = wrong.by_ref().count() + predicted.len().abs_diff(self.sample_cycles.len());
    }
}
