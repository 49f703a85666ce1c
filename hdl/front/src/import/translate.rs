//! From a graph of primitives to layers: linear nodes fold into the synapses of the neurons that they feed.

use nervure_core::Diagnostic;

use super::fold::{Chain, Fold};
use super::model::{Layer, Model, Neurons, Op};
use super::neuron::neuron;
use super::semantics::{Preset, Semantics};
use crate::nir::{Graph, Primitive};

/// What decides about time.
#[derive(Debug, Clone)]
pub(crate) struct Reading<'a> {
    pub(crate) preset: Preset,
    /// Options that replace fields of the preset.
    pub(crate) with: &'a [(String, String)],
    /// Seconds in a step.
    pub(crate) dt: f64,
}

impl Reading<'_> {
    pub(crate) fn semantics(&self, kind: super::semantics::Kind) -> Result<Semantics, Diagnostic> {
        let mut semantics = Semantics::new(self.preset, kind);
        for (field, value) in self.with {
            semantics.set(field, value)?;
        }
        Ok(semantics)
    }
}

/// `E0131`: a graph that no network can express, at node `name`.
pub(crate) fn unsupported(name: &str, message: impl Into<String>, help: &str) -> Diagnostic {
    Diagnostic::new("E0131", message, help).at(name).at("nodes")
}

/// Whether a node keeps its place as a layer.
fn is_layer(p: &Primitive) -> bool {
    p.has_state()
        || matches!(
            p,
            Primitive::SumPool2d { .. } | Primitive::AvgPool2d { .. } | Primitive::Threshold { .. }
        )
}

/// Where a chain of linear nodes begins: at the input, or at a layer's node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    Input,
    Node(usize),
}

/// Translates `graph`. Errors: `E0131` for a structure, `E0132` for parameters that cannot be expressed.
pub(crate) fn translate(graph: &Graph, reading: &Reading<'_>) -> Result<Model, Diagnostic> {
    let inputs: Vec<usize> = select(graph, |p| matches!(p, Primitive::Input { .. }));
    let outputs: Vec<usize> = select(graph, |p| matches!(p, Primitive::Output { .. }));
    let [input] = inputs[..] else {
        return Err(unsupported(
            &graph.nodes[inputs[1]].name,
            format!("the graph has {} inputs", inputs.len()),
            "join them to one input in the framework, and split it by weights",
        ));
    };
    let Primitive::Input { shape } = &graph.nodes[input].primitive else { unreachable!("selected above") };
    let t = Translator { graph, reading };
    let mut model = Model { input: shape.clone(), layers: Vec::new(), outputs: Vec::new() };
    let mut place: Vec<Option<usize>> = vec![None; graph.nodes.len()];
    for node in t.order()? {
        t.layer(node, &mut model, &mut place)?;
    }
    for output in outputs {
        let at = t.output(output, &mut model, &place)?;
        if !model.outputs.contains(&at) {
            model.outputs.push(at);
        }
    }
    Ok(model)
}

fn select(graph: &Graph, wanted: impl Fn(&Primitive) -> bool) -> Vec<usize> {
    (0..graph.nodes.len()).filter(|n| wanted(&graph.nodes[*n].primitive)).collect()
}

struct Translator<'a> {
    graph: &'a Graph,
    reading: &'a Reading<'a>,
}

impl Translator<'_> {
    fn name(&self, node: usize) -> &str {
        &self.graph.nodes[node].name
    }

    /// Nodes that are layers, each after those that it reads through linear nodes (itself excepted).
    fn order(&self) -> Result<Vec<usize>, Diagnostic> {
        let layers = select(self.graph, is_layer);
        let mut done: Vec<usize> = Vec::new();
        let mut left = layers;
        while !left.is_empty() {
            let mut later = Vec::new();
            for &node in &left {
                let chains = self.chains(node)?;
                let ready = chains.iter().all(|(root, _)| match root {
                    Root::Input => true,
                    Root::Node(n) => *n == node || done.contains(n),
                });
                if ready { done.push(node) } else { later.push(node) }
            }
            if later.len() == left.len() {
                return Err(unsupported(
                    self.name(later[0]),
                    format!(
                        "`{}` is part of a circle through several layers",
                        self.name(later[0]).escape_debug()
                    ),
                    "only a layer's own spikes can come back to it; merge the layers of the circle into one",
                ));
            }
            left = later;
        }
        Ok(done)
    }

    /// The ways into a node: where each begins, and its linear nodes in order.
    fn chains(&self, node: usize) -> Result<Vec<(Root, Vec<usize>)>, Diagnostic> {
        self.graph.sources(node).map(|source| self.chain(source)).collect()
    }

    fn chain(&self, mut at: usize) -> Result<(Root, Vec<usize>), Diagnostic> {
        let mut list = Vec::new();
        loop {
            let p = &self.graph.nodes[at].primitive;
            if matches!(p, Primitive::Input { .. }) || is_layer(p) {
                list.reverse();
                let root = if is_layer(p) { Root::Node(at) } else { Root::Input };
                return Ok((root, list));
            }
            list.push(at);
            let sources: Vec<usize> = self.graph.sources(at).collect();
            let [source] = sources[..] else {
                return Err(unsupported(
                    self.name(at),
                    format!(
                        "`{}` ({}) adds up {} nodes before a linear operation",
                        self.name(at).escape_debug(),
                        p.type_name(),
                        sources.len()
                    ),
                    "give each branch linear nodes of its own and add them at the neuron",
                ));
            };
            at = source;
        }
    }

    fn shape(model: &Model, from: Option<usize>) -> &[usize] {
        from.map_or(&model.input, |n| &model.layers[n].shape)
    }

    /// Folds the linear nodes `list`, which begin at `from`.
    fn fold(&self, list: &[usize], from: Option<usize>, model: &Model) -> Result<Fold, Diagnostic> {
        let scale = from.map_or(1.0, |n| model.layers[n].scale);
        let mut chain = Chain::new(Self::shape(model, from), scale);
        for &n in list {
            chain.push(&self.graph.nodes[n])?;
        }
        Ok(chain.finish())
    }

    /// The one feed-forward way into a node.
    fn only<'c>(
        &self,
        node: usize,
        ways: &'c [(Root, Vec<usize>)],
        place: &[Option<usize>],
    ) -> Result<(Option<usize>, &'c [usize]), Diagnostic> {
        let [(root, list)] = ways else {
            return Err(unsupported(
                self.name(node),
                format!("`{}` reads {} layers besides itself", self.name(node).escape_debug(), ways.len()),
                "a layer reads one layer, and its own spikes; concatenate the sources in the framework",
            ));
        };
        let from = match root {
            Root::Input => None,
            Root::Node(n) => Some(place[*n].expect("layers come in order")),
        };
        Ok((from, list))
    }

    fn layer(&self, node: usize, model: &mut Model, place: &mut [Option<usize>]) -> Result<(), Diagnostic> {
        let chains = self.chains(node)?;
        let (own, ways): (Vec<_>, Vec<_>) =
            chains.into_iter().partition(|(root, _)| *root == Root::Node(node));
        let (from, list) = self.only(node, &ways, place)?;
        let fold = self.fold(list, from, model)?;
        let primitive = &self.graph.nodes[node].primitive;
        let name = self.name(node);
        let (shape, scale, op) = match primitive {
            Primitive::SumPool2d { kernel_size, stride, padding }
            | Primitive::AvgPool2d { kernel_size, stride, padding } => {
                let area = (kernel_size[0] * kernel_size[1]) as f64;
                let mean = matches!(primitive, Primitive::AvgPool2d { .. });
                let shape = pooled(name, &fold, *kernel_size, *stride, *padding)?;
                let before = from.map_or(1.0, |n| model.layers[n].scale);
                let scale = if mean { before / area } else { before };
                (shape, scale, Op::Pool { kernel: *kernel_size, stride: *stride })
            }
            Primitive::Delay { delay } => {
                let steps = delay.scalar_or_uniform().map(|d| (d / self.reading.dt).round());
                let Some(steps) = steps.filter(|s| (0.0..=65536.0).contains(s)) else {
                    let message = "the delays differ, or are longer than 65536 steps";
                    return Err(unsupported(
                        name,
                        message,
                        "use one delay for the whole node, and check `--dt`",
                    ));
                };
                let shape = plain(name, &fold)?;
                let scale = from.map_or(1.0, |n| model.layers[n].scale);
                (shape, scale, Op::Delay { steps: steps as usize })
            }
            _ => {
                let shape = fold.shape.clone();
                let mut synapse = fold.synapse(name)?;
                let mut recurrent = self.recurrent(node, &own, &shape)?;
                let neuron = neuron(name, primitive, &shape, self.reading, &mut synapse, &mut recurrent)?;
                (shape, 1.0, Op::Neurons(Box::new(Neurons { synapse, recurrent, neuron })))
            }
        };
        if !own.is_empty() && !matches!(op, Op::Neurons(_)) {
            return Err(unsupported(
                name,
                "only neurons can read themselves",
                "remove the edge that comes back",
            ));
        }
        place[node] = Some(model.layers.len());
        model.layers.push(Layer { name: name.to_owned(), from, shape, scale, op });
        Ok(())
    }

    /// The layer's own spikes, back through linear nodes.
    fn recurrent(
        &self,
        node: usize,
        own: &[(Root, Vec<usize>)],
        shape: &[usize],
    ) -> Result<Option<(Vec<f64>, Vec<f64>)>, Diagnostic> {
        let mut sum: Option<(Vec<f64>, Vec<f64>)> = None;
        for (_, list) in own {
            let mut chain = Chain::new(shape, 1.0);
            for &n in list {
                chain.push(&self.graph.nodes[n])?;
            }
            let (weight, bias) = chain.finish().dense(self.name(node))?;
            match &mut sum {
                None => sum = Some((weight, bias)),
                Some((w, b)) => {
                    w.iter_mut().zip(weight).for_each(|(a, x)| *a += x);
                    b.iter_mut().zip(bias).for_each(|(a, x)| *a += x);
                }
            }
        }
        Ok(sum)
    }

    /// The layer that leaves at an output node; linear nodes before it become a read-out without memory.
    fn output(&self, output: usize, model: &mut Model, place: &[Option<usize>]) -> Result<usize, Diagnostic> {
        let ways = self.chains(output)?;
        let (from, list) = self.only(output, &ways, place)?;
        let fold = self.fold(list, from, model)?;
        if let (Some(from), true) = (from, fold.is_identity()) {
            return Ok(from);
        }
        let name = list.last().map_or("output", |n| self.name(*n));
        let shape = fold.shape.clone();
        let synapse = fold.synapse(name)?;
        let neuron = super::neuron::linear(self.reading)?;
        let op = Op::Neurons(Box::new(Neurons { synapse, recurrent: None, neuron }));
        model.layers.push(Layer { name: name.to_owned(), from, shape, scale: 1.0, op });
        Ok(model.layers.len() - 1)
    }
}

/// What a node reads that takes spikes as they are. Errors: `E0131` for synapses in between.
fn plain(name: &str, fold: &Fold) -> Result<Vec<usize>, Diagnostic> {
    if fold.is_identity() {
        return Ok(fold.shape.clone());
    }
    let message = format!("`{}` reads a weighted sum, not spikes", name.escape_debug());
    Err(unsupported(name, message, "put a neuron before it, or move the weights behind it"))
}

fn pooled(
    name: &str,
    fold: &Fold,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
) -> Result<Vec<usize>, Diagnostic> {
    let shape = plain(name, fold)?;
    let [c, h, w] = shape[..] else {
        return Err(unsupported(
            name,
            format!("pooling reads shape {shape:?}, expected three axes"),
            "keep the map's axes up to here",
        ));
    };
    if padding != [0, 0] {
        return Err(unsupported(name, "pooling with a border is not offered", "use padding 0"));
    }
    if h < kernel[0] || w < kernel[1] || stride[0] < kernel[0] || stride[1] < kernel[1] {
        let message =
            format!("windows of {kernel:?} every {stride:?} overlap, or exceed the map of {h} x {w}");
        return Err(unsupported(name, message, "use a stride of at least the window"));
    }
    Ok(vec![c, (h - kernel[0]) / stride[0] + 1, (w - kernel[1]) / stride[1] + 1])
}
