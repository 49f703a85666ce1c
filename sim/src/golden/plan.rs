//! Where every tensor lies, and in which steps every layer runs.

use std::ops::Range;

use nervure_core::network::NodeId;
use nervure_core::simd::bits;
use nervure_core::{Diagnostic, Network, Rate, TensorRef, TensorType};

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
    /// Indices of tensors.
    pub(super) inputs: Vec<usize>,
    /// The same; after every tensor of an earlier layer.
    pub(super) outputs: Range<usize>,
    /// One tensor of spikes goes in as often as the layer runs, and one tensor comes out.
    pub(super) spikes: bool,
}

/// Places of a tensor: one for each step at hand, or one in all where it passes once a frame.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) rate: Rate,
    /// Whether it is made of spikes, and has places as bits.
    pub(super) spikes: bool,
    len: usize,
    wide: usize,
    bits: usize,
}

impl Place {
    /// Tensors in `steps` steps.
    pub(super) fn count(&self, steps: usize) -> usize {
        if self.rate.steps() { steps } else { 1 }
    }

    /// As integers, in step `i` of those at hand.
    pub(super) fn wide(&self, i: usize) -> Range<usize> {
        let start = self.wide + (self.count(i + 1) - 1) * self.len;
        start..start + self.len
    }

    /// As bits, in step `i` of those at hand.
    pub(super) fn bits(&self, i: usize) -> Range<usize> {
        let words = if self.spikes { bits::words(self.len) } else { 0 };
        let start = self.bits + (self.count(i + 1) - 1) * words;
        start..start + words
    }
}

/// Steps taken at a time, at most.
const SPAN: usize = 32;
/// Integers of all tensors in those steps, so that they stay in a processor's cache.
const CACHED: usize = 1 << 15;

/// Everything about a network that no sample changes.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The network's inputs, then what each layer makes.
    pub(super) tensors: Vec<Place>,
    pub(super) layers: Vec<Layer>,
    /// Steps taken at a time.
    pub(super) span: usize,
    /// Integers, and words of bits, in all places together.
    pub(super) wide: usize,
    pub(super) bits: usize,
}

impl Plan {
    /// `alone`: steps are taken one by one, and every layer starts from integers.
    pub(super) fn new(network: &Network, alone: bool) -> Result<Self, Diagnostic> {
        let outputs = network.nodes.iter().flat_map(|n| &n.instance.interface().outputs);
        let tensors = network.inputs.iter().map(|i| &i.tensor).chain(outputs.map(|s| &s.tensor));
        let step: usize = tensors.filter(|t| t.rate.steps()).map(TensorType::len).sum();
        let span = if alone { 1 } else { (CACHED / step.max(1)).clamp(1, SPAN) };
        let mut plan = Self { span, ..Self::default() };
        for input in &network.inputs {
            plan.claim(&input.tensor);
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
            let inputs: Vec<_> = node.inputs.iter().map(|r| plan.index(*r)).collect();
            let start = plan.tensors.len();
            interface.outputs.iter().for_each(|s| plan.claim(&s.tensor));
            let outputs = start..plan.tensors.len();
            assert!(
                inputs.len() <= PORTS && outputs.len() <= PORTS,
                "a layer has at most {PORTS} ports a side"
            );
            let fed =
                |x: usize| plan.tensors[x].spikes && (when != When::Every || plan.tensors[x].rate.steps());
            let spikes = !alone && outputs.len() == 1 && matches!(inputs[..], [x] if fed(x));
            plan.layers.push(Layer { when, inputs, outputs, spikes });
        }
        Ok(plan)
    }

    /// Index of a tensor.
    pub(super) fn index(&self, r: TensorRef) -> usize {
        match r {
            TensorRef::Input(n) => n,
            TensorRef::Output(NodeId(n), port) => self.layers[n].outputs.start + port,
        }
    }

    fn claim(&mut self, tensor: &TensorType) {
        let (format, rate, len) = (tensor.format, tensor.rate, tensor.len());
        let spikes = (format.min(), format.max()) == (0, 1);
        let place = Place { rate, spikes, len, wide: self.wide, bits: self.bits };
        self.wide = place.wide(self.span - 1).end;
        self.bits = place.bits(self.span - 1).end;
        self.tensors.push(place);
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
