//! Kernels mean the same after their products with constants became shared adders.

use nervure_back::share_constant_products;
use nervure_cmvm::{Cost, Options};
use nervure_core::kernel::{Builder, Expr, Kernel, Op};
use nervure_core::num::{QType, Rounding};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const OPTIONS: Options =
    Options { extra_levels: Some(1), effort: 2000, cost: Cost::Bits, seed: 0, threads: 1 };

/// Both kernels on random inputs and states, and at the ends of their formats.
fn compare(old: &Kernel, new: &Kernel, rng: &mut SmallRng) {
    assert_eq!((&old.inputs, &old.params, &old.tables), (&new.inputs, &new.params, &new.tables));
    let pick = |rng: &mut SmallRng, q: QType| match rng.random_range(0..4) {
        0 => q.min(),
        1 => q.max(),
        _ => rng.random_range(q.min()..=q.max()),
    };
    for _ in 0..50 {
        let inputs: Vec<i64> = old.inputs.iter().map(|p| pick(rng, p.format)).collect();
        let states: Vec<i64> = old.states.iter().map(|s| pick(rng, s.port.format)).collect();
        assert_eq!(old.eval(0, &inputs, &states), new.eval(0, &inputs, &states));
    }
}

fn adders(kernel: &Kernel) -> usize {
    kernel.values.iter().filter(|v| matches!(v.op, Op::Add(..) | Op::Sub(..) | Op::AddCarry(..))).count()
}

fn products(kernel: &Kernel) -> usize {
    kernel.values.iter().filter(|v| matches!(v.op, Op::Mul(..))).count()
}

fn signed(bits: u32) -> QType {
    QType::holding(-(1 << (bits - 1)), (1 << (bits - 1)) - 1, 0)
}

/// A layer as the unrolled engine writes it: products, a bias, a tree, then rounding and clamping.
fn dense<'k>(k: &'k Builder, x: &[Expr<'k>], outputs: usize, rng: &mut SmallRng) -> Vec<Expr<'k>> {
    let mut row = || {
        let products = x.iter().map(|x| *x * k.constant(rng.random_range(-31..32), 0)).collect();
        let sum = k.reduce(products, |a, b| a + b) + k.constant(rng.random_range(-500..500), 0);
        sum.shr(5, Rounding::HalfUp).clamp(0, 127)
    };
    (0..outputs).map(|_| row()).collect()
}

#[test]
fn layers_have_no_products_and_fewer_adders() {
    let mut rng = SmallRng::seed_from_u64(1);
    let k = Builder::new();
    let x: Vec<Expr<'_>> = (0..12).map(|i| k.input(&format!("x{i}"), signed(8))).collect();
    let hidden = dense(&k, &x, 10, &mut rng);
    // A connection past the layer: the second reads what the first does.
    let both: Vec<Expr<'_>> = hidden.iter().chain(&x[..3]).copied().collect();
    for (j, y) in dense(&k, &both, 6, &mut rng).into_iter().enumerate() {
        k.output(&format!("y{j}"), y);
    }
    let old = k.finish();
    let new = share_constant_products(&old, &OPTIONS);
    compare(&old, &new, &mut rng);
    assert_eq!(products(&new), 0, "of {}", products(&old));
    // 198 products of 2.2 digits on average, and as many additions less the outputs.
    assert!(adders(&new) < products(&old) * 2, "{} adders for {} products", adders(&new), products(&old));
    assert_eq!(share_constant_products(&old, &Options { threads: 2, ..OPTIONS }), new);
}

#[test]
fn a_bias_rounds_without_an_adder() {
    for (n, rounding) in
        [(1, Rounding::HalfUp), (4, Rounding::HalfUp), (1, Rounding::HalfEven), (4, Rounding::HalfEven)]
    {
        let k = Builder::new();
        let x: Vec<Expr<'_>> = (0..3).map(|i| k.input(&format!("x{i}"), signed(4))).collect();
        let sum = x[0] * k.constant(5, 0) - x[1] * k.constant(3, 0) + x[2] + k.constant(7, 0);
        k.output("rectified", sum.clamp(0, 1000).shr(n, rounding).clamp(0, 9));
        let other = x[0] - x[1] * k.constant(6, 0) + k.constant(-3, 0);
        k.output("signed", other.shr(n, rounding) + x[2]);
        let old = k.finish();
        let mut new = share_constant_products(&old, &OPTIONS);
        new.simplify();
        for case in 0..1 << 12 {
            let inputs: Vec<i64> = (0..3).map(|i| (case >> (4 * i) & 15) - 8).collect();
            assert_eq!(old.eval(0, &inputs, &[]), new.eval(0, &inputs, &[]), "{inputs:?} {rounding:?}");
        }
        let rounds =
            |v: &&nervure_core::kernel::Value| matches!(v.op, Op::Shr(_, _, r) if r != Rounding::Floor);
        assert_eq!(new.values.iter().filter(rounds).count(), 0, "{rounding:?}");
        let clamps = new.values.iter().filter(|v| matches!(v.op, Op::Clamp(_))).count();
        assert_eq!(clamps, 1, "the two of `rectified` are one, and `signed` has none");
    }
}

#[test]
fn long_chains_and_wide_numbers_stay_exact() {
    let mut rng = SmallRng::seed_from_u64(2);
    let k = Builder::new();
    let x: Vec<Expr<'_>> = (0..4).map(|i| k.input(&format!("x{i}"), signed(4))).collect();
    let mut sum = x[0];
    for i in 0..2000 {
        sum = sum + x[i % 4] * k.constant(rng.random_range(-7..8), 0);
    }
    k.output("chain", sum);
    // Weights of 48 bits are the most that are solved: here a sum ends, and another begins.
    let wide = (x[1] + x[2] * k.constant(11, 0)) * k.constant((1 << 44) + 5, 0);
    let wider = (x[1] + x[2]).shl(44) + (x[0] + x[3] * k.constant(3, 0)).shl(3);
    k.output("wide", wide + x[3]);
    k.output("wider", wider * k.constant(77, 0) + x[0]);
    let old = k.finish();
    let new = share_constant_products(&old, &OPTIONS);
    compare(&old, &new, &mut rng);
    assert!(adders(&new) * 20 < adders(&old), "{} of {}", adders(&new), adders(&old));
}

/// Values picked at random, so that sums, other operations, constants and fractions meet in every way.
fn random_kernel(rng: &mut SmallRng) -> Kernel {
    let k = Builder::new();
    let mut list: Vec<Expr<'_>> = Vec::new();
    for i in 0..rng.random_range(1..5) {
        let q = signed(rng.random_range(1..9));
        list.push(k.input(&format!("x{i}"), QType { frac: rng.random_range(-1..3), ..q }));
    }
    let state = k.state("v", signed(9), 0);
    list.push(state);
    list.push(k.param("p", 0, vec![3, -7]));
    for i in 0..rng.random_range(5..60) {
        let (a, b) = (list[rng.random_range(0..list.len())], list[rng.random_range(0..list.len())]);
        let c = k.constant(rng.random_range(-40..41), rng.random_range(0..2));
        let v = match rng.random_range(0..12) {
            0..3 => a + b,
            3 | 4 => a - b,
            5 | 6 => a * c,
            7 => a + c,
            8 => a.complement(),
            9 => a.shl(rng.random_range(0..3)),
            10 => {
                let modes = [Rounding::HalfUp, Rounding::HalfEven, Rounding::TowardZero];
                let a = if rng.random_range(0..2) == 0 { a.clamp(-20, 400) } else { a };
                a.shr(rng.random_range(0..3), modes[rng.random_range(0..3)]).clamp(-50, 60)
            }
            _ => k.select(a.gt(b), a, c),
        };
        // Widths double with every product: none is needed beyond this.
        if v.range().bits() < 40 {
            list.push(if i % 7 == 0 { v.named(&format!("value_{i}")) } else { v });
        }
    }
    for j in 0..rng.random_range(1..5) {
        let y = list[list.len() - 1 - rng.random_range(0..list.len().min(6))];
        k.output(&format!("y{j}"), y);
    }
    k.set(state, list[list.len() - 1].shr(1, Rounding::Floor).read_as(0).clamp(-256, 255));
    k.finish()
}

#[test]
fn kernels_of_any_shape_keep_their_meaning() {
    let mut smaller = 0;
    for seed in 0..300 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let old = random_kernel(&mut rng);
        let new = share_constant_products(&old, &Options { effort: 20, ..OPTIONS });
        new.validate();
        compare(&old, &new, &mut rng);
        smaller += usize::from(products(&new) < products(&old));
    }
    assert!(smaller > 100, "{smaller} kernels have fewer products");
}
