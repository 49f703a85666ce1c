//! Integer neurons against what the simulators of spiking networks published or say of themselves: with parameters set by hand,
//! the definitions of the library must give the same spikes. Verilog is not involved: `conformance` holds it to the definitions.

use nervure_core::{QType, TensorType};
use nervure_tests::arrays::{Array, outside, read_npz};
use nervure_tests::{registry, rng};
use rand::RngExt;
use serde_json::{Value, json};

/// Integers a unit of the simulators' membranes.
const UNIT: f64 = 65536.0;

fn scaled(v: f64) -> i64 {
    (v * UNIT).round() as i64
}

/// Outputs of one neuron `block` for currents `x`.
fn run(block: &str, params: &Value, x: &[i64]) -> Vec<i64> {
    let mut params = params.clone();
    params["input"] = json!(TensorType::step(&[1], QType::signed(24)));
    let block = registry().get(block).expect("a block of the library");
    let mut runner = block.instantiate(params).unwrap_or_else(|d| panic!("{d}")).runner();
    let mut y = [0];
    x.iter()
        .map(|x| {
            runner.step(&[&[*x]], &mut [&mut y]);
            y[0]
        })
        .collect()
}

fn column(array: &Array, n: usize) -> Vec<bool> {
    array.floats().chunks_exact(array.shape[1]).map(|row| row[n] > 0.0).collect()
}

fn spike_times(y: &[i64]) -> Vec<usize> {
    (0..y.len()).filter(|t| y[*t] > 0).collect()
}

/// One LIF neuron, tau 2.5 ms, steps of 0.1 ms, threshold 0.1: each simulator's spikes are those of its own parameters.
#[test]
fn a_single_neuron_fires_when_the_simulators_say() {
    let Some(folder) = outside("snn/lif_single", "a_single_neuron_fires_when_the_simulators_say") else {
        return;
    };
    let published = read_npz(&folder.join("case.npz"));
    let input = column(&published["norse"], 0);
    let x: Vec<i64> = input.iter().map(|spike| if *spike { scaled(0.04) } else { 0 }).collect();
    let (euler, exact) = (scaled(1.0 - 0.04), scaled((-0.04f64).exp()));
    let cases = [
        ("exact", euler, "gt", json!("zero"), "now"),
        ("norse", euler, "gt", json!("zero"), "now"),
        ("snntorch", euler, "gt", json!("zero"), "now"),
        ("nengo", euler, "gt", json!("zero"), "now"),
        ("spinnaker2", euler, "gt", json!("zero"), "now"),
        ("spyx", euler, "gt", json!("subtract"), "next_step"),
        ("lava_cpu_float", euler, "gt", json!("zero"), "next_step"),
        ("lava_cpu_fixed", euler, "gt", json!("zero"), "next_step"),
        ("lava_loihi_fixed", euler, "gt", json!("zero"), "next_step"),
        ("sinabs", exact, "ge", json!("subtract"), "now"),
        ("rockpool", exact, "ge", json!("subtract"), "now"),
    ];
    assert_eq!(cases.len(), published.len(), "every simulator of the case is here");
    for (simulator, factor, compare, reset, emit) in cases {
        let params = json!({"membrane": "s24", "threshold": scaled(0.1), "compare": compare, "reset": reset,
            "leak": {"shift": 16, "multiply": factor, "rounding": "half_even"}, "overflow": "saturate", "emit": emit});
        let spikes = run("neuron/lif", &params, &x);
        let expected: Vec<i64> = column(&published[simulator], 2).into_iter().map(i64::from).collect();
        assert_eq!(spike_times(&spikes), spike_times(&expected), "{simulator}");
    }
}

/// A neuron whose rest lies above its threshold fires without input.
#[test]
fn a_bias_makes_a_neuron_fire() {
    let Some(folder) = outside("snn/two_lif_selfspiking", "a_bias_makes_a_neuron_fire") else { return };
    let published = read_npz(&folder.join("case.npz"));
    for (name, dt) in [("v1_z1_v2_dt0.001", 0.1), ("v1_z1_v2_dt0.0001", 0.01)] {
        let trace = &published[name];
        let leak = json!({"shift": 20, "multiply": ((1.0 - dt) * f64::from(1 << 20)).round() as i64});
        let first = json!({"membrane": "s24", "threshold": scaled(1.0), "compare": "gt", "reset": "zero",
            "leak": leak, "overflow": "saturate", "bias": scaled(1.2 * dt)});
        let spikes = run("neuron/lif", &first, &vec![0; trace.shape[0]]);
        let expected: Vec<i64> = column(trace, 1).into_iter().map(i64::from).collect();
        assert!(spike_times(&expected).len() > 2, "{name} has spikes");
        assert_eq!(spike_times(&spikes), spike_times(&expected), "{name}");
    }
}

/// snnTorch's `Leaky` with `reset_delay=False`, line by line: the reset of the last membrane is taken off first, and what
/// it took is made good after the spike.
#[test]
fn a_double_reset_is_that_of_snntorch() {
    let mut rng = rng(1);
    let x: Vec<i64> = (0..4000).map(|_| rng.random_range(-40..160)).collect();
    let params = json!({"membrane": "s16", "threshold": 100, "compare": "gt", "reset": "subtract",
        "double_reset": true, "leak": {"shift": 4, "multiply": 15}, "overflow": "saturate"});
    let (mut mem, mut expected, mut extra) = (0i64, Vec::new(), 0);
    for x in &x {
        let reset = i64::from(mem > 100);
        mem = ((mem * 15) >> 4) + x - reset * 100;
        let spike = i64::from(mem > 100);
        let do_reset = spike - reset;
        mem -= do_reset * 100;
        extra += i64::from(reset == 1);
        expected.push(spike);
    }
    assert!(extra > 100, "the case is met");
    assert_eq!(run("neuron/lif", &params, &x), expected);
}

/// snnTorch's `Leaky` as it comes: the reset follows one step later, and `zero` throws the input away, too.
#[test]
fn a_late_reset_is_that_of_snntorch() {
    let mut rng = rng(2);
    let x: Vec<i64> = (0..2000).map(|_| rng.random_range(-20..80)).collect();
    for kind in ["subtract", "zero"] {
        let params = json!({"membrane": "s16", "threshold": 100, "compare": "gt", "reset": kind,
            "reset_at": "next_step", "leak": {"shift": 3}, "overflow": "saturate"});
        let (mut mem, mut expected) = (0i64, Vec::new());
        for x in &x {
            let reset = i64::from(mem > 100);
            let base = mem - (mem >> 3) + x;
            mem = if kind == "zero" { base - reset * base } else { base - reset * 100 };
            expected.push(i64::from(mem > 100));
        }
        assert!(expected.iter().sum::<i64>() > 100, "it fires");
        assert_eq!(run("neuron/lif", &params, &x), expected, "{kind}");
    }
}

/// The integers of Loihi: `u` wraps at 24 bits, `v` saturates, both decays round toward zero.
#[test]
fn a_current_based_neuron_is_that_of_loihi() {
    let mut rng = rng(3);
    let x: Vec<i64> = (0..4000).map(|_| rng.random_range(-3_000_000..3_200_000)).collect();
    let (du, dv, threshold) = (400, 160, 2_000_000i64);
    let params = json!({"membrane": "s24", "threshold": threshold, "compare": "gt", "reset": "zero",
        "leak": {"shift": 12, "multiply": 4096 - dv, "rounding": "toward_zero"}, "current": "s24",
        "current_leak": {"shift": 12, "multiply": 4095 - du, "rounding": "toward_zero"},
        "order": "current_first", "current_overflow": "wrap", "overflow": "saturate", "emit": "next_step"});
    let (mut u, mut v, mut before, mut expected) = (0i64, 0i64, 0, Vec::new());
    let mut wrapped = 0;
    for x in &x {
        let sum = u * (4095 - du) / 4096 + x;
        u = (sum + (1 << 23)).rem_euclid(1 << 24) - (1 << 23);
        wrapped += i64::from(u != sum);
        v = (v * (4096 - dv) / 4096 + u).clamp(-(1 << 23), (1 << 23) - 1);
        let spike = i64::from(v > threshold);
        v *= 1 - spike;
        expected.push(before);
        before = spike;
    }
    assert!(wrapped > 10 && expected.iter().sum::<i64>() > 100, "the case is met");
    assert_eq!(run("neuron/cuba_lif", &params, &x), expected);
}

/// sinabs: as many spikes as the threshold goes into the membrane, and a floor.
#[test]
fn many_spikes_a_step_are_those_of_sinabs() {
    let mut rng = rng(4);
    let x: Vec<i64> = (0..4000).map(|_| rng.random_range(-300..400)).collect();
    for (threshold, most) in [(100, 255), (128, 255), (60, 5), (64, 3)] {
        let params = json!({"membrane": "s16", "threshold": threshold, "compare": "ge", "reset": "subtract",
            "overflow": "saturate", "max_spikes": most, "floor": -threshold});
        let (mut v, mut expected) = (0i64, Vec::new());
        for x in &x {
            v += x;
            let spikes = (v / threshold).clamp(0, most);
            v = (v - spikes * threshold).max(-threshold);
            expected.push(spikes);
        }
        assert!(expected.iter().any(|s| *s > 2), "the case is met");
        assert_eq!(run("neuron/if", &params, &x), expected, "{threshold}");
    }
}

/// What makes no sense is refused, with the field that is at fault.
#[test]
fn options_that_exclude_each_other_are_refused() {
    let base = json!({"input": TensorType::step(&[4], QType { frac: 2, ..QType::signed(8) }), "membrane": "s12.4",
        "threshold": 100, "compare": "gt", "reset": "subtract", "leak": {"shift": 3}, "overflow": "saturate"});
    let lif = registry().get("neuron/lif").expect("a block of the library");
    let with = |changes: &Value| {
        let mut params = base.clone();
        let fields = params.as_object_mut().expect("an object");
        fields.extend(changes.as_object().expect("an object").clone());
        lif.instantiate(params)
    };
    assert!(with(&json!({})).is_ok());
    let cases = [
        ("E0203", "reset_at", json!({"reset": "none", "reset_at": "next_step"})),
        ("E0203", "double_reset", json!({"reset": "zero", "double_reset": true})),
        ("E0203", "double_reset", json!({"reset_at": "next_step", "double_reset": true})),
        ("E0203", "double_reset", json!({"max_spikes": 2, "double_reset": true})),
        ("E0203", "max_spikes", json!({"reset": "none", "max_spikes": 2})),
        ("E0203", "max_spikes", json!({"reset": {"value": 3}, "max_spikes": 2})),
        ("E0203", "threshold", json!({"threshold": 0, "max_spikes": 2})),
        ("E0203", "refractory", json!({"refractory": 2, "max_spikes": 2})),
        ("E0203", "refractory", json!({"refractory": 2, "reset": "none"})),
        ("E0203", "refractory", json!({"refractory": 2, "reset_at": "next_step"})),
        ("E0203", "floor", json!({"floor": 101})),
        ("E0203", "floor", json!({"floor": -5, "reset": {"value": -6}})),
        ("E0203", "reset", json!({"reset": {"value": 2048}})),
        ("E0203", "bias", json!({"bias": [0, 0, 0, -2049]})),
        ("E0203", "threshold", json!({"threshold": [1, 2, 3, 2047]})),
        ("E0203", "threshold", json!({"threshold": [1, 2, 3, 0], "compare": "ge"})),
        ("E0203", "membrane", json!({"membrane": "s12.1"})),
        ("E0203", "membrane", json!({"membrane": "s12.40"})),
        ("E0203", "membrane", json!({"membrane": "u12.4"})),
        ("E0205", "threshold", json!({"threshold": [1, 2, 3]})),
        ("E0205", "threshold", json!({"threshold": []})),
        ("E0205", "leak.multiply", json!({"leak": {"shift": 3, "multiply": [1, 2]}})),
        ("E0201", "leak.multiply", json!({"leak": {"shift": 3, "multiply": [1, 2, 3, 9]}})),
        ("E0201", "leak.shift", json!({"leak": {"shift": 0}})),
        ("E0201", "max_spikes", json!({"max_spikes": 0})),
        ("E0201", "max_spikes", json!({"max_spikes": 256})),
        ("E0201", "refractory", json!({"refractory": 4096})),
    ];
    for (code, field, changes) in cases {
        let d = with(&changes).err().unwrap_or_else(|| panic!("{changes} is taken"));
        assert_eq!((d.code, d.path.join(".").as_str()), (code, field), "{changes}: {d}");
        assert!(!d.help.is_empty());
    }
}

/// Spikes of a simple model in floating point, 1 ms a step with two half steps: Izhikevich's published program.
fn izhikevich([a, b, c, d]: [f64; 4], current: f64, steps: usize) -> Vec<i64> {
    let (mut v, mut u) = (-65.0, -65.0 * b);
    (0..steps)
        .map(|_| {
            for _ in 0..2 {
                v += 0.5 * (0.04 * v * v + 5.0 * v + 140.0 - u + current);
            }
            u += a * (b * v - u);
            let spike = v >= 30.0;
            if spike {
                (v, u) = (c, u + d);
            }
            i64::from(spike)
        })
        .collect()
}

/// The kinds of neurons of the 2003 paper keep their kind. With its steps of half a millisecond the model is chaotic in the step in
/// which it fires (a change of `b` by 0.001 moves the chattering one from 43 to 57 spikes), so that only rates can agree.
#[test]
fn quadratic_neurons_fire_like_those_of_the_paper() {
    let kinds = [
        ("regular", [0.02, 0.2, -65.0, 8.0]),
        ("fast", [0.1, 0.2, -65.0, 2.0]),
        ("chattering", [0.02, 0.2, -50.0, 2.0]),
        ("bursting", [0.02, 0.2, -55.0, 4.0]),
    ];
    for (kind, abcd) in kinds {
        let [a, b, c, d] = abcd;
        let integer = |v: f64, scale: f64| (v * scale).round() as i64;
        let params = json!({"membrane": "s22.10", "a": integer(a, 4096.0), "b": integer(b, 4096.0),
            "c": integer(c, 1024.0), "d": integer(d, 1024.0), "peak": 30 * 1024,
            "start": [-65 * 1024, integer(-65.0 * b, 1024.0)]});
        let spikes: i64 = run("neuron/izhikevich", &params, &vec![10; 1000]).iter().sum();
        let expected: i64 = izhikevich(abcd, 10.0, 1000).iter().sum();
        assert!(expected > 15, "{kind}: {expected}");
        assert!((spikes - expected).abs() <= expected / 7, "{kind}: {spikes}, not {expected}");
    }
}

/// Spike times of the equations of Brette and Gerstner by Euler's method, membrane from rest, everything over the leak
/// conductance. `powers`: with straight lines between powers of two in place of the exponential.
fn exponential(current: f64, steps: usize, powers: bool) -> Vec<usize> {
    let (threshold, slope, peak, a, b) = (20.0, 2.0, 35.0, 34.0 / 256.0, 2.7);
    let (mut v, mut w, mut times) = (0.0f64, 0.0, Vec::new());
    for t in 0..steps {
        let x = (v - threshold) / slope / std::f64::consts::LN_2;
        let power = if powers { x.floor().exp2() * (1.0 + x - x.floor()) } else { x.exp2() };
        let drive = slope * power - v - w + current;
        w += (a * v - w) / 256.0;
        v += drive / 16.0;
        if v >= peak {
            (v, w) = (0.0, w + b);
            times.push(t);
        }
    }
    times
}

/// A constant current: intervals grow as the neuron adapts, and spikes are those of floating point, but for a few.
#[test]
fn adaptive_exponential_neurons_fire_like_those_of_the_paper() {
    // So many integers a mV that the slope factor, 2 mV, is 2^10 / ln 2.
    let scale = 512.0 / std::f64::consts::LN_2;
    let integer = |mv: f64| (mv * scale).round() as i64;
    let params = json!({"membrane": "s24", "threshold": integer(20.0), "slope": 10, "peak": integer(35.0), "reset": 0,
        "leak_shift": 4, "adaptation": "s30.6", "adaptation_shift": 8, "a": 34, "b": integer(2.7) * 64});
    for current in [26.0, 32.0, 45.0] {
        let spikes = run("neuron/adex", &params, &vec![integer(current); 4000]);
        let (times, expected) = (spike_times(&spikes), exponential(current, 4000, true));
        let smooth = exponential(current, 4000, false);
        assert!(expected.len() > 10, "{current} mV: {} spikes", expected.len());
        assert!(times.len().abs_diff(expected.len()) <= 1 + expected.len() / 50, "{current} mV");
        assert!(times.len().abs_diff(smooth.len()) <= 1 + smooth.len() / 20, "{current} mV");
        let interval = |n: usize| times[n + 1] - times[n];
        assert!(interval(times.len() - 2) > interval(0), "{current} mV: it adapts");
    }
}

/// The equations of Bellec et al. with `beta b` in one integer.
#[test]
fn an_adaptive_threshold_is_that_of_the_paper() {
    let mut rng = rng(5);
    let x: Vec<i64> = (0..4000).map(|_| rng.random_range(-30..90)).collect();
    let params = json!({"membrane": "s14", "threshold": 100, "compare": "gt", "reset": "subtract",
        "leak": {"shift": 4}, "overflow": "saturate", "adaptation": "u16.4",
        "adaptation_leak": {"shift": 7}, "jump": 200});
    let (mut v, mut a, mut expected, mut raised) = (0i64, 0i64, Vec::new(), 0);
    for x in &x {
        v = v - (v >> 4) + x;
        let threshold = 100 + a / 16;
        let spike = i64::from(v > threshold);
        v -= spike * threshold;
        a = a - (a >> 7) + spike * 200;
        raised = raised.max(a / 16);
        expected.push(spike);
    }
    assert!(raised > 50 && expected.iter().sum::<i64>() > 50, "the case is met");
    assert_eq!(run("neuron/alif", &params, &x), expected);
}

/// The same for neurons with parameters of their own: one field of their first example is changed.
#[test]
fn parameters_that_make_no_neuron_are_refused() {
    let cases = [
        ("alif", "E0203", "adaptation", json!("s12.4")),
        ("alif", "E0203", "adaptation", json!("u12.-1")),
        ("alif", "E0203", "adaptation", json!("u20.30")),
        ("alif", "E0203", "jump", json!(-1)),
        ("izhikevich", "E0203", "membrane", json!("s16.13")),
        ("izhikevich", "E0203", "c", json!(1920)),
        ("izhikevich", "E0203", "a", json!(4097)),
        ("izhikevich", "E0205", "d", json!([1, 2, 3])),
        ("izhikevich", "E0201", "halvings", json!(4)),
        ("adex", "E0203", "peak", json!(1000)),
        ("adex", "E0203", "peak", json!(162)),
        ("adex", "E0203", "reset", json!(280)),
        ("adex", "E0203", "adaptation", json!("s16.2")),
        ("adex", "E0201", "slope", json!(0)),
        ("two_point", "E0203", "output", json!("s8.4")),
        ("two_point", "E0203", "output", json!("u8.9")),
        ("two_point", "E0203", "cap", json!(0)),
        ("two_point", "E0203", "context", json!("s8.-1")),
        ("egru", "E0203", "cell", json!("s8.4")),
        ("egru", "E0203", "threshold", json!(-1)),
        ("egru", "E0203", "input", json!(TensorType::step(&[6], QType::signed(8)))),
        ("elm", "E0203", "memory", json!("s8.5")),
        ("elm", "E0203", "limit", json!(0)),
        ("elm", "E0203", "gain", json!(-1)),
        ("elm", "E0201", "leak.multiply", json!({"shift": 12, "multiply": 4097})),
    ];
    for (name, code, field, value) in cases {
        let block = registry().get(&format!("neuron/{name}")).expect("a block of the library");
        let mut params = block.examples()[0].params();
        params[field.split('.').next().expect("a first part")] = value.clone();
        let d = block.instantiate(params).err().unwrap_or_else(|| panic!("{name}: {field} {value} is taken"));
        assert_eq!((d.code, d.path.join(".").as_str()), (code, field), "{name} {value}: {d}");
    }
}
