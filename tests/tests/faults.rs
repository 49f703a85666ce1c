//! Injected faults: an unhardened design shows them, a hardened one none, and equal seeds give equal reports.

use nervure_back::{Guard, Options};
use nervure_core::{Network, Samples};
use nervure_sim::Subject;
use nervure_sim::faults::{Effect, FaultOptions, Faults, inject, window};
use nervure_tests::{Built, bench, golden, registry, target};

fn example(name: &str) -> (Network, Samples) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    let network = nervure_front::load(&folder, registry(), &[]).unwrap_or_else(|d| panic!("{d}"));
    let samples =
        nervure_front::samples(&folder.join("samples.npz"), &network).unwrap_or_else(|d| panic!("{d}"));
    (network, samples.take(40))
}

fn upset(built: &Built, network: &Network, samples: &Samples, count: u64, seed: u64) -> Faults {
    let trace = golden(network, samples).expect("it runs");
    let subject = Subject { design: &built.design, network, rtl: &built.rtl() };
    let options = FaultOptions { count, seed, window: 3, twice: false };
    let found = inject(&bench(), &subject, samples, &trace, &options).unwrap_or_else(|e| panic!("{e:#}"));
    found.expect("this is no dry run")
}

#[test]
fn a_hardened_design_shows_no_fault() {
    for name in ["xor-pulse", "digits-autoencoder"] {
        let (network, samples) = example(name);
        let plain = Built::new(&network, target(), &Options::default()).expect("it builds");
        let (hard, _) =
            Built::hardened(&network, target(), &Options::default(), Guard::TMR).expect("it can be hardened");
        let shown = upset(&plain, &network, &samples, 500, 1);
        // The injector works: of single flips in a design without voters many are seen.
        assert!(shown.count(Effect::Silent) > 10, "{name}: {} silent", shown.count(Effect::Silent));
        let none = upset(&hard, &network, &samples, 2000, 1);
        assert_eq!(none.flips.len(), 2000);
        assert_eq!(none.count(Effect::Masked), 2000, "{name}: {:?}", none.registers_with(Effect::Silent));
        assert_eq!(none.flip_flops, 3 * shown.flip_flops, "{name}");
        // Every copy is among those that are hit.
        for copy in ["copy_a", "copy_b", "copy_c"] {
            assert!(none.flips.iter().any(|f| f.register.contains(copy)), "{name}: {copy}");
        }
    }
}

/// A vote that one copy decides alone must be found out.
#[test]
fn a_wrong_vote_is_found() {
    let (network, samples) = example("xor-pulse");
    let (hard, _) =
        Built::hardened(&network, target(), &Options::default(), Guard::TMR).expect("it can be hardened");
    let file = hard.rtl().join("xor_pulse_tmr.v");
    let text = std::fs::read_to_string(&file).expect("the cell is there");
    let wrong = text.replace(
        "assign held = (a & b) | (a & c) | (b & c);",
        "assign held = b;\n  wire unused = &{1'b0, a, c};",
    );
    assert_ne!(text, wrong);
    std::fs::write(&file, wrong).expect("it is written");
    let found = upset(&hard, &network, &samples, 1000, 1);
    assert!(found.count(Effect::Silent) > 0);
    assert!(found.flips.iter().filter(|f| f.effect != Effect::Masked).all(|f| f.register.contains("copy_b")));
}

#[test]
fn equal_seeds_give_equal_flips() {
    let (network, samples) = example("xor-pulse");
    let plain = Built::new(&network, target(), &Options::default()).expect("it builds");
    let run = |seed| upset(&plain, &network, &samples, 200, seed).flips;
    let (first, again, other) = (run(1), run(1), run(2));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert!(first.iter().any(|f| f.stalled) && first.iter().any(|f| !f.stalled));
}

#[test]
fn a_window_is_shorter_where_samples_are_long() {
    assert_eq!([1, 100, 150, 100_000].map(|cycles| window(cycles, 50)), [4, 4, 2, 1]);
    assert_eq!(window(1, 2), 2);
}
