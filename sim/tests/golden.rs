//! Golden execution: order, rates, threads, scores.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Add, Params, Scale, Total, golden, instance, network, samples, scale};
use nervure_core::network::NodeId;
use nervure_core::{Elements, Network, QType, TensorRef, TensorType};
use nervure_sim::golden::{GoldenOptions, accuracy, mean, mse, run, visit};

fn out(node: usize) -> TensorRef {
    TensorRef::Output(NodeId(node), 0)
}

/// A frame input scaled once, a step input totalled, the total scaled once at the end.
fn mixed() -> Network {
    let (frame, step) = (TensorType::frame(&[3], QType::signed(8)), TensorType::step(&[3], QType::signed(8)));
    let wide = frame.with_format(QType::signed(20));
    let p = |input: &TensorType, factor, bits| Params {
        input: input.clone(),
        lanes: 1,
        factor,
        output: QType::signed(bits),
    };
    network(
        &[("f", &frame, 1), ("s", &step, 1)],
        vec![
            ("early", instance::<Scale>(&p(&frame, 5, 20)), vec![TensorRef::Input(0)]),
            ("total", instance::<Total>(&p(&step, 1, 20)), vec![TensorRef::Input(1)]),
            ("both", instance::<Add>(&p(&wide, 2, 24)), vec![out(0), out(1)]),
        ],
    )
}

#[test]
fn rates_are_kept_apart() {
    let network = mixed();
    let samples = samples(&network, 300, 7);
    let trace = golden(&network, &samples);
    let (mut f, mut s, mut y) = (vec![0; 3], vec![0; 3], vec![0; 3]);
    for sample in 0..300 {
        samples.input(&network, 0, sample, 0, &mut f);
        let mut total = [0; 3];
        for step in 0..7 {
            samples.input(&network, 1, sample, step, &mut s);
            total.iter_mut().zip(&s).for_each(|(t, x)| *t += x);
        }
        trace.outputs[0].get(sample, 0, &mut y);
        let expected: Vec<i64> = (0..3).map(|i| 10 * f[i] + total[i]).collect();
        assert_eq!(y, expected, "sample {sample}");
    }
}

#[test]
fn threads_do_not_matter_and_the_trace_has_every_layer() {
    let network = mixed();
    let samples = samples(&network, 1000, 4);
    let options = |threads| GoldenOptions { threads, trace: true };
    let one = run(&network, &samples, options(1), &|_| ()).unwrap();
    let done = std::sync::atomic::AtomicUsize::new(0);
    let many = run(&network, &samples, options(5), &|n| {
        done.fetch_max(n, std::sync::atomic::Ordering::Relaxed);
    })
    .unwrap();
    assert_eq!(one, many);
    assert_eq!(done.into_inner(), 1000);
    assert_eq!(one.layers.len(), 3);
    assert_eq!(one.layers[2][0].elements, one.outputs[0].elements);
    assert_eq!(one.layers[1][0].name, "total");
}

#[test]
fn step_outputs_have_every_step() {
    let step = TensorType::step(&[2], QType::unsigned(4));
    let p = Params { input: step.clone(), lanes: 1, factor: 3, output: QType::unsigned(6) };
    let network = network(&[("x", &step, 1)], vec![("l", instance::<Scale>(&p), vec![TensorRef::Input(0)])]);
    let samples = samples(&network, 5, 4);
    let trace = golden(&network, &samples);
    assert!(matches!(trace.outputs[0].elements, Elements::U8(_)));
    let (mut x, mut y) = ([0; 2], [0; 2]);
    samples.input(&network, 0, 3, 2, &mut x);
    trace.outputs[0].get(3, 2, &mut y);
    assert_eq!(y, [3 * x[0], 3 * x[1]]);
    assert_eq!(accuracy(&trace, &[0; 5]), None);
}

#[test]
fn visits_come_in_order_of_execution() {
    let network = mixed();
    let samples = samples(&network, 2, 3);
    let mut seen = Vec::new();
    visit(&network, &samples, 1, |layer, _, last, x| seen.push((layer, last, x.len()))).unwrap();
    assert_eq!(seen, [(0, true, 1), (1, false, 1), (1, false, 1), (1, true, 1), (2, true, 2)]);
}

#[test]
fn a_stepping_layer_cannot_read_what_is_left_at_the_end() {
    let step = TensorType::step(&[3], QType::signed(8));
    let q = QType::signed(8);
    let frame = TensorType::frame(&[3], q);
    let p = |input: &TensorType| Params { input: input.clone(), lanes: 1, factor: 0, output: q };
    let mut network = network(
        &[("s", &step, 1)],
        vec![
            ("total", instance::<Total>(&p(&step)), vec![TensorRef::Input(0)]),
            ("late", instance::<Scale>(&p(&frame)), vec![out(0)]),
        ],
    );
    // Types of edges are the network's own business; here only the order counts.
    network.nodes[1].instance = instance::<Scale>(&p(&step));
    let samples = samples(&network, 1, 2);
    let error = run(&network, &samples, GoldenOptions::default(), &|_| ()).unwrap_err();
    assert_eq!((error.code, error.path.join(".").as_str()), ("E0407", "layers.late.from"));
}

#[test]
fn scores() {
    let network = scale(&[3], 8, 1, 1, 8);
    let mut samples = samples(&network, 3, 1);
    samples.inputs = vec![Elements::I16(vec![1, 5, 5, -1, -2, -3, 0, 0, 9])];
    let trace = golden(&network, &samples);
    assert_eq!(accuracy(&trace, &[1, 0, 0]), Some(2.0 / 3.0));
    let targets = Elements::I16(vec![1, 5, 5, -1, -2, -3, 0, 3, 9]);
    assert_eq!(mse(&trace, &targets), Some(1.0));
    let class = scale(&[1], 8, 1, 1, 8);
    let mut one = common::samples(&class, 2, 1);
    one.inputs = vec![Elements::I16(vec![7, 8])];
    assert_eq!(accuracy(&golden(&class, &one), &[7, 7]), Some(0.5));
}

#[test]
fn of_several_outputs_the_class_is_scored() {
    let x = TensorType::frame(&[1], QType::signed(8));
    let p = |factor| Params { input: x.clone(), lanes: 1, factor, output: QType::signed(12) };
    let layer = |name, factor| (name, instance::<Scale>(&p(factor)), vec![TensorRef::Input(0)]);
    let mut network = network(&[("x", &x, 1)], vec![layer("a", 1), layer("b", 3)]);
    let mut samples = samples(&network, 4, 1);
    samples.inputs = vec![Elements::I16(vec![1, 2, 3, 5])];
    let mut named = |names: [&str; 2]| {
        network.outputs = names.iter().enumerate().map(|(n, name)| (name.to_string(), out(n))).collect();
        let trace = golden(&network, &samples);
        (accuracy(&trace, &[1, 2, 3, 4]), mean(&trace, "steps"))
    };
    assert_eq!(named(["d.class", "d.steps"]), (Some(0.75), Some(8.25)));
    assert_eq!(named(["steps", "class"]), (Some(0.0), Some(2.75)));
    assert_eq!(named(["d.class", "e.class"]), (None, None), "whose class?");
    assert_eq!(named(["d.classes", "d.y"]), (None, None));
}

#[test]
#[should_panic(expected = "leaves its format")]
fn a_definition_that_leaves_its_format_is_a_bug() {
    let network = scale(&[1], 8, 1, 3, 8);
    let samples = samples(&network, 100, 1);
    let _ = run(&network, &samples, GoldenOptions { threads: 1, trace: false }, &|_| ());
}
