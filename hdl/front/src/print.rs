//! A network as text that [`load`](crate::load()) reads back: every parameter written out, weights inline.

use nervure_core::{Network, TensorRef};
use serde_json::{Value, json};

use crate::yaml::{entry, inline};

/// The printed form of `network`. It needs no `.npz` beside it; large weights make it long.
pub fn to_yaml(network: &Network) -> String {
    let mut out = String::from("nervure: 1\n");
    entry(&mut out, 0, "name", &Value::from(network.name.as_str()));
    if let Some(bus) = network.bus {
        entry(&mut out, 0, "bus", &Value::from(bus.name()));
    }
    out.push_str("inputs:\n");
    for input in &network.inputs {
        let fields = json!({
            "name": input.name,
            "shape": input.tensor.shape,
            "format": input.tensor.format,
            "rate": input.tensor.rate,
            "lanes": input.lanes,
        });
        out.push_str("  - ");
        inline(&mut out, &fields);
        out.push('\n');
    }
    out.push_str("layers:\n");
    for node in &network.nodes {
        out.push_str("  - ");
        entry(&mut out, 0, "name", &Value::from(node.name.as_str()));
        entry(&mut out, 4, "block", &Value::from(node.instance.block()));
        let from: Vec<String> = node.inputs.iter().map(|r| reference(network, *r)).collect();
        entry(&mut out, 4, "from", &json!(from));
        if node.fifo > 0 {
            entry(&mut out, 4, "fifo", &json!(node.fifo));
        }
        for (key, value) in node.instance.params().as_object().into_iter().flatten() {
            entry(&mut out, 4, key, value);
        }
    }
    let outputs: Vec<&str> = network.outputs.iter().map(|(name, _)| name.as_str()).collect();
    entry(&mut out, 0, "outputs", &json!(outputs));
    out
}

/// `layer`, or `layer.port` where the port is not the first.
pub(crate) fn reference(network: &Network, r: TensorRef) -> String {
    let name = network.tensor_name(r);
    match r {
        TensorRef::Output(_, port) if port > 0 => format!("{name}.{}", network.stream(r).name),
        _ => name.to_owned(),
    }
}
