//! Rounding to integers: the operation of the network that is exactly what the framework computes.

use nervure_core::{Diagnostic, QType, diag};
use serde_json::json;

use super::blocks;
use super::fit::{Column, Form, fit, thresholds};
use super::net::{Layer, fits};
use super::rounding::Quantizer;
use super::stream::{Stream, fraction};
use super::walk::Walk;
use crate::onnx::{Node, quote};

/// Most levels times columns for which thresholds are looked for.
const MAX_THRESHOLDS: usize = 1 << 20;

/// A layer of requantization onto `levels`, without its scale.
pub(crate) fn requant(name: &str, from: usize, layer: &Layer, levels: (i64, i64), frac: i8) -> Layer {
    let output = QType::holding(levels.0.into(), levels.1.into(), frac);
    let mut new = Layer::plain(name, blocks::REQUANT, &[from], layer.shape.clone(), levels)
        .with("output", json!(output));
    new.frac = frac;
    if levels != (output.min(), output.max()) {
        new = new.with("range", json!([levels.0, levels.1]));
    }
    new
}

impl Walk<'_> {
    /// What `quantizer` makes of `x`, as a layer where it does anything. `runtime` says that the factor is one that a runtime
    /// rounds by itself.
    ///
    /// Errors: `E0156` where no operation is exactly that.
    pub(crate) fn round(
        &mut self,
        name: &str,
        node: &Node,
        x: &Stream,
        quantizer: &Quantizer,
        runtime: bool,
    ) -> Result<Stream, Diagnostic> {
        let mut quantizer = quantizer.clone();
        quantizer.wide = x.wide;
        match self.rounded(name, node, x, &quantizer, runtime) {
            Err(d) if !x.wide => {
                // Sums of more than 24 bits: what the framework's own rounding makes of them follows no rule of integers.
                quantizer.wide = true;
                let exact = Stream { wide: true, ..x.clone() };
                let mut y = self.rounded(name, node, &exact, &quantizer, runtime).map_err(|_| d)?;
                y.wide = false;
                self.notes.push(format!("{} is computed exactly where binary32 rounds", quote(name)));
                Ok(y)
            }
            other => other,
        }
    }

    fn rounded(
        &mut self,
        name: &str,
        node: &Node,
        x: &Stream,
        quantizer: &Quantizer,
        runtime: bool,
    ) -> Result<Stream, Diagnostic> {
        let mut x = x.clone();
        if !x.monotone() {
            return self.table(name, node, &x, quantizer);
        }
        let groups = self.columns(name, &mut x, quantizer);
        for (column, at) in groups.iter().enumerate() {
            let (lo, hi) = self.net.layers[x.layer].range_of(column);
            let falls = quantizer.level(*at, x.real(*at, hi)) < quantizer.level(*at, x.real(*at, lo));
            if falls && !self.turn(&mut x, column, groups.len()) {
                return self.table(name, node, &x, quantizer);
            }
        }
        let layer = &self.net.layers[x.layer];
        let levels = quantizer.levels().unwrap_or_else(|| reached(&x, quantizer, &groups, layer));
        if !fits(levels) || !fits(layer.whole_range()) {
            return Err(node.wrong("E0156", "reaches more than 2^46", "use narrower weights or inputs"));
        }
        let count = (levels.1 - levels.0) as usize;
        if count.saturating_mul(groups.len()) > MAX_THRESHOLDS {
            let message = format!("has {count} levels for each of {} columns", groups.len());
            return Err(node.wrong("E0156", message, "use fewer bits, or one scale for the tensor"));
        }
        let column = |(c, at): (usize, &usize)| {
            let (lo, hi) = if groups.len() == 1 { layer.whole_range() } else { layer.range_of(c) };
            let f = |n: i64| quantizer.level(*at, x.real(*at, n));
            let line = x.affine(*at, true).map(|(a, b)| {
                let unit = quantizer.unit(*at);
                (a / unit, b / unit + quantizer.zero() - quantizer.lowered())
            });
            Column { lo, hi, thresholds: thresholds(f, (lo, hi), levels), line }
        };
        let columns: Vec<Column> = groups.iter().enumerate().map(column).collect();
        let form = fit(&columns, levels, quantizer.mode(), self.net.can_add(x.layer), runtime);
        let frac = fraction(quantizer.scale[0]).filter(|_| quantizer.plain()).unwrap_or(0);
        let source = x.layer;
        let layer = match form {
            Some(Form::Same) => source,
            Some(form) => {
                let new = self.layer_of(name, source, &columns, levels, form, frac);
                self.net.push(new)
            }
            None => return self.table(name, node, &x, quantizer),
        };
        let dtype = quantizer.dtype();
        Ok(Stream {
            layer,
            scale: quantizer.scale.clone(),
            offset: vec![quantizer.offset],
            steps: Vec::new(),
            dtype,
            ..x
        })
    }

    fn layer_of(
        &mut self,
        name: &str,
        from: usize,
        columns: &[Column],
        levels: (i64, i64),
        form: Form,
        frac: i8,
    ) -> Layer {
        let one_or_many = |list: &[i64]| match list {
            [first, rest @ ..] if rest.iter().all(|v| v == first) => json!(first),
            _ => json!(list),
        };
        let source = &self.net.layers[from];
        let plain = requant(name, from, source, levels, frac);
        match form {
            Form::Same => unreachable!("nothing to do"),
            Form::Shift { shift, rounding, bias } => {
                if let Some(linear) = &mut self.net.layers[from].linear {
                    let own = |n: usize| bias[if bias.len() == 1 { 0 } else { n }];
                    linear.bias.iter_mut().enumerate().for_each(|(n, b)| *b += own(n));
                }
                plain.with("mode", json!({"shift": shift, "rounding": rounding}))
            }
            Form::Scale { multiplier, shift, offset, late, onnx } => {
                let mode = if onnx { "onnx" } else { "tflite" };
                let (multiplier, shift) = (one_or_many(&multiplier), one_or_many(&shift));
                let mut new = plain.with("mode", json!({mode: {"multiplier": multiplier, "shift": shift}}));
                if offset.iter().any(|o| *o != 0) {
                    new = new.with("offset", one_or_many(&offset));
                }
                let count = late.iter().map(Vec::len).max().unwrap_or(0);
                if count > 0 {
                    // A column with fewer has one that never comes.
                    let never = self.net.layers[from].whole_range().0 - 1;
                    let row = |l: &Vec<i64>| {
                        l.iter().copied().chain(std::iter::repeat(never)).take(count).collect::<Vec<_>>()
                    };
                    let shape = if late.len() == 1 { vec![count] } else { vec![late.len(), count] };
                    new.arrays.push(("late", shape, late.iter().flat_map(row).collect()));
                }
                new
            }
            Form::Thresholds => {
                let output = QType::holding(levels.0.into(), levels.1.into(), frac);
                // A level that no integer reaches needs no comparison in the widest sense, only a threshold above all.
                let rows: Vec<i64> = columns.iter().flat_map(|c| c.thresholds.clone()).collect();
                let count = (levels.1 - levels.0) as usize;
                let shape = if columns.len() == 1 { vec![count] } else { vec![columns.len(), count] };
                let mut new = Layer::plain(name, blocks::THRESHOLD, &[from], source.shape.clone(), levels)
                    .with("output", json!(output));
                if levels.0 != 0 {
                    new = new.with("lowest", json!(levels.0));
                }
                new.frac = frac;
                new.arrays.push(("thresholds", shape, rows));
                new
            }
        }
    }

    /// An element for each column, or one for all where all are alike; the layer is flattened where columns are not enough.
    fn columns(&mut self, name: &str, x: &mut Stream, quantizer: &Quantizer) -> Vec<usize> {
        if x.uniform() && quantizer.uniform() {
            return vec![0];
        }
        let layer = &self.net.layers[x.layer];
        let (columns, len) = (layer.columns(), x.len());
        let alike = |a: usize, b: usize| x.alike(a, b) && quantizer.alike(a, b);
        let mut first: Vec<Option<usize>> = vec![None; columns];
        let mut enough = true;
        for at in 0..len {
            let column = &mut first[x.from[at] % columns];
            match *column {
                Some(other) => enough &= alike(other, at),
                None => *column = Some(at),
            }
        }
        if enough {
            return first.into_iter().map(|f| f.unwrap_or(0)).collect();
        }
        let all: usize = layer.shape.iter().product();
        let (range, frac) = (layer.whole_range(), layer.frac);
        let mut flat = Layer::plain(&format!("{name}.flat"), blocks::FLATTEN, &[x.layer], vec![all], range);
        flat.frac = frac;
        x.layer = self.net.push(flat);
        let mut each = vec![0; all];
        x.from.iter().enumerate().for_each(|(at, n)| each[*n] = at);
        each
    }

    /// Turns a column that falls, where the layer before can give the opposite.
    pub(crate) fn turn(&mut self, x: &mut Stream, column: usize, groups: usize) -> bool {
        let columns = self.net.layers[x.layer].columns();
        let all = groups == 1 && columns > 1;
        let turned: Vec<usize> = if all { (0..columns).collect() } else { vec![column] };
        if !turned.iter().all(|c| self.net.flip(x.layer, *c)) {
            return false;
        }
        if x.scale.len() == 1 && columns > 1 && !all {
            x.scale = vec![x.scale[0]; x.len()];
        }
        if x.scale.len() == 1 {
            x.scale[0] = -x.scale[0];
        } else {
            let mine = |at: usize| turned.contains(&(x.from[at] % columns));
            let scale = (0..x.len()).map(|at| if mine(at) { -x.scale[at] } else { x.scale[at] });
            x.scale = scale.collect();
        }
        true
    }

    /// Any function of few integers, the same for all elements.
    fn table(
        &mut self,
        name: &str,
        node: &Node,
        x: &Stream,
        quantizer: &Quantizer,
    ) -> Result<Stream, Diagnostic> {
        let layer = &self.net.layers[x.layer];
        let (lo, hi) = layer.range;
        let small = fits((lo, hi)) && layer.linear.is_none();
        let (lo, hi) = if small { (lo, hi) } else { (0, 1) };
        let format = QType::holding(lo.into(), hi.into(), layer.frac);
        let whole = (lo, hi) == (format.min(), format.max());
        if !small || !x.uniform() || !quantizer.uniform() || format.bits > 12 || !whole {
            let message = format!(
                "is no function that an integer operation is exactly ({})",
                quote(layer.name.as_str())
            );
            let help =
                "use one scale for the tensor, fewer bits, or an operator that never falls, such as Relu";
            return Err(node.wrong("E0156", message, help));
        }
        let entries: Vec<i64> = (lo..=hi).map(|n| quantizer.level(0, x.real(0, n))).collect();
        let range = entries.iter().fold((i64::MAX, i64::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        let frac = fraction(quantizer.scale[0]).filter(|_| quantizer.plain()).unwrap_or(0);
        let levels = quantizer.levels().unwrap_or(range);
        if !fits(levels) {
            return Err(node.wrong("E0156", "reaches more than 2^46", "use narrower inputs"));
        }
        let output = QType::holding(levels.0.into(), levels.1.into(), frac);
        diag::in_range("levels", output.bits.into(), 1..49)?;
        let mut new =
            Layer::plain(name, blocks::TABLE, &[x.layer], layer.shape.clone(), (output.min(), output.max()))
                .with("output", json!(output));
        new.frac = frac;
        new.arrays.push(("entries", vec![entries.len()], entries));
        let layer = self.net.push(new);
        let dtype = quantizer.dtype();
        Ok(Stream {
            layer,
            scale: quantizer.scale.clone(),
            offset: vec![quantizer.offset],
            steps: Vec::new(),
            dtype,
            ..x.clone()
        })
    }
}

/// The levels that are reached, where nothing limits them.
fn reached(x: &Stream, quantizer: &Quantizer, groups: &[usize], layer: &Layer) -> (i64, i64) {
    let ends = groups.iter().enumerate().map(|(c, at)| {
        let (lo, hi) = if groups.len() == 1 { layer.whole_range() } else { layer.range_of(c) };
        (quantizer.level(*at, x.real(*at, lo)), quantizer.level(*at, x.real(*at, hi)))
    });
    ends.fold((i64::MAX, i64::MIN), |(a, b), (lo, hi)| (a.min(lo), b.max(hi)))
}
