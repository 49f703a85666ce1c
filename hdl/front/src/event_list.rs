//! Samples as lists of events: what a camera or a cochlea records. Deliberately absent: time stamps, which whoever writes the
//! file bins into time steps.

use nervure_core::{Diagnostic, Elements, TensorType};

use crate::npz::Array;

/// Samples that are not in the list because nothing happens in them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Size {
    /// Samples, where that is known.
    pub(crate) samples: Option<usize>,
    /// Steps a sample, where that is known.
    pub(crate) steps: Option<usize>,
}

/// Whether `array` lists events: `[events, 3]`, sample, step and element, or with one column per axis of the tensor in place
/// of the element. No other samples of a tensor that passes once a step have two axes.
pub(crate) fn is_list(array: &Array, tensor: &TensorType) -> bool {
    let counts = !tensor.format.signed && tensor.format.bits <= 8;
    let columns = [3, 2 + tensor.shape.len()];
    tensor.rate.steps() && counts && array.shape.len() == 2 && columns.contains(&array.shape[1])
}

/// The number of events of each element, and the number of samples and of steps: as `size` says, else as many as have events.
///
/// Errors: `E0107` for what is no integer, `E0110` for more than `limit` elements, `E0205` for no event and no size, `E0206`
/// for an event out of place or more of one element in a step than the format of the input holds.
pub(crate) fn dense(
    array: &Array,
    tensor: &TensorType,
    size: Size,
    limit: usize,
) -> Result<(usize, usize, Elements), Diagnostic> {
    let rows = array.integers()?;
    let columns = array.shape[1];
    let most = |column: usize| {
        rows.iter().skip(column).step_by(columns).max().map_or(0, |n| (n + 1).max(0) as usize)
    };
    let (samples, steps) = (size.samples.unwrap_or_else(|| most(0)), size.steps.unwrap_or_else(|| most(1)));
    if samples == 0 || steps == 0 {
        let message = format!("`{}` has no event to tell how many samples and steps there are", array.name);
        let help = "save `[samples, steps]` beside it, under its name with `_size` behind";
        return Err(Diagnostic::new("E0205", message, help));
    }
    let len = tensor.len();
    let all = samples.checked_mul(steps).and_then(|n| n.checked_mul(len)).filter(|n| *n <= limit);
    let Some(all) = all else {
        let message =
            format!("`{}` has {samples} samples of {steps} steps, more than {limit} elements", array.name);
        return Err(Diagnostic::new("E0110", message, "split the samples over several files"));
    };
    let extents: Vec<usize> = [samples, steps]
        .into_iter()
        .chain(if columns == 3 { vec![len] } else { tensor.shape.clone() })
        .collect();
    let mut counts = vec![0u8; all];
    for (n, event) in rows.chunks_exact(columns).enumerate() {
        let mut at = 0;
        for (column, (&value, &extent)) in event.iter().zip(&extents).enumerate() {
            let place = usize::try_from(value).ok().filter(|v| *v < extent);
            at = at * extent + place.ok_or_else(|| outside(array, n, column, value, extent))?;
        }
        if i64::from(counts[at]) == tensor.format.max() {
            let (sample, step, element) = (at / len / steps, at / len % steps, at % len);
            let (max, format) = (tensor.format.max(), tensor.format);
            return Err(Diagnostic::new(
                "E0206",
                format!(
                    "`{}` has more than {max} events of element {element} in sample {sample}, step {step}: outside {format}",
                    array.name
                ),
                "widen the format of the input, or keep one event of an element in a step",
            ));
        }
        counts[at] += 1;
    }
    Ok((samples, steps, Elements::U8(counts)))
}

fn outside(array: &Array, event: usize, column: usize, value: i64, extent: usize) -> Diagnostic {
    let what = match column {
        0 => "sample".to_owned(),
        1 => "step".to_owned(),
        _ if array.shape[1] == 3 => "element".to_owned(),
        _ => format!("axis {}", column - 2),
    };
    Diagnostic::new(
        "E0206",
        format!("`{}` event {event} has {what} {value}, expected 0 to {}", array.name, extent - 1),
        "a row is sample, step and element (or its index on every axis), each counted from 0",
    )
}
