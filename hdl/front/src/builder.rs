//! A network from Rust, one layer after another. Files go through here too, so both get the same rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use nervure_core::diag::{divides, in_range};
use nervure_core::{
    AnyBlock, Diagnostic, InputPort, Instance, Network, Node, NodeId, Rate, Registry, Stream, TensorRef,
    TensorType,
};
use serde_json::{Map, Value};

use crate::explain::{self, Context};
use crate::{functions, packed, reference, suggest};

/// Fields of a layer that are not its block's parameters.
pub(crate) const LAYER_FIELDS: [&str; 4] = ["name", "block", "from", "fifo"];

/// Deepest queue in front of a layer, beats.
const MAX_FIFO: usize = 1 << 16;

/// Collects inputs, layers and outputs.
///
/// ```
/// use nervure_core::{Diagnostic, Network, QType, Registry, TensorType};
/// use nervure_front::NetworkBuilder;
/// use serde_json::json;
///
/// fn dense(registry: &Registry) -> Result<Network, Diagnostic> {
///     let weights = json!([[1, -1, 0, 2]]);
///     NetworkBuilder::new("small", registry)
///         .input("x", TensorType::frame(&[4], QType::unsigned(8)), None)?
///         .layer("out", "engine/folded", json!({"weights": weights, "weight_format": "s4", "pe": 1, "simd": 2}))?
///         .finish()
/// }
/// ```
pub struct NetworkBuilder<'r> {
    registry: &'r Registry,
    network: Network,
    schemas: BTreeMap<String, Value>,
}

impl<'r> NetworkBuilder<'r> {
    /// An empty network.
    pub fn new(name: &str, registry: &'r Registry) -> Self {
        let network = Network { name: name.to_owned(), ..Network::default() };
        Self { registry, network, schemas: BTreeMap::new() }
    }

    /// Adds an input; [`default_lanes`] elements a beat unless `lanes` says otherwise.
    ///
    /// Errors: `E0202` for lanes that do not divide the tensor, `E0204` for its shape, `E0401` for a name that is taken.
    pub fn input(mut self, name: &str, tensor: TensorType, lanes: Option<usize>) -> Result<Self, Diagnostic> {
        let check = || {
            self.free(name)?;
            tensor.check()?;
            let lanes = lanes.unwrap_or_else(|| default_lanes(&tensor));
            if tensor.rate == Rate::Event && lanes != 1 {
                let message = format!("`lanes` is {lanes}, and events pass one a beat");
                return Err(Diagnostic::new("E0202", message, "leave `lanes` out").at("lanes"));
            }
            divides("lanes", lanes, "the elements of the input", tensor.len())?;
            Ok(lanes)
        };
        let lanes = check().map_err(|d: Diagnostic| d.at(name).at("inputs"))?;
        self.network.inputs.push(InputPort { name: name.to_owned(), tensor, lanes });
        Ok(self)
    }

    /// Adds a layer. `params` is a mapping of the block's parameters, and of `from` and `fifo` as in a network file;
    /// without `from` it reads the layer before, or the only input. Parameters `input`, `inputs` and `input_lanes` follow from there.
    ///
    /// Errors: `E0103` and `E0104` for unknown, missing and mistyped fields, `E0108` for a `from` that names nothing,
    /// `E0302` for an unknown block, `E0401` for a name that is taken; whatever the block says of its parameters.
    pub fn layer(mut self, name: &str, block: &str, params: Value) -> Result<Self, Diagnostic> {
        let node = self.node(name, block, params).map_err(|d| d.at(name).at("layers"))?;
        self.network.nodes.push(node);
        Ok(self)
    }

    /// Makes the tensor `layer` or `layer.port` an output. Errors: `E0108`, or `E0401` when it is one already.
    pub fn output(mut self, name: &str) -> Result<Self, Diagnostic> {
        let tensor = self.tensor(name).map_err(|d| d.at("outputs"))?;
        if self.network.outputs.iter().any(|(_, r)| *r == tensor) {
            let message = format!("the output `{}` is listed twice", name.escape_debug());
            return Err(Diagnostic::new("E0401", message, "list every output once").at("outputs"));
        }
        self.network.outputs.push((name.to_owned(), tensor));
        Ok(self)
    }

    /// The network, checked; without outputs so far, the last layer is the output.
    ///
    /// Errors: what [`Network::validate`] says.
    pub fn finish(mut self) -> Result<Network, Diagnostic> {
        if let (true, Some(last)) = (self.network.outputs.is_empty(), self.network.nodes.len().checked_sub(1))
        {
            let name = self.network.nodes[last].name.clone();
            self.network.outputs.push((name, TensorRef::Output(NodeId(last), 0)));
        }
        self.network.validate()?;
        Ok(self.network)
    }

    fn names(&self) -> Vec<&str> {
        let inputs = self.network.inputs.iter().map(|i| i.name.as_str());
        inputs.chain(self.network.nodes.iter().map(|n| n.name.as_str())).collect()
    }

    fn free(&self, name: &str) -> Result<(), Diagnostic> {
        if !self.names().contains(&name) {
            return Ok(());
        }
        Err(Diagnostic::new(
            "E0401",
            format!("two inputs or layers are called `{}`", name.escape_debug()),
            "give every input and every layer a name of its own",
        ))
    }

    /// Errors: `E0108`.
    fn tensor(&self, text: &str) -> Result<TensorRef, Diagnostic> {
        let names = self.names();
        let (name, port) = reference::split(text, |n| names.contains(&n));
        let Some(at) = names.iter().position(|n| *n == name) else {
            return Err(reference::unknown(text, &names));
        };
        let Some(node) = at.checked_sub(self.network.inputs.len()) else {
            return if port.is_none() {
                Ok(TensorRef::Input(at))
            } else {
                Err(reference::unknown(text, &names))
            };
        };
        let streams = &self.network.nodes[node].instance.interface().outputs;
        let found = port.map_or(Some(0), |port| streams.iter().position(|s| s.name == port));
        found.map(|port| TensorRef::Output(NodeId(node), port)).ok_or_else(|| {
            let known: Vec<&str> = streams.iter().map(|s| s.name.as_str()).collect();
            let port = port.unwrap_or_default();
            let message =
                format!("the layer `{}` has no output `{}`", name.escape_debug(), port.escape_debug());
            Diagnostic::new("E0108", message, suggest::help(port, &known, "its outputs are"))
        })
    }

    fn node(&mut self, name: &str, block: &str, params: Value) -> Result<Node, Diagnostic> {
        self.free(name)?;
        if self.network.nodes.len() >= Network::MAX_NODES {
            let message = format!("more than {} layers", Network::MAX_NODES);
            return Err(Diagnostic::new("E0406", message, "split the network"));
        }
        let Value::Object(mut params) = params else {
            return Err(Diagnostic::new(
                "E0104",
                "the parameters are not a mapping",
                "write `name: value` pairs",
            ));
        };
        let fifo = fifo(params.shift_remove("fifo"))?;
        let from = if let Some(from) = params.shift_remove("from") {
            reference::list(&from)
        } else {
            let inputs: Vec<&str> = self.network.inputs.iter().map(|i| i.name.as_str()).collect();
            let before = self.network.nodes.last().map(|n| n.name.as_str());
            reference::default_from(before, &inputs).map(|f| vec![f])
        };
        let from = from.map_err(|d| d.at("from"))?;
        let inputs: Result<Vec<TensorRef>, Diagnostic> = from.iter().map(|f| self.tensor(f)).collect();
        let inputs = inputs.map_err(|d| d.at("from"))?;
        let instance = self.instance(block, params, &inputs)?;
        Ok(Node { name: name.to_owned(), instance, inputs, fifo })
    }

    fn instance(
        &mut self,
        block: &str,
        mut params: Map<String, Value>,
        from: &[TensorRef],
    ) -> Result<Arc<dyn Instance>, Diagnostic> {
        let known: Vec<&str> = self.registry.blocks().map(AnyBlock::name).collect();
        let suggested = |mut d: Diagnostic| {
            if d.code == "E0302" {
                let word = d.message.split('`').nth(1).unwrap_or_default();
                d.help = suggest::help(word, &known, "the blocks are");
            }
            d
        };
        let any = self.registry.get(block).map_err(suggested)?;
        let schema = self.schemas.entry(block.to_owned()).or_insert_with(|| any.schema());
        let takes = |field: &str| schema.get("properties").is_some_and(|p| p.get(field).is_some());
        let stream = from.first().map(|from| self.network.stream(*from));
        if takes("inputs") && !params.contains_key("inputs") {
            let tensors: Vec<TensorType> =
                from.iter().map(|from| self.network.stream(*from).tensor).collect();
            let tensors = serde_json::to_value(tensors).expect("tensor types are plain data");
            params.insert("inputs".to_owned(), tensors);
        }
        if takes("input") {
            match (params.get("input"), &stream) {
                // A type that does not even parse is for the block to refuse.
                (Some(given), _) => {
                    if let Ok(tensor) = serde_json::from_value::<TensorType>(given.clone()) {
                        written_input(&tensor, stream.as_ref()).map_err(|d| d.at("input"))?;
                    }
                }
                (None, Some(stream)) => {
                    let tensor = serde_json::to_value(&stream.tensor).expect("a tensor type is plain data");
                    params.insert("input".to_owned(), tensor);
                }
                (None, None) => {}
            }
        }
        if let (true, Some(stream)) = (takes("input_lanes"), &stream) {
            match params.get("input_lanes").map(Value::as_u64) {
                Some(Some(lanes)) => {
                    divides("input_lanes", lanes as usize, "the elements of the input", stream.tensor.len())?;
                }
                Some(None) => {}
                None => drop(params.insert("input_lanes".to_owned(), stream.lanes.into())),
            }
        }
        functions::tabulate(&mut params)?;
        packed::unpack(&mut params)?;
        let params = Value::Object(params);
        let kept = explain::skeleton(&params);
        any.instantiate(params).map_err(|d| {
            if d.code == "E0301" { explained(self.registry, block, &d, &kept, schema) } else { suggested(d) }
        })
    }
}

/// `d` in a person's words. Where its path leads into a block inside the block, that one speaks of its own fields.
fn explained(registry: &Registry, block: &str, d: &Diagnostic, params: &Value, schema: &Value) -> Diagnostic {
    let inner = (1..=d.path.len()).rev().find_map(|n| {
        let value = explain::value_at(params, &d.path[..n])?;
        let any = registry.get(value.get("block")?.as_str()?).ok()?;
        Some((n, any.name(), value, any.schema()))
    });
    let (depth, block, params, schema, also) = match &inner {
        Some((n, name, value, schema)) => (*n, *name, *value, schema, &LAYER_FIELDS[1..2]),
        None => (0, block, params, schema, &LAYER_FIELDS[..]),
    };
    let owner = format!("the block `{block}`");
    let more = format!("`nervure blocks {block}` lists every parameter");
    let cx = Context { owner: &owner, params, schema, also, more: &more };
    let explained = explain::explain(d.path[depth..].to_vec(), &d.message, &cx);
    d.path[..depth].iter().rev().fold(explained, |e, segment| e.at(segment.clone()))
}

/// Checks an `input` that was written out: blocks multiply extents, so a shape that overflows must not get that far.
fn written_input(tensor: &TensorType, stream: Option<&Stream>) -> Result<(), Diagnostic> {
    tensor.check()?;
    match stream {
        Some(stream) if stream.tensor != *tensor => Err(Diagnostic::new(
            "E0402",
            format!("`input` is {tensor}, and what arrives is {}", stream.tensor),
            "leave `input` out, for it follows from the layer before; or change that layer",
        )),
        _ => Ok(()),
    }
}

fn fifo(value: Option<Value>) -> Result<usize, Diagnostic> {
    let Some(value) = value else { return Ok(0) };
    let Some(depth) = value.as_u64() else {
        let help = "write how many beats the queue in front of the layer holds, such as `fifo: 16`";
        return Err(Diagnostic::new(
            "E0104",
            format!("`fifo` is {value}, expected a whole number from 0"),
            help,
        )
        .at("fifo"));
    };
    let depth = usize::try_from(depth).unwrap_or(usize::MAX);
    in_range("fifo", depth, 0..MAX_FIFO + 1).map(|()| depth)
}

/// Elements a beat of an input that does not say: the largest power of two that divides the elements and keeps a beat
/// within 32 bits; at least 1. Events pass one a beat.
pub fn default_lanes(tensor: &TensorType) -> usize {
    if tensor.rate == Rate::Event {
        return 1;
    }
    let len = tensor.len();
    let fits = |lanes: &usize| len.is_multiple_of(*lanes) && lanes * usize::from(tensor.format.bits) <= 32;
    [32, 16, 8, 4, 2].into_iter().find(fits).unwrap_or(1)
}
