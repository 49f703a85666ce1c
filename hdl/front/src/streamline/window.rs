//! Where the windows of convolutions and poolings lie.

use nervure_core::Diagnostic;
use serde_json::{Map, Value, json};

use crate::onnx::Node;

/// Largest extent that is taken from a file.
const LARGEST: i64 = 1 << 20;

/// Windows over the axes behind batch and channels: one or two of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    /// Extents of the input.
    pub(crate) input: Vec<usize>,
    pub(crate) kernel: Vec<usize>,
    pub(crate) stride: Vec<usize>,
    pub(crate) dilation: Vec<usize>,
    /// Before and behind.
    pub(crate) padding: Vec<[usize; 2]>,
    /// Number of windows.
    pub(crate) output: Vec<usize>,
}

impl Window {
    /// The windows of `node` over an input of shape `[batch, channels, ...]`. Errors: `E0153`.
    pub(crate) fn of(node: &Node, shape: &[usize], kernel: &[usize]) -> Result<Self, Diagnostic> {
        let axes = kernel.len();
        if !(1..=2).contains(&axes) || shape.len() != axes + 2 {
            let message = format!("has a window of {axes} axes over a tensor of shape {shape:?}");
            return Err(node.wrong(
                "E0153",
                message,
                "use maps of one or two axes behind batch and channels",
            ));
        }
        let list = |name: &str, count: usize, otherwise: i64, least: i64| {
            let list = node.ints(name)?.unwrap_or_else(|| vec![otherwise; count]);
            if list.len() == count && list.iter().all(|v| (least..LARGEST).contains(v)) {
                return Ok(list.into_iter().map(|v| v as usize).collect::<Vec<usize>>());
            }
            let message = format!("has `{name}` that are not {count} integers from {least}");
            Err(node.wrong("E0153", message, "correct the attribute, and export again"))
        };
        let (stride, dilation) = (list("strides", axes, 1, 1)?, list("dilations", axes, 1, 1)?);
        let pads = list("pads", 2 * axes, 0, 0)?;
        if node.int("ceil_mode", 0)? != 0 {
            return Err(node.wrong("E0153", "rounds the number of windows up", "use `ceil_mode` 0"));
        }
        let input = shape[2..].to_vec();
        let mut padding = Vec::new();
        let mut output = Vec::new();
        for a in 0..axes {
            let window = dilation[a].saturating_mul(kernel[a].max(1) - 1).saturating_add(1);
            let pair = match node.text("auto_pad", "NOTSET")?.as_str() {
                "NOTSET" => [pads[a], pads[a + axes]],
                "VALID" => [0, 0],
                same @ ("SAME_UPPER" | "SAME_LOWER") => {
                    let all = (input[a].div_ceil(stride[a]).max(1) - 1) * stride[a];
                    let all = all.saturating_add(window);
                    let all = all.saturating_sub(input[a]);
                    if same == "SAME_UPPER" { [all / 2, all - all / 2] } else { [all - all / 2, all / 2] }
                }
                other => {
                    let message = format!("has `auto_pad` {}", crate::onnx::quote(other));
                    return Err(node.wrong("E0153", message, "use NOTSET, VALID, SAME_UPPER or SAME_LOWER"));
                }
            };
            let whole = input[a] + pair[0] + pair[1];
            if kernel[a] == 0 || window > whole {
                let message = format!("has a window of {window} over an extent of {whole}");
                return Err(node.wrong("E0153", message, "use a smaller window"));
            }
            output.push((whole - window) / stride[a] + 1);
            padding.push(pair);
        }
        let windows = output.iter().try_fold(1usize, |n, o| n.checked_mul(*o)).filter(|n| *n <= 1 << 20);
        if windows.is_none() {
            return Err(node.wrong("E0153", "has more than 2^20 windows", "use a smaller map"));
        }
        Ok(Self { input, kernel: kernel.to_vec(), stride, dilation, padding, output })
    }

    /// Positions of the input (of one channel) under window `at`, each with its tap; what lies in the padding is left out.
    pub(crate) fn taps(&self, at: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let axes = self.kernel.len();
        (0..self.kernel.iter().product()).filter_map(move |tap| {
            let (mut rest, mut t, mut place, mut extent) = (at, tap, 0, 1);
            for a in (0..axes).rev() {
                let (o, k) = (rest % self.output[a], t % self.kernel[a]);
                (rest, t) = (rest / self.output[a], t / self.kernel[a]);
                let x = (o * self.stride[a] + k * self.dilation[a]).checked_sub(self.padding[a][0])?;
                if x >= self.input[a] {
                    return None;
                }
                place += x * extent;
                extent *= self.input[a];
            }
            Some((tap, place))
        })
    }

    /// How the windows lie, as fields of a layer; what is usual is left out.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        for (field, list) in [("stride", &self.stride), ("dilation", &self.dilation)] {
            if list.iter().any(|v| *v != 1) {
                fields.insert(field.into(), json!(list));
            }
        }
        if self.padding.iter().flatten().any(|p| *p > 0) {
            fields.insert("padding".into(), json!(self.padding));
        }
        fields
    }

    /// Windows in all.
    pub(crate) fn count(&self) -> usize {
        self.output.iter().product()
    }
}
