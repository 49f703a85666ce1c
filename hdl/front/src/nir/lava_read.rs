//! From the bytes of a lava-dl network to its layers.

use nervure_core::{Diagnostic, Network, Tensor};

use super::fields::Fields;
use super::hdf5::{Group, Hdf5, with_file};
use super::lava::{LavaKind, LavaLayer, LavaLoaded, LavaNeuron, Window};
use super::lava_check::{fits, outputs};
use crate::suggest;

/// Layers that lava-dl exports and that are read here.
const TYPES: [&str; 6] = ["input", "dense", "conv", "pool", "flatten", "average"];
/// Decays are in these parts.
const WHOLE_DECAY: i64 = 4096;
/// Largest threshold: 17 bits on Loihi.
const MAX_THRESHOLD: i64 = (1 << 17) - 1;

/// Reads a lava-dl network as `export_hdf5` of `slayer` writes it. `shown` is the file's name in messages.
///
/// Errors: one diagnostic that names the file, the layer and the field: `E0107` for what is no integer, `E0110`,
/// `E0120` to `E0125`, `E0204`, `E0406`.
pub fn read_lava(bytes: &[u8], shown: &str) -> Result<LavaLoaded, Diagnostic> {
    with_file(bytes, shown, layers)
}

fn layers(file: &Hdf5<'_>) -> Result<LavaLoaded, Diagnostic> {
    let root = file.root()?;
    let shown = file.shown;
    if !root.groups.contains_key("layer") {
        let nir = root.groups.contains_key("node");
        let help =
            if nir { "it is a NIR graph; name it `*.nir`" } else { "write it with `export_hdf5` of lava-dl" };
        let message = format!("`{shown}` is HDF5, but no lava-dl network: it has no group `layer`");
        return Err(Diagnostic::new("E0121", message, help));
    }
    let all = file.open(&root, "layer")?;
    let count = all.groups.len();
    if count == 0 || count > Network::MAX_NODES {
        let message = format!("`{shown}` has {count} layers, expected 1 to {}", Network::MAX_NODES);
        return Err(Diagnostic::new("E0406", message, "split the network, or export one with layers"));
    }
    let mut loaded = LavaLoaded { layers: Vec::new(), warnings: Vec::new() };
    for number in 0..count {
        let name = number.to_string();
        if !all.groups.contains_key(&name) {
            let message = format!("`{shown}` has {count} layers, but none is called `{name}`");
            return Err(Diagnostic::new("E0123", message, "layers are called 0, 1, 2 and so on")
                .at(name)
                .at("layer"));
        }
        let group = file.open(&all, &name)?;
        let layer = layer(file, &group, &name, &mut loaded.warnings)?;
        if let Some(before) = loaded.layers.last() {
            fits(before, &layer, shown, &name)?;
        }
        loaded.layers.push(layer);
    }
    Ok(loaded)
}

fn layer(
    file: &Hdf5<'_>,
    group: &Group,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<LavaLayer, Diagnostic> {
    let fields = Fields::new(file, group, name, &format!("layer `{name}`"));
    let type_name = fields.text("type")?;
    let fields = fields.with_type(&type_name);
    fields.has("type");
    let delay = || tensor_opt(&fields, "delay");
    let kind = match type_name.as_str() {
        "input" => {
            LavaKind::Input { weight: fields.integer_opt("weight")?, bias: fields.integer_opt("bias")? }
        }
        "dense" => {
            let [outputs] = fields.spread("outFeatures", 1)?;
            let [inputs] = fields.spread("inFeatures", 1)?;
            let weight = weight(&fields, group)?;
            same(&fields, "weight", &weight, &[outputs, inputs])?;
            let bias = vector(&fields, "bias", outputs)?;
            LavaKind::Dense { weight, bias, delay: delay()? }
        }
        "conv" => {
            let [outputs] = fields.spread("outChannels", 1)?;
            let [inputs] = fields.spread("inChannels", 1)?;
            let [groups] = fields.spread_opt("groups", 1)?.unwrap_or([1]);
            let window = window(&fields)?;
            let weight = weight(&fields, group)?;
            if !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
                let what = format!("has {groups} `groups` for {inputs} inputs and {outputs} outputs");
                return Err(fields.fault("E0124", "groups", &what, "groups divide both"));
            }
            let [kh, kw] = window.kernel_size;
            same(&fields, "weight", &weight, &[outputs, inputs / groups, kh, kw])?;
            let bias = vector(&fields, "bias", outputs)?;
            LavaKind::Conv { weight, window, groups, bias, delay: delay()? }
        }
        "pool" => {
            let window = window(&fields)?;
            let weight = weight(&fields, group)?;
            let [kh, kw] = window.kernel_size;
            same(&fields, "weight", &weight, &[1, 1, kh, kw])?;
            LavaKind::Pool { weight, window, delay: delay()? }
        }
        "flatten" => LavaKind::Flatten,
        "average" => LavaKind::Average,
        other => {
            let what = format!("has type `{}`, which is not read", other.escape_debug());
            return Err(fields.fault(
                "E0122",
                "type",
                &what,
                suggest::help(other, &TYPES, "expected one of"),
            ));
        }
    };
    let shape = fields.extents("shape")?;
    fields.has("neuron");
    let neuron = match group.groups.contains_key("neuron") {
        true => Some(neuron(file, &file.open(group, "neuron")?, name, warnings)?),
        false if !matches!(kind, LavaKind::Conv { .. } | LavaKind::Pool { .. }) => None,
        false => {
            return Err(fields.fault("E0123", "neuron", "has no group `neuron`", "export the whole network"));
        }
    };
    unread(&fields, warnings);
    let layer = LavaLayer { shape, kind, neuron };
    outputs(&fields, &layer)?;
    Ok(layer)
}

fn neuron(
    file: &Hdf5<'_>,
    group: &Group,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<LavaNeuron, Diagnostic> {
    let fields = Fields::new(file, group, name, &format!("the neuron of layer `{name}`"));
    let type_name = fields.text("type")?;
    if !["CUBA", "LOIHI"].contains(&type_name.as_str()) {
        let what = format!("has type `{}`, which is not read", type_name.escape_debug());
        return Err(fields.fault("E0122", "type", &what, "expected a neuron of type `CUBA`"));
    }
    let ranged = |field, least, most| {
        let value = fields.integer(field)?;
        if (least..=most).contains(&value) {
            return Ok(value);
        }
        let what = format!("has `{field}` {value}, expected {least} to {most}");
        Err(fields.fault("E0125", field, &what, format!("choose a value from {least} to {most}")))
    };
    let neuron = LavaNeuron {
        i_decay: decay(&fields, "iDecay")?,
        v_decay: decay(&fields, "vDecay")?,
        v_th_mant: ranged("vThMant", 1, MAX_THRESHOLD)?,
        ref_delay: if fields.has("refDelay") { ranged("refDelay", 0, 63)? } else { 1 },
        graded: fields.integer_opt("gradedSpike")?.unwrap_or(0) != 0,
        weight_exp: fields.integer_opt("weight_exp")?,
    };
    unread(&fields, warnings);
    Ok(neuron)
}

/// A decay: one, or one for each channel.
fn decay(fields: &Fields<'_>, field: &str) -> Result<Tensor, Diagnostic> {
    let Some(decay) = tensor_opt(fields, field)? else {
        let help = format!("write the file again with `{field}`");
        return Err(fields.fault("E0123", field, &format!("has no field `{field}`"), help));
    };
    match decay.data.iter().position(|v| !(0..=WHOLE_DECAY).contains(v)) {
        None => Ok(Tensor::vector(decay.data)),
        Some(at) => {
            let what =
                format!("has `{field}` with element {at} {}, expected 0 to {WHOLE_DECAY}", decay.data[at]);
            Err(fields.fault("E0125", field, &what, "a decay is in 4096ths of a step"))
        }
    }
}

fn window(fields: &Fields<'_>) -> Result<Window, Diagnostic> {
    Ok(Window {
        kernel_size: fields.spread("kernelSize", 1)?,
        stride: fields.spread("stride", 1)?,
        padding: fields.spread("padding", 0)?,
        dilation: fields.spread("dilation", 1)?,
    })
}

/// The integers of `weight`.
fn weight(fields: &Fields<'_>, group: &Group) -> Result<Tensor, Diagnostic> {
    if group.groups.contains_key("weight") {
        let what = "has complex weights, which are not read";
        return Err(fields.fault("E0124", "weight", what, "use CUBA neurons, whose weights are real"));
    }
    let weight = tensor_opt(fields, "weight")?;
    weight.ok_or_else(|| fields.fault("E0123", "weight", "has no field `weight`", "export the whole network"))
}

fn tensor_opt(fields: &Fields<'_>, field: &str) -> Result<Option<Tensor>, Diagnostic> {
    Ok(fields.integers_opt(field)?.map(|(shape, data)| Tensor { shape, data }))
}

/// `field` with `n` elements, where the file has it.
fn vector(fields: &Fields<'_>, field: &str, n: usize) -> Result<Option<Tensor>, Diagnostic> {
    let Some(tensor) = tensor_opt(fields, field)? else { return Ok(None) };
    let tensor = Tensor::vector(tensor.data);
    same(fields, field, &tensor, &[n])?;
    Ok(Some(tensor))
}

fn same(fields: &Fields<'_>, field: &str, tensor: &Tensor, shape: &[usize]) -> Result<(), Diagnostic> {
    if tensor.shape == shape {
        return Ok(());
    }
    let what = format!("has `{field}` of shape {:?}, expected {shape:?}", tensor.shape);
    Err(fields.fault(
        "E0124",
        field,
        &what,
        "export the network again; sizes and arrays do not belong together",
    ))
}

fn unread(fields: &Fields<'_>, warnings: &mut Vec<String>) {
    for field in fields.unread().into_iter().take(8) {
        warnings.push(format!("Field `{}` of {} is passed over.", field.escape_debug(), fields.owner()));
    }
}
