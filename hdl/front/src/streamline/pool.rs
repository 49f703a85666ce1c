//! Pooling, and sums of two streams.

use std::rc::Rc;

use nervure_core::Diagnostic;
use serde_json::json;

use super::blocks;
use super::evaluate::{pool_window, single};
use super::net::{Layer, fits};
use super::rounding::Quantizer;
use super::stream::{Stream, fraction, pick, shortened};
use super::walk::Walk;
use crate::onnx::Node;

impl Walk<'_> {
    /// The largest integer stands for the largest number, where nothing on the way falls.
    pub(crate) fn max_pool(&mut self, node: &Node) -> Result<Stream, Diagnostic> {
        let x = self.stream(node, 0)?;
        let window = pool_window(node, &x.shape)?;
        let area: usize = window.input.iter().product();
        let channels = x.shape[1];
        let help = "pool behind the next quantization";
        if window.dilation.iter().any(|d| *d != 1) {
            return Err(node.wrong("E0156", "pools with a dilation", "use windows without gaps"));
        }
        let rises = |s: &Stream, at: usize| {
            s.affine(at, true).is_some_and(|l| l.0 > 0.0)
                || s.affine(at, true).is_none() && pick(&s.scale, at) > 0.0
        };
        let alike = (0..x.len()).all(|at| x.alike(at, at / area * area));
        let mut x = x;
        if x.monotone() && alike && !(0..channels).all(|c| rises(&x, c * area)) {
            // What falls is turned where it is made.
            let mut turned = (*x).clone();
            let columns = self.net.layers[x.layer].columns();
            let fits = columns == channels && (0..x.len()).all(|at| x.from[at] % columns == at / area);
            let groups = if x.uniform() { 1 } else { channels };
            for c in 0..groups {
                if !rises(&turned, c * area) && (!fits || !self.turn(&mut turned, c, groups)) {
                    return Err(node.wrong("E0156", "pools what falls where its integers rise", help));
                }
            }
            x = Rc::new(turned);
        }
        if !x.monotone() || !alike {
            return Err(node.wrong(
                "E0156",
                "pools elements that differ within a channel, or a function that falls",
                help,
            ));
        }
        let x = self.map(node, &x, channels, &window.input);
        let mut fields = Layer::plain(
            &node.name,
            blocks::MAX,
            &[x.layer],
            [&window.output[..], &[channels]].concat(),
            (0, 0),
        )
        .with("kernel", json!(window.kernel));
        if window.stride != window.kernel {
            fields = fields.with("stride", json!(window.stride));
        }
        if window.padding.iter().flatten().any(|p| *p > 0) {
            fields = fields.with("padding", json!(window.padding));
        }
        Ok(self.pooled(&x, fields, channels, window.count(), area, &window.output))
    }

    fn pooled(
        &mut self,
        x: &Stream,
        mut layer: Layer,
        channels: usize,
        windows: usize,
        area: usize,
        output: &[usize],
    ) -> Stream {
        let before = &self.net.layers[x.layer];
        layer.frac = before.frac;
        if layer.block == blocks::MAX {
            layer.range = before.whole_range();
        }
        self.net.layers[x.layer].locked = true;
        let from: Vec<usize> = (0..channels * windows).map(|at| at / windows * area).collect();
        let mut y = x.moved([&[1, channels], output].concat(), &from);
        y.layer = self.net.push(layer);
        y.from = (0..channels * windows).map(|at| at % windows * channels + at / windows).collect();
        y
    }

    pub(crate) fn average_pool(&mut self, node: &Node) -> Result<Stream, Diagnostic> {
        let x = self.stream(node, 0)?;
        let x = self.clean(node, &x)?;
        let window = pool_window(node, &x.shape)?;
        let area: usize = window.input.iter().product();
        let channels = x.shape[1];
        let alike = (0..x.len()).all(|at| x.alike(at, at / area * area));
        let plain =
            window.padding.iter().flatten().all(|p| *p == 0) && window.dilation.iter().all(|d| *d == 1);
        if !plain || !alike {
            return Err(node.wrong(
                "E0156",
                "averages over padding or over gaps",
                "use windows without padding",
            ));
        }
        let x = self.map(node, &x, channels, &window.input);
        let count: usize = window.kernel.iter().product();
        let range = self.net.layers[x.layer].whole_range();
        let n = i64::try_from(count).unwrap_or(i64::MAX);
        if !fits((range.0.saturating_mul(n), range.1.saturating_mul(n))) {
            return Err(node.wrong("E0156", "makes sums of more than 46 bits", "use smaller windows"));
        }
        let mut layer = Layer::plain(
            &node.name,
            blocks::AVERAGE,
            &[x.layer],
            [&window.output[..], &[channels]].concat(),
            (range.0.saturating_mul(n), range.1.saturating_mul(n)),
        )
        .with("kernel", json!(window.kernel))
        .with("divide", json!(false));
        if window.stride != window.kernel {
            layer = layer.with("stride", json!(window.stride));
        }
        let mut y = self.pooled(&x, layer, channels, window.count(), area, &window.output);
        // The sum of a window, whose offsets add up to as many.
        y.scale = y.scale.iter().map(|s| s / count as f64).collect();
        Ok(y)
    }

    /// Two streams, element by element.
    pub(crate) fn sum(&mut self, node: &Node, a: &Rc<Stream>, b: &Rc<Stream>) -> Result<Stream, Diagnostic> {
        let (a, b) = (self.clean(node, a)?, self.clean(node, b)?);
        let (sa, sb) = (pick(&a.scale, 0), pick(&b.scale, 0));
        let uniform = a.scale.len() == 1 && b.scale.len() == 1 && a.len() == b.len() && a.shape == b.shape;
        let lie = self.net.layers[a.layer].shape == self.net.layers[b.layer].shape && a.from == b.from;
        if !uniform || !lie {
            let message = "adds tensors that lie differently, or have a scale for each channel";
            return Err(node.wrong("E0156", message, "quantize both with one scale for the tensor"));
        }
        // Two powers of two that the formats show are brought together by the block itself.
        let frac_of = |w: &Self, l: usize| w.net.layers[l].frac;
        let shown =
            fraction(sa) == Some(frac_of(self, a.layer)) && fraction(sb) == Some(frac_of(self, b.layer));
        let (mut a, mut b) = ((*a).clone(), (*b).clone());
        if !shown && ((sa - sb).abs() > 0.0 || frac_of(self, a.layer) != frac_of(self, b.layer)) {
            let (coarse, fine, unit) = if sa >= sb { (&mut a, &b, sb) } else { (&mut b, &a, sa) };
            let times = pick(&coarse.scale, 0) / unit;
            if unit <= 0.0 || (times - times.round()).abs() > 0.0 || times > 1e6 {
                let message = format!("adds numbers in units of {sa} and of {sb}");
                return Err(node.wrong("E0156", message, "quantize both with the same scale"));
            }
            let (k, frac) = (times as i64, frac_of(self, fine.layer));
            let layer = &self.net.layers[coarse.layer];
            let (lo, hi) = layer.whole_range();
            if !fits((lo.saturating_mul(k), hi.saturating_mul(k))) {
                return Err(node.wrong("E0156", "makes sums of more than 46 bits", "use narrower inputs"));
            }
            let name = format!("{}.unit", node.name);
            let format = nervure_core::QType::holding(
                i128::from(lo) * i128::from(k),
                i128::from(hi) * i128::from(k),
                frac,
            );
            let mut new =
                Layer::plain(&name, blocks::REQUANT, &[coarse.layer], layer.shape.clone(), (lo * k, hi * k))
                    .with("output", json!(format))
                    .with("mode", json!({"tflite": {"multiplier": k, "shift": 0}}));
            new.frac = frac;
            self.net.layers[coarse.layer].locked = true;
            coarse.layer = self.net.push(new);
        }
        let (la, lb) = (&self.net.layers[a.layer], &self.net.layers[b.layer]);
        let frac = la.frac.max(lb.frac);
        let up = |l: &Layer| {
            let (lo, hi) = l.whole_range();
            let times = 1i64 << (i32::from(frac) - i32::from(l.frac)).clamp(0, 62);
            (lo.saturating_mul(times), hi.saturating_mul(times))
        };
        let (ra, rb) = (up(la), up(lb));
        if !fits(ra) || !fits(rb) {
            return Err(node.wrong("E0156", "makes sums of more than 46 bits", "use narrower inputs"));
        }
        let mut layer = Layer::plain(
            &node.name,
            blocks::ADD,
            &[a.layer, b.layer],
            la.shape.clone(),
            (ra.0 + rb.0, ra.1 + rb.1),
        );
        layer.frac = frac;
        for l in [a.layer, b.layer] {
            self.net.layers[l].locked = true;
        }
        let count = if a.offset.len() == 1 && b.offset.len() == 1 { 1 } else { a.len() };
        let offset = shortened((0..count).map(|at| pick(&a.offset, at) + pick(&b.offset, at)).collect());
        let layer = self.net.push(layer);
        Ok(Stream { layer, scale: vec![sa.min(sb)], offset, ..a })
    }

    /// `QLinearAdd`: `a, scale, zero, b, scale, zero, scale, zero`, each side as a table of its multiples.
    pub(crate) fn quantized_sum(&mut self, node: &Node) -> Result<Stream, Diagnostic> {
        let number =
            |w: &Self, n: usize| w.constant(node, n).map(|c| c.array.data.first().copied().unwrap_or(0.0));
        let (a, b) = (self.stream(node, 0)?, self.stream(node, 3)?);
        let (a, b) = (self.clean(node, &a)?, self.clean(node, &b)?);
        let (sy, zy) = (number(self, 6)?, self.constant(node, 7)?);
        let ends = zy.array.dtype.ends();
        let ends = ends.ok_or_else(|| {
            node.wrong("E0153", "quantizes to a type that is not read", "use int8 or uint8")
        })?;
        let quantizer = Quantizer::of_integers(number(self, 7)?, zy.array.dtype, ends);
        let mut sides = Vec::new();
        for (x, scale, zero, name) in [(&a, 1, 2, "left"), (&b, 4, 5, "right")] {
            let (s, z) = (number(self, scale)?, number(self, zero)?);
            let whole = |n: i64| n as f64 * pick(&x.scale, 0) + pick(&x.offset, 0) - z;
            let layer = &self.net.layers[x.layer];
            let (lo, hi) = layer.range;
            let bits = nervure_core::QType::holding(lo.into(), hi.into(), 0);
            let plain = x.uniform()
                && layer.linear.is_none()
                && bits.bits <= 12
                && (bits.min(), bits.max()) == (lo, hi);
            if !plain || s <= 0.0 || sy <= 0.0 {
                return Err(node.wrong(
                    "E0156",
                    "adds what is no integer of at most 12 bits",
                    "quantize both sides",
                ));
            }
            let factor = s / sy * f64::from(SUM_BITS).exp2();
            let entries: Vec<i64> = (lo..=hi).map(|n| (whole(n) * factor).round() as i64).collect();
            let range = entries.iter().fold((0, 0), |(p, q): (i64, i64), v| (p.min(*v), q.max(*v)));
            let output = nervure_core::QType::holding(range.0.into(), range.1.into(), 0);
            let own = format!("{}.{name}", node.name);
            let mut table = Layer::plain(&own, blocks::TABLE, &[x.layer], layer.shape.clone(), range)
                .with("output", json!(output));
            table.arrays.push(("entries", vec![entries.len()], entries.clone()));
            let arguments: Vec<f64> = (lo..=hi).map(whole).collect();
            sides.push((table, entries, s, arguments));
        }
        // Both sides at once, as the runtime computes them: every pair.
        let (left, right) = (&sides[0], &sides[1]);
        for (x, n) in left.3.iter().zip(&left.1) {
            for (y, m) in right.3.iter().zip(&right.1) {
                let real = single(single(x * left.2) + single(y * right.2));
                let want = quantizer.level(0, single(real / single(sy)));
                let got = nervure_core::Rounding::HalfEven.shift(i128::from(n + m), SUM_BITS) as i64;
                let (lo, hi) = quantizer.levels().unwrap_or((i64::MIN, i64::MAX));
                if got.clamp(lo, hi) != want {
                    let message = "is no integer operation for some pair of integers";
                    return Err(node.wrong("E0156", message, "use one scale for both sides"));
                }
            }
        }
        if a.from != b.from || self.net.layers[a.layer].shape != self.net.layers[b.layer].shape {
            return Err(node.wrong(
                "E0156",
                "adds tensors that lie differently",
                "give both the same layout",
            ));
        }
        let shape = self.net.layers[a.layer].shape.clone();
        let tables: Vec<usize> = sides.into_iter().map(|s| self.net.push(s.0)).collect();
        let range = |l: usize| self.net.layers[l].range;
        let (ra, rb) = (range(tables[0]), range(tables[1]));
        let sum = Layer::plain(&node.name, blocks::ADD, &tables, shape, (ra.0 + rb.0, ra.1 + rb.1));
        let sum = self.net.push(sum);
        let levels = quantizer.levels().expect("its type has ends");
        let new =
            super::round::requant(&format!("{}.quant", node.name), sum, &self.net.layers[sum], levels, 0)
                .with("mode", json!({"shift": SUM_BITS, "rounding": "half_even"}));
        let layer = self.net.push(new);
        Ok(Stream {
            layer,
            scale: vec![1.0],
            offset: vec![quantizer.offset],
            steps: Vec::new(),
            dtype: quantizer.dtype(),
            ..(*a).clone()
        })
    }
}

/// Bits behind the point of the two sides of a sum.
const SUM_BITS: u32 = 16;
