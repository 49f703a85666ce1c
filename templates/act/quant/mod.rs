//! From one fixed-point format to another, one format for all elements or one for each. Deliberately absent: scales that are no
//! power of two (`act/requant` has those).

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::{Builder, Expr, Kernel};
use nervure_core::num::Overflow;
use nervure_core::{Diagnostic, QType, Rounding, Schedule, Target, TensorType};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::per_element::PerElement;
use crate::shared::{area, divisor, flat};

/// See the README.
pub(crate) struct Quant;

/// What happens to a value that its format cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Beyond {
    /// Clamped to the nearest integer that fits.
    #[default]
    Saturate,
    /// The same, and the smallest integer of a signed format is the negative of its largest.
    SaturateSymmetric,
    /// The low bits stay.
    Wrap,
}

/// Parameters of `act/quant`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// What comes in. Filled in from the layer before.
    input: TensorType,
    /// Elements computed at once, where one format serves all elements. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
    /// Bits of an element, sign included, 0 to 48; one for all, or one for each. An element without bits is 0.
    bits: PerElement,
    /// Bits after the binary point, -64 to 64; one for all, or one for each.
    frac: PerElement,
    /// 1 for two's complement, 0 for unsigned; one for all, or one for each.
    signed: PerElement,
    /// What becomes of the bits that are dropped.
    rounding: Rounding,
    /// What becomes of values beyond the format.
    #[serde(default)]
    overflow: Beyond,
}

/// The format of one element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Element {
    bits: u8,
    frac: i8,
    signed: bool,
}

impl Element {
    /// Smallest and largest integer before `overflow` has its say.
    const fn ends(self) -> (i64, i64) {
        match (self.bits, self.signed) {
            (0, _) => (0, 0),
            (b, true) => (-(1 << (b - 1)), (1 << (b - 1)) - 1),
            (b, false) => (0, (1 << b) - 1),
        }
    }
}

impl Params {
    fn element(&self, e: usize) -> Element {
        let of = |list: &PerElement| list.values()[e % list.values().len()];
        Element { bits: of(&self.bits) as u8, frac: of(&self.frac) as i8, signed: of(&self.signed) != 0 }
    }

    fn uniform(&self) -> bool {
        (1..self.input.len()).all(|e| self.element(e) == self.element(0))
    }

    fn lanes(&self) -> usize {
        if self.uniform() { self.input_lanes } else { self.input.len() }
    }

    /// The smallest and the largest integer that element `e` can be.
    fn limits(&self, e: Element) -> (i64, i64) {
        match (e.ends(), self.overflow) {
            ((lo, hi), Beyond::SaturateSymmetric) => (lo.max(-hi), hi),
            (ends, _) => ends,
        }
    }

    /// A format that holds every element: the largest of the fractions, and as many bits as that takes.
    fn output(&self) -> Result<QType, Diagnostic> {
        let all = || (0..self.input.len()).map(|e| self.element(e)).filter(|e| e.bits > 0);
        let frac = all().map(|e| e.frac).max().unwrap_or(0);
        let (mut lo, mut hi) = (0i128, 0i128);
        for e in all() {
            let shift = (i32::from(frac) - i32::from(e.frac)) as u32;
            if shift > 64 {
                return Err(too_wide(u32::from(e.bits) + shift));
            }
            let ends = self.limits(e);
            lo = lo.min(i128::from(ends.0) << shift);
            hi = hi.max(i128::from(ends.1) << shift);
        }
        let format = QType::holding(lo, hi, frac);
        if format.bits > QType::MAX_BITS { Err(too_wide(format.bits.into())) } else { Ok(format) }
    }

    /// Element `e` in its own format, then in that of all.
    fn quantised<'k>(&self, k: &'k Builder, x: Expr<'k>, e: Element, y: QType) -> Expr<'k> {
        if e.bits == 0 {
            return k.constant(0, y.frac);
        }
        let dropped = i32::from(x.frac()) - i32::from(e.frac);
        let rounded =
            if dropped > 0 { x.shr(dropped as u32, self.rounding) } else { x.shl(dropped.unsigned_abs()) };
        let rounded = rounded.read_as(e.frac);
        let (lo, hi) = self.limits(e);
        let fitted = match self.overflow {
            Beyond::Wrap => {
                rounded.fit(QType { bits: e.bits, frac: e.frac, signed: e.signed }, Overflow::Wrap)
            }
            _ => rounded.clamp(lo, hi),
        };
        fitted.shl((i32::from(y.frac) - i32::from(e.frac)) as u32).read_as(y.frac)
    }

    /// For one element, or for all of them.
    fn kernel(&self) -> Kernel {
        let (k, y) = (Builder::new(), self.output().expect("the interface was checked"));
        if self.uniform() {
            let x = k.input("x", self.input.format);
            k.output_as("y", y, self.quantised(&k, x, self.element(0), y));
        } else {
            let x = flat::inputs(&k, "x", &self.input);
            let all = x.into_iter().enumerate().map(|(e, x)| self.quantised(&k, x, self.element(e), y));
            flat::outputs(&k, "y", y, all);
        }
        k.finish()
    }
}

fn too_wide(bits: u32) -> Diagnostic {
    let message = format!("a format for all elements needs {bits} bits; at most {}", QType::MAX_BITS);
    Diagnostic::new("E0203", message, "bring the fractions of the elements closer together").at("frac")
}

impl Block for Quant {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "act/quant";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let saturate = Params {
            input: TensorType::frame(&[6], QType { bits: 12, frac: 8, signed: true }),
            input_lanes: 2,
            bits: 6.into(),
            frac: 4.into(),
            signed: 1.into(),
            rounding: Rounding::HalfEven,
            overflow: Beyond::SaturateSymmetric,
        };
        // The last has no bits, the second a single one with a sign.
        let each = Params {
            input: TensorType::frame(&[5], QType { bits: 9, frac: 4, signed: true }),
            input_lanes: 1,
            bits: vec![5, 1, 4, 7, 0].into(),
            frac: vec![2, 1, 5, -1, 3].into(),
            signed: vec![1, 1, 0, 1, 0].into(),
            rounding: Rounding::HalfUp,
            overflow: Beyond::Saturate,
        };
        let wrap = Params {
            input: TensorType::step(&[4], QType { bits: 8, frac: 2, signed: false }),
            bits: 3.into(),
            frac: 3.into(),
            signed: 0.into(),
            rounding: Rounding::Floor,
            overflow: Beyond::Wrap,
            ..saturate.clone()
        };
        let wrap_each = Params { rounding: Rounding::Floor, overflow: Beyond::Wrap, ..each.clone() };
        vec![saturate, each, wrap, wrap_each]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        let (x, n) = (input.format, input.len());
        let many = rng.random::<bool>() && n <= 64;
        let draw = |rng: &mut Rng, lo: i64, hi: i64| -> PerElement {
            if many {
                (0..n).map(|_| rng.random_range(lo..=hi)).collect::<Vec<_>>().into()
            } else {
                rng.random_range(lo..=hi).into()
            }
        };
        let frac = i64::from(x.frac);
        let rounding = [Rounding::Floor, Rounding::HalfUp, Rounding::HalfEven, Rounding::TowardZero];
        let overflow = [Beyond::Saturate, Beyond::SaturateSymmetric, Beyond::Wrap];
        let p = Params {
            input: input.clone(),
            input_lanes: divisor(n, 8, rng),
            bits: draw(rng, 0, 10),
            frac: draw(rng, (frac - 6).max(-64), (frac + 2).min(64)),
            signed: draw(rng, 0, 1),
            rounding: rounding[rng.random_range(0..4)],
            overflow: overflow[rng.random_range(0..3)],
        };
        Self::interface(&p).is_ok().then_some(p)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        p.input.check().map_err(|d| d.at("input"))?;
        let fields = [("bits", &p.bits, 0, 48), ("frac", &p.frac, -64, 64), ("signed", &p.signed, 0, 1)];
        for (field, list, lo, hi) in fields {
            list.check_len(field, p.input.len())?;
            if let Some(v) = list.find_bad(|v| (lo..=hi).contains(&v)) {
                let message = format!("`{field}` is {v}, expected {lo} to {hi}");
                let help = format!("choose values from {lo} to {hi}");
                return Err(Diagnostic::new("E0201", message, help).at(field));
            }
        }
        let y = p.input.with_format(p.output()?);
        let x = p.input.format;
        let widest = (0..p.input.len()).map(|e| i32::from(p.element(e).frac) - i32::from(x.frac)).max();
        let bits = i32::from(x.bits) + widest.unwrap_or(0);
        if bits > 62 {
            let message = format!("{x} with the fraction of an element needs {bits} bits; at most 62");
            return Err(Diagnostic::new("E0203", message, "use a smaller fraction").at("frac"));
        }
        if !p.uniform() {
            flat::check(&p.input, "input")?;
        }
        Ok(Interface::one_to_one(p.input.clone(), p.lanes(), y, p.lanes()))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        let common = p.output().expect("the interface was checked").frac;
        for (i, (y, &x)) in y[0].iter_mut().zip(x[0]).enumerate() {
            let e = p.element(i);
            if e.bits == 0 {
                *y = 0;
                continue;
            }
            let moved = i32::from(e.frac) - i32::from(p.input.format.frac);
            let value = match u32::try_from(moved) {
                Ok(up) => x << up,
                Err(_) => p.rounding.shift(x.into(), moved.unsigned_abs()) as i64,
            };
            let (lo, hi) = e.ends();
            let fitted = match p.overflow {
                Beyond::Saturate => value.clamp(lo, hi),
                Beyond::SaturateSymmetric => value.clamp(if e.signed { -hi } else { 0 }, hi),
                Beyond::Wrap => lo + (value - lo).rem_euclid(1 << e.bits),
            };
            *y = fitted << (common - e.frac);
        }
    }

    fn body(p: &Params) -> Body {
        if p.uniform() { Body::Kernel(p.kernel()) } else { Body::Flat(p.kernel()) }
    }

    fn schedule(p: &Params, (): &(), _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, p.input.len() / p.lanes());
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let kernel = p.kernel();
        if !p.uniform() {
            return kernel.flat_area(t);
        }
        let bits = p.output().expect("the interface was checked").bits as usize;
        kernel.area(t) * p.input_lanes + area(3, p.input_lanes * bits + 2)
    }
}
