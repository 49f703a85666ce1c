//! Which integer operation is a monotone function of an integer, exactly.
//!
//! The function is known by its thresholds: where it first reaches each level. A candidate (a shift, a multiplier and an
//! offset) is taken only where it reaches every level at the same integer, so the two are equal on the whole range.
//! Deliberately absent: approximations.

use nervure_core::Rounding;

use super::rounding::Mode;

/// A monotone function of the integers `lo..=hi`, for one column of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) lo: i64,
    pub(crate) hi: i64,
    /// For each level above the lowest: the smallest integer that reaches it, or `hi + 1` where none does.
    pub(crate) thresholds: Vec<i64>,
    /// The line that it follows, where it does: level is about `line.0 * n + line.1`.
    pub(crate) line: Option<(f64, f64)>,
}

/// An operation of the network.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Form {
    /// Nothing to do.
    Same,
    /// `clamp(round((n + bias) / 2^shift))`.
    Shift { shift: u32, rounding: Rounding, bias: Vec<i64> },
    /// `clamp(round((n * multiplier + offset) / 2^shift))`, half up, or half to even for `onnx` (without offset).
    /// For a few integers, `late`, of each column it is one less.
    Scale { multiplier: Vec<i64>, shift: Vec<i64>, offset: Vec<i64>, late: Vec<Vec<i64>>, onnx: bool },
    /// Thresholds counted.
    Thresholds,
}

/// Most thresholds of one element that are compared at once, where a multiplier would do.
const FEW: usize = 15;
/// Most integers of a column whose result is one less than that of a line.
const LATE: usize = 8;
/// Most thresholds of one element.
const MANY: usize = 255;

/// Where `f` first reaches each level of `levels` above the lowest, on `lo..=hi`; `f` is monotone.
pub(crate) fn thresholds(f: impl Fn(i64) -> i64, (lo, hi): (i64, i64), levels: (i64, i64)) -> Vec<i64> {
    let (first, last) = (f(lo), f(hi));
    let mut at = lo;
    let mut find = |level: i64| {
        if level <= first {
            return lo;
        }
        if level > last {
            return hi + 1;
        }
        // f(below) < level <= f(reached)
        let (mut below, mut reached) = (at.max(lo), hi);
        if f(below) >= level {
            return below;
        }
        while reached - below > 1 {
            let middle = below + (reached - below) / 2;
            if f(middle) >= level { reached = middle } else { below = middle }
        }
        at = reached;
        reached
    };
    (levels.0 + 1..=levels.1).map(&mut find).collect()
}

impl Column {
    /// Whether `g` reaches every level where this does.
    fn is(&self, lowest: i64, g: impl Fn(i64) -> i64) -> bool {
        self.thresholds
            .iter()
            .zip(lowest + 1..)
            .all(|(&t, level)| (t > self.hi || g(t) >= level) && (t <= self.lo || g(t - 1) < level))
    }

    /// Offsets with which `round_half_up((n * m + offset) / 2^shift)` is this.
    fn offsets(&self, lowest: i64, m: i64, shift: u32) -> (i128, i128) {
        let half = if shift == 0 { 0 } else { 1i128 << (shift - 1) };
        let (mut least, mut most) = (-(1i128 << 60), 1i128 << 60);
        for (&t, level) in self.thresholds.iter().zip(lowest + 1..) {
            let level = (i128::from(level) << shift) - half;
            if t <= self.hi {
                least = least.max(level - i128::from(t) * i128::from(m));
            }
            if t > self.lo {
                most = most.min(level - i128::from(t - 1) * i128::from(m) - 1);
            }
        }
        (least, most)
    }

    /// A multiplier near `m`, and an offset, with which it is this.
    ///
    /// The room for an offset is concave in the multiplier: where there is any, the search finds it.
    fn multiplier(&self, lowest: i64, m: i64, shift: u32) -> Option<(i64, i64)> {
        let room = |m: i64| {
            let (least, most) = self.offsets(lowest, m, shift);
            most - least
        };
        if room(m) < 0 {
            let reach = (m >> 10).max(1);
            let (mut lo, mut hi) = ((m - reach).max(0), (m + reach).min((1 << 31) - 1));
            while lo < hi {
                let middle = lo + (hi - lo) / 2;
                if room(middle) < room(middle + 1) { lo = middle + 1 } else { hi = middle }
            }
            return self.multiplier_is(lowest, lo, shift);
        }
        self.multiplier_is(lowest, m, shift)
    }

    fn multiplier_is(&self, lowest: i64, m: i64, shift: u32) -> Option<(i64, i64)> {
        let (least, most) = self.offsets(lowest, m, shift);
        (least <= most).then(|| (m, roundest(least, most)))
    }

    fn constant(&self) -> bool {
        self.thresholds.iter().all(|t| *t <= self.lo || *t > self.hi)
    }
}

/// The cheapest operation that is exactly these functions, onto `levels`. `bias` says whether integers can be added to
/// what comes in for nothing, `onnx` that the factor is a runtime's own.
pub(crate) fn fit(
    columns: &[Column],
    levels: (i64, i64),
    mode: Mode,
    bias: bool,
    onnx: bool,
) -> Option<Form> {
    let count = (levels.1 - levels.0) as usize;
    let same = |c: &Column| c.lo >= levels.0 && c.hi <= levels.1 && c.is(levels.0, |n| n);
    if columns.iter().all(same) {
        return Some(Form::Same);
    }
    shift(columns, levels.0, mode, bias)
        .or_else(|| onnx.then(|| as_onnx(columns, levels.0)).flatten())
        .or_else(|| (count <= FEW).then_some(Form::Thresholds))
        .or_else(|| scale(columns, levels.0))
        .or_else(|| nearly(columns, levels.0))
        .or_else(|| (count <= MANY).then_some(Form::Thresholds))
}

fn shift(columns: &[Column], lowest: i64, mode: Mode, can_add: bool) -> Option<Form> {
    let slope = columns.iter().find_map(|c| c.line)?.0;
    let shift = -slope.log2();
    let wanted = shift.round();
    if (shift - wanted).abs() > 1e-6 || !(0.0..=62.0).contains(&wanted) {
        return None;
    }
    let shift = wanted as u32;
    let mut bias = Vec::new();
    for c in columns {
        let (a, b) = c.line?;
        let add = b / a;
        if add.abs() > 1e12
            || ((a / slope) - 1.0).abs() > 1e-6
            || (add - add.round()).abs() > 1e-6f64.max(add.abs() * 3e-7)
        {
            return None;
        }
        bias.push(add.round() as i64);
    }
    if !can_add && bias.iter().any(|b| *b != 0) {
        return None;
    }
    let all = [Rounding::HalfEven, Rounding::HalfUp, Rounding::Floor, Rounding::TowardZero];
    let first = if matches!(mode, Mode::Floor) { 2 } else { 0 };
    let mut order = vec![all[first]];
    order.extend(all);
    let fits = |r: &Rounding| {
        let g = |n: i64, b: i64| r.shift(i128::from(n) + i128::from(b), shift) as i64;
        columns.iter().zip(&bias).all(|(c, b)| c.is(lowest, |n| g(n, *b)))
    };
    order.into_iter().find(fits).map(|rounding| Form::Shift { shift, rounding, bias })
}

/// The significand of the factor in binary32.
fn as_onnx(columns: &[Column], lowest: i64) -> Option<Form> {
    let (mut multiplier, mut shift) = (Vec::new(), Vec::new());
    for c in columns {
        let (a, b) = c.line?;
        let bits = (a as f32).to_bits();
        let exponent = (bits >> 23) as i64;
        let (m, s) = (i64::from(bits & 0x7f_ffff) | 1 << 23, 150 - exponent);
        let zeros = i64::from(m.trailing_zeros()).min(s.max(0));
        let (m, s) = (m >> zeros, s - zeros);
        let g = |n: i64| Rounding::HalfEven.shift(i128::from(n) * i128::from(m), s as u32) as i64;
        if a <= 0.0 || b.abs() > 0.0 || !(0..=62).contains(&s) || !c.is(lowest, g) {
            return None;
        }
        multiplier.push(m);
        shift.push(s);
    }
    let offset = vec![0; columns.len()];
    Some(Form::Scale { multiplier, shift, offset, late: Vec::new(), onnx: true })
}

/// The shortest multipliers that do.
fn scale(columns: &[Column], lowest: i64) -> Option<Form> {
    'shift: for shift in 0..=46u32 {
        let (mut multiplier, mut offset) = (Vec::new(), Vec::new());
        for c in columns {
            let m = if c.constant() { 0.0 } else { c.line?.0 * f64::from(shift).exp2() };
            if m >= f64::from(1u32 << 31) {
                return None;
            }
            let Some((m, o)) = c.multiplier(lowest, m.round() as i64, shift) else { continue 'shift };
            multiplier.push(m);
            offset.push(o);
        }
        let shift = vec![i64::from(shift)];
        return Some(Form::Scale { multiplier, shift, offset, late: Vec::new(), onnx: false });
    }
    None
}

/// Multipliers that reach some levels one integer too soon: where the framework rounds twice, no line is exact.
fn nearly(columns: &[Column], lowest: i64) -> Option<Form> {
    let at = |shift: u32| {
        let (mut multiplier, mut offset, mut late) = (Vec::new(), Vec::new(), Vec::new());
        for c in columns {
            let m = if c.constant() { 0.0 } else { c.line?.0 * f64::from(shift).exp2() };
            if m >= f64::from(1u32 << 31) || c.line?.0 >= 0.5 {
                return None;
            }
            let m = m.round() as i64;
            let (least, most) = c.offsets(lowest, m, shift);
            let o = if least <= most { roundest(least, most) } else { i64::try_from(least).ok()? };
            let g =
                |n: i64| Rounding::HalfUp.shift(i128::from(n) * i128::from(m) + i128::from(o), shift) as i64;
            let levels = c.thresholds.iter().zip(lowest + 1..);
            let soon: Vec<i64> =
                levels.filter(|(t, l)| **t > c.lo && g(**t - 1) >= *l).map(|(t, _)| t - 1).collect();
            // One lower there, and only there.
            let fixed = |n: i64| g(n) - i64::from(soon.contains(&n));
            if soon.len() > LATE || soon.windows(2).any(|w| w[0] == w[1]) || !c.is(lowest, fixed) {
                return None;
            }
            multiplier.push(m);
            offset.push(o);
            late.push(soon);
        }
        Some(Form::Scale { multiplier, shift: vec![i64::from(shift)], offset, late, onnx: false })
    };
    let most = |f: &Form| match f {
        Form::Scale { late, .. } => late.iter().map(Vec::len).max().unwrap_or(0),
        _ => 0,
    };
    (0..=46).filter_map(at).min_by_key(most)
}

/// The integer of `least..=most` that has the fewest bits before its trailing zeros.
fn roundest(least: i128, most: i128) -> i64 {
    if least <= 0 && most >= 0 {
        return 0;
    }
    let down = |bits: u32| (most >> bits) << bits;
    let bits = (0..60).rev().find(|b| down(*b) >= least).unwrap_or(0);
    down(bits) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(f: impl Fn(i64) -> i64, range: (i64, i64), levels: (i64, i64), line: (f64, f64)) -> Column {
        Column { lo: range.0, hi: range.1, thresholds: thresholds(&f, range, levels), line: Some(line) }
    }

    /// What a form computes, for one column.
    fn apply(form: &Form, column: &Column, n: i64, levels: (i64, i64)) -> i64 {
        let v = match form {
            Form::Same => n,
            Form::Shift { shift, rounding, bias } => rounding.shift((n + bias[0]).into(), *shift) as i64,
            Form::Scale { multiplier, shift, offset, onnx, late } => {
                let rounding = if *onnx { Rounding::HalfEven } else { Rounding::HalfUp };
                let less = i64::from(late.first().is_some_and(|l| l.contains(&n)));
                rounding.shift((n * multiplier[0] + offset[0]).into(), shift[0] as u32) as i64 - less
            }
            Form::Thresholds => levels.0 + column.thresholds.iter().filter(|t| **t <= n).count() as i64,
        };
        v.clamp(levels.0, levels.1)
    }

    #[test]
    fn every_form_equals_its_function_everywhere() {
        let levels = (-128, 127);
        for (n, (a, b)) in [(0.25, 0.0), (0.25, 1.5), (0.0137, 0.0), (0.071, -3.3), (1.7, 0.2), (1.0, 0.0)]
            .into_iter()
            .enumerate()
        {
            let f =
                |x: i64| (f64::from((x as f64 * a + b) as f32)).round_ties_even().clamp(-128.0, 127.0) as i64;
            for (lo, hi) in [(-60, 80), (-5000, 4000)] {
                let c = column(f, (lo, hi), levels, (a, b));
                let form = fit(std::slice::from_ref(&c), levels, Mode::HalfEven, true, false)
                    .unwrap_or_else(|| panic!("case {n}"));
                assert!((lo..=hi).all(|x| apply(&form, &c, x, levels) == f(x)), "case {n}: {form:?}");
            }
        }
    }

    #[test]
    fn what_no_line_follows_is_counted() {
        let f = |x: i64| if x < -3 { 0 } else { 1 + i64::from(x > 100) + i64::from(x > 101) };
        let c = column(f, (-200, 200), (0, 3), (0.01, 0.0));
        assert_eq!(c.thresholds, [-3, 101, 102]);
        assert_eq!(fit(&[c], (0, 3), Mode::HalfEven, false, false), Some(Form::Thresholds));
    }
}
