//! The first intermediate form: layers and the tensors between them. It is the meaning of a design.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::block::Stream;
use crate::design::Bus;
use crate::diag::Diagnostic;
use crate::registry::Instance;
use crate::tensor::TensorType;

/// Index of a node in [`Network::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub usize);

/// One tensor of the network: where an edge starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TensorRef {
    /// Network input number n.
    Input(usize),
    /// Output port of a node.
    Output(NodeId, usize),
}

/// What enters the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputPort {
    /// Name; samples carry an array of this name.
    pub name: String,
    /// Type.
    pub tensor: TensorType,
    /// Elements a beat at the design's port; 1 for events.
    pub lanes: usize,
}

/// One layer.
#[derive(Debug, Clone)]
pub struct Node {
    /// Name, as the person wrote it.
    pub name: String,
    /// The block with its parameters.
    pub instance: Arc<dyn Instance>,
    /// One tensor per input of the block.
    pub inputs: Vec<TensorRef>,
    /// Beats of queue in front of the first input; 0 for none.
    pub fifo: usize,
}

/// Layers, integer constants, formats and rates.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// Name, as the person wrote it.
    pub name: String,
    /// File that it came from and the SHA-256 of everything read, for headers and the manifest.
    pub source: Option<(String, String)>,
    /// What enters.
    pub inputs: Vec<InputPort>,
    /// Layers; after [`Network::validate`] a node's inputs come before it.
    pub nodes: Vec<Node>,
    /// What leaves: name and tensor.
    pub outputs: Vec<(String, TensorRef)>,
    /// What shall reach its registers from outside, where the file says so.
    pub bus: Option<Bus>,
}

impl Network {
    /// Largest number of layers.
    pub const MAX_NODES: usize = 4096;

    /// Type and lanes of a tensor.
    pub fn stream(&self, r: TensorRef) -> Stream {
        match r {
            TensorRef::Input(n) => {
                let port = &self.inputs[n];
                Stream::any(&port.name, port.tensor.clone(), port.lanes)
            }
            TensorRef::Output(id, port) => self.nodes[id.0].instance.interface().outputs[port].clone(),
        }
    }

    /// Name of a tensor for people: the input, or the layer that makes it.
    pub fn tensor_name(&self, r: TensorRef) -> &str {
        match r {
            TensorRef::Input(n) => &self.inputs[n].name,
            TensorRef::Output(id, _) => &self.nodes[id.0].name,
        }
    }

    /// Checks what every later stage relies on: names differ, every edge starts earlier and has the type that its
    /// reader expects, every input is read, there is an output.
    ///
    /// Errors: `E0401` duplicate name, `E0402` wrong type, `E0403` unread input, `E0404` no output, `E0405` a cycle
    /// (an edge from a later layer), `E0406` too many layers.
    pub fn validate(&self) -> Result<(), Diagnostic> {
        let mut names = BTreeSet::new();
        for name in self.inputs.iter().map(|i| &i.name).chain(self.nodes.iter().map(|n| &n.name)) {
            if !names.insert(name) {
                return Err(Diagnostic::new(
                    "E0401",
                    format!("two inputs or layers are called `{}`", name.escape_debug()),
                    "give every input and every layer a name of its own",
                )
                .at(name.clone()));
            }
        }
        if self.nodes.len() > Self::MAX_NODES {
            let (n, max) = (self.nodes.len(), Self::MAX_NODES);
            return Err(Diagnostic::new("E0406", format!("{n} layers; at most {max}"), "split the network"));
        }
        let mut read = vec![false; self.inputs.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            self.check_edges(i, node, &mut read).map_err(|d| d.at(node.name.clone()).at("layers"))?;
        }
        for (name, r) in &self.outputs {
            if let TensorRef::Input(_) = r {
                return Err(Diagnostic::new(
                    "E0404",
                    format!("output `{}` is an input of the network", name.escape_debug()),
                    "name a layer",
                )
                .at("outputs"));
            }
        }
        if let Some(n) = read.iter().position(|r| !r) {
            let name = &self.inputs[n].name;
            return Err(Diagnostic::new(
                "E0403",
                format!("nothing reads the input `{}`", name.escape_debug()),
                "remove it, or name it in a layer's `from`",
            )
            .at(name.clone())
            .at("inputs"));
        }
        if self.outputs.is_empty() {
            return Err(Diagnostic::new("E0404", "the network has no output", "give it at least one layer"));
        }
        Ok(())
    }

    fn check_edges(&self, index: usize, node: &Node, read: &mut [bool]) -> Result<(), Diagnostic> {
        let wanted = &node.instance.interface().inputs;
        if wanted.len() != node.inputs.len() {
            let (got, want) = (node.inputs.len(), wanted.len());
            return Err(Diagnostic::new(
                "E0402",
                format!("{} has {want} inputs, {got} given", node.instance.block()),
                "list one tensor per input in `from`",
            )
            .at("from"));
        }
        for (r, want) in node.inputs.iter().zip(wanted) {
            match r {
                TensorRef::Input(n) => read[*n] = true,
                TensorRef::Output(id, _) if id.0 >= index => {
                    return Err(Diagnostic::new(
                        "E0405",
                        format!(
                            "the edge from `{}` closes a cycle without a state on it",
                            self.nodes[id.0].name.escape_debug()
                        ),
                        "let layers read only earlier layers, or put the recurrence inside a block with state",
                    )
                    .at("from"));
                }
                TensorRef::Output(..) => {}
            }
            let given = self.stream(*r).tensor;
            if given != want.tensor {
                return Err(Diagnostic::new(
                    "E0402",
                    format!("`{}` delivers {given}, expected {}", self.tensor_name(*r), want.tensor),
                    "change the layer before, or this layer's `input`",
                )
                .at("input"));
            }
        }
        Ok(())
    }
}
