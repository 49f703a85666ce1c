//! Quantized networks from outside, unrolled: every output that the reference gives, in the golden model and in the Verilog, a
//! frame a cycle.
//!
//! The data lies beside the workspace; without it these tests say so and visit one small case. `NERVURE_CASE=name` visits one
//! alone.

use std::path::{Path, PathBuf};

use nervure_back::{Options, lower};
use nervure_benches::qnn;
use nervure_core::{Body, Network, Samples};
use nervure_tests::arrays::outside;
use nervure_tests::{Built, golden, on_two_threads, registry, target};

/// A network with its inputs, and the outputs as targets.
struct Case {
    name: String,
    network: Network,
    samples: Samples,
}

/// The cases beside the workspace, and the small one that is always there.
fn cases(test: &str) -> Vec<Case> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/qnn");
    let only = std::env::var("NERVURE_CASE").ok();
    let mut files: Vec<PathBuf> = std::iter::once(own)
        .chain(outside("qnn", test))
        .flat_map(|folder| std::fs::read_dir(folder).expect("the folder is readable"))
        .map(|e| e.expect("the folder is readable").path())
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .filter(|p| only.as_ref().is_none_or(|name| p.file_stem().is_some_and(|s| s == name.as_str())))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "there is no case {only:?}");
    files.iter().map(|f| case(f, &[])).collect()
}

fn case(file: &Path, set: &[(String, String)]) -> Case {
    let name = file.file_stem().expect("a file has a name").to_string_lossy().into_owned();
    let text = std::fs::read_to_string(file).expect("a case is readable");
    let json = serde_json::from_str(&text).expect("a case is JSON");
    // Headers name the folder: under its own name, the simulator's programs are found in the cache.
    let parent = tempfile::tempdir().expect("a folder for temporary files");
    let folder = parent.path().join(&name);
    qnn::convert(&json, &folder).unwrap_or_else(|e| panic!("{name}: {e:#}"));
    let network = nervure_front::load(&folder, registry(), set).unwrap_or_else(|d| panic!("{name}: {d}"));
    let samples = nervure_front::samples(&folder.join("samples.npz"), &network);
    let samples = samples.unwrap_or_else(|d| panic!("{name}: {d}"));
    Case { name, network, samples }
}

fn targets(case: &Case) -> Vec<i64> {
    let targets = case.samples.targets.as_ref().expect("a case has outputs");
    let mut all = vec![0; targets.len()];
    targets.copy(0, &mut all);
    all
}

#[test]
fn the_golden_model_gives_what_the_reference_gives() {
    for case in cases("the_golden_model_gives_what_the_reference_gives") {
        let trace = golden(&case.network, &case.samples).unwrap_or_else(|d| panic!("{}: {d}", case.name));
        let mut y = vec![0; trace.outputs[0].elements.len()];
        trace.outputs[0].elements.copy(0, &mut y);
        assert_eq!(y, targets(&case), "{}", case.name);
    }
}

/// One kernel for all layers, whatever the clock, and it means the same.
#[test]
fn a_fused_network_is_one_kernel_that_gives_the_same() {
    for case in cases("a_fused_network_is_one_kernel_that_gives_the_same") {
        let design = lower(&case.network, registry(), target(), &Options::default());
        let design = design.unwrap_or_else(|d| panic!("{}: {d}", case.name));
        assert_eq!(design.modules.len(), 1, "{}", case.name);
        let Body::Flat(kernel) = &design.modules[0].body else { panic!("{}: no flat kernel", case.name) };
        let mut x = vec![0; case.network.inputs[0].tensor.len()];
        let y: Vec<i64> = (0..50)
            .flat_map(|sample| {
                case.samples.input(&case.network, 0, sample, 0, &mut x);
                kernel.eval(0, &x, &[]).outputs
            })
            .collect();
        assert_eq!(y, targets(&case)[..y.len()], "{}", case.name);
        let stages = design.modules[0].stages.as_ref().expect("a flat module is a pipeline");
        let early = kernel.stages(target(), target().budget_ps(design.clock_mhz));
        let (bits, most) = (stages.register_bits(kernel), early.register_bits(kernel));
        assert!(stages.count <= early.count && bits <= most, "{}", case.name);
        eprintln!("{}: {} stages, {bits} bits of registers (earliest: {most})", case.name, stages.count);
    }
}

#[test]
fn hardware_gives_what_the_reference_gives_a_frame_a_cycle() {
    let cases = cases("hardware_gives_what_the_reference_gives_a_frame_a_cycle");
    for line in on_two_threads(&cases, |case| hardware(case, &Options::default())) {
        eprintln!("{line}");
    }
}

/// The encoder that was really trained, with its 2144 parameters written at run time.
#[test]
fn the_trained_encoder_runs_with_written_weights() {
    let Some(folder) = outside("qnn", "the_trained_encoder_runs_with_written_weights") else { return };
    let set = [("conv2d1", "true"), ("dense4", "true")].map(|(layer, yes)| {
        let field = |name: &str, value: &str| (format!("layers.{layer}.{name}"), value.to_owned());
        [field("run_time_weights", yes), field("bias_format", "s6.5")]
    });
    let case = case(&folder.join("econt_cae_exact.json"), set.as_flattened());
    let trace = golden(&case.network, &case.samples).unwrap_or_else(|d| panic!("{d}"));
    let mut y = vec![0; trace.outputs[0].elements.len()];
    trace.outputs[0].elements.copy(0, &mut y);
    assert_eq!(y, targets(&case));
    let options = Options { clock_mhz: Some(40), most_stages: Some(2), ..Options::default() };
    let design = lower(&case.network, registry(), target(), &options).unwrap_or_else(|d| panic!("{d}"));
    let Body::Flat(kernel) = &design.modules[0].body else { panic!("no flat kernel") };
    assert_eq!(kernel.stores.iter().map(|s| s.words.len()).sum::<usize>(), 72 + 8 + 2048 + 16);
    eprintln!("{}", hardware(&case, &options));
}

/// Every vector at full speed, under stalls, and some with a reset; returns what it took.
fn hardware(case: &Case, options: &Options) -> String {
    let name = &case.name;
    let start = std::time::Instant::now();
    let built = Built::new(&case.network, target(), options);
    let built = built.unwrap_or_else(|d| panic!("{name}: {d}"));
    let generated = start.elapsed().as_secs_f64() / 2.0;
    let report = built.check(&case.network, &case.samples, 1, None);
    let report = report.unwrap_or_else(|text| panic!("{name}: {text}"));
    let cycles = &report.sample_cycles;
    assert_eq!(cycles.len(), case.samples.count, "{name}");
    assert!(cycles.windows(2).all(|w| w[1].start == w[0].start + 1), "{name}: not a frame a cycle");
    format!(
        "{name}: latency {}, generated in {generated:.2} s, compiled in {:.1} s, simulated in {:.1} s",
        cycles[0].finish - cycles[0].start,
        report.compile_s,
        report.simulate_s
    )
}
