//! Fusion: neighbouring layers that compute whole tensors without state become one module with one kernel, so that
//! constants, ranges and pipeline stages reach across the borders of layers. The golden model never sees it.
//!
//! A layer can be fused when all its streams pass in one beat and it is a flat kernel, or an elementwise one without state.
//! A `fifo` in front of a layer keeps it apart from what it reads. Layers are fused only where nothing can come of waiting for
//! one another: the module reads inputs of the network alone, or one tensor alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nervure_core::ident::{Names, ident};
use nervure_core::kernel::{Builder, Expr, Kernel, Op, Store, ValueId};
use nervure_core::{
    Area, Body, Fold, Instance, Interface, Network, Node, NodeId, Packed, PackedMut, Runner, Schedule,
    Stream, Target, TensorRef,
};
use serde_json::{Value, json};

/// Streams on one side of a module: as many as a slot's mask has bits.
const MAX_STREAMS: usize = 8;
/// Elements that a fused module reads: a kernel counts its inputs in 16 bits.
const MAX_ELEMENTS: usize = 1 << 15;

/// What becomes one module.
pub(crate) struct Unit {
    /// Name of the module, before it is made unique.
    pub(crate) name: String,
    /// The layers, for people.
    pub(crate) layer: String,
    /// The layer's index, where there is only one.
    pub(crate) node: Option<usize>,
    pub(crate) instance: Arc<dyn Instance>,
    pub(crate) body: Body,
    /// What its ports read, and the beats of queue in front of them.
    pub(crate) inputs: Vec<(TensorRef, usize)>,
    /// What its ports give.
    pub(crate) outputs: Vec<TensorRef>,
}

/// The modules of `network`, in the order of their first layers. With `separate`, one a layer.
pub(crate) fn units(network: &Network, separate: bool) -> Vec<Unit> {
    let bodies: Vec<Body> = network.nodes.iter().map(|n| n.instance.body()).collect();
    let groups =
        if separate { (0..network.nodes.len()).map(|i| vec![i]).collect() } else { groups(network, &bodies) };
    let mut bodies: Vec<Option<Body>> = bodies.into_iter().map(Some).collect();
    let unit = |group: Vec<usize>| {
        if let [i] = group[..] {
            single(network, i, bodies[i].take().expect("each layer is in one group"))
        } else {
            fused(network, &group, &bodies)
        }
    };
    groups.into_iter().map(unit).collect()
}

fn single(network: &Network, index: usize, body: Body) -> Unit {
    let node = &network.nodes[index];
    let fifo = |port| if port == 0 { node.fifo } else { 0 };
    Unit {
        name: node.name.clone(),
        layer: node.name.clone(),
        node: Some(index),
        instance: node.instance.clone(),
        body,
        inputs: node.inputs.iter().enumerate().map(|(port, r)| (*r, fifo(port))).collect(),
        outputs: outputs_of(index, node).collect(),
    }
}

fn outputs_of(index: usize, node: &Node) -> impl Iterator<Item = TensorRef> {
    (0..node.instance.interface().outputs.len()).map(move |port| TensorRef::Output(NodeId(index), port))
}

/// Whether a layer can share a module with its neighbours.
fn fusible(node: &Node, body: &Body) -> bool {
    let ports = node.instance.interface();
    let whole = ports.inputs.iter().chain(&ports.outputs).all(|s| s.beats() == 1);
    match body {
        Body::Flat(_) => true,
        Body::Kernel(kernel) => whole && kernel.states.is_empty(),
        Body::Template(_) => false,
    }
}

/// Which layers go together, in the order of their first ones.
fn groups(network: &Network, bodies: &[Body]) -> Vec<Vec<usize>> {
    let n = network.nodes.len();
    let mut group_of: Vec<usize> = (0..n).collect();
    let mut members: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
    let can: Vec<bool> = network.nodes.iter().zip(bodies).map(|(node, body)| fusible(node, body)).collect();
    for (i, node) in network.nodes.iter().enumerate().filter(|(i, _)| can[*i]) {
        let before: BTreeSet<usize> = node
            .inputs
            .iter()
            .filter_map(|r| match r {
                TensorRef::Output(id, _) if can[id.0] => Some(group_of[id.0]),
                _ => None,
            })
            .collect();
        let mut all: Vec<usize> = before.iter().flat_map(|g| members[*g].iter().copied()).collect();
        all.push(i);
        all.sort_unstable();
        if all.len() > 1 && may_join(network, &all) {
            for &m in &all {
                group_of[m] = all[0];
                members[m].clear();
            }
            let first = all[0];
            members[first] = all;
        }
    }
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for group in members.into_iter().filter(|g| !g.is_empty()) {
        if group.len() > 1 && read_outside(network, &group).len() > MAX_STREAMS {
            groups.extend(group.into_iter().map(|i| vec![i]));
        } else {
            groups.push(group);
        }
    }
    groups.sort_unstable_by_key(|g| g[0]);
    groups
}

/// Whether these layers may be one module.
///
/// As it reads inputs of the network alone or one tensor alone, no path can leave it and come back, and no stream waits for
/// another that depends on it.
fn may_join(network: &Network, group: &[usize]) -> bool {
    let inside = |r: &TensorRef| matches!(r, TensorRef::Output(id, _) if group.binary_search(&id.0).is_ok());
    let queue = |i: &usize| network.nodes[*i].fifo > 0 && inside(&network.nodes[*i].inputs[0]);
    let reads = read_from_outside(network, group);
    let elements: usize = reads.iter().map(|r| network.stream(*r).tensor.len()).sum();
    let rate = |r: &TensorRef| network.stream(*r).tensor.rate;
    !group.iter().any(queue)
        && elements <= MAX_ELEMENTS
        && reads.len() <= MAX_STREAMS
        && reads.iter().all(|r| rate(r) == rate(&reads[0]))
        && (reads.len() == 1 || reads.iter().all(|r| matches!(r, TensorRef::Input(_))))
}

/// The tensors that layers of `group` read and that others make, each once.
fn read_from_outside(network: &Network, group: &[usize]) -> Vec<TensorRef> {
    let mut list = Vec::new();
    for r in group.iter().flat_map(|i| &network.nodes[*i].inputs) {
        let inside = matches!(r, TensorRef::Output(id, _) if group.binary_search(&id.0).is_ok());
        if !inside && !list.contains(r) {
            list.push(*r);
        }
    }
    list
}

/// The tensors of `group` that other layers read, or that leave the network.
fn read_outside(network: &Network, group: &[usize]) -> Vec<TensorRef> {
    let own = group.iter().flat_map(|i| outputs_of(*i, &network.nodes[*i]));
    let others = || network.nodes.iter().enumerate().filter(|(i, _)| group.binary_search(i).is_err());
    let leaves = |r: &TensorRef| network.outputs.iter().any(|(_, o)| o == r);
    own.filter(|r| leaves(r) || others().any(|(_, n)| n.inputs.contains(r))).collect()
}

fn fused(network: &Network, group: &[usize], bodies: &[Option<Body>]) -> Unit {
    let reads = read_from_outside(network, group);
    let gives = read_outside(network, group);
    let mut names = Names::default();
    let mut stream = |r: &TensorRef| {
        let tensor = network.stream(*r).tensor;
        let lanes = tensor.len();
        Stream::new(&names.claim(network.tensor_name(*r)), tensor, lanes)
    };
    let interface = Interface {
        inputs: reads.iter().map(&mut stream).collect(),
        outputs: gives.iter().map(&mut stream).collect(),
    };
    let layers: Vec<String> = group.iter().map(|i| network.nodes[*i].name.clone()).collect();
    let kernel = compose(network, group, bodies, &interface, (&reads, &gives));
    let queue = |r: &TensorRef| {
        let first = |i: &usize| network.nodes[*i].inputs.first() == Some(r);
        group.iter().filter(|i| first(i)).map(|i| network.nodes[*i].fifo).max().unwrap_or(0)
    };
    let (first, last) = (&layers[0], &layers[layers.len() - 1]);
    Unit {
        name: format!("{first}_to_{last}"),
        layer: layers.join(", "),
        node: None,
        inputs: reads.iter().map(|r| (*r, queue(r))).collect(),
        outputs: gives,
        body: Body::Flat(kernel.clone()),
        instance: Arc::new(Fused { interface, layers, kernel }),
    }
}

/// One kernel that computes what the layers compute one after the other.
fn compose(
    network: &Network,
    group: &[usize],
    bodies: &[Option<Body>],
    interface: &Interface,
    (reads, gives): (&[TensorRef], &[TensorRef]),
) -> Kernel {
    let k = Builder::new();
    let mut names = Names::default();
    let mut tensors: BTreeMap<TensorRef, Vec<Expr<'_>>> = BTreeMap::new();
    for (r, stream) in reads.iter().zip(&interface.inputs) {
        let element = |e: usize| k.input(&format!("{}_{e}", stream.name), stream.tensor.format);
        tensors.insert(*r, (0..stream.tensor.len()).map(element).collect());
    }
    for &i in group {
        let node = &network.nodes[i];
        let x: Vec<&[Expr<'_>]> = node.inputs.iter().map(|r| tensors[r].as_slice()).collect();
        let all = match bodies[i].as_ref().expect("each layer is in one group") {
            Body::Flat(kernel) => {
                let x: Vec<Expr<'_>> = x.into_iter().flatten().copied().collect();
                write(&k, kernel, 0, &x, &names.claim(&node.name))
            }
            Body::Kernel(kernel) => (0..x[0].len())
                .flat_map(|e| write(&k, kernel, e, &x.iter().map(|x| x[e]).collect::<Vec<_>>(), ""))
                .collect(),
            Body::Template(_) => unreachable!("structure is not fused"),
        };
        let mut rest = &all[..];
        for r in outputs_of(i, node) {
            let own = rest.split_off(..network.stream(r).tensor.len()).expect("a kernel gives every element");
            if !gives.contains(&r) {
                let name = ident(&node.name);
                own.iter().enumerate().for_each(|(e, y)| {
                    let _ = y.named(&format!("{name}_{e}"));
                });
            }
            tensors.insert(r, own.to_vec());
        }
    }
    for (r, stream) in gives.iter().zip(&interface.outputs) {
        for (e, y) in tensors[r].iter().enumerate() {
            k.output_as(&format!("{}_{e}", stream.name), stream.tensor.format, *y);
        }
    }
    k.finish()
}

/// Writes `kernel` for element `element` with these inputs, and returns its outputs. Names inside a layer are left out; its
/// stores are called after `layer`.
fn write<'k>(k: &'k Builder, kernel: &Kernel, element: usize, x: &[Expr<'k>], layer: &str) -> Vec<Expr<'k>> {
    let mut given = Vec::new();
    let store = |s: &Store| k.store(Store { name: format!("{layer}_{}", s.name), ..s.clone() });
    let stores: Vec<Vec<Expr<'k>>> = kernel.stores.iter().map(store).collect();
    for (id, value) in (0..).map(ValueId).zip(&kernel.values) {
        match value.op {
            Op::Input(n) => given.push((id, x[n as usize])),
            Op::Word(n, word) => given.push((id, stores[n as usize][word as usize])),
            Op::Param(n) => {
                let values = &kernel.params[n as usize].values;
                given.push((id, k.constant(values[element % values.len()], value.frac)));
            }
            _ => {}
        }
    }
    k.inline_unnamed(kernel, &given).0
}

/// Several layers in one module.
#[derive(Debug)]
struct Fused {
    interface: Interface,
    layers: Vec<String>,
    kernel: Kernel,
}

impl Instance for Fused {
    fn block(&self) -> &'static str {
        "fused"
    }

    fn params(&self) -> Value {
        json!({"layers": self.layers})
    }

    fn interface(&self) -> &Interface {
        &self.interface
    }

    fn folds(&self) -> Vec<Fold> {
        Vec::new()
    }

    fn body(&self) -> Body {
        Body::Flat(self.kernel.clone())
    }

    fn cost(&self, t: &Target) -> Area {
        self.kernel.flat_area(t)
    }

    fn runner(&self) -> Box<dyn Runner> {
        Box::new(Running { interface: self.interface.clone(), kernel: self.kernel.clone() })
    }
}

/// The kernel, interpreted.
struct Running {
    interface: Interface,
    kernel: Kernel,
}

impl Runner for Running {
    fn reset(&mut self) {}

    fn schedule(&self, _: &[&[i64]], _: bool, out: &mut Schedule) {
        let mask = |streams: &[Stream]| ((1u16 << streams.len()) - 1) as u8;
        out.pass_from(mask(&self.interface.inputs), mask(&self.interface.outputs), 1);
    }

    fn step(&mut self, x: &[&[i64]], y: &mut [&mut [i64]]) {
        let result = self.kernel.eval(0, &x.concat(), &[]).outputs;
        y.iter_mut().flat_map(|y| y.iter_mut()).zip(result).for_each(|(y, v)| *y = v);
    }

    fn step_packed(&mut self, _: usize, _: Packed, _: PackedMut) -> bool {
        false
    }
}
