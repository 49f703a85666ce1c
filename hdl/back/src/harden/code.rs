//! The extended Hamming code: what is stored for a word, and what a decoder has to know. Single flips are corrected, double
//! flips are seen. Deliberately absent: Verilog.
//!
//! Source: Hamming, "Error detecting and error correcting codes" (Bell System Technical Journal 29, 1950).

/// Most data bits of one code word; wider words lie in several.
const MOST: usize = 64;

/// A code over so many bits of data: first the data, then the check bits, then the parity of all of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Code {
    /// Bits of data.
    pub(super) data: usize,
}

impl Code {
    /// Check bits, without the parity.
    pub(super) fn checks(self) -> usize {
        (2..32).find(|r| 1 << r > self.data + r).expect("powers of two outgrow their exponents")
    }

    /// Bits that are stored.
    pub(super) fn bits(self) -> usize {
        self.data + self.checks() + 1
    }

    /// The check bits that each bit of data is in: numbers from 3 that are no powers of two, for those are the check bits.
    pub(super) fn columns(self) -> Vec<usize> {
        (3..).filter(|n: &usize| !n.is_power_of_two()).take(self.data).collect()
    }

    /// The largest syndrome that one flip makes.
    pub(super) fn largest(self) -> usize {
        self.columns().into_iter().max().unwrap_or(0).max(1 << (self.checks() - 1))
    }

    /// What is stored for `data`.
    pub(super) fn encode(self, data: &[bool]) -> Vec<bool> {
        let mut word = data.to_vec();
        let syndrome = self.columns().iter().zip(data).filter(|(_, d)| **d).fold(0, |s, (c, _)| s ^ c);
        word.extend((0..self.checks()).map(|n| syndrome >> n & 1 == 1));
        word.push(word.iter().filter(|b| **b).count() % 2 == 1);
        word
    }
}

/// The codes of a word of `width` bits, lowest first: as few as can be, as equal as can be.
pub(super) fn codes(width: usize) -> Vec<Code> {
    let n = width.div_ceil(MOST);
    (0..n).map(|at| Code { data: width / n + usize::from(at < width % n) }).collect()
}

/// Words in hexadecimal, each encoded in pieces, lowest first.
pub(super) fn encoded(words: &str, pieces: &[Code]) -> String {
    let width = pieces.iter().map(|c| c.data).sum();
    let line = |word: &str| {
        let digits = word.chars().rev().filter_map(|c| c.to_digit(16));
        let mut bits: Vec<bool> = digits.flat_map(|d| (0..4).map(move |b| d >> b & 1 == 1)).collect();
        bits.resize(width, false);
        let mut stored = Vec::new();
        let mut at = 0;
        for code in pieces {
            stored.extend(code.encode(&bits[at..at + code.data]));
            at += code.data;
        }
        let digit = |four: &[bool]| {
            let value = four.iter().rev().fold(0, |v, b| 2 * v + u32::from(*b));
            char::from_digit(value, 16).expect("four bits")
        };
        let text: String = stored.chunks(4).rev().map(digit).collect();
        text + "\n"
    };
    words.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Minimum distance 4, for the widths that are looked through in full.
    #[test]
    fn words_differ_in_four_bits_at_least() {
        for data in 1..=9 {
            let code = Code { data };
            let word = |n: usize| code.encode(&(0..data).map(|b| n >> b & 1 == 1).collect::<Vec<_>>());
            for n in 1..1 << data {
                let weight = word(n).iter().filter(|b| **b).count();
                assert!(weight >= 4, "{data} bits, {n}: {weight}");
            }
        }
    }

    #[test]
    fn sizes_are_those_of_the_books() {
        let bits = |data| Code { data }.bits();
        assert_eq!([1, 4, 8, 11, 16, 26, 32, 57, 64].map(bits), [4, 8, 13, 16, 22, 32, 39, 64, 72]);
        assert_eq!(codes(130).iter().map(|c| c.data).collect::<Vec<_>>(), [44, 43, 43]);
        assert_eq!(encoded("0\nf\n", &codes(4)), "00\nff\n");
    }
}
