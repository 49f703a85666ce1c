//! From the bytes of a file to a graph.

use std::collections::{BTreeMap, BTreeSet};

use nervure_core::Diagnostic;
use prost::Message;

use super::array::{Array, Dtype};
use super::graph::{Attribute, Graph, Node, Port, quote};
use super::proto;

/// Most operators of a graph.
const MAX_NODES: usize = 1 << 16;

/// Reads an ONNX model. `shown` is the file's name in messages.
///
/// Errors: one diagnostic, `E0150` to `E0154`, which names the file, and the node or tensor.
pub fn read(bytes: &[u8], shown: &str) -> Result<Graph, Diagnostic> {
    graph(bytes).map_err(|d| in_file(d, shown))
}

/// The same diagnostic with the file's name.
pub(crate) fn in_file(mut d: Diagnostic, shown: &str) -> Diagnostic {
    d.message = format!("`{}`: {}", shown.escape_debug(), d.message);
    d
}

fn graph(bytes: &[u8]) -> Result<Graph, Diagnostic> {
    let damaged = |message: String| {
        Diagnostic::new("E0150", message, "write it again with `onnx.save`; the file must be complete")
    };
    let model = proto::Model::decode(bytes)
        .map_err(|e| damaged(format!("is no ONNX model, or cut short: {}", e.to_string().escape_debug())))?;
    let Some(graph) = model.graph else { return Err(damaged("is an ONNX model without a graph".into())) };
    if let Some(function) = model.functions.first() {
        return Err(Diagnostic::new(
            "E0152",
            format!("has functions of its own, such as {}", quote(&function.name)),
            "inline them first: `onnx.inliner.inline_local_functions(model)`",
        ));
    }
    if graph.node.len() > MAX_NODES {
        let message = format!("has {} nodes, more than {MAX_NODES}", graph.node.len());
        return Err(structure(message, "simplify the model first"));
    }
    let standard = |o: &&proto::Opset| o.domain.is_empty() || o.domain == "ai.onnx";
    let opset = model.opset_import.iter().find(standard).map_or(1, |o| o.version);
    let mut constants = BTreeMap::new();
    for tensor in &graph.initializer {
        let array = Array::decode(tensor, &tensor.name)?;
        if constants.insert(tensor.name.clone(), array).is_some() {
            return Err(structure(format!("has two constants {}", quote(&tensor.name)), "rename one"));
        }
    }
    let mut nodes: Vec<Node> = graph.node.iter().map(node).collect::<Result<_, _>>()?;
    lift(&mut nodes, &mut constants)?;
    let inputs: Vec<Port> = graph
        .input
        .iter()
        .filter(|i| !constants.contains_key(&i.name))
        .map(port)
        .collect::<Result<_, _>>()?;
    let outputs: Vec<Port> = graph.output.iter().map(port).collect::<Result<_, _>>()?;
    if inputs.is_empty() || outputs.is_empty() {
        let what = if inputs.is_empty() { "input" } else { "output" };
        return Err(structure(format!("has no {what}"), "export the model with its inputs and outputs"));
    }
    let nodes = sort(nodes, &inputs, &outputs, &constants)?;
    Ok(Graph { inputs, outputs, nodes, constants, opset })
}

fn structure(message: String, help: &str) -> Diagnostic {
    Diagnostic::new("E0151", message, help)
}

fn port(info: &proto::ValueInfo) -> Result<Port, Diagnostic> {
    let tensor = info.kind.as_ref().and_then(|k| k.tensor.as_ref());
    let number = tensor.map_or(1, |t| t.elem_type);
    // An output without a type is one that nobody wrote down.
    let dtype = if number == 0 { Some(Dtype::Float) } else { Dtype::from_number(number) };
    let Some(dtype) = dtype else {
        let message = format!("tensor {} has element type {number}, which is not read", quote(&info.name));
        return Err(Diagnostic::new("E0154", message, "use float32 or an integer type"));
    };
    let extent = |d: &proto::Dimension| usize::try_from(d.dim_value).ok().filter(|n| *n > 0);
    let shape = tensor.and_then(|t| t.shape.as_ref()).map(|s| s.dim.iter().map(extent).collect());
    Ok(Port { name: info.name.clone(), shape, dtype })
}

fn node(n: &proto::Node) -> Result<Node, Diagnostic> {
    let first = n.output.iter().find(|o| !o.is_empty()).cloned().unwrap_or_default();
    let name = if n.name.is_empty() { first } else { n.name.clone() };
    let mut attributes = BTreeMap::new();
    for a in &n.attribute {
        let value = match a.kind {
            1 => Attribute::Float(f64::from(a.f)),
            2 => Attribute::Int(a.i),
            3 => Attribute::Text(String::from_utf8_lossy(&a.s).into_owned()),
            4 => match &a.t {
                Some(t) => Attribute::Tensor(Array::decode(t, &name)?),
                None => Attribute::Other,
            },
            6 => Attribute::Floats(a.floats.iter().map(|v| f64::from(*v)).collect()),
            7 => Attribute::Ints(a.ints.clone()),
            _ => Attribute::Other,
        };
        attributes.insert(a.name.clone(), value);
    }
    let (inputs, outputs) = (n.input.clone(), n.output.clone());
    let domain = if n.domain == "ai.onnx" { String::new() } else { n.domain.clone() };
    Ok(Node { name, op: n.op_type.clone(), domain, inputs, outputs, attributes })
}

/// Moves the values of `Constant` nodes to the constants.
fn lift(nodes: &mut Vec<Node>, constants: &mut BTreeMap<String, Array>) -> Result<(), Diagnostic> {
    for node in nodes.iter().filter(|n| n.op == "Constant" && n.domain.is_empty()) {
        let float = |v: &[f64]| Array::new(&[v.len()], v.to_vec(), Dtype::Float);
        let array = match node.attributes.iter().next() {
            Some((_, Attribute::Tensor(array))) => array.clone(),
            Some((_, Attribute::Float(v))) if v.is_finite() => Array::new(&[], vec![*v], Dtype::Float),
            Some((_, Attribute::Int(v))) => Array::new(&[], vec![*v as f64], Dtype::INDEX),
            Some((_, Attribute::Floats(v))) if v.iter().all(|v| v.is_finite()) => float(v),
            Some((_, Attribute::Ints(v))) => Array::indices(v),
            _ => return Err(node.wrong("E0153", "has no value that is read", "use a tensor as its `value`")),
        };
        let Some(name) = node.outputs.first() else { continue };
        if constants.insert(name.clone(), array).is_some() {
            return Err(structure(format!("makes tensor {} twice", quote(name)), "rename one"));
        }
    }
    nodes.retain(|n| n.op != "Constant" || !n.domain.is_empty());
    Ok(())
}

/// Brings the nodes into order. Errors: `E0151` for a tensor that is made twice or never, and for a circle.
fn sort(
    nodes: Vec<Node>,
    inputs: &[Port],
    outputs: &[Port],
    constants: &BTreeMap<String, Array>,
) -> Result<Vec<Node>, Diagnostic> {
    let mut made: BTreeSet<&str> = constants.keys().map(String::as_str).collect();
    let mut source: BTreeMap<&str, usize> = BTreeMap::new();
    let twice =
        |name: &str| structure(format!("makes tensor {} twice", quote(name)), "rename one of the two");
    for input in inputs {
        if !made.insert(&input.name) {
            return Err(twice(&input.name));
        }
    }
    for (n, node) in nodes.iter().enumerate() {
        for name in node.outputs.iter().filter(|o| !o.is_empty()) {
            if made.contains(name.as_str()) || source.insert(name, n).is_some() {
                return Err(twice(name));
            }
        }
    }
    let known = |name: &str| made.contains(name) || source.contains_key(name);
    for node in &nodes {
        if let Some(name) = node.inputs.iter().find(|i| !i.is_empty() && !known(i)) {
            let message = format!("reads tensor {}, which nothing makes", quote(name));
            return Err(node.wrong("E0151", message, "export the model again with all its constants"));
        }
    }
    if let Some(port) = outputs.iter().find(|p| !known(&p.name)) {
        let message = format!("has an output {} that nothing makes", quote(&port.name));
        return Err(structure(message, "export the model again"));
    }
    let wanted =
        |n: &Node| n.inputs.iter().filter_map(|i| source.get(i.as_str()).copied()).collect::<BTreeSet<_>>();
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    let mut missing: Vec<usize> = Vec::with_capacity(nodes.len());
    for (n, node) in nodes.iter().enumerate() {
        let wanted = wanted(node);
        missing.push(wanted.len());
        wanted.into_iter().for_each(|w| readers[w].push(n));
    }
    let mut ready: BTreeSet<usize> = (0..nodes.len()).filter(|n| missing[*n] == 0).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(n) = ready.pop_first() {
        order.push(n);
        for &r in &readers[n] {
            missing[r] -= 1;
            if missing[r] == 0 {
                ready.insert(r);
            }
        }
    }
    if let Some(n) = (0..nodes.len()).find(|n| missing[*n] > 0) {
        return Err(nodes[n].wrong(
            "E0151",
            "is part of a circle, or reads from one",
            "export the model again",
        ));
    }
    let mut nodes: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|n| nodes[n].take()).collect())
}
