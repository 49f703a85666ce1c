//! Operators on real numbers, rounded to binary32 after each as a framework does: constants are folded with it, and networks
//! executed on calibration samples.

use nervure_core::Diagnostic;

use super::rounding::Quantizer;
use super::shape::{broadcast, moved, moves, spread};
use super::window::Window;
use crate::onnx::{Array, Dtype, Node, quote};

/// Largest number of elements that an operator may make.
const MAX_ELEMENTS: usize = 1 << 26;

/// `v` in binary32.
pub(crate) fn single(v: f64) -> f64 {
    f64::from(v as f32)
}

/// `v` rounded as `dtype` has it.
fn rounded(dtype: Dtype, v: f64) -> f64 {
    match dtype {
        Dtype::Float => single(v),
        Dtype::Double => v,
        Dtype::Int { .. } => v.trunc(),
    }
}

/// The only output of `node`. Errors: `E0152` for an operator that is not known, `E0153` for arguments that do not fit.
pub(crate) fn evaluate(node: &Node, inputs: &[Option<&Array>], opset: i64) -> Result<Array, Diagnostic> {
    let first = || {
        let missing = || node.wrong("E0153", "has no input", "export the model again");
        inputs.first().copied().flatten().ok_or_else(missing)
    };
    let op = node.op.as_str();
    if moves(op) {
        let x = first()?;
        let new = moved(node, &x.shape, &inputs[1..])?;
        return Ok(Array::new(&new.shape, new.from.iter().map(|n| x.data[*n]).collect(), x.dtype));
    }
    let y = match op {
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Min" | "Max" => two(node, inputs),
        "Shape" => {
            let shape: Vec<i64> = first()?.shape.iter().map(|n| *n as i64).collect();
            Ok(Array::indices(&shape))
        }
        "Concat" => concat(node, inputs),
        "Cast" => {
            let to = Dtype::from_number(node.int("to", 1)? as i32);
            let help = "use float32 or an integer type";
            let to = to.ok_or_else(|| node.wrong("E0153", "casts to a type that is not read", help))?;
            let x = first()?;
            Ok(Array {
                dtype: to,
                shape: x.shape.clone(),
                data: x.data.iter().map(|v| rounded(to, *v)).collect(),
            })
        }
        "ConstantOfShape" => Err(unknown(node)),
        "MatMul" | "Gemm" => matrix(node, inputs),
        "Conv" => conv(node, inputs),
        "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" => pool(node, first()?),
        "BatchNormalization" => {
            let x = first()?;
            let (a, b) = batch_norm(node, &inputs[1..])?;
            channels(node, x, &a, &b)
        }
        "Softmax" | "LogSoftmax" => Ok(softmax(op, first()?)),
        "Quant" | "BipolarQuant" | "Trunc" | "QuantizeLinear" | "DequantizeLinear" | "IntQuant" => {
            let x = first()?;
            let constants: Option<Vec<&Array>> = inputs[1..].iter().copied().collect();
            let constants = constants.unwrap_or_else(|| inputs[1..].iter().copied().flatten().collect());
            let quantizer = Quantizer::new(node, &x.shape, &constants, opset)?;
            if op == "DequantizeLinear" {
                let data = x.data.iter().enumerate().map(|(at, v)| quantizer.dequantized(at, *v)).collect();
                return Ok(Array::new(&x.shape, data, Dtype::Float));
            }
            Ok(Array::new(&x.shape, quantizer.real(&x.data), quantizer.dtype()))
        }
        _ => {
            let x = first()?;
            let step = one(node, inputs)?.ok_or_else(|| unknown(node))?;
            Ok(Array {
                dtype: x.dtype,
                shape: x.shape.clone(),
                data: x.data.iter().map(|v| rounded(x.dtype, step(*v))).collect(),
            })
        }
    }?;
    if let Some(v) = y.data.iter().find(|v| !v.is_finite()) {
        return Err(node.wrong("E0153", format!("makes {v}"), "keep the numbers of the model finite"));
    }
    Ok(y)
}

pub(crate) fn unknown(node: &Node) -> Diagnostic {
    let domain =
        if node.domain.is_empty() { String::new() } else { format!(" of domain {}", quote(&node.domain)) };
    let help = "known are MatMul, Gemm, Conv, their quantized forms, Quant, BipolarQuant, Trunc, QuantizeLinear, \
                DequantizeLinear, BatchNormalization, arithmetic, Relu and its like, pooling, and changes of shape";
    node.wrong("E0152", format!("has an operator{domain} that is not known"), help)
}

/// A function of one element, where `node` is one.
pub(crate) fn one(
    node: &Node,
    inputs: &[Option<&Array>],
) -> Result<Option<Box<dyn Fn(f64) -> f64>>, Diagnostic> {
    let constant = |n: usize| inputs.get(n).copied().flatten().and_then(|a| a.data.first().copied());
    Ok(Some(match node.op.as_str() {
        "Relu" => Box::new(|v: f64| v.max(0.0)),
        "Clip" => {
            let lo = constant(1).map_or_else(|| node.float("min", f64::from(f32::MIN)), Ok)?;
            let hi = constant(2).map_or_else(|| node.float("max", f64::from(f32::MAX)), Ok)?;
            if lo > hi {
                return Err(node.wrong("E0153", "clips to nothing", "correct its limits"));
            }
            Box::new(move |v: f64| v.clamp(lo, hi))
        }
        "Neg" => Box::new(|v: f64| -v),
        "Sqrt" => Box::new(f64::sqrt),
        "Reciprocal" => Box::new(|v: f64| 1.0 / v),
        "Exp" => Box::new(f64::exp),
        "Abs" => Box::new(f64::abs),
        "Floor" => Box::new(f64::floor),
        "Ceil" => Box::new(f64::ceil),
        "Round" => Box::new(f64::round_ties_even),
        "Sign" => Box::new(|v: f64| if v.abs() > 0.0 { v.signum() } else { 0.0 }),
        "Sigmoid" => Box::new(|v: f64| 1.0 / (1.0 + (-v).exp())),
        "Tanh" => Box::new(f64::tanh),
        "LeakyRelu" => {
            let alpha = node.float("alpha", f64::from(0.01f32))?;
            Box::new(move |v: f64| if v < 0.0 { v * alpha } else { v })
        }
        "HardSigmoid" => {
            let (a, b) = (node.float("alpha", f64::from(0.2f32))?, node.float("beta", 0.5)?);
            Box::new(move |v: f64| single(single(v * a) + b).clamp(0.0, 1.0))
        }
        _ => return Ok(None),
    }))
}

fn two(node: &Node, inputs: &[Option<&Array>]) -> Result<Array, Diagnostic> {
    let (Some(a), Some(b)) = (inputs.first().copied().flatten(), inputs.get(1).copied().flatten()) else {
        return Err(node.wrong("E0153", "has fewer than two inputs", "export the model again"));
    };
    let apply = |x: f64, y: f64| match node.op.as_str() {
        "Add" => x + y,
        "Sub" => x - y,
        "Mul" => x * y,
        "Div" => x / y,
        "Pow" => x.powf(y),
        "Min" => x.min(y),
        _ => x.max(y),
    };
    let shape = broadcast(&a.shape, &b.shape).filter(|s| s.iter().product::<usize>() <= MAX_ELEMENTS);
    let Some(shape) = shape else {
        let message = format!("combines shapes {:?} and {:?}", a.shape, b.shape);
        return Err(node.wrong("E0153", message, "correct the shapes, and export again"));
    };
    let dtype = if a.dtype.is_integer() { b.dtype } else { a.dtype };
    let (x, y) = (spread(&a.data, &a.shape, &shape), spread(&b.data, &b.shape, &shape));
    let data = x.iter().zip(&y).map(|(x, y)| rounded(dtype, apply(*x, *y))).collect();
    Ok(Array::new(&shape, data, dtype))
}

fn concat(node: &Node, inputs: &[Option<&Array>]) -> Result<Array, Diagnostic> {
    let all: Vec<&Array> = inputs.iter().copied().flatten().collect();
    let misfit =
        || node.wrong("E0153", "joins tensors that do not fit", "correct the shapes, and export again");
    let first = all.first().ok_or_else(misfit)?;
    let at = super::shape::axis(node, node.int("axis", 0)?, first.shape.len())?;
    let fits = |a: &&Array| {
        a.shape.len() == first.shape.len()
            && (0..a.shape.len()).all(|n| n == at || a.shape[n] == first.shape[n])
    };
    if !all.iter().all(fits) {
        return Err(misfit());
    }
    let mut shape = first.shape.clone();
    shape[at] = all.iter().map(|a| a.shape[at]).sum();
    let outer: usize = shape[..at].iter().product();
    let mut data = Vec::new();
    for o in 0..outer {
        for a in &all {
            let part = a.data.len() / outer.max(1);
            data.extend(&a.data[o * part..][..part]);
        }
    }
    Ok(Array::new(&shape, data, first.dtype))
}

/// Weights `[out, in]` and what is added, of `MatMul` and `Gemm` with a constant on the right.
pub(crate) fn weights_of(node: &Node, w: &Array) -> Result<(usize, usize, Vec<usize>), Diagnostic> {
    let transposed = matches!(node.op.as_str(), "Gemm" | "QGemm") && node.int("transB", 0)? != 0;
    let [a, b] = w.shape[..] else {
        let message = format!("has weights of shape {:?}", w.shape);
        return Err(node.wrong("E0153", message, "use a matrix"));
    };
    let (inputs, outputs) = if transposed { (b, a) } else { (a, b) };
    let place = |n: usize| {
        let (o, i) = (n / inputs, n % inputs);
        if transposed { n } else { i * outputs + o }
    };
    if w.is_empty() {
        return Err(node.wrong("E0153", "has weights without elements", "export the model again"));
    }
    Ok((inputs, outputs, (0..inputs * outputs).map(place).collect()))
}

fn matrix(node: &Node, inputs: &[Option<&Array>]) -> Result<Array, Diagnostic> {
    let (Some(x), Some(w)) = (inputs.first().copied().flatten(), inputs.get(1).copied().flatten()) else {
        return Err(node.wrong("E0153", "has fewer than two inputs", "export the model again"));
    };
    let (ins, outs, places) = weights_of(node, w)?;
    let rows = x.len() / ins.max(1);
    if x.shape.last() != Some(&ins) || rows * ins != x.len() || node.int("transA", 0)? != 0 {
        let message = format!("multiplies shapes {:?} and {:?}", x.shape, w.shape);
        return Err(node.wrong("E0153", message, "correct the shapes, and export again"));
    }
    if rows.saturating_mul(w.len()) > 1 << 28 {
        return Err(node.wrong("E0153", "has more than 2^28 products", "use a smaller matrix"));
    }
    let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
    let mut shape = x.shape.clone();
    *shape.last_mut().expect("there is an axis") = outs;
    let c = inputs.get(2).copied().flatten();
    let added = match c {
        Some(c) if broadcast(&c.shape, &shape).as_ref() == Some(&shape) => spread(&c.data, &c.shape, &shape),
        None => vec![0.0; rows * outs],
        Some(c) => {
            let message = format!("adds shape {:?} to {shape:?}", c.shape);
            return Err(node.wrong("E0153", message, "correct the shapes, and export again"));
        }
    };
    let mut data = Vec::with_capacity(rows * outs);
    for r in 0..rows {
        for o in 0..outs {
            let sum: f64 = (0..ins).map(|i| x.data[r * ins + i] * w.data[places[o * ins + i]]).sum();
            data.push(single(alpha * sum + beta * added[r * outs + o]));
        }
    }
    Ok(Array::new(&shape, data, x.dtype))
}

fn conv(node: &Node, inputs: &[Option<&Array>]) -> Result<Array, Diagnostic> {
    let (Some(x), Some(w)) = (inputs.first().copied().flatten(), inputs.get(1).copied().flatten()) else {
        return Err(node.wrong("E0153", "has fewer than two inputs", "export the model again"));
    };
    let (window, groups) = conv_window(node, &x.shape, &w.shape)?;
    let (outs, fan) = (w.shape[0], w.shape[1]);
    let area: usize = window.input.iter().product();
    let taps: usize = window.kernel.iter().product();
    let bias = inputs.get(2).copied().flatten();
    let mut data = Vec::with_capacity(outs * window.count());
    for o in 0..outs {
        let first = o / (outs / groups) * fan;
        for at in 0..window.count() {
            let mut sum = bias.map_or(0.0, |b| b.data[o % b.len().max(1)]);
            for (tap, place) in window.taps(at) {
                for c in 0..fan {
                    sum += w.data[(o * fan + c) * taps + tap] * x.data[(first + c) * area + place];
                }
            }
            data.push(single(sum));
        }
    }
    Ok(Array::new(&[&[1, outs], &window.output[..]].concat(), data, x.dtype))
}

/// Windows and groups of a convolution. Errors: `E0153` where shapes do not fit.
pub(crate) fn conv_window(node: &Node, x: &[usize], w: &[usize]) -> Result<(Window, usize), Diagnostic> {
    let groups = usize::try_from(node.int("group", 1)?).unwrap_or(0);
    let fits = x.len() == w.len()
        && w.len() >= 3
        && groups > 0
        && x[0] == 1
        && w[0] > 0
        && w[0] % groups == 0
        && w[1].checked_mul(groups) == Some(x[1]);
    if !fits {
        let message = format!("convolves shape {x:?} with weights {w:?}");
        return Err(node.wrong("E0153", message, "correct the shapes, and export again"));
    }
    let window = Window::of(node, x, &w[2..])?;
    if window.count().saturating_mul(w.iter().product()) > 1 << 28 {
        return Err(node.wrong("E0153", "has more than 2^28 products", "use a smaller map"));
    }
    Ok((window, groups))
}

/// Windows of a pooling. Errors: `E0153`.
pub(crate) fn pool_window(node: &Node, x: &[usize]) -> Result<Window, Diagnostic> {
    if node.op.starts_with("Global") {
        return Window::of(node, x, x.get(2..).unwrap_or(&[]));
    }
    let kernel = node.ints("kernel_shape")?.unwrap_or_default();
    let kernel: Option<Vec<usize>> =
        kernel.iter().map(|k| usize::try_from(*k).ok().filter(|k| *k < 1 << 20)).collect();
    let kernel = kernel.ok_or_else(|| node.wrong("E0153", "has a negative window", "correct it"))?;
    Window::of(node, x, &kernel)
}

fn pool(node: &Node, x: &Array) -> Result<Array, Diagnostic> {
    let window = pool_window(node, &x.shape)?;
    let area: usize = window.input.iter().product();
    let padded = node.int("count_include_pad", 0)? != 0;
    let mut data = Vec::new();
    for c in 0..x.shape[1] {
        for at in 0..window.count() {
            let seen: Vec<f64> = window.taps(at).map(|(_, p)| x.data[c * area + p]).collect();
            let count = if padded { window.kernel.iter().product() } else { seen.len() };
            data.push(if node.op.contains("Max") {
                seen.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b))
            } else {
                single(seen.iter().sum::<f64>() / count as f64)
            });
        }
    }
    Ok(Array::new(&[&[1, x.shape[1]], &window.output[..]].concat(), data, x.dtype))
}

/// Factor and offset of each channel, rounded as a framework rounds them. Errors: `E0153`.
pub(crate) fn batch_norm(
    node: &Node,
    constants: &[Option<&Array>],
) -> Result<(Vec<f64>, Vec<f64>), Diagnostic> {
    let misfit =
        || node.wrong("E0153", "has no constant scale, offset, mean and variance", "export for inference");
    let list: Vec<&Array> = constants.iter().copied().flatten().collect();
    let [scale, offset, mean, variance] = list[..] else { return Err(misfit()) };
    let n = scale.len();
    if n == 0 || [offset, mean, variance].iter().any(|a| a.len() != n) {
        return Err(misfit());
    }
    let epsilon = node.float("epsilon", f64::from(1e-5f32))?;
    let factor = |c: usize| single(scale.data[c] / single(single(variance.data[c] + epsilon).sqrt()));
    let factors: Vec<f64> = (0..n).map(factor).collect();
    let offsets = (0..n).map(|c| single(offset.data[c] - single(mean.data[c] * factors[c]))).collect();
    if factors.iter().any(|f| !f.is_finite()) {
        return Err(node.wrong("E0153", "has a variance below zero", "export for inference"));
    }
    Ok((factors, offsets))
}

fn channels(node: &Node, x: &Array, factor: &[f64], offset: &[f64]) -> Result<Array, Diagnostic> {
    let n = x.shape.get(1).copied().unwrap_or(0);
    if n != factor.len() {
        let message = format!("has {} channels for shape {:?}", factor.len(), x.shape);
        return Err(node.wrong("E0153", message, "correct the shapes, and export again"));
    }
    let area: usize = x.shape[2..].iter().product();
    let each = |(at, v): (usize, &f64)| {
        let c = at / area.max(1) % n;
        single(single(v * factor[c]) + offset[c])
    };
    Ok(Array::new(&x.shape, x.data.iter().enumerate().map(each).collect(), x.dtype))
}

/// Over all elements: there is one sample, and its classes.
fn softmax(op: &str, x: &Array) -> Array {
    let most = x.data.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
    let sum: f64 = x.data.iter().map(|v| (v - most).exp()).sum();
    let each = |v: &f64| if op == "Softmax" { (v - most).exp() / sum } else { v - most - sum.ln() };
    Array::new(&x.shape, x.data.iter().map(each).collect(), x.dtype)
}
