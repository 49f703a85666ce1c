//! Where every tensor lies in the arena, and in which steps every layer runs.

use std::ops::Range;

use nervure_core::{Diagnostic, Network, Rate, TensorRef};

/// Inputs or outputs of one layer, at most (a slot of a schedule names them in eight bits).
pub(super) const PORTS: usize = 8;

/// In which steps of a sample a layer runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    First,
    Every,
    Last,
}

#[derive(Debug)]
pub(super) struct Layer {
    pub(super) when: When,
    pub(super) inputs: Vec<Range<usize>>,
    /// The network's input that it reads, where it reads nothing else and nobody else reads that.
    pub(super) direct: Option<usize>,
    /// Consecutive, and after every tensor of an earlier layer.
    pub(super) outputs: Vec<Range<usize>>,
}

/// Everything about a network that no sample changes.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) inputs: Vec<(Range<usize>, Rate)>,
    pub(super) layers: Vec<Layer>,
    pub(super) arena: usize,
}

impl Plan {
    pub(super) fn new(network: &Network) -> Result<Self, Diagnostic> {
        let mut plan = Self { inputs: Vec::new(), layers: Vec::new(), arena: 0 };
        for input in &network.inputs {
            let range = plan.claim(input.tensor.len());
            plan.inputs.push((range, input.tensor.rate));
        }
        for node in &network.nodes {
            let interface = node.instance.interface();
            let ports = interface.inputs.iter().chain(&interface.outputs);
            let steps = ports.into_iter().any(|s| s.tensor.rate.steps());
            let late = node.inputs.iter().find(|r| plan.is_late(network, **r));
            let when = match (steps, late) {
                (true, Some(&r)) => {
                    let name = network.tensor_name(r).escape_debug();
                    return Err(Diagnostic::new(
                        "E0407",
                        format!("this layer runs every step, but `{name}` is complete only after the last"),
                        "read a tensor per step instead, or one that comes before the first step",
                    )
                    .at("from")
                    .at(node.name.clone())
                    .at("layers"));
                }
                (true, None) => When::Every,
                (false, Some(_)) => When::Last,
                (false, None) => When::First,
            };
            let inputs: Vec<_> = node.inputs.iter().map(|r| plan.range(*r)).collect();
            let outputs: Vec<_> = interface.outputs.iter().map(|s| plan.claim(s.tensor.len())).collect();
            assert!(
                inputs.len() <= PORTS && outputs.len() <= PORTS,
                "a layer has at most {PORTS} ports a side"
            );
            let direct = match node.inputs[..] {
                [r @ TensorRef::Input(n)] if readers(network, r) == 1 => Some(n),
                _ => None,
            };
            plan.layers.push(Layer { when, inputs, direct, outputs });
        }
        Ok(plan)
    }

    /// Whether one layer alone reads a network's input.
    pub(super) fn is_direct(&self, input: usize) -> bool {
        self.layers.iter().any(|l| l.direct == Some(input))
    }

    /// Place of a tensor in the arena.
    pub(super) fn range(&self, r: TensorRef) -> Range<usize> {
        match r {
            TensorRef::Input(n) => self.inputs[n].0.clone(),
            TensorRef::Output(id, port) => self.layers[id.0].outputs[port].clone(),
        }
    }

    fn claim(&mut self, len: usize) -> Range<usize> {
        self.arena += len;
        self.arena - len..self.arena
    }

    /// Whether a tensor passes once a frame and exists only when the steps are over.
    fn is_late(&self, network: &Network, r: TensorRef) -> bool {
        match r {
            TensorRef::Input(_) => false,
            TensorRef::Output(id, _) => {
                network.stream(r).tensor.rate == Rate::Frame && self.layers[id.0].when != When::First
            }
        }
    }
}

/// How often a tensor is read, by layers and as an output.
fn readers(network: &Network, tensor: TensorRef) -> usize {
    let layers = network.nodes.iter().flat_map(|n| &n.inputs);
    layers.chain(network.outputs.iter().map(|(_, r)| r)).filter(|r| **r == tensor).count()
}
