//! The form of a pattern: N of M.

use std::fmt;

use nervure_core::Diagnostic;
use nervure_core::diag::in_range;

/// At most `n` of `m` consecutive weights are not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    n: usize,
    m: usize,
}

impl Pattern {
    /// Longest block.
    pub const MAX_M: usize = 16;

    /// Errors: `E0201` unless `1 <= n <= m <= 16`.
    pub fn new(n: usize, m: usize) -> Result<Self, Diagnostic> {
        in_range("m", m, 1..Self::MAX_M + 1)?;
        in_range("n", n, 1..m + 1)?;
        Ok(Self { n, m })
    }

    /// Of text such as `2:8`. Errors: `E0104` for other text, `E0201`.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        let number = |t: &str| t.trim().parse::<usize>().ok();
        let pair = text.split_once(':').and_then(|(n, m)| Some((number(n)?, number(m)?)));
        let Some((n, m)) = pair else {
            let message = format!("`{}` is no pattern", text.escape_debug());
            let help = "write how many weights of how many consecutive ones are kept, such as `2:8`";
            return Err(Diagnostic::new("E0104", message, help).at("pattern"));
        };
        Self::new(n, m).map_err(|d| d.at("pattern"))
    }

    /// Weights kept in a block.
    pub const fn n(self) -> usize {
        self.n
    }

    /// Weights in a block.
    pub const fn m(self) -> usize {
        self.m
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.n, self.m)
    }
}
