//! Whether the parts of a lava-dl layer belong together, and the layer to the one before it.

use nervure_core::{Diagnostic, TensorType};

use super::fields::Fields;
use super::lava::{LavaKind, LavaLayer, Window};

/// Longest delay, steps; Loihi has 62.
const MAX_DELAY: i64 = 4096;

/// Fails with `E0124` unless `shape` is what the layer gives, as far as its parameters tell.
pub(super) fn outputs(fields: &Fields<'_>, layer: &LavaLayer) -> Result<(), Diagnostic> {
    let gives: usize = layer.shape.iter().product();
    let wrong = match &layer.kind {
        LavaKind::Dense { weight, .. } => gives != weight.shape[0],
        LavaKind::Conv { weight, .. } => layer.shape.len() != 3 || layer.shape[0] != weight.shape[0],
        LavaKind::Pool { .. } => layer.shape.len() != 3,
        LavaKind::Input { .. } | LavaKind::Flatten | LavaKind::Average => false,
    };
    let delay = match &layer.kind {
        LavaKind::Dense { delay, .. } | LavaKind::Conv { delay, .. } | LavaKind::Pool { delay, .. } => {
            delay.as_ref()
        }
        LavaKind::Input { .. } | LavaKind::Flatten | LavaKind::Average => None,
    };
    let decays = layer.neuron.iter().flat_map(|n| [&n.i_decay, &n.v_decay]);
    let channels = layer.shape[0];
    if wrong {
        let what = format!("has `shape` {:?}, which does not belong to its weights", layer.shape);
        return Err(fields.fault("E0124", "shape", &what, "export the network again"));
    }
    if let Some(delay) = delay {
        let count = delay.data.len();
        if ![1, channels, gives].contains(&count) {
            let what = format!("has {count} delays, expected 1, {channels} or {gives}");
            return Err(fields.fault(
                "E0124",
                "delay",
                &what,
                "give one delay, or one for each channel or neuron",
            ));
        }
        if let Some(steps) = delay.data.iter().find(|steps| !(0..=MAX_DELAY).contains(*steps)) {
            let what = format!("has `delay` {steps}, expected 0 to {MAX_DELAY} steps");
            return Err(fields.fault(
                "E0125",
                "delay",
                &what,
                format!("choose a delay from 0 to {MAX_DELAY}"),
            ));
        }
    }
    match decays.into_iter().find(|d| ![1, channels].contains(&d.data.len())) {
        None => Ok(()),
        Some(decay) => {
            let what = format!("has {} decays, expected 1 or {channels}", decay.data.len());
            Err(fields.fault("E0124", "neuron", &what, "give one decay, or one for each channel"))
        }
    }
}

/// Fails with `E0124` unless `layer`, called `name`, can take what `before` gives.
pub(super) fn fits(before: &LavaLayer, layer: &LavaLayer, shown: &str, name: &str) -> Result<(), Diagnostic> {
    let given: usize = before.shape.iter().product();
    let (expected, ok) = match &layer.kind {
        LavaKind::Dense { weight, .. } => (weight.shape[1].to_string(), weight.shape[1] == given),
        LavaKind::Conv { weight, groups, .. } => {
            let channels = weight.shape[1] * groups;
            (
                format!("{channels} channels, height, width"),
                before.shape.len() == 3 && before.shape[0] == channels,
            )
        }
        LavaKind::Pool { .. } => {
            let channels = layer.shape[0];
            (
                format!("{channels} channels, height, width"),
                before.shape.len() == 3 && before.shape[0] == channels,
            )
        }
        LavaKind::Flatten => (
            layer.shape.iter().product::<usize>().to_string(),
            layer.shape.iter().product::<usize>() == given,
        ),
        LavaKind::Average => {
            (format!("a multiple of {}", layer.shape[0]), given.is_multiple_of(layer.shape[0]))
        }
        LavaKind::Input { .. } => ("no layer before it".to_owned(), false),
    };
    let windowed = match &layer.kind {
        LavaKind::Conv { window, .. } | LavaKind::Pool { window, .. } if ok => {
            (0..2).all(|axis| places(window, axis, before.shape[axis + 1]) == Some(layer.shape[axis + 1]))
        }
        _ => ok,
    };
    if windowed {
        return Ok(());
    }
    let message = if ok {
        format!(
            "`{shown}`: layer `{name}` gives {:?}, which its window does not make of {:?}",
            layer.shape, before.shape
        )
    } else {
        format!("`{shown}`: layer `{name}` gets {:?}, expected {expected}", before.shape)
    };
    Err(Diagnostic::new("E0124", message, "export the network again; its layers do not belong together")
        .at(name))
}

/// Number of places of `window` along an axis of `extent`.
fn places(window: &Window, axis: usize, extent: usize) -> Option<usize> {
    let span = window.dilation[axis].checked_mul(window.kernel_size[axis] - 1)?.checked_add(1)?;
    let room = extent.checked_add(window.padding[axis].checked_mul(2)?)?.checked_sub(span)?;
    Some(room / window.stride[axis] + 1).filter(|n| *n <= TensorType::MAX_LEN)
}
