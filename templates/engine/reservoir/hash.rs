//! The definition of a reservoir's weights, in plain integers.

use nervure_core::QType;

use super::Params;

/// One round of mixing: one lookup table of five inputs a bit.
const fn mix(x: u32) -> u32 {
    0x9e37_79b9 ^ x ^ x.rotate_left(7) ^ x.rotate_left(18) ^ (x.rotate_left(12) & x.rotate_left(27))
}

/// The number that decides on the synapse from `source` to `neuron`.
pub(super) const fn hash(seed: u32, source: u32, neuron: u32) -> u32 {
    let from = mix(mix(seed ^ (source << 16 | source)));
    mix(mix(mix(from ^ (neuron << 16 | neuron))))
}

/// Weight of the synapse from `source`, an input or behind those a neuron, to `neuron`; 0 where there is none.
pub(super) fn weight(p: &Params, source: usize, neuron: usize) -> i64 {
    let h = hash(p.seed, source as u32, neuron as u32);
    let own = source >= p.input.len();
    let density = if own { p.recurrent_density } else { p.density };
    if (h & 0xff) as usize >= density {
        return 0;
    }
    let size = 1 + i64::from(h >> 16 & ((1 << p.magnitude_bits) - 1));
    let scaled = size << if own { p.recurrent_shift } else { p.input_shift };
    if (h >> 8 & 0xff) as usize >= p.positive { -scaled } else { scaled }
}

/// A format that holds every weight.
pub(super) fn format(p: &Params) -> QType {
    let most = 1i128 << (p.magnitude_bits + p.input_shift.max(p.recurrent_shift));
    QType::holding(-most, most, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One synapse in ten; scaled so that independent draws have mean 0 and variance [`VARIANCE`].
    fn there(seed: u32, source: u32, neuron: u32) -> i64 {
        i64::from(hash(seed, source, neuron) & 0xff < 26) * 256 - 26
    }

    const VARIANCE: i64 = 26 * 230;

    /// Mean square of the sums of products of two rows, in percent of that of independent draws.
    fn spread(rows: &[Vec<i64>]) -> i64 {
        let mut sum = 0;
        for (i, a) in rows.iter().enumerate() {
            sum += rows[..i]
                .iter()
                .map(|b| a.iter().zip(b).map(|(x, y)| x * y).sum::<i64>().pow(2))
                .sum::<i64>();
        }
        let pairs = (rows.len() * (rows.len() - 1) / 2) as i64;
        sum / pairs * 100 / (VARIANCE * VARIANCE * rows[0].len() as i64)
    }

    #[test]
    fn synapses_are_as_independent_as_drawn_ones() {
        for seed in [0, 1, 0xdead_beef] {
            let from: Vec<Vec<i64>> =
                (0..200).map(|s| (0..256).map(|n| there(seed, s, n)).collect()).collect();
            let to: Vec<Vec<i64>> = (0..200).map(|n| (0..256).map(|s| there(seed, s, n)).collect()).collect();
            let sum: i64 = from.iter().flatten().sum();
            // Three in a hundred of the density.
            assert!(sum.abs() * 100 < 3 * 26 * 200 * 256, "seed {seed}: the density is off by {sum}");
            for rows in [from, to] {
                let s = spread(&rows);
                assert!(
                    (87..115).contains(&s),
                    "seed {seed}: correlations have {s} % of the expected square"
                );
            }
        }
    }
}
