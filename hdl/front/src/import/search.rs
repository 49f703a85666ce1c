//! The search for formats: as few bits as leave every spike, or the best of a given width.

use super::quantize::{Calibration, Choice, Form, MAX_DECAY, Open, fitting};

/// Fraction bits of a weight, at most.
const MAX_FRACTION: i32 = 23;
/// Fraction bits that a membrane has below its weights, at most.
const MAX_EXTRA: u32 = 8;

impl Open<'_> {
    /// The narrowest of the formats that leave no spike different; the best there is where none does.
    pub(super) fn lossless(&self, cal: &Calibration<'_>, start: Choice) -> Choice {
        let (leak, current_leak) = self.forms(MAX_DECAY);
        let wide = Choice { leak, current_leak, ..start };
        let wide = Choice { extra: if self.exact_leaks(wide) { 0 } else { MAX_EXTRA }, ..wide };
        let mut best = (usize::MAX, wide);
        for fraction in 0..=MAX_FRACTION {
            let c = Choice { fraction, ..wide };
            let (error, _) = self.error(c, cal);
            if error < best.0 {
                best = (error, c);
            }
            if error == 0 {
                break;
            }
        }
        let (limit, mut c) = best;
        let good = |c: Choice| self.error(c, cal).0 <= limit;
        if let Some(extra) = (0..c.extra).find(|extra| good(Choice { extra: *extra, ..c })) {
            c.extra = extra;
        }
        if let Form::Fraction(n) = c.leak
            && let Some(n) = (1..n).find(|n| good(Choice { leak: Form::Fraction(*n), ..c }))
        {
            c.leak = Form::Fraction(n);
        }
        if let Form::Fraction(n) = c.current_leak
            && let Some(n) = (1..n).find(|n| good(Choice { current_leak: Form::Fraction(*n), ..c }))
        {
            c.current_leak = Form::Fraction(n);
        }
        c
    }

    /// Formats for weights of `bits` bits: those that come closest on the calibration set, the narrower of equals.
    pub(super) fn within(&self, bits: u32, cal: Option<&Calibration<'_>>, start: Choice) -> Choice {
        let weights = self.all_weights();
        let fit = fitting(&weights, bits);
        // Weights that are exact in fewer bits need no finer ones.
        let whole = |f: i32| weights.iter().all(|w| (w * f64::from(f).exp2()).fract().abs() <= 0.0);
        let exact = (0..=fit).find(|f| whole(*f));
        let (leak, current_leak) = self.forms(8);
        let fraction = exact.unwrap_or(fit);
        let mut c = Choice { fraction, bits: Some(bits), leak, current_leak, ..start };
        let Some(cal) = cal else {
            c.extra = if self.exact_leaks(c) { 0 } else { 2 };
            return c;
        };
        let distance = |c: Choice| self.error(c, cal).1;
        let choose = |list: Vec<Choice>, slack: f64| {
            let scored: Vec<(f64, Choice)> = list.into_iter().map(|c| (distance(c), c)).collect();
            let best = scored.iter().fold(f64::MAX, |m, s| m.min(s.0));
            scored
                .into_iter()
                .find(|s| s.0 <= best.mul_add(slack, best))
                .expect("there are candidates, and one is the best")
                .1
        };
        if exact.is_none() {
            // Finer weights clip the largest ones, which often costs less than it gains.
            c = choose((fit..fit + 3).map(|fraction| Choice { fraction, ..c }).collect(), 0.0);
        }
        let extras = if self.exact_leaks(c) { 1 } else { 5 };
        c = choose((0..extras).map(|extra| Choice { extra, ..c }).collect(), 0.05);
        if let Form::Fraction(_) = c.leak {
            c = choose((3..=12).map(|n| Choice { leak: Form::Fraction(n), ..c }).collect(), 0.05);
        }
        if let Form::Fraction(_) = c.current_leak {
            c = choose((3..=12).map(|n| Choice { current_leak: Form::Fraction(n), ..c }).collect(), 0.05);
        }
        c
    }
}
