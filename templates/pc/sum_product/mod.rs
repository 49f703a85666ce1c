//! Probabilistic circuits in the log domain: products are sums, and sums are a largest element and a correction. Deliberately
//! absent: the distributions at the leaves (an `act/table` in front has them), and learning.

mod correction;
mod examples;

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::{Builder, Expr, Kernel};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::flat;

/// See the README.
pub(crate) struct SumProduct;

/// One node. A child is the number of an element of the input, or the number of elements plus that of a node before this one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Node {
    /// The product of its children.
    Product(Vec<usize>),
    /// A weighted sum of its children.
    Sum {
        /// The children.
        of: Vec<usize>,
        /// The logarithm of the weight of each, in input LSB.
        weights: Vec<i64>,
    },
}

/// What a sum node computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Sums {
    /// The logarithm of the sum: likelihoods, marginals.
    #[default]
    LogSum,
    /// The largest term: the most probable explanation.
    Max,
}

/// Parameters of `pc/sum_product`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Logarithms to base 2 at the leaves, read as a vector; their fraction 0 to 8. Filled in from the layer before.
    input: TensorType,
    /// The nodes, children before parents: `{product: [0, 1]}`, or `{sum: {of: [4, 5], weights: [-8, -8]}}`.
    nodes: Vec<Node>,
    /// The nodes whose values leave, as numbers of children; the last node unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outputs: Option<Vec<usize>>,
    /// What a sum is.
    #[serde(default)]
    sums: Sums,
}

impl Node {
    fn children(&self) -> &[usize] {
        match self {
            Self::Product(of) | Self::Sum { of, .. } => of,
        }
    }
}

impl Params {
    /// Most children of all nodes together.
    const MAX_EDGES: usize = 1 << 16;
    /// Largest logarithm of a weight, either way.
    const MAX_WEIGHT: i64 = 1 << 24;

    fn frac(&self) -> u8 {
        self.input.format.frac.unsigned_abs()
    }

    fn outputs(&self) -> Vec<usize> {
        self.outputs.clone().unwrap_or_else(|| vec![self.input.len() + self.nodes.len() - 1])
    }

    /// What the sum of two equal terms adds to each of them.
    fn one_bit(&self) -> i128 {
        match self.sums {
            Sums::LogSum => 1 << self.frac(),
            Sums::Max => 0,
        }
    }

    /// Smallest and largest value of every element and node. Errors: `E0207`.
    fn ranges(&self) -> Result<Vec<(i128, i128)>, Diagnostic> {
        let x = (i128::from(self.input.format.min()), i128::from(self.input.format.max()));
        let mut ranges = vec![x; self.input.len()];
        for (n, node) in self.nodes.iter().enumerate() {
            let of = node.children().iter().map(|c| ranges[*c]);
            let range = match node {
                Node::Product(_) => of.fold((0, 0), |sum, r| (sum.0 + r.0, sum.1 + r.1)),
                Node::Sum { weights, .. } => {
                    let terms = of.zip(weights).map(|(r, w)| (r.0 + i128::from(*w), r.1 + i128::from(*w)));
                    let (lo, hi) =
                        terms.reduce(|a, b| (a.0.max(b.0), a.1.max(b.1))).expect("it has children");
                    let levels = weights.len().next_power_of_two().trailing_zeros();
                    (lo, hi + self.one_bit() * i128::from(levels))
                }
            };
            if QType::holding(range.0, range.1, 0).bits > QType::MAX_BITS {
                let message =
                    format!("node {n} can be {} to {}; at most {} bits", range.0, range.1, QType::MAX_BITS);
                let help = "use fewer children, or narrower logarithms";
                return Err(Diagnostic::new("E0207", message, help).at(format!("[{n}]")).at("nodes"));
            }
            ranges.push(range);
        }
        Ok(ranges)
    }

    /// A format that holds every output. Errors: `E0207`.
    fn format(&self) -> Result<QType, Diagnostic> {
        let ranges = self.ranges()?;
        let of = self.outputs().into_iter().map(|o| ranges[o]);
        let (lo, hi) = of.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).expect("there are outputs");
        Ok(QType::holding(lo, hi, self.input.format.frac))
    }

    fn kernel(&self) -> Kernel {
        let (k, format) = (Builder::new(), self.format().expect("the interface was checked"));
        let table = correction::by_squares(self.frac());
        let mut values = flat::inputs(&k, "x", &self.input);
        for (n, node) in self.nodes.iter().enumerate() {
            let of = node.children().iter().map(|c| values[*c]);
            let value = match node {
                Node::Product(_) => k.reduce(of.collect(), |a, b| a + b),
                Node::Sum { weights, .. } => {
                    let terms = of.zip(weights).map(|(x, w)| x + k.constant(*w, format.frac)).collect();
                    match self.sums {
                        Sums::Max => k.reduce(terms, Expr::max),
                        Sums::LogSum => k.reduce(terms, |a, b| log_sum(&k, &table, a, b)),
                    }
                }
            };
            values.push(value.named(&format!("node_{n}")));
        }
        flat::outputs(&k, "y", format, self.outputs().into_iter().map(|o| values[o]));
        k.finish()
    }

    fn check_node(&self, n: usize, node: &Node) -> Result<(), Diagnostic> {
        let before = self.input.len() + n;
        let children = node.children();
        if children.is_empty() {
            let message = "a node without children";
            return Err(Diagnostic::new("E0205", message, "list at least one child"));
        }
        if let Some(c) = children.iter().find(|c| **c >= before) {
            let message = format!("`{c}` is no child of node {n}, expected 0 to {}", before - 1);
            let help = format!(
                "0 to {} are elements of the input, {} is the first node; children come before parents",
                self.input.len() - 1,
                self.input.len()
            );
            return Err(Diagnostic::new("E0201", message, help));
        }
        let Node::Sum { of, weights } = node else { return Ok(()) };
        if of.len() != weights.len() {
            let message = format!("{} children and {} weights", of.len(), weights.len());
            return Err(Diagnostic::new("E0205", message, "give one weight for each child"));
        }
        if let Some(w) = weights.iter().find(|w| w.abs() > Self::MAX_WEIGHT) {
            let most = Self::MAX_WEIGHT;
            let message = format!("a weight is {w}, expected {} to {most}", -most);
            return Err(Diagnostic::new("E0201", message, "leave out children whose weight is 0"));
        }
        Ok(())
    }
}

/// `max(a, b) + correction(|a - b|)`.
fn log_sum<'k>(k: &'k Builder, table: &[i64], a: Expr<'k>, b: Expr<'k>) -> Expr<'k> {
    let (ra, rb) = (a.range(), b.range());
    let first = a.ge(b);
    let nearest = (ra.lo - rb.hi).max(rb.lo - ra.hi).max(0);
    let farthest = (ra.hi - rb.lo).max(rb.hi - ra.lo);
    let apart = k.promise(k.select(first, a - b, b - a), nearest, farthest);
    let apart = apart.clamp(0, table.len() as i64 - 1).read_as(0);
    let r = apart.range();
    let more = k.table(apart, a.frac(), table[r.lo as usize..=r.hi as usize].to_vec());
    k.select(first, a, b) + more
}

impl Block for SumProduct {
    type Params = Params;
    /// Values of all elements and nodes, the terms of a sum, and the correction of every distance.
    type State = (Vec<i64>, Vec<i64>, Vec<i64>);
    const NAME: &'static str = "pc/sum_product";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        examples::examples()
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        examples::sample(input, rng)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        flat::check(&p.input, "input")?;
        let (x, n) = (p.input.format, p.input.len());
        if !(0..=8).contains(&x.frac) {
            let message = format!("the input is {x}, expected a fraction of 0 to 8");
            return Err(Diagnostic::new("E0203", message, "put an `act/quant` in front").at("input"));
        }
        let edges = p.nodes.iter().map(|n| n.children().len()).sum::<usize>();
        if p.nodes.is_empty() || edges > Params::MAX_EDGES {
            let message = format!("{} nodes with {edges} children", p.nodes.len());
            let help = format!("at least one node, at most {} children in all", Params::MAX_EDGES);
            return Err(Diagnostic::new("E0204", message, help).at("nodes"));
        }
        for (i, node) in p.nodes.iter().enumerate() {
            p.check_node(i, node).map_err(|d| d.at(format!("[{i}]")).at("nodes"))?;
        }
        let outputs = p.outputs();
        let all = n + p.nodes.len();
        if outputs.is_empty() || outputs.iter().any(|o| *o >= all) {
            let message = format!("`outputs` is {outputs:?}, expected numbers of 0 to {}", all - 1);
            let help = format!("{n} is the first node; leave it out for the last");
            return Err(Diagnostic::new("E0201", message, help).at("outputs"));
        }
        let y = TensorType { shape: vec![outputs.len()], format: p.format()?, rate: p.input.rate };
        flat::check(&y, "outputs")?;
        Ok(Interface::one_to_one(p.input.clone(), n, y, outputs.len()))
    }

    fn state(p: &Params) -> Self::State {
        let most = p.nodes.iter().map(|n| n.children().len()).max().unwrap_or(0);
        let table = (0..).map(|d| correction::by_series(d, p.frac()));
        let table = table.take_while(|c| *c > 0).collect();
        (vec![0; p.input.len() + p.nodes.len()], vec![0; most], table)
    }

    fn reset(_: &Params, _: &mut Self::State) {}

    fn step(p: &Params, (values, terms, table): &mut Self::State, x: &[&[i64]], y: &mut [&mut [i64]]) {
        let n = p.input.len();
        values[..n].copy_from_slice(x[0]);
        for (at, node) in p.nodes.iter().enumerate() {
            values[n + at] = match node {
                Node::Product(of) => of.iter().map(|c| values[*c]).sum(),
                Node::Sum { of, weights } => {
                    for ((term, c), w) in terms.iter_mut().zip(of).zip(weights) {
                        *term = values[*c] + w;
                    }
                    // Neighbours in pairs, until one is left.
                    let mut left = of.len();
                    while left > 1 {
                        for pair in 0..left / 2 {
                            let (a, b) = (terms[2 * pair], terms[2 * pair + 1]);
                            let more = table.get((a - b).unsigned_abs() as usize).copied().unwrap_or(0);
                            terms[pair] = a.max(b) + if p.sums == Sums::Max { 0 } else { more };
                        }
                        if left % 2 == 1 {
                            terms[left / 2] = terms[left - 1];
                        }
                        left = left.div_ceil(2);
                    }
                    terms[0]
                }
            };
        }
        y[0].iter_mut().zip(p.outputs()).for_each(|(y, o)| *y = values[o]);
    }

    fn body(p: &Params) -> Body {
        Body::Flat(p.kernel())
    }

    fn schedule(_: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, 1);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        p.kernel().flat_area(t)
    }
}
