//! Weights over the register bus: loaded between two samples, read back, refused while samples run.

use nervure_back::Options;
use nervure_core::block::Rng;
use nervure_core::{Network, Samples};
use nervure_front::NetworkBuilder;
use nervure_sim::cosim::{Subject, reload};
use nervure_tests::{Built, bench, golden, noise, registry, rng, target};
use rand::RngExt;
use serde_json::{Value, json};

fn weights(out: usize, inputs: usize, bits: u32, rng: &mut Rng) -> Value {
    let most = 1i64 << (bits - 1);
    let row = |rng: &mut Rng| (0..inputs).map(|_| rng.random_range(-most..most)).collect::<Vec<i64>>();
    json!((0..out).map(|_| row(rng)).collect::<Vec<_>>())
}

fn neuron(threshold: i64, overflow: &str) -> Value {
    json!({"block": "neuron/lif", "membrane": "s12", "threshold": threshold, "compare": "gt", "reset": "zero",
        "leak": {"shift": 3}, "overflow": overflow})
}

/// Two layers on the bus, the first with recurrence, wide words (32 lanes of 4 bits) and a silenced neuron; another with constant
/// weights between them; counts at the end. Only weights depend on `seed`.
fn network(seed: u64) -> Network {
    let (fixed, drawn) = (&mut rng(5), &mut rng(seed));
    let x = serde_json::from_value(json!({"shape": [20], "format": "u1", "rate": "step"})).expect("a tensor");
    let mask: Vec<i64> = (0..64).map(|n| i64::from(n != 7)).collect();
    NetworkBuilder::new("reloaded", registry())
        .input("x", x, Some(5))
        .and_then(|b| {
            b.layer(
                "first",
                "engine/spiking",
                json!({"weights": weights(64, 20, 4, drawn), "weight_format": "s4",
                "recurrent": weights(64, 64, 3, drawn), "lanes": 32, "mask": mask, "run_time_weights": true,
                "neuron": neuron(14, "wrap")}),
            )
        })
        .and_then(|b| {
            b.layer(
                "middle",
                "engine/spiking",
                json!({"weights": weights(12, 64, 3, fixed), "weight_format": "s3",
                "lanes": 4, "neuron": neuron(9, "saturate")}),
            )
        })
        .and_then(|b| {
            b.layer(
                "out",
                "engine/spiking",
                json!({"weights": weights(5, 12, 9, drawn), "weight_format": "s9",
                "lanes": 1, "run_time_weights": true, "neuron": neuron(120, "saturate")}),
            )
        })
        .and_then(|b| b.layer("counts", "seq/sum", json!({"output": "u5"})))
        .and_then(NetworkBuilder::finish)
        .unwrap_or_else(|d| panic!("{d}"))
}

fn samples(network: &Network) -> Samples {
    noise(network, 40, 6, &mut rng(3))
}

#[test]
fn other_weights_are_loaded_between_two_samples() {
    let (one, two) = (network(1), network(2));
    let samples = samples(&one);
    let traces = [&one, &two].map(|n| golden(n, &samples).expect("it runs"));
    assert_ne!(traces[0].outputs[0].elements, traces[1].outputs[0].elements, "the weights make a difference");
    for name in ["xc7", "ice40"] {
        let target = registry().target(name).expect("a target");
        let [a, b] = [&one, &two].map(|n| Built::new(n, target, &Options::default()).expect("it builds"));
        assert_eq!(a.lint(), Vec::<String>::new());
        // The same hardware, but for the memories' first contents.
        for (x, y) in a.files.iter().zip(&b.files).filter(|(f, _)| !f.path.contains(".mem")) {
            assert_eq!(x, y, "{name}");
        }
        let report = a.check(&one, &samples, 1, None).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(report.passed());
        let subject = Subject { design: &a.design, network: &one, rtl: &a.rtl() };
        let report = reload(&bench(), &subject, &b.design, &samples, [&traces[0], &traces[1]], 9);
        let report = report.expect("it is simulated").expect("this is no dry run");
        assert!(report.passed(), "{name}: {report:?}");
        assert!(report.reloaded_after.iter().all(|n| (20..40).contains(n)), "{:?}", report.reloaded_after);
    }
}

#[test]
fn what_is_wrong_is_found() {
    let (one, two) = (network(1), network(2));
    let samples = samples(&one);
    let traces = [&one, &two].map(|n| golden(n, &samples).expect("it runs"));
    let built = |n: &Network| Built::new(n, target(), &Options::default()).expect("it builds");
    let other = built(&two);
    let edits = [
        ("reloaded_first_weight_0.v", "bus_wstrb[1]", "bus_wstrb[2]", "differ: "),
        ("reloaded_bus.v", "wire free = hold_q & idle;", "wire free = idle | 1'b1;", "early: 4"),
        ("reloaded_bus.v", "hold_q <= s_axil_wdata[0]", "hold_q <= 1'b1", "nothing moves any more"),
        (
            "reloaded_out_weight_0.v",
            "if (write & bus_wstrb[0])",
            "if (1'b0 & write & bus_wstrb[0])",
            "differ: ",
        ),
    ];
    for (file, from, to, expected) in edits {
        let wrong = built(&one);
        let path = wrong.rtl().join(file);
        let text = std::fs::read_to_string(&path).expect("the module");
        assert!(text.contains(from), "the edit applies: {from}\n{text}");
        std::fs::write(&path, text.replace(from, to)).expect("the module is written");
        let subject = Subject { design: &wrong.design, network: &one, rtl: &wrong.rtl() };
        let report = reload(&bench(), &subject, &other.design, &samples, [&traces[0], &traces[1]], 9);
        let report = report.expect("it is simulated").expect("this is no dry run");
        let told: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|t| t.contains(expected)), "{file}, {to}: {told:?}");
    }
}

#[test]
fn the_address_map_is_written_down() {
    let built = Built::new(&network(1), target(), &Options::default()).expect("it builds");
    let text = |path: &str| {
        let file = built.files.iter().find(|f| f.path == path);
        file.unwrap_or_else(|| panic!("{path} is written")).text.clone()
    };
    let (map, rdl) = (text("registers/registers.md"), text("registers/registers.rdl"));
    for bank in built.design.banks() {
        let memory = built.design.held(&bank);
        assert!(
            bank.base.is_multiple_of(1 << bank.size_bits()) && bank.base >= nervure_core::Design::REGISTERS
        );
        assert!(map.contains(&format!("0x{:04x} to ", bank.base)) && map.contains(&memory.name), "{map}");
        assert!(rdl.contains(&format!("@ 0x{:x};", bank.base)), "{rdl}");
    }
    let banks = built.design.banks();
    let ends = banks.iter().map(|b| b.base + (1u64 << b.size_bits()));
    assert!(banks.iter().skip(1).zip(ends).all(|(next, end)| next.base >= end), "banks overlap");
    // Without such weights there is no bus, and nothing of it.
    let plain = NetworkBuilder::new("plain", registry())
        .input("x", nervure_core::TensorType::step(&[4], nervure_core::QType::unsigned(1)), None)
        .and_then(|b| b.layer("counts", "seq/sum", json!({})))
        .and_then(NetworkBuilder::finish)
        .expect("a network");
    let plain = Built::new(&plain, target(), &Options::default()).expect("it builds");
    assert!(plain.files.iter().all(|f| !f.text.contains("s_axil") && !f.path.starts_with("registers")));
}

#[test]
fn there_is_one_input_to_hold_back() {
    let x = || nervure_core::TensorType::step(&[4], nervure_core::QType::unsigned(1));
    let network = NetworkBuilder::new("two", registry())
        .input("x", x(), None)
        .and_then(|b| b.input("z", x(), None))
        .and_then(|b| b.layer("all", "seq/concat", json!({"from": ["x", "z"], "lanes": 4})))
        .and_then(|b| {
            b.layer(
                "out",
                "engine/spiking",
                json!({"weights": weights(2, 8, 4, &mut rng(1)), "weight_format": "s4",
                "lanes": 2, "run_time_weights": true, "neuron": neuron(9, "wrap")}),
            )
        })
        .and_then(NetworkBuilder::finish)
        .unwrap_or_else(|d| panic!("{d}"));
    let told = Built::new(&network, target(), &Options::default()).expect_err("two inputs");
    assert_eq!((told.code, told.path.join(".")), ("E0203", "inputs".to_owned()), "{told}");
}
