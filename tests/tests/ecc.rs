//! Memories of code words, constant or written at run time: the same design, still block RAM, no single flip shows, and two in a word never go unsaid.
//!
//! `NERVURE_ONLY=group/name` visits one block.

use nervure_back::{Guard, Options};
use nervure_core::{Network, QType, Samples, TensorType};
use nervure_front::NetworkBuilder;
use nervure_sim::cosim::{reload, samples_to_reload};
use nervure_sim::faults::{Effect, FaultOptions, Faults, inject};
use nervure_sim::{Subject, synth::synth};
use nervure_tests::{
    Built, alone, bench, golden, library, noise, on_two_threads, registry, rng, step_counts, target,
};
use rand::RngExt;
use serde_json::json;

/// A folded layer whose weight memory has `outputs * inputs / (pe * simd)` words of `pe * simd * bits` bits.
fn folded(fold: [usize; 4], bits: u8) -> Network {
    layer(fold, bits, u64::from(bits), false)
}

/// The same with weights drawn from `seed`, on the register bus or not.
fn layer([outputs, inputs, pe, simd]: [usize; 4], bits: u8, seed: u64, run_time: bool) -> Network {
    let (rng, format) = (&mut rng(seed), QType::signed(bits));
    let weights: Vec<Vec<i64>> = (0..outputs)
        .map(|_| (0..inputs).map(|_| rng.random_range(format.min()..=format.max())).collect())
        .collect();
    let bias: Vec<i64> = (0..outputs).map(|_| rng.random_range(-200..200)).collect();
    NetworkBuilder::new("coded", registry())
        .input("x", TensorType::frame(&[inputs], QType::unsigned(3)), Some(simd))
        .and_then(|b| {
            let more =
                json!({"weights": weights, "weight_format": format, "bias": bias, "pe": pe, "simd": simd});
            let mut more = more;
            if run_time {
                more["run_time_weights"] = json!(true);
                more["bias_format"] = json!("s9");
            }
            b.layer("sum", "engine/folded", more)
        })
        .and_then(NetworkBuilder::finish)
        .unwrap_or_else(|d| panic!("{d}"))
}

fn upset(built: &Built, network: &Network, samples: &Samples, count: u64, twice: bool) -> Faults {
    let trace = golden(network, samples).expect("it runs");
    let subject = Subject { design: &built.design, network, rtl: &built.rtl() };
    let options = FaultOptions { count, seed: 1, window: 3, twice };
    let found = inject(&bench(), &subject, samples, &trace, &options).unwrap_or_else(|e| panic!("{e:#}"));
    found.expect("this is no dry run")
}

/// Every block that has a memory of weights, with and without copies of its registers: bits, cycles, lint. Of each the first
/// example and those with weights on the register bus.
#[test]
fn a_coded_block_is_the_same_block() {
    let all: Vec<_> = library::blocks()
        .into_iter()
        .flat_map(|b| b.examples().into_iter().enumerate().map(move |(n, instance)| (b.name(), n, instance)))
        .filter(|(_, n, instance)| {
            let body = instance.body();
            let nervure_core::Body::Template(t) = &body else { return false };
            *n == 0 && !t.memories.is_empty() || t.memories.iter().any(|m| m.run_time.is_some())
        })
        .map(|(name, _, instance)| (name, instance))
        .collect();
    let visit = |(name, instance): &(&'static str, std::sync::Arc<dyn nervure_core::Instance>)| {
        let mut wrong = Vec::new();
        let network = alone("example", name.split('/').next_back().expect("a name"), instance.clone());
        for guard in [Guard::ECC, Guard::BOTH] {
            let (built, done) = Built::hardened(&network, target(), &Options::default(), guard)
                .unwrap_or_else(|d| panic!("{name}: {d}"));
            if done.coded_memories.is_empty() {
                continue;
            }
            eprintln!("{name}: {:?}", done.coded_memories);
            wrong.extend(built.lint());
            for &steps in step_counts(&network) {
                let samples = noise(&network, 8, steps, &mut rng(steps as u64));
                wrong.extend(built.check(&network, &samples, 1, None).err());
            }
        }
        wrong.into_iter().map(|w| format!("{name}: {w}")).collect::<Vec<_>>()
    };
    let wrong = on_two_threads(&all, visit).concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Words of 2 to 130 bits, which lie in three code words: single flips of memories and of what is read never show, and
/// double flips show only where the design says so.
#[test]
fn flips_in_words_of_several_widths() {
    let cases = [
        ([4, 4, 1, 1], 2),
        ([4, 6, 1, 2], 4),
        ([4, 4, 2, 2], 4),
        ([6, 8, 2, 4], 4),
        ([4, 8, 4, 4], 4),
        ([4, 26, 2, 13], 5),
    ];
    on_two_threads(&cases, |&(fold, bits)| {
        let network = folded(fold, bits);
        let samples = noise(&network, 30, 1, &mut rng(2));
        for guard in [Guard::ECC, Guard::BOTH] {
            let (built, done) =
                Built::hardened(&network, target(), &Options::default(), guard).expect("it can be hardened");
            let bias = if fold[0] > fold[2] { vec!["coded_sum.bias_mem"] } else { Vec::new() };
            assert_eq!(done.coded_memories, [vec!["coded_sum.weight_mem"], bias].concat());
            let one = upset(&built, &network, &samples, 600, false);
            let shown = |f: &&nervure_sim::faults::Flip| f.effect != Effect::Masked;
            let coded: Vec<_> = one.flips.iter().filter(|f| f.coded).collect();
            assert!(coded.len() > 50 && one.memory_bits > 0, "{} flips in code words", coded.len());
            assert!(!coded.iter().copied().any(|f| shown(&f)), "{fold:?}: a flip in a code word shows");
            assert!(guard == Guard::ECC || one.flips.iter().all(|f| f.effect == Effect::Masked), "{fold:?}");
            let two = upset(&built, &network, &samples, 300, true);
            assert_eq!(
                two.count(Effect::Silent) + two.count(Effect::Hung),
                0,
                "{fold:?}: {:?}",
                two.registers_with(Effect::Silent)
            );
            assert!(two.count(Effect::Detected) > 10, "{fold:?}: {} detected", two.count(Effect::Detected));
        }
    });
}

/// Without the correction single flips show; with the parity left out double flips do.
#[test]
fn a_wrong_decoder_is_found() {
    let network = folded([4, 4, 2, 2], 4);
    let samples = noise(&network, 30, 1, &mut rng(2));
    for (from, to, twice) in [
        ("assign data[0] = code[0] ^", "assign data[0] = code[0] & 1'b1 | 1'b0 &", false),
        ("if (good_q & lost) failed_q <= 1'b1;", "if (good_q & lost & odd) failed_q <= 1'b1;", true),
    ] {
        let (built, _) =
            Built::hardened(&network, target(), &Options::default(), Guard::ECC).expect("it can be hardened");
        let file = built.rtl().join("coded_ecc_16.v");
        let text = std::fs::read_to_string(&file).expect("the decoder is there");
        assert!(text.contains(from), "{text}");
        std::fs::write(&file, text.replace(from, to)).expect("it is written");
        let found = upset(&built, &network, &samples, 600, twice);
        assert!(found.flips.iter().any(|f| f.coded && f.effect == Effect::Silent), "{from}");
    }
}

/// Code words lie in block RAM where words would, also where registers have copies.
#[test]
fn block_ram_is_inferred() {
    let network = folded([32, 64, 1, 1], 8);
    let target = registry().target("xc7").expect("a target");
    let bram = |built: &Built| {
        let found = synth(bench().toolbox, &built.rtl(), &built.design.name, target, "").expect("Yosys runs");
        found.expect("this is no dry run").bram
    };
    let plain = bram(&Built::new(&network, target, &Options::default()).expect("it builds"));
    assert!(plain > 0.0);
    for guard in [Guard::ECC, Guard::BOTH] {
        let (built, _) =
            Built::hardened(&network, target, &Options::default(), guard).expect("it can be hardened");
        let coded = bram(&built);
        eprintln!("{guard:?}: {coded} block RAMs, {plain} without");
        assert!(coded >= plain, "{guard:?}: {coded} block RAMs, {plain} without");
    }
}

/// What the bus writes is encoded on the way, and what it reads decoded; a memory of one copy and one of two halves.
#[test]
fn words_that_are_written_are_coded() {
    let pair = |seed| layer([6, 8, 3, 4], 5, seed, true);
    for guard in [Guard::ECC, Guard::BOTH] {
        let (one, two) = (pair(1), pair(2));
        let (built, done) =
            Built::hardened(&one, target(), &Options::default(), guard).expect("it can be hardened");
        assert_eq!(done.coded_memories, ["coded_sum_bias.mem", "coded_sum_weight.mem"]);
        assert_eq!(built.lint(), Vec::<String>::new());
        let other = Built::new(&two, target(), &Options::default()).expect("it builds");
        let samples = noise(&one, samples_to_reload(&built.design), 1, &mut rng(3));
        let traces = [&one, &two].map(|n| golden(n, &samples).expect("it runs"));
        let subject = Subject { design: &built.design, network: &one, rtl: &built.rtl() };
        let report = reload(&bench(), &subject, &other.design, &samples, [&traces[0], &traces[1]], 9);
        let report = report.expect("it is simulated").expect("this is no dry run");
        assert!(report.passed(), "{guard:?}: {:?} {:?}", report.failures, report.first);
        let few = samples.take(30);
        let flips = upset(&built, &one, &few, 800, false);
        let shown =
            flips.flips.iter().filter(|f| f.effect != Effect::Masked && (f.coded || guard == Guard::BOTH));
        assert_eq!(shown.count(), 0, "{guard:?}");
        let two = upset(&built, &one, &few, 300, true);
        assert_eq!(two.count(Effect::Silent) + two.count(Effect::Hung), 0, "{guard:?}");
    }
}
