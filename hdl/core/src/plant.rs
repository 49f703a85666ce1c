//! Plants: what a network controls, in integers.
//!
//! A plant is states, sequences that come from outside (set-points, disturbances, noise), and sums over both that say how a
//! state moves on and what the network is told. It is data: `front` reads it, `sim` moves it. Deliberately absent: floating
//! point, and time other than steps.

use crate::num::{QType, Rounding};

/// What a factor of a term is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// A state, as it is at the start of the step.
    State(usize),
    /// A sequence, in this step.
    Sequence(usize),
    /// An element of an output of the network, in this step.
    Command {
        /// Output of the network.
        output: usize,
        /// Element of its tensor.
        element: usize,
    },
}

/// One factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor {
    /// What it reads.
    pub signal: Signal,
    /// Whether its sign is dropped.
    pub absolute: bool,
}

/// `gain` times the product of the factors; without a factor, `gain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// An integer.
    pub gain: i64,
    /// Up to [`Term::MOST`].
    pub factors: Vec<Factor>,
}

impl Term {
    /// Factors, at most.
    pub const MOST: usize = 3;
}

/// `round(sum of terms / 2^shift)`, exact before the division.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// The terms.
    pub terms: Vec<Term>,
    /// 0 to [`Sum::MOST_SHIFT`].
    pub shift: u32,
    /// Rounding of the division.
    pub rounding: Rounding,
}

impl Sum {
    /// The largest shift.
    pub const MOST_SHIFT: u32 = 62;

    /// The largest magnitude that it can have before the division, where `of` is that of a signal; nothing beyond 126 bits.
    pub fn magnitude(&self, of: impl Fn(Signal) -> i64) -> Option<i128> {
        self.terms.iter().try_fold(0i128, |sum, term| {
            let gain = i128::from(term.gain.unsigned_abs());
            let product = term.factors.iter().try_fold(gain, |p, f| p.checked_mul(of(f.signal).into()))?;
            sum.checked_add(product).filter(|s| *s < 1 << 126)
        })
    }
}

/// One state: `state[t+1] = saturate(next[t])`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlantState {
    /// Name.
    pub name: String,
    /// Its format, to which it saturates.
    pub format: QType,
    /// At the start of every episode.
    pub start: i64,
    /// Its value in the next step. It may read commands.
    pub next: Sum,
}

/// Values from outside, one a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// Name.
    pub name: String,
    /// Format that holds every value.
    pub format: QType,
    /// `[episodes, steps]`.
    pub values: Vec<i64>,
}

/// How good the control is: a state that should follow a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracking {
    /// Index of the state.
    pub state: usize,
    /// Index of the sequence.
    pub target: usize,
    /// From the fraction of the sequence to that of the state.
    pub shift: u32,
    /// Sequences whose changes, too, are something to settle from.
    pub disturbances: Vec<usize>,
    /// A distance up to this counts as settled, in the state's LSB.
    pub band: i64,
}

/// A plant that fits one network. An episode is a sample of that network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plant {
    /// Name.
    pub name: String,
    /// Steps a second: the answer to a step must be there before the next one.
    pub rate_hz: u32,
    /// Number of episodes.
    pub episodes: usize,
    /// Steps of each.
    pub steps: usize,
    /// States.
    pub states: Vec<PlantState>,
    /// Sequences.
    pub sequences: Vec<Sequence>,
    /// Per input of the network and element: what it is told, saturated to the input's format. None reads a command.
    pub senses: Vec<Vec<Sum>>,
    /// What is judged.
    pub tracking: Option<Tracking>,
}

impl Plant {
    /// Cycles of a clock of `clock_mhz` from one step to the next, whole ones.
    pub const fn deadline(&self, clock_mhz: u32) -> u64 {
        clock_mhz as u64 * 1_000_000 / self.rate_hz as u64
    }
}

#[cfg(test)]
mod tests {
    use super::{Factor, Rounding, Signal, Sum, Term};

    #[test]
    fn a_sum_knows_how_large_it_can_become() {
        let x = Factor { signal: Signal::State(0), absolute: false };
        let term = |gain, n| Term { gain, factors: vec![x; n] };
        let sum = |terms| Sum { terms, shift: 0, rounding: Rounding::Floor };
        assert_eq!(sum(vec![term(-3, 2), term(7, 0)]).magnitude(|_| 10), Some(307));
        assert_eq!(sum(vec![term(i64::MAX, 2)]).magnitude(|_| 1 << 40), None);
    }
}
