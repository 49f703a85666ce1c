//! The loop of plant and hand-written Verilog: the right one follows the golden loop in time, every wrong one is caught.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Params, Scale, bench, design, instance, network, rtl, scale_verilog};
use nervure_core::plant::{Factor, PlantState, Sequence, Signal, Sum, Term, Tracking};
use nervure_core::{Network, Plant, QType, Rounding, TensorRef, TensorType};
use nervure_sim::cosim::{self, Bench, Closed, ClosedOptions, Failure, Loop, Pass, Subject};
use nervure_sim::golden::{GoldenOptions, run};
use nervure_sim::{SampleCycles, plant};

const STEPS: usize = 40;

fn term(gain: i64, signals: &[Signal]) -> Term {
    Term { gain, factors: signals.iter().map(|&signal| Factor { signal, absolute: false }).collect() }
}

fn sum(terms: Vec<Term>, shift: u32) -> Sum {
    Sum { terms, shift, rounding: Rounding::Floor }
}

/// Three times the distance, a step late.
fn controller() -> Network {
    let input = TensorType::step(&[1], QType::signed(8));
    let p = Params { input: input.clone(), lanes: 1, factor: 3, output: QType::signed(16) };
    network(&[("x", &input, 1)], vec![("layer", instance::<Scale>(&p), vec![TensorRef::Input(0)])])
}

/// `place += 3 * (target - place) / 8` in two episodes, a target each.
fn cart() -> Plant {
    let (place, target) = (Signal::State(0), Signal::Sequence(0));
    let drive = Signal::Command { output: 0, element: 0 };
    let values = [100, -40].into_iter().flat_map(|t| (0..STEPS).map(move |n| if n < 4 { 0 } else { t }));
    Plant {
        name: "cart".into(),
        rate_hz: 100,
        episodes: 2,
        steps: STEPS,
        states: vec![PlantState {
            name: "place".into(),
            format: QType::signed(12),
            start: 0,
            next: sum(vec![term(8, &[place]), term(1, &[drive])], 3),
        }],
        sequences: vec![Sequence {
            name: "target".into(),
            format: QType::signed(8),
            values: values.collect(),
        }],
        senses: vec![vec![sum(vec![term(1, &[target]), term(-1, &[place])], 0)]],
        tracking: Some(Tracking { state: 0, target: 0, shift: 0, disturbances: vec![], band: 3 }),
    }
}

fn close(name: &str, text: &str, options: &ClosedOptions) -> Closed {
    let (toolbox, cache) = bench();
    let (network, plant) = (controller(), cart());
    let (design, folder) = (design(name, &network), rtl(name, text));
    let recording = plant::close(&network, &plant, usize::MAX, &|_| ()).unwrap();
    let trace = run(&network, &recording.samples, GoldenOptions::default(), &|_| ()).unwrap();
    let bench = Bench { toolbox: &toolbox, cache: &cache };
    let subject = Subject { design: &design, network: &network, rtl: folder.path() };
    let l = Loop { plant: &plant, recording: &recording, trace: &trace };
    cosim::close(&bench, &subject, &l, options).unwrap().unwrap()
}

fn options(deadline: u64) -> ClosedOptions {
    // In, out one cycle later, and the next step the cycle after that.
    let predicted = (0..2 * STEPS as u64).map(|n| SampleCycles { start: 2 * n, finish: 2 * n + 1 });
    ClosedOptions { watchdog: 2000, ..ClosedOptions::new(deadline, Some(predicted.collect())) }
}

/// One edit away from the right design.
fn broken(name: &str, from: &str, to: &str) -> Closed {
    let text = scale_verilog(name, 8, 1, 3, 16);
    assert!(text.contains(from), "the edit applies");
    close(name, &text.replace(from, to), &options(1000))
}

#[test]
fn the_golden_loop_settles() {
    let recording = plant::close(&controller(), &cart(), usize::MAX, &|_| ()).unwrap();
    let first = &recording.states[0][..8];
    // By hand: 300 / 8 = 37, then 63 * 3 / 8 = 23, then 40 * 3 / 8 = 15.
    assert_eq!(first, [0, 0, 0, 0, 0, 37, 60, 75]);
    let tracked = plant::track(&cart(), &recording).unwrap();
    assert_eq!(tracked.count, 2 * STEPS);
    let changes: Vec<_> = tracked.changes.iter().map(|c| (c.episode, c.step, c.change)).collect();
    assert_eq!(changes, [(0, 4, 100), (1, 4, -40)]);
    for change in &tracked.changes {
        assert!(change.steps.is_some_and(|n| (4..12).contains(&n)) && change.overshoot <= 1, "{change:?}");
    }
    assert_eq!(recording.take(1).states[0], recording.states[0][..STEPS]);
}

#[test]
fn the_right_hardware_follows_in_time() {
    let text = scale_verilog("follows", 8, 1, 3, 16);
    let closed = close("follows", &text, &options(2));
    assert!(closed.passed(), "{closed:?}");
    assert_eq!(closed.worst, Some((0, 0, 2)));
    assert_eq!(closed.report.cycles_measured, 4 * STEPS as u64);
    assert_eq!(closed.report.cycles_predicted, Some(4 * STEPS as u64));
}

#[test]
fn a_deadline_that_is_too_short_is_missed() {
    let text = scale_verilog("late", 8, 1, 3, 16);
    let closed = close("late", &text, &options(1));
    assert!(closed.report.passed() && closed.diverged.is_none(), "{closed:?}");
    assert_eq!((closed.missed, closed.passed()), (2 * STEPS, false));
}

#[test]
fn other_cycles_than_predicted_are_found() {
    let mut wrong = options(1000);
    wrong.predicted.as_mut().unwrap()[7].finish += 1;
    let closed = close("cycles", &scale_verilog("cycles", 8, 1, 3, 16), &wrong);
    assert_eq!((closed.report.cycle_mismatches, closed.passed()), (1, false));
}

#[test]
fn a_wrong_answer_moves_the_plant_away() {
    // Three times 25, the distance in step 7 of the first episode, and of no step before.
    let closed = broken(
        "astray",
        "assign m_axis_y_tdata = data_q;",
        "assign m_axis_y_tdata = data_q == 16'd75 ? 16'd95 : data_q;",
    );
    assert!(!closed.passed());
    let first = &closed.report.first[0];
    assert_eq!((first.pass, first.sample, first.step), (Pass::ClosedLoop, 0, 7));
    // What the plant tells in the next step depends on that answer: the loop is closed.
    assert_eq!(closed.diverged, Some((0, 8)));
    assert!(closed.report.mismatches > 2, "{closed:?}");
}

#[test]
fn an_answer_that_never_comes_is_a_deadlock() {
    let closed = broken("silent", "assign m_axis_y_tvalid = valid_q;", "assign m_axis_y_tvalid = 1'b0;");
    assert!(matches!(closed.report.failures[..], [Failure::Deadlock { pass: Pass::ClosedLoop, .. }]));
    assert!(!closed.passed() && closed.worst.is_none(), "{closed:?}");
}
