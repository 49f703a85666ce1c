//! One layer executed step by step, in real numbers or, with numbers that are integers, exactly as the integer network.
//!
//! All numbers are binary64; integers below 2^53 are exact in it, so one simulator serves both.

use nervure_core::Rounding;

use super::model::{Conv, Neurons, Op, Synapse, at};
use super::semantics::{Compare, FirstStep, Order, Reset, Semantics, When};

/// Tensors of all samples and steps: `[samples, steps, len]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frames {
    pub(crate) samples: usize,
    pub(crate) steps: usize,
    pub(crate) len: usize,
    pub(crate) data: Vec<f32>,
}

impl Frames {
    fn empty(samples: usize, steps: usize, len: usize) -> Self {
        Self { samples, steps, len, data: vec![0.0; samples * steps * len] }
    }

    /// The tensor of one step.
    pub(crate) fn at(&self, sample: usize, step: usize) -> &[f32] {
        let start = (sample * self.steps + step) * self.len;
        &self.data[start..start + self.len]
    }

    /// The tensors of all `parts`, one behind the other.
    pub(crate) fn joined(parts: &[&Self]) -> Self {
        let (samples, steps) = (parts[0].samples, parts[0].steps);
        let all = (0..samples * steps).map(|at| (at / steps, at % steps));
        let data =
            all.flat_map(|(n, t)| parts.iter().flat_map(move |p| p.at(n, t).iter().copied())).collect();
        Self { samples, steps, len: parts.iter().map(|p| p.len).sum(), data }
    }

    /// Smallest and largest element.
    pub(crate) fn range(&self) -> (f32, f32) {
        self.data.iter().fold((0.0, 0.0), |(lo, hi), &v| (f32::min(lo, v), f32::max(hi, v)))
    }
}

/// Decay of a state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Leak {
    /// Exact product.
    Times(Vec<f64>),
    /// `round(v k / 2^n)`.
    Fraction { k: Vec<f64>, n: u32, rounding: Rounding },
    /// `v - round(v / 2^n)`.
    Shift { n: u32, rounding: Rounding },
}

impl Leak {
    #[inline]
    fn apply(&self, v: f64, i: usize) -> f64 {
        match self {
            Self::Times(d) => v * at(d, i),
            Self::Fraction { k, n, rounding } => round(v * at(k, i) / (1u64 << n) as f64, *rounding),
            Self::Shift { n, rounding } => v - round(v / (1u64 << n) as f64, *rounding),
        }
    }
}

fn round(v: f64, rounding: Rounding) -> f64 {
    match rounding {
        Rounding::Floor => v.floor(),
        Rounding::TowardZero => v.trunc(),
        Rounding::HalfUp => (v + 0.5).floor(),
        Rounding::HalfEven => v.round_ties_even(),
    }
}

/// The numbers of a layer, in one unit.
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    pub(crate) synapse: Synapse,
    pub(crate) recurrent: Option<(Vec<f64>, Vec<f64>)>,
    pub(crate) leak: Leak,
    pub(crate) current_leak: Option<Leak>,
    pub(crate) bias: Vec<f64>,
    pub(crate) threshold: Option<Vec<f64>>,
    pub(crate) reset_value: Vec<f64>,
}

impl Numbers {
    /// Those of the file.
    pub(crate) fn real(n: &Neurons) -> Self {
        Self {
            synapse: n.synapse.clone(),
            recurrent: n.recurrent.clone(),
            leak: Leak::Times(n.neuron.decay.clone()),
            current_leak: n.neuron.current_decay.clone().map(Leak::Times),
            bias: n.neuron.bias.clone(),
            threshold: n.neuron.threshold.clone(),
            reset_value: n.neuron.reset_value.clone(),
        }
    }
}

/// Smallest and largest value that something took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Extent {
    pub(crate) lo: f64,
    pub(crate) hi: f64,
}

impl Extent {
    const NONE: Self = Self { lo: 0.0, hi: 0.0 };

    #[inline]
    fn see(&mut self, v: f64) {
        self.lo = self.lo.min(v);
        self.hi = self.hi.max(v);
    }

    fn join(&mut self, o: Self) {
        self.see(o.lo);
        self.see(o.hi);
    }
}

/// What came out of a layer.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) frames: Frames,
    pub(crate) membrane: Extent,
    pub(crate) current: Extent,
}

/// Executes a layer on all samples, on all cores.
pub(crate) fn layer(
    op: &Op,
    shape: &[usize],
    from: &[usize],
    x: &Frames,
    numbers: Option<&Numbers>,
) -> Outcome {
    let len = shape.iter().product();
    let mut out = Frames::empty(x.samples, x.steps, len);
    let cores = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, x.samples.max(1));
    let chunk = x.samples.div_ceil(cores).max(1);
    let mut extents = vec![[Extent::NONE; 2]; x.samples.div_ceil(chunk)];
    std::thread::scope(|scope| {
        let parts = out.data.chunks_mut((chunk * x.steps * len).max(1));
        for (n, (part, extents)) in parts.zip(&mut extents).enumerate() {
            scope.spawn(move || {
                for (k, y) in part.chunks_mut((x.steps * len).max(1)).enumerate() {
                    let sample = n * chunk + k;
                    match (op, numbers) {
                        (Op::Neurons(neurons), Some(numbers)) => {
                            Cell::new(&neurons.neuron.semantics, numbers, len).run(x, sample, y, extents);
                        }
                        (Op::Pool { kernel, stride }, _) => pool(*kernel, *stride, from, shape, x, sample, y),
                        (Op::Delay { steps }, _) => delay(*steps, x, sample, y),
                        (Op::Neurons(_), None) | (Op::Concat { .. }, _) => {
                            unreachable!("neurons have numbers, and tensors are joined elsewhere")
                        }
                    }
                }
            });
        }
    });
    let mut all = [Extent::NONE; 2];
    extents.iter().for_each(|e| all.iter_mut().zip(e).for_each(|(a, b)| a.join(*b)));
    Outcome { frames: out, membrane: all[0], current: all[1] }
}

fn pool(
    kernel: [usize; 2],
    stride: [usize; 2],
    from: &[usize],
    shape: &[usize],
    x: &Frames,
    sample: usize,
    y: &mut [f32],
) {
    let ([_, h, w], [c, oh, ow]) = ([from[0], from[1], from[2]], [shape[0], shape[1], shape[2]]);
    for (step, y) in y.chunks_mut(c * oh * ow).enumerate() {
        let x = x.at(sample, step);
        for (at, y) in y.iter_mut().enumerate() {
            let (ch, oy, ox) = (at / (oh * ow), at / ow % oh, at % ow);
            let row = |ky: usize| (ch * h + oy * stride[0] + ky) * w + ox * stride[1];
            *y = (0..kernel[0]).map(|ky| x[row(ky)..][..kernel[1]].iter().sum::<f32>()).sum();
        }
    }
}

fn delay(steps: usize, x: &Frames, sample: usize, y: &mut [f32]) {
    for (step, y) in y.chunks_mut(x.len).enumerate().skip(steps) {
        y.copy_from_slice(x.at(sample, step - steps));
    }
}

/// The state of a layer of neurons in one sample.
struct Cell<'a> {
    s: &'a Semantics,
    n: &'a Numbers,
    /// Rows by input, so that a spike reads consecutive memory.
    forward: Forward<'a>,
    back: Option<Vec<f64>>,
    sum: Vec<f64>,
    current: Vec<f64>,
    membrane: Vec<f64>,
    spikes: Vec<f32>,
    held: Vec<f32>,
}

enum Forward<'a> {
    Dense(Vec<f64>),
    Conv(&'a Conv),
}

fn transposed(weight: &[f64], inputs: usize, outputs: usize) -> Vec<f64> {
    (0..inputs * outputs).map(|at| weight[at % outputs * inputs + at / outputs]).collect()
}

impl<'a> Cell<'a> {
    fn new(s: &'a Semantics, n: &'a Numbers, len: usize) -> Self {
        let forward = match &n.synapse {
            Synapse::Dense { weight, inputs, outputs, .. } => {
                Forward::Dense(transposed(weight, *inputs, *outputs))
            }
            Synapse::Conv(conv) => Forward::Conv(conv),
        };
        let back = n.recurrent.as_ref().map(|(w, _)| transposed(w, len, len));
        Self {
            s,
            n,
            forward,
            back,
            sum: vec![0.0; len],
            current: vec![0.0; len],
            membrane: vec![0.0; len],
            spikes: vec![0.0; len],
            held: vec![0.0; len],
        }
    }

    fn run(&mut self, x: &Frames, sample: usize, y: &mut [f32], extents: &mut [Extent; 2]) {
        for (step, y) in y.chunks_mut(self.sum.len()).enumerate() {
            self.synapses(x.at(sample, step), step == 0);
            self.neurons(y, extents);
        }
    }

    fn synapses(&mut self, x: &[f32], first: bool) {
        let len = self.sum.len();
        let bias = self.n.synapse.bias();
        let each = len / bias.len();
        self.sum.iter_mut().enumerate().for_each(|(i, s)| *s = bias[i / each]);
        match &self.forward {
            Forward::Dense(rows) => scatter(rows, x, &mut self.sum),
            Forward::Conv(conv) => convolve(conv, x, &mut self.sum),
        }
        if let (Some(rows), Some((_, bias))) = (&self.back, &self.n.recurrent)
            && !(first && self.s.first_step == FirstStep::Skip)
        {
            self.sum.iter_mut().zip(bias).for_each(|(s, b)| *s += b);
            scatter(rows, &self.spikes, &mut self.sum);
        }
    }

    fn neurons(&mut self, y: &mut [f32], extents: &mut [Extent; 2]) {
        let (s, n) = (self.s, self.n);
        for i in 0..self.sum.len() {
            let mut input = self.sum[i];
            if let Some(leak) = &n.current_leak {
                let before = self.current[i];
                self.current[i] = leak.apply(before, i) + input;
                extents[1].see(self.current[i]);
                input = if s.order == Order::CurrentFirst { self.current[i] } else { before };
            }
            let raw = n.leak.apply(self.membrane[i], i) + input + at(&n.bias, i);
            let Some(threshold) = &n.threshold else {
                self.membrane[i] = raw;
                extents[0].see(raw);
                y[i] = raw as f32;
                continue;
            };
            let (v, spikes) = self.fire(i, raw, at(threshold, i), &mut extents[0]);
            self.membrane[i] = v;
            y[i] =
                if s.emit == When::NextStep { std::mem::replace(&mut self.held[i], spikes) } else { spikes };
            self.spikes[i] = spikes;
        }
    }

    /// Membrane and spikes after the comparison; `raw` is what the membrane became by itself.
    fn fire(&self, i: usize, raw: f64, threshold: f64, seen: &mut Extent) -> (f64, f32) {
        let s = self.s;
        let above = |v: f64| if s.compare == Compare::Gt { v > threshold } else { v >= threshold };
        let value = at(&self.n.reset_value, i);
        let mut raw = raw;
        // What the spike of the step before leaves to do.
        if s.reset_at == When::NextStep && self.spikes[i] > 0.0 {
            raw = match s.reset {
                Reset::Zero => 0.0,
                Reset::Subtract => raw - f64::from(self.spikes[i]) * threshold,
                Reset::Value => value,
                Reset::None => raw,
            };
        }
        let again = s.double_reset && above(self.membrane[i]);
        if again {
            raw -= threshold;
        }
        seen.see(raw);
        let spikes = if s.max_spikes == 1 {
            f64::from(u8::from(above(raw)))
        } else if raw > 0.0 && above(raw) {
            let limit = if s.max_spikes == 0 { f64::MAX } else { f64::from(s.max_spikes) };
            (raw / threshold).trunc().min(limit)
        } else {
            0.0
        };
        if s.reset_at == When::Now {
            let back = if again { 1.0 } else { 0.0 };
            raw = match s.reset {
                Reset::Subtract => raw - (spikes - back) * threshold,
                Reset::Zero if spikes > 0.0 => 0.0,
                Reset::Value if spikes > 0.0 => value,
                _ => raw,
            };
        }
        if s.floor == super::semantics::Floor::Threshold {
            raw = raw.max(-threshold);
        }
        seen.see(raw);
        (raw, spikes as f32)
    }
}

fn scatter(rows: &[f64], x: &[f32], sum: &mut [f64]) {
    for (row, &x) in rows.chunks_exact(sum.len()).zip(x).filter(|(_, x)| **x != 0.0) {
        let x = f64::from(x);
        sum.iter_mut().zip(row).for_each(|(s, w)| *s += w * x);
    }
}

fn convolve(conv: &Conv, x: &[f32], sum: &mut [f64]) {
    let ([_, h, w], [o, oh, ow], [kh, kw]) = (conv.input, conv.output, conv.kernel);
    let per_group = conv.weight.len() / (o * kh * kw);
    let (in_group, out_group) = (per_group, o / conv.groups);
    // The output position that tap `k` carries an input position to, if there is one.
    let target = |at: usize, k: usize, axis: usize, extent: usize| {
        let moved = (at + conv.padding[axis]).checked_sub(k * conv.dilation[axis])?;
        let out = moved / conv.stride[axis];
        (moved % conv.stride[axis] == 0 && out < extent).then_some(out)
    };
    for (at, &x) in x.iter().enumerate().filter(|(_, x)| **x != 0.0) {
        let (c, iy, ix) = (at / (h * w), at / w % h, at % w);
        let (group, within) = (c / in_group, c % in_group);
        for ky in 0..kh {
            let Some(oy) = target(iy, ky, 0, oh) else { continue };
            for kx in 0..kw {
                let Some(ox) = target(ix, kx, 1, ow) else { continue };
                for out in group * out_group..(group + 1) * out_group {
                    let weight = conv.weight[((out * per_group + within) * kh + ky) * kw + kx];
                    sum[(out * oh + oy) * ow + ox] += weight * f64::from(x);
                }
            }
        }
    }
}
