//! Samples: `.npz` files with one array per network input, and optionally what is expected of the network.

use std::path::Path;

use nervure_core::{Diagnostic, Elements, Network, QType, Samples};

use crate::event_list::{self, Size};
use crate::npz::{Array, Dtype, Fault, Npz};
use crate::shape_of;

/// Most elements of one array of samples.
const MAX_ELEMENTS: usize = 1 << 31;

/// Reads samples for `network` from an `.npz`: an array `[samples, ...]` per input that passes once a frame,
/// `[samples, steps, ...]` per input that passes once a step, under the input's name. The tensor's own axes may be
/// flattened into one. Optional are `label`, `[samples]`, and `target`, `[samples, ...]`.
///
/// Spikes may be a list of events, `[events, 3]`: sample, step and element, or the index on every axis in place of the element.
/// How many samples and steps there are is then in `NAME_size`, `[samples, steps]`, or follows from labels and events.
///
/// Errors: `E0101`, `E0105` to `E0107`, `E0110` for the file; `E0205` for a shape; `E0206` for a value outside the
/// format of its input.
pub fn samples(path: &Path, network: &Network) -> Result<Samples, Diagnostic> {
    let mut npz = Npz::open(path, &path.display().to_string())?;
    let mut counts: Option<(String, usize)> = None;
    let mut steps: Option<(String, usize)> = None;
    let mut inputs = Vec::with_capacity(network.inputs.len());
    for port in &network.inputs {
        let array = npz.read(&port.name, MAX_ELEMENTS)?;
        if event_list::is_list(&array, &port.tensor) {
            let size = list_size(&mut npz, network, &port.name)?;
            let (n, t, elements) = event_list::dense(&array, &port.tensor, size, MAX_ELEMENTS)?;
            agree(&mut counts, &array, n, "samples")?;
            agree(&mut steps, &array, t, "steps")?;
            inputs.push(elements);
            continue;
        }
        let leading = if port.tensor.rate.steps() { 2 } else { 1 };
        check_shape(&array, leading, &port.tensor.shape)?;
        agree(&mut counts, &array, array.shape[0], "samples")?;
        if leading == 2 {
            agree(&mut steps, &array, array.shape[1], "steps")?;
        }
        inputs.push(narrow(array, port.tensor.format, leading)?);
    }
    let count = counts.map_or(0, |(_, n)| n);
    let names = npz.names();
    let mut optional = |name: &str| {
        let wanted = names.iter().any(|n| n == name) && !network.inputs.iter().any(|i| i.name == name);
        let array = if wanted { npz.read(name, MAX_ELEMENTS)? } else { return Ok(None) };
        if array.shape.first() != Some(&count) {
            return Err(shape(&array, &format!("[{count}, ...], as many as there are samples")));
        }
        Ok(Some(array))
    };
    let labels = optional("label")?;
    let targets = optional("target")?;
    let labels = match labels {
        Some(array) if array.shape[1..].iter().all(|n| *n == 1) => Some(array.integers()?),
        Some(array) => return Err(shape(&array, &format!("[{count}]"))),
        None => None,
    };
    let targets = targets.map(|array| target(&array, network, count)).transpose()?;
    Ok(Samples { count, steps: steps.map_or(1, |(_, n)| n), inputs, labels, targets })
}

/// What the file says of the size of the list `name`: its own `NAME_size`, else the number of labels.
fn list_size(npz: &mut Npz, network: &Network, name: &str) -> Result<Size, Diagnostic> {
    let names = npz.names();
    let there =
        |name: &str| names.iter().any(|n| n == name) && !network.inputs.iter().any(|i| i.name == name);
    let key = format!("{name}_size");
    if there(&key) {
        let array = npz.read(&key, 2)?;
        let size = array.integers()?;
        let [Ok(samples), Ok(steps)] = size[..].iter().map(|n| usize::try_from(*n)).collect::<Vec<_>>()[..]
        else {
            return Err(shape(&array, "[2]: the number of samples and of steps"));
        };
        return Ok(Size { samples: Some(samples), steps: Some(steps) });
    }
    if there("label") {
        let label = npz.read("label", MAX_ELEMENTS)?;
        return Ok(Size { samples: label.shape.first().copied(), steps: None });
    }
    Ok(Size::default())
}

fn shape(array: &Array, expected: &str) -> Diagnostic {
    Diagnostic::new(
        "E0205",
        format!("`{}` has shape {:?}, expected {expected}", array.name, array.shape),
        "reshape or transpose the array before it is saved",
    )
}

/// `leading` axes that are not empty, then the tensor's own axes, or one axis for all of them.
fn check_shape(array: &Array, leading: usize, tensor: &[usize]) -> Result<(), Diagnostic> {
    let own = array.shape.get(leading..).unwrap_or(&[]);
    let flat = [tensor.iter().product::<usize>()];
    let some = array.shape.iter().take(leading).all(|n| *n > 0);
    if array.shape.len() > leading && (own == tensor || own == flat) && some {
        return Ok(());
    }
    let lead = if leading == 2 { "samples, steps" } else { "samples" };
    let own: Vec<String> = tensor.iter().map(ToString::to_string).collect();
    Err(shape(array, &format!("[{lead}, {}] with at least one sample", own.join(", "))))
}

fn agree(first: &mut Option<(String, usize)>, array: &Array, n: usize, what: &str) -> Result<(), Diagnostic> {
    match first {
        Some((name, m)) if *m != n => Err(Diagnostic::new(
            "E0205",
            format!("`{}` has {n} {what}, and `{name}` has {m}", array.name),
            "give every input the same number of samples, and of time steps",
        )),
        Some(_) => Ok(()),
        None => {
            *first = Some((array.name.clone(), n));
            Ok(())
        }
    }
}

/// The elements in the narrowest width that holds `format`, each checked against it.
fn narrow(array: Array, format: QType, leading: usize) -> Result<Elements, Diagnostic> {
    let bytes = matches!(array.dtype, Dtype::Bool | Dtype::Unsigned(1)) && !array.fortran;
    let elements = if bytes {
        match array.bytes.iter().position(|b| !format.contains(i64::from(*b))) {
            None if format.max() == 1 => return Ok(Elements::bits(&array.bytes)),
            None => return Ok(Elements::U8(array.bytes)),
            Some(at) => Err(Fault::Outside(at, i64::from(array.bytes[at]))),
        }
    } else if format.min() >= 0 && format.max() <= 255 {
        let values = array.map(|v| format.contains(v).then_some(v as u8));
        values.map(|v| if format.max() == 1 { Elements::bits(&v) } else { Elements::U8(v) })
    } else if format.min() >= i64::from(i16::MIN) && format.max() <= i64::from(i16::MAX) {
        array.map(|v| format.contains(v).then_some(v as i16)).map(Elements::I16)
    } else {
        array.map(|v| format.contains(v).then_some(v)).map(Elements::I64)
    };
    elements.map_err(|fault| match fault {
        Fault::Fraction(at, text) => array.fraction(at, &text),
        Fault::Outside(at, value) => {
            let place = shape_of::position(at, &array.shape, array.fortran);
            let step = if leading == 2 { format!(", step {}", place[1]) } else { String::new() };
            let element = match &place[leading..] {
                [one] => one.to_string(),
                several => format!("{several:?}"),
            };
            let (min, max) = (format.min(), format.max());
            Diagnostic::new(
                "E0206",
                format!(
                    "`{}` is {value} in sample {}{step}, element {element}: outside {format} ({min} to {max})",
                    array.name, place[0]
                ),
                "quantize the samples to the format of the network's input, or widen that format",
            )
        }
    })
}

/// What the only output should be.
fn target(array: &Array, network: &Network, count: usize) -> Result<Elements, Diagnostic> {
    let [(_, output)] = network.outputs.as_slice() else {
        let message =
            format!("`{}` tells of one output, and the network has {}", array.name, network.outputs.len());
        return Err(Diagnostic::new("E0205", message, "remove `target`, or keep one output"));
    };
    let tensor = network.stream(*output).tensor;
    let values = array.integers()?;
    if values.len() != tensor.len() * count {
        let own: Vec<String> = tensor.shape.iter().map(ToString::to_string).collect();
        return Err(shape(array, &format!("[{count}, {}]", own.join(", "))));
    }
    let within = |lo, hi| values.iter().all(|v| (lo..=hi).contains(v));
    Ok(if within(0, 255) {
        Elements::U8(values.iter().map(|v| *v as u8).collect())
    } else if within(i64::from(i16::MIN), i64::from(i16::MAX)) {
        Elements::I16(values.iter().map(|v| *v as i16).collect())
    } else {
        Elements::I64(values)
    })
}
