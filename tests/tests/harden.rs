//! Hardened builds: every block with its registers in three copies is the same design, and synthesis keeps the copies.
//!
//! `NERVURE_ONLY=group/name` visits one block; `NERVURE_ALL=1` every example of each, not the first alone.

use std::sync::Arc;

use nervure_back::{Guard, Options, harden, lower, render};
use nervure_core::{Instance, Network};
use nervure_sim::faults::{FaultOptions, inject};
use nervure_sim::{Subject, synth::synth};
use nervure_tests::{
    Built, alone, bench, golden, library, noise, on_two_threads, registry, rng, step_counts, target,
};

fn examples() -> Vec<(&'static str, usize, Arc<dyn Instance>)> {
    let all = std::env::var_os("NERVURE_ALL").is_some();
    let of = |b: &'static dyn nervure_core::AnyBlock| {
        let number = if all { usize::MAX } else { 1 };
        b.examples().into_iter().enumerate().take(number).map(|(n, instance)| (b.name(), n, instance))
    };
    library::blocks().into_iter().flat_map(of).collect()
}

/// What is wrong with an example.
fn visit((block, number, instance): &(&'static str, usize, Arc<dyn Instance>)) -> Vec<String> {
    let layer = block.split('/').next_back().expect("a name has a last part");
    let network = alone("example", layer, instance.clone());
    let (built, hardened) = match Built::hardened(&network, target(), &Options::default(), Guard::TMR) {
        Ok(built) => built,
        Err(d) => return vec![format!("{block} example {number}: {d}")],
    };
    let mut wrong = built.lint();
    let plain = || built.files.iter().filter(|f| !f.path.ends_with("_flop.v") && !f.path.ends_with("_tmr.v"));
    let clocked = plain()
        .filter(|f| f.text.lines().any(|l| l.contains("always @(posedge clk)") && l.contains("_q <=")));
    wrong.extend(clocked.map(|f| format!("{} has a register of its own", f.path)));
    let copies = plain().map(|f| f.text.matches("example_tmr #(").count()).sum::<usize>();
    if copies != hardened.registers {
        wrong.push(format!("{copies} instances for {} registers", hardened.registers));
    }
    for &steps in step_counts(&network) {
        let samples = noise(&network, 12, steps, &mut rng((number * 10 + steps) as u64));
        if let Err(text) = built.check(&network, &samples, 1, None) {
            wrong.push(format!("{steps} steps: {text}"));
        }
    }
    wrong.into_iter().map(|text| format!("{block} example {number}: {text}")).collect()
}

#[test]
fn a_hardened_block_is_the_same_block() {
    let wrong: Vec<String> = on_two_threads(&examples(), visit).concat();
    assert!(wrong.is_empty(), "{} faults\n\n{}", wrong.len(), wrong.join("\n\n"));
}

fn example(name: &str) -> Network {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    nervure_front::load(&folder, registry(), &[]).unwrap_or_else(|d| panic!("{d}"))
}

/// Yosys must find three flip-flops for each bit of a register, and may not find that two of them are equal.
#[test]
fn synthesis_keeps_three_of_every_flip_flop() {
    let network = example("xor-pulse");
    for name in ["xc7", "ice40", "ecp5"] {
        let target = registry().target(name).expect("a target");
        let (built, _) =
            Built::hardened(&network, target, &Options::default(), Guard::TMR).expect("it can be hardened");
        let samples = noise(&network, 8, 4, &mut rng(1));
        let trace = golden(&network, &samples).expect("it runs");
        let subject = Subject { design: &built.design, network: &network, rtl: &built.rtl() };
        let options = FaultOptions { count: 0, seed: 1, window: 1, twice: false };
        let found = inject(&bench(), &subject, &samples, &trace, &options).expect("it simulates");
        let simulated = found.expect("this is no dry run").flip_flops;
        let found = synth(bench().toolbox, &built.rtl(), &built.design.name, target, "").expect("Yosys runs");
        let mapped = found.expect("this is no dry run");
        assert_eq!(mapped.ff, simulated, "{name}: flip-flops after synthesis, and in the simulation");
        assert_eq!(simulated % 3, 0, "{name}");
        let plain = Built::new(&network, target, &Options::default()).expect("it builds");
        let found = synth(bench().toolbox, &plain.rtl(), &plain.design.name, target, "").expect("Yosys runs");
        let plain = found.expect("this is no dry run").ff;
        assert!(mapped.ff >= 3 * plain, "{name}: {} flip-flops, {plain} without hardening", mapped.ff);
    }
}

#[test]
fn hardening_gives_the_same_bytes_every_time() {
    let network = example("digits-autoencoder");
    let once = || {
        let design = lower(&network, registry(), target(), &Options::default()).expect("it is lowered");
        let files = render(&design, registry(), target());
        harden(&design, registry(), files, Guard::TMR).expect("it can be hardened")
    };
    assert_eq!(once(), once());
}

/// A module in another style is refused by name, not left as it is.
#[test]
fn what_is_not_understood_is_refused() {
    let network = example("xor-pulse");
    let design = lower(&network, registry(), target(), &Options::default()).expect("it is lowered");
    let mut files = render(&design, registry(), target());
    let file = files.iter_mut().find(|f| f.path == "rtl/xor_pulse_either.v").expect("the module exists");
    file.text = file.text.replacen("always @(posedge clk)", "always @(negedge clk)", 1);
    let refused = harden(&design, registry(), files, Guard::TMR).expect_err("a falling edge");
    assert_eq!(refused.code, "E0601");
    assert!(refused.message.contains("xor_pulse_either"), "{refused}");
}
