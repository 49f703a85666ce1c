//! Fault injection: flips of single bits in a simulation of the emitted design, many runs in one program.
//!
//! A run is a window of consecutive samples after reset, with one bit of one register, or of a memory of code words, inverted
//! between two clock edges. What comes out is held against the golden model. Deliberately absent: flips in memories without a
//! code; transients in logic; several flips in a run, but for two in one code word.

mod build;
mod flops;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use nervure_core::{Design, Network, Samples};
use serde::Serialize;

use crate::cosim::{Bench, Subject, pack};
use crate::golden::Trace;
use crate::tool::Call;
use crate::verilate::{RunOptions, Stimulus};
use build::Injector;

/// What became of a flip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Every answer of the window is right.
    Masked,
    /// An output broke the protocol, which a reader can see; or the design says that a code word was lost.
    Detected,
    /// Answers are missing, and no more come.
    Hung,
    /// An answer is wrong, or there are too many, and nothing says so.
    Silent,
}

/// One flip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flip {
    /// Path of the register or memory below the top module.
    pub register: String,
    /// Whether it holds code words.
    pub coded: bool,
    /// Bit of it, of a memory counted from its first word.
    pub bit: u64,
    /// Cycle behind whose rising edge it is made; 0 is the first after reset.
    pub cycle: u64,
    /// First sample of the window.
    pub sample: u64,
    /// Whether streams stall at random.
    pub stalled: bool,
    /// What became of it.
    pub effect: Effect,
}

/// What to inject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultOptions {
    /// Flips, one a run.
    pub count: u64,
    /// Decides registers, bits, cycles, windows and stalls.
    pub seed: u64,
    /// Samples of a run.
    pub window: usize,
    /// Two flips in one word of a memory of code words, instead of one anywhere.
    pub twice: bool,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Registers of the design.
    pub registers: usize,
    /// Their bits: the flip-flops, each as likely to be hit as any other.
    pub flip_flops: u64,
    /// Bits in memories of code words, each as likely as a flip-flop.
    pub memory_bits: u64,
    /// Samples of a run.
    pub window: usize,
    /// Every flip, in order.
    #[serde(skip)]
    pub flips: Vec<Flip>,
}

impl Faults {
    /// How many flips had this effect.
    pub fn count(&self, effect: Effect) -> usize {
        self.flips.iter().filter(|f| f.effect == effect).count()
    }

    /// The registers whose flips had this effect, with their number, most frequent first.
    pub fn registers_with(&self, effect: Effect) -> Vec<(String, usize)> {
        let mut counts = std::collections::BTreeMap::<&str, usize>::new();
        for flip in self.flips.iter().filter(|f| f.effect == effect) {
            *counts.entry(&flip.register).or_default() += 1;
        }
        let mut list: Vec<_> = counts.into_iter().map(|(r, n)| (r.to_owned(), n)).collect();
        list.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        list
    }
}

/// Cycles that a run should have, about: latent flips show, and ten thousand runs take seconds.
const RUN_CYCLES: u64 = 400;

/// The samples of a run, where one takes `interval` cycles: four, or fewer where they are long.
pub fn window(interval: u64, samples: usize) -> usize {
    (RUN_CYCLES / interval.max(1)).clamp(1, 4).min(samples.max(1) as u64) as usize
}

/// Injects faults into the design in `subject.rtl`; `None` in a dry run. `trace` is the golden model's answer to `samples`.
///
/// Errors: a register that the simulator has not kept; a design that is wrong without a fault.
pub fn inject(
    bench: &Bench,
    subject: &Subject,
    samples: &Samples,
    trace: &Trace,
    options: &FaultOptions,
) -> Result<Option<Faults>> {
    let Subject { design, network, rtl } = *subject;
    ensure!(samples.count == trace.count, "one golden answer a sample");
    ensure!((1..=samples.count).contains(&options.window), "a window has 1 to {} samples", samples.count);
    let rtl = &std::path::absolute(rtl)?;
    let Some(injector) = build::build(bench, design, rtl)? else { return Ok(None) };
    let scratch = tempfile::tempdir().context("cannot make a folder for temporary files")?;
    let prepared = prepare(design, network, samples, trace, scratch.path())?;
    let run = |from: u64, count: u64| -> Result<Vec<Flip>> {
        let result = scratch.path().join(format!("result-{from}.bin"));
        let ran = RunOptions { seed: options.seed, ..RunOptions::default() };
        let words = injector.inputs.iter().map(|p| p.words);
        let call = Call::new(&injector.program)
            .arg(scratch.path().join("stimulus.bin"))
            .arg(&result)
            .args(ran.args(&prepared, words))
            .arg(format!("expected={}", scratch.path().join("expected.bin").display()))
            .args([format!("from={from}"), format!("faults={count}"), format!("window={}", options.window)])
            .arg(format!("twice={}", u8::from(options.twice)));
        bench.toolbox.must(&call.within(rtl))?;
        parse(&std::fs::read(&result)?, &injector)
    };
    // Draws depend on seed and number alone, so that shares of any size give the same.
    let shares = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let flips = std::thread::scope(|scope| -> Result<Vec<Flip>> {
        let edge = |share: u64| options.count * share / shares;
        let run = &run;
        let running: Vec<_> = (0..shares)
            .map(|share| scope.spawn(move || run(edge(share), edge(share + 1) - edge(share))))
            .collect();
        let parts = running.into_iter().map(|r| r.join().expect("running a command does not panic"));
        Ok(parts.collect::<Result<Vec<_>>>()?.concat())
    })?;
    let (memories, registers): (Vec<_>, Vec<_>) = injector.flops.iter().partition(|f| f.words > 1);
    Ok(Some(Faults {
        registers: registers.len(),
        flip_flops: registers.iter().map(|f| f.bits).sum(),
        memory_bits: memories.iter().map(|f| f.bits * f.words).sum(),
        window: options.window,
        flips,
    }))
}

/// Writes `stimulus.bin` and `expected.bin`.
pub(crate) fn prepare(
    design: &Design,
    network: &Network,
    samples: &Samples,
    trace: &Trace,
    folder: &Path,
) -> Result<Stimulus> {
    let outputs = design.outputs.iter().zip(&trace.outputs);
    let (expected, beats): (Vec<Vec<u32>>, Vec<Vec<u32>>) =
        outputs.map(|(s, r)| pack::expected(r, s, samples.count)).unzip();
    let stimulus = pack::stimulus(network, &design.inputs, samples, samples.count, beats);
    stimulus.write(&folder.join("stimulus.bin"))?;
    let words = stimulus.expected.iter().zip(&expected).flat_map(|(sizes, words)| sizes.iter().chain(words));
    let bytes: Vec<u8> = words.flat_map(|w| w.to_le_bytes()).collect();
    std::fs::write(folder.join("expected.bin"), bytes)?;
    Ok(stimulus)
}

fn parse(bytes: &[u8], injector: &Injector) -> Result<Vec<Flip>> {
    let words: Vec<u64> = bytes
        .chunks_exact(8)
        .map(|b| u64::from_le_bytes(b.try_into().expect("chunks of eight bytes")))
        .collect();
    let flip = |w: &[u64]| -> Result<Flip> {
        let effect = match w[0] {
            0 => Effect::Masked,
            1 => Effect::Detected,
            2 => Effect::Hung,
            3 => Effect::Silent,
            other => bail!("unknown effect {other}"),
        };
        let flop = injector.flops.get(w[1] as usize).context("the result names no register")?;
        let (register, stalled) = (flop.path.clone(), w[5] != 0);
        Ok(Flip { register, coded: flop.coded, bit: w[2], cycle: w[3], sample: w[4], stalled, effect })
    };
    words.chunks_exact(6).map(flip).collect()
}
