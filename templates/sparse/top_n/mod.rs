//! The n largest of every m consecutive elements: what makes sparse weights or activations of dense ones. Deliberately absent:
//! elements of a block that come one after the other (all of them are here in one beat).

use nervure_core::block::{Area, Block, Body, Interface, Rng, Stream};
use nervure_core::kernel::{Builder, Expr, Kernel};
use nervure_core::{Diagnostic, QType, Schedule, Target, TensorType, diag};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::{counter_bits, flat};

/// See the README.
pub(crate) struct TopN;

/// Parameters of `sparse/top_n`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in: its last axis is blocks of `m`. Filled in from the layer before.
    input: TensorType,
    /// Elements kept in a block, 1 to `m`.
    n: usize,
    /// Elements in a block, 2 to 16; divides the last axis.
    m: usize,
}

impl Params {
    fn index(&self) -> QType {
        QType::unsigned(counter_bits(self.m) as u8)
    }

    /// Elements that stay.
    fn kept(&self) -> usize {
        self.input.len() / self.m * self.n
    }

    fn kernel(&self) -> Kernel {
        let k = Builder::new();
        let x = flat::inputs(&k, "x", &self.input);
        let slots: Vec<_> = x.chunks(self.m).flat_map(|block| self.block(&k, block)).collect();
        let (values, indices): (Vec<_>, Vec<_>) = slots.into_iter().unzip();
        flat::outputs(&k, "value", self.input.format, values);
        flat::outputs(&k, "index", self.index(), indices);
        k.finish()
    }

    /// The slots of a block: values and indices.
    fn block<'k>(&self, k: &'k Builder, x: &[Expr<'k>]) -> Vec<(Expr<'k>, Expr<'k>)> {
        let kept = self.mask(k, x);
        // How many stay before each element.
        let mut before = vec![k.constant(0, 0)];
        for kept in &kept {
            before.push(*before.last().expect("it begins with one") + *kept);
        }
        let slot = |s: usize| {
            // Indices ascend: slot s holds an element that has s before it, and n - 1 - s behind it.
            let mut candidates = s..=self.m - self.n + s;
            let last = candidates.next_back().expect("n is at most m");
            let last = (x[last], k.constant(last as i64, 0));
            candidates.rev().fold(last, |other, i| {
                let here = kept[i] & before[i].equals(k.constant(s as i64, 0));
                (k.select(here, x[i], other.0), k.select(here, k.constant(i as i64, 0), other.1))
            })
        };
        (0..self.n).map(slot).collect()
    }

    /// Which elements stay: those that fewer than n others come before.
    fn mask<'k>(&self, k: &'k Builder, x: &[Expr<'k>]) -> Vec<Expr<'k>> {
        let QType { frac, signed, .. } = self.input.format;
        let size = |x: &Expr<'k>| if signed { (k.constant(0, frac) - *x).max(*x) } else { *x };
        let size: Vec<Expr<'k>> = x.iter().map(size).collect();
        // Every pair is compared once: the later one comes before the earlier one only if it is larger.
        let larger = |i: usize, j: usize| size[j].gt(size[i]);
        let comes_before = |j: usize, i: usize| if j < i { !larger(j, i) } else { larger(i, j) };
        let stays = |i: usize| {
            let others: Vec<_> = (0..x.len()).filter(|j| *j != i).map(|j| comes_before(j, i)).collect();
            k.constant(self.n as i64, 0).gt(k.reduce(others, |a, b| a + b))
        };
        (0..x.len()).map(stays).collect()
    }
}

impl Block for TopN {
    type Params = Params;
    /// The indices of a block, to be sorted.
    type State = Vec<usize>;
    const NAME: &'static str = "sparse/top_n";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let two = Params { input: TensorType::step(&[4], QType::signed(6)), n: 2, m: 4 };
        let rows = Params {
            input: TensorType::frame(&[2, 6], QType { bits: 3, frac: 1, signed: false }),
            n: 1,
            m: 3,
        };
        let eight = Params { input: TensorType::step(&[8], QType::signed(4)), n: 2, m: 8 };
        let all = Params { input: TensorType::frame(&[4], QType::signed(3)), n: 2, m: 2 };
        vec![two, rows, eight, all]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let blocks: Vec<usize> = (2..=16).filter(|m| input.columns().is_multiple_of(*m)).collect();
        if input.len() > 48 || blocks.is_empty() {
            return None;
        }
        let m = blocks[rng.random_range(0..blocks.len())];
        Some(Params { input: input.clone(), n: rng.random_range(1..=m), m })
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        flat::check(&p.input, "input")?;
        diag::in_range("m", p.m, 2..17)?;
        diag::in_range("n", p.n, 1..p.m + 1)?;
        diag::divides("m", p.m, "the last axis of the input", p.input.columns())?;
        let mut shape = p.input.shape.clone();
        *shape.last_mut().expect("a tensor has an axis") = p.input.columns() / p.m * p.n;
        let of = |format| TensorType { shape: shape.clone(), format, rate: p.input.rate };
        Ok(Interface {
            inputs: vec![Stream::new("x", p.input.clone(), p.input.len())],
            outputs: vec![
                Stream::new("value", of(p.input.format), p.kept()),
                Stream::new("index", of(p.index()), p.kept()),
            ],
        })
    }

    fn state(p: &Params) -> Vec<usize> {
        vec![0; p.m]
    }

    fn reset(_: &Params, _: &mut Vec<usize>) {}

    fn step(p: &Params, order: &mut Vec<usize>, x: &[&[i64]], y: &mut [&mut [i64]]) {
        for (block, x) in x[0].chunks_exact(p.m).enumerate() {
            order.iter_mut().enumerate().for_each(|(i, o)| *o = i);
            order.sort_unstable_by_key(|&i| (std::cmp::Reverse(x[i].unsigned_abs()), i));
            order[..p.n].sort_unstable();
            for (slot, &i) in order[..p.n].iter().enumerate() {
                y[0][block * p.n + slot] = x[i];
                y[1][block * p.n + slot] = i as i64;
            }
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

    fn slots(p: &Params, x: &[i64]) -> (Vec<i64>, Vec<i64>) {
        let (mut values, mut indices) = (vec![0; p.kept()], vec![0; p.kept()]);
        TopN::step(p, &mut TopN::state(p), &[x], &mut [&mut values, &mut indices]);
        (values, indices)
    }

    #[test]
    fn the_largest_stay_in_their_order_and_of_equals_the_first() {
        let p = TopN::examples().remove(2);
        assert_eq!(slots(&p, &[1, -8, 7, 0, 3, -7, 8, 2]), (vec![-8, 8], vec![1, 6]));
        assert_eq!(slots(&p, &[0, 0, 0, 0, 0, 0, 0, -1]), (vec![0, -1], vec![0, 7]));
        assert_eq!(slots(&p, &[2, -2, 2, -2, 2, 2, 2, 2]), (vec![2, -2], vec![0, 1]));
    }

    /// Every pattern, every block of up to four values of three sizes: the kernel against the definition.
    #[test]
    fn the_kernel_is_the_definition() {
        for m in 2..=5usize {
            for n in 1..=m {
                let p = Params { input: TensorType::frame(&[m], QType::signed(3)), n, m };
                let kernel = p.kernel();
                for code in 0..5usize.pow(m as u32) {
                    let x: Vec<i64> = (0..m).map(|i| (code / 5usize.pow(i as u32) % 5) as i64 - 2).collect();
                    let (values, indices) = slots(&p, &x);
                    let y = kernel.eval(0, &x, &[]).outputs;
                    assert_eq!(y, [values, indices].concat(), "{n}:{m} of {x:?}");
                }
            }
        }
    }
}
