//! The k largest elements, in order, and where they were. Deliberately absent: elements that come one after the other (all of
//! them are here in one beat; `seq/argmax` takes any number of lanes).

use nervure_core::block::{Area, Block, Body, Interface, Rng, Stream};
use nervure_core::kernel::{Builder, Expr, Kernel};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::{counter_bits, flat};

/// See the README.
pub(crate) struct TopK;

/// Parameters of `seq/top_k`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in, read as a vector of at least two. Filled in from the layer before.
    input: TensorType,
    /// How many of the largest, at most 64.
    k: usize,
}

/// An element and its index.
type Entry<'k> = (Expr<'k>, Expr<'k>);

impl Params {
    fn index(&self) -> QType {
        QType::unsigned(counter_bits(self.input.len()) as u8)
    }

    fn kernel(&self) -> Kernel {
        let k = Builder::new();
        let x = flat::inputs(&k, "x", &self.input).into_iter().enumerate();
        let mut lists: Vec<Vec<Entry<'_>>> = x.map(|(i, x)| vec![(x, k.constant(i as i64, 0))]).collect();
        while lists.len() > 1 {
            lists = lists
                .chunks(2)
                .map(|pair| match pair {
                    [a, b] => merged(&k, a, b, self.k),
                    _ => pair[0].clone(),
                })
                .collect();
        }
        let (values, indices): (Vec<_>, Vec<_>) = lists.remove(0).into_iter().unzip();
        flat::outputs(&k, "value", self.input.format, values);
        flat::outputs(&k, "index", self.index(), indices);
        k.finish()
    }
}

/// The `most` largest of two lists that fall, `a` before `b` where they are equal.
///
/// Place `r` of the result has `a[i]` where exactly `r - i` of `b` are larger, and `b[j]` where exactly `r - j` of `a` are at least
/// as large: a neighbour on each side decides that, for both lists fall.
fn merged<'k>(k: &'k Builder, a: &[Entry<'k>], b: &[Entry<'k>], most: usize) -> Vec<Entry<'k>> {
    let first = |i: usize, j: usize| a[i].0.ge(b[j].0);
    let place = |r: usize| {
        let mut candidates: Vec<(Option<Expr<'k>>, Entry<'k>)> = Vec::new();
        for i in (0..a.len()).filter(|i| *i <= r && r - i <= b.len()) {
            let j = r - i;
            let larger = (j > 0).then(|| !first(i, j - 1));
            let not_more = (j < b.len()).then(|| first(i, j));
            candidates.push((both(larger, not_more), a[i]));
        }
        for j in (0..b.len()).filter(|j| *j <= r && r - j <= a.len()) {
            let i = r - j;
            let as_large = (i > 0).then(|| first(i - 1, j));
            let not_more = (i < a.len()).then(|| !first(i, j));
            candidates.push((both(as_large, not_more), b[j]));
        }
        let last = candidates.pop().expect("a place has an element").1;
        candidates.into_iter().fold(last, |other, (here, own)| {
            let here = here.expect("where there is a choice, something decides it");
            (k.select(here, own.0, other.0), k.select(here, own.1, other.1))
        })
    };
    (0..most.min(a.len() + b.len())).map(place).collect()
}

fn both<'k>(a: Option<Expr<'k>>, b: Option<Expr<'k>>) -> Option<Expr<'k>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a & b),
        (a, b) => a.or(b),
    }
}

impl Block for TopK {
    type Params = Params;
    /// The indices, to be sorted.
    type State = Vec<usize>;
    const NAME: &'static str = "seq/top_k";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let three = Params { input: TensorType::frame(&[7], QType::signed(4)), k: 3 };
        let all =
            Params { input: TensorType::step(&[2, 2], QType { bits: 2, frac: 1, signed: false }), k: 4 };
        let one = Params { input: TensorType::frame(&[10], QType::unsigned(5)), k: 1 };
        vec![three, all, one]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let n = input.len();
        (2..=24).contains(&n).then(|| Params { input: input.clone(), k: rng.random_range(1..=n.min(5)) })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        flat::check(&p.input, "input")?;
        let n = p.input.len();
        if n == 1 {
            let message = "the input has one element, which is always the largest";
            return Err(Diagnostic::new("E0203", message, "leave this layer out").at("input"));
        }
        diag::in_range("k", p.k, 1..n.min(64) + 1)?;
        let of = |format| TensorType { shape: vec![p.k], format, rate: p.input.rate };
        Ok(Interface {
            inputs: vec![Stream::new("x", p.input.clone(), n)],
            outputs: vec![
                Stream::new("value", of(p.input.format), p.k),
                Stream::new("index", of(p.index()), p.k),
            ],
        })
    }

    fn state(p: &Params) -> Vec<usize> {
        vec![0; p.input.len()]
    }

    fn reset(_: &Params, _: &mut Vec<usize>) {}

    fn step(p: &Params, order: &mut Vec<usize>, x: &[&[i64]], y: &mut [&mut [i64]]) {
        order.iter_mut().enumerate().for_each(|(i, o)| *o = i);
        order.sort_unstable_by_key(|&i| (-x[0][i], i));
        for (place, &i) in order.iter().take(p.k).enumerate() {
            y[0][place] = x[0][i];
            y[1][place] = i as i64;
        }
    }

    fn body(p: &Params) -> Body {
        Body::Flat(p.kernel())
    }

    fn schedule(_: &Params, _: &Vec<usize>, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(0b11, 1);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        p.kernel().flat_area(t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equals_the_first_comes_first() {
        let p = TopK::examples().remove(0);
        let (mut values, mut indices) = ([0; 3], [0; 3]);
        let mut state = TopK::state(&p);
        TopK::step(&p, &mut state, &[&[3, 5, -8, 5, 3, 3, 0]], &mut [&mut values, &mut indices]);
        assert_eq!((values, indices), ([5, 5, 3], [1, 3, 0]));
    }
}
