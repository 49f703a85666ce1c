//! The graph, node by node: constants are folded, integers pass through layers, everything else waits until it is rounded.

use std::collections::BTreeMap;
use std::rc::Rc;

use nervure_core::{Diagnostic, QType};

use super::evaluate::{self, evaluate, one, unknown};
use super::net::Net;
use super::rounding::Quantizer;
use super::shape::{broadcast, moved, moves, spread};
use super::stream::{List, Step, Stream, pick, shortened};
use crate::onnx::{Array, Dtype, Graph, Node};

/// A constant; where it was quantized, its integers and what one of them stands for.
#[derive(Clone)]
pub(crate) struct Const {
    pub(crate) array: Array,
    pub(crate) grid: Option<Grid>,
}

/// Integers of a quantized constant.
#[derive(Clone)]
pub(crate) struct Grid {
    pub(crate) integers: List,
    /// One element for all, or one for each.
    pub(crate) scale: List,
}

/// What a name stands for.
#[derive(Clone)]
pub(crate) enum Value {
    Const(Rc<Const>),
    Stream(Rc<Stream>),
}

/// What the input's integers are.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) shape: Vec<usize>,
    pub(crate) format: QType,
    pub(crate) scale: f64,
    pub(crate) offset: f64,
    pub(crate) dtype: Dtype,
}

pub(crate) struct Walk<'a> {
    graph: &'a Graph,
    pub(crate) net: Net,
    values: BTreeMap<&'a str, Value>,
    readers: BTreeMap<&'a str, usize>,
    pub(crate) notes: Vec<String>,
}

/// What leaves the network.
pub(crate) struct Output {
    pub(crate) layer: usize,
    /// Name in the model.
    pub(crate) name: String,
    /// What one integer stands for.
    pub(crate) scale: f64,
    pub(crate) offset: f64,
    /// Where each element lies in what the layer gives.
    pub(crate) from: Vec<usize>,
}

pub(crate) const HELP: &str = "quantize the model in training, or give samples with `--calibrate`";

impl<'a> Walk<'a> {
    pub(crate) fn new(graph: &'a Graph, grids: &BTreeMap<String, Grid>, input: &Input, wide: bool) -> Self {
        let mut net = Net::new(&input.shape[1.min(input.shape.len() - 1)..], input.format);
        let len: usize = input.shape.iter().product();
        let mut readers: BTreeMap<&str, usize> = BTreeMap::new();
        let read = graph.nodes.iter().flat_map(|n| n.inputs.iter().map(String::as_str));
        read.chain(graph.outputs.iter().map(|p| p.name.as_str()))
            .for_each(|n| *readers.entry(n).or_default() += 1);
        let mut values = BTreeMap::new();
        for (name, array) in &graph.constants {
            let grid = grids.get(name).cloned();
            values.insert(name.as_str(), Value::Const(Rc::new(Const { array: array.clone(), grid })));
        }
        net.layers[0].locked = true;
        let stream = Stream {
            layer: 0,
            shape: input.shape.clone(),
            from: (0..len).collect(),
            scale: vec![input.scale],
            offset: vec![input.offset],
            steps: Vec::new(),
            dtype: input.dtype,
            wide,
        };
        values.insert(graph.inputs[0].name.as_str(), Value::Stream(Rc::new(stream)));
        Self { graph, net, values, readers, notes: Vec::new() }
    }

    pub(crate) fn run(&mut self) -> Result<Vec<Output>, Diagnostic> {
        let graph = self.graph;
        for node in &graph.nodes {
            // What nobody reads counts for nothing.
            if !node.outputs.iter().any(|o| self.readers.contains_key(o.as_str())) {
                continue;
            }
            let value = self.node(node)?;
            let Some(name) = node.outputs.first() else { continue };
            let many = self.readers.get(name.as_str()).copied().unwrap_or(0) > 1;
            if let (Value::Stream(s), true) = (&value, many) {
                self.net.layers[s.layer].locked = true;
            }
            self.values.insert(name, value);
        }
        let mut outputs = Vec::new();
        for port in &graph.outputs {
            outputs.push(self.output(&port.name)?);
        }
        Ok(outputs)
    }

    pub(crate) fn value(&self, node: &Node, n: usize) -> Result<Value, Diagnostic> {
        let missing = || {
            let message = format!("has no input {n}, or reads an output that is not made here");
            node.wrong("E0153", message, "export the model again")
        };
        node.input(n).and_then(|name| self.values.get(name)).cloned().ok_or_else(missing)
    }

    /// Input `n`, which must be a constant.
    pub(crate) fn constant(&self, node: &Node, n: usize) -> Result<Rc<Const>, Diagnostic> {
        match self.value(node, n)? {
            Value::Const(c) => Ok(c),
            Value::Stream(_) => {
                let message = format!("has an input {n} that is no constant");
                Err(node.wrong("E0156", message, "use constant weights and parameters"))
            }
        }
    }

    /// Input `n`, which must not be a constant.
    pub(crate) fn stream(&self, node: &Node, n: usize) -> Result<Rc<Stream>, Diagnostic> {
        match self.value(node, n)? {
            Value::Stream(s) => Ok(s),
            Value::Const(_) => {
                let message = format!("has a constant as input {n}");
                Err(node.wrong("E0156", message, "put the constant on the other side"))
            }
        }
    }

    fn node(&mut self, node: &'a Node) -> Result<Value, Diagnostic> {
        let inputs: Vec<Option<Value>> =
            node.inputs.iter().map(|i| self.values.get(i.as_str()).cloned()).collect();
        let arrays: Option<Vec<Option<&Array>>> = inputs
            .iter()
            .map(|v| match v {
                None => Some(None),
                Some(Value::Const(c)) => Some(Some(&c.array)),
                Some(Value::Stream(_)) => None,
            })
            .collect();
        if let Some(arrays) = arrays {
            return self.fold(node, &arrays, &inputs);
        }
        let constants: Vec<Option<&Array>> = inputs
            .iter()
            .map(|v| match v {
                Some(Value::Const(c)) => Some(&c.array),
                _ => None,
            })
            .collect();
        let stream = match node.op.as_str() {
            "Shape" => {
                let shape: Vec<i64> = self.stream(node, 0)?.shape.iter().map(|n| *n as i64).collect();
                let array = Array::indices(&shape);
                return Ok(Value::Const(Rc::new(Const { array, grid: None })));
            }
            op if moves(op) => {
                let x = self.stream(node, 0)?;
                let new = moved(node, &x.shape, &constants[1..])?;
                x.moved(new.shape, &new.from)
            }
            "Cast" => {
                let x = self.stream(node, 0)?;
                let to = Dtype::from_number(node.int("to", 1)? as i32).unwrap_or(Dtype::Float);
                if to.is_integer() && !x.dtype.is_integer() {
                    return Err(node.wrong(
                        "E0156",
                        "cuts off a fraction",
                        "use `Quant` or `QuantizeLinear`",
                    ));
                }
                Stream { dtype: to, ..(*x).clone() }
            }
            "Add" | "Sub" | "Mul" | "Div" | "Max" | "Min" | "Pow" => self.two(node, &inputs)?,
            "BatchNormalization" => self.batch_norm(node, &constants)?,
            "Softmax" | "LogSoftmax" => {
                let x = self.stream(node, 0)?;
                // Its own function is never asked for: it must be the last.
                with(&x, function(&node.op, Rc::new(|v| v), true, false, true))
            }
            "MatMul" | "Gemm" | "MatMulInteger" => self.dense(node)?,
            "Conv" | "ConvInteger" => self.conv(node)?,
            "QLinearConv" | "QLinearMatMul" | "QGemm" => self.quantized(node)?,
            "QLinearAdd" => self.quantized_sum(node)?,
            "MaxPool" | "GlobalMaxPool" => self.max_pool(node)?,
            "AveragePool" | "GlobalAveragePool" => self.average_pool(node)?,
            "Quant" | "IntQuant" | "BipolarQuant" | "Trunc" | "QuantizeLinear" => {
                let x = self.stream(node, 0)?;
                let list: Option<Vec<&Array>> = constants[1..].iter().copied().collect();
                let list =
                    list.ok_or_else(|| node.wrong("E0156", "has a scale that is no constant", HELP))?;
                let quantizer = Quantizer::new(node, &x.shape, &list, self.graph.opset)?;
                self.round(&node.name, node, &x, &quantizer, false)?
            }
            "DequantizeLinear" => {
                let x = self.stream(node, 0)?;
                let list: Vec<&Array> = constants[1..].iter().copied().flatten().collect();
                let quantizer = Quantizer::new(node, &x.shape, &list, self.graph.opset)?;
                let mut y = (*self.clean(node, &x)?).clone();
                let n = y.len();
                let both = |a: &List, b: &List, f: fn(f64, f64) -> f64| -> List {
                    let count = if a.len() == 1 && b.len() == 1 { 1 } else { n };
                    (0..count).map(|at| f(pick(a, at), pick(b, at))).collect()
                };
                let zero = quantizer.zero();
                y.offset = y.offset.iter().map(|o| o - zero).collect();
                y.offset = both(&y.offset, &quantizer.scale, |a, b| a * b);
                y.scale = both(&y.scale, &quantizer.scale, |a, b| a * b);
                y.dtype = Dtype::Float;
                y
            }
            _ => {
                let x = self.stream(node, 0)?;
                let f = one(node, &constants)?.ok_or_else(|| unknown(node))?;
                let op = node.op.as_str();
                if op == "Neg" {
                    with(&x, Step::Mul(vec![-1.0]))
                } else {
                    let alpha = node.float("alpha", 0.01)? >= 0.0;
                    let monotone = matches!(
                        op,
                        "Relu" | "Clip" | "Exp" | "Floor" | "Ceil" | "Round" | "Sign" | "Sigmoid" | "Tanh"
                    ) || matches!(op, "LeakyRelu" | "HardSigmoid") && alpha;
                    let strict = matches!(op, "Exp" | "Sigmoid" | "Tanh");
                    with(&x, function(op, f.into(), monotone, matches!(op, "Relu" | "Clip"), strict))
                }
            }
        };
        Ok(Value::Stream(Rc::new(stream)))
    }

    /// A node whose inputs are all constant.
    fn fold(
        &self,
        node: &Node,
        arrays: &[Option<&Array>],
        inputs: &[Option<Value>],
    ) -> Result<Value, Diagnostic> {
        let array = evaluate(node, arrays, self.graph.opset)?;
        let before = match inputs.first() {
            Some(Some(Value::Const(c))) => c.grid.as_ref().map(|g| (g, &c.array)),
            _ => None,
        };
        let grid = match node.op.as_str() {
            op if moves(op) => match before {
                Some((grid, x)) => {
                    let new = moved(node, &x.shape, &arrays[1..])?;
                    let list = |l: &List| {
                        if l.len() == 1 { l.clone() } else { new.from.iter().map(|n| l[*n]).collect() }
                    };
                    Some(Grid {
                        integers: new.from.iter().map(|n| grid.integers[*n]).collect(),
                        scale: list(&grid.scale),
                    })
                }
                None => None,
            },
            "Quant" | "IntQuant" | "BipolarQuant" | "Trunc" | "DequantizeLinear" => {
                let x = arrays[0].expect("it was evaluated");
                let list: Vec<&Array> = arrays[1..].iter().copied().flatten().collect();
                let q = Quantizer::new(node, &x.shape, &list, self.graph.opset)?;
                let integers = if node.op == "DequantizeLinear" {
                    x.data.iter().map(|v| v - q.zero()).collect()
                } else {
                    x.data.iter().enumerate().map(|(at, v)| q.level(at, *v) as f64).collect()
                };
                (q.offset.abs() <= 0.0).then_some(Grid { integers, scale: q.scale })
            }
            _ => None,
        };
        Ok(Value::Const(Rc::new(Const { array, grid })))
    }

    /// An operator of two arguments.
    fn two(&mut self, node: &Node, inputs: &[Option<Value>]) -> Result<Stream, Diagnostic> {
        let op = node.op.as_str();
        let (x, c, swapped) = match (inputs.first(), inputs.get(1)) {
            (Some(Some(Value::Stream(x))), Some(Some(Value::Const(c)))) => (x, c, false),
            (Some(Some(Value::Const(c))), Some(Some(Value::Stream(x)))) => (x, c, true),
            (Some(Some(Value::Stream(a))), Some(Some(Value::Stream(b)))) if op == "Add" => {
                return self.sum(node, &a.clone(), &b.clone());
            }
            _ => {
                return Err(node.wrong(
                    "E0156",
                    "combines two tensors that are no constants",
                    "only `Add` can",
                ));
            }
        };
        let shape = broadcast(&x.shape, &c.array.shape).filter(|s| s.iter().product::<usize>() == x.len());
        let Some(shape) = shape else {
            let message = format!("combines shapes {:?} and {:?}", x.shape, c.array.shape);
            return Err(node.wrong(
                "E0153",
                message,
                "use one constant for all elements, or one for each channel",
            ));
        };
        let list = shortened(spread(&c.array.data, &c.array.shape, &shape));
        let mut y = (**x).clone();
        y.shape = shape;
        let inverse = |l: List| l.into_iter().map(|v| -v).collect::<List>();
        match (op, swapped) {
            ("Add", _) => y.steps.push(Step::Add(list)),
            ("Sub", false) => y.steps.push(Step::Add(inverse(list))),
            ("Sub", true) => y.steps.extend([Step::Mul(vec![-1.0]), Step::Add(list)]),
            ("Mul", _) => y.steps.push(Step::Mul(list)),
            ("Div", false) if list.iter().all(|v| v.abs() > 0.0) => y.steps.push(Step::Div(list)),
            ("Max" | "Min", _) if list.len() == 1 => {
                let (limit, max) = (list[0], op == "Max");
                let f = move |v: f64| if max { v.max(limit) } else { v.min(limit) };
                y.steps.push(function(op, Rc::new(f), true, true, false));
            }
            ("Pow", false) if list.len() == 1 => {
                let power = list[0];
                let odd = (power.rem_euclid(2.0) - 1.0).abs() <= 0.0;
                y.steps.push(function(op, Rc::new(move |v: f64| v.powf(power)), odd, false, false));
            }
            _ => return Err(node.wrong("E0156", "is no function of one element that is known", HELP)),
        }
        Ok(y)
    }

    fn batch_norm(&mut self, node: &Node, constants: &[Option<&Array>]) -> Result<Stream, Diagnostic> {
        let x = self.stream(node, 0)?;
        let (factor, offset) = evaluate::batch_norm(node, &constants[1..])?;
        let n = x.shape.get(1).copied().unwrap_or(0);
        if n != factor.len() {
            let message = format!("has {} channels for shape {:?}", factor.len(), x.shape);
            return Err(node.wrong("E0153", message, "correct the shapes, and export again"));
        }
        let area: usize = x.shape[2..].iter().product();
        let each = |list: &[f64]| shortened((0..x.len()).map(|at| list[at / area % n]).collect());
        let y = with(&x, Step::Mul(each(&factor)));
        Ok(with(&y, Step::Add(each(&offset))))
    }
}

pub(crate) fn with(x: &Stream, step: Step) -> Stream {
    let mut y = x.clone();
    y.steps.push(step);
    y
}

pub(crate) fn function(
    name: &str,
    f: Rc<dyn Fn(f64) -> f64>,
    monotone: bool,
    clamps: bool,
    strict: bool,
) -> Step {
    Step::Function { f, monotone, clamps, strict, name: name.to_owned() }
}
