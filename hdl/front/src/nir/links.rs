//! Who reads whom: ways from the inputs and to the outputs, circles, and the removal of nodes that give what they get.

use std::collections::BTreeSet;

use nervure_core::Diagnostic;

use super::draft::{Draft, Drafts, MAX_EDGES};
use super::graph::Primitive;

/// Edges by node.
pub(super) struct Links {
    /// Nodes that each node reads, ascending.
    pub(super) sources: Vec<Vec<usize>>,
    /// Nodes that read each node, ascending.
    pub(super) targets: Vec<Vec<usize>>,
}

impl Links {
    /// The edges of `drafts`.
    pub(super) fn new(drafts: &Drafts) -> Self {
        let none = || vec![Vec::new(); drafts.nodes.len()];
        let mut links = Self { sources: none(), targets: none() };
        for &(from, to) in &drafts.edges {
            links.targets[from].push(to);
            links.sources[to].push(from);
        }
        links
    }

    /// Errors: `E0126` for an edge into an input or out of an output, `E0127` without an input or output, `E0129` for a
    /// node on no way from an input to an output, `E0128` for a circle without state.
    pub(super) fn check(&self, nodes: &[Draft], shown: &str) -> Result<(), Diagnostic> {
        let is_input = |n: &Draft| matches!(n.primitive, Primitive::Input { .. }) && !n.inner;
        let is_output = |n: &Draft| matches!(n.primitive, Primitive::Output { .. }) && !n.inner;
        let which = |is: &dyn Fn(&Draft) -> bool| -> Vec<usize> {
            (0..nodes.len()).filter(|i| is(&nodes[*i])).collect()
        };
        let (inputs, outputs) = (which(&is_input), which(&is_output));
        for (ends, word) in [(&inputs, "Input"), (&outputs, "Output")] {
            if ends.is_empty() {
                let message = format!("`{shown}`: the graph has no node of type {word}");
                let help = format!("add a node of type {word}, and an edge to tell where it belongs");
                return Err(Diagnostic::new("E0127", message, help));
            }
        }
        let into =
            inputs.iter().find(|i| !self.sources[**i].is_empty()).map(|i| (*i, "an edge leads into it"));
        let out =
            outputs.iter().find(|i| !self.targets[**i].is_empty()).map(|i| (*i, "an edge leads out of it"));
        if let Some((i, what)) = into.or(out) {
            let help = "inputs have edges out of them alone, and outputs into them";
            return Err(about(&nodes[i], shown, "E0126", &format!(", but {what}"), help));
        }
        let forward = reach(&self.targets, inputs);
        if let Some(i) = forward.iter().position(|seen| !seen) {
            let what = " lies on no way from an input";
            return Err(about(
                &nodes[i],
                shown,
                "E0129",
                what,
                "remove it, or add the edge that leads to it",
            ));
        }
        let backward = reach(&self.sources, outputs);
        if let Some(i) = backward.iter().position(|seen| !seen) {
            let what = " lies on no way to an output";
            return Err(about(
                &nodes[i],
                shown,
                "E0129",
                what,
                "remove it, or add the edge that leads away from it",
            ));
        }
        self.circle(nodes, shown)
    }

    /// Fails with `E0128` for a circle of nodes whose outputs all follow their inputs at once.
    fn circle(&self, nodes: &[Draft], shown: &str) -> Result<(), Diagnostic> {
        let state: Vec<bool> = nodes.iter().map(|n| n.primitive.has_state()).collect();
        let waits = |i: &usize| !state[*i];
        // Nodes are taken away once all that they wait for is; a circle never is.
        let mut waiting: Vec<usize> =
            self.sources.iter().map(|sources| sources.iter().filter(|s| waits(s)).count()).collect();
        let mut ready: Vec<usize> = (0..nodes.len()).filter(|i| waiting[*i] == 0).collect();
        let mut left: BTreeSet<usize> = (0..nodes.len()).filter(waits).collect();
        while let Some(i) = ready.pop() {
            if !left.remove(&i) {
                continue;
            }
            for &target in &self.targets[i] {
                waiting[target] -= 1;
                if waiting[target] == 0 {
                    ready.push(target);
                }
            }
        }
        let Some(&start) = left.first() else { return Ok(()) };
        // Every node that is left waits for another one: going back from one leads into a circle.
        let mut way = vec![start];
        let begin = loop {
            let last = way[way.len() - 1];
            let back = self.sources[last].iter().find(|s| left.contains(s));
            let back = *back.expect("a node that is left waits for one that is left");
            if let Some(at) = way.iter().position(|i| *i == back) {
                break at;
            }
            way.push(back);
        };
        let circle = std::iter::once(&way[begin]).chain(way[begin + 1..].iter().rev());
        let names: Vec<String> =
            circle.take(10).map(|i| format!("`{}`", nodes[*i].name.escape_debug())).collect();
        let help = "a circle needs a neuron, an integrator or a delay above 0 in it";
        let what = format!(" reads itself at once, through {}", names.join(", "));
        Err(about(&nodes[way[begin]], shown, "E0128", &what, help))
    }
}

/// Which nodes can be reached from `start`.
fn reach(targets: &[Vec<usize>], mut start: Vec<usize>) -> Vec<bool> {
    let mut seen = vec![false; targets.len()];
    for &i in &start {
        seen[i] = true;
    }
    while let Some(i) = start.pop() {
        for &target in &targets[i] {
            if !std::mem::replace(&mut seen[target], true) {
                start.push(target);
            }
        }
    }
    seen
}

/// Joins what leads into inner nodes to what they lead to. Afterwards no edge touches an inner node.
///
/// Errors: `E0126` where two ways become one edge, `E0110` for too many.
pub(super) fn join(drafts: &mut Drafts, shown: &str) -> Result<(), Diagnostic> {
    for inner in 0..drafts.nodes.len() {
        if !drafts.nodes[inner].inner {
            continue;
        }
        let from: Vec<usize> = drafts.edges.iter().filter(|e| e.1 == inner).map(|e| e.0).collect();
        let to: Vec<usize> = drafts.edges.range((inner, 0)..(inner + 1, 0)).map(|e| e.1).collect();
        drafts.edges.retain(|e| e.0 != inner && e.1 != inner);
        if drafts.edges.len().saturating_add(from.len().saturating_mul(to.len())) > MAX_EDGES {
            let help = "split the network, or write the nodes into the graph around it";
            return Err(about(&drafts.nodes[inner], shown, "E0110", " leads to too many edges", help));
        }
        for edge in from.iter().flat_map(|from| to.iter().map(|to| (*from, *to))) {
            if !drafts.edges.insert(edge) {
                let target = drafts.nodes[edge.1].name.escape_debug().to_string();
                let what = format!(" is read by `{target}` on two ways that do nothing to it");
                let help = "write every edge once; to double a signal, use a Scale node";
                return Err(about(&drafts.nodes[edge.0], shown, "E0126", &what, help));
            }
        }
    }
    Ok(())
}

fn about(node: &Draft, shown: &str, code: &'static str, what: &str, help: &str) -> Diagnostic {
    let (name, type_name) = (node.name.escape_debug(), node.primitive.type_name());
    Diagnostic::new(code, format!("`{shown}`: node `{name}` ({type_name}){what}"), help).at(node.name.clone())
}
