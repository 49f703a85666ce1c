//! Passes over networks. Each keeps the meaning of every output; the golden model never sees their result.

use nervure_core::{Diagnostic, Network, NodeId, TensorRef};

/// A pass: its name and what it does, for `--help` and the report.
pub struct Pass {
    /// Name.
    pub name: &'static str,
    /// One line.
    pub title: &'static str,
    /// The pass.
    pub run: fn(&Network) -> Network,
}

/// All passes, in the order in which they run.
pub const PASSES: [Pass; 1] =
    [Pass { name: "remove-unread", title: "Remove layers that no output depends on", run: remove_unread }];

/// Runs every pass and validates after each. Errors: what [`Network::validate`] says.
pub fn optimise(network: &Network) -> Result<Network, Diagnostic> {
    let mut network = network.clone();
    for pass in &PASSES {
        network = (pass.run)(&network);
        network.validate()?;
    }
    Ok(network)
}

fn remove_unread(network: &Network) -> Network {
    let mut live = vec![false; network.nodes.len()];
    let mark = |r: &TensorRef, live: &mut Vec<bool>| {
        if let TensorRef::Output(id, _) = r {
            live[id.0] = true;
        }
    };
    network.outputs.iter().for_each(|(_, r)| mark(r, &mut live));
    for i in (0..network.nodes.len()).rev() {
        if live[i] {
            network.nodes[i].inputs.iter().for_each(|r| mark(r, &mut live));
        }
    }
    // Inputs are part of the design's interface: a layer that is the only reader of one stays.
    for input in 0..network.inputs.len() {
        let readers = || {
            network.nodes.iter().enumerate().filter(move |(_, n)| n.inputs.contains(&TensorRef::Input(input)))
        };
        if !readers().any(|(i, _)| live[i])
            && let Some((i, _)) = readers().next()
        {
            live[i] = true;
        }
    }
    let mut new_id = vec![NodeId(0); live.len()];
    let mut kept = 0;
    for (i, _) in live.iter().enumerate().filter(|(_, l)| **l) {
        new_id[i] = NodeId(kept);
        kept += 1;
    }
    let rename = |r: &TensorRef| match r {
        TensorRef::Input(n) => TensorRef::Input(*n),
        TensorRef::Output(id, port) => TensorRef::Output(new_id[id.0], *port),
    };
    let mut out = network.clone();
    out.nodes = network.nodes.iter().zip(&live).filter(|(_, l)| **l).map(|(n, _)| n.clone()).collect();
    out.nodes.iter_mut().for_each(|n| n.inputs = n.inputs.iter().map(rename).collect());
    out.outputs = network.outputs.iter().map(|(name, r)| (name.clone(), rename(r))).collect();
    out
}
