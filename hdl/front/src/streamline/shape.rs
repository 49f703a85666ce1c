//! Operators that only move elements: as places of the result's elements in the argument.

use nervure_core::Diagnostic;

use crate::onnx::{Array, Node};

/// Most elements that an operator makes.
const MAX_ELEMENTS: usize = 1 << 24;

/// A shape, and where each element comes from.
pub(crate) struct Moved {
    pub(crate) shape: Vec<usize>,
    pub(crate) from: Vec<usize>,
}

/// Whether `op` only moves elements of its first input.
pub(crate) fn moves(op: &str) -> bool {
    matches!(
        op,
        "Reshape"
            | "Flatten"
            | "Transpose"
            | "Squeeze"
            | "Unsqueeze"
            | "Identity"
            | "Dropout"
            | "Gather"
            | "Slice"
    )
}

fn count(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// `axis` of `rank`, counted from the end where negative.
pub(crate) fn axis(node: &Node, axis: i64, rank: usize) -> Result<usize, Diagnostic> {
    let place = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(place).ok().filter(|a| *a < rank).ok_or_else(|| {
        let message = format!("names axis {axis} of a tensor of {rank}");
        node.wrong("E0153", message, "correct the axis, and export again")
    })
}

/// What `node` does to a tensor of shape `shape`; `constants` are its other inputs.
///
/// Errors: `E0153` where they do not fit.
pub(crate) fn moved(node: &Node, shape: &[usize], constants: &[Option<&Array>]) -> Result<Moved, Diagnostic> {
    let stay = |shape: Vec<usize>| Moved { from: (0..count(&shape)).collect(), shape };
    let list = |n: usize, name: &str| -> Result<Option<Vec<i64>>, Diagnostic> {
        match constants.get(n).copied().flatten() {
            Some(array) => Ok(Some(array.data.iter().map(|v| *v as i64).collect())),
            None => node.ints(name),
        }
    };
    let misfit = |what: String| node.wrong("E0153", what, "correct the shapes, and export again");
    match node.op.as_str() {
        "Identity" | "Dropout" => Ok(stay(shape.to_vec())),
        "Reshape" => {
            let wanted = list(0, "shape")?.ok_or_else(|| misfit("has no constant shape".into()))?;
            let keep = node.int("allowzero", 0)? == 0;
            let mut new = Vec::new();
            for (n, v) in wanted.iter().enumerate() {
                new.push(match v {
                    -1 => 1,
                    0 if keep => shape.get(n).copied().unwrap_or(0),
                    v => usize::try_from(*v).unwrap_or(0),
                });
            }
            let known = new.iter().try_fold(1usize, |a, b| a.checked_mul(*b)).filter(|n| *n > 0);
            let known = known.ok_or_else(|| misfit(format!("makes shape {wanted:?}")))?;
            if let Some(free) = wanted.iter().position(|v| *v == -1) {
                new[free] = count(shape) / known;
            }
            if count(&new) != count(shape) {
                return Err(misfit(format!("makes {wanted:?} of shape {shape:?}")));
            }
            Ok(stay(new))
        }
        "Flatten" => {
            let at = node.int("axis", 1)?;
            let at = if at == shape.len() as i64 { shape.len() } else { axis(node, at, shape.len())? };
            // Whatever lies before the axis is the batch, and there is one sample.
            let (before, behind) = (count(&shape[..at]), count(&shape[at..]));
            Ok(stay(if at == 0 { vec![1, behind] } else { vec![before, behind] }))
        }
        "Squeeze" => {
            let axes = match list(0, "axes")? {
                Some(list) => {
                    list.iter().map(|a| axis(node, *a, shape.len())).collect::<Result<Vec<_>, _>>()?
                }
                None => (0..shape.len()).filter(|a| shape[*a] == 1).collect(),
            };
            if let Some(a) = axes.iter().find(|a| shape[**a] != 1) {
                return Err(misfit(format!("removes axis {a} of shape {shape:?}")));
            }
            let kept = (0..shape.len()).filter(|a| !axes.contains(a));
            Ok(stay(kept.map(|a| shape[a]).collect()))
        }
        "Unsqueeze" => {
            let axes = list(0, "axes")?.ok_or_else(|| misfit("has no constant axes".into()))?;
            let rank = shape.len() + axes.len();
            if rank > 16 {
                return Err(misfit(format!("makes a tensor of {rank} axes")));
            }
            let axes = axes.iter().map(|a| axis(node, *a, rank)).collect::<Result<Vec<_>, _>>()?;
            let mut old = shape.iter().copied();
            let new: Vec<usize> =
                (0..rank).map(|a| if axes.contains(&a) { 1 } else { old.next().unwrap_or(1) }).collect();
            if count(&new) != count(shape) {
                return Err(misfit("names an axis twice".into()));
            }
            Ok(stay(new))
        }
        "Transpose" => {
            let rank = shape.len();
            let usual = || (0..rank as i64).rev().collect();
            let axes: Vec<usize> =
                node.ints("perm")?.unwrap_or_else(usual).iter().map(|a| *a as usize).collect();
            let mut sorted = axes.clone();
            sorted.sort_unstable();
            if sorted != (0..rank).collect::<Vec<_>>() {
                return Err(misfit(format!("permutes {rank} axes by {axes:?}")));
            }
            let new: Vec<usize> = axes.iter().map(|a| shape[*a]).collect();
            let stride = |a: usize| count(&shape[a + 1..]);
            let strides: Vec<usize> = axes.iter().map(|a| stride(*a)).collect();
            let place = |mut at: usize| {
                let mut from = 0;
                for a in (0..rank).rev() {
                    from += at % new[a] * strides[a];
                    at /= new[a];
                }
                from
            };
            Ok(Moved { from: (0..count(&new)).map(place).collect(), shape: new })
        }
        "Gather" => gather(node, shape, constants),
        _ => slice(node, shape, constants),
    }
}

fn gather(node: &Node, shape: &[usize], constants: &[Option<&Array>]) -> Result<Moved, Diagnostic> {
    let misfit = |what: &str| node.wrong("E0153", what, "correct the indices, and export again");
    let indices = constants.first().copied().flatten().ok_or_else(|| misfit("has no constant indices"))?;
    let at = axis(node, node.int("axis", 0)?, shape.len())?;
    let extent = shape[at] as i64;
    let pick = |v: f64| {
        let v = if v < 0.0 { v as i64 + extent } else { v as i64 };
        if (0..extent).contains(&v) { Ok(v as usize) } else { Err(misfit("gathers beyond its tensor")) }
    };
    let picked = indices.data.iter().map(|v| pick(*v)).collect::<Result<Vec<_>, _>>()?;
    let inner = count(&shape[at + 1..]);
    if count(&shape[..at]).saturating_mul(picked.len()).saturating_mul(inner) > MAX_ELEMENTS {
        return Err(misfit("makes too many elements"));
    }
    let new = [&shape[..at], &indices.shape, &shape[at + 1..]].concat();
    let mut from = Vec::new();
    for o in 0..count(&shape[..at]) {
        for p in &picked {
            from.extend((0..inner).map(|i| (o * shape[at] + p) * inner + i));
        }
    }
    Ok(Moved { shape: new, from })
}

/// With steps of one, as exports have it.
fn slice(node: &Node, shape: &[usize], constants: &[Option<&Array>]) -> Result<Moved, Diagnostic> {
    let misfit = |what: &str| node.wrong("E0153", what, "use constant starts and ends, and steps of 1");
    let list = |n: usize, name: &str| -> Result<Option<Vec<i64>>, Diagnostic> {
        match constants.get(n).copied().flatten() {
            Some(array) => Ok(Some(array.data.iter().map(|v| *v as i64).collect())),
            None => node.ints(name),
        }
    };
    let starts = list(0, "starts")?.ok_or_else(|| misfit("has no constant starts"))?;
    let ends = list(1, "ends")?.ok_or_else(|| misfit("has no constant ends"))?;
    let axes = list(2, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = list(3, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.iter().any(|s| *s != 1) {
        return Err(misfit("slices with steps, or with lists of different lengths"));
    }
    let mut range: Vec<(usize, usize)> = shape.iter().map(|n| (0, *n)).collect();
    for ((start, end), a) in starts.iter().zip(&ends).zip(&axes) {
        let a = axis(node, *a, shape.len())?;
        let extent = shape[a] as i64;
        let place = |v: i64| (if v < 0 { v.saturating_add(extent) } else { v }).clamp(0, extent) as usize;
        range[a] = (place(*start), place(*end));
    }
    if range.iter().any(|(a, b)| a >= b) {
        return Err(misfit("slices nothing"));
    }
    let new: Vec<usize> = range.iter().map(|(a, b)| b - a).collect();
    let place = |mut at: usize| {
        let (mut from, mut stride) = (0, 1);
        for a in (0..shape.len()).rev() {
            from += (at % new[a] + range[a].0) * stride;
            at /= new[a];
            stride *= shape[a];
        }
        from
    };
    Ok(Moved { from: (0..count(&new)).map(place).collect(), shape: new })
}

/// The shape that both broadcast to.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let of = |s: &[usize], n: usize| if n + s.len() < rank { 1 } else { s[n + s.len() - rank] };
    (0..rank)
        .map(|n| match (of(a, n), of(b, n)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// Elements of `list` (of shape `from`) as often as `to` needs them.
pub(crate) fn spread(list: &[f64], from: &[usize], to: &[usize]) -> Vec<f64> {
    if let [one] = list {
        return vec![*one; count(to)];
    }
    let skip = to.len() - from.len();
    let place = |mut at: usize| {
        let (mut place, mut stride) = (0, 1);
        for a in (skip..to.len()).rev() {
            let n = from[a - skip];
            place += at_axis(&mut at, to[a], n) * stride;
            stride *= n;
        }
        place
    };
    (0..count(to)).map(|at| list[place(at)]).collect()
}

/// Index along an axis of extent `to`, in one of extent `n`; `at` goes on to the axis before.
fn at_axis(at: &mut usize, to: usize, n: usize) -> usize {
    let index = *at % to;
    *at /= to;
    if n == 1 { 0 } else { index }
}
