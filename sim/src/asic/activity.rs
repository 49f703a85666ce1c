//! How much the nets of a mapped netlist change: a simulation of its cells without delays, at full speed, on real samples.
//!
//! Without delays there are no glitches, which in adders and multipliers are about as many changes again: what comes out is
//! a lower bound.

use std::path::Path;

use anyhow::{Result, ensure};
use nervure_core::Samples;
use serde::Serialize;

use crate::cosim::{Bench, Subject, pack};
use crate::golden::Trace;
use crate::tool::{Call, quote};
use crate::verilate::{RunOptions, VERILATOR, compiler_call, harness, include, main_text};
use crate::verilate::{runtime, runtime_key, runtime_sources, unit};

/// What a netlist does on samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Activity {
    /// Bits of nets.
    pub nets: u64,
    /// Cycles simulated.
    pub cycles: u64,
    /// Samples in them.
    pub samples: usize,
    /// Changes of a net in a cycle, on average, the clock left out.
    pub toggles: f64,
}

/// Simulates `netlist`, of the cells of `library`, on all samples; `None` in a dry run.
///
/// Errors: an answer is missing, or a beat is not what the golden model says.
pub(super) fn activity(
    bench: &Bench,
    subject: &Subject,
    samples: &Samples,
    trace: &Trace,
    library: &Path,
    netlist: &Path,
) -> Result<Option<Activity>> {
    let Bench { toolbox, cache } = *bench;
    let Subject { design, network, .. } = *subject;
    let scratch = tempfile::tempdir()?;
    let at = |name: &str| scratch.path().join(name);
    let text = |path: &Path| quote(&path.to_string_lossy());
    let models = format!(
        "read_liberty -ignore_miss_func -ignore_miss_dir {}; write_verilog -noattr {}",
        text(library),
        text(&at("cells.v"))
    );
    toolbox.must(&Call::new("yosys").args(["-q", "-p", &models]))?;
    let keep = format!("`verilator_config\npublic_flat_rd -module \"{}\" -var \"*\"\n", design.name);
    std::fs::write(at("keep.vlt"), keep)?;
    let object = at("obj");
    let verilate = Call::new("verilator").args(VERILATOR).args(["--flatten", "--Mdir"]).arg(&object);
    let verilate = verilate.args(["--top-module", &design.name]).arg(at("keep.vlt")).arg(netlist).arg(at("cells.v"));
    toolbox.must(&verilate)?;
    if toolbox.is_dry() {
        return Ok(None);
    }
    let runtime = runtime(toolbox, cache, &runtime_key(toolbox, false)?, false)?;
    let header = std::fs::read_to_string(object.join("V___024root.h"))?;
    let nets = nets(&header, &design.name);
    let table: String = nets.iter().map(|(net, bits)| format!(" \\\n  X({net}, {bits})")).collect();
    let main = format!(
        "#define NERVURE_FAULTS 1\n#include \"V___024root.h\"\n{}#define NETS(X){table}\n#include \"toggles.cpp\"\n",
        main_text(design)
    );
    std::fs::write(at("harness.cpp"), harness())?;
    std::fs::write(at("toggles.cpp"), include_str!("toggles.cpp"))?;
    std::fs::write(at("all.cpp"), unit(&object, &main)?)?;
    let link = compiler_call(false).arg("-I").arg(&runtime).arg("-I").arg(&object);
    let link = link.arg("-I").arg(include(toolbox)?.join("vltstd")).arg("-I").arg(include(toolbox)?);
    let link = link.args(["-s", "-o"]).arg(at("sim")).arg(at("all.cpp"));
    let link = link.args(runtime_sources(false).map(|s| runtime.join(s).with_extension("o")));
    toolbox.must(&link.arg("-lpthread"))?;

    let beats = design.outputs.iter().zip(&trace.outputs).map(|(s, r)| pack::expected(r, s, samples.count).1);
    let stimulus = pack::stimulus(network, &design.inputs, samples, samples.count, beats.collect());
    stimulus.write(&at("stimulus.bin"))?;
    let (inputs, _) = crate::verilate::boundary(design);
    let args = RunOptions::default().args(&stimulus, inputs.iter().map(|p| p.words));
    let run = Call::new(at("sim")).arg(at("stimulus.bin")).arg(at("result.bin")).args(args);
    toolbox.must(&run.arg("max_cycles=10000000"))?;
    let bytes = std::fs::read(at("result.bin"))?;
    let words: Vec<u64> = bytes
        .chunks_exact(8)
        .map(|b| u64::from_le_bytes(b.try_into().expect("chunks of eight bytes")))
        .collect();
    let [all, cycles, nets, toggles, violations] = words[..] else {
        anyhow::bail!("the result of the simulation is cut short")
    };
    ensure!(all == 1 && violations == 0, "the mapped netlist does not answer");
    let toggles = toggles as f64 / (nets.max(1) as f64 * cycles.max(1) as f64);
    Ok(Some(Activity { nets, cycles, samples: samples.count, toggles }))
}

/// The nets of the top module among the members of the model's root: not those inside of cells, and not the clock.
fn nets<'a>(header: &'a str, top: &str) -> Vec<(&'a str, u64)> {
    let own = |(name, bits): (&'a str, u64)| {
        let net = name.strip_prefix(top)?.strip_prefix("__DOT__")?;
        (!net.contains("__DOT__") && net != "clk").then_some((name, bits))
    };
    header.lines().filter_map(crate::faults::member).filter_map(own).collect()
}
