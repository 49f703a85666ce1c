//! Quantization after training: a model in real numbers becomes one with `Quant` nodes and weights on a grid.
//!
//! Every scale is a power of two: of a tensor of weights the one with the least squared error, of activations the one with
//! the least squared error on the calibration samples. Batch normalization is folded into the weights first.

use std::collections::BTreeMap;

use nervure_core::Diagnostic;

use super::evaluate::{batch_norm, single};
use super::execute::Executor;
use super::shape::moves;
use super::walk::Grid;
use crate::onnx::{Array, Dtype, Graph, Node};

/// Most values of a tensor that its scale is chosen by.
const MAX_VALUES: usize = 1 << 18;

/// Operators that round by themselves.
const ROUNDING: [&str; 11] = [
    "Quant",
    "IntQuant",
    "BipolarQuant",
    "Trunc",
    "QuantizeLinear",
    "DequantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "QGemm",
    "MatMulInteger",
    "ConvInteger",
];

/// Whether nothing in the graph is quantized.
pub(crate) fn in_real_numbers(graph: &Graph) -> bool {
    !graph.nodes.iter().any(|n| ROUNDING.contains(&n.op.as_str()))
}

fn linear(node: &Node) -> bool {
    matches!(node.op.as_str(), "MatMul" | "Gemm" | "Conv")
}

/// Constants computed, dead nodes removed.
pub(crate) fn folded(graph: &Graph) -> Result<Graph, Diagnostic> {
    let executor = Executor::new(graph)?;
    let constants = executor.constants().iter().map(|(n, a)| ((*n).to_owned(), a.clone())).collect();
    let nodes = executor.live().iter().map(|n| graph.nodes[*n].clone()).collect();
    Ok(Graph { nodes, constants, ..graph.clone() })
}

/// Puts factor and offset of each batch normalization into the weights before it, where these have no other reader.
pub(crate) fn fold_batch_norm(graph: &mut Graph) -> Result<(), Diagnostic> {
    let mut n = 0;
    while n < graph.nodes.len() {
        let node = graph.nodes[n].clone();
        if node.op == "BatchNormalization"
            && let Some(at) = producer(graph, &node)
        {
            let constants: Vec<Option<&Array>> =
                node.inputs[1..].iter().map(|i| graph.constants.get(i)).collect();
            let (factor, offset) = batch_norm(&node, &constants)?;
            if absorb(graph, at, &factor, &offset) {
                let node = &mut graph.nodes[n];
                "Identity".clone_into(&mut node.op);
                node.inputs.truncate(1);
            }
        }
        n += 1;
    }
    Ok(())
}

fn source(graph: &Graph, name: &str) -> Option<usize> {
    graph.nodes.iter().position(|n| n.outputs.first().is_some_and(|o| o == name))
}

fn readers(graph: &Graph, name: &str) -> usize {
    let nodes = graph.nodes.iter().flat_map(|n| &n.inputs).filter(|i| *i == name).count();
    nodes + graph.outputs.iter().filter(|o| o.name == name).count()
}

/// The layer with weights that alone feeds `node`.
fn producer(graph: &Graph, node: &Node) -> Option<usize> {
    let mut name = node.input(0)?.to_owned();
    loop {
        if readers(graph, &name) != 1 {
            return None;
        }
        let at = source(graph, &name)?;
        let before = &graph.nodes[at];
        if linear(before) {
            return Some(at);
        }
        let passes = matches!(before.op.as_str(), "Unsqueeze" | "Squeeze" | "Identity");
        let adds = before.op == "Add" && before.inputs.iter().any(|i| graph.constants.contains_key(i));
        if !passes && !adds {
            return None;
        }
        name = before.inputs.iter().find(|i| !graph.constants.contains_key(*i))?.clone();
    }
}

/// Multiplies each output of node `at` by its factor and adds its offset.
fn absorb(graph: &mut Graph, at: usize, factor: &[f64], offset: &[f64]) -> bool {
    let node = graph.nodes[at].clone();
    let Some(weight) = node.input(1).and_then(|w| graph.constants.get(w)) else { return false };
    let outputs = factor.len();
    let (first, transposed) = (node.op == "Conv", node.op == "Gemm" && node.int("transB", 0) == Ok(1));
    let of = |n: usize| if first || transposed { n / (weight.len() / outputs).max(1) } else { n % outputs };
    let extent = if first || transposed { weight.shape.first() } else { weight.shape.last() };
    let usual = node.float("alpha", 1.0) == Ok(1.0) && node.float("beta", 1.0) == Ok(1.0);
    // A bias in an `Add` behind it would have to be scaled, too: found below.
    if extent != Some(&outputs) || !usual || weight.shape.len() < 2 {
        return false;
    }
    let mut scaled = weight.clone();
    scaled.data.iter_mut().enumerate().for_each(|(n, w)| *w = single(*w * factor[of(n)]));
    let output = node.outputs[0].clone();
    let behind = graph.nodes.iter().position(|n| n.op == "Add" && n.inputs.contains(&output));
    let bias_name = match (node.op.as_str(), behind) {
        ("MatMul", None) => return false,
        ("MatMul", Some(add)) => {
            graph.nodes[add].inputs.iter().find(|i| graph.constants.contains_key(*i)).cloned()
        }
        _ => node.input(2).map(str::to_owned),
    };
    let old = match &bias_name {
        Some(name) => match graph.constants.get(name) {
            Some(b) if b.len() == outputs => b.data.clone(),
            _ => return false,
        },
        None => vec![0.0; outputs],
    };
    let bias = (0..outputs).map(|c| single(old[c] * factor[c] + offset[c])).collect();
    let fresh = |graph: &Graph, base: &str| {
        let mut name = format!("{base}.folded");
        while graph.constants.contains_key(&name) || source(graph, &name).is_some() {
            name.push('_');
        }
        name
    };
    let weight_name = fresh(graph, &node.inputs[1]);
    graph.constants.insert(weight_name.clone(), scaled);
    let new_bias = fresh(graph, bias_name.as_deref().unwrap_or(&node.name));
    graph.constants.insert(new_bias.clone(), Array::new(&[outputs], bias, Dtype::Float));
    graph.nodes[at].inputs[1] = weight_name;
    if let ("MatMul", Some(add), Some(old)) = (node.op.as_str(), behind, &bias_name) {
        graph.nodes[add].inputs.iter_mut().filter(|i| *i == old).for_each(|i| i.clone_from(&new_bias));
    } else {
        graph.nodes[at].inputs.resize(3, String::new());
        graph.nodes[at].inputs[2] = new_bias;
    }
    true
}

/// The scale `2^-f` with the least squared error for integers of `bits` bits.
pub(crate) fn best_scale(values: &[f64], bits: u32, signed: bool) -> f64 {
    let most = values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    if most <= 0.0 {
        return 1.0;
    }
    let top = f64::from(if signed { bits - 1 } else { bits }).exp2();
    // The scale that holds every value, and the few below it that clip some.
    let whole = (most / (top - 1.0)).log2().ceil() as i32;
    let error = |e: i32| {
        let s = f64::from(e).exp2();
        let (lo, hi) = (if signed { -top } else { 0.0 }, top - 1.0);
        let each = |v: &f64| (v - (v / s).round_ties_even().clamp(lo, hi) * s).powi(2);
        values.iter().map(each).sum::<f64>()
    };
    let best = (whole - 4..=whole).rev().map(|e| (error(e), e)).reduce(|a, b| if b.0 < a.0 { b } else { a });
    f64::from(best.map_or(whole, |b| b.1).clamp(-40, 40)).exp2()
}

/// What a tensor comes from, behind operators that give nothing but elements of what they read.
fn origin(graph: &Graph, name: &str) -> String {
    let mut name = name.to_owned();
    while let Some(at) = source(graph, &name) {
        let node = &graph.nodes[at];
        if !moves(&node.op) && !matches!(node.op.as_str(), "MaxPool" | "GlobalMaxPool") {
            break;
        }
        let Some(next) = node.input(0) else { break };
        next.clone_into(&mut name);
    }
    name
}

/// The graph with `Quant` nodes in front of every layer with weights, and the weights' integers.
pub(crate) fn quantize(
    graph: &Graph,
    samples: &[Array],
    bits: u32,
    input_scale: f64,
) -> Result<(Graph, BTreeMap<String, Grid>), Diagnostic> {
    let mut new = graph.clone();
    let mut grids = BTreeMap::new();
    let wanted: Vec<usize> = (0..graph.nodes.len()).filter(|n| linear(&graph.nodes[*n])).collect();
    let values = values(graph, samples, &wanted)?;
    let mut scales: BTreeMap<String, f64> = BTreeMap::from([(graph.inputs[0].name.clone(), input_scale)]);
    for &n in &wanted {
        let node = &graph.nodes[n];
        let (Some(x), Some(w)) = (node.input(0), node.input(1)) else { continue };
        let Some(weight) = graph.constants.get(w) else { continue };
        let from = origin(graph, x);
        if let Some(seen) = values.get(&from)
            && !scales.contains_key(&from)
        {
            let signed = seen.iter().any(|v| *v < 0.0);
            let scale = best_scale(seen, bits, signed);
            insert_quant(&mut new, &from, scale, bits, signed);
            scales.insert(from.clone(), scale);
        }
        let scale = best_scale(&weight.data, bits, true);
        let half = f64::from(bits - 1).exp2();
        let integers: Vec<f64> =
            weight.data.iter().map(|v| (v / scale).round_ties_even().clamp(1.0 - half, half - 1.0)).collect();
        let data = integers.iter().map(|v| v * scale).collect();
        new.constants.insert(w.to_owned(), Array { data, ..weight.clone() });
        grids.insert(w.to_owned(), Grid { integers, scale: vec![scale] });
        let unit = scales.get(&from).copied().unwrap_or(1.0) * scale;
        bias_on_grid(&mut new, node, unit);
    }
    Ok((new, grids))
}

/// Values of the tensors in front of the layers with weights.
fn values(
    graph: &Graph,
    samples: &[Array],
    wanted: &[usize],
) -> Result<BTreeMap<String, Vec<f64>>, Diagnostic> {
    let executor = Executor::new(graph)?;
    let names: Vec<String> =
        wanted.iter().filter_map(|n| graph.nodes[*n].input(0)).map(|x| origin(graph, x)).collect();
    let mut seen: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for x in samples {
        let all = executor.run(x.clone())?;
        for name in &names {
            if let Some(array) = all.get(name.as_str()) {
                let list = seen.entry(name.clone()).or_default();
                let room = MAX_VALUES.saturating_sub(list.len());
                list.extend(array.data.iter().take(room));
            }
        }
    }
    Ok(seen)
}

/// A bias as a whole number of what the sum's integers stand for.
fn bias_on_grid(graph: &mut Graph, node: &Node, unit: f64) {
    let behind = graph.nodes.iter().find(|n| n.op == "Add" && n.inputs.contains(&node.outputs[0]));
    let names = [
        node.input(2),
        behind.and_then(|n| n.inputs.iter().find(|i| graph.constants.contains_key(*i))).map(String::as_str),
    ];
    let names: Vec<String> = names.into_iter().flatten().map(str::to_owned).collect();
    for name in names {
        if let Some(bias) = graph.constants.get_mut(&name) {
            bias.data.iter_mut().for_each(|b| *b = single((*b / unit).round_ties_even() * unit));
        }
    }
}

fn insert_quant(graph: &mut Graph, name: &str, scale: f64, bits: u32, signed: bool) {
    let Some(at) = source(graph, name) else { return };
    let mut own = format!("{name}.quant");
    while graph.constants.contains_key(&own) || source(graph, &own).is_some() {
        own.push('_');
    }
    let readers = graph.nodes.iter_mut().flat_map(|n| n.inputs.iter_mut());
    readers.filter(|i| *i == name).for_each(|i| i.clone_from(&own));
    let constants = [("scale", scale), ("zero", 0.0), ("bits", f64::from(bits))];
    let mut inputs = vec![name.to_owned()];
    for (what, value) in constants {
        let constant = format!("{own}.{what}");
        graph.constants.insert(constant.clone(), Array::new(&[], vec![value], Dtype::Float));
        inputs.push(constant);
    }
    let attributes = BTreeMap::from([("signed".to_owned(), crate::onnx::Attribute::Int(i64::from(signed)))]);
    let node = Node {
        name: format!("{}.quant", graph.nodes[at].name),
        op: "Quant".into(),
        domain: String::new(),
        inputs,
        outputs: vec![own],
        attributes,
    };
    graph.nodes.insert(at + 1, node);
}
