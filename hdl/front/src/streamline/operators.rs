//! Operators on integers that the file itself has: zero points, and factors that a runtime rounds.

use std::rc::Rc;

use nervure_core::Diagnostic;

use super::evaluate::single;
use super::linear::Weights;
use super::rounding::Quantizer;
use super::stream::{Step, Stream, pick, shortened};
use super::walk::{Const, Walk};
use crate::onnx::Node;

impl Walk<'_> {
    /// Integers of the file less their zero point, which is input `n`.
    pub(crate) fn centred(
        &mut self,
        node: &Node,
        x: &Rc<Stream>,
        n: usize,
    ) -> Result<Rc<Stream>, Diagnostic> {
        let zero = self.optional(node, n)?.map_or(0.0, |z| z.array.data.first().copied().unwrap_or(0.0));
        let x = self.clean(node, x)?;
        let offset = x.offset.iter().map(|o| o - zero).collect();
        Ok(Rc::new(Stream { offset, ..(*x).clone() }))
    }

    pub(crate) fn centred_weights(&self, node: &Node, w: &Const, n: usize) -> Result<Weights, Diagnostic> {
        let zero = self.optional(node, n)?;
        let zeros = |at: usize| match &zero {
            None => 0.0,
            Some(z) if z.array.len() == 1 => z.array.data[0],
            // One for each output: the first axis of a convolution, the last of a matrix.
            Some(z) if w.array.shape.len() > 2 => {
                z.array.data[at / (w.array.len() / z.array.len().max(1)).max(1) % z.array.len().max(1)]
            }
            Some(z) => z.array.data[at % z.array.len().max(1)],
        };
        if zero.as_ref().is_some_and(|z| z.array.is_empty() || w.array.is_empty()) {
            return Err(node.wrong("E0153", "has a zero point without elements", "export the model again"));
        }
        let integers = w.array.data.iter().enumerate().map(|(at, v)| (v - zeros(at)) as i64).collect();
        Ok(Weights { shape: w.array.shape.clone(), integers, scale: vec![1.0] })
    }

    fn optional(&self, node: &Node, n: usize) -> Result<Option<Rc<Const>>, Diagnostic> {
        if node.input(n).is_none() { Ok(None) } else { self.constant(node, n).map(Some) }
    }

    /// `QLinearConv`, `QLinearMatMul` and `QGemm`: `x, scale, zero, w, scale, zero, ...`.
    pub(crate) fn quantized(&mut self, node: &Node) -> Result<Stream, Diagnostic> {
        // Places of the bias, of the output's scale, and of its zero point.
        let (bias, scale, zero) = match node.op.as_str() {
            "QLinearConv" => (Some(8), 6, 7),
            "QGemm" => (Some(6), 7, 8),
            _ => (None, 6, 7),
        };
        let first = |c: &Const| c.array.data.first().copied().unwrap_or(1.0);
        let x = self.stream(node, 0)?;
        let x = self.centred(node, &x, 2)?;
        let w = self.constant(node, 3)?;
        let weights = self.centred_weights(node, &w, 5)?;
        let (sx, sw, sy) = (self.constant(node, 1)?, self.constant(node, 4)?, self.constant(node, scale)?);
        let z = self.constant(node, zero)?;
        let mut y = if node.op == "QLinearConv" {
            self.correlation(node, &x, &weights)?
        } else {
            self.product(node, &x, &weights, &w.array)?
        };
        let channels = match node.op.as_str() {
            "QLinearConv" => y.shape[1],
            _ => y.len(),
        };
        let each = y.len() / channels;
        if let Some(n) = bias
            && let Some(bias) = self.optional(node, n)?
        {
            if bias.array.len() != channels {
                return Err(node.wrong(
                    "E0153",
                    "has a bias of another length than its channels",
                    "correct the shapes",
                ));
            }
            let linear = self.net.layers[y.layer].linear.as_mut().expect("it was just made");
            linear.bias.iter_mut().zip(&bias.array.data).for_each(|(b, v)| *b += *v as i64);
        }
        let count = sw.array.len();
        if count != 1 && count != channels || first(&sx) <= 0.0 || first(&sy) <= 0.0 {
            return Err(node.wrong(
                "E0153",
                "has scales that do not fit",
                "use one scale, or one for each channel",
            ));
        }
        let alpha = node.float("alpha", 1.0)?;
        let factor = |c: usize| {
            let both = single(single(first(&sx) * pick(&sw.array.data, c)) * alpha);
            single(both / first(&sy))
        };
        let factors = (0..y.len()).map(|at| factor(at / each)).collect();
        y.steps.push(Step::Mul(shortened(factors)));
        let ends = z.array.dtype.ends().ok_or_else(|| {
            node.wrong("E0153", "quantizes to a type that is not read", "use int8 or uint8")
        })?;
        if first(&z).abs() > 1e12 {
            return Err(node.wrong("E0153", "has a zero point beyond its type", "use one of its type"));
        }
        let quantizer = Quantizer::of_integers(first(&z), z.array.dtype, ends);
        self.round(&format!("{}.quant", node.name), node, &y, &quantizer, true)
    }
}
