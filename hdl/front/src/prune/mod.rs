//! Pruning: of every M consecutive inputs of an output the N largest weights stay. A network file becomes another one, its
//! arrays all in one archive, with the same formats.
//!
//! A layer is known by its parameter `weights`, never by its block: a matrix `[out, in]`, `[groups, out, in]`, or the taps of
//! a convolution, whose axes `layout` names. Deliberately absent: training (weights that stay are as they were), scales, and
//! biases, which are never pruned.

mod decompose;
mod lines;
mod magnitude;
mod pattern;
mod rewrite;
#[cfg(test)]
mod tests;

use std::path::Path;

use nervure_core::{Diagnostic, Network, Node, QType, Registry, Tensor};
use serde_json::{Value, json};

use crate::load::{Arrays, build};
use crate::schema::walk;
use crate::{load, overrides, packed, source, suggest, yaml};

pub use decompose::{Decomposed, DecomposedLayer, Pass, decompose};
pub use pattern::Pattern;
use rewrite::Rewrite;

/// The archive of a pruned network.
pub use rewrite::ARCHIVE;

/// Arrays by name: shape, and elements row-major.
pub type NamedArrays = Vec<(String, Vec<usize>, Vec<i64>)>;

/// A pruned network, and what became of it.
pub struct Pruned {
    /// The network file.
    pub yaml: String,
    /// What it reads from [`ARCHIVE`].
    pub arrays: NamedArrays,
    /// What it reads from the archive of planes.
    pub planes: NamedArrays,
    /// As it was.
    pub before: Network,
    /// As it is.
    pub after: Network,
    /// What was done to each layer.
    pub layers: Vec<PrunedLayer>,
}

/// What was done to a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct PrunedLayer {
    /// Its name.
    pub name: String,
    /// Weights in all.
    pub weights: usize,
    /// Weights that were not zero before.
    pub before: usize,
    /// Weights that are not zero now.
    pub kept: usize,
    /// Share of the sum of squares that stayed; 1 where there was none.
    pub energy: f64,
    /// The largest weight that went, as a size.
    pub largest: u64,
    /// Mean size of what went, over all weights.
    pub mean: f64,
    /// Format of the weights, where the layer says.
    pub format: Option<QType>,
    /// Whether the layer knows its pattern.
    pub knows: bool,
    /// The format its sum was given, so that layers behind it read what they read before.
    pub pinned: Option<QType>,
}

/// Prunes the network in `path` (with the overrides `set`) to `pattern`: the layers that `names` lists, or all that have
/// weights. Of matrices, the archive `planes` holds values and indices instead of all weights, where it is named.
///
/// Errors: what [`load`](crate::load()) says, of either network; `E0108` for a layer that does not exist, `E0304` for one without
/// weights or when there is none.
pub fn prune(
    path: &Path,
    registry: &Registry,
    set: &[(String, String)],
    pattern: Pattern,
    names: &[String],
    planes: Option<&str>,
) -> Result<Pruned, Diagnostic> {
    let Opened { before, source, mut rewrite } = open(path, registry, set)?;
    let chosen = chosen(&before, names)?;
    let (mut layers, mut packed) = (Vec::new(), Vec::new());
    for n in chosen {
        let node = &before.nodes[n];
        let knows = knows_pattern(node, registry);
        let (tensor, layer) = one(node, pattern, knows);
        if let Some(archive) = planes.filter(|_| tensor.shape.len() == 2) {
            rewrite.forget(&node.name, "weights");
            rewrite.field(&node.name, "weights", json!({"planes": format!("{archive}:{}", node.name)}));
            packed.push(packed_planes(node, &tensor, pattern));
        } else {
            rewrite.array(&node.name, "weights", &tensor);
        }
        if knows {
            rewrite.field(&node.name, "pattern", json!({"n": pattern.n(), "m": pattern.m()}));
        }
        layers.push(layer);
    }
    let read = |rewrite: &Rewrite, packed: &NamedArrays| {
        let arrays = Arrays::new(&source).with(planes.unwrap_or_default(), packed);
        reload(rewrite, arrays, registry)
    };
    let mut after = read(&rewrite, &packed)?;
    for layer in &mut layers {
        layer.pinned = pin(&mut rewrite, [&before, &after], &layer.name, registry);
    }
    if layers.iter().any(|l| l.pinned.is_some()) {
        after = read(&rewrite, &packed)?;
    }
    let yaml = rewrite.yaml();
    Ok(Pruned { yaml, arrays: rewrite.into_arrays(), planes: packed, before, after, layers })
}

/// A network file that is about to become another.
struct Opened {
    before: Network,
    source: source::Source,
    rewrite: Rewrite,
}

/// Errors: what [`load`](crate::load()) says.
fn open(path: &Path, registry: &Registry, set: &[(String, String)]) -> Result<Opened, Diagnostic> {
    let before = load(path, registry, set)?;
    let source = source::read(path)?;
    let mut root = yaml::parse(&source.text, &source.shown)?;
    overrides::apply(&mut root, set, registry)?;
    let rewrite = Rewrite::new(&root, &mut Arrays::new(&source))?;
    Ok(Opened { before, source, rewrite })
}

/// The network as it will be read. What is wrong has no place in a file yet.
fn reload(rewrite: &Rewrite, arrays: Arrays<'_>, registry: &Registry) -> Result<Network, Diagnostic> {
    let root = yaml::parse(&rewrite.yaml(), "network.yaml")?;
    let mut arrays = arrays.with(ARCHIVE, rewrite.arrays());
    build(&root, &mut arrays, registry, &[]).map_err(|d| Diagnostic { span: None, ..d })
}

/// The weights of a layer, if it has any.
fn weights(node: &Node) -> Option<Tensor> {
    let value = node.instance.params().get("weights")?.clone();
    let tensor: Tensor = serde_json::from_value(value).ok()?;
    (2..=4).contains(&tensor.shape.len()).then_some(tensor)
}

/// Errors: `E0108`, `E0304`.
fn chosen(network: &Network, names: &[String]) -> Result<Vec<usize>, Diagnostic> {
    let has = |n: &usize| weights(&network.nodes[*n]).is_some();
    let all: Vec<usize> = (0..network.nodes.len()).filter(has).collect();
    let known: Vec<&str> = all.iter().map(|n| network.nodes[*n].name.as_str()).collect();
    if all.is_empty() {
        let message = "no layer of the network has the parameter `weights`";
        return Err(Diagnostic::new("E0304", message, "only layers with a matrix of weights can be pruned"));
    }
    let one = |name: &String| {
        if let Some(at) = known.iter().position(|k| k == name) {
            return Ok(all[at]);
        }
        let shown = name.escape_debug();
        if network.nodes.iter().any(|n| n.name == *name) {
            let message = format!("the layer `{shown}` has no weights");
            return Err(Diagnostic::new("E0304", message, suggest::help(name, &known, "these have")));
        }
        let message = format!("there is no layer `{shown}`");
        Err(Diagnostic::new("E0108", message, suggest::help(name, &known, "layers with weights are")))
    };
    if names.is_empty() {
        return Ok(all);
    }
    let mut some = names.iter().map(one).collect::<Result<Vec<usize>, Diagnostic>>()?;
    some.sort_unstable();
    some.dedup();
    Ok(some)
}

/// Whether the parameter `path` is one that the layer's block knows.
fn takes(node: &Node, registry: &Registry, path: &[&str]) -> bool {
    let block = registry.get(node.instance.block()).expect("the network was loaded with it");
    let path: Vec<String> = path.iter().map(|s| (*s).to_owned()).collect();
    walk::find(&block.schema(), &path).is_some()
}

fn knows_pattern(node: &Node, registry: &Registry) -> bool {
    takes(node, registry, &["pattern", "n"]) && takes(node, registry, &["pattern", "m"])
}

fn one(node: &Node, pattern: Pattern, knows: bool) -> (Tensor, PrunedLayer) {
    let was = weights(node).expect("it was chosen for its weights");
    let mut is = was.clone();
    for line in lines::along_inputs(&was.shape, layout(node).as_deref()) {
        magnitude::prune(&mut is.data, &line, pattern);
    }
    let square = |w: &i64| (i128::from(*w) * i128::from(*w)) as f64;
    let energy = |t: &Tensor| t.data.iter().map(square).sum::<f64>();
    let gone = was.data.iter().zip(&is.data).map(|(a, b)| a.abs_diff(*b));
    let count = |t: &Tensor| t.data.iter().filter(|w| **w != 0).count();
    let layer = PrunedLayer {
        name: node.name.clone(),
        weights: was.data.len(),
        before: count(&was),
        kept: count(&is),
        energy: if count(&was) == 0 { 1.0 } else { energy(&is) / energy(&was) },
        largest: gone.clone().max().unwrap_or(0),
        mean: gone.map(|e| e as f64).sum::<f64>() / was.data.len().max(1) as f64,
        format: node.instance.params().get("weight_format").and_then(format),
        knows,
        pinned: None,
    };
    (is, layer)
}

/// The planes of a matrix: tiles of as many outputs as the layer has `columns`, or of all.
fn packed_planes(node: &Node, weights: &Tensor, pattern: Pattern) -> (String, Vec<usize>, Vec<i64>) {
    let params = node.instance.params();
    let columns = params.get("columns").and_then(Value::as_u64).unwrap_or(u64::MAX) as usize;
    let ends = [weights.data.iter().min(), weights.data.iter().max()].map(|w| i128::from(*w.unwrap_or(&0)));
    let needed = QType::holding(ends[0].min(-1), ends[1], 0);
    let format = params.get("weight_format").and_then(format).unwrap_or(needed);
    let bits = usize::from(format.bits) + usize::from(!format.signed);
    let bytes = packed::planes::pack(weights, pattern, bits, columns.clamp(1, weights.shape[0]));
    (node.name.clone(), vec![bytes.len()], bytes.into_iter().map(i64::from).collect())
}

fn layout(node: &Node) -> Option<String> {
    node.instance.params().get("layout").and_then(Value::as_str).map(str::to_owned)
}

fn format(value: &Value) -> Option<QType> {
    serde_json::from_value(value.clone()).ok()
}

/// Fewer weights have narrower sums. Where a layer gives another type than before and takes an `accumulator`, it is given the
/// old one.
fn pin(rewrite: &mut Rewrite, networks: [&Network; 2], name: &str, registry: &Registry) -> Option<QType> {
    let node = |network: &Network| network.nodes.iter().find(|n| n.name == name).cloned();
    let [before, after] = networks.map(|n| node(n).expect("the layers are the same"));
    let gives = |n: &Node| n.instance.interface().outputs.first().map(|s| s.tensor.format);
    let free = before.instance.params().get("accumulator").is_none_or(Value::is_null);
    let old = gives(&before).filter(|_| gives(&before) != gives(&after))?;
    if !free || !takes(&before, registry, &["accumulator"]) {
        return None;
    }
    rewrite.field(name, "accumulator", json!(old));
    Some(old)
}
