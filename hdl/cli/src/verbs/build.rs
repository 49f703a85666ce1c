//! `nervure build`: one way through, from the network file to a checked build directory.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use nervure_back::{Guard, Options, harden};
use nervure_core::ident::ident;
use nervure_core::{Samples, Target};
use nervure_sim::asic::needs_liberty;
use nervure_sim::cosim::Closed;
use nervure_sim::golden::{self, GoldenOptions, Trace};
use nervure_sim::lint::{LintFinding, lint};
use nervure_sim::synth::{Synthesis, script, synth};
use nervure_sim::{
    Bench, Cache, CosimOptions, Deadlock, MissingTool, Prediction, Report, Subject, Toolbox, cosim, predict,
};
use serde_json::{Value, json};

use super::closed::{self, Closing};
use super::folding::Folding;
use super::summary;
use crate::args::{BuildArgs, Harden};
use crate::compile::{Compiled, arrays, network_file, noise, samples_beside};
use crate::console::Console;
use crate::embedded::{self, Board};
use crate::figures;
use crate::folder::{Aside, MANIFEST, hashes, sha256};

/// Samples and where they come from.
pub(super) struct Input {
    pub(super) samples: Samples,
    /// Bytes of the file; nothing for noise.
    bytes: Option<Vec<u8>>,
    file: Option<String>,
    /// The loop that they come from.
    closing: Option<Closing>,
}

/// What the checks found.
struct Checks {
    findings: Vec<LintFinding>,
    synthesis: Option<Synthesis>,
    trace: Trace,
    prediction: Result<Prediction, Deadlock>,
    report: Option<Report>,
    closed: Option<Closed>,
    some: Samples,
    seconds: Seconds,
}

#[derive(Default)]
struct Seconds {
    generate: f64,
    lint: f64,
    golden: f64,
    verify: f64,
    synth: f64,
}

/// Says which modules a bound on stages has made slower than the clock.
fn note_slow(console: &Console, compiled: &Compiled) {
    let (target, mhz) = (compiled.target, compiled.design.clock_mhz);
    let budget = target.budget_ps(mhz);
    for module in &compiled.design.modules {
        if let Some(slowest) = module.slowest_stage_ps(target).filter(|slowest| *slowest > budget) {
            console.note(&format!(
                "note: the slowest stage of {} is estimated at {slowest} ps; {mhz} MHz leave {budget} ps",
                module.name
            ));
        }
    }
}

/// Builds.
pub(crate) fn build(console: &Console, args: &BuildArgs) -> Result<bool> {
    let registry = nervure_templates::registry();
    let board = args.board.as_deref().or(args.fit.as_deref()).map(embedded::board).transpose()?;
    let target = board.as_ref().map(|b| b.target.as_str()).or(args.target.as_deref()).unwrap_or("xc7");
    let target = registry.target(target)?;
    let clock_mhz = args.clock.or(board.as_ref().map(|b| b.clock_mhz));

    let file = network_file(&args.net);
    let toolbox = console.toolbox();
    let folding = Folding { console, toolbox: &toolbox, args, registry: &registry, file: &file };
    let options = Options {
        clock_mhz,
        most_stages: args.stages,
        separate: args.no_fuse,
        effort: args.effort,
        bus: args.bus.map(Into::into),
    };
    let plan = folding.plan(board.as_ref(), target, &options)?;
    let mut set = args.set.clone();
    set.extend(plan.iter().flat_map(|p| p.set.clone()));

    let stage = console.stage("generate", 0);
    let network = nervure_front::load(&file, &registry, &set)?;
    let compiled = Compiled::new(network, &registry, target, &options)?;
    if args.stages.is_some() {
        note_slow(console, &compiled);
    }
    let files = compiled.files(&registry);
    let on = |how: Harden| args.harden.contains(&how);
    let guard = Guard { registers: on(Harden::Tmr), memories: on(Harden::Ecc) };
    let (files, hardened) = if guard == Guard::default() {
        (files, None)
    } else {
        harden(&compiled.design, &registry, files, guard).map(|(f, h)| (f, Some(h)))?
    };
    let lines: usize = files.iter().map(|f| f.text.lines().count()).sum();
    let seconds = Seconds {
        generate: stage.done(&format!("{} files, {lines} lines", files.len())),
        ..Seconds::default()
    };

    let place = args.output.clone().unwrap_or_else(|| Path::new("build").join(ident(&compiled.network.name)));
    let aside = Aside::new(&place, console.dry)?;
    for file in &files {
        aside.write(&file.path, file.text.as_bytes())?;
    }
    let input = input(args, &file, &compiled)?;
    write_sources(&aside, &compiled, &input, board.as_ref())?;
    let checks = check(console, &toolbox, args, &compiled, &aside, &input, seconds)?;
    if console.dry {
        console.commands(&aside.path().display().to_string(), &place.display().to_string());
        return Ok(true);
    }
    let (mut manifest, mut passed) = manifest(args, &set, &compiled, board.as_ref(), &input, &checks);
    if let Some(plan) = plan {
        passed &= plan.met;
        manifest["passed"] = json!(passed);
        if !plan.met
            && let Value::Array(failed) = &mut manifest["failed"]
        {
            failed.extend(plan.why.last().map(|why| json!(format!("plan: {why}"))));
        }
        manifest["plan"] =
            json!({"interval_cycles": figures::rounded(plan.interval_cycles), "why": plan.why});
    }
    if let Some(hardened) = hardened {
        manifest["harden"] = json!(hardened);
    }
    manifest["tools"] = tools(&toolbox);
    let text = summary::markdown(&manifest);
    aside.write("report/summary.md", text.as_bytes())?;
    let mut hashes = hashes(aside.path())?;
    hashes.retain(|path, _| !path.starts_with("report/") && !path.starts_with("sim/failure/"));
    manifest["files"] = json!(hashes);
    aside.write(MANIFEST, format!("{manifest:#}\n").as_bytes())?;
    aside.finish()?;
    manifest["dir"] = json!(place.display().to_string());
    console.result(&manifest, || summary::text(&manifest));
    Ok(passed)
}

pub(super) fn input(args: &BuildArgs, network: &Path, compiled: &Compiled) -> Result<Input> {
    let plant = args.plant.as_deref();
    if let Some(closing) = Closing::find(plant, args.input.as_deref(), network, &compiled.network)? {
        let samples = closing.recording.samples.clone();
        return Ok(Input { samples, bytes: None, file: None, closing: Some(closing) });
    }
    let beside = samples_beside(network);
    let path: Option<PathBuf> = args.input.clone().or_else(|| beside.is_file().then_some(beside));
    let Some(path) = path else {
        let samples = noise(&compiled.network, args.samples, args.seed);
        return Ok(Input { samples, bytes: None, file: None, closing: None });
    };
    let samples = nervure_front::samples(&path, &compiled.network)?;
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = path.file_name().map(|n| n.to_string_lossy().into_owned());
    Ok(Input { samples, bytes: Some(bytes), file, closing: None })
}

/// What it takes to run and build the design again.
fn write_sources(aside: &Aside, compiled: &Compiled, input: &Input, board: Option<&Board>) -> Result<()> {
    aside.write("sim/network.yaml", nervure_front::to_yaml(&compiled.network).as_bytes())?;
    if let Some(bytes) = &input.bytes {
        aside.write("sim/samples.npz", bytes)?;
    } else {
        let arrays = arrays(&compiled.network, &input.samples);
        nervure_front::write_npz(&aside.path().join("sim/samples.npz"), &arrays)?;
    }
    if let Some(closing) = &input.closing {
        closing.write(aside)?;
    }
    let readme = "# Simulation\n\n`network.yaml` is the network as it was built, `samples.npz` what it was simulated with.\n\n\
        - `nervure verify DIR` simulates `rtl/` again and compares bits and cycles; `--waves` writes `sim/waves.fst`.\n\
        - `nervure run DIR` runs the golden model alone.\n\
        - `plant.yaml`, where it exists, is what the network controls; the samples are a recording of the two.\n\
        - `failure/`, where it exists, shows a failure again with Verilator and a C++ compiler only: `sh run.sh`.\n";
    aside.write("sim/README.md", readme.as_bytes())?;
    let verilog = aside.path().join("rtl");
    let mut names: Vec<String> = nervure_sim::verilate::sources(&verilog)?
        .iter()
        .filter_map(|p| p.file_name().map(|n| n.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    let text = script(&names, &compiled.design.name, compiled.target).replace("; ", "\n");
    let given = if needs_liberty(compiled.target) {
        "# LIBERTY is a liberty file, CONSTRAINTS ABC's (a driving cell and a load), PERIOD_PS the clock in picoseconds;\n\
         # `nervure synth` puts them in.\n"
    } else {
        ""
    };
    let text = format!("# Run in rtl/: yosys -s ../synth/synth.ys\n{given}{text}\nstat\n");
    aside.write("synth/synth.ys", text.as_bytes())?;
    for (name, bytes) in board.map(|b| embedded::board_files(&b.name)).unwrap_or_default() {
        aside.write(&format!("board/{name}"), bytes)?;
    }
    Ok(())
}

/// Lint and synthesis beside golden model and co-simulation.
fn check(
    console: &Console,
    toolbox: &Toolbox,
    args: &BuildArgs,
    compiled: &Compiled,
    aside: &Aside,
    input: &Input,
    mut seconds: Seconds,
) -> Result<Checks> {
    let cache = Cache::open();
    let bench = Bench { toolbox, cache: &cache };
    let rtl = aside.path().join("rtl");
    let top = compiled.design.name.as_str();
    std::thread::scope(|scope| {
        let tools = scope.spawn(|| -> Result<_> {
            let stage = console.stage("lint", 0);
            let findings = lint(&bench, &rtl, top)?;
            let lint_s = stage.done(&format!("{} findings", findings.len()));
            let start = Instant::now();
            // What the linters refuse need not be mapped.
            let skip = args.no_synth || !findings.is_empty() || needs_liberty(compiled.target);
            let synthesis =
                if skip { None } else { synthesise(console, toolbox, &rtl, top, compiled.target)? };
            Ok((findings, lint_s, synthesis, start.elapsed().as_secs_f64()))
        });

        let stage = console.stage("golden", input.samples.count);
        let trace =
            golden::run(&compiled.network, &input.samples, GoldenOptions::default(), &|n| stage.at(n))?;
        seconds.golden = stage.done(&format!("{} samples", input.samples.count));

        let stage = console.stage("verify", 0);
        let count = if args.samples == 0 { input.samples.count } else { args.samples };
        let some = input.samples.take(count);
        let prediction = match predict(&compiled.optimised, &compiled.design, &some) {
            Ok(prediction) => Ok(prediction),
            Err(e) => Err(e.downcast::<Deadlock>()?),
        };
        let few = golden::run(&compiled.network, &some, GoldenOptions::default(), &|_| ())?;
        let options = CosimOptions {
            seed: args.seed,
            predicted: prediction.as_ref().ok().map(|p| p.cycles.clone()),
            reproduce: Some(aside.path().join("sim/failure")),
            network_text: nervure_front::to_yaml(&compiled.network),
            ..CosimOptions::default()
        };
        let subject = Subject { design: &compiled.design, network: &compiled.network, rtl: &rtl };
        let report = cosim(&bench, &subject, &some, &few, &options);
        let closed = match (&input.closing, &report, &prediction) {
            (Some(closing), Ok(_), Ok(_)) => closing.verify(&bench, compiled, &rtl, &few, args.seed)?,
            _ => None,
        };
        seconds.verify = stage.done(&match &report {
            Ok(Some(r)) => format!("{} samples, {} cycles", r.samples, r.cycles_simulated),
            _ => String::new(),
        });
        let (findings, lint_s, synthesis, synth_s) =
            tools.join().expect("running a command does not panic")?;
        let report = match report {
            // The findings say why, and better.
            Err(e) if !findings.is_empty() && !e.is::<MissingTool>() => None,
            report => report?,
        };
        seconds.lint = lint_s;
        seconds.synth = if args.no_synth { 0.0 } else { synth_s };
        Ok(Checks { findings, synthesis, trace, prediction, report, closed, some, seconds })
    })
}

/// A Yosys run with its stage.
pub(super) fn synthesise(
    console: &Console,
    toolbox: &Toolbox,
    rtl: &Path,
    top: &str,
    target: &Target,
) -> Result<Option<Synthesis>> {
    let stage = console.stage("synth", 0);
    let synthesis = synth(toolbox, rtl, top, target, "")?;
    stage.done(&synthesis.as_ref().map_or(String::new(), |s| format!("{} LUT, {} FF", s.lut, s.ff)));
    Ok(synthesis)
}

/// Everything that is known of the build, and whether every check passed.
fn manifest(
    args: &BuildArgs,
    set: &[(String, String)],
    compiled: &Compiled,
    board: Option<&Board>,
    input: &Input,
    checks: &Checks,
) -> (Value, bool) {
    let (network, design) = (&compiled.network, &compiled.design);
    let source = network.source.as_ref().map(|(file, sha)| json!({"file": file, "sha256": sha}));
    let sha = input.bytes.as_deref().map(sha256);
    let mut m = json!({
        "generator": "nervure",
        "version": env!("CARGO_PKG_VERSION"),
        "name": network.name,
        "top": design.name,
        "passed": true,
        "source": source,
        "set": set.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(),
        "target": compiled.target.name,
        "board": board.map(|b| &b.name),
        "clock_mhz": design.clock_mhz,
        "most_stages": args.stages,
        "effort": args.effort,
        "bus": design.bus.name(),
        "fused": !args.no_fuse,
        "seed": args.seed,
        "samples": {"file": input.file, "sha256": sha, "count": input.samples.count, "steps": input.samples.steps},
        "formats": figures::formats(network),
        "design": figures::design(compiled, checks.prediction.as_ref().ok()),
        "lint": figures::lint(&checks.findings),
    });
    figures::score(&mut m, &checks.trace, &input.samples);
    let mut failed: Vec<String> = Vec::new();
    if !checks.findings.is_empty() {
        failed.push(format!("lint: {} findings", checks.findings.len()));
    }
    if let (Some(report), Ok(prediction)) = (&checks.report, &checks.prediction) {
        m["verify"] = figures::verification(report, &checks.some, prediction, &compiled.optimised);
        m["verify"]["reproduction"] = json!(report.reproduction.as_ref().map(|_| "sim/failure"));
    }
    if let Some(closing) = &input.closing {
        let closed = checks.closed.as_ref();
        m["closed_loop"] = closing.checked(&closing.recording, closed);
        failed.extend(closed.into_iter().flat_map(closed::failures));
    }
    if let Err(deadlock) = &checks.prediction {
        failed.push(deadlock.to_string());
    }
    if checks.report.as_ref().is_some_and(|r| !r.passed()) {
        failed.push("verify: the hardware differs from the golden model".to_owned());
    }
    if let Some(s) = &checks.synthesis {
        m["synth"] = figures::synthesis(s);
        if let Some(board) = board {
            let used = figures::utilisation(s, board, compiled.target.block_ram_bits);
            m["utilisation"] =
                used.iter().map(|(k, n, of)| json!({"resource": k, "used": n, "available": of})).collect();
            let short = used.iter().filter(|(_, n, of)| n > of);
            failed.extend(short.map(|(k, n, of)| {
                format!("{} is too small: {n:.0} {k} needed, {of:.0} there, {:.0} short", board.title, n - of)
            }));
        }
    }
    let s = &checks.seconds;
    let r = figures::rounded;
    m["time_s"] = json!({"generate": r(s.generate), "lint": r(s.lint), "golden": r(s.golden), "verify": r(s.verify),
        "synth": r(s.synth)});
    let passed = failed.is_empty();
    m["passed"] = json!(passed);
    m["failed"] = json!(failed);
    (m, passed)
}

/// Versions of what was run.
fn tools(toolbox: &Toolbox) -> Value {
    let names = ["verilator", "g++", "iverilog", "yosys"];
    let version = |name: &str| toolbox.find(name).map(|t| t.version).ok();
    Value::Object(names.iter().map(|n| ((*n).to_owned(), json!(version(n)))).collect())
}
