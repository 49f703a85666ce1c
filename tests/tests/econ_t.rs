//! The encoder of a calorimeter's read-out: what is shipped, ten thousand events in hardware, constant and written at run time, and
//! another set of weights over two wires between two events.

use nervure_back::Options;
use nervure_core::{Bus, Network};
use nervure_sim::cosim::{Subject, reload, samples_to_reload};
use nervure_tests::command::root;
use nervure_tests::{Built, bench, golden, noise, registry, rng, target};

/// 25 ns, and at most two cycles.
fn options(bus: Bus) -> Options {
    Options { clock_mhz: Some(40), most_stages: Some(2), bus: Some(bus), ..Options::default() }
}

fn network(file: &str, weights: Option<&str>) -> Network {
    let arrays = [
        ("conv.weights", "conv"),
        ("conv.bias", "conv_bias"),
        ("dense.weights", "dense"),
        ("dense.bias", "dense_bias"),
    ];
    let set: Vec<(String, String)> = (arrays.into_iter())
        .filter_map(|(field, array)| Some((format!("layers.{field}"), format!("{}:{array}", weights?))))
        .collect();
    let file = root().join("examples/econ-t").join(file);
    nervure_front::load(&file, registry(), &set).unwrap_or_else(|d| panic!("{d}"))
}

#[test]
fn both_forms_give_the_codes_that_training_saw() {
    for file in ["network.yaml", "run_time.yaml"] {
        let network = network(file, None);
        let samples = nervure_front::samples(&root().join("examples/econ-t/samples.npz"), &network);
        let samples = samples.unwrap_or_else(|d| panic!("{d}"));
        let trace = golden(&network, &samples).unwrap_or_else(|d| panic!("{d}"));
        let targets = samples.targets.as_ref().expect("the codes are shipped");
        let (mut want, mut got) = (vec![0; targets.len()], vec![0; targets.len()]);
        targets.copy(0, &mut want);
        trace.outputs[0].elements.copy(0, &mut got);
        assert_eq!(got, want, "{file}");
    }
}

#[test]
fn ten_thousand_events_at_one_a_cycle_in_two_cycles() {
    for file in ["network.yaml", "run_time.yaml"] {
        let network = network(file, None);
        let built = Built::new(&network, target(), &options(Bus::AxiLite)).unwrap_or_else(|d| panic!("{d}"));
        assert_eq!(built.lint(), Vec::<String>::new(), "{file}");
        let events = noise(&network, 10_000, 1, &mut rng(8));
        let report = built.check(&network, &events, 1, None).unwrap_or_else(|e| panic!("{file}: {e}"));
        let cycles = &report.sample_cycles;
        assert!(cycles.windows(2).all(|w| w[1].start == w[0].start + 1), "{file}: not an event a cycle");
        let latency = cycles.iter().map(|c| c.finish - c.start).max().expect("there are events");
        assert!(latency <= 2, "{file}: {latency} cycles");
        eprintln!("{file}: latency {latency}, {} events", cycles.len());
    }
}

#[test]
fn other_weights_come_over_two_wires_between_two_events() {
    let (one, two) = (network("run_time.yaml", None), network("run_time.yaml", Some("other.npz")));
    let built = |n: &Network| Built::new(n, target(), &options(Bus::I2c)).unwrap_or_else(|d| panic!("{d}"));
    let (a, b) = (built(&one), built(&two));
    let samples = nervure_front::samples(&root().join("examples/econ-t/samples.npz"), &one);
    let samples = samples.unwrap_or_else(|d| panic!("{d}")).repeated(samples_to_reload(&a.design));
    let traces = [&one, &two].map(|n| golden(n, &samples).expect("it runs"));
    let subject = Subject { design: &a.design, network: &one, rtl: &a.rtl() };
    let report = reload(&bench(), &subject, &b.design, &samples, [&traces[0], &traces[1]], 4);
    let report = report.expect("it is simulated").expect("this is no dry run");
    assert!(report.passed(), "{:?} {:?}", report.failures, report.first);
    let range = samples.count / 8 + 1..samples.count - 1;
    assert!(report.reloaded_after.iter().all(|n| range.contains(n)), "{:?}", report.reloaded_after);
    eprintln!("events {:?} of {}", report.reloaded_after, samples.count);
}
