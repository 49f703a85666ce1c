//! Operators that round to integers: QONNX's `Quant`, `BipolarQuant` and `Trunc`, and ONNX's `QuantizeLinear`.

use nervure_core::Diagnostic;

use super::evaluate::single;
use super::shape::{broadcast, spread};
use super::stream::pick;
use crate::onnx::{Array, Dtype, Node, quote};

/// How a number becomes an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    HalfEven,
    HalfUp,
    HalfDown,
    Ceil,
    Floor,
    Up,
    Down,
    /// One where it is not below zero, else minus one.
    Sign,
}

impl Mode {
    fn of(node: &Node, text: &str) -> Result<Self, Diagnostic> {
        Ok(match text.to_ascii_uppercase().as_str() {
            "ROUND" | "HALF_EVEN" => Self::HalfEven,
            "HALF_UP" => Self::HalfUp,
            "HALF_DOWN" => Self::HalfDown,
            "CEIL" => Self::Ceil,
            "FLOOR" => Self::Floor,
            "UP" => Self::Up,
            "DOWN" | "ROUND_TO_ZERO" => Self::Down,
            _ => {
                let message = format!("has rounding mode {}", quote(text));
                let help = "use ROUND, HALF_UP, HALF_DOWN, CEIL, FLOOR, UP or DOWN";
                return Err(node.wrong("E0153", message, help));
            }
        })
    }

    /// The integer. HALF_UP and HALF_DOWN count away from and toward zero, as QONNX has them.
    pub(crate) fn round(self, v: f64) -> f64 {
        match self {
            Self::HalfEven => v.round_ties_even(),
            Self::HalfUp => v.signum() * (v.abs() + 0.5).floor(),
            Self::HalfDown => v.signum() * (v.abs() - 0.5).ceil(),
            Self::Ceil => v.ceil(),
            Self::Floor => v.floor(),
            Self::Up => v.signum() * v.abs().ceil(),
            Self::Down => v.trunc(),
            Self::Sign => {
                if v >= 0.0 {
                    1.0
                } else {
                    -1.0
                }
            }
        }
    }
}

/// Real numbers to integers `n`, and what these stand for: `real = scale * n + offset`.
///
/// Lists have one element, or one for each element of the tensor.
#[derive(Debug, Clone)]
pub(crate) struct Quantizer {
    divide: Vec<f64>,
    zero: f64,
    ends: Option<(f64, f64)>,
    mode: Mode,
    /// `Trunc`: rounded to an integer, then divided by this before it is rounded in `mode`.
    shift: Option<f64>,
    /// What one integer stands for.
    pub(crate) scale: Vec<f64>,
    /// What integer 0 stands for.
    pub(crate) offset: f64,
    /// Whether the file has integers behind it, which then stand for themselves.
    pub(crate) integer: Option<Dtype>,
    /// Whether a quotient is not rounded to binary32.
    pub(crate) wide: bool,
}

/// Parameters that the file gives as constants.
fn parameter(node: &Node, shape: &[usize], array: &Array, what: &str) -> Result<Vec<f64>, Diagnostic> {
    if let [one] = array.data[..] {
        return Ok(vec![one]);
    }
    let mut own = array.shape.clone();
    if let ([n], true) = (&own[..], matches!(node.op.as_str(), "QuantizeLinear" | "DequantizeLinear")) {
        let axis = super::shape::axis(node, node.int("axis", 1)?, shape.len())?;
        own = (0..shape.len()).map(|a| if a == axis { *n } else { 1 }).collect();
    }
    if broadcast(&own, shape).as_deref() == Some(shape) && !array.is_empty() {
        return Ok(spread(&array.data, &own, shape));
    }
    let message = format!("has a {what} of shape {:?} for shape {shape:?}", array.shape);
    Err(node.wrong("E0153", message, "use one for all, or one for each channel"))
}

impl Quantizer {
    /// What `node` does to a tensor of shape `shape`; `constants` are its other inputs. Errors: `E0153`.
    pub(crate) fn new(
        node: &Node,
        shape: &[usize],
        constants: &[&Array],
        _opset: i64,
    ) -> Result<Self, Diagnostic> {
        let missing = || node.wrong("E0153", "has no constant scale", "use constants");
        let scale = parameter(node, shape, constants.first().ok_or_else(missing)?, "scale")?;
        if scale.iter().any(|s| *s <= 0.0) {
            return Err(node.wrong("E0153", "has a scale that is not above 0", "correct the scale"));
        }
        let mut q = Self {
            divide: scale.clone(),
            zero: 0.0,
            ends: None,
            mode: Mode::HalfEven,
            shift: None,
            scale,
            offset: 0.0,
            integer: None,
            wide: false,
        };
        match node.op.as_str() {
            "BipolarQuant" => {
                q.mode = Mode::Sign;
                q.ends = Some((-1.0, 1.0));
            }
            "QuantizeLinear" | "DequantizeLinear" => {
                let dtype = constants.get(1).map_or(Dtype::Int { bits: 8, signed: false }, |z| z.dtype);
                q.zero = q.zero_point(node, constants.get(1).copied())?;
                let ends = dtype.ends().filter(|_| dtype.is_integer());
                let ends = ends.ok_or_else(|| {
                    node.wrong("E0153", "quantizes to a type that is not read", "use int8 or uint8")
                })?;
                q.ends = Some((ends.0 as f64, ends.1 as f64));
                if node.op == "QuantizeLinear" {
                    (q.scale, q.offset, q.integer) = (vec![1.0], q.zero, Some(dtype));
                }
            }
            _ => q.qonnx(node, constants)?,
        }
        Ok(q)
    }

    /// `Quant` and `Trunc`.
    fn qonnx(&mut self, node: &Node, constants: &[&Array]) -> Result<(), Diagnostic> {
        let bits = |n: usize| match constants.get(n).map(|a| &a.data[..]) {
            Some([b]) if (1.0..=32.0).contains(b) && b.fract().abs() <= 0.0 => Ok(*b as i32),
            _ => Err(node.wrong(
                "E0153",
                "has no constant bit width from 1 to 32",
                "use one width for the tensor",
            )),
        };
        let flag = |name: &str, otherwise: i64| Ok::<_, Diagnostic>(node.int(name, otherwise)? != 0);
        self.zero = self.zero_point(node, constants.get(1).copied())?;
        if node.op == "Trunc" {
            self.mode = Mode::of(node, &node.text("rounding_mode", "FLOOR")?)?;
            let (before, v2) = (bits(2)?, constants.len() > 4);
            let ratio = if v2 {
                let to = constants[3].data.first().copied().unwrap_or(1.0);
                let ratio = (to / self.divide[0]).log2().round().exp2();
                self.scale = vec![to];
                self.ends = Some(ends(flag("signed", 1)?, flag("narrow", 0)?, bits(4)?));
                ratio
            } else {
                f64::from(before - bits(3)?).exp2()
            };
            self.shift = Some(ratio);
            // The result is `(integer - zero) * scale`, with the zero point rescaled where the scale is.
            let zero = if v2 { self.zero / ratio } else { self.zero };
            self.offset = -zero * self.scale[0];
            return Ok(());
        }
        let (bits, signed) = (bits(2)?, flag("signed", 1)?);
        if bits == 1 && signed {
            self.mode = Mode::Sign;
            self.ends = Some((-1.0, 1.0));
        } else {
            self.mode = Mode::of(node, &node.text("rounding_mode", "ROUND")?)?;
            self.ends = Some(ends(signed, flag("narrow", 0)?, bits));
        }
        if self.zero.fract().abs() > 0.0 {
            if self.scale.len() > 1 {
                return Err(node.wrong("E0153", "has a fraction as zero point", "use an integer"));
            }
            self.offset = -self.zero * self.scale[0];
        }
        Ok(())
    }

    fn zero_point(&self, node: &Node, zero: Option<&Array>) -> Result<f64, Diagnostic> {
        let Some(zero) = zero else { return Ok(0.0) };
        let first = zero.data.first().copied().unwrap_or(0.0);
        if zero.data.iter().any(|z| (z - first).abs() > 0.0) {
            return Err(node.wrong(
                "E0153",
                "has zero points that differ",
                "use one zero point for the tensor",
            ));
        }
        if first.abs() > 1e12 {
            return Err(node.wrong(
                "E0153",
                format!("has a zero point of {first:e}"),
                "use one within the bit width",
            ));
        }
        Ok(first)
    }

    /// The rounding of a `QLinear...` operator, whose factor was applied already.
    pub(crate) fn of_integers(zero: f64, dtype: Dtype, ends: (i64, i64)) -> Self {
        Self {
            divide: vec![1.0],
            zero,
            ends: Some((ends.0 as f64, ends.1 as f64)),
            mode: Mode::HalfEven,
            shift: None,
            scale: vec![1.0],
            offset: zero,
            integer: Some(dtype),
            wide: false,
        }
    }

    /// What of a real number is one level of element `at`.
    pub(crate) fn unit(&self, at: usize) -> f64 {
        pick(&self.divide, at) * self.shift.unwrap_or(1.0)
    }

    /// Whether all elements are quantized alike.
    pub(crate) fn uniform(&self) -> bool {
        self.divide.len() == 1 && self.scale.len() == 1
    }

    /// Whether two elements are quantized alike.
    pub(crate) fn alike(&self, a: usize, b: usize) -> bool {
        pick(&self.divide, a).to_bits() == pick(&self.divide, b).to_bits()
    }

    /// Whether an integer stands for itself times one scale, and for nothing else.
    pub(crate) fn plain(&self) -> bool {
        self.scale.len() == 1 && self.offset.abs() <= 0.0
    }

    pub(crate) const fn mode(&self) -> Mode {
        self.mode
    }

    /// Type behind it.
    pub(crate) fn dtype(&self) -> Dtype {
        self.integer.unwrap_or(Dtype::Float)
    }

    /// What is taken from the file's integers so that 0 stands for 0, where that can be.
    pub(crate) fn lowered(&self) -> f64 {
        if self.integer.is_some() || self.offset.abs() <= 0.0 && self.shift.is_none() {
            self.zero
        } else {
            0.0
        }
    }

    /// Smallest and largest integer, where they are limited.
    pub(crate) fn levels(&self) -> Option<(i64, i64)> {
        let by = self.lowered();
        self.ends.map(|(lo, hi)| ((lo - by) as i64, (hi - by) as i64))
    }

    /// The integer of element `at`.
    pub(crate) fn level(&self, at: usize, v: f64) -> i64 {
        let s = pick(&self.divide, at);
        let rounded = |v: f64| if self.wide { v } else { single(v) };
        let mut y = rounded(v / s);
        if let (Some(_), Some((lo, hi))) = (self.integer, self.ends) {
            // ONNX rounds before it adds the zero point, QONNX behind it: ties to even then differ.
            return ((self.mode.round(y) + self.zero).clamp(lo, hi) - self.lowered()) as i64;
        }
        if self.mode != Mode::Sign || self.zero.abs() > 0.0 {
            y = rounded(y + self.zero);
        }
        if let Some(shift) = self.shift {
            y = y.round_ties_even() / shift;
        }
        let y = match self.ends {
            Some((lo, hi)) if self.mode != Mode::Sign => self.mode.round(y.clamp(lo, hi)),
            _ => self.mode.round(y),
        };
        (y - self.lowered()) as i64
    }

    /// What an integer stands for.
    pub(crate) fn value(&self, at: usize, level: i64) -> f64 {
        let s = pick(&self.scale, at);
        single(level as f64 * s + self.offset)
    }

    /// What integer `v` of the file stands for, behind `DequantizeLinear`.
    pub(crate) fn dequantized(&self, at: usize, v: f64) -> f64 {
        single((v - self.zero) * pick(&self.scale, at))
    }

    /// The file's integer that stands for 0.
    pub(crate) const fn zero(&self) -> f64 {
        self.zero
    }

    /// All elements, quantized.
    pub(crate) fn real(&self, x: &[f64]) -> Vec<f64> {
        x.iter().enumerate().map(|(at, v)| self.value(at, self.level(at, *v))).collect()
    }
}

/// Smallest and largest integer of a format.
fn ends(signed: bool, narrow: bool, bits: i32) -> (f64, f64) {
    let all = f64::from(bits).exp2();
    match (signed, narrow) {
        (true, true) => (1.0 - all / 2.0, all / 2.0 - 1.0),
        (true, false) => (-all / 2.0, all / 2.0 - 1.0),
        (false, true) => (0.0, all - 2.0),
        (false, false) => (0.0, all - 1.0),
    }
}
