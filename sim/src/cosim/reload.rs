//! Other weights between two samples, over the register bus: from the first sample after that the answers are those of the
//! network with the other weights, and before they are as they were.

use anyhow::{Context, Result, ensure};
use nervure_core::{Design, Samples};

use super::compare::Reference;
use super::{Bench, Failure, Pass, Report, Subject, pack};
use crate::golden::Trace;
use crate::verilate::{Reload, RunOptions, build, run};

/// Pairs of address and data that make the memories of a design those of `other`, the same design with other weights.
///
/// Errors: the designs have different memories.
pub fn writes(design: &Design, other: &Design) -> Result<Vec<u32>> {
    let (banks, others) = (design.banks(), other.banks());
    ensure!(banks == others && !banks.is_empty(), "the designs differ in what the register bus reaches");
    let mut list = Vec::new();
    for bank in &others {
        let memory = other.held(bank);
        for (row, word) in memory.words.iter().enumerate() {
            let digits: Vec<u32> = word.chars().rev().filter_map(|c| c.to_digit(16)).collect();
            let columns = memory.width.div_ceil(32);
            for column in 0..columns {
                let part = digits.iter().skip(8 * column).take(8).enumerate();
                let data = part.fold(0, |data, (n, digit)| data | digit << (4 * n));
                let address = bank.base + ((row as u64) << (bank.column_bits + 2)) + 4 * column as u64;
                list.extend([u32::try_from(address).context("an address beyond 32 bits")?, data]);
            }
        }
    }
    Ok(list)
}

/// Simulates `subject`, loads what `other` has in its memories after about half of the samples, and holds the answers against
/// `traces`: of the network as it is, and with the other weights. At full speed and with stalls.
///
/// Errors: the designs do not fit; an output whose beats depend on the data.
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
    let model = build(bench.toolbox, bench.cache, design, rtl, false)?;
    let scratch = tempfile::tempdir()?;
    let script = scratch.path().join("bus.bin");
    let bytes: Vec<u8> = writes(design, other)?.iter().flat_map(|w| w.to_le_bytes()).collect();
    std::fs::write(&script, bytes)?;
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
    let stimulus = pack::stimulus(network, &design.inputs, samples, samples.count, sizes.clone());
    let file = scratch.path().join("stimulus.bin");
    stimulus.write(&file)?;
    let mut report = Report { samples: samples.count, ..Report::default() };
    for stall in [0, 80] {
        let reload = Some(Reload { file: script.clone(), at: samples.count / 2 });
        let options = RunOptions { seed, stall_in: stall, stall_out: stall, reload, ..RunOptions::default() };
        let Some(outcome) = run(bench.toolbox, &model, rtl, &stimulus, &file, &options)? else {
            return Ok(None);
        };
        let bus = outcome.bus.context("the design has a register bus")?;
        let swapped = bus.swapped.min(samples.count);
        if !bus.over || bus.early != 6 || bus.failed > 0 || bus.differ > 0 || swapped == 0 {
            report.failures.push(Failure::Bus { pass: Pass::Reload, what: format!("{bus:?}") });
        }
        report.reloaded_after.push(swapped);
        let mixed: Vec<Vec<u32>> = before
            .iter()
            .zip(after)
            .zip(&model.outputs)
            .map(|(((a, sizes), (b, _)), port)| {
                let beats: usize = sizes[..swapped].iter().map(|n| *n as usize).sum();
                let at = beats * port.words;
                [&a[..at], &b[at..]].concat()
            })
            .collect();
        let reference = Reference { design, network, trace: traces[0], model: &model, expected: &mixed };
        reference.check(Pass::Reload, &stimulus, &outcome, &mut report);
    }
    Ok(Some(report))
}
