//! Weights without a pattern as a sum of weights with one (TASD, arXiv 2403.07953): exact, a pass for each part.
//!
//! Every pass is a layer of its own, an array as it would be for pruned weights; their results are added. Deliberately absent:
//! parts that are left out, for that is pruning.

use std::path::Path;

use nervure_core::{Diagnostic, Network, NodeId, QType, Registry, Tensor, TensorRef};
use serde_json::{Value, json};

use super::part::Part;
use super::rewrite::Rewrite;
use super::{NamedArrays, Opened, Pattern, chosen, lines, magnitude, open, reload};
use crate::load::Arrays;
use crate::print;
use crate::streamline::blocks::{ADD, QUANT};

/// Most tensors that one layer adds.
const MOST: usize = 8;

/// A decomposed network.
pub struct Decomposed {
    /// The network file.
    pub yaml: String,
    /// What it reads from [`ARCHIVE`](super::ARCHIVE).
    pub arrays: NamedArrays,
    /// As it was.
    pub before: Network,
    /// As it is: it computes the same.
    pub after: Network,
    /// What became of each layer.
    pub layers: Vec<DecomposedLayer>,
}

/// What became of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct DecomposedLayer {
    /// Its name.
    pub name: String,
    /// Weights in all.
    pub weights: usize,
    /// Weights that are not zero.
    pub not_zero: usize,
    /// The passes, in order.
    pub passes: Vec<Pass>,
}

/// One part of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Pass {
    /// Name of its layer.
    pub name: String,
    /// Its pattern.
    pub pattern: Pattern,
    /// Weights that are not zero.
    pub kept: usize,
}

/// Splits the layers that `names` lists, or all that know a pattern, into passes of `patterns`, the last of them as often as it
/// takes.
///
/// Errors: what [`load`](crate::load()) says, of either network; `E0108` and `E0304` for a layer that cannot be split, `E0201`
/// when it takes too many passes.
pub fn decompose(
    path: &Path,
    registry: &Registry,
    set: &[(String, String)],
    patterns: &[Pattern],
    names: &[String],
) -> Result<Decomposed, Diagnostic> {
    let Opened { before, source, mut rewrite } = open(path, registry, set)?;
    let mut list = chosen(&before, names)?;
    let knows = |n: &usize| Part::whole(&before.nodes[*n]).is_some_and(|part| part.knows_pattern(registry));
    match list.iter().find(|n| !knows(n)) {
        Some(n) if !names.is_empty() => return Err(no_pattern(&before.nodes[*n].name)),
        _ => list.retain(knows),
    }
    if list.is_empty() {
        return Err(no_pattern(&before.name));
    }
    let mut layers = Vec::new();
    for n in list {
        layers.push(split(&mut rewrite, &before, n, patterns, registry)?);
    }
    let after = reload(&rewrite, Arrays::new(&source), registry)?;
    Ok(Decomposed { yaml: rewrite.yaml(), arrays: rewrite.into_arrays(), before, after, layers })
}

fn no_pattern(name: &str) -> Diagnostic {
    let message = format!("`{}` has no parameter `pattern`", name.escape_debug());
    Diagnostic::new("E0304", message, "use a block that has one; `nervure blocks` lists them")
}

/// The parts of `weights`, largest first; `patterns` in turn, the last again until nothing is left.
fn parts(weights: &Tensor, axis: usize, patterns: &[Pattern]) -> Vec<(Pattern, Tensor)> {
    let lines = lines::along(&weights.shape, axis);
    let mut left = weights.clone();
    let mut parts = Vec::new();
    let again =
        patterns.iter().copied().chain(std::iter::repeat(*patterns.last().expect("there is a pattern")));
    for pattern in again {
        let mut part = left.clone();
        for line in &lines {
            magnitude::prune(&mut part.data, line, pattern);
        }
        left.data.iter_mut().zip(&part.data).for_each(|(left, part)| *left -= part);
        parts.push((pattern, part));
        if left.data.iter().all(|w| *w == 0) {
            break;
        }
    }
    parts
}

/// Puts passes in the place of node `n`.
fn split(
    rewrite: &mut Rewrite,
    network: &Network,
    n: usize,
    patterns: &[Pattern],
    registry: &Registry,
) -> Result<DecomposedLayer, Diagnostic> {
    let node = &network.nodes[n];
    let part = Part::whole(node).expect("it was chosen for its weights");
    let whole = part.weights.clone();
    let parts = parts(&whole, part.axis(registry), patterns);
    if parts.len() > MOST {
        let message = format!("the layer takes {} passes, and at most {MOST} can be added", parts.len());
        let help = "choose a pattern that keeps more weights";
        return Err(Diagnostic::new("E0201", message, help).at("pattern").at(node.name.clone()).at("layers"));
    }
    let single = parts.len() == 1;
    rewrite.forget((&node.name, None), "weights");
    let mut fields = rewrite.fields(&node.name);
    let from: Vec<String> = node.inputs.iter().map(|r| print::reference(network, *r)).collect();
    fields.insert("from".to_owned(), json!(from));
    if !single {
        fields.shift_remove("accumulator"); // Of the sum.
    }
    let mut passes = Vec::new();
    let mut layers = Vec::new();
    for (i, (pattern, part)) in parts.iter().enumerate() {
        let name =
            if single { node.name.clone() } else { free(network, &format!("{}_pass{}", node.name, i + 1)) };
        fields.insert("name".to_owned(), json!(name));
        fields.insert("pattern".to_owned(), json!({"n": pattern.n(), "m": pattern.m()}));
        fields.insert("weights".to_owned(), rewrite.keep(&format!("{name}.weights"), part));
        layers.push(Value::Object(fields.clone()));
        fields.shift_remove("bias"); // In the first pass only.
        let kept = part.data.iter().filter(|w| **w != 0).count();
        passes.push(Pass { name, pattern: *pattern, kept });
    }
    if !single {
        let stream = network.stream(TensorRef::Output(NodeId(n), 0));
        layers.extend(sum(network, &node.name, &passes, (stream.tensor.format, stream.lanes)));
    }
    rewrite.replace(&node.name, layers);
    let not_zero = whole.data.iter().filter(|w| **w != 0).count();
    Ok(DecomposedLayer { name: node.name.clone(), weights: whole.data.len(), not_zero, passes })
}

/// A name that no layer or input has.
fn free(network: &Network, name: &str) -> String {
    let mut name = name.to_owned();
    let taken = |name: &str| {
        network.nodes.iter().any(|n| n.name == name) || network.inputs.iter().any(|i| i.name == name)
    };
    while taken(&name) {
        name.push('_');
    }
    name
}

/// The layers that add the passes and are called as the layer was, in the format that it had: every sum fits it, so none is
/// changed.
fn sum(network: &Network, name: &str, passes: &[Pass], (format, lanes): (QType, usize)) -> [Value; 2] {
    let from: Vec<&str> = passes.iter().map(|p| p.name.as_str()).collect();
    let all = free(network, &format!("{name}_sum"));
    [
        json!({"name": all, "block": ADD, "from": from, "lanes": lanes}),
        json!({"name": name, "block": QUANT, "from": [all], "bits": format.bits, "frac": format.frac,
            "signed": u8::from(format.signed), "rounding": "floor", "overflow": "wrap"}),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(state: &mut u64) -> i64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 40) as i64
    }

    #[test]
    fn parts_have_their_patterns_and_add_up() {
        let state = &mut 1;
        for _ in 0..300 {
            let (out, inputs) = (1 + next(state) as usize % 4, 1 + next(state) as usize % 40);
            let dense = next(state) % 4 + 1;
            let mut weight = || if next(state) % 4 < dense { next(state) % 256 - 128 } else { 0 };
            let data: Vec<i64> = (0..out * inputs).map(|_| weight()).collect();
            let whole = Tensor::new(&[out, inputs], data);
            let pattern = |state: &mut u64| {
                let m = 1 + next(state) as usize % Pattern::MAX_M;
                Pattern::new(1 + next(state) as usize % m, m).expect("a pattern")
            };
            let patterns = [pattern(state), pattern(state)];
            let parts = parts(&whole, 1, &patterns[..=(next(state) as usize % 2)]);
            let mut sum = vec![0; out * inputs];
            for (pattern, part) in &parts {
                for block in part.rows().flat_map(|row| row.chunks(pattern.m())) {
                    assert!(block.iter().filter(|w| **w != 0).count() <= pattern.n(), "{pattern} {part:?}");
                }
                sum.iter_mut().zip(&part.data).for_each(|(sum, part)| *sum += part);
            }
            assert_eq!(sum, whole.data, "{patterns:?}");
            let (last, most) = (parts.last().expect("a part"), patterns[0].m().max(patterns[1].m()));
            assert!(parts.len() == 1 || last.1.data.iter().any(|w| *w != 0), "a pass for nothing");
            assert!(parts.len() <= most + 1, "{} passes of {patterns:?}", parts.len());
        }
    }
}
