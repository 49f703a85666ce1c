//! Pruning: of every M consecutive inputs of an output the N largest weights stay. A network file becomes another one, its
//! arrays all in one archive, with the same formats.
//!
//! A layer is known by its parameter `weights`, never by its block: a matrix, or the taps of a convolution, whose axes `layout`
//! names or the parameter's description lists; or by its own `layers` that have weights. Deliberately absent: training (weights that stay are as they were), scales, and
//! biases, which are never pruned.

mod decompose;
mod lines;
mod magnitude;
mod part;
mod pattern;
mod rewrite;
#[cfg(test)]
mod tests;

use std::path::Path;

use nervure_core::{Diagnostic, Network, Node, QType, Registry, Tensor};
use serde_json::{Value, json};

use crate::load::{Arrays, build};
use crate::{load, overrides, packed, source, suggest, yaml};

pub use decompose::{Decomposed, DecomposedLayer, Pass, decompose};
use part::Part;
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
    for part in chosen.iter().flat_map(|n| Part::all(&before.nodes[*n])) {
        let (tensor, layer) = one(&part, pattern, registry);
        let place = (part.node.name.as_str(), part.inner);
        if let Some(archive) = planes.filter(|_| tensor.shape.len() == 2) {
            rewrite.forget(place, "weights");
            rewrite.field(place, "weights", json!({"planes": format!("{archive}:{}", layer.name)}));
            packed.push(packed_planes(&part, &tensor, pattern));
        } else {
            rewrite.array(place, "weights", &tensor);
        }
        if layer.knows {
            rewrite.field(place, "pattern", json!({"n": pattern.n(), "m": pattern.m()}));
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

/// Errors: `E0108`, `E0304`.
fn chosen(network: &Network, names: &[String]) -> Result<Vec<usize>, Diagnostic> {
    let has = |n: &usize| !Part::all(&network.nodes[*n]).is_empty();
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

fn one(part: &Part<'_>, pattern: Pattern, registry: &Registry) -> (Tensor, PrunedLayer) {
    let was = &part.weights;
    let mut is = was.clone();
    for line in lines::along(&was.shape, part.axis(registry)) {
        magnitude::prune(&mut is.data, &line, pattern);
    }
    let square = |w: &i64| (i128::from(*w) * i128::from(*w)) as f64;
    let energy = |t: &Tensor| t.data.iter().map(square).sum::<f64>();
    let gone = was.data.iter().zip(&is.data).map(|(a, b)| a.abs_diff(*b));
    let count = |t: &Tensor| t.data.iter().filter(|w| **w != 0).count();
    let layer = PrunedLayer {
        name: part.name(),
        weights: was.data.len(),
        before: count(was),
        kept: count(&is),
        energy: if count(was) == 0 { 1.0 } else { energy(&is) / energy(was) },
        largest: gone.clone().max().unwrap_or(0),
        mean: gone.map(|e| e as f64).sum::<f64>() / was.data.len().max(1) as f64,
        format: weight_format(part),
        knows: part.knows_pattern(registry),
        pinned: None,
    };
    (is, layer)
}

/// The planes of a matrix: tiles of as many outputs as the layer has `columns`, or of all.
fn packed_planes(part: &Part<'_>, weights: &Tensor, pattern: Pattern) -> (String, Vec<usize>, Vec<i64>) {
    let columns = part.param("columns").and_then(Value::as_u64).unwrap_or(u64::MAX) as usize;
    let ends = [weights.data.iter().min(), weights.data.iter().max()].map(|w| i128::from(*w.unwrap_or(&0)));
    let needed = QType::holding(ends[0].min(-1), ends[1], 0);
    let format = weight_format(part).unwrap_or(needed);
    let bits = usize::from(format.bits) + usize::from(!format.signed);
    let bytes = packed::planes::pack(weights, pattern, bits, columns.clamp(1, weights.shape[0]));
    (part.name(), vec![bytes.len()], bytes.into_iter().map(i64::from).collect())
}

fn weight_format(part: &Part<'_>) -> Option<QType> {
    let own = part.param("weight_format").cloned();
    let value = own.or_else(|| part.node.instance.params().get("weight_format").cloned())?;
    serde_json::from_value(value).ok()
}

/// Fewer weights have narrower sums. Where a layer gives another type than before and takes an `accumulator`, it is given the
/// old one.
fn pin(rewrite: &mut Rewrite, networks: [&Network; 2], name: &str, registry: &Registry) -> Option<QType> {
    let node = |network: &Network| network.nodes.iter().find(|n| n.name == name).cloned();
    let [Some(before), Some(after)] = networks.map(node) else { return None };
    let gives = |n: &Node| n.instance.interface().outputs.first().map(|s| s.tensor.format);
    let free = before.instance.params().get("accumulator").is_none_or(Value::is_null);
    let old = gives(&before).filter(|_| gives(&before) != gives(&after))?;
    if !free || !Part::whole(&before).is_some_and(|part| part.takes(registry, &["accumulator"])) {
        return None;
    }
    rewrite.field((name, None), "accumulator", json!(old));
    Some(old)
}
