//! Standard cells: areas, slack and energy with the liberty files beside the workspace; without them these tests say so.

use std::path::PathBuf;

use nervure_back::{Guard, Options};
use nervure_sim::Subject;
use nervure_sim::asic::{Asic, AsicOptions, asic};
use nervure_tests::arrays::outside;
use nervure_tests::{Built, bench, golden, registry};

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
