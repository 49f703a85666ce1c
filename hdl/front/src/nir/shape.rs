//! Shapes along the edges: what each node gives, and whether its readers can take it.

use nervure_core::{Diagnostic, TensorType};

use super::draft::Draft;
use super::graph::{Padding, Primitive};
use super::links::Links;

/// What each node gives.
///
/// Errors: `E0124` where a node cannot take what it gets, `E0204` where it gives nothing or too much. What is tolerated
/// becomes a sentence in `warnings`. An output takes the shape of what it gets.
///
/// `links`: every node lies on a way from an input.
pub(super) fn infer(
    nodes: &mut [Draft],
    links: &Links,
    shown: &str,
    warnings: &mut Vec<String>,
) -> Result<Vec<Vec<usize>>, Diagnostic> {
    let mut gives: Vec<Option<Vec<usize>>> = vec![None; nodes.len()];
    let mut ready: Vec<usize> = Vec::new();
    for (i, node) in nodes.iter().enumerate() {
        gives[i] = known(&node.primitive, node.inner);
        if gives[i].is_some() {
            ready.push(i);
        }
    }
    while let Some(from) = ready.pop() {
        for &to in &links.targets[from] {
            if gives[to].is_some() {
                continue;
            }
            let source = gives[from].clone().expect("only nodes of known shape are ready");
            gives[to] = Some(apply(&nodes[to], &source, shown)?);
            ready.push(to);
        }
    }
    let mut gives: Vec<Vec<usize>> = gives.into_iter().map(Option::unwrap_or_default).collect();
    for (to, sources) in links.sources.iter().enumerate() {
        for &from in sources {
            meet(nodes, &mut gives, (from, to), shown, warnings)?;
        }
    }
    Ok(gives)
}

/// What a node gives whatever it gets.
fn known(primitive: &Primitive, inner: bool) -> Option<Vec<usize>> {
    match primitive {
        Primitive::Input { shape } if !inner => Some(shape.clone()),
        Primitive::Affine { weight, .. } | Primitive::Linear { weight } => {
            let axes = weight.shape.len();
            Some(weight.shape[..axes - 1].to_vec())
        }
        other => {
            let wide = other.parameters().into_iter().find(|(_, a)| a.len() > 1);
            wide.map(|(_, a)| a.shape.clone())
        }
    }
}

/// What a node takes whatever it gets.
fn takes(node: &Draft) -> Option<Vec<usize>> {
    match &node.primitive {
        Primitive::Affine { weight, .. } | Primitive::Linear { weight } => {
            let axes = weight.shape.len();
            Some([&weight.shape[..axes - 2], &weight.shape[axes - 1..]].concat())
        }
        Primitive::Output { shape } => Some(shape.clone()),
        Primitive::Input { shape } if node.inner => Some(shape.clone()),
        Primitive::Flatten { input_shape, .. } => input_shape.clone(),
        Primitive::Conv1d { weight, groups, input_shape, .. } => {
            input_shape.map(|n| vec![weight.shape[1].saturating_mul(*groups), n])
        }
        Primitive::Conv2d { weight, groups, input_shape, .. } => {
            input_shape.map(|[h, w]| vec![weight.shape[1].saturating_mul(*groups), h, w])
        }
        other => known(other, node.inner),
    }
}

/// What `node` gives for `source`.
fn apply(node: &Draft, source: &[usize], shown: &str) -> Result<Vec<usize>, Diagnostic> {
    let fault = |code, what: &str, help: &str| about(node, shown, code, what, help);
    let windows = |channels: usize, all: &[Window]| {
        let mut shape = vec![channels];
        for (window, extent) in all.iter().zip(&source[1..]) {
            let Some(extent) = window.extent(*extent) else {
                let what = format!("gets {source:?}, which is smaller than its window");
                return Err(fault("E0124", &what, "make the window smaller, or the padding larger"));
            };
            shape.push(extent);
        }
        Ok(shape)
    };
    let image = |weight: &[usize], groups: usize| {
        let channels = weight[1].saturating_mul(groups);
        if source.len() == weight.len() - 1 && source[0] == channels {
            return Ok(());
        }
        let what =
            format!("gets {source:?}, expected {channels} channels and {} more axes", weight.len() - 2);
        Err(fault("E0124", &what, "correct the shape before it, or `groups`"))
    };
    let shape = match &node.primitive {
        Primitive::Conv1d { weight, stride, padding, dilation, groups, .. } => {
            image(&weight.shape, *groups)?;
            windows(weight.shape[0], &Window::conv(&weight.shape[2..], &[*stride], *padding, &[*dilation]))?
        }
        Primitive::Conv2d { weight, stride, padding, dilation, groups, .. } => {
            image(&weight.shape, *groups)?;
            windows(weight.shape[0], &Window::conv(&weight.shape[2..], stride, *padding, dilation))?
        }
        Primitive::SumPool2d { kernel_size, stride, padding }
        | Primitive::AvgPool2d { kernel_size, stride, padding } => {
            if source.len() != 3 {
                let what = format!("gets {source:?}, expected [channels, height, width]");
                return Err(fault("E0124", &what, "correct the shape before it"));
            }
            windows(source[0], &Window::conv(kernel_size, stride, Padding::Explicit(*padding), &[1, 1]))?
        }
        Primitive::Flatten { start_dim, end_dim, .. } => {
            if let Some(shape) = flatten(source, *start_dim, *end_dim) {
                shape
            } else {
                let what = format!("gets {source:?}, which has no axes {start_dim} to {end_dim}");
                return Err(fault("E0124", &what, "count axes from 0, or from the end with -1"));
            }
        }
        _ => source.to_vec(),
    };
    let count = shape.iter().try_fold(1usize, |n, extent| n.checked_mul(*extent));
    if count.is_none_or(|n| n > TensorType::MAX_LEN) {
        let what = format!("gives {shape:?}, more than {} elements", TensorType::MAX_LEN);
        return Err(fault("E0204", &what, "split the network; an edge carries no more"));
    }
    Ok(shape)
}

/// One axis of a window.
struct Window {
    kernel: usize,
    stride: usize,
    padding: Option<usize>,
    dilation: usize,
}

impl Window {
    fn conv<const N: usize>(
        kernel: &[usize],
        stride: &[usize; N],
        padding: Padding<N>,
        dilation: &[usize; N],
    ) -> Vec<Self> {
        let padding = |axis: usize| match padding {
            Padding::Explicit(padding) => Some(padding[axis]),
            Padding::Valid => Some(0),
            Padding::Same => None,
        };
        let window = |axis| Self {
            kernel: kernel[axis],
            stride: stride[axis],
            padding: padding(axis),
            dilation: dilation[axis],
        };
        (0..N).map(window).collect()
    }

    /// Number of places of the window along an axis of `extent`; none where it does not fit once.
    fn extent(&self, extent: usize) -> Option<usize> {
        let Some(padding) = self.padding else { return Some(extent) };
        let span = self.dilation.checked_mul(self.kernel - 1)?.checked_add(1)?;
        let room = extent.checked_add(padding.checked_mul(2)?)?.checked_sub(span)?;
        Some(room / self.stride + 1)
    }
}

/// Axes `start` to `end` of `shape` as one. Where there is no axis `start`, the file counts a batch.
fn flatten(shape: &[usize], start: i64, end: i64) -> Option<Vec<usize>> {
    let rank = shape.len() as i64;
    let axis = |n: i64| if n < 0 { n.checked_add(rank) } else { Some(n) };
    let (start, end) = (axis(start)?, axis(end)?);
    let batch = i64::from(start >= rank);
    let (start, end) = (start - batch, if end >= rank { end - batch } else { end });
    if start < 0 || start > end || end >= rank {
        return None;
    }
    let (start, end) = (start as usize, end as usize);
    let one = shape[start..=end].iter().product();
    Some([&shape[..start], &[one], &shape[end + 1..]].concat())
}

/// Whether `to` can take what `from` gives.
fn meet(
    nodes: &mut [Draft],
    gives: &mut [Vec<usize>],
    (from, to): (usize, usize),
    shown: &str,
    warnings: &mut Vec<String>,
) -> Result<(), Diagnostic> {
    let given = gives[from].clone();
    // What takes anything gave a shape by its first source; the others must be like it.
    let wanted = takes(&nodes[to]).or_else(|| like_source(&nodes[to].primitive).then(|| gives[to].clone()));
    let Some(wanted) = wanted.filter(|w| *w != given) else { return Ok(()) };
    let plain = |shape: &[usize]| shape.iter().copied().filter(|n| *n != 1).collect::<Vec<_>>();
    let count = |shape: &[usize]| shape.iter().product::<usize>();
    let sink = matches!(nodes[to].primitive, Primitive::Output { .. });
    let batch = matches!(nodes[from].primitive, Primitive::Flatten { .. }) && wanted.len() == 1;
    let (source, target) = (nodes[from].name.escape_debug(), nodes[to].name.escape_debug());
    if plain(&wanted) == plain(&given) || (count(&wanted) == count(&given) && (sink || batch)) {
        warnings.push(format!(
            "Node `{source}` gives {given:?}, and `{target}` says {wanted:?}; the elements are taken as they lie."
        ));
    } else {
        let what = format!("gets {given:?} from `{source}`, expected {wanted:?}");
        return Err(about(
            &nodes[to],
            shown,
            "E0124",
            &what,
            "correct one of the two, or put a Flatten between them",
        ));
    }
    if batch {
        gives[from] = wanted;
    } else if let Primitive::Output { shape } = &mut nodes[to].primitive {
        shape.clone_from(&given);
        gives[to] = given;
    }
    Ok(())
}

/// Whether a node gives the shape that it gets.
fn like_source(primitive: &Primitive) -> bool {
    !primitive.parameters().is_empty()
        || matches!(primitive, Primitive::Input { .. } | Primitive::Output { .. })
}

fn about(node: &Draft, shown: &str, code: &'static str, what: &str, help: &str) -> Diagnostic {
    let name = node.name.escape_debug();
    let type_name = node.primitive.type_name();
    Diagnostic::new(code, format!("`{shown}`: node `{name}` ({type_name}) {what}"), help)
        .at(node.name.clone())
}
