//! What a layer with weights reads: integers with a line each, and no operator between.

use std::rc::Rc;

use nervure_core::Diagnostic;

use super::blocks;
use super::net::{Layer, fits};
use super::stream::{Step, Stream, pick, shortened};
use super::walk::{HELP, Walk};
use crate::onnx::{Node, quote};

impl Walk<'_> {
    /// The stream without steps: a line per element. What only cuts off becomes a layer.
    ///
    /// Errors: `E0155` where something else happened that was not rounded since.
    pub(crate) fn clean(&mut self, node: &Node, x: &Rc<Stream>) -> Result<Rc<Stream>, Diagnostic> {
        if x.steps.is_empty() {
            return Ok(x.clone());
        }
        let count = if x.uniform() { 1 } else { x.len() };
        let lines: Option<Vec<(f64, f64)>> = (0..count).map(|at| x.affine(at, false)).collect();
        if let Some(lines) = lines {
            let (scale, offset) = lines.into_iter().unzip();
            let (scale, offset) = (shortened(scale), shortened(offset));
            return Ok(Rc::new(Stream { scale, offset, steps: Vec::new(), ..(**x).clone() }));
        }
        self.cut(node, x).map(Rc::new)
    }

    /// A rectifier, or another limit, on integers as they are.
    fn cut(&mut self, node: &Node, x: &Stream) -> Result<Stream, Diagnostic> {
        let refuse = || {
            let last = x
                .steps
                .iter()
                .rev()
                .find_map(|s| if let Step::Function { name, .. } = s { Some(name) } else { None });
            let what = last.map_or(String::new(), |n| format!(": {} is on the way", quote(n)));
            node.wrong("E0155", format!("reads numbers that were not quantized{what}"), HELP)
        };
        let (scale, offset) = (pick(&x.scale, 0), pick(&x.offset, 0));
        let line = x.affine(0, true).filter(|_| x.uniform() && scale > 0.0 && offset.abs() <= 0.0);
        let (a, _) = line.filter(|l| l.0 > 0.0 && l.1.abs() <= 0.0).ok_or_else(refuse)?;
        let (lo, hi) = self.net.layers[x.layer].whole_range();
        // What a limit makes of an integer must be an integer again.
        let level = |n: i64| x.real(0, n) / a;
        let ends = (level(lo), level(hi));
        if (ends.0 - ends.0.round()).abs() > 1e-6 * ends.0.abs().max(1.0)
            || (ends.1 - ends.1.round()).abs() > 1e-6 * ends.1.abs().max(1.0)
        {
            return Err(refuse());
        }
        let (least, most) = (ends.0.round() as i64, ends.1.round() as i64);
        if !fits((least, most)) {
            return Err(refuse());
        }
        let (layer, from) = (&self.net.layers[x.layer], [x.layer]);
        let mut new = if least == 0 && most == hi {
            Layer::plain(&format!("{}.relu", node.name), blocks::RELU, &from, layer.shape.clone(), (0, most))
        } else {
            super::round::requant(&format!("{}.clip", node.name), x.layer, layer, (least, most), layer.frac)
                .with("mode", serde_json::json!({"shift": 0, "rounding": "floor"}))
        };
        new.frac = layer.frac;
        let layer = self.net.push(new);
        Ok(Stream { layer, scale: vec![a], offset: vec![0.0], steps: Vec::new(), ..x.clone() })
    }
}
