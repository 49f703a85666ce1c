//! Lowering: one module a layer, or for several that are fused, and the plumbing between them. Nothing after this decides anything.
//!
//! The plumbing is made of four blocks of the library that every design may need: `stream/fork` where a tensor has
//! several readers, `stream/width` where the lanes of writer and reader differ, `stream/fifo` where the network asks for a
//! queue, and `stream/discard` where nobody reads an output.

use std::collections::BTreeMap;
use std::sync::Arc;

use nervure_core::ident::{Names, ident};
use nervure_core::kernel::Stages;
use nervure_core::num::gcd;
use nervure_core::{
    Body, Bus, Channel, Design, Diagnostic, Endpoint, Instance, Module, Network, Registry, Stream, Target,
    TensorRef, Timing,
};
use serde_json::json;

use crate::fuse::{self, Unit};
use crate::products::share_constant_products;

/// What a design is lowered for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Clock to schedule for, MHz; the target's own when absent.
    pub clock_mhz: Option<u32>,
    /// Most pipeline stages of a flat module, its output register included, even where the clock would need more.
    pub most_stages: Option<u32>,
    /// One module a layer: no fusion.
    pub separate: bool,
    /// What reaches the registers of a design from outside, where it has any; when absent what the network says, else AXI4-Lite.
    pub bus: Option<Bus>,
    /// Work to spend on products with constants, in units of about a microsecond of one core; a second of two cores when
    /// absent. It is counted, not timed: equal efforts give equal designs.
    pub effort: Option<u64>,
}

/// Who reads a tensor: its port, the beats of queue in front of it, and the layer's name.
type Reader = (Endpoint, usize, String);

/// Branches of one `stream/fork`.
const MAX_FORK: usize = 8;

/// The network's name, kept apart from what the top module calls its ports, nets and instances.
fn design_name(name: &str) -> String {
    let name = ident(name);
    let taken = ["clk", "rst_n"].contains(&name.as_str())
        || ["s_axis_", "m_axis_", "s_axil_", "i2c_", "link_", "bus_", "u_"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
    if taken { format!("net_{name}") } else { name }
}

struct Lowering<'a> {
    registry: &'a Registry,
    target: &'a Target,
    budget_ps: u32,
    most_stages: u32,
    products: nervure_cmvm::Options,
    names: Names,
    design: Design,
}

/// Lowers `network` for `target`.
///
/// Errors: those of the plumbing's parameters, and of [`Network::validate`]; `E0203` for several inputs beside memories that are
/// written at run time.
pub fn lower(
    network: &Network,
    registry: &Registry,
    target: &Target,
    options: &Options,
) -> Result<Design, Diagnostic> {
    network.validate()?;
    let clock_mhz = options.clock_mhz.unwrap_or(target.clock_mhz);
    let mut names = Names::default();
    let name = names.claim(&design_name(&network.name));
    names.claim(&format!("{name}_bus"));
    names.claim(&format!("{name}_i2c"));
    let mut ports = Names::default();
    let mut boundary = |stream: Stream, name: &str| Stream { name: ports.claim(name), ..stream };
    let inputs = (0..network.inputs.len())
        .map(|n| boundary(network.stream(TensorRef::Input(n)), &network.inputs[n].name))
        .collect();
    let outputs = network.outputs.iter().map(|(name, r)| boundary(network.stream(*r), name)).collect();
    let design = Design {
        name,
        title: network.name.clone(),
        source: network.source.clone(),
        target: target.name.clone(),
        clock_mhz,
        bus: options.bus.or(network.bus).unwrap_or_default(),
        inputs,
        outputs,
        modules: Vec::new(),
        channels: Vec::new(),
    };
    let most_stages = options.most_stages.unwrap_or(u32::MAX).max(1);
    let mut products = nervure_cmvm::Options::default();
    products.effort = options.effort.unwrap_or(products.effort);
    products.threads = std::thread::available_parallelism().map_or(1, usize::from);
    let budget_ps = target.budget_ps(clock_mhz);
    let mut l = Lowering { registry, target, budget_ps, most_stages, products, names, design };
    l.run(network, fuse::units(network, options.separate))?;
    let design = sorted(l.design);
    design.validate();
    if !design.banks().is_empty() && design.inputs.len() != 1 {
        let message =
            format!("{} inputs, and memories that are written between two samples", design.inputs.len());
        let help = "use constant weights, or join the inputs to one";
        return Err(Diagnostic::new("E0203", message, help).at("inputs"));
    }
    Ok(design)
}

impl Lowering<'_> {
    fn run(&mut self, network: &Network, units: Vec<Unit>) -> Result<(), Diagnostic> {
        let mut readers: BTreeMap<TensorRef, Vec<Reader>> = BTreeMap::new();
        let mut writers: BTreeMap<TensorRef, Endpoint> = BTreeMap::new();
        for n in 0..network.inputs.len() {
            readers.insert(TensorRef::Input(n), Vec::new());
            writers.insert(TensorRef::Input(n), Endpoint::Boundary(n));
        }
        for unit in &units {
            readers.extend(unit.outputs.iter().map(|tensor| (*tensor, Vec::new())));
        }
        for unit in units {
            let module = self.module(&unit.name, &unit.layer, unit.node, unit.instance, unit.body);
            for (port, tensor) in unit.outputs.into_iter().enumerate() {
                writers.insert(tensor, Endpoint::Port { module, port });
            }
            for (port, (tensor, fifo)) in unit.inputs.into_iter().enumerate() {
                let list = readers.get_mut(&tensor).expect("a tensor has a writer");
                list.push((Endpoint::Port { module, port }, fifo, unit.name.clone()));
            }
        }
        for (n, (name, tensor)) in network.outputs.iter().enumerate() {
            let list = readers.get_mut(tensor).expect("outputs exist");
            list.push((Endpoint::Boundary(n), 0, name.clone()));
        }
        for (tensor, readers) in readers {
            let stream = network.stream(tensor);
            let name = network.tensor_name(tensor).to_owned();
            self.connect(writers[&tensor], &stream, &name, readers)?;
        }
        Ok(())
    }

    /// Adds a module and returns its index.
    fn module(
        &mut self,
        name: &str,
        layer: &str,
        node: Option<usize>,
        instance: Arc<dyn Instance>,
        body: Body,
    ) -> usize {
        // Kernels and memories become modules and files of their own, named after the module.
        let (body, stages, timing, parts) = match body {
            Body::Kernel(kernel) => {
                let (stages, timing) = pipeline(kernel.stages(self.target, self.budget_ps));
                (Body::Kernel(kernel), stages, timing, vec!["kernel".to_owned(), "param".to_owned()])
            }
            Body::Flat(kernel) => {
                let mut kernel = share_constant_products(&kernel, &self.products);
                kernel.simplify();
                kernel.validate();
                let stages = kernel.flat_stages(self.target, self.budget_ps, self.most_stages);
                let (stages, timing) = pipeline(stages);
                let stores = kernel.stores.iter().map(|s| s.name.clone());
                let parts = std::iter::once("kernel".to_owned()).chain(stores).collect();
                (Body::Flat(kernel), stages, timing, parts)
            }
            Body::Template(t) => {
                t.kernels.iter().for_each(|(_, kernel)| kernel.validate());
                let memories = t.memories.iter().map(|m| m.name.clone());
                let parts = t.kernels.iter().map(|(name, _)| (*name).to_owned()).chain(memories).collect();
                let timing = t.timing;
                (Body::Template(t), None, timing, parts)
            }
        };
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let name = self.names.claim_family(&format!("{}_{name}", self.design.name), &parts);
        let layer = layer.to_owned();
        self.design.modules.push(Module { name, layer, node, instance, body, stages, timing });
        self.design.modules.len() - 1
    }

    fn plumb(
        &mut self,
        block: &str,
        role: &str,
        layer: &str,
        params: serde_json::Value,
    ) -> Result<usize, Diagnostic> {
        let instance = self.registry.get(block)?.instantiate(params);
        let instance = instance.map_err(|d| d.at(layer).at("layers"))?;
        let body = instance.body();
        Ok(self.module(&format!("{layer}_{role}"), layer, None, instance, body))
    }

    fn connect(
        &mut self,
        from: Endpoint,
        stream: &Stream,
        name: &str,
        readers: Vec<Reader>,
    ) -> Result<(), Diagnostic> {
        let tensor = json!(stream.tensor);
        if readers.is_empty() {
            let sink = json!({"input": tensor, "input_lanes": stream.lanes});
            let module = self.plumb("stream/discard", "discard", name, sink)?;
            self.channel(from, Endpoint::Port { module, port: 0 }, stream);
            return Ok(());
        }
        if let [(to, fifo, layer)] = &readers[..] {
            return self.link(from, stream.clone(), *to, *fifo, layer);
        }
        // A fork has at most eight branches; more readers make a tree.
        let groups: Vec<Vec<Reader>> =
            readers.chunks(readers.len().div_ceil(MAX_FORK)).map(<[Reader]>::to_vec).collect();
        let copies = json!({"input": tensor, "input_lanes": stream.lanes, "copies": groups.len()});
        let module = self.plumb("stream/fork", "fork", name, copies)?;
        self.channel(from, Endpoint::Port { module, port: 0 }, stream);
        for (port, group) in groups.into_iter().enumerate() {
            self.connect(Endpoint::Port { module, port }, stream, name, group)?;
        }
        Ok(())
    }

    /// One writer to one reader, with the queue and the width adapters between them.
    fn link(
        &mut self,
        mut from: Endpoint,
        mut stream: Stream,
        to: Endpoint,
        fifo: usize,
        layer: &str,
    ) -> Result<(), Diagnostic> {
        let wanted = match to {
            Endpoint::Boundary(_) => stream.lanes,
            Endpoint::Port { module, port } => {
                self.design.modules[module].instance.interface().inputs[port].lanes
            }
        };
        if fifo > 0 {
            let queue = json!({"input": stream.tensor, "input_lanes": stream.lanes, "depth": fifo});
            let module = self.plumb("stream/fifo", "fifo", layer, queue)?;
            self.channel(from, Endpoint::Port { module, port: 0 }, &stream);
            from = Endpoint::Port { module, port: 0 };
        }
        while stream.lanes != wanted {
            let direct = stream.lanes.is_multiple_of(wanted) || wanted.is_multiple_of(stream.lanes);
            let next = if direct { wanted } else { gcd(stream.lanes, wanted) };
            let adapter = json!({"input": stream.tensor, "input_lanes": stream.lanes, "lanes": next});
            let module = self.plumb("stream/width", "width", layer, adapter)?;
            self.channel(from, Endpoint::Port { module, port: 0 }, &stream);
            from = Endpoint::Port { module, port: 0 };
            stream.lanes = next;
        }
        self.channel(from, to, &stream);
        Ok(())
    }

    fn channel(&mut self, from: Endpoint, to: Endpoint, stream: &Stream) {
        self.design.channels.push(Channel { from, to, stream: stream.clone() });
    }
}

/// How a pipeline moves whose last stage ends in the output register.
const fn pipeline(stages: Stages) -> (Option<Stages>, Timing) {
    let timing = Timing::Pipeline { depth: stages.count - 1, prologue: 0 };
    (Some(stages), timing)
}

/// The same design with modules in topological order (Kahn's algorithm; ties by the order they were made in).
fn sorted(design: Design) -> Design {
    let n = design.modules.len();
    let mut waits_for = vec![0; n];
    let edge = |c: &Channel| match (c.from, c.to) {
        (Endpoint::Port { module: a, .. }, Endpoint::Port { module: b, .. }) => Some((a, b)),
        _ => None,
    };
    design.channels.iter().filter_map(edge).for_each(|(_, b)| waits_for[b] += 1);
    let mut order = Vec::with_capacity(n);
    let mut placed = vec![false; n];
    while let Some(next) = (0..n).find(|&i| !placed[i] && waits_for[i] == 0) {
        placed[next] = true;
        order.push(next);
        design
            .channels
            .iter()
            .filter_map(edge)
            .filter(|(a, _)| *a == next)
            .for_each(|(_, b)| waits_for[b] -= 1);
    }
    let mut new_index = vec![0; n];
    order.iter().enumerate().for_each(|(new, &old)| new_index[old] = new);
    let rename = |e: Endpoint| match e {
        Endpoint::Boundary(n) => Endpoint::Boundary(n),
        Endpoint::Port { module, port } => Endpoint::Port { module: new_index[module], port },
    };
    let channels = design
        .channels
        .iter()
        .map(|c| Channel { from: rename(c.from), to: rename(c.to), stream: c.stream.clone() })
        .collect();
    let modules = order.iter().map(|&old| design.modules[old].clone()).collect();
    Design { modules, channels, ..design }
}
