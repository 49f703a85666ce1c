//! Parameters that tests visit: three that were chosen, and random ones.

use nervure_core::block::{Block, Rng};
use nervure_core::{QType, TensorType};
use rand::RngExt;

use super::{Node, Params, SumProduct, Sums};

fn product(of: &[usize]) -> Node {
    Node::Product(of.to_vec())
}

fn sum(of: &[usize], weights: &[i64]) -> Node {
    Node::Sum { of: of.to_vec(), weights: weights.to_vec() }
}

pub(super) fn examples() -> Vec<Params> {
    // Two variables, two components each, a mixture of three products.
    let mixture = Params {
        input: TensorType::frame(&[4], QType { bits: 6, frac: 2, signed: true }),
        nodes: vec![product(&[0, 2]), product(&[1, 2]), product(&[1, 3]), sum(&[4, 5, 6], &[-4, -8, -6])],
        outputs: None,
        sums: Sums::LogSum,
    };
    // Nodes with two parents, one child, several outputs, among them a leaf.
    let nodes = vec![
        sum(&[0, 1], &[-1, -3]),
        sum(&[0, 1], &[-20, 0]),
        sum(&[2], &[-2]),
        product(&[3, 5]),
        product(&[4, 2]),
        sum(&[6, 7, 6, 2, 7], &[-9, -1, -7, -4, 0]),
    ];
    let shared = Params {
        input: TensorType::step(&[3], QType { bits: 7, frac: 4, signed: true }),
        nodes,
        outputs: Some(vec![8, 3, 0]),
        sums: Sums::LogSum,
    };
    let explanation = Params { outputs: None, sums: Sums::Max, ..shared.clone() };
    vec![mixture, shared, explanation]
}

pub(super) fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
    if input.len() > 12 || input.format.bits > 12 {
        return None;
    }
    let mut nodes = Vec::new();
    for _ in 0..rng.random_range(1..6) {
        let before = input.len() + nodes.len();
        let of: Vec<usize> = (0..rng.random_range(1..5)).map(|_| rng.random_range(0..before)).collect();
        let weights = of.iter().map(|_| rng.random_range(-40..=0)).collect();
        nodes.push(if rng.random() { Node::Product(of) } else { Node::Sum { of, weights } });
    }
    let all = input.len() + nodes.len();
    let outputs = (0..rng.random_range(1..4)).map(|_| rng.random_range(0..all)).collect();
    let outputs = rng.random::<bool>().then_some(outputs);
    let sums = if rng.random_range(0..4) == 0 { Sums::Max } else { Sums::LogSum };
    let p = Params { input: input.clone(), nodes, outputs, sums };
    SumProduct::interface(&p).is_ok().then_some(p)
}
