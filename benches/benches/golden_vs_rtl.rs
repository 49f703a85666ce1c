//! How much faster the golden model is than the RTL simulation: both on `mnist-snn`, in one run of this program.
//!
//! The simulation is Verilator's, compiled for speed, one pass without stalls; its figure leaves compilation out. Both must
//! give the same answers, or there is nothing to compare.

use anyhow::{Context, Result, ensure};
use nervure_benches::{best, generate, load, write};
use nervure_sim::cosim::pack;
use nervure_sim::golden::{self, GoldenOptions, Trace};
use nervure_sim::verilate::{self, RunOptions, Status};
use nervure_sim::{Cache, Toolbox};

const EXAMPLE: &str = "mnist-snn";
/// Simulated; the golden model runs all of the example's samples.
const SIMULATED: usize = 200;

fn main() -> Result<()> {
    let registry = nervure_templates::registry();
    let target = registry.target("xc7")?;
    let (network, samples) = load(EXAMPLE, &registry)?;

    let run = |threads| -> Result<(f64, Trace)> {
        let options = GoldenOptions { threads, trace: false };
        let (seconds, trace) = best(5, || Ok(golden::run(&network, &samples, options, &|_| ())?))?;
        Ok((samples.count as f64 / seconds, trace))
    };
    let (one, trace) = run(1)?;
    let (all, same) = run(0)?;
    ensure!(trace == same, "the golden model depends on the number of threads");

    let folder = tempfile::tempdir()?;
    let (design, files) = generate(&network, &registry, target)?;
    let rtl = write(&files, folder.path())?;
    let (toolbox, cache) = (Toolbox::new(), Cache::open());
    let model = verilate::build(&toolbox, &cache, &design, &rtl, false)?;
    let few = samples.take(SIMULATED);
    let outputs = design.outputs.iter().zip(&trace.outputs);
    let beats = outputs.map(|(s, r)| pack::expected(r, s, few.count).1).collect();
    let stimulus = pack::stimulus(&network, &design.inputs, &few, few.count, beats);
    let file = folder.path().join("stimulus.bin");
    stimulus.write(&file)?;
    let simulate = || {
        let outcome = verilate::run(&toolbox, &model, &rtl, &stimulus, &file, &RunOptions::default())?;
        outcome.context("a dry run")
    };
    let (seconds, outcome) = best(3, simulate)?;
    ensure!(outcome.status == Status::Done, "the simulation did not end: {:?}", outcome.status);
    for ((recorded, stream), taken) in trace.outputs.iter().zip(&design.outputs).zip(&outcome.outputs) {
        ensure!(taken.words == pack::expected(recorded, stream, few.count).0, "`{}` differs", stream.name);
    }
    let simulated = few.count as f64 / seconds;

    let layers = network.nodes.len();
    println!("{EXAMPLE}: {layers} layers, {} steps a sample", samples.steps);
    println!("golden model, 1 thread       {one:>12.0} samples/s");
    println!("golden model, all threads    {all:>12.0} samples/s");
    println!(
        "RTL in Verilator             {simulated:>12.0} samples/s   ({:.2} Mcycle/s)",
        outcome.cycles as f64 / seconds / 1e6
    );
    println!("ratio, 1 thread              {:>12.0}", one / simulated);
    println!("ratio, all threads           {:>12.0}", all / simulated);
    Ok(())
}
