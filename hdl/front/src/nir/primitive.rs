//! From the fields of a node to what it computes.

use nervure_core::Diagnostic;

use super::array::Array;
use super::fields::Fields;
use super::graph::{Padding, Primitive};
use crate::suggest;

/// The types of nodes, but for graphs.
const TYPES: [&str; 18] = [
    "Affine",
    "AvgPool2d",
    "Conv1d",
    "Conv2d",
    "CubaLI",
    "CubaLIF",
    "Delay",
    "Flatten",
    "I",
    "IF",
    "Input",
    "LI",
    "LIF",
    "Linear",
    "Output",
    "Scale",
    "SumPool2d",
    "Threshold",
];

/// A node's primitive, and what was filled in for fields that it lacks.
pub(super) struct Read {
    pub(super) primitive: Primitive,
    /// The file has no bias.
    pub(super) no_bias: bool,
    /// The file has no `v_reset`.
    pub(super) no_reset: bool,
}

/// The primitive of type `type_name`. Errors: `E0122` for an unknown type, and those of the fields.
pub(super) fn read(fields: &Fields<'_>, type_name: &str) -> Result<Read, Diagnostic> {
    let time = |field| fields.bounded(field, 0.0, true);
    let array = |field| fields.array(field);
    let (mut no_bias, mut no_reset) = (false, false);
    let mut bias = |shape: &[usize]| {
        if let Some(bias) = fields.array_opt("bias")? {
            fields.shaped("bias", &bias, shape).map(|()| bias)
        } else {
            no_bias = true;
            Ok(zeros(shape))
        }
    };
    let mut reset = |threshold: &Array| {
        let reset = fields.array_opt("v_reset")?;
        no_reset = reset.is_none();
        Ok(reset.unwrap_or_else(|| zeros(&threshold.shape)))
    };
    let gain = || Ok(fields.array_opt("w_in")?.unwrap_or_else(|| Array::scalar(1.0)));
    let primitive = match type_name {
        "Input" => Primitive::Input { shape: fields.extents("shape")? },
        "Output" => Primitive::Output { shape: fields.extents("shape")? },
        "Affine" => {
            let weight = matrix(fields)?;
            let bias = bias(&weight.shape[..weight.shape.len() - 1])?;
            Primitive::Affine { weight, bias }
        }
        "Linear" => Primitive::Linear { weight: matrix(fields)? },
        "Scale" => Primitive::Scale { scale: array("scale")? },
        "Conv1d" => {
            let weight = array("weight")?;
            fields.rank("weight", &weight, "shape [out, in / groups, k]", 3)?;
            let [stride] = fields.spread("stride", 1)?;
            let [dilation] = fields.spread("dilation", 1)?;
            let padding = padding(fields, &[stride])?;
            let groups = groups(fields, &weight)?;
            let input_shape = fields.spread_opt::<1>("input_shape", 1)?.map(|[extent]| extent);
            let bias = bias(&weight.shape[..1])?;
            Primitive::Conv1d { weight, stride, padding, dilation, groups, bias, input_shape }
        }
        "Conv2d" => {
            let weight = array("weight")?;
            fields.rank("weight", &weight, "shape [out, in / groups, kh, kw]", 4)?;
            let stride = fields.spread("stride", 1)?;
            let dilation = fields.spread("dilation", 1)?;
            let padding = padding(fields, &stride)?;
            let groups = groups(fields, &weight)?;
            let input_shape = fields.spread_opt("input_shape", 1)?;
            let bias = bias(&weight.shape[..1])?;
            Primitive::Conv2d { weight, stride, padding, dilation, groups, bias, input_shape }
        }
        "SumPool2d" | "AvgPool2d" => {
            let kernel_size = fields.spread("kernel_size", 1)?;
            let stride = fields.spread("stride", 1)?;
            let padding = fields.spread("padding", 0)?;
            if type_name == "SumPool2d" {
                Primitive::SumPool2d { kernel_size, stride, padding }
            } else {
                Primitive::AvgPool2d { kernel_size, stride, padding }
            }
        }
        "Flatten" => Primitive::Flatten {
            start_dim: fields.integer_opt("start_dim")?.unwrap_or(1),
            end_dim: fields.integer_opt("end_dim")?.unwrap_or(-1),
            input_shape: fields.extents_opt("input_type")?,
        },
        "Delay" => Primitive::Delay { delay: fields.bounded("delay", 0.0, false)? },
        "Threshold" => Primitive::Threshold { threshold: array("threshold")? },
        "I" => Primitive::I { r: array("r")? },
        "IF" => {
            let v_threshold = array("v_threshold")?;
            Primitive::If { r: array("r")?, v_reset: reset(&v_threshold)?, v_threshold }
        }
        "LI" => Primitive::Li { tau: time("tau")?, r: array("r")?, v_leak: array("v_leak")? },
        "LIF" => {
            let (tau, r, v_leak, v_threshold) =
                (time("tau")?, array("r")?, array("v_leak")?, array("v_threshold")?);
            Primitive::Lif { tau, r, v_leak, v_reset: reset(&v_threshold)?, v_threshold }
        }
        "CubaLI" => {
            let (tau_syn, tau_mem) = (time("tau_syn")?, time("tau_mem")?);
            Primitive::CubaLi { tau_syn, tau_mem, r: array("r")?, v_leak: array("v_leak")?, w_in: gain()? }
        }
        "CubaLIF" => {
            let (tau_syn, tau_mem) = (time("tau_syn")?, time("tau_mem")?);
            let (r, v_leak, v_threshold) = (array("r")?, array("v_leak")?, array("v_threshold")?);
            let v_reset = reset(&v_threshold)?;
            Primitive::CubaLif { tau_syn, tau_mem, r, v_leak, v_threshold, v_reset, w_in: gain()? }
        }
        other => {
            let what = format!("has type `{}`, which is not one of NIR's", other.escape_debug());
            return Err(fields.fault(
                "E0122",
                "type",
                &what,
                suggest::help(other, &TYPES, "expected one of"),
            ));
        }
    };
    agree(fields, &primitive)?;
    Ok(Read { primitive, no_bias, no_reset })
}

fn zeros(shape: &[usize]) -> Array {
    Array { shape: shape.to_vec(), data: vec![0.0; shape.iter().product()] }
}

fn matrix(fields: &Fields<'_>) -> Result<Array, Diagnostic> {
    let weight = fields.array("weight")?;
    if weight.shape.len() < 2 {
        fields.rank("weight", &weight, "shape [out, in]", 2)?;
    }
    Ok(weight)
}

fn groups(fields: &Fields<'_>, weight: &Array) -> Result<usize, Diagnostic> {
    let [groups] = fields.spread_opt("groups", 1)?.unwrap_or([1]);
    if weight.shape[0].is_multiple_of(groups) {
        return Ok(groups);
    }
    let what = format!("has `groups` {groups}, which does not divide its {} outputs", weight.shape[0]);
    Err(fields.fault("E0124", "groups", &what, "groups divide the channels of the input and of the output"))
}

fn padding<const N: usize>(fields: &Fields<'_>, stride: &[usize; N]) -> Result<Padding<N>, Diagnostic> {
    let text = if fields.is_text("padding")? { fields.text("padding")? } else { String::new() };
    match text.as_str() {
        "" => Ok(Padding::Explicit(fields.spread("padding", 0)?)),
        "valid" => Ok(Padding::Valid),
        "same" if *stride == [1; N] => Ok(Padding::Same),
        "same" => {
            let what =
                format!("has `padding` \"same\" with stride {stride:?}, which is defined for stride 1 alone");
            Err(fields.fault("E0124", "padding", &what, "write the padding as numbers"))
        }
        other => {
            let what = format!(
                "has `padding` \"{}\", expected numbers, \"same\" or \"valid\"",
                other.escape_debug()
            );
            Err(fields.fault("E0124", "padding", &what, "write numbers, \"same\" or \"valid\""))
        }
    }
}

/// Parameters of one node have one shape, or are single numbers.
fn agree(fields: &Fields<'_>, primitive: &Primitive) -> Result<(), Diagnostic> {
    let parameters = primitive.parameters();
    let Some((_, first)) = parameters.iter().find(|(_, a)| a.len() > 1) else { return Ok(()) };
    parameters
        .iter()
        .filter(|(_, a)| a.len() > 1)
        .try_for_each(|(name, a)| fields.shaped(name, a, &first.shape))
}
