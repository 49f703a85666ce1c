//! Which inputs go together: groups whose vectors follow from each other without much help.
//!
//! To make a block for each choice would take too long. How many different vectors there are, and how many of them one
//! adder makes of two others, says enough.

use crate::Matrix;
use crate::lanes::{Lanes, Packed};
use crate::random::Random;

/// The groups under arrangement.
#[derive(Debug)]
struct Affinity<'m> {
    matrix: &'m Matrix,
    bits: u32,
    /// Vectors of a group, and whether one adder makes each; their places by value.
    vectors: Vec<(Packed, bool)>,
    index: Vec<(u32, u16)>,
    work: u64,
}

/// Exchanges inputs of `groups` as long as there is `budget`; entries of the matrix have `bits` bits.
pub(crate) fn arrange(
    matrix: &Matrix,
    bits: u32,
    groups: &mut [Vec<usize>],
    budget: u64,
    random: &mut Random,
) {
    let size = ((matrix.outputs() + groups[0].len()) * 4).next_power_of_two();
    let mut affinity = Affinity { matrix, bits, vectors: Vec::new(), index: vec![(0, 0); size], work: 0 };
    if groups.len() < 2 || budget == 0 {
        return;
    }
    let mut values: Vec<i64> = groups.iter().map(|g| affinity.of(g)).collect();
    while affinity.work < budget {
        let (a, b) = (random.below(groups.len()), random.below(groups.len()));
        if a == b {
            continue;
        }
        let (i, j) = (random.below(groups[a].len()), random.below(groups[b].len()));
        let exchange =
            |groups: &mut [Vec<usize>]| (groups[a][i], groups[b][j]) = (groups[b][j], groups[a][i]);
        exchange(groups);
        let new = [affinity.of(&groups[a]), affinity.of(&groups[b])];
        if new[0] + new[1] >= values[a] + values[b] {
            (values[a], values[b]) = (new[0], new[1]);
        } else {
            exchange(groups);
        }
    }
}

impl Affinity<'_> {
    fn slot(&self, value: Packed) -> usize {
        let mask = self.index.len() - 1;
        // Fibonacci hashing (Knuth, volume 3, 6.4).
        let mut at = (value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize >> 40 & mask;
        while self.index[at].0 != value as u32 && self.index[at].0 != 0 {
            at = (at + 1) & mask;
        }
        at
    }

    fn add(&mut self, value: Packed, made: bool) {
        let at = self.slot(value);
        if self.index[at].0 == 0 {
            self.index[at] = (value as u32, self.vectors.len() as u16);
            self.vectors.push((value, made));
        }
    }

    /// Vectors of `group` that one adder makes of others, less twice the number of all.
    fn of(&mut self, group: &[usize]) -> i64 {
        let lanes = Lanes::new(group.len() as u32, self.bits).expect("the size is possible");
        self.vectors.clear();
        self.index.fill((0, 0));
        for i in 0..group.len() {
            self.add(lanes.pack((0..group.len()).map(|l| i64::from(l == i))), true);
        }
        for j in 0..self.matrix.outputs() {
            let x = lanes.pack(group.iter().map(|i| self.matrix.weight(*i, j)));
            if x != 0 {
                self.add(lanes.normal(x).0, false);
            }
        }
        let n = self.vectors.len();
        self.work += 50 + (n * n) as u64 / 2;
        for a in 1..n {
            let x = self.vectors[a].0;
            for b in 0..a {
                for sum in [x + self.vectors[b].0, x - self.vectors[b].0] {
                    let (odd, shift, _) = lanes.normal(sum);
                    let (key, c) = self.index[self.slot(odd)];
                    let c = c as usize;
                    if key != 0 && c != a && c != b {
                        self.vectors[a].1 = true;
                        self.vectors[b].1 = true;
                        self.vectors[c].1 |= shift == 0;
                    }
                }
            }
        }
        self.vectors.iter().filter(|v| v.1).count() as i64 - 2 * n as i64
    }
}
