//! Random kernels: no value ever leaves its inferred range, and passes keep the meaning.

use nervure_core::kernel::{Builder, Expr, Kernel, ValueId};
use nervure_core::num::Overflow;
use nervure_core::{QType, Rounding, Target};
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const ROUNDINGS: [Rounding; 4] =
    [Rounding::Floor, Rounding::HalfUp, Rounding::HalfEven, Rounding::TowardZero];

/// One instruction: which operation, on which earlier values, with which number.
type Code = (u8, usize, usize, usize, u8);

fn build(k: &Builder, inputs: &[QType], code: &[Code]) -> Vec<usize> {
    let mut list: Vec<Expr<'_>> =
        inputs.iter().enumerate().map(|(n, q)| k.input(&format!("x{n}"), *q)).collect();
    for &(op, a, b, c, n) in code {
        let at = |i: usize| list[i % list.len()];
        let (a, b, c) = (at(a), at(b), at(c));
        let bit = |e: Expr<'_>| e.range().lo >= 0 && e.range().hi <= 1;
        let narrow = |e: Expr<'_>| e.range().bits() <= 20;
        // Operations that bring fractions together first do so by shifting up.
        if [a, b, c].iter().any(|x| [a, b, c].iter().any(|y| (x.frac() - y.frac()).abs() > 12)) {
            continue;
        }
        let next = match op % 19 {
            0 if narrow(a) && narrow(b) => a + b,
            1 if narrow(a) && narrow(b) => a - b,
            2 if a.range().bits() + b.range().bits() <= 24 => a * b,
            3 if narrow(a) => a.shl(u32::from(n % 5)),
            4 => a.shr(u32::from(n % 9), ROUNDINGS[n as usize % 4]),
            5 => a.gt(b),
            6 => a.ge(b),
            7 => a.equals(b),
            8 => k.select(a.gt(b), a, b),
            9 => k.select(b.ge(c), c, a),
            10 => a.clamp(-i64::from(n), i64::from(n) * 3),
            11 => a.fit(QType { bits: 2 + n % 12, frac: a.frac(), signed: n % 2 == 0 }, Overflow::Wrap),
            12 if bit(a) && bit(b) => (a & b) ^ !a,
            13 if narrow(a) => a.complement().max(b.min(c)),
            14 if a.range().bits() <= 6 => {
                let size = (a.range().hi - a.range().lo + 1) as i64;
                k.table(a, (n % 7) as i8 - 3, (0..size).map(|x| (x * 37 + i64::from(n)) % 101 - 50).collect())
            }
            15 if narrow(a) && narrow(b) && bit(c) => k.add_carry(a, b, c),
            16 => a.read_as((n % 9) as i8 - 4),
            17 if narrow(a) => (a * k.constant(i64::from(n as i8), (n % 3) as i8)).named("weighted"),
            18 if bit(a) && bit(b) && bit(c) => k.popcount(&[a, b, c, a]),
            _ => continue,
        };
        // Fractions far apart make wide values, which some operations then refuse.
        if next.range().bits() <= 60 && next.frac().abs() < 30 {
            list.push(next);
        }
    }
    let from = list.len().saturating_sub(4);
    for (n, e) in list[from..].iter().enumerate() {
        k.output(&format!("y{n}"), *e);
    }
    (from..list.len()).collect()
}

fn formats() -> impl Strategy<Value = Vec<QType>> {
    prop::collection::vec((2u8..9, any::<bool>()), 1..4).prop_map(|v| {
        let format = |(bits, signed): (u8, bool)| QType { bits, frac: (bits % 3) as i8, signed };
        v.into_iter().map(format).collect()
    })
}

fn inputs_of(kernel: &Kernel, seeds: &[u64]) -> Vec<i64> {
    kernel.inputs.iter().zip(seeds).map(|(p, s)| p.format.wrap(*s as i64)).collect()
}

fn target() -> Target {
    Target {
        name: "test".into(),
        title: String::new(),
        source: String::new(),
        clock_mhz: 100,
        lut_inputs: 6,
        lut_ps: 700,
        carry_ps: 40,
        multiplier_ps: 3800,
        register_ps: 900,
        multiplier_bits: [25, 18],
        block_ram_bits: 36_864,
        lut_ram_words: 64,
        synth: String::new(),
        cells: std::collections::BTreeMap::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn values_stay_in_range_and_inlining_keeps_the_meaning(
        formats in formats(),
        code in prop::collection::vec(any::<Code>(), 1..40),
        seeds in prop::collection::vec(any::<[u64; 4]>(), 64),
    ) {
        let k = Builder::new();
        build(&k, &formats, &code);
        let kernel = k.finish();
        let again = Builder::new();
        let given: Vec<(ValueId, Expr<'_>)> = kernel
            .values
            .iter()
            .enumerate()
            .filter_map(|(i, v)| match v.op {
                nervure_core::kernel::Op::Input(n) => {
                    let port = &kernel.inputs[n as usize];
                    Some((ValueId(i as u32), again.input(&port.name, port.format)))
                }
                _ => None,
            })
            .collect();
        let (outputs, _) = again.inline(&kernel, &given);
        for (n, e) in outputs.into_iter().enumerate() {
            again.output(&format!("y{n}"), e);
        }
        let copy = again.finish();
        let mut simple = kernel.clone();
        simple.simplify();
        simple.validate();
        for seed in &seeds {
            // `eval` panics when a value leaves its range.
            let x = inputs_of(&kernel, seed);
            let y = kernel.eval(0, &x, &[]).outputs;
            prop_assert_eq!(&y, &copy.eval(0, &x, &[]).outputs);
            prop_assert_eq!(&y, &simple.eval(0, &x, &[]).outputs);
        }
    }

    #[test]
    fn ranges_hold_at_the_ends_of_the_inputs(
        formats in formats(), code in prop::collection::vec(any::<Code>(), 1..60),
    ) {
        let k = Builder::new();
        build(&k, &formats, &code);
        let kernel = k.finish();
        // Every combination of smallest, largest, zero and their neighbours: where intervals are tight.
        let ends = |q: QType| [q.min(), q.min() + 1, -1, 0, 1, q.max() - 1, q.max()].map(|v| q.saturate(v));
        for pick in 0..7usize.pow(kernel.inputs.len() as u32) {
            let at = |n: usize, p: &nervure_core::kernel::Port| ends(p.format)[pick / 7usize.pow(n as u32) % 7];
            let x: Vec<i64> = kernel.inputs.iter().enumerate().map(|(n, p)| at(n, p)).collect();
            kernel.eval(0, &x, &[]);
        }
    }

    #[test]
    fn registers_are_placed_within_the_clock_and_never_for_more_bits(
        formats in formats(), code in prop::collection::vec(any::<Code>(), 1..80), budget in 500u32..12_000,
        most in 1u32..6,
    ) {
        let k = Builder::new();
        build(&k, &formats, &code);
        let (kernel, target) = (k.finish(), target());
        let early = kernel.stages(&target, budget);
        let stages = kernel.flat_stages(&target, budget, u32::MAX);
        prop_assert!(stages.count <= early.count);
        prop_assert!(stages.register_bits(&kernel) <= early.register_bits(&kernel) || stages.count < early.count);
        let slowest = kernel.values.iter().map(|v| kernel.delay_ps(v, &target)).max().unwrap_or(0);
        prop_assert!(kernel.critical_ps(&target, &stages) <= budget.max(slowest));
        let bounded = kernel.flat_stages(&target, budget, most);
        prop_assert!(bounded.count <= most);
        for stages in [&stages, &bounded] {
            for (i, v) in kernel.values.iter().enumerate() {
                prop_assert!(stages.of[i] < stages.count);
                prop_assert!(v.op.operands().all(|o| stages.of[o.index()] <= stages.of[i]));
                let first = matches!(v.op, nervure_core::kernel::Op::Input(_));
                prop_assert!(!first || stages.of[i] == 0, "an input arrives in the first stage");
            }
        }
    }

    #[test]
    fn one_adder_serves_decay_and_integration(
        bits in 4u8..14, n in 1u32..6, v in any::<i64>(), w in any::<i64>(), pick in any::<[bool; 2]>(),
    ) {
        let q = QType::signed(bits);
        let k = Builder::new();
        let (v_in, w_in) = (k.input("v", q), k.input("w", QType::signed(4)));
        let (c, zero) = (k.input("c", QType::unsigned(1)), k.input("zero", QType::unsigned(1)));
        let decayed = v_in - v_in.shr(n, Rounding::Floor);
        k.output("y", k.select_or_add((c, zero), decayed, (v_in, w_in)));
        let kernel = k.finish();
        let (v, w) = (q.wrap(v), QType::signed(4).wrap(w));
        let (c, zero) = (pick[0] || pick[1], pick[1]);
        let expected = if zero { 0 } else if c { v - (v >> n) } else { v + w };
        let got = kernel.eval(0, &[v, w, c.into(), zero.into()], &[]);
        prop_assert_eq!(got.outputs[0], expected);
    }
}

#[test]
fn ten_million_evaluations_stay_in_range() {
    const EVALUATIONS: u32 = 500;
    for seed in 0..20_000 {
        let rng = &mut SmallRng::seed_from_u64(seed);
        let format = |rng: &mut SmallRng| {
            let bits = rng.random_range(1..17);
            QType { bits, frac: rng.random_range(-2..6), signed: bits > 1 && rng.random() }
        };
        let formats: Vec<QType> = (0..rng.random_range(1..5)).map(|_| format(rng)).collect();
        let code = |rng: &mut SmallRng| {
            let at = |rng: &mut SmallRng| rng.random_range(0..64);
            (rng.random(), at(rng), at(rng), at(rng), rng.random())
        };
        let code: Vec<Code> = (0..rng.random_range(1..30)).map(|_| code(rng)).collect();
        let k = Builder::new();
        build(&k, &formats, &code);
        let kernel = k.finish();
        for _ in 0..EVALUATIONS {
            let seeds: Vec<u64> = formats.iter().map(|_| rng.random()).collect();
            // Panics when a value leaves its range.
            let inside = std::panic::catch_unwind(|| kernel.eval(0, &inputs_of(&kernel, &seeds), &[]));
            assert!(inside.is_ok(), "kernel of seed {seed}, inputs {:?}", inputs_of(&kernel, &seeds));
        }
    }
}
