//! Standard cells: areas, slack and energy with the liberty files beside the workspace; without them these tests say so.

use std::path::PathBuf;

use nervure_back::{Guard, Options};
use nervure_sim::Subject;
use nervure_sim::asic::{Asic, AsicOptions, asic};
use nervure_tests::arrays::outside;
use nervure_tests::{Built, bench, golden, noise, registry, rng};

/// Each library as its files, with its NAND gate: name, and area as its README says.
fn libraries(test: &str) -> Vec<(Vec<PathBuf>, &'static str, f64)> {
    let Some(folder) = outside("liberty", test) else { return Vec::new() };
    let files = |list: &[&str]| list.iter().map(|f| folder.join(f)).collect::<Vec<_>>();
    let asap7 = [
        "asap7_SIMPLE_RVT_TT_nldm_211120.lib.gz",
        "asap7_INVBUF_RVT_TT_nldm_220122.lib.gz",
        "asap7_SEQ_RVT_TT_nldm_220123.lib.gz",
    ];
    vec![
        (files(&["ihp_sg13g2_typ_1p20V_25C.lib.gz"]), "sg13g2_nand2_1", 7.2576),
        (files(&["sky130hd_tt.lib.gz"]), "sky130_fd_sc_hd__nand2_1", 3.7536),
        (files(&asap7), "NAND2x", 0.05832),
    ]
}

fn map(built: &Built, network: &nervure_core::Network, liberty: &[PathBuf], clock_mhz: u32) -> Asic {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/xor-pulse");
    let samples = nervure_front::samples(&folder.join("samples.npz"), network).expect("samples").take(10);
    let trace = golden(network, &samples).expect("it runs");
    let subject = Subject { design: &built.design, network, rtl: &built.rtl() };
    let options = AsicOptions { liberty, clock_mhz, samples: Some((&samples, &trace)) };
    let target = registry().target("asic").expect("a target");
    let found = asic(&bench(), &subject, target, &options).unwrap_or_else(|e| panic!("{e:#}"));
    found.expect("this is no dry run")
}

#[test]
fn a_design_is_mapped_to_every_library() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/xor-pulse");
    let network = nervure_front::load(&folder, registry(), &[]).expect("it loads");
    let target = registry().target("asic").expect("a target");
    let plain = Built::new(&network, target, &Options::default()).expect("it builds");
    let (hard, _) =
        Built::hardened(&network, target, &Options::default(), Guard::TMR).expect("it can be hardened");
    let mut sizes = Vec::new();
    for (liberty, nand, area) in libraries("a_design_is_mapped_to_every_library") {
        let found = map(&plain, &network, &liberty, 40);
        assert!(found.nand2.starts_with(nand), "{}", found.nand2);
        assert!((found.nand2_um2 - area).abs() < 1e-6, "{}", found.nand2_um2);
        assert!((found.area_um2 / area / 1000.0 - found.kge).abs() < 1e-6);
        assert_eq!(found.by_cell.values().sum::<u64>(), found.cells);
        let timing = found.timing.expect("OpenSTA is installed");
        assert!(timing.worst_slack_ns > 0.0 && timing.worst_slack_ns < 25.0, "{}", timing.worst_slack_ns);
        let power = timing.power_mw.expect("the activity is known");
        assert!(power > 0.0, "{power}");
        let activity = found.activity.expect("samples were given");
        assert!(activity.toggles > 0.0 && activity.toggles < 1.0, "{}", activity.toggles);
        // Of one library, as each takes Yosys a while.
        if sizes.is_empty() {
            // A clock that nothing keeps to is missed.
            let fast = map(&plain, &network, &liberty, 19_000).timing.expect("OpenSTA is installed");
            assert!(fast.worst_slack_ns < 0.0, "{}", fast.worst_slack_ns);
            // Mapping keeps the copies of a hardened design, though it becomes one module.
            let hardened = map(&hard, &network, &liberty, 40);
            assert!(
                hardened.ff >= 3 * found.ff,
                "{} flip-flops, {} without hardening",
                hardened.ff,
                found.ff
            );
        }
        sizes.push(found.kge);
    }
    for kge in &sizes {
        assert!((kge / sizes[0] - 1.0).abs() < 0.25, "kGE of one design over libraries: {sizes:?}");
    }
}

/// The network of a text.
fn written(text: &str) -> nervure_core::Network {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    std::fs::write(folder.path().join("network.yaml"), text).expect("a file is written");
    nervure_front::load(folder.path(), registry(), &[]).expect("it loads")
}

/// Slack of a design at 40 MHz.
fn slack(
    built: &Built,
    network: &nervure_core::Network,
    target: &nervure_core::Target,
    liberty: &[PathBuf],
) -> f64 {
    let subject = Subject { design: &built.design, network, rtl: &built.rtl() };
    let options = AsicOptions { liberty, clock_mhz: 40, samples: None };
    let found = asic(&bench(), &subject, target, &options).unwrap_or_else(|e| panic!("{e:#}"));
    found.and_then(|a| a.timing).expect("OpenSTA is installed").worst_slack_ns
}

#[test]
fn a_net_with_many_loads_is_buffered() {
    // 1536 registers move with one enable.
    let text = "nervure: 1\nname: wide\ninputs:\n  - {name: x, shape: [256], format: s8.4, rate: frame, lanes: 256}\n\
                layers:\n  - {name: relu, block: act/relu}\n  - {name: few, block: act/quant, bits: 6, frac: 4, \
                signed: 0, rounding: half_even, overflow: saturate}\n";
    let network = written(text);
    let target = registry().target("asic").expect("a target");
    let built = Built::new(&network, target, &Options::default()).expect("it builds");
    let mut bare = target.clone();
    bare.synth = target.synth.replace("-constr CONSTRAINTS ", "");
    assert_ne!(bare.synth, target.synth);
    for (n, (liberty, ..)) in libraries("a_net_with_many_loads_is_buffered").iter().enumerate() {
        let with = slack(&built, &network, target, liberty);
        assert!(with >= 0.0, "{with} ns with {liberty:?}");
        // Of one library, as each takes Yosys a while: the design is one that needs it.
        if n == 0 {
            let without = slack(&built, &network, &bare, liberty);
            assert!(without < 0.0, "{without} ns without buffers");
        }
    }
}

#[test]
fn many_multipliers_that_are_mapped_once_are_right() {
    let row =
        |n: usize| (0..16).map(move |k| (7 * n + 5 * k) % 16).map(|w: usize| (w as i64 - 8).to_string());
    let rows: Vec<String> = (0..16).map(|n| format!("[{}]", row(n).collect::<Vec<_>>().join(", "))).collect();
    let text = format!(
        "nervure: 1\nname: many\ninputs:\n  - {{name: x, shape: [16], format: u4.2, rate: frame, lanes: 16}}\n\
         layers:\n  - {{name: sums, block: dense/unrolled, weights: [{}], weight_format: s4.2, run_time_weights: true}}\n",
        rows.join(", ")
    );
    let network = written(&text);
    let target = registry().target("asic").expect("a target");
    let built = Built::new(&network, target, &Options::default()).expect("it builds");
    let samples = noise(&network, 20, 1, &mut rng(1));
    let trace = golden(&network, &samples).expect("it runs");
    let subject = Subject { design: &built.design, network: &network, rtl: &built.rtl() };
    // Of one library, as it takes Yosys a while.
    for (liberty, ..) in libraries("many_multipliers_that_are_mapped_once_are_right").iter().take(1) {
        let options = AsicOptions { liberty, clock_mhz: 40, samples: Some((&samples, &trace)) };
        let found = asic(&bench(), &subject, target, &options).unwrap_or_else(|e| panic!("{e:#}"));
        let found = found.expect("this is no dry run");
        // Seven or eight inputs of each multiplier have a buffer: the way is taken.
        let buffers =
            found.by_cell.iter().filter(|(name, _)| name.contains("_buf_")).map(|(_, n)| n).sum::<u64>();
        assert!(buffers >= 256 * 8, "{buffers} buffers");
        assert!(found.timing.expect("OpenSTA is installed").worst_slack_ns >= 0.0);
        // Every answer was compared with the golden model's.
        assert_eq!(found.activity.expect("samples were given").samples, 20);
    }
}
