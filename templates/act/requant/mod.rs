//! Requantization: accumulators to a narrower format. Deliberately absent: the rounding itself (`core::num` has it).

use nervure_core::block::{Area, Block, Body, Interface, Rng};
use nervure_core::kernel::Builder;
use nervure_core::num::{Multiplier, Shift};
use nervure_core::{Diagnostic, QType, Requant as Mode, Rounding, Schedule, Target, Tensor, TensorType};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::per_element::PerElement;
use crate::shared::{area, divisor};

/// See the README.
pub(crate) struct Requant;

/// Parameters of `act/requant`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Accumulators. Filled in from the layer before.
    input: TensorType,
    /// Elements computed at once. Filled in from the layer before.
    #[serde(default = "crate::shared::neuron::one")]
    input_lanes: usize,
    /// Format of the result. Its fraction is for the layers after: the scale alone says what happens to the integers.
    output: QType,
    /// Scale and rounding; a column is an index along the last axis.
    mode: Mode,
    /// Added after rounding, before clamping; an integer of the output's format.
    #[serde(default)]
    zero_point: i64,
    /// Added to the product before the shift, in units of what is shifted; one value, or one per column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset: Option<PerElement>,
    /// Smallest and largest result, both of the output's format; all of it unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    range: Option<[i64; 2]>,
    /// Integers that come in whose result, before clamping, is one less: `[integers]`, or `[columns, integers]`, at most 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    late: Option<Tensor>,
}

/// A scale without common factors of two, and the shift it shares with the other columns.
struct Scale {
    multipliers: Vec<i128>,
    offsets: Vec<i128>,
    shift: u32,
}

impl Params {
    fn offset(&self, column: usize) -> i64 {
        self.offset.as_ref().map_or(0, |o| o.values()[column % o.values().len()])
    }

    /// Integers of a column whose result is one less.
    fn late(&self, column: usize) -> &[i64] {
        let Some(late) = &self.late else { return &[] };
        let count = late.shape[late.shape.len() - 1];
        &late.data[column % (late.data.len() / count) * count..][..count]
    }

    /// Smallest and largest result.
    fn ends(&self) -> (i64, i64) {
        self.range.map_or((self.output.min(), self.output.max()), |[lo, hi]| (lo, hi))
    }

    /// Scales of all columns over one common shift: `m / 2^s = (m << (shift - s)) / 2^shift`, exactly.
    fn scale(&self) -> Scale {
        let reduced: Vec<(i64, i64, u32)> = (0..self.input.columns())
            .map(|column| match (self.mode.scale(column), self.offset(column)) {
                ((0, _), 0) => (0, 0, 0),
                ((m, s), o) => {
                    let zeros = (m | o).trailing_zeros().min(s);
                    (m >> zeros, o >> zeros, s - zeros)
                }
            })
            .collect();
        let shift = reduced.iter().map(|(.., s)| *s).max().unwrap_or(0);
        let up = |v: i64, s: u32| i128::from(v) << (shift - s);
        Scale {
            multipliers: reduced.iter().map(|(m, _, s)| up(*m, *s)).collect(),
            offsets: reduced.iter().map(|(_, o, s)| up(*o, *s)).collect(),
            shift,
        }
    }

    fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        if let Some((_, message)) = self.mode.fault(self.input.columns()) {
            return Some((
                "mode",
                message,
                "correct the scale; `nervure blocks act/requant` lists its forms",
            ));
        }
        if !self.output.contains(self.zero_point) {
            let (z, q) = (self.zero_point, self.output);
            let message = format!("`zero_point` is {z}, outside {q} ({} to {})", q.min(), q.max());
            return Some(("zero_point", message, "use an integer of the output's format"));
        }
        if let Some(late) = &self.late {
            let fits = match late.shape[..] {
                [n] => (1..=8).contains(&n),
                [rows, n] => rows == self.input.columns() && (1..=8).contains(&n),
                _ => false,
            };
            if !fits {
                let message = format!(
                    "`late` has shape {:?}, expected [1 to 8] or [{}, 1 to 8]",
                    late.shape,
                    self.input.columns()
                );
                return Some(("late", message, "give the same integers to all columns, or one row for each"));
            }
            if let Some(v) = late.data.iter().find(|v| v.unsigned_abs() > 1 << 48) {
                return Some(("late", format!("{v} is beyond 48 bits"), "leave out what never comes in"));
            }
        }
        if let Some([lo, hi]) =
            self.range.filter(|[lo, hi]| lo > hi || [lo, hi].iter().any(|v| !self.output.contains(**v)))
        {
            let q = self.output;
            let message =
                format!("`range` is {lo} to {hi}, expected a part of {q} ({} to {})", q.min(), q.max());
            return Some(("range", message, "give the smaller end first, and take a format that holds both"));
        }
        let scale = self.scale();
        if let Some(o) = scale.offsets.iter().find(|o| o.unsigned_abs() >= 1 << 62) {
            let message = format!("over one shift ({}) an offset is {o}, beyond 62 bits", scale.shift);
            return Some((
                "offset",
                message,
                "use a smaller offset, or bring the shifts of the columns closer together",
            ));
        }
        let largest = scale.multipliers.iter().max().copied().unwrap_or(0);
        if largest >= 1 << 48 {
            let message = format!("over one shift ({}) the largest multiplier is {largest}", scale.shift);
            return Some((
                "mode",
                message,
                "bring the shifts of the columns closer together (48 bits in all)",
            ));
        }
        for column in 0..self.input.columns() {
            let (m, s) = self.mode.scale(column);
            let x = if self.input.format.signed { self.input.format.min() } else { self.input.format.max() };
            let all = i128::from(x) * i128::from(m);
            let extreme = self.mode.rounding().shift(all.abs() + i128::from(self.offset(column)).abs(), s);
            if extreme.unsigned_abs() >= 1 << 62 {
                let message = format!("column {column} rescales {x} to {extreme}, beyond 62 bits");
                return Some(("mode", message, "use a larger shift or a smaller multiplier"));
            }
        }
        None
    }
}

impl Block for Requant {
    type Params = Params;
    type State = ();
    const NAME: &'static str = "act/requant";
    const README: &'static str = include_str!("README.md");

    fn examples() -> Vec<Params> {
        let shift = Params {
            input: TensorType::frame(&[6], QType { bits: 12, frac: 6, signed: true }),
            input_lanes: 2,
            output: QType { bits: 8, frac: 3, signed: true },
            mode: Mode::Shift(Shift { shift: 3, rounding: Rounding::TowardZero }),
            zero_point: 0,
            offset: None,
            range: None,
            late: None,
        };
        let onnx = Params {
            input: TensorType::step(&[2, 4], QType::signed(16)),
            input_lanes: 1,
            output: QType::unsigned(8),
            mode: Mode::Onnx {
                onnx: Multiplier {
                    multiplier: vec![11_534_336, 8_388_608, 16_777_215, 0],
                    shift: vec![30, 31, 32, 30],
                },
            },
            zero_point: 7,
            offset: None,
            range: None,
            late: None,
        };
        let tflite = Params {
            input: TensorType::frame(&[4], QType::signed(14)),
            input_lanes: 4,
            output: QType::signed(8),
            mode: Mode::Tflite { tflite: Multiplier { multiplier: vec![1_181_116_006], shift: vec![36] } },
            zero_point: -3,
            offset: Some(vec![0, -3_000_000_000, 55_000_000_000, 7].into()),
            range: Some([-100, 90]),
            late: Some(Tensor::new(&[4, 2], vec![100, 158, 0, -1, 8191, 9000, -9000, 401])),
        };
        let half_even = Params {
            input: TensorType::step(&[3], QType::unsigned(9)),
            input_lanes: 1,
            output: QType::unsigned(6),
            mode: Mode::Shift(Shift { shift: 2, rounding: Rounding::HalfEven }),
            zero_point: 0,
            offset: None,
            range: None,
            late: None,
        };
        vec![shift, onnx, tflite, half_even]
    }

    fn sample(input: &TensorType, rng: &mut Rng) -> Option<Params> {
        if input.columns() > 64 {
            return None;
        }
        let bits = rng.random_range(2..9);
        let output = QType { bits, frac: 0, signed: rng.random() };
        // About as many bits are dropped as the output lacks, so that results spread over its range and beyond.
        let drop = u32::from(input.format.bits.saturating_sub(bits));
        let many = rng.random::<bool>();
        let columns = if many { input.columns() } else { 1 };
        let multiplier = |width: u32, rng: &mut Rng| Multiplier {
            multiplier: (0..columns).map(|_| rng.random_range(1i64 << (width - 1)..1 << width)).collect(),
            shift: (0..columns).map(|_| i64::from(width + drop - rng.random_range(0..3))).collect(),
        };
        let rounding = [Rounding::Floor, Rounding::HalfUp, Rounding::HalfEven, Rounding::TowardZero];
        let mode = match rng.random_range(0..3) {
            0 => Mode::Shift(Shift { shift: drop, rounding: rounding[rng.random_range(0..4)] }),
            1 => Mode::Onnx { onnx: multiplier(if drop > 30 { 4 } else { 24 }, rng) },
            _ => Mode::Tflite { tflite: multiplier(if drop > 30 { 4 } else { 31 }, rng) },
        };
        let offset = (0..columns).map(|_| rng.random_range(-1i64 << 20..1 << 20)).collect::<Vec<_>>();
        let ends = [0; 2].map(|_| rng.random_range(output.min()..=output.max()));
        let p = Params {
            input: input.clone(),
            input_lanes: divisor(input.len(), 4, rng),
            output,
            mode,
            zero_point: rng.random_range(output.min()..=output.max()),
            offset: rng.random::<bool>().then(|| if many { offset.into() } else { offset[0].into() }),
            range: rng.random::<bool>().then(|| [ends[0].min(ends[1]), ends[0].max(ends[1])]),
            late: None,
        };
        let mut p = p;
        if rng.random() && input.format.bits < 12 {
            let (lo, hi) = (input.format.min(), input.format.max());
            let list = (0..3 * columns).map(|_| rng.random_range(lo - 1..=hi)).collect();
            p.late = Some(if many { Tensor::new(&[columns, 3], list) } else { Tensor::vector(list) });
        }
        Self::interface(&p).is_ok().then_some(p)
    }

    fn interface(p: &Params) -> Result<Interface, Diagnostic> {
        if let Some(offset) = &p.offset {
            offset.check_len("offset", p.input.columns())?;
        }
        if let Some((field, message, help)) = p.fault() {
            return Err(Diagnostic::new("E0203", message, help).at(field));
        }
        let y = p.input.with_format(p.output);
        Ok(Interface::one_to_one(p.input.clone(), p.input_lanes, y, p.input_lanes))
    }

    fn state(_: &Params) {}

    fn reset(_: &Params, (): &mut ()) {}

    fn step(p: &Params, (): &mut (), x: &[&[i64]], y: &mut [&mut [i64]]) {
        let (columns, (lo, hi)) = (p.input.columns(), p.ends());
        for (i, (y, &x)) in y[0].iter_mut().zip(x[0]).enumerate() {
            let ((m, s), o) = (p.mode.scale(i % columns), p.offset(i % columns));
            let product = i128::from(x) * i128::from(m) + i128::from(o);
            let less = p.late(i % columns).iter().filter(|late| **late == x).count() as i64;
            *y = (p.mode.rounding().shift(product, s) as i64 + p.zero_point - less).clamp(lo, hi);
        }
    }

    fn body(p: &Params) -> Body {
        let k = Builder::new();
        let (scale, (lo, hi)) = (p.scale(), p.ends());
        let rows = p.input.len() / p.input.columns();
        let multipliers: Vec<i64> = scale.multipliers.iter().map(|m| *m as i64).collect();
        let x = k.input("x", p.input.format).read_as(0);
        let multiplier = k.param("multiplier", 0, multipliers.repeat(rows));
        let offsets: Vec<i64> = scale.offsets.iter().map(|o| *o as i64).collect();
        let product = x * multiplier + k.param("offset", 0, offsets.repeat(rows));
        let rescaled = product.shr(scale.shift, p.mode.rounding()).named("rescaled");
        let late = p.late.as_ref().map_or(0, |l| l.shape[l.shape.len() - 1]);
        let rescaled = (0..late).fold(rescaled, |y, n| {
            let list: Vec<i64> = (0..p.input.columns()).map(|c| p.late(c)[n]).collect();
            y - x.equals(k.param(&format!("late_{n}"), 0, list.repeat(rows)))
        });
        let y = (rescaled + k.constant(p.zero_point, 0)).read_as(p.output.frac);
        k.output_as("y", p.output, y.clamp(lo, hi).named("saturated"));
        Body::Kernel(k.finish())
    }

    fn schedule(p: &Params, _: &Self::State, _: &[&[i64]], _: bool, out: &mut Schedule) {
        out.pass(1, p.input.len() / p.input_lanes);
    }

    fn cost(p: &Params, t: &Target) -> Area {
        let Body::Kernel(kernel) = Self::body(p) else { unreachable!("requantization is a kernel") };
        let param: usize = kernel.params.iter().map(|c| c.port.format.bits as usize).sum();
        let stages = kernel.stages(t, t.budget_ps(t.clock_mhz)).count as usize;
        let between = (stages - 1) * p.input.format.bits as usize;
        let registers = p.input_lanes * (p.output.bits as usize + between) + stages + 8;
        kernel.area(t) * p.input_lanes + area(p.input_lanes * param + 4, registers)
    }
}
