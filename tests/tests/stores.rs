//! Weights of unrolled and folded layers over the register bus: loaded while samples pass, brought into use between two of them, never torn;
//! over AXI4-Lite and over two wires.

use nervure_back::Options;
use nervure_core::block::Rng;
use nervure_core::{Bus, Network, QType, Samples, TensorType};
use nervure_front::NetworkBuilder;
use nervure_sim::cosim::{Subject, reload, samples_to_reload};
use nervure_tests::{Built, bench, golden, noise, on_two_threads, registry, rng, target};
use rand::RngExt;
use serde_json::{Value, json};

fn integers(n: usize, bits: u32, rng: &mut Rng) -> Vec<i64> {
    let most = 1i64 << (bits - 1);
    (0..n).map(|_| rng.random_range(-most..most)).collect()
}

fn rows(out: usize, inputs: usize, bits: u32, rng: &mut Rng) -> Value {
    json!((0..out).map(|_| integers(inputs, bits, rng)).collect::<Vec<_>>())
}

/// A convolution and two dense layers, the middle one of constants; biases of a fraction of their own. Only what is written at
/// run time depends on `seed`.
fn network(seed: u64) -> Network {
    let (fixed, drawn) = (&mut rng(5), &mut rng(seed));
    let bias: Vec<i64> = integers(4, 5, drawn).iter().map(|b| b << 2).collect();
    let kernel: Vec<Vec<Vec<Vec<i64>>>> =
        (0..4).map(|_| vec![(0..2).map(|_| integers(2, 5, drawn)).collect::<Vec<_>>()]).collect();
    let relu = |b: NetworkBuilder<'static>, name: &str| b.layer(name, "act/relu", json!({}));
    NetworkBuilder::new("stored", registry())
        .input("x", TensorType::frame(&[4, 4, 1], QType { bits: 4, frac: 1, signed: false }), Some(16))
        .and_then(|b| {
            b.layer(
                "conv",
                "conv/unrolled",
                json!({"weights": kernel, "layout": "oihw", "weight_format": "s5.2", "stride": [2, 2], "bias": bias,
                "run_time_weights": true, "bias_format": "s5.1"}),
            )
        })
        .and_then(|b| relu(b, "conv relu"))
        .and_then(|b| b.layer("flat", "seq/flatten", json!({})))
        .and_then(|b| {
            b.layer("middle", "dense/unrolled", json!({"weights": rows(5, 16, 3, fixed), "weight_format": "s3"}))
        })
        .and_then(|b| b.layer("cut", "act/requant", json!({"output": "s7", "mode": {"shift": 3, "rounding": "half_even"}})))
        .and_then(|b| {
            b.layer(
                "out",
                "dense/unrolled",
                json!({"weights": rows(3, 5, 6, drawn), "weight_format": "s6", "run_time_weights": true}),
            )
        })
        .and_then(NetworkBuilder::finish)
        .unwrap_or_else(|d| panic!("{d}"))
}

fn options(bus: Bus, separate: bool) -> Options {
    // Several stages; on two wires slow enough for ten cycles a quarter of their clock.
    let clock_mhz = Some(if bus == Bus::I2c { 40 } else { 250 });
    Options { clock_mhz, most_stages: None, separate, bus: Some(bus), effort: Some(20_000) }
}

/// A convolution and a dense layer in memories, words of 72 bits in 96, and an unrolled layer behind them.
fn folded(seed: u64) -> Network {
    let drawn = &mut rng(seed);
    let bias: Vec<i64> = integers(6, 6, drawn).iter().map(|b| b << 1).collect();
    let cut = |b: NetworkBuilder<'static>, name: &str| {
        b.layer(name, "act/requant", json!({"output": "u4", "mode": {"shift": 5, "rounding": "half_up"}}))
    };
    NetworkBuilder::new("stored", registry())
        .input("x", TensorType::frame(&[5, 4, 2], QType::unsigned(4)), Some(2))
        .and_then(|b| b.layer("windows", "conv/window", json!({"kernel": [2, 2], "lanes": 2})))
        .and_then(|b| {
            b.layer(
                "conv",
                "engine/folded",
                json!({"weights": rows(6, 8, 6, drawn), "weight_format": "s6", "bias": bias, "pe": 3, "simd": 4,
                "run_time_weights": true, "bias_format": "s7"}),
            )
        })
        .and_then(|b| cut(b, "cut"))
        .and_then(|b| b.layer("pool", "pool/max", json!({"kernel": [2, 3], "lanes": 3})))
        .and_then(|b| {
            b.layer(
                "dense",
                "engine/folded",
                json!({"weights": rows(4, 12, 5, drawn), "weight_format": "s5", "reuse": 6, "run_time_weights": true}),
            )
        })
        .and_then(|b| cut(b, "cut again"))
        .and_then(|b| {
            b.layer(
                "out",
                "dense/unrolled",
                json!({"weights": rows(3, 4, 6, drawn), "weight_format": "s6", "run_time_weights": true}),
            )
        })
        .and_then(NetworkBuilder::finish)
        .unwrap_or_else(|d| panic!("{d}"))
}

struct Bound {
    one: Network,
    two: Network,
    built: Built,
    other: Built,
    samples: Samples,
}

impl Bound {
    fn new(network: fn(u64) -> Network, options: &Options) -> Self {
        let (one, two) = (network(1), network(2));
        let [built, other] =
            [&one, &two].map(|n| Built::new(n, target(), options).unwrap_or_else(|d| panic!("{d}")));
        let count = samples_to_reload(&built.design);
        let samples = noise(&one, count, 1, &mut rng(3));
        Self { one, two, built, other, samples }
    }

    /// The report of a run in which the other weights are loaded.
    fn reload(&self) -> nervure_sim::Report {
        let traces = [&self.one, &self.two].map(|n| golden(n, &self.samples).expect("it runs"));
        let subject = Subject { design: &self.built.design, network: &self.one, rtl: &self.built.rtl() };
        let report =
            reload(&bench(), &subject, &self.other.design, &self.samples, [&traces[0], &traces[1]], 9);
        report.expect("it is simulated").expect("this is no dry run")
    }
}

/// Replaces text in the Verilog of the file whose name ends so.
fn edit(bound: &Bound, file: &str, from: &str, to: &str) {
    let mut applied = false;
    for path in std::fs::read_dir(bound.built.rtl()).expect("a folder").map(|e| e.expect("a file").path()) {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if path.to_string_lossy().ends_with(file) && text.contains(from) {
            std::fs::write(&path, text.replace(from, to)).expect("the module is written");
            applied = true;
        }
    }
    assert!(applied, "the edit applies: {from}");
}

#[test]
fn weights_change_between_two_samples_of_a_running_stream() {
    let cases = [(Bus::AxiLite, false), (Bus::AxiLite, true), (Bus::I2c, false), (Bus::I2c, true)];
    on_two_threads(&cases, |&(bus, separate)| {
        let bound = Bound::new(network, &options(bus, separate));
        let Bound { one, built, other, samples, .. } = &bound;
        assert_eq!(built.lint(), Vec::<String>::new(), "{bus:?}");
        // The same hardware, but for what reset gives.
        for (x, y) in built.files.iter().zip(&other.files) {
            let store = ["_weights.v", "_bias.v", ".mem"].iter().any(|end| x.path.ends_with(end));
            assert!(x.path == y.path && (store || x.text == y.text), "{} differs", x.path);
        }
        let few = samples.take(100);
        let rest = built.check(one, &few, 1, None).unwrap_or_else(|e| panic!("{bus:?}, {separate}: {e}"));
        let cycles = &rest.sample_cycles;
        assert!(cycles.windows(2).all(|w| w[1].start == w[0].start + 1), "not a frame a cycle");
        let report = bound.reload();
        assert!(report.passed(), "{bus:?}, {separate}: {:?} {:?}", report.failures, report.first);
        let range = samples.count / 8 + 1..samples.count - 1;
        assert!(report.reloaded_after.iter().all(|n| range.contains(n)), "{:?}", report.reloaded_after);
        eprintln!("{bus:?}, separate {separate}: {:?} of {}", report.reloaded_after, samples.count);
    });
}

#[test]
fn memories_of_two_halves_change_between_two_samples() {
    on_two_threads(&[Bus::AxiLite, Bus::I2c], |&bus| {
        let bound = Bound::new(folded, &options(bus, false));
        let Bound { one, built, other, samples, .. } = &bound;
        assert_eq!(built.lint(), Vec::<String>::new(), "{bus:?}");
        for (x, y) in built.files.iter().zip(&other.files) {
            let store = ["_weights.v", ".mem"].iter().any(|end| x.path.ends_with(end));
            assert!(x.path == y.path && (store || x.text == y.text), "{} differs", x.path);
        }
        let banks = built.design.banks();
        assert_eq!(
            banks.iter().map(|b| (b.buffered, b.copies)).collect::<Vec<_>>(),
            [(true, true), (true, true), (true, true), (true, false)]
        );
        built.check(one, &samples.take(20), 1, None).unwrap_or_else(|e| panic!("{bus:?}: {e}"));
        let report = bound.reload();
        assert!(report.passed(), "{bus:?}: {:?} {:?}", report.failures, report.first);
        let range = samples.count / 8 + 1..samples.count - 1;
        assert!(report.reloaded_after.iter().all(|n| range.contains(n)), "{:?}", report.reloaded_after);
        eprintln!("{bus:?}: {:?} of {}", report.reloaded_after, samples.count);
    });
}

#[test]
fn what_is_wrong_with_two_halves_is_found() {
    let edits = [
        // A write into what is in use; a half that does not change; a read of what waits; a copy that is none.
        ("_conv_weight.v", "wire waits = copy_q ? put_q : ~bus_active;", "wire waits = copy_q & put_q;"),
        (
            "_conv_weight.v",
            "if (bus_swap) half_q <= ~half_q;",
            "if (bus_swap & en & bus_write) half_q <= ~half_q;",
        ),
        ("_dense_weight.v", "mem[{half_q, address}]", "mem[{~half_q, address}]"),
        ("_conv_weight.v", "put_q ? word_q[7:0] : bus_wdata[7:0]", "bus_wdata[7:0]"),
    ];
    on_two_threads(&edits, |(file, from, to)| {
        let bound = Bound::new(folded, &options(Bus::AxiLite, false));
        edit(&bound, file, from, to);
        let report = bound.reload();
        assert!(!report.passed(), "{file}, {to}: {:?}", report.reloaded_after);
    });
}

/// The network says which bus, unless the options do; without either it is AXI4-Lite.
#[test]
fn the_network_may_choose_the_bus() {
    let mut network = network(1);
    let bus = |network: &Network, bus: Option<Bus>| {
        let options = Options { bus, ..options(Bus::AxiLite, false) };
        Built::new(network, target(), &options).expect("it builds").design.bus
    };
    assert_eq!(bus(&network, None), Bus::AxiLite);
    network.bus = Some(Bus::I2c);
    assert_eq!((bus(&network, None), bus(&network, Some(Bus::AxiLite))), (Bus::I2c, Bus::AxiLite));
    let text = nervure_front::to_yaml(&network);
    assert!(text.contains("\nbus: i2c\n"), "{text}");
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    std::fs::write(folder.path().join("network.yaml"), text).expect("the folder may be written");
    let read = nervure_front::load(folder.path(), registry(), &[]).unwrap_or_else(|d| panic!("{d}"));
    assert_eq!(read.bus, Some(Bus::I2c));
    let set = [("bus".to_owned(), "axi-lite".to_owned())];
    let read = nervure_front::load(folder.path(), registry(), &set).unwrap_or_else(|d| panic!("{d}"));
    assert_eq!(read.bus, Some(Bus::AxiLite));
}

#[test]
fn what_is_wrong_is_found() {
    let edits = [
        // Some rows change a sample late, or never.
        (Bus::AxiLite, "_weights.v", "if (bus_swap) active_q", "if (bus_swap & row != 0) active_q", "differ"),
        // The pipeline is not empty when weights change.
        (
            Bus::AxiLite,
            "stored_bus.v",
            "assign bus_swap = commit_q & idle;",
            "assign bus_swap = commit_q;",
            "",
        ),
        (Bus::AxiLite, "stored_bus.v", "32'hedb88320", "32'hedb88321", "differ: "),
        (Bus::AxiLite, "stored_bus.v", "wire busy = pending | check_q;", "wire busy = pending;", "early: "),
        (
            Bus::I2c,
            "stored_i2c.v",
            "pointer_q <= pointer_q + 16'd1",
            "pointer_q <= pointer_q + 16'd2",
            "differ: ",
        ),
        (
            Bus::I2c,
            "stored_i2c.v",
            "if (bit_q == 4'd8) low_q <= listens;",
            "if (bit_q == 4'd8) low_q <= 1'b0;",
            "failed: ",
        ),
        (Bus::I2c, "stored_i2c.v", "&scl_seen_q |", "scl_sync_q[1] |", ""),
    ];
    on_two_threads(&edits, |&(bus, file, from, to, expected)| {
        let bound = Bound::new(network, &options(bus, true));
        edit(&bound, file, from, to);
        let report = bound.reload();
        let told: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
        let found = !report.passed() && (expected.is_empty() || told.iter().any(|t| t.contains(expected)));
        assert!(found, "{file}, {to}: {told:?} {:?}", report.mismatches);
    });
}

#[test]
fn the_registers_are_written_down() {
    for bus in [Bus::AxiLite, Bus::I2c] {
        let built = Built::new(&network(1), target(), &options(bus, false)).expect("it builds");
        let text = |path: &str| {
            let file = built.files.iter().find(|f| f.path == path);
            file.unwrap_or_else(|| panic!("{path} is written")).text.clone()
        };
        let (map, rdl) = (text("registers/registers.md"), text("registers/registers.rdl"));
        let banks = built.design.banks();
        assert_eq!(banks.len(), 3, "two layers, one with biases");
        for bank in banks {
            let memory = built.design.held(&bank);
            assert!(bank.buffered && map.contains(&memory.name), "{map}");
            assert!(rdl.contains(&format!("@ 0x{:x};", bank.base)), "{rdl}");
            let module = &built.design.modules[bank.module].name;
            let words = text(&format!("registers/{module}_{}.mem", memory.name));
            assert_eq!(words.lines().collect::<Vec<_>>(), memory.words);
        }
        for register in ["COMMIT", "CHECK", "CRC"] {
            assert!(map.contains(register) && rdl.contains(register));
        }
        let top = text("rtl/stored.v");
        assert_eq!(top.contains("input  wire i2c_scl"), bus == Bus::I2c);
        assert_eq!(top.contains("input  wire s_axil_awvalid"), bus == Bus::AxiLite);
    }
}
