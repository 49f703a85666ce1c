//! `qnn_case CASE.json FOLDER` writes a quantized case as a network folder: `network.yaml`, `weights.npz`, `samples.npz`.
//! With a clock in MHz, and then an effort in microseconds, it also writes the Verilog for `xcup` below `FOLDER/rtl`, and prints
//! one line of JSON: the top module, adders, pipeline stages, and seconds from the network file to the files of Verilog.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nervure_back::{Options, lower, optimise, render};
use nervure_benches::{qnn, write};
use nervure_core::kernel::{Kernel, Op, Value};
use nervure_core::num::Rounding;
use nervure_core::{Body, Design};
use serde_json::json;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (case, folder, numbers) = match &args[..] {
        [case, folder, numbers @ ..] if numbers.len() <= 2 => (case, Path::new(folder), numbers),
        _ => bail!("usage: qnn_case CASE.json FOLDER [MHZ [EFFORT]]"),
    };
    let text = std::fs::read_to_string(case).with_context(|| format!("cannot read {case}"))?;
    qnn::convert(&serde_json::from_str(&text)?, folder)?;
    let number = |n: usize| numbers.get(n).map(|t| t.parse::<u64>()).transpose();
    if let Some(mhz) = number(0)? {
        let options = Options { clock_mhz: Some(mhz.try_into()?), effort: number(1)?, ..Options::default() };
        verilog(folder, &options)?;
    }
    Ok(())
}

fn verilog(folder: &Path, options: &Options) -> Result<()> {
    let registry = nervure_templates::registry();
    let target = registry.target("xcup")?;
    let start = Instant::now();
    let network = nervure_front::load(folder, &registry, &[])?;
    let design = lower(&optimise(&network)?, &registry, target, options)?;
    let files = render(&design, &registry, target);
    write(&files, folder)?;
    let seconds = start.elapsed().as_secs_f64();
    let figures =
        json!({"top": design.name, "seconds": seconds, "adders": adders(&design), "stages": stages(&design)});
    #[expect(clippy::print_stdout, reason = "its output")]
    {
        println!("{figures}");
    }
    Ok(())
}

fn kernels(design: &Design) -> impl Iterator<Item = &Kernel> {
    design.modules.iter().filter_map(|m| match &m.body {
        Body::Kernel(kernel) | Body::Flat(kernel) => Some(kernel),
        Body::Template(_) => None,
    })
}

/// Additions and subtractions, those that round included.
fn adders(design: &Design) -> usize {
    let adds = |v: &&Value| match v.op {
        Op::Add(..) | Op::Sub(..) | Op::AddCarry(..) => true,
        Op::Shr(_, _, rounding) => rounding != Rounding::Floor,
        _ => false,
    };
    kernels(design).map(|k| k.values.iter().filter(adds).count()).sum()
}

/// Registers from input to output, one module behind the other.
fn stages(design: &Design) -> u32 {
    design.modules.iter().map(|m| m.stages.as_ref().map_or(0, |s| s.count)).sum()
}
