//! Other weights between two samples, over the register bus: from some sample on the answers are those of the network with the
//! other weights, and before it they are as they were.

use anyhow::{Context, Result, ensure};
use nervure_core::{Bus, Design, Samples};

use super::compare::Reference;
use super::script::script;
use super::{Bench, Failure, Pass, Report, Subject, pack};
use crate::golden::Trace;
use crate::verilate::{Model, Outcome, Reload, RunOptions, build, run};

/// Beats of an output in words, and the number of beats of each sample.
type Beats = (Vec<u32>, Vec<u32>);

/// Simulates `subject`, loads what `other` has in its memories and stores after an eighth of the samples (half of them, where
/// no sample passes meanwhile), and holds the answers against `traces`: of the network as it is, and with the other weights. At
/// full speed and with stalls.
///
/// The report says how many samples were answered with the old weights. Errors: the designs do not fit; an output whose beats
/// depend on the data.
pub fn reload(
    bench: &Bench,
    subject: &Subject,
    other: &Design,
    samples: &Samples,
    traces: [&Trace; 2],
    seed: u64,
) -> Result<Option<Report>> {
    let Subject { design, network, rtl } = *subject;
    let rtl = &std::path::absolute(rtl)?;
    let script = script(design, other)?;
    let model = build(bench.toolbox, bench.cache, design, rtl, false)?;
    let scratch = tempfile::tempdir()?;
    let accesses = scratch.path().join("bus.bin");
    std::fs::write(&accesses, script.bytes())?;
    let expected = traces.map(|trace| {
        let ports = design.outputs.iter().zip(&trace.outputs);
        ports.map(|(s, r)| pack::expected(r, s, samples.count)).collect::<Vec<_>>()
    });
    let [before, after] = &expected;
    ensure!(
        before.iter().zip(after).all(|((_, a), (_, b))| a == b),
        "an output has another number of beats with the other weights"
    );
    let sizes: Vec<Vec<u32>> = before.iter().map(|(_, sizes)| sizes.clone()).collect();
    let stimulus = pack::stimulus(network, &design.inputs, samples, samples.count, sizes);
    let file = scratch.path().join("stimulus.bin");
    stimulus.write(&file)?;
    // Samples that pass while accesses run are a quarter of all, at a pace that makes them last.
    let stores = design.banks().iter().any(|b| b.buffered);
    let (cycles, i2c) = duration(design, script.list.len());
    let at = samples.count / if stores { 8 } else { 2 };
    let spacing = if stores { cycles / (samples.count as u64 / 4).max(1) + 1 } else { 0 };
    let mut report = Report { samples: samples.count, ..Report::default() };
    for stall in [0, 80] {
        let reload = Some(Reload { file: accesses.clone(), at, spacing, i2c });
        let options = RunOptions { seed, stall_in: stall, stall_out: stall, reload, ..RunOptions::default() };
        let Some(outcome) = run(bench.toolbox, &model, rtl, &stimulus, &file, &options)? else {
            return Ok(None);
        };
        let bus = outcome.bus.context("the design has a register bus")?;
        let (from, to) = (bus.from.min(samples.count), bus.to.min(samples.count));
        if !bus.over || bus.early != script.early() || bus.failed > 0 || bus.differ > 0 || from == 0 {
            report.failures.push(Failure::Bus { pass: Pass::Reload, what: format!("{bus:?}") });
        }
        // The first answer that is not the old one is where the other weights begin, if that can be.
        let first = first_other(before, &model, &outcome).clamp(from, to.max(from));
        report.reloaded_after.push(first);
        let mixed: Vec<Vec<u32>> = (before.iter().zip(after).zip(&model.outputs))
            .map(|(((a, sizes), (b, _)), port)| {
                let beats: usize = sizes[..first].iter().map(|n| *n as usize).sum();
                let at = beats * port.words;
                [&a[..at], &b[at..]].concat()
            })
            .collect();
        let reference = Reference { design, network, trace: traces[0], model: &model, expected: &mixed };
        reference.check(Pass::Reload, &stimulus, &outcome, &mut report);
    }
    Ok(Some(report))
}

/// Samples that [`reload`] needs to have some left when the other weights come into use: those that begin at full speed beside
/// the commitment, four times.
pub fn samples_to_reload(design: &Design) -> usize {
    let quarter = duration(design, 0).1.map_or(0, |[quarter, _]| quarter as usize);
    512.max(4 * (9 * (design.pointer_bytes() + 2) + 4) * 4 * quarter)
}

/// Cycles that so many accesses take, roughly, and how two wires move: cycles of a quarter of their clock, bytes of the pointer.
fn duration(design: &Design, accesses: usize) -> (u64, Option<[u64; 2]>) {
    let accesses = accesses as u64;
    if design.bus == Bus::AxiLite {
        return (6 * accesses, None);
    }
    // At most 1 MHz, and 40 cycles a bit.
    let quarter = u64::from(design.clock_mhz).div_ceil(4).max(10);
    (accesses * 4 * 9 * 4 * quarter, Some([quarter, design.pointer_bytes() as u64]))
}

/// The first sample that is not answered as `before` says.
fn first_other(before: &[Beats], model: &Model, outcome: &Outcome) -> usize {
    let ports = before.iter().zip(&model.outputs).zip(&outcome.outputs);
    let of =
        |(((words, sizes), port), taken): ((&Beats, &crate::verilate::Port), &crate::verilate::Taken)| {
            let same = words.iter().zip(&taken.words).take_while(|(a, b)| a == b).count();
            let mut end = 0;
            let ends = sizes.iter().take_while(|n| {
                end += **n as usize * port.words;
                end <= same
            });
            ends.count()
        };
    ports.map(of).min().unwrap_or(0)
}
