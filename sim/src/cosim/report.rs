//! What a co-simulation found, in words of the network.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::verilate::Violation;

/// First and last cycle of a sample: its first beat is taken in `start`, the last beat of its answer in `finish`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SampleCycles {
    /// Earliest first beat over all inputs.
    pub start: u64,
    /// Latest last beat over all outputs.
    pub finish: u64,
}

impl From<nervure_back::SampleCycles> for SampleCycles {
    fn from(c: nervure_back::SampleCycles) -> Self {
        Self { start: c.start, finish: c.finish }
    }
}

impl SampleCycles {
    /// Cycles from the first to the last, both counted; 0 when wrong hardware answers before it is asked.
    pub const fn count(self) -> u64 {
        (self.finish + 1).saturating_sub(self.start)
    }
}

/// One of the simulations that a design goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// No stalls; cycles are counted.
    FullSpeed,
    /// Random stalls on both sides, other initial values.
    BackPressure,
    /// Reset in the middle of a sample, then everything anew.
    Reset,
    /// In a loop with a plant, without stalls; cycles of every step are counted.
    ClosedLoop,
    /// In that loop with random stalls on both sides, from other initial values.
    ClosedLoopStalled,
    /// Other weights between two samples, at full speed or with stalls.
    Reload,
}

/// What is wrong with a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// An element has another value.
    Value {
        /// By the golden model.
        expected: i64,
        /// By the hardware.
        got: i64,
    },
    /// Another event, or the end of the step, which has no address, in the place of one.
    Event {
        /// Its address by the golden model.
        expected: Option<usize>,
        /// Its address by the hardware.
        got: Option<usize>,
    },
    /// A bit is set after the last element, or beside the address.
    Padding,
    /// `tlast` is wrong.
    Last {
        /// What it should be.
        expected: bool,
    },
}

/// One difference between hardware and golden model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// In which simulation.
    pub pass: Pass,
    /// Output of the network.
    pub output: String,
    /// Layer that makes it.
    pub layer: String,
    /// Index of the element, outermost axis first; for padding and `tlast`, of the beat's first element.
    pub element: Vec<usize>,
    /// Number of the sample.
    pub sample: usize,
    /// Time step, 0 where the output passes once a frame.
    pub step: usize,
    /// Cycle in which the beat was taken.
    pub cycle: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// State of a stream when nothing moved any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The port.
    pub stream: String,
    /// Beats passed.
    pub beats: u64,
    /// Beats that should have.
    pub of: u64,
    /// Valid in the last cycle.
    pub valid: bool,
    /// Ready in the last cycle.
    pub ready: bool,
}

/// What makes a simulation fail besides wrong values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "failure")]
pub enum Failure {
    /// Nothing moved for as long as the watchdog waits.
    Deadlock {
        /// In which simulation.
        pass: Pass,
        /// The cycle in which waiting was given up.
        cycle: u64,
        /// Every stream.
        streams: Vec<Waiting>,
    },
    /// The longest simulation was reached.
    TooLong {
        /// In which simulation.
        pass: Pass,
        /// Cycles simulated.
        cycle: u64,
    },
    /// An output broke the protocol.
    Protocol {
        /// In which simulation.
        pass: Pass,
        /// What, where and when.
        violation: Violation,
    },
    /// The register bus did not do what it was told, or what it should have refused.
    Bus {
        /// In which simulation.
        pass: Pass,
        /// What it did.
        what: String,
    },
    /// An output gave more beats than expected.
    Extra {
        /// In which simulation.
        pass: Pass,
        /// The port.
        stream: String,
        /// Beats too many.
        beats: u64,
    },
}

/// What a co-simulation found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Samples compared at full speed.
    pub samples: usize,
    /// Differences in all.
    pub mismatches: u64,
    /// The first ten.
    pub first: Vec<Mismatch>,
    /// What else went wrong.
    pub failures: Vec<Failure>,
    /// Sum over samples of the cycles from first to last, at full speed.
    pub cycles_measured: u64,
    /// The same, as predicted.
    pub cycles_predicted: Option<u64>,
    /// Samples whose first or last cycle is not as predicted.
    pub cycle_mismatches: usize,
    /// First of these: sample, predicted, measured.
    pub first_cycle_mismatch: Option<(usize, SampleCycles, SampleCycles)>,
    /// Measured at full speed, one per finished sample.
    #[serde(skip)]
    pub sample_cycles: Vec<SampleCycles>,
    /// Samples that had begun when other weights were loaded, each time.
    #[serde(skip)]
    pub reloaded_after: Vec<usize>,
    /// Cycles simulated in all passes.
    pub cycles_simulated: u64,
    /// Seconds to compile (near 0 when cached).
    pub compile_s: f64,
    /// Seconds to simulate.
    pub simulate_s: f64,
    /// Folder that reproduces the first failing pass.
    pub reproduction: Option<PathBuf>,
}

impl Report {
    /// Whether bits, protocol and cycles are as they should be.
    pub fn passed(&self) -> bool {
        self.mismatches == 0 && self.failures.is_empty() && self.cycle_mismatches == 0
    }

    /// The first pass that failed, if one did.
    pub fn failed_pass(&self) -> Option<Pass> {
        let failure = |f: &Failure| match f {
            Failure::Deadlock { pass, .. }
            | Failure::TooLong { pass, .. }
            | Failure::Protocol { pass, .. }
            | Failure::Bus { pass, .. }
            | Failure::Extra { pass, .. } => *pass,
        };
        let cycles = (self.cycle_mismatches > 0).then_some(Pass::FullSpeed);
        self.first
            .iter()
            .map(|m| m.pass)
            .chain(self.failures.iter().map(failure))
            .chain(cycles)
            .min_by_key(|p| *p as u8)
    }
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FullSpeed => "at full speed",
            Self::BackPressure => "under back-pressure",
            Self::Reset => "after a reset in mid-stream",
            Self::ClosedLoop => "in the closed loop",
            Self::ClosedLoopStalled => "in the closed loop under back-pressure",
            Self::Reload => "with other weights on the way",
        })
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pass, output, layer, element, sample, step, cycle, fault } = self;
        write!(
            f,
            "output `{output}` of layer `{layer}`, element {element:?}, sample {sample}, step {step}, cycle {cycle} ({pass}): "
        )?;
        match fault {
            Fault::Value { expected, got } => write!(f, "expected {expected}, got {got}"),
            Fault::Event { expected, got } => {
                let say =
                    |a: &Option<usize>| a.map_or("the end of the step".into(), |a| format!("event {a}"));
                write!(f, "expected {}, got {}", say(expected), say(got))
            }
            Fault::Padding => f.write_str("a bit after the last element is set"),
            Fault::Last { expected } => {
                write!(f, "tlast is {}, expected {}", u8::from(!expected), u8::from(*expected))
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock { pass, cycle, streams } => {
                write!(f, "nothing moves any more in cycle {cycle} ({pass})")?;
                streams.iter().try_for_each(|s| {
                    let (valid, ready) = (u8::from(s.valid), u8::from(s.ready));
                    write!(
                        f,
                        "; {} passed {} of {} beats, valid {valid}, ready {ready}",
                        s.stream, s.beats, s.of
                    )
                })
            }
            Self::TooLong { pass, cycle } => write!(f, "not finished in cycle {cycle} ({pass})"),
            Self::Protocol { pass, violation: v } => {
                let what = match v.kind {
                    crate::verilate::ViolationKind::ValidDropped => "valid fell",
                    crate::verilate::ViolationKind::DataChanged => "data changed",
                    crate::verilate::ViolationKind::LastChanged => "last changed",
                };
                write!(f, "{}: {what} before the beat was taken, cycle {} ({pass})", v.stream, v.cycle)
            }
            Self::Bus { pass, what } => write!(f, "the register bus: {what} ({pass})"),
            Self::Extra { pass, stream, beats } => write!(f, "{stream}: {beats} beats too many ({pass})"),
        }
    }
}
