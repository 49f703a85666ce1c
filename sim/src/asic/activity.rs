//! How much the nets of a mapped netlist change: a simulation of its cells with their delays, at full speed, on real samples.
//!
//! Icarus Verilog needs no compiler, and works on what changes alone. Deliberately absent: wires.

use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nervure_core::Samples;
use serde::Serialize;

use super::stand::{self, Span, stand};
use super::{models, sdf, vcd};
use crate::cosim::{Bench, Subject, pack};
use crate::golden::Trace;
use crate::tool::{Call, quote};
use crate::verilate::{Stimulus, boundary};

/// Cells times cycles that are simulated, where that is a sample or more: a minute's work.
const WORK: u64 = 12_000_000;

/// Cycles in which an answer comes, or never.
const GIVE_UP: u64 = 10_000_000;

/// What a netlist does on samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Activity {
    /// Bits of nets.
    pub nets: u64,
    /// Cycles simulated.
    pub cycles: u64,
    /// Samples answered in them.
    pub samples: usize,
    /// Changes of a net in a cycle, on average, the clock left out.
    pub toggles: f64,
    /// Those without glitches: a net counts once a cycle, if it ends on another level.
    pub settled: f64,
}

/// A netlist to simulate.
pub(super) struct Mapped<'a> {
    pub(super) netlist: &'a Path,
    /// Liberty file of its cells.
    pub(super) library: &'a Path,
    pub(super) cells: u64,
    /// Delays, as a file.
    pub(super) delays: &'a Path,
    /// A clock period that it keeps to.
    pub(super) period_ps: u64,
}

/// Simulates `mapped` on samples; `None` in a dry run.
///
/// Errors: an answer is missing, or a beat is not what the golden model says.
pub(super) fn activity(
    bench: &Bench,
    subject: &Subject,
    samples: &Samples,
    trace: &Trace,
    mapped: &Mapped,
) -> Result<Option<Activity>> {
    let toolbox = bench.toolbox;
    let scratch = tempfile::tempdir()?;
    let at = |name: &str| scratch.path().join(name);
    let text = |path: &Path| quote(&path.to_string_lossy());
    let models = format!(
        "read_liberty -ignore_miss_func -ignore_miss_dir {}; write_verilog -noattr {}",
        text(mapped.library),
        text(&at("cells.v"))
    );
    toolbox.must(&Call::new("yosys").args(["-q", "-p", &models]))?;
    let (design, network) = (subject.design, subject.network);
    let (expected, sizes): (Vec<Vec<u32>>, Vec<Vec<u32>>) = design
        .outputs
        .iter()
        .zip(&trace.outputs)
        .map(|(stream, recorded)| pack::expected(recorded, stream, samples.count))
        .unzip();
    let stimulus = pack::stimulus(network, &design.inputs, samples, samples.count, sizes);
    if !toolbox.is_dry() {
        let read = |path: &Path| {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        };
        let netlist = read(mapped.netlist)?;
        let delays = sdf::delays(&read(mapped.delays)?)?;
        let cycles = WORK / mapped.cells.max(1);
        let span = Span { period_ps: mapped.period_ps, cycles, give_up: GIVE_UP };
        let mut all = stand(design, &netlist, &stimulus, &span);
        all += &models::delayed(&netlist, &read(&at("cells.v"))?, &delays);
        std::fs::write(at("all.v"), all)?;
        for (n, ((words, sizes), port)) in stimulus.inputs.iter().zip(boundary(design).0).enumerate() {
            std::fs::write(at(&format!("in_{n}.hex")), stand::beats(words, sizes, &port))?;
        }
    }
    let compile = ["-g2005", "-s", stand::TOP, "-o", "all.vvp", "all.v"];
    toolbox.must(&Call::new("iverilog").args(compile).within(scratch.path()))?;
    toolbox.must(&Call::new("vvp").args(["-n", "all.vvp"]).within(scratch.path()))?;
    if toolbox.is_dry() {
        return Ok(None);
    }
    let samples = answered(subject, &stimulus, &expected, scratch.path())?;
    let waves = std::fs::File::open(at("waves.vcd")).context("Icarus Verilog wrote no waveform")?;
    let vcd::Changes { nets, cycles, all, settled } = vcd::changes(BufReader::new(waves), "clk")?;
    let mean = |count: u64| count as f64 / (nets.max(1) as f64 * cycles.max(1) as f64);
    Ok(Some(Activity { nets, cycles, samples, toggles: mean(all), settled: mean(settled) }))
}

/// The number of samples that came out, and are right.
fn answered(subject: &Subject, stimulus: &Stimulus, expected: &[Vec<u32>], folder: &Path) -> Result<usize> {
    let mut answered = usize::MAX;
    for (n, port) in boundary(subject.design).1.iter().enumerate() {
        let file = folder.join(format!("out_{n}.hex"));
        let got = std::fs::read_to_string(&file).context("Icarus Verilog wrote no answers")?;
        let sizes = &stimulus.expected[n];
        let wanted = stand::beats(&expected[n], sizes, port);
        let mut wanted = wanted.lines();
        for (beat, got) in got.lines().enumerate() {
            let want = wanted.next().unwrap_or("nothing");
            ensure!(got == want, "beat {beat} of {} in the mapped netlist is {got}, not {want}", port.prefix);
        }
        let beats = got.lines().count() as u64;
        let ends = sizes.iter().scan(0, |end, size| {
            *end += u64::from(*size);
            Some(*end)
        });
        answered = answered.min(ends.take_while(|end| *end <= beats).count());
    }
    ensure!(answered > 0, "the mapped netlist does not answer");
    Ok(answered)
}
