//! Random kernels: no value ever leaves its inferred range, and passes keep the meaning.

use nervure_core::kernel::{Builder, Expr, Kernel, ValueId};
use nervure_core::num::Overflow;
use nervure_core::{QType, Rounding};
use proptest::prelude::*;

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
        let next = match op % 14 {
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
            _ => continue,
        };
        list.push(next);
    }
    let from = list.len().saturating_sub(4);
    for (n, e) in list[from..].iter().enumerate() {
        k.output(&format!("y{n}"), *e);
    }
    (from..list.len()).collect()
}

fn formats() -> impl Strategy<Value = Vec<QType>> {
    prop::collection::vec((2u8..9, any::<bool>()), 1..4)
        .prop_map(|v| v.into_iter().map(|(bits, signed)| QType { bits, frac: 0, signed }).collect())
}

fn inputs_of(kernel: &Kernel, seeds: &[u64]) -> Vec<i64> {
    kernel.inputs.iter().zip(seeds).map(|(p, s)| p.format.wrap(*s as i64)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

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
        for seed in &seeds {
            // `eval` panics when a value leaves its range.
            let x = inputs_of(&kernel, seed);
            prop_assert_eq!(kernel.eval(0, &x, &[]).outputs, copy.eval(0, &x, &[]).outputs);
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
