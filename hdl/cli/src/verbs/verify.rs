//! `nervure verify`.

use std::ops::Range;
use std::path::Path;

use anyhow::{Result, bail};
use nervure_back::Options;
use nervure_core::{Bus, Registry, Samples};
use nervure_sim::cosim::Pass;
use nervure_sim::golden::{self, GoldenOptions, Trace};
use nervure_sim::verilate::Waves;
use nervure_sim::{Bench, Cache, CosimOptions, Prediction, Report, Subject, cosim, predict};
use serde_json::{Value, json};

use super::closed::{self, Closing};
use super::faults::faults;
use super::reload;
use super::run::arrays;
use super::summary;
use crate::args::VerifyArgs;
use crate::compile::Compiled;
use crate::console::Console;
use crate::figures;
use crate::folder::{hashes, manifest};
use crate::table::thousands;

/// Cycles of waves before and after a mismatch.
const AROUND: u64 = 2000;
/// Cycles of waves without one.
const FROM_START: u64 = 20_000;

/// Co-simulates what is in the build directory.
pub(crate) fn verify(console: &Console, args: &VerifyArgs) -> Result<bool> {
    let registry = nervure_templates::registry();
    let manifest = manifest(&args.dir)?;
    let compiled = opened(&args.dir, &manifest, &registry)?;
    if manifest["version"] != env!("CARGO_PKG_VERSION") {
        console.note(&format!(
            "note: built by nervure {}; cycles may be predicted otherwise",
            manifest["version"]
        ));
    }
    let edited = edited(&args.dir, &manifest)?;
    for file in &edited {
        console.note(&format!("note: {file} is not as it was generated; what is there is simulated"));
    }
    let beside = args.dir.join("sim/network.yaml");
    let plant = args.plant.as_deref();
    let closing = Closing::find(plant, args.input.as_deref(), &beside, &compiled.network)?;
    let all = if let Some(closing) = &closing {
        closing.recording.samples.clone()
    } else {
        let input = args.input.clone().unwrap_or_else(|| args.dir.join("sim/samples.npz"));
        nervure_front::samples(&input, &compiled.network)?
    };
    let samples = if args.samples == 0 { all } else { all.take(args.samples) };
    if let Some(count) = args.faults {
        return faults(console, args, count, &compiled, &samples, &manifest["harden"]);
    }

    let stage = console.stage("golden", samples.count);
    let trace = golden::run(&compiled.network, &samples, GoldenOptions::default(), &|n| stage.at(n))?;
    stage.done(&format!("{} samples", samples.count));
    let prediction = predict(&compiled.optimised, &compiled.design, &samples)?;
    let toolbox = console.toolbox();
    let cache = Cache::open();
    let bench = Bench { toolbox: &toolbox, cache: &cache };
    let job =
        Job { bench, compiled: &compiled, args, samples: &samples, trace: &trace, prediction: &prediction };
    let mut seed = args.seed;
    let stage = console.stage("verify", args.seeds as usize);
    let report = loop {
        let Some(report) = job.cosim(seed, None)? else {
            console.commands("", "");
            return Ok(true);
        };
        stage.at((seed + 1 - args.seed) as usize);
        if !report.passed() || seed + 1 >= args.seed + args.seeds {
            break report;
        }
        seed += 1;
    };
    stage.done(&format!("{} samples, seeds {} to {seed}", samples.count, args.seed));
    let rtl = args.dir.join("rtl");
    let closed = match &closing {
        Some(closing) => closing.verify(&bench, &compiled, &rtl, &trace, seed)?,
        None => None,
    };
    let mut object =
        json!({"name": compiled.network.name, "seeds": seed + 1 - args.seed, "seed": seed, "edited": edited});
    figures::score(&mut object, &trace, &samples);
    object["verify"] = figures::verification(&report, &samples, &prediction, &compiled.optimised);
    if let Some(closing) = &closing {
        object["closed_loop"] = closing.checked(&closing.recording.take(samples.count), closed.as_ref());
    }
    if let Some(folder) = &report.reproduction {
        object["reproduction"] = json!(folder.display().to_string());
    }
    let mut wrong: Vec<String> = closed.iter().flat_map(closed::failures).collect();
    if let Some(net) = &args.reload {
        let job = reload::Job {
            bench,
            compiled: &compiled,
            registry: &registry,
            options: &options(&manifest),
            rtl: &rtl,
        };
        if let Some(report) = job.reload(console, (net, &args.set), &samples, seed)? {
            object["reload"] = reload::figures(&report);
            wrong.extend(reload::failures(&report));
        }
    }
    if args.waves {
        let stage = console.stage("waves", 0);
        let file = args.dir.join("sim/waves.fst");
        let window = window(&report);
        job.cosim(seed, Some(Waves { file: file.clone(), window: window.clone() }))?;
        stage.done(&format!("cycles {} to {}", window.start, window.end));
        object["waves"] = json!({"file": file.display().to_string(), "from": window.start, "to": window.end});
    }
    if let Some(output) = &args.output {
        nervure_front::write_npz(output, &arrays(&trace))?;
        object["output"] = json!(output.display().to_string());
    }
    console.result(&object, || words(&object, &report, &wrong));
    Ok(report.passed() && wrong.is_empty())
}

struct Job<'a> {
    bench: Bench<'a>,
    compiled: &'a Compiled<'a>,
    args: &'a VerifyArgs,
    samples: &'a Samples,
    trace: &'a Trace,
    prediction: &'a Prediction,
}

impl Job<'_> {
    fn cosim(&self, seed: u64, waves: Option<Waves>) -> Result<Option<Report>> {
        let rtl = self.args.dir.join("rtl");
        let subject = Subject { design: &self.compiled.design, network: &self.compiled.network, rtl: &rtl };
        let options = CosimOptions {
            seed,
            predicted: Some(self.prediction.cycles.clone()),
            waves,
            reproduce: Some(self.args.dir.join("sim/failure")),
            network_text: nervure_front::to_yaml(&self.compiled.network),
            ..CosimOptions::default()
        };
        cosim(&self.bench, &subject, self.samples, self.trace, &options)
    }
}

/// What a build directory was lowered with.
fn options(manifest: &Value) -> Options {
    let number = |field: &str| manifest[field].as_u64().and_then(|n| u32::try_from(n).ok());
    let separate = manifest["fused"] == false;
    let effort = manifest["effort"].as_u64();
    let bus = manifest["bus"].as_str().and_then(Bus::named);
    Options { clock_mhz: number("clock_mhz"), most_stages: number("most_stages"), separate, effort, bus }
}

/// The network and design of build directory `dir`.
pub(super) fn opened<'a>(dir: &Path, manifest: &Value, registry: &'a Registry) -> Result<Compiled<'a>> {
    let target = registry.target(manifest["target"].as_str().unwrap_or("xc7"))?;
    let network = nervure_front::load(&dir.join("sim/network.yaml"), registry, &[])?;
    Ok(Compiled::new(network, registry, target, &options(manifest))?)
}

/// Files of the RTL that are not as the manifest says.
fn edited(dir: &Path, manifest: &Value) -> Result<Vec<String>> {
    let Some(recorded) = manifest["files"].as_object() else { bail!("the manifest lists no files") };
    let there = hashes(&dir.join("rtl"))?;
    let changed = recorded.iter().filter_map(|(path, hash)| {
        let name = path.strip_prefix("rtl/")?;
        (there.get(name).map(String::as_str) != hash.as_str()).then(|| path.clone())
    });
    let added = there.keys().map(|n| format!("rtl/{n}")).filter(|path| !recorded.contains_key(path));
    Ok(changed.chain(added).collect())
}

/// The cycles around the first mismatch at full speed, else the first ones.
fn window(report: &Report) -> Range<u64> {
    let value = report.first.iter().find(|m| m.pass == Pass::FullSpeed).map(|m| m.cycle);
    let cycle = value.or_else(|| report.first_cycle_mismatch.map(|(_, _, measured)| measured.finish));
    cycle.map_or(0..FROM_START, |c| c.saturating_sub(AROUND)..c + AROUND)
}

fn words(object: &Value, report: &Report, wrong: &[String]) -> String {
    let seeds = object["seeds"].as_u64().unwrap_or(1);
    let mut lines = vec![format!(
        "{}: {} samples, {} mismatches, {} cycles measured, {} predicted{}",
        object["name"].as_str().unwrap_or_default(),
        report.samples,
        report.mismatches,
        thousands(report.cycles_measured),
        report.cycles_predicted.map_or("none".to_owned(), thousands),
        if seeds > 1 { format!(", {seeds} seeds") } else { String::new() }
    )];
    lines.extend(closed::words(&object["closed_loop"]));
    lines.extend(reload::words(&object["reload"]));
    lines.extend(summary::failures(object));
    lines.extend_from_slice(wrong);
    for key in ["reproduction", "output"] {
        lines.extend(object[key].as_str().map(|path| format!("{key}: {path}")));
    }
    lines.extend(object["waves"]["file"].as_str().map(|path| format!("waves: {path}")));
    lines.push(if report.passed() && wrong.is_empty() {
        "passed".to_owned()
    } else {
        format!("FAILED with seed {}", object["seed"])
    });
    lines.join("\n")
}
