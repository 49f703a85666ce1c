//! Layers in an order in which each comes after what it reads.

use std::collections::{BTreeMap, BTreeSet};

use nervure_core::Diagnostic;

use crate::document::Document;
use crate::reference;

/// Indices of the layers, every layer after those that it reads; otherwise in the order of the file.
///
/// Errors: `E0108` for a `from` that names nothing, `E0405` for a cycle.
pub(crate) fn sort(document: &Document<'_>) -> Result<Vec<usize>, Diagnostic> {
    let inputs: BTreeSet<&str> = document.inputs.iter().map(|i| i.name.as_str()).collect();
    let layers: BTreeMap<&str, usize> =
        document.layers.iter().enumerate().map(|(i, l)| (l.name, i)).collect();
    let mut reads: Vec<Vec<usize>> = Vec::with_capacity(layers.len());
    for layer in &document.layers {
        let mut sources = Vec::new();
        for text in &layer.from {
            let (name, _) = reference::split(text, |n| inputs.contains(n) || layers.contains_key(n));
            match layers.get(name) {
                Some(source) => sources.push(*source),
                None if inputs.contains(name) => {}
                None => {
                    let input_names = document.inputs.iter().map(|i| i.name.as_str());
                    let others = document.layers.iter().map(|l| l.name).filter(|n| *n != layer.name);
                    let known: Vec<&str> = input_names.chain(others).collect();
                    return Err(reference::unknown(text, &known).at("from").at(layer.name).at("layers"));
                }
            }
        }
        reads.push(sources);
    }
    order(&reads).map_err(|cycle| {
        let names: Vec<String> =
            cycle.iter().map(|i| format!("`{}`", document.layers[*i].name.escape_debug())).collect();
        Diagnostic::new(
            "E0405",
            format!("{} closes a cycle without a state on it", names.join(" -> ")),
            "let layers read only earlier layers, or put the recurrence inside a block with state",
        )
        .at("from")
        .at(document.layers[cycle[0]].name)
        .at("layers")
    })
}

/// Smallest index first among those whose sources are placed, or a cycle: each index feeds the next, the last is the first.
fn order(reads: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); reads.len()];
    let mut waits: Vec<usize> = reads.iter().map(Vec::len).collect();
    for (reader, sources) in reads.iter().enumerate() {
        for source in sources {
            readers[*source].push(reader);
        }
    }
    let mut ready: BTreeSet<usize> = (0..reads.len()).filter(|i| waits[*i] == 0).collect();
    let mut placed = Vec::with_capacity(reads.len());
    while let Some(next) = ready.pop_first() {
        placed.push(next);
        for reader in &readers[next] {
            waits[*reader] -= 1;
            if waits[*reader] == 0 {
                ready.insert(*reader);
            }
        }
    }
    let Some(stuck) = waits.iter().position(|w| *w > 0) else { return Ok(placed) };
    // Whatever waits reads something that waits: walking back must come round.
    let mut path = vec![stuck];
    loop {
        let here = path[path.len() - 1];
        let before =
            reads[here].iter().copied().find(|s| waits[*s] > 0).expect("a waiting layer reads a waiting one");
        if let Some(start) = path.iter().position(|p| *p == before) {
            let mut cycle: Vec<usize> = path[start..].iter().rev().copied().collect();
            let first = (0..cycle.len()).min_by_key(|i| cycle[*i]).unwrap_or(0);
            cycle.rotate_left(first);
            cycle.push(cycle[0]);
            return Err(cycle);
        }
        path.push(before);
    }
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn order_is_stable_and_cycles_are_found() {
        assert_eq!(order(&[vec![], vec![0], vec![1]]), Ok(vec![0, 1, 2]));
        assert_eq!(order(&[vec![2], vec![], vec![1]]), Ok(vec![1, 2, 0]));
        assert_eq!(order(&[vec![], vec![0, 0], vec![0]]), Ok(vec![0, 1, 2]));
        assert_eq!(order(&[vec![0]]), Err(vec![0, 0]));
        assert_eq!(order(&[vec![], vec![3, 0], vec![1], vec![2], vec![3]]), Err(vec![1, 2, 3, 1]));
    }
}
