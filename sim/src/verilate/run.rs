//! One simulation: beats to a file, the program, beats from a file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use super::Model;
use crate::tool::{Call, Toolbox};

/// Beats for every input, and how many are expected of every output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stimulus {
    /// Per input: beats of [`super::Port::words`] words, and the number of beats of each sample.
    pub inputs: Vec<(Vec<u32>, Vec<u32>)>,
    /// Per output: the number of beats of each sample.
    pub expected: Vec<Vec<u32>>,
}

/// A window of cycles to write to an FST file.
#[derive(Debug, Clone)]
pub struct Waves {
    /// The file.
    pub file: PathBuf,
    /// The cycles; reset is shown when it begins at 0.
    pub window: Range<u64>,
}

/// How to simulate.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Seed of the registers' initial values and of the stalls.
    pub seed: u64,
    /// Chance in 256 that an input offers nothing new in a cycle.
    pub stall_in: u8,
    /// Chance in 256 that an output is not ready in a cycle.
    pub stall_out: u8,
    /// Cycles without a transfer that count as a deadlock.
    pub watchdog: u64,
    /// Longest simulation.
    pub max_cycles: Option<u64>,
    /// Cycle before which reset is asserted for two edges; then everything starts over, from cycle 0.
    pub reset_at: Option<u64>,
    /// Cycles simulated after the last expected beat, to see one too many.
    pub tail: u64,
    /// Waves, for a model that was built with them.
    pub waves: Option<Waves>,
    /// Other contents of memories, for a model with a register bus.
    pub reload: Option<Reload>,
}

/// Accesses over the register bus.
#[derive(Debug, Clone)]
pub struct Reload {
    /// A file of them: kind and flags, address, data, mask, whether it is refused, 32 bits each.
    pub file: PathBuf,
    /// They begin when so many samples have begun.
    pub at: usize,
    /// Cycles between two samples meanwhile; 0 for full speed.
    pub spacing: u64,
    /// On two wires: cycles of a quarter of their clock, and bytes of the pointer.
    pub i2c: Option<[u64; 2]>,
}

impl Default for RunOptions {
    fn default() -> Self {
        let (stall_in, stall_out) = (0, 0);
        let (max_cycles, reset_at, waves, reload) = (None, None, None, None);
        Self {
            seed: 1,
            stall_in,
            stall_out,
            watchdog: 1_000_000,
            max_cycles,
            reset_at,
            tail: 64,
            waves,
            reload,
        }
    }
}

impl RunOptions {
    /// Arguments of the program, after the two files.
    pub fn args(&self, stimulus: &Stimulus, words: impl Iterator<Item = usize>) -> Vec<String> {
        let mut args = vec![
            format!("seed={}", self.seed),
            format!("stall_in={}", self.stall_in),
            format!("stall_out={}", self.stall_out),
            format!("watchdog={}", self.watchdog),
            format!("tail={}", self.tail),
        ];
        args.extend(self.max_cycles.map(|n| format!("max_cycles={n}")));
        args.extend(self.reset_at.map(|n| format!("reset_at={n}")));
        for (i, ((data, sizes), words)) in stimulus.inputs.iter().zip(words).enumerate() {
            args.push(format!("beats{i}={}", data.len() / words));
            args.push(format!("samples{i}={}", sizes.len()));
        }
        for (i, sizes) in stimulus.expected.iter().enumerate() {
            args.push(format!("expect{i}={}", total(sizes)));
            args.push(format!("answers{i}={}", sizes.len()));
        }
        if let Some(Reload { file, at, spacing, i2c }) = &self.reload {
            args.extend([format!("bus={}", file.display()), format!("bus_at={at}")]);
            args.push(format!("bus_spacing={spacing}"));
            if let Some([quarter, pointer]) = i2c {
                args.extend([format!("i2c_quarter={quarter}"), format!("i2c_pointer={pointer}")]);
            }
        }
        if let Some(Waves { file, window }) = &self.waves {
            args.push(format!("waves={}", file.display()));
            args.push(format!("wave_from={}", window.start));
            args.push(format!("wave_to={}", window.end));
        }
        args
    }
}

/// How a simulation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every beat passed.
    Done,
    /// No beat passed for as long as the watchdog waits.
    Deadlock,
    /// The longest simulation was reached.
    TooLong,
    /// An output gave 16 beats more than expected.
    Flood,
}

/// What an output stream may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ViolationKind {
    /// Valid fell before the beat was taken.
    ValidDropped,
    /// Data changed before the beat was taken.
    DataChanged,
    /// Last changed before the beat was taken.
    LastChanged,
}

/// One break of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The port.
    pub stream: String,
    /// The cycle in which it showed.
    pub cycle: u64,
    /// What was broken.
    pub kind: ViolationKind,
}

/// What an input stream saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fed {
    /// Beats taken.
    pub beats: u64,
    /// Valid in the last cycle.
    pub valid: bool,
    /// Ready in the last cycle.
    pub ready: bool,
    /// Cycle of the first beat of each sample.
    pub first: Vec<u64>,
}

/// What an output stream gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Beats given; those recorded are at most 16 more than expected.
    pub beats: u64,
    /// Valid in the last cycle.
    pub valid: bool,
    /// Ready in the last cycle.
    pub ready: bool,
    /// Cycle of each recorded beat.
    pub cycles: Vec<u64>,
    /// `tlast` of each recorded beat.
    pub last: Vec<bool>,
    /// Data of the recorded beats, [`super::Port::words`] words each.
    pub words: Vec<u32>,
}

/// What the register bus did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bus {
    /// Whether every access was made.
    pub over: bool,
    /// Samples that had begun before the other weights could come into use.
    pub from: usize,
    /// Samples that had begun when they certainly were.
    pub to: usize,
    /// Of the accesses that try what must be refused, those that were answered as they should be.
    pub early: u64,
    /// Other accesses that were refused, or badly taken.
    pub failed: u64,
    /// Words that read back as something else.
    pub differ: u64,
}

/// A finished simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Cycles simulated since the last reset.
    pub cycles: u64,
    /// The first ten breaks of the protocol.
    pub violations: Vec<Violation>,
    /// One per input.
    pub inputs: Vec<Fed>,
    /// One per output.
    pub outputs: Vec<Taken>,
    /// What the register bus did, where there is one.
    pub bus: Option<Bus>,
}

/// Beats in all.
pub(crate) fn total(sizes: &[u32]) -> u64 {
    sizes.iter().map(|n| u64::from(*n)).sum()
}

impl Stimulus {
    /// Writes what the program reads.
    pub fn write(&self, file: &Path) -> Result<()> {
        let words = self.inputs.iter().flat_map(|(w, sizes)| w.iter().chain(sizes));
        let bytes: Vec<u8> = words.flat_map(|w| w.to_le_bytes()).collect();
        std::fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// Simulates in folder `rtl`, where memory files are, from `stimulus` as written to `file`; `None` in a dry run.
pub fn run(
    toolbox: &Toolbox,
    model: &Model,
    rtl: &Path,
    stimulus: &Stimulus,
    file: &Path,
    options: &RunOptions,
) -> Result<Option<Outcome>> {
    let scratch = tempfile::tempdir()?;
    let result = scratch.path().join("result.bin");
    let args = options.args(stimulus, model.inputs.iter().map(|p| p.words));
    let said = toolbox.must(&Call::new(&model.program).arg(file).arg(&result).args(args).within(rtl))?.text();
    // Verilator only warns of a memory file that is missing or too short, and goes on with random words.
    ensure!(said.is_empty(), "the simulation complains:\n{said}");
    if toolbox.is_dry() {
        return Ok(None);
    }
    parse(&std::fs::read(&result)?, model).map(Some)
}

pub(super) fn parse(bytes: &[u8], model: &Model) -> Result<Outcome> {
    const MAGIC: u64 = 0x31_5652_454e;
    let mut rest = bytes;
    let mut word = || -> Result<u64> {
        let (head, tail) =
            rest.split_first_chunk::<8>().context("the result of the simulation is cut short")?;
        rest = tail;
        Ok(u64::from_le_bytes(*head))
    };
    ensure!(word()? == MAGIC, "the result of the simulation is not one");
    let status = match word()? {
        0 => Status::Done,
        1 => Status::Deadlock,
        2 => Status::TooLong,
        3 => Status::Flood,
        other => bail!("unknown status {other}"),
    };
    let cycles = word()?;
    let mut violations = Vec::new();
    for _ in 0..word()? {
        let kind = match word()? {
            0 => ViolationKind::ValidDropped,
            1 => ViolationKind::DataChanged,
            _ => ViolationKind::LastChanged,
        };
        let stream = model.outputs[word()? as usize].prefix.clone();
        violations.push(Violation { stream, cycle: word()?, kind });
    }
    let mut inputs = Vec::new();
    for _ in &model.inputs {
        let (beats, valid, ready) = (word()?, word()? != 0, word()? != 0);
        let first = (0..word()?).map(|_| word()).collect::<Result<_>>()?;
        inputs.push(Fed { beats, valid, ready, first });
    }
    let mut outputs = Vec::new();
    for port in &model.outputs {
        let (beats, valid, ready) = (word()?, word()? != 0, word()? != 0);
        let (recorded, pairs) = (word()?, word()?);
        let when = (0..recorded).map(|_| word()).collect::<Result<Vec<u64>>>()?;
        let cycles = when.iter().map(|w| w & !(1 << 63)).collect();
        let last = when.iter().map(|w| w >> 63 != 0).collect();
        let mut words = Vec::with_capacity(2 * pairs as usize);
        for _ in 0..pairs {
            let pair = word()?;
            words.extend([pair as u32, (pair >> 32) as u32]);
        }
        words.truncate(recorded as usize * port.words);
        outputs.push(Taken { beats, valid, ready, cycles, last, words });
    }
    let bus = if model.bus {
        let over = word()? != 0;
        let (from, to) = (word()? as usize, word()? as usize);
        Some(Bus { over, from, to, early: word()?, failed: word()?, differ: word()? })
    } else {
        None
    };
    Ok(Outcome { status, cycles, violations, inputs, outputs, bus })
}
