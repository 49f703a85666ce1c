//! lava-dl networks: integers already, with slayer's formats.

use nervure_core::{Diagnostic, Tensor};

use super::model::{Conv, Layer, Model, Neuron, Neurons, Op, Synapse, shortened};
use super::semantics::Kind;
use super::translate::{Reading, unsupported};
use crate::nir::{LavaKind, LavaLayer, LavaNeuron};

/// Decays and thresholds in lava-dl are of 12 bits.
const ONE: f64 = 4096.0;

/// Translates the layers, which follow one another. Errors: `E0131`.
pub(crate) fn translate(layers: &[LavaLayer], reading: &Reading<'_>) -> Result<Model, Diagnostic> {
    let mut model = Model { input: Vec::new(), layers: Vec::new(), outputs: Vec::new() };
    let mut shape: Vec<usize> = Vec::new();
    for (n, layer) in layers.iter().enumerate() {
        let name = format!("layer{n}");
        let fault = |message: &str| {
            unsupported(&name, message, "export the network again with dense, conv and pool layers")
        };
        let synapse = match &layer.kind {
            LavaKind::Input { weight: None | Some(1), bias: None | Some(0) } if layer.neuron.is_none() => {
                model.input.clone_from(&layer.shape);
                shape.clone_from(&layer.shape);
                continue;
            }
            LavaKind::Input { .. } => {
                return Err(fault("an input layer with neurons or gains is not offered"));
            }
            LavaKind::Dense { weight, bias, delay } => {
                no_delay(delay.as_ref()).map_err(|m| fault(&m))?;
                let [outputs, inputs] = weight.shape[..] else {
                    return Err(fault("weights of a dense layer have two axes"));
                };
                if shape.is_empty() {
                    shape = vec![inputs];
                    model.input = vec![inputs];
                }
                if shape.iter().product::<usize>() != inputs {
                    return Err(fault("the weights do not fit the layer before"));
                }
                let bias = real(bias.as_ref(), outputs);
                shape = vec![outputs];
                Synapse::Dense { weight: real(Some(weight), 0), bias, inputs, outputs }
            }
            LavaKind::Conv { weight, window, groups, bias, delay } => {
                no_delay(delay.as_ref()).map_err(|m| fault(&m))?;
                let ([c, h, w], [o, ..], [oh, ow]) = (&shape[..], &weight.shape[..], &layer.shape[1..])
                else {
                    return Err(fault("a convolution needs a layer before it that gives a map"));
                };
                let (input, output) = ([*c, *h, *w], [*o, *oh, *ow]);
                let bias = real(bias.as_ref(), *o);
                shape = output.to_vec();
                Synapse::Conv(Conv {
                    weight: real(Some(weight), 0),
                    bias,
                    input,
                    output,
                    kernel: window.kernel_size,
                    stride: window.stride,
                    padding: window.padding,
                    dilation: window.dilation,
                    groups: *groups,
                })
            }
            LavaKind::Flatten => {
                shape = vec![shape.iter().product()];
                continue;
            }
            LavaKind::Pool { .. } | LavaKind::Average => {
                return Err(fault("this kind of layer is not offered"));
            }
        };
        let Some(neuron) = &layer.neuron else { return Err(fault("a layer of synapses without neurons")) };
        if neuron.graded {
            return Err(fault("graded spikes are not offered"));
        }
        if neuron.weight_exp.is_some_and(|e| e != 0) {
            return Err(fault("a weight exponent other than 0 is not offered"));
        }
        let neuron = cuba(neuron, reading)?;
        let from = model.layers.len().checked_sub(1);
        let op = Op::Neurons(Box::new(Neurons { synapse, recurrent: None, neuron }));
        model.layers.push(Layer { name, from, shape: shape.clone(), scale: 1.0, op });
    }
    match model.layers.len().checked_sub(1) {
        Some(last) => model.outputs.push(last),
        None => {
            return Err(unsupported(
                "layer0",
                "the network has no layer of neurons",
                "export a trained network",
            ));
        }
    }
    Ok(model)
}

fn real(tensor: Option<&Tensor>, zeros: usize) -> Vec<f64> {
    tensor.map_or_else(|| vec![0.0; zeros], |t| t.data.iter().map(|v| *v as f64).collect())
}

fn no_delay(delay: Option<&Tensor>) -> Result<(), String> {
    match delay {
        Some(d) if d.data.iter().any(|v| *v != 0) => Err("delays of axons are not offered".into()),
        _ => Ok(()),
    }
}

fn cuba(n: &LavaNeuron, reading: &Reading<'_>) -> Result<Neuron, Diagnostic> {
    let factor = |t: &Tensor| shortened(t.data.iter().map(|d| 1.0 - *d as f64 / ONE).collect());
    let current = factor(&n.i_decay);
    // A current that is gone in the next step is no state.
    let memoryless = current.iter().all(|d| *d <= 0.0);
    let kind = if memoryless { Kind::Lif } else { Kind::CubaLif };
    Ok(Neuron {
        semantics: reading.semantics(kind)?,
        decay: factor(&n.v_decay),
        current_decay: (!memoryless).then_some(current),
        bias: vec![0.0],
        threshold: Some(vec![n.v_th_mant as f64]),
        reset_value: vec![0.0],
    })
}
