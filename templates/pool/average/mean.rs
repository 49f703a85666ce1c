//! A sum divided by a number of elements, rounded: one product with a reciprocal, exact for every sum. Deliberately absent:
//! a divider.

use nervure_core::kernel::{Builder, Expr};
use nervure_core::{QType, Rounding};

use crate::shared::window::Axis;

/// Fewest and most of a window's taps that lie on the map, along one axis.
pub(super) fn seen(axis: Axis) -> (usize, usize) {
    let count = |w| (0..axis.kernel).filter(|t| axis.position(w, *t).is_some()).count();
    let counts = || (0..axis.windows()).map(count);
    (counts().min().expect("a window"), counts().max().expect("a window"))
}

/// How many taps of a window lie on the map along one axis: an input where that varies.
pub(super) fn taps<'k>(k: &'k Builder, axis: Axis, name: &str) -> Expr<'k> {
    let (least, most) = seen(axis);
    if least == most {
        return k.constant(least as i64, 0);
    }
    k.promise(k.input(name, QType::holding(0, axis.kernel as i128, 0)), least as i128, most as i128)
}

/// `sum / elements`, rounded to an integer of `format`, of which it is a mean.
pub(super) fn rounded<'k>(
    k: &'k Builder,
    sum: Expr<'k>,
    elements: Expr<'k>,
    rounding: Rounding,
    format: QType,
) -> Expr<'k> {
    let whole = sum.read_as(0);
    let (lo, hi) = (elements.range().lo, elements.range().hi);
    let mean = |e| k.promise(e, format.min().into(), format.max().into()).read_as(format.frac);
    if lo == hi && (lo as u64).is_power_of_two() {
        return mean(whole.shr((lo as u64).trailing_zeros(), rounding));
    }
    match rounding {
        Rounding::Floor => mean(floor(k, whole, elements, format)),
        Rounding::TowardZero => {
            let up = k.select(k.constant(0, 0).gt(whole), elements - k.constant(1, 0), k.constant(0, 0));
            mean(floor(k, whole + up, elements, format))
        }
        Rounding::HalfUp => mean(floor(k, whole.shl(1) + elements, elements.shl(1), format)),
        Rounding::HalfEven => {
            let (over, by) = (whole.shl(1) + elements, elements.shl(1));
            let up = floor(k, over, by, format);
            let half = over.equals(up * by);
            let even = up.shr(1, Rounding::Floor).shl(1);
            mean(k.select(half, even, up))
        }
    }
}

/// `floor(n / by)`, which is a mean of integers of `format` or one more, for every `n` of a window.
///
/// With `m = ceil(2^s / d)` and `e = m * d - 2^s`, `floor(u / d)` is `u * m >> s` for all `u` from 0 with `u * e < 2^s`.
fn floor<'k>(k: &'k Builder, n: Expr<'k>, by: Expr<'k>, format: QType) -> Expr<'k> {
    let (least, most) = (by.range().lo, by.range().hi);
    // Never below zero: as many multiples of the divisor as the smallest mean is below it.
    let below = -i128::from(format.min());
    let top = (i128::from(format.max()) + 1 + below) * most + most;
    let error = |s: u32, d: i128| (-(1i128 << s)).rem_euclid(d);
    let s = (0..100)
        .find(|s| (least..=most).all(|d| top * error(*s, d) < 1 << s))
        .expect("errors stay below the divisor");
    let n = k.promise(n + by * k.constant(below as i64, 0), 0, top);
    let factors: Vec<i64> = (least..=most).map(|d| (((1i128 << s) + error(s, d)) / d) as i64).collect();
    let factor = if least == most { k.constant(factors[0], 0) } else { k.table(by, 0, factors) };
    let ends = (i128::from(format.min()), i128::from(format.max()) + 1);
    k.promise((n * factor).shr(s, Rounding::Floor) - k.constant(below as i64, 0), ends.0, ends.1)
}
