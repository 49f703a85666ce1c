//! Whatever the matrix: the graph is the matrix, within its levels and ranges, and the same with any number of threads.

use nervure_cmvm::{Cost, Interval, Matrix, Mismatch, Options, solve};
use proptest::prelude::*;

/// A weight: often zero, a power of two, small; sometimes huge.
fn weight() -> impl Strategy<Value = i64> {
    let huge = (1i64 << 48) - 1;
    prop_oneof![
        3 => Just(0i64),
        6 => -127i64..128,
        2 => (0u32..20, any::<bool>()).prop_map(|(n, minus)| if minus { -(1 << n) } else { 1 << n }),
        1 => -2000i64..2000,
        1 => -huge..=huge,
    ]
}

/// One bit, signed and unsigned bytes, a constant, lopsided intervals.
fn input() -> impl Strategy<Value = Interval> {
    prop_oneof![
        Just(Interval::of_bits(1, false)),
        Just(Interval::of_bits(8, true)),
        Just(Interval::of_bits(8, false)),
        Just(Interval::new(5, 5)),
        (-1000i128..1000, 0i128..1000).prop_map(|(lo, n)| Interval::new(lo, lo + n)),
    ]
}

fn matrix() -> impl Strategy<Value = Matrix> {
    let shape = (1usize..9, 1usize..9, prop_oneof![Just(true), Just(false)]);
    shape.prop_flat_map(|(n, m, small)| {
        let weights = if small { (-15i64..16).boxed() } else { weight().boxed() };
        (prop::collection::vec(input(), n), prop::collection::vec(weights, n * m))
            .prop_map(move |(inputs, weights)| Matrix::new(inputs, m, weights))
    })
}

fn options() -> impl Strategy<Value = Options> {
    let cost = prop_oneof![Just(Cost::Adders), Just(Cost::Bits)];
    (prop::option::of(0u32..4), 0u64..3000, cost, any::<u64>()).prop_map(
        |(extra_levels, effort, cost, seed)| Options { extra_levels, effort, cost, seed, threads: 1 },
    )
}

/// Digits that differ from zero when no two neighbours do, by division with remainder.
fn digits(mut v: i64) -> u32 {
    let mut count = 0;
    while v != 0 {
        if v % 2 != 0 {
            v -= 2 - v.rem_euclid(4);
            count += 1;
        }
        v /= 2;
    }
    count
}

fn fewest_levels(matrix: &Matrix) -> u32 {
    let most = (0..matrix.outputs()).map(|j| matrix.column(j).map(digits).sum::<u32>()).max();
    most.map_or(0, |n| n.max(1).next_power_of_two().trailing_zeros())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn graphs_are_their_matrices(matrix in matrix(), options in options(), picks in prop::collection::vec(any::<[u64; 9]>(), 20)) {
        let solution = solve(&matrix, &options);
        prop_assert_eq!(solution.verify(&matrix), Ok(()));
        if let Some(extra) = options.extra_levels {
            prop_assert!(solution.depth() <= fewest_levels(&matrix) + extra);
        }
        for pick in picks {
            let span = |x: &Interval| (x.hi - x.lo + 1) as u64;
            let x: Vec<i128> =
                matrix.inputs().iter().zip(pick).map(|(x, p)| x.lo + i128::from(p % span(x))).collect();
            let y = solution.eval(&x);
            for (j, y) in y.iter().enumerate() {
                let sum: i128 = matrix.column(j).zip(&x).map(|(w, x)| i128::from(w) * x).sum();
                prop_assert_eq!(*y, sum);
            }
        }
    }

    #[test]
    fn ranges_are_reached(matrix in matrix(), options in options()) {
        // Every node is a sum of independent inputs: its ends are at corners, which evaluation must reach.
        let solution = solve(&matrix, &options);
        for (j, tap) in solution.taps.iter().enumerate() {
            let Some(tap) = tap else {
                prop_assert!(matrix.column(j).all(|w| w == 0));
                continue;
            };
            let range = solution.nodes[tap.node as usize].range;
            let corner = |high: bool| -> Vec<i128> {
                matrix.inputs().iter().zip(matrix.column(j)).map(|(x, w)| if (w > 0) == high { x.hi } else { x.lo }).collect()
            };
            let scale = |v: i128| if tap.negative { -(v << tap.shift) } else { v << tap.shift };
            let (a, b) = (scale(range.lo), scale(range.hi));
            prop_assert_eq!(solution.eval(&corner(true))[j], a.max(b));
            prop_assert_eq!(solution.eval(&corner(false))[j], a.min(b));
        }
    }

    #[test]
    fn threads_do_not_show(matrix in matrix(), options in options()) {
        let one = solve(&matrix, &options);
        for threads in [2, 3, 8] {
            prop_assert_eq!(&solve(&matrix, &Options { threads, ..options }), &one);
        }
    }

    #[test]
    fn equal_columns_cost_nothing(weights in prop::collection::vec(1i64..100, 3)) {
        let row = |w: i64| [w, 4 * w, 0, -w];
        let matrix = Matrix::new(vec![Interval::of_bits(4, false); 3], 4, weights.iter().flat_map(|w| row(*w)).collect());
        let single = Matrix::new(vec![Interval::of_bits(4, false); 3], 1, weights);
        let options = Options { effort: 100, ..Options::default() };
        prop_assert_eq!(solve(&matrix, &options).adders(), solve(&single, &options).adders());
    }
}

fn random(n: usize, bits: u32, seed: u64) -> Matrix {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % ((1 << bits) - 1)) as i64 - (1 << (bits - 1)) + 1
    };
    Matrix::new(vec![Interval::of_bits(8, true); n], n, (0..n * n).map(|_| next()).collect())
}

#[test]
fn larger_matrices_and_more_effort() {
    for (n, bits) in [(16, 4), (24, 6), (40, 8), (20, 12), (9, 40)] {
        let matrix = random(n, bits, 7);
        let mut least = usize::MAX;
        for effort in [0, 20_000, 200_000] {
            for extra in [0, 3] {
                let options = Options { effort, extra_levels: Some(extra), threads: 2, ..Options::default() };
                let solution = solve(&matrix, &options);
                assert_eq!(solution.verify(&matrix), Ok(()));
                assert!(solution.depth() <= fewest_levels(&matrix) + extra, "{n} {bits} {extra}");
                if extra == 3 {
                    assert!(solution.adders() <= least, "{n} {bits}: more effort, more adders");
                    least = solution.adders();
                }
            }
        }
        let plain: u32 = (0..n).map(|j| matrix.column(j).map(digits).sum::<u32>() - 1).sum();
        assert!(least * 10 < plain as usize * 8, "{n} {bits}: {least} of {plain}");
    }
}

#[test]
fn proofs_fail_where_graphs_are_wrong() {
    let matrix = random(6, 6, 3);
    let right = solve(&matrix, &Options { effort: 0, ..Options::default() });
    let mut wrong = right.clone();
    wrong.taps.swap(0, 1);
    assert_eq!(wrong.verify(&matrix), Err(Mismatch::Output(0)));
    let mut wrong = right.clone();
    wrong.taps.pop();
    assert_eq!(wrong.verify(&matrix), Err(Mismatch::Shape));
    for n in 6..right.nodes.len() {
        let mut wrong = right.clone();
        wrong.nodes[n].range.hi += 1;
        assert_eq!(wrong.verify(&matrix), Err(Mismatch::Node(n)));
        let mut wrong = right.clone();
        wrong.nodes[n].operation.as_mut().expect("an operation").right.negative ^= true;
        assert!(wrong.verify(&matrix).is_err());
        let mut wrong = right.clone();
        wrong.nodes[n].operation.as_mut().expect("an operation").left.node = n as u32;
        assert_eq!(wrong.verify(&matrix), Err(Mismatch::Form(n)));
    }
}

#[test]
fn nothing_and_next_to_nothing() {
    let options = Options { effort: 1000, ..Options::default() };
    for (n, m) in [(0, 0), (0, 3), (3, 0), (1, 1), (4, 2)] {
        let zero = Matrix::new(vec![Interval::of_bits(8, true); n], m, vec![0; n * m]);
        let solution = solve(&zero, &options);
        assert_eq!((solution.adders(), solution.taps), (0, vec![None; m]));
    }
    let shifts = Matrix::new(vec![Interval::of_bits(1, false); 2], 2, vec![0, -64, 1, 0]);
    assert_eq!(solve(&shifts, &options).adders(), 0);
    // Bits side by side need no adder.
    let bits = Matrix::new(vec![Interval::of_bits(1, false); 3], 1, vec![1, 2, 4]);
    assert_eq!(solve(&bits, &options).bits(), 0);
}
