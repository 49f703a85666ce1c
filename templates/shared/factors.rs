//! What an unrolled layer multiplies by and begins its sums with: constants, or words of a store that the register bus writes.

use nervure_core::kernel::{Builder, Expr, Store};
use nervure_core::{Diagnostic, QType, Tensor, diag};

use super::sum_range;

/// Weights and biases as parameters give them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Factors<'a> {
    pub(crate) weights: &'a Tensor,
    pub(crate) weight_format: QType,
    /// In LSB of the sum.
    pub(crate) bias: Option<&'a Tensor>,
    /// Format of a bias at run time.
    pub(crate) bias_format: Option<QType>,
    pub(crate) run_time: bool,
}

/// The same in a kernel.
pub(crate) enum Terms<'k> {
    /// Constants, and their fraction.
    Constant(&'k [i64], i8),
    /// Words.
    Held(Vec<Expr<'k>>),
}

impl<'k> Terms<'k> {
    /// Number `n`; nothing for a constant zero.
    pub(crate) fn at(&self, k: &'k Builder, n: usize) -> Option<Expr<'k>> {
        match self {
            Self::Constant(list, frac) => (list[n] != 0).then(|| k.constant(list[n], *frac)),
            Self::Held(words) => Some(words[n]),
        }
    }
}

impl<'k> Factors<'k> {
    /// The interval of every sum of inputs `x` in `rows` (the weights, one row for each output): of these weights or, at run
    /// time, of any.
    ///
    /// Errors: `E0203` for a format of biases that does not fit the sum, is missing or does not count; `E0201` for one of more
    /// than 32 bits; `E0206` for a bias that it does not hold.
    pub(crate) fn range(&self, x: QType, rows: &Tensor) -> Result<(i128, i128), Diagnostic> {
        let wrong =
            |message: &str, help: &str| Err(Diagnostic::new("E0203", message, help).at("bias_format"));
        let bias = match (self.run_time, self.bias, self.bias_format) {
            (true, Some(bias), Some(format)) => {
                diag::in_range("bias_format", format.bits.into(), 1..33)?;
                self.check_bias(x, bias, format)?
            }
            (true, Some(_), None) => {
                let message = "biases at run time, and no format that says what they may be";
                return wrong(message, "give `bias_format`; its fraction is at most that of the sum");
            }
            (true, None, None) => (0, 0),
            (false, _, None) => return Ok(sum_range(rows, self.bias, x.min(), x.max())),
            (_, _, Some(_)) => {
                return wrong(
                    "`bias_format` is for biases at run time",
                    "leave it out, or give `run_time_weights` and `bias`",
                );
            }
        };
        let w = self.weight_format;
        let ends = |w: i64| [i128::from(w) * i128::from(x.min()), i128::from(w) * i128::from(x.max())];
        let products = [ends(w.min()), ends(w.max())].concat();
        let taps = (rows.data.len() / rows.shape[0]) as i128;
        let (lo, hi) = products.into_iter().fold((0, 0), |(lo, hi): (i128, i128), p| (lo.min(p), hi.max(p)));
        Ok((taps * lo + bias.0.min(0), taps * hi + bias.1.max(0)))
    }

    /// The interval of a bias, in LSB of the sum.
    fn check_bias(&self, x: QType, bias: &Tensor, format: QType) -> Result<(i128, i128), Diagnostic> {
        let shift = self.bias_shift(x, format);
        let Some(shift) = shift.filter(|s| *s < u32::from(QType::MAX_BITS)) else {
            let message = format!("biases of {format}, but the products have {} fraction bits", self.frac(x));
            let help = "give them a fraction that is not larger, and not smaller by more than 47 bits";
            return Err(Diagnostic::new("E0203", message, help).at("bias_format"));
        };
        let fits = |b: &&i64| {
            **b >> shift << shift == **b && format.min() <= **b >> shift && **b >> shift <= format.max()
        };
        if let Some(b) = bias.data.iter().find(|b| !fits(b)) {
            let message = format!("a bias is {b} LSB of the sum, which {format} does not hold");
            let help =
                format!("biases are multiples of {}; widen `bias_format` or round them", 1i64 << shift);
            return Err(Diagnostic::new("E0206", message, help).at("bias"));
        }
        Ok((i128::from(format.min()) << shift, i128::from(format.max()) << shift))
    }

    /// Fraction of a product.
    fn frac(&self, x: QType) -> i32 {
        i32::from(x.frac) + i32::from(self.weight_format.frac)
    }

    fn bias_shift(&self, x: QType, format: QType) -> Option<u32> {
        u32::try_from(self.frac(x) - i32::from(format.frac)).ok()
    }

    /// The weights in a kernel.
    pub(crate) fn weights(&self, k: &'k Builder) -> Terms<'k> {
        let format = self.weight_format;
        if !self.run_time {
            return Terms::Constant(&self.weights.data, format.frac);
        }
        let holds = format!("weights {:?} of {format}, row-major", self.weights.shape);
        Terms::Held(k.store(Store {
            name: "weights".into(),
            format,
            words: self.weights.data.clone(),
            holds,
        }))
    }

    /// What each sum of format `sum` begins with, in a kernel.
    pub(crate) fn bias(&self, k: &'k Builder, x: QType, sum: QType) -> Terms<'k> {
        let Some(bias) = self.bias else { return Terms::Constant(&[], sum.frac) };
        let Some(format) = self.bias_format else { return Terms::Constant(&bias.data, sum.frac) };
        let shift = self.bias_shift(x, format).expect("the format was checked");
        let words = k.store(Store {
            name: "bias".into(),
            format,
            words: bias.data.iter().map(|b| b >> shift).collect(),
            holds: format!("biases {:?} of {format}", bias.shape),
        });
        Terms::Held(words.into_iter().map(|w| w.shl(shift).read_as(sum.frac)).collect())
    }
}
