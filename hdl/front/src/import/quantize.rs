//! Integer formats for a layer: as narrow as reproduces every spike of the calibration set, or of a given width.

use nervure_core::num::bits_for;
use nervure_core::{QType, Rounding};

use super::model::{Layer, Neurons, Op, at, shortened};
use super::semantics::{Compare, Floor, Reset};
use super::simulate::{self, Extent, Frames, Leak, Numbers, Outcome};

/// Bits of the denominator of a decay factor, at most.
pub(super) const MAX_DECAY: u32 = 16;
/// Bits below the weights in Loihi's formats, and of its decays.
const LOIHI: (u32, u32) = (6, 12);

/// Relative error of a number of 32 bits, generously.
const SINGLE: f64 = 1e-6;

/// How a decay factor is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// No decay.
    Keep,
    /// `v - v / 2^n`.
    Shift(u32),
    /// `v k / 2^n`.
    Fraction(u32),
}

/// Everything that is chosen for a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    /// Fraction bits of a weight.
    pub(super) fraction: i32,
    /// Bits of a weight; as many as needed where not given.
    pub(super) bits: Option<u32>,
    /// Further fraction bits of the states.
    pub(super) extra: u32,
    pub(super) leak: Form,
    pub(super) current_leak: Form,
    pub(super) max_spikes: u32,
}

/// A layer in integers.
#[derive(Debug, Clone)]
pub(crate) struct Fixed {
    pub(crate) weight_format: QType,
    pub(crate) membrane: QType,
    pub(crate) max_spikes: u32,
    /// Weights, biases and the like, in the unit of the weights.
    pub(crate) weight: Vec<i64>,
    pub(crate) bias: Vec<i64>,
    pub(crate) recurrent: Option<(Vec<i64>, Vec<i64>)>,
    /// The rest in the unit of the membrane.
    pub(crate) numbers: Numbers,
    /// Values of the output that differ from real numbers on the calibration set, of how many.
    pub(crate) mismatches: Option<(usize, usize)>,
    pub(crate) saturates: bool,
    /// The formats are those of Loihi.
    pub(crate) loihi: bool,
}

/// What is known of a layer's surroundings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calibration<'a> {
    /// What enters, and what real numbers give.
    pub(crate) x: &'a Frames,
    pub(crate) y: &'a Frames,
}

fn exact_shift(decay: &[f64]) -> Option<u32> {
    let [d] = decay else { return None };
    (1..=MAX_DECAY).find(|n| (1.0 - d - f64::from(*n).exp2().recip()).abs() < 1e-9)
}

fn form(decay: &[f64], bits: u32) -> Form {
    match (decay, exact_shift(decay)) {
        ([d], _) if *d >= 1.0 => Form::Keep,
        (_, Some(n)) => Form::Shift(n),
        _ => Form::Fraction(bits),
    }
}

fn leak(decay: &[f64], form: Form, rounding: Rounding) -> Leak {
    match form {
        Form::Keep => Leak::Times(vec![1.0]),
        Form::Shift(n) => Leak::Shift { n, rounding },
        Form::Fraction(n) => {
            let k = decay.iter().map(|d| (d * f64::from(n).exp2()).round()).collect();
            Leak::Fraction { k: shortened(k), n, rounding }
        }
    }
}

fn rounded(list: &[f64], fraction: i32) -> Vec<f64> {
    list.iter().map(|v| (v * f64::from(fraction).exp2()).round()).collect()
}

/// Smallest power of two that brings every weight within `bits` bits, as fraction bits.
pub(super) fn fitting(weights: &[f64], bits: u32) -> i32 {
    let largest = weights.iter().fold(0.0f64, |m, w| m.max(w.abs()));
    if largest <= 0.0 {
        return 0;
    }
    let limit = f64::from(bits - 1).exp2() - 0.5;
    (limit / largest).log2().floor().clamp(-40.0, 40.0) as i32
}

/// One layer, its formats open.
pub(super) struct Open<'a> {
    layer: &'a Layer,
    neurons: &'a Neurons,
    from: &'a [usize],
    /// Fraction bits of what is read.
    input: i32,
}

impl Open<'_> {
    pub(super) fn all_weights(&self) -> Vec<f64> {
        let back = self.neurons.recurrent.iter().flat_map(|r| &r.0);
        self.neurons.synapse.weights().iter().chain(back).copied().collect()
    }

    /// The integers of `c`, those of the synapses in the unit of a weight.
    fn integers(&self, c: Choice) -> (Vec<f64>, Vec<f64>, Option<(Vec<f64>, Vec<f64>)>) {
        let clamp = |mut list: Vec<f64>| {
            if let Some(bits) = c.bits {
                let top = f64::from(bits - 1).exp2();
                list.iter_mut().for_each(|w| *w = w.clamp(-top, top - 1.0));
            }
            list
        };
        let s = &self.neurons.synapse;
        let back = self.neurons.recurrent.as_ref();
        (
            clamp(rounded(s.weights(), c.fraction)),
            rounded(s.bias(), c.fraction + self.input),
            back.map(|(w, b)| (clamp(rounded(w, c.fraction)), rounded(b, c.fraction + self.input))),
        )
    }

    fn numbers(&self, c: Choice) -> Numbers {
        let n = &self.neurons.neuron;
        // In the unit of the membrane; what is read is a multiple of its own unit.
        let times =
            |list: Vec<f64>, n: i32| list.into_iter().map(|v| v * f64::from(n).exp2()).collect::<Vec<_>>();
        let wide = |list| times(list, c.extra as i32);
        let weigh = |list| times(list, c.extra as i32 + self.input);
        let (weight, bias, back) = self.integers(c);
        let mut synapse = self.neurons.synapse.clone();
        *synapse.weights_mut() = weigh(weight);
        *synapse.bias_mut() = wide(bias);
        let fraction = self.fraction(c);
        let threshold = |t: &f64| {
            let t = t * f64::from(fraction).exp2();
            match (n.semantics.reset, n.semantics.compare) {
                (Reset::Subtract, _) => t.round().max(1.0),
                // Among integers these compare as the real threshold does; a file's 32-bit numbers are not told from whole ones.
                (_, Compare::Gt) => (t * (1.0 + SINGLE)).floor(),
                (_, Compare::Ge) => (t * (1.0 - SINGLE)).ceil().max(1.0),
            }
        };
        let rounding = n.semantics.rounding;
        Numbers {
            synapse,
            recurrent: back.map(|(w, b)| (weigh(w), wide(b))),
            leak: leak(&n.decay, c.leak, rounding),
            current_leak: n.current_decay.as_ref().map(|d| leak(d, c.current_leak, rounding)),
            bias: rounded(&n.bias, fraction),
            threshold: n.threshold.as_ref().map(|t| shortened(t.iter().map(threshold).collect())),
            reset_value: rounded(&n.reset_value, fraction),
        }
    }

    /// Fraction bits of the membrane.
    fn fraction(&self, c: Choice) -> i32 {
        c.fraction + self.input + c.extra as i32
    }

    /// Whether the formats are those of Loihi: not where values with a fraction come in, which Loihi does not have.
    fn loihi(&self) -> bool {
        self.neurons.neuron.semantics.loihi_formats && self.input == 0
    }

    fn run(&self, c: Choice, x: &Frames) -> Outcome {
        let mut neurons = self.neurons.clone();
        neurons.neuron.semantics.max_spikes = c.max_spikes;
        let op = Op::Neurons(Box::new(neurons));
        simulate::layer(&op, &self.layer.shape, self.from, x, Some(&self.numbers(c)))
    }

    /// How far the spikes are from those of real numbers: elements that differ, and the sum of differences of counts. A
    /// read-out, whose values cannot be equal, counts by how far they are apart, in 1/256 of its range.
    pub(super) fn error(&self, c: Choice, cal: &Calibration<'_>) -> (usize, f64) {
        let got = self.run(c, cal.x).frames;
        let unit = f64::from(-self.fraction(c)).exp2();
        let spiking = self.neurons.neuron.threshold.is_some();
        let (lo, hi) = cal.y.range();
        let tolerance = f64::from((hi - lo) / 256.0);
        let differs = |a: f32, b: f32| {
            if spiking {
                a.to_bits() != b.to_bits()
            } else {
                (f64::from(a) * unit - f64::from(b)).abs() > tolerance
            }
        };
        let bits = got.data.iter().zip(&cal.y.data).filter(|(a, b)| differs(**a, **b)).count();
        let mut counts = 0.0;
        let frame = got.steps * got.len;
        for (a, b) in got.data.chunks(frame).zip(cal.y.data.chunks(frame)) {
            let mut sums = vec![0.0f64; got.len];
            for (a, b) in a.chunks(got.len).zip(b.chunks(got.len)) {
                let each = |a: f32, b: f32| {
                    if spiking { f64::from(a - b) } else { f64::from(a) * unit - f64::from(b) }
                };
                sums.iter_mut().zip(a.iter().zip(b)).for_each(|(s, (a, b))| *s += each(*a, *b));
            }
            counts += sums.iter().map(|s| s.abs()).sum::<f64>();
        }
        (bits, counts)
    }

    /// Whether no state is ever rounded: it keeps all, or nothing.
    pub(super) fn exact_leaks(&self, c: Choice) -> bool {
        let n = &self.neurons.neuron;
        let exact = |form, decay: &[f64]| form == Form::Keep || decay.iter().all(|d| *d <= 0.0);
        exact(c.leak, &n.decay) && n.current_decay.as_ref().is_none_or(|d| exact(c.current_leak, d))
    }

    pub(super) fn forms(&self, bits: u32) -> (Form, Form) {
        let n = &self.neurons.neuron;
        (form(&n.decay, bits), n.current_decay.as_ref().map_or(Form::Keep, |d| form(d, bits)))
    }

    fn fixed(&self, c: Choice, cal: Option<&Calibration<'_>>) -> Fixed {
        let n = &self.neurons.neuron;
        let numbers = self.numbers(c);
        let (weight, bias, back) = self.integers(c);
        let whole = |list: &[f64]| list.iter().map(|v| *v as i64).collect::<Vec<_>>();
        let (weight, bias) = (whole(&weight), whole(&bias));
        let recurrent = back.map(|(w, b)| (whole(&w), whole(&b)));
        let all = || weight.iter().chain(recurrent.iter().flat_map(|r| &r.0));
        let (lo, hi) = (*all().min().unwrap_or(&0), *all().max().unwrap_or(&0));
        let bits = c.bits.unwrap_or(bits_for(lo.min(-1).into(), hi.into())).max(2);
        let weight_format = QType { bits: bits as u8, frac: c.fraction as i8, signed: true };
        let outcome = cal.map(|cal| self.run(c, cal.x));
        let mut extent = match &outcome {
            Some(o) => Extent { lo: o.membrane.lo.min(o.current.lo), hi: o.membrane.hi.max(o.current.hi) },
            None => self.worst_case(&numbers),
        };
        let thresholds = || numbers.threshold.iter().flatten().copied();
        extent.hi = thresholds().fold(extent.hi, |m, t| m.max(t + 1.0));
        if n.semantics.floor == Floor::Threshold {
            extent.lo = thresholds().fold(extent.lo, |m, t| m.min(-t));
        }
        for v in &numbers.reset_value {
            extent = Extent { lo: extent.lo.min(*v), hi: extent.hi.max(*v) };
        }
        let needed = bits_for((extent.lo as i128).min(-1), extent.hi as i128).max(4);
        let widest = if self.loihi() { 24 } else { u32::from(QType::MAX_BITS).min(32) };
        let bits = if self.loihi() { 24 } else { needed.min(widest) };
        let membrane = QType { bits: bits as u8, frac: self.fraction(c) as i8, signed: true };
        let mismatches = cal.map(|cal| (self.error(c, cal).0, cal.y.data.len()));
        Fixed {
            weight_format,
            membrane,
            max_spikes: c.max_spikes,
            weight,
            bias,
            recurrent,
            numbers,
            mismatches,
            saturates: cal.is_some() && needed > widest,
            loihi: self.loihi(),
        }
    }

    /// A membrane that holds the threshold and whatever one step can add to it; beyond it saturates.
    fn worst_case(&self, n: &Numbers) -> Extent {
        let rows = n.synapse.bias().len();
        let columns = n.synapse.weights().len() / rows;
        let mut extent = Extent { lo: -1.0, hi: 1.0 };
        for (row, w) in n.synapse.weights().chunks_exact(columns).enumerate() {
            let back = n.recurrent.iter().flat_map(|(w, _)| &w[row * rows..(row + 1) * rows]);
            let (mut lo, mut hi) = (0.0, 0.0);
            for v in w.iter().chain(back).chain([&n.synapse.bias()[row]]) {
                if *v < 0.0 { lo += v } else { hi += v }
            }
            extent = Extent { lo: extent.lo.min(lo), hi: extent.hi.max(hi) };
        }
        let threshold = n.threshold.iter().flatten().fold(0.0f64, |m, t| m.max(*t));
        Extent { lo: 2.0 * extent.lo - threshold, hi: 2.0 * extent.hi + threshold }
    }
}

/// Formats of `layer`, which holds `neurons` and reads shape `from` in a format with `input` fraction bits.
///
/// `bits`: of a weight; nothing for as few as reproduce every spike.
pub(crate) fn quantize(
    layer: &Layer,
    neurons: &Neurons,
    (from, input): (&[usize], i32),
    bits: Option<u32>,
    cal: Option<&Calibration<'_>>,
) -> Fixed {
    let open = Open { layer, neurons, from, input };
    let s = &neurons.neuron.semantics;
    let max_spikes = match (s.max_spikes, cal) {
        (0, Some(cal)) => (1u32 << bits_for(0, (cal.y.range().1 as i128).max(3))) - 1,
        (0, None) => 31,
        (n, _) => n,
    };
    let start =
        Choice { fraction: 0, bits: None, extra: 0, leak: Form::Keep, current_leak: Form::Keep, max_spikes };
    let choice = if open.loihi() {
        let weights = open.all_weights();
        let thresholds = neurons.neuron.threshold.iter().flatten();
        let whole = weights.iter().chain(thresholds).all(|w| (w - w.round()).abs() <= SINGLE * w.abs());
        let fraction = if whole { 0 } else { fitting(&weights, bits.unwrap_or(8)) };
        let form = Form::Fraction(LOIHI.1);
        Choice { fraction, extra: LOIHI.0, leak: form, current_leak: form, ..start }
    } else {
        match (bits, cal) {
            (None, Some(cal)) => open.lossless(cal, start),
            (bits, cal) => open.within(bits.unwrap_or(8), cal, start),
        }
    };
    open.fixed(choice, cal)
}

/// The threshold of neuron `i`, for whoever prints it.
pub(crate) fn integers(list: &[f64]) -> Vec<i64> {
    (0..list.len()).map(|i| at(list, i) as i64).collect()
}
