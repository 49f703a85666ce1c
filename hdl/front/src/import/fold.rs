//! Linear nodes one behind the other, folded into one synapse.

use nervure_core::Diagnostic;

use super::model::{Conv, Synapse};
use super::translate::unsupported;
use crate::nir::{Array, Node, Padding, Primitive};

/// Elements of a synapse's matrix, at most.
const MAX_WEIGHTS: usize = 1 << 26;

/// A chain under construction.
#[derive(Debug)]
pub(crate) struct Chain {
    shape: Vec<usize>,
    /// Factors per element of what comes in; one element for all.
    scale: Vec<f64>,
    synapse: Option<Synapse>,
    untouched: bool,
}

/// A finished chain.
#[derive(Debug)]
pub(crate) struct Fold {
    /// Extents of what comes out.
    pub(crate) shape: Vec<usize>,
    scale: Vec<f64>,
    synapse: Option<Synapse>,
    untouched: bool,
}

impl Chain {
    /// A chain that reads `shape`, whose integers stand for `scale` each.
    pub(crate) fn new(shape: &[usize], scale: f64) -> Self {
        Self { shape: shape.to_vec(), scale: vec![scale], synapse: None, untouched: true }
    }

    fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Adds a node; without `offset` its bias is left out. Errors: `E0131`, `E0132` for what cannot be folded.
    pub(crate) fn push(&mut self, node: &Node, offset: bool) -> Result<(), Diagnostic> {
        let zero = |bias: &Array| Array::new(&bias.shape, vec![0.0; bias.len()]);
        let name = &node.name;
        if let Primitive::Flatten { start_dim, end_dim, .. } = &node.primitive {
            return self.flatten(name, *start_dim, *end_dim);
        }
        if let Primitive::Delay { .. } = &node.primitive {
            // Only a delay of zero comes here.
            return Ok(());
        }
        self.untouched = false;
        match &node.primitive {
            Primitive::Scale { scale } => self.rescale(name, scale),
            Primitive::Affine { weight, bias } => self.dense(name, weight, offset.then_some(bias)),
            Primitive::Linear { weight } => self.dense(name, weight, None),
            Primitive::Conv1d { weight, stride, padding, dilation, groups, bias, .. } => {
                if let [c, l] = self.shape[..] {
                    self.shape = vec![c, 1, l];
                }
                let [o, i, k] = weight.shape[..] else {
                    return Err(unsupported(
                        name,
                        "the weights of a Conv1d have three axes",
                        "check the file",
                    ));
                };
                let weight = Array { shape: vec![o, i, 1, k], data: weight.data.clone() };
                let padding = match padding {
                    Padding::Explicit([p]) => Padding::Explicit([0, *p]),
                    Padding::Same => Padding::Same,
                    Padding::Valid => Padding::Valid,
                };
                let bias = if offset { bias.clone() } else { zero(bias) };
                self.conv(name, &weight, [1, *stride], padding, [1, *dilation], *groups, &bias)
            }
            Primitive::Conv2d { weight, stride, padding, dilation, groups, bias, .. } => {
                let bias = if offset { bias.clone() } else { zero(bias) };
                self.conv(name, weight, *stride, *padding, *dilation, *groups, &bias)
            }
            other => unreachable!("{} is not linear", other.type_name()),
        }
    }

    fn flatten(&mut self, name: &str, start: i64, end: i64) -> Result<(), Diagnostic> {
        let axes = self.shape.len() as i64;
        let place = |d: i64| if d < 0 { d + axes } else { d };
        let (start, end) = (place(start), place(end));
        if start < 0 || end < start || end >= axes {
            let message = format!("axes {start} to {end} cannot be flattened in shape {:?}", self.shape);
            return Err(unsupported(name, message, "check `start_dim` and `end_dim`"));
        }
        let (start, end) = (start as usize, end as usize);
        let joined = self.shape[start..=end].iter().product();
        self.shape.splice(start..=end, [joined]);
        Ok(())
    }

    fn rescale(&mut self, name: &str, by: &Array) -> Result<(), Diagnostic> {
        let n = self.len();
        if by.len() != 1 && by.len() != n {
            return Err(mismatch(name, "scale", &by.shape, &self.shape));
        }
        match &mut self.synapse {
            None => {
                let old = &self.scale;
                let pick = |list: &[f64], i: usize| if list.len() == 1 { list[0] } else { list[i] };
                let count = if by.len() == 1 && old.len() == 1 { 1 } else { n };
                self.scale = (0..count).map(|i| pick(old, i) * pick(&by.data, i)).collect();
                Ok(())
            }
            Some(synapse) => scale_rows(name, synapse, &by.data),
        }
    }

    fn dense(&mut self, name: &str, weight: &Array, bias: Option<&Array>) -> Result<(), Diagnostic> {
        let [outputs, inputs] = weight.shape[..] else {
            let message = format!("weights of shape {:?}, expected [out, in]", weight.shape);
            return Err(unsupported(name, message, "use one matrix for each node"));
        };
        if inputs != self.len() {
            return Err(mismatch(name, "weight", &weight.shape, &self.shape));
        }
        let mut w = weight.data.clone();
        let mut b = bias.map_or_else(|| vec![0.0; outputs], |b| b.data.clone());
        b.resize(outputs, b[0]);
        match self.synapse.take() {
            None => self.scale_columns(&mut w, inputs),
            Some(Synapse::Dense { weight: first, bias: offset, inputs: before, .. }) => {
                if outputs * before > MAX_WEIGHTS {
                    return Err(unsupported(
                        name,
                        "the product of the matrices is too large",
                        "put a neuron in between",
                    ));
                }
                let mut product = vec![0.0; outputs * before];
                for o in 0..outputs {
                    for m in 0..inputs {
                        let factor = w[o * inputs + m];
                        b[o] += factor * offset[m];
                        for (p, x) in product[o * before..][..before].iter_mut().zip(&first[m * before..]) {
                            *p += factor * x;
                        }
                    }
                }
                self.synapse = Some(Synapse::Dense { weight: product, bias: b, inputs: before, outputs });
                self.shape = vec![outputs];
                return Ok(());
            }
            Some(Synapse::Conv(_)) => {
                let message =
                    format!("`{}` follows a convolution without a neuron in between", name.escape_debug());
                return Err(unsupported(name, message, "put a neuron between them"));
            }
        }
        self.synapse = Some(Synapse::Dense { weight: w, bias: b, inputs, outputs });
        self.shape = vec![outputs];
        Ok(())
    }

    /// Multiplies by what the input stands for; afterwards it is one.
    fn scale_columns(&mut self, w: &mut [f64], columns: usize) {
        let scale = std::mem::replace(&mut self.scale, vec![1.0]);
        for row in w.chunks_exact_mut(columns) {
            row.iter_mut().enumerate().for_each(|(i, w)| *w *= scale[if scale.len() == 1 { 0 } else { i }]);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a convolution has as many")]
    fn conv(
        &mut self,
        name: &str,
        weight: &Array,
        stride: [usize; 2],
        padding: Padding<2>,
        dilation: [usize; 2],
        groups: usize,
        bias: &Array,
    ) -> Result<(), Diagnostic> {
        let ([c, h, w], [o, i, kh, kw]) = (&self.shape[..], &weight.shape[..]) else {
            return Err(mismatch(name, "weight", &weight.shape, &self.shape));
        };
        let ([c, h, w], [o, i, kh, kw]) = ([*c, *h, *w], [*o, *i, *kh, *kw]);
        if i * groups != c || o % groups != 0 {
            return Err(mismatch(name, "weight", &weight.shape, &self.shape));
        }
        if self.synapse.is_some() {
            let message =
                format!("`{}` follows another linear node without a neuron in between", name.escape_debug());
            return Err(unsupported(name, message, "put a neuron between them, or merge them"));
        }
        let padding = match padding {
            Padding::Explicit(p) => p,
            Padding::Valid => [0, 0],
            Padding::Same => {
                let total = [dilation[0] * (kh - 1), dilation[1] * (kw - 1)];
                if stride != [1, 1] || total.iter().any(|t| t % 2 == 1) {
                    let message = "padding `same` needs stride 1 and an odd window";
                    return Err(unsupported(name, message, "write the padding as numbers"));
                }
                [total[0] / 2, total[1] / 2]
            }
        };
        let extent = |n: usize, k: usize, a: usize| {
            let window = dilation[a].checked_mul(k - 1)?.checked_add(1)?;
            let all = n.checked_add(padding[a].checked_mul(2)?)?;
            Some(all.checked_sub(window)? / stride[a] + 1)
        };
        let (Some(oh), Some(ow)) = (extent(h, kh, 0), extent(w, kw, 1)) else {
            return Err(mismatch(name, "weight", &weight.shape, &self.shape));
        };
        let scale = std::mem::replace(&mut self.scale, vec![1.0]);
        let mut data = weight.data.clone();
        let each = |ch: usize| &scale[if scale.len() == 1 { 0..1 } else { ch * h * w..(ch + 1) * h * w }];
        for (n, v) in data.iter_mut().enumerate() {
            let (out, within) = (n / (i * kh * kw), n / (kh * kw) % i);
            let channel = out / (o / groups) * i + within;
            let [first, rest @ ..] = each(channel) else { unreachable!("a map is not empty") };
            if rest.iter().any(|s| s.to_bits() != first.to_bits()) {
                let message = "a scale in front of a convolution differs within a channel";
                return Err(unsupported(name, message, "use one scale for each channel"));
            }
            *v *= first;
        }
        let mut bias = bias.data.clone();
        bias.resize(o, bias[0]);
        let (input, output, kernel) = ([c, h, w], [o, oh, ow], [kh, kw]);
        self.synapse = Some(Synapse::Conv(Conv {
            weight: data,
            bias,
            input,
            output,
            kernel,
            stride,
            padding,
            dilation,
            groups,
        }));
        self.shape = vec![o, oh, ow];
        Ok(())
    }

    pub(crate) fn finish(self) -> Fold {
        Fold { shape: self.shape, scale: self.scale, synapse: self.synapse, untouched: self.untouched }
    }
}

impl Fold {
    /// Whether nothing but shapes changed.
    pub(crate) fn is_identity(&self) -> bool {
        self.untouched
    }

    /// The synapse; one for each element where there was no linear node.
    pub(crate) fn synapse(self, name: &str) -> Result<Synapse, Diagnostic> {
        if let Some(synapse) = self.synapse {
            return Ok(synapse);
        }
        let n: usize = self.shape.iter().product();
        let factor = |i: usize| self.scale[if self.scale.len() == 1 { 0 } else { i }];
        if let [c, h, w] = self.shape[..] {
            let first = |ch: usize| factor(ch * h * w);
            let even = (0..n).all(|i| factor(i).to_bits() == first(i / (h * w)).to_bits());
            if even {
                return Ok(Synapse::Conv(Conv {
                    weight: (0..c).map(first).collect(),
                    bias: vec![0.0; c],
                    input: [c, h, w],
                    output: [c, h, w],
                    kernel: [1, 1],
                    stride: [1, 1],
                    padding: [0, 0],
                    dilation: [1, 1],
                    groups: c,
                }));
            }
        }
        if n * n > MAX_WEIGHTS {
            let message = format!("{n} neurons without synapses are too many for a diagonal matrix");
            return Err(unsupported(name, message, "put a convolution or a smaller layer before them"));
        }
        let weight = (0..n * n).map(|at| if at / n == at % n { factor(at % n) } else { 0.0 }).collect();
        Ok(Synapse::Dense { weight, bias: vec![0.0; n], inputs: n, outputs: n })
    }

    /// Weight and bias of a recurrent branch.
    pub(crate) fn dense(self, name: &str) -> Result<(Vec<f64>, Vec<f64>), Diagnostic> {
        match self.synapse(name)? {
            Synapse::Dense { weight, bias, inputs, outputs } if inputs == outputs => Ok((weight, bias)),
            _ => Err(unsupported(
                name,
                "a recurrent branch must be a square matrix",
                "use a dense recurrent layer",
            )),
        }
    }
}

/// Adds the synapses of a second way from the same source. Errors: `E0131` where their shapes differ.
pub(crate) fn add(name: &str, sum: &mut Synapse, other: &Synapse) -> Result<(), Diagnostic> {
    let geometry = |s: &Synapse| match s {
        Synapse::Dense { inputs, outputs, .. } => vec![*inputs, *outputs],
        Synapse::Conv(c) => {
            let pairs = [c.kernel, c.stride, c.padding, c.dilation];
            [&c.input[..], &c.output[..], &[c.groups]].concat().into_iter().chain(pairs.concat()).collect()
        }
    };
    if geometry(sum) != geometry(other) {
        let message = format!("two ways into `{}` from one layer have different shapes", name.escape_debug());
        return Err(unsupported(name, message, "give both the same window, stride, padding and dilation"));
    }
    sum.weights_mut().iter_mut().zip(other.weights()).for_each(|(a, b)| *a += b);
    sum.bias_mut().iter_mut().zip(other.bias()).for_each(|(a, b)| *a += b);
    Ok(())
}

/// Multiplies each output of `synapse` by its factor (one element for all).
///
/// Errors: `E0132` where factors differ within a channel of a convolution.
pub(crate) fn scale_rows(name: &str, synapse: &mut Synapse, by: &[f64]) -> Result<(), Diagnostic> {
    let rows = synapse.bias().len();
    let factors: Vec<f64> = if by.len() == 1 {
        vec![by[0]; rows]
    } else {
        let each = by.len() / rows;
        let first: Vec<f64> = by.iter().step_by(each).copied().collect();
        if by.iter().enumerate().any(|(i, v)| v.to_bits() != first[i / each].to_bits()) {
            return Err(Diagnostic::new(
                "E0132",
                format!("the gains of `{}` differ within a channel", name.escape_debug()),
                "use one gain for each channel of a convolution",
            )
            .at(name)
            .at("nodes"));
        }
        first
    };
    let columns = synapse.weights().len() / rows;
    for (row, f) in synapse.weights_mut().chunks_exact_mut(columns).zip(&factors) {
        row.iter_mut().for_each(|w| *w *= f);
    }
    synapse.bias_mut().iter_mut().zip(&factors).for_each(|(b, f)| *b *= f);
    Ok(())
}

fn mismatch(name: &str, field: &str, found: &[usize], reads: &[usize]) -> Diagnostic {
    unsupported(
        name,
        format!("`{field}` has shape {found:?}, and the node reads shape {reads:?}"),
        "check the shapes of this node and of those before it",
    )
}
