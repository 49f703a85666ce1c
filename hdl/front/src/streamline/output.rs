//! What leaves: integers whose order is that of the model's numbers, and what one of them stands for.

use std::rc::Rc;

use nervure_core::{Diagnostic, QType};
use serde_json::json;

use super::blocks;
use super::net::{Layer, fits};
use super::stream::{Step, Stream, pick, shortened};
use super::walk::{Output, Value, Walk};
use crate::onnx::{Graph, Node, quote};

/// Bits behind the point that sums get where their offsets are no whole numbers.
const FINER: u32 = 8;

impl Walk<'_> {
    pub(crate) fn output(&mut self, name: &str) -> Result<Output, Diagnostic> {
        let node = Node {
            name: name.to_owned(),
            op: "output".into(),
            domain: String::new(),
            inputs: vec![name.to_owned()],
            outputs: Vec::new(),
            attributes: std::collections::BTreeMap::new(),
        };
        let x = match self.value(&node, 0)? {
            Value::Stream(x) => x,
            Value::Const(_) => {
                return Err(node.wrong("E0156", "is a constant", "name outputs that depend on the input"));
            }
        };
        let mut x = (*x).clone();
        while let Some(Step::Function { strict: true, name: op, .. }) = x.steps.last() {
            let note = format!(
                "{} leaves without its {}: the order of its elements is the same",
                quote(name),
                quote(op)
            );
            self.notes.push(note);
            x.steps.pop();
        }
        let x = (*self.clean(&node, &Rc::new(x))?).clone();
        let mut x = self.rising(&node, x)?;
        if x.dtype.is_integer() && (x.offset.len() > 1 || x.offset[0].abs() > 0.0) || x.layer == 0 {
            self.file_integers(&node, name, &mut x)?;
        }
        self.settled(&mut x);
        let exact = x.scale.len() == 1 && x.offset.len() == 1;
        let x = if exact { x } else { self.aligned(&node, x)? };
        if x.from.iter().enumerate().any(|(at, n)| at != *n) {
            self.notes.push(format!("{} leaves channels last", quote(name)));
        }
        self.net.layers[x.layer].locked = true;
        Ok(Output {
            layer: x.layer,
            name: name.to_owned(),
            scale: x.scale[0],
            offset: x.offset[0],
            from: x.from,
        })
    }

    /// The same with every factor above zero.
    fn rising(&mut self, node: &Node, mut x: Stream) -> Result<Stream, Diagnostic> {
        let columns = self.net.layers[x.layer].columns();
        if x.scale.len() == 1 {
            if x.scale[0] < 0.0 && !self.turn(&mut x, 0, 1) {
                return Err(node.wrong(
                    "E0156",
                    "falls where its integers rise",
                    "leave the last factor out",
                ));
            }
            return Ok(x);
        }
        for at in 0..x.len() {
            let column = x.from[at] % columns;
            if x.scale[at] < 0.0 && !self.turn(&mut x, column, columns) {
                return Err(node.wrong(
                    "E0156",
                    "falls where its integers rise",
                    "leave the last factor out",
                ));
            }
        }
        Ok(x)
    }

    /// Offsets that are whole numbers of integers, moved into the bias.
    fn settled(&mut self, x: &mut Stream) {
        if !self.net.can_add(x.layer) || x.offset.iter().all(|o| o.abs() <= 0.0) || x.offset.len() == 1 {
            return;
        }
        let columns = self.net.layers[x.layer].columns();
        let whole: Vec<f64> = (0..x.len()).map(|at| pick(&x.offset, at) / pick(&x.scale, at)).collect();
        let mut bias: Vec<Option<i64>> = vec![None; columns];
        for (at, v) in whole.iter().enumerate() {
            let near = (v - v.round()).abs() < 1e-9 * v.abs().max(1.0) && v.abs() < 1e15;
            let own = &mut bias[x.from[at] % columns];
            if !near || own.is_some_and(|o| o != v.round() as i64) {
                return;
            }
            *own = Some(v.round() as i64);
        }
        let linear = self.net.layers[x.layer].linear.as_mut().expect("it can be added to");
        linear.bias.iter_mut().zip(&bias).for_each(|(b, add)| *b += add.unwrap_or(0));
        x.offset = vec![0.0];
    }

    /// Integers as the file has them, zero point and all.
    fn file_integers(&mut self, node: &Node, name: &str, x: &mut Stream) -> Result<(), Diagnostic> {
        let zero = x.offset[0].round() as i64;
        let layer = &self.net.layers[x.layer];
        let (lo, hi) = layer.whole_range();
        if !fits((zero, zero)) || !fits((lo, hi)) || !(lo..=hi).contains(&0) {
            return Err(node.wrong(
                "E0156",
                "leaves with a zero point that no format holds",
                "use 8 or 16 bits",
            ));
        }
        let new =
            super::round::requant(&format!("{name}.out"), x.layer, layer, (lo + zero, hi + zero), layer.frac)
                .with("zero_point", json!(zero))
                .with("mode", json!({"shift": 0, "rounding": "floor"}));
        x.layer = self.net.push(new);
        x.offset = vec![x.offset[0] - zero as f64];
        Ok(())
    }

    /// Elements with a factor or an offset each, brought to one scale: rounded, with bits to spare.
    fn aligned(&mut self, node: &Node, mut x: Stream) -> Result<Stream, Diagnostic> {
        let columns = self.net.layers[x.layer].columns();
        let mut first = vec![0; columns];
        for at in (0..x.len()).rev() {
            first[x.from[at] % columns] = at;
        }
        if (0..x.len()).any(|at| !x.alike(at, first[x.from[at] % columns])) {
            return Err(node.wrong("E0156", "has a scale for each element", "use one for each channel"));
        }
        let name = format!("{}.aligned", node.name);
        let one = shortened(x.scale.clone());
        if let ([scale], true) = (&one[..], self.net.can_add(x.layer)) {
            let linear = self.net.layers[x.layer].linear.as_mut().expect("it can be added to");
            linear.weights.iter_mut().for_each(|w| *w <<= FINER);
            let finer = scale / f64::from(FINER).exp2();
            for (column, at) in first.iter().enumerate() {
                linear.bias[column] =
                    (linear.bias[column] << FINER) + (pick(&x.offset, *at) / finer).round() as i64;
            }
            let own = &mut self.net.layers[x.layer];
            if let (Some(linear), Some(frac)) =
                (&mut own.linear, super::stream::fraction(finer).filter(|_| own.frac != 0))
            {
                linear.frac += frac - own.frac;
                own.frac = frac;
            }
            self.notes.push(format!("{} is rounded to multiples of {finer:e}", quote(&node.name)));
            return Ok(Stream { scale: vec![finer], offset: vec![0.0], ..x });
        }
        let most = first.iter().map(|at| pick(&x.scale, *at)).fold(0.0, f64::max);
        let unit = most / f64::from(FINER).exp2();
        let factor = |v: f64| (v / most * f64::from(1 << 24)).round() as i64;
        let multiplier: Vec<i64> = first.iter().map(|at| factor(pick(&x.scale, *at))).collect();
        let offset: Vec<i64> = first.iter().map(|at| factor(pick(&x.offset, *at))).collect();
        let shift = 24 - FINER;
        let layer = &self.net.layers[x.layer];
        let (mut lo, mut hi) = (0i64, 0i64);
        for c in 0..columns {
            let range = layer.range_of(c);
            let end = |n: i64| {
                ((i128::from(n) * i128::from(multiplier[c]) + i128::from(offset[c])) >> shift) as i64
            };
            (lo, hi) = (lo.min(end(range.0)), hi.max(end(range.1).saturating_add(1)));
        }
        let format = QType::holding(lo.into(), hi.into(), 0);
        if format.bits > QType::MAX_BITS {
            return Err(node.wrong("E0156", "needs more than 48 bits", "use narrower weights or inputs"));
        }
        let new = Layer::plain(
            &name,
            blocks::REQUANT,
            &[x.layer],
            layer.shape.clone(),
            (format.min(), format.max()),
        )
        .with("output", json!(format))
        .with("mode", json!({"tflite": {"multiplier": multiplier, "shift": shift}}))
        .with("offset", json!(offset));
        x.layer = self.net.push(new);
        self.notes.push(format!("{} is rounded to multiples of {unit:e}", quote(&node.name)));
        Ok(Stream { scale: vec![unit], offset: vec![0.0], ..x })
    }
}

/// The tensor whose elements leave in place of `name`'s: before functions that only keep the order.
pub(crate) fn before(graph: &Graph, name: &str) -> String {
    let source = |name: &str| graph.nodes.iter().find(|n| n.outputs.first().is_some_and(|o| o == name));
    let mut name = name.to_owned();
    while let Some(node) = source(&name) {
        if !matches!(node.op.as_str(), "Softmax" | "LogSoftmax" | "Sigmoid" | "Tanh" | "Exp") {
            break;
        }
        let Some(next) = node.input(0) else { break };
        next.clone_into(&mut name);
    }
    name
}
