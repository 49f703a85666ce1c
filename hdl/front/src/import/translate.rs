//! From a graph of primitives to layers: linear nodes fold into the synapses of the neurons that they feed.

use std::collections::BTreeSet;

use nervure_core::Diagnostic;

use super::fold::{Chain, Fold};
use super::model::{Layer, Model, Neurons, Op, Synapse};
use super::neuron::neuron;
use super::pool::{plain, pooled};
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

/// Ways into one node, at most, and linear nodes on one way.
const MOST_WAYS: usize = 256;
/// Sources of one layer, at most.
const MOST_SOURCES: usize = 8;

/// A way into a node: where it begins, and its linear nodes in order, each with whether it passes on its bias.
type Way = (Root, Vec<(usize, bool)>);

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

    /// The ways into a node. A node where ways meet passes on its bias in the first of them only.
    fn chains(&self, node: usize) -> Result<Vec<Way>, Diagnostic> {
        let mut ways = Vec::new();
        let mut met = BTreeSet::new();
        for source in self.graph.sources(node) {
            self.trace(source, &mut Vec::new(), &mut met, &mut ways)?;
        }
        Ok(ways)
    }

    /// Follows linear nodes back from `at`; `behind` are those on the way, nearest last.
    fn trace(
        &self,
        at: usize,
        behind: &mut Vec<usize>,
        met: &mut BTreeSet<usize>,
        ways: &mut Vec<Way>,
    ) -> Result<(), Diagnostic> {
        let p = &self.graph.nodes[at].primitive;
        if matches!(p, Primitive::Input { .. }) || is_layer(p) {
            let root = if is_layer(p) { Root::Node(at) } else { Root::Input };
            ways.push((root, behind.iter().rev().map(|n| (*n, met.insert(*n))).collect()));
            return if ways.len() > MOST_WAYS { Err(self.tangled(at)) } else { Ok(()) };
        }
        behind.push(at);
        if behind.len() > MOST_WAYS {
            return Err(self.tangled(at));
        }
        for source in self.graph.sources(at) {
            self.trace(source, behind, met, ways)?;
        }
        behind.pop();
        Ok(())
    }

    fn tangled(&self, at: usize) -> Diagnostic {
        let message =
            format!("more than {MOST_WAYS} ways, or as many linear nodes in a row, lead through one node");
        unsupported(self.name(at), message, "merge linear nodes in the framework")
    }

    fn shape(model: &Model, from: Option<usize>) -> &[usize] {
        from.map_or(&model.input, |n| &model.layers[n].shape)
    }

    /// Folds the linear nodes `list`, which begin at `from`.
    fn fold(&self, list: &[(usize, bool)], from: Option<usize>, model: &Model) -> Result<Fold, Diagnostic> {
        let scale = from.map_or(1.0, |n| model.layers[n].scale);
        self.folded(Chain::new(Self::shape(model, from), scale), list)
    }

    fn folded(&self, mut chain: Chain, list: &[(usize, bool)]) -> Result<Fold, Diagnostic> {
        for &(n, offset) in list {
            chain.push(&self.graph.nodes[n], offset)?;
        }
        Ok(chain.finish())
    }

    /// The one feed-forward way into a node that takes spikes as they are.
    fn only(
        &self,
        node: usize,
        ways: &[Way],
        model: &Model,
        place: &[Option<usize>],
    ) -> Result<(Option<usize>, Fold), Diagnostic> {
        let [(root, list)] = ways else {
            return Err(unsupported(
                self.name(node),
                format!("`{}` reads {} sources", self.name(node).escape_debug(), ways.len()),
                "put a neuron before it that adds them",
            ));
        };
        let from = source(*root, place);
        Ok((from, self.fold(list, from, model)?))
    }

    /// What neurons read: the source and the synapses; several sources become a layer of their own that joins them.
    fn synapse(
        &self,
        name: &str,
        ways: &[Way],
        model: &mut Model,
        place: &[Option<usize>],
    ) -> Result<(Option<usize>, Vec<usize>, Synapse), Diagnostic> {
        let mut sources: Vec<(Option<usize>, Vec<usize>, Synapse)> = Vec::new();
        for (root, list) in ways {
            let from = source(*root, place);
            let fold = self.fold(list, from, model)?;
            let shape = fold.shape.clone();
            let synapse = fold.synapse(name)?;
            match sources.iter_mut().find(|s| s.0 == from) {
                Some((_, _, sum)) => super::fold::add(name, sum, &synapse)?,
                None => sources.push((from, shape, synapse)),
            }
        }
        if let [_] = sources[..] {
            let (from, shape, synapse) = sources.remove(0);
            if let (Synapse::Conv(conv), Some(n)) = (&synapse, from)
                && let [c, _, _] = model.layers[n].shape[..]
                && c != conv.input[0]
            {
                let message = format!(
                    "`{}` reads a map of {c} channels as one of {}",
                    name.escape_debug(),
                    conv.input[0]
                );
                return Err(unsupported(name, message, "keep the channels when a map is reshaped"));
            }
            return Ok((from, shape, synapse));
        }
        if sources.is_empty() || sources.len() > MOST_SOURCES {
            let message = format!("`{}` reads {} layers besides itself", name.escape_debug(), sources.len());
            return Err(unsupported(name, message, "a layer reads one to eight layers, and its own spikes"));
        }
        // The earlier first: it is needed to make the later.
        sources.sort_by_key(|s| s.0);
        let shape = sources[0].1.clone();
        let rows: usize = shape.iter().product();
        let (mut weights, mut bias) = (Vec::new(), vec![0.0; rows]);
        for (_, _, synapse) in &sources {
            let Synapse::Dense { weight, bias: own, inputs, outputs } = synapse else {
                let message = format!("`{}` adds convolutions of several layers", name.escape_debug());
                return Err(unsupported(name, message, "concatenate the maps in front of one convolution"));
            };
            if *outputs != rows {
                return Err(unsupported(
                    name,
                    "the ways into it end in different shapes",
                    "check the shapes",
                ));
            }
            bias.iter_mut().zip(own).for_each(|(a, b)| *a += b);
            weights.push((weight, *inputs));
        }
        let inputs: usize = weights.iter().map(|w| w.1).sum();
        let row = |r: usize| weights.iter().flat_map(move |(w, n)| w[r * n..(r + 1) * n].iter().copied());
        let weight = (0..rows).flat_map(row).collect();
        let list = sources.iter().map(|s| s.0).collect();
        model.layers.push(Layer {
            name: format!("{name}.sources"),
            from: None,
            shape: vec![inputs],
            scale: 1.0,
            op: Op::Concat { sources: list },
        });
        let from = Some(model.layers.len() - 1);
        Ok((from, shape, Synapse::Dense { weight, bias, inputs, outputs: rows }))
    }

    fn layer(&self, node: usize, model: &mut Model, place: &mut [Option<usize>]) -> Result<(), Diagnostic> {
        let chains = self.chains(node)?;
        let (own, ways): (Vec<_>, Vec<_>) =
            chains.into_iter().partition(|(root, _)| *root == Root::Node(node));
        let primitive = &self.graph.nodes[node].primitive;
        let name = self.name(node);
        let (from, shape, scale, op) = match primitive {
            Primitive::SumPool2d { kernel_size, stride, padding }
            | Primitive::AvgPool2d { kernel_size, stride, padding } => {
                let (from, fold) = self.only(node, &ways, model, place)?;
                let area = (kernel_size[0] * kernel_size[1]) as f64;
                let mean = matches!(primitive, Primitive::AvgPool2d { .. });
                let (pool, shape) = pooled(name, &fold, *kernel_size, *stride, *padding)?;
                let before = from.map_or(1.0, |n| model.layers[n].scale);
                let scale = if mean { before / area } else { before };
                let apart = stride.iter().zip(kernel_size).all(|(s, k)| s >= k);
                let op = if from.is_some() && apart && *padding == [0, 0] {
                    Op::Pool { kernel: *kernel_size, stride: *stride }
                } else {
                    // Windows that overlap or reach over the border, and maps that come channels first.
                    let neuron = super::neuron::linear(self.reading)?;
                    Op::Neurons(Box::new(Neurons { synapse: Synapse::Conv(pool), recurrent: None, neuron }))
                };
                (from, shape, scale, op)
            }
            Primitive::Delay { delay } => {
                let (from, fold) = self.only(node, &ways, model, place)?;
                let steps = delay.scalar_or_uniform().map(|d| (d / self.reading.dt).round());
                let Some(steps) = steps.filter(|s| (1.0..=65536.0).contains(s)) else {
                    let message = "the delays differ, or are not 1 to 65536 steps long";
                    return Err(unsupported(
                        name,
                        message,
                        "use one delay for the whole node, and check `--dt`",
                    ));
                };
                let shape = plain(name, &fold)?;
                let scale = from.map_or(1.0, |n| model.layers[n].scale);
                (from, shape, scale, Op::Delay { steps: steps as usize })
            }
            _ => {
                let (from, shape, mut synapse) = self.synapse(name, &ways, model, place)?;
                let mut recurrent = self.recurrent(node, &own, &shape)?;
                let neuron = neuron(name, primitive, &shape, self.reading, &mut synapse, &mut recurrent)?;
                (from, shape, 1.0, Op::Neurons(Box::new(Neurons { synapse, recurrent, neuron })))
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
        own: &[Way],
        shape: &[usize],
    ) -> Result<Option<(Vec<f64>, Vec<f64>)>, Diagnostic> {
        let mut sum: Option<(Vec<f64>, Vec<f64>)> = None;
        for (_, list) in own {
            let (weight, bias) = self.folded(Chain::new(shape, 1.0), list)?.dense(self.name(node))?;
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
        if let [(Root::Node(node), list)] = &ways[..] {
            let from = place[*node].expect("layers come in order");
            if self.fold(list, Some(from), model)?.is_identity() {
                return Ok(from);
            }
        }
        let name = ways.iter().find_map(|(_, list)| list.last()).map_or("output", |n| self.name(n.0));
        let (from, shape, synapse) = self.synapse(name, &ways, model, place)?;
        let neuron = super::neuron::linear(self.reading)?;
        let op = Op::Neurons(Box::new(Neurons { synapse, recurrent: None, neuron }));
        model.layers.push(Layer { name: name.to_owned(), from, shape, scale: 1.0, op });
        Ok(model.layers.len() - 1)
    }
}

fn source(root: Root, place: &[Option<usize>]) -> Option<usize> {
    match root {
        Root::Input => None,
        Root::Node(n) => Some(place[n].expect("layers come in order")),
    }
}
