//! From layers in integers to a network file and its arrays.
//!
//! Maps change from channels first, as files have them, to channels last, as streams carry them: a beat then holds the
//! channels of one pixel.

use nervure_core::num::gcd;
use nervure_core::{QType, Rounding};
use serde_json::{Map, Value, json};

use super::Readout;
use super::model::{Conv, Layer, Model, Neurons, Op, Synapse};
use super::quantize::{Fixed, integers};
use super::semantics::{Compare, Floor, Reset, When};
use super::simulate::Leak;
use crate::default_lanes;
use crate::yaml::{entry, inline};

/// The file of arrays beside the network.
pub const WEIGHTS: &str = "weights.npz";

/// A network on its way into files.
pub(crate) struct Written {
    pub(crate) yaml: String,
    pub(crate) arrays: Vec<(String, Vec<usize>, Vec<i64>)>,
}

struct Writer<'a> {
    model: &'a Model,
    lanes: usize,
    layers: Vec<Map<String, Value>>,
    arrays: Vec<(String, Vec<usize>, Vec<i64>)>,
    /// Name of the layer that gives what a layer of the model gives.
    names: Vec<String>,
}

/// Elements of a channels-first map in channels-last order; other shapes as they are.
pub(crate) fn channels_last<T: Copy>(shape: &[usize], list: &[T]) -> Vec<T> {
    let [c, h, w] = shape[..] else { return list.to_vec() };
    (0..list.len()).map(|at| list[at % c * h * w + at / c]).collect()
}

/// Largest divisor of `n` that is at most `most`.
fn divisor(n: usize, most: usize) -> usize {
    (1..=most.min(n)).rev().find(|d| n.is_multiple_of(*d)).unwrap_or(1)
}

/// Writes `model` with formats `fixed`, one per layer (nothing for a layer without neurons).
pub(crate) fn write(
    name: &str,
    model: &Model,
    fixed: &[Option<Fixed>],
    input: QType,
    lanes: usize,
    readout: Readout,
) -> Written {
    let mut w = Writer { model, lanes, layers: Vec::new(), arrays: Vec::new(), names: Vec::new() };
    for (n, layer) in model.layers.iter().enumerate() {
        w.layer(layer, fixed[n].as_ref());
    }
    let mut outputs: Vec<String> = model.outputs.iter().map(|n| w.names[*n].clone()).collect();
    if readout != Readout::Spikes {
        for output in &mut outputs {
            let counts = format!("{output}.counts");
            w.push(&counts, "seq/sum", &[output], Map::new());
            *output = counts;
            if readout == Readout::Class {
                let class = output.replace(".counts", ".class");
                w.push(&class, "seq/argmax", &[output], Map::new());
                *output = class;
            }
        }
    }
    w.finish(name, input, &outputs)
}

impl Writer<'_> {
    fn push(&mut self, name: &str, block: &str, from: &[&str], fields: Map<String, Value>) {
        let mut layer = Map::new();
        layer.insert("name".into(), json!(name));
        layer.insert("block".into(), json!(block));
        layer.insert("from".into(), if let [one] = from { json!(one) } else { json!(from) });
        layer.extend(fields);
        self.layers.push(layer);
    }

    /// A reference to an array, which is stored; a list of one element becomes the element.
    fn array(&mut self, name: &str, shape: &[usize], data: Vec<i64>) -> Value {
        self.arrays.push((name.to_owned(), shape.to_vec(), data));
        json!(format!("{WEIGHTS}:{name}"))
    }

    fn per_neuron(&mut self, name: &str, shape: &[usize], list: &[i64]) -> Value {
        match list {
            [one] => json!(one),
            list => self.array(name, &[list.len()], channels_last(shape, list)),
        }
    }

    fn layer(&mut self, layer: &Layer, fixed: Option<&Fixed>) {
        let name_of = |n: Option<usize>| n.map_or_else(|| "x".to_owned(), |n| self.names[n].clone());
        let from = name_of(layer.from);
        let from = [from.as_str()];
        match (&layer.op, fixed) {
            (Op::Neurons(neurons), Some(fixed)) => {
                let late = neurons.recurrent.is_some() && neurons.neuron.semantics.emit == When::NextStep;
                let name = if late { format!("{}.now", layer.name) } else { layer.name.clone() };
                let (reshaped, layout) = self.map_for(&name, layer, neurons);
                let from = reshaped.as_ref().map_or(from, |name| [name.as_str()]);
                let (block, mut fields) = self.synapse(&name, layer, neurons, fixed);
                if let (Some(layout), Synapse::Conv(conv)) = (layout, &neurons.synapse) {
                    fields.insert("layout".into(), json!(layout));
                    fields.insert("input_lanes".into(), json!(divisor(conv.input[2], 32)));
                }
                let neuron = self.neuron(&name, layer, neurons, fixed);
                fields.insert("neuron".into(), neuron);
                self.push(&name, block, &from, fields);
                if late {
                    // Spikes come back to the layer itself without this delay.
                    let fields = [("steps".to_owned(), json!(1))].into_iter().collect();
                    self.push(&layer.name, "seq/delay", &[&name], fields);
                }
            }
            (Op::Pool { kernel, stride }, _) => {
                let fields = [("kernel".to_owned(), json!(kernel)), ("stride".to_owned(), json!(stride))];
                self.push(&layer.name, "pool/sum2d", &from, fields.into_iter().collect());
            }
            (Op::Delay { steps }, _) => {
                let fields = [("steps".to_owned(), json!(steps))];
                self.push(&layer.name, "seq/delay", &from, fields.into_iter().collect());
            }
            (Op::Concat { sources }, _) => {
                let lanes = sources.iter().map(|n| self.elements(*n)).fold(0, gcd);
                let fields = [("lanes".to_owned(), json!(divisor(lanes, self.lanes)))];
                let names: Vec<String> = sources.iter().map(|n| name_of(*n)).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                self.push(&layer.name, "seq/concat", &names, fields.into_iter().collect());
            }
            (Op::Neurons(_), None) => unreachable!("neurons have formats"),
        }
        self.names.push(layer.name.clone());
    }

    /// For a convolution: the layer that gives its input another shape, where that is needed, and the order of the axes.
    fn map_for(
        &mut self,
        name: &str,
        layer: &Layer,
        neurons: &Neurons,
    ) -> (Option<String>, Option<&'static str>) {
        let Synapse::Conv(conv) = &neurons.synapse else { return (None, None) };
        let shape = layer.from.map_or(&self.model.input, |n| &self.model.layers[n].shape);
        let [c, h, w] = conv.input;
        // Only layers give maps channels last; what is flat, or comes from outside, lies as the file has it.
        let last = layer.from.is_some() && shape.len() == 3;
        let layout = (!last).then_some("chw");
        if shape[..] == conv.input {
            return (None, layout);
        }
        let to = if last { [h, w, c] } else { conv.input };
        let from = layer.from.map_or_else(|| "x".to_owned(), |n| self.names[n].clone());
        let reshaped = format!("{name}.map");
        let fields = [("shape".to_owned(), json!(to))].into_iter().collect();
        self.push(&reshaped, "seq/flatten", &[&from], fields);
        (Some(reshaped), layout)
    }

    fn elements(&self, from: Option<usize>) -> usize {
        from.map_or(&self.model.input, |n| &self.model.layers[n].shape).iter().product()
    }

    /// A row of weights in the order in which their inputs come: maps channels last, except the network's input.
    fn as_streamed(&self, from: Option<usize>, row: &[i64]) -> Vec<i64> {
        let Some(n) = from else { return row.to_vec() };
        let layer = &self.model.layers[n];
        let Op::Concat { sources } = &layer.op else { return channels_last(&layer.shape, row) };
        let mut at = 0;
        let part = |source: &Option<usize>| {
            let start = at;
            at += self.elements(*source);
            self.as_streamed(*source, &row[start..at])
        };
        sources.iter().flat_map(part).collect()
    }

    fn synapse(
        &mut self,
        name: &str,
        layer: &Layer,
        neurons: &Neurons,
        fixed: &Fixed,
    ) -> (&'static str, Map<String, Value>) {
        let mut fields = Map::new();
        let n: usize = layer.shape.iter().product();
        let block = match &neurons.synapse {
            Synapse::Dense { inputs, outputs, .. } => {
                let mut weight = fixed.weight.clone();
                weight = weight.chunks(*inputs).flat_map(|row| self.as_streamed(layer.from, row)).collect();
                fields.insert("weights".into(), self.array(name, &[*outputs, *inputs], weight));
                fields.insert("lanes".into(), json!(divisor(n, self.lanes)));
                "engine/spiking"
            }
            Synapse::Conv(conv) => {
                let Conv { stride, padding, dilation, groups, output, kernel, .. } = conv;
                let per_group = fixed.weight.len() / (output[0] * kernel[0] * kernel[1]);
                let shape = [output[0], per_group, kernel[0], kernel[1]];
                fields.insert("weights".into(), self.array(name, &shape, fixed.weight.clone()));
                for (field, [y, x], usual) in
                    [("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1)]
                {
                    if (*y, *x) != (usual, usual) {
                        fields.insert(field.into(), json!([y, x]));
                    }
                }
                if *groups != 1 {
                    fields.insert("groups".into(), json!(groups));
                }
                fields.insert("lanes".into(), json!(divisor(output[0] / groups, self.lanes)));
                "engine/spiking_conv"
            }
        };
        fields.insert("weight_format".into(), json!(fixed.weight_format));
        if fixed.bias.iter().any(|b| *b != 0) {
            let bias = self.array(&format!("{name}.bias"), &[fixed.bias.len()], fixed.bias.clone());
            fields.insert("bias".into(), bias);
        }
        if let Some((weight, bias)) = &fixed.recurrent {
            let weight = self.array(&format!("{name}.recurrent"), &[n, n], weight.clone());
            fields.insert("recurrent".into(), weight);
            if bias.iter().any(|b| *b != 0) {
                let skip = neurons.neuron.semantics.first_step == super::semantics::FirstStep::Skip;
                if skip {
                    let bias = self.array(&format!("{name}.recurrent_bias"), &[n], bias.clone());
                    fields.insert("recurrent_bias".into(), bias);
                } else {
                    let sum: Vec<i64> = bias.iter().zip(&fixed.bias).map(|(a, b)| a + b).collect();
                    self.arrays.retain(|a| a.0 != format!("{name}.bias"));
                    let bias = self.array(&format!("{name}.bias"), &[n], sum);
                    fields.insert("bias".into(), bias);
                }
            }
        }
        (block, fields)
    }

    fn neuron(&mut self, name: &str, layer: &Layer, neurons: &Neurons, fixed: &Fixed) -> Value {
        let (neuron, numbers) = (&neurons.neuron, &fixed.numbers);
        let s = &neuron.semantics;
        let spiking = neuron.threshold.is_some();
        let keeps = numbers.leak == Leak::Times(vec![1.0]);
        let block = match (&numbers.current_leak, spiking, keeps) {
            (Some(_), true, _) => "neuron/cuba_lif",
            (Some(_), false, _) => "neuron/cuba_li",
            (None, false, _) => "neuron/li",
            (None, true, true) => "neuron/if",
            (None, true, false) => "neuron/lif",
        };
        let mut f = Map::new();
        f.insert("block".into(), json!(block));
        f.insert("membrane".into(), json!(fixed.membrane));
        if let Some(threshold) = &numbers.threshold {
            let threshold = self.per_neuron(&format!("{name}.threshold"), &layer.shape, &integers(threshold));
            f.insert("threshold".into(), threshold);
            f.insert("compare".into(), json!(if s.compare == Compare::Gt { "gt" } else { "ge" }));
            let reset = match s.reset {
                Reset::Zero => json!("zero"),
                Reset::Subtract => json!("subtract"),
                Reset::None => json!("none"),
                Reset::Value if numbers.reset_value.iter().all(|v| v.abs() <= 0.0) => json!("zero"),
                Reset::Value => json!({"value": numbers.reset_value[0] as i64}),
            };
            f.insert("reset".into(), reset);
            if s.reset_at == When::NextStep {
                f.insert("reset_at".into(), json!("next_step"));
            }
            if s.double_reset {
                f.insert("double_reset".into(), json!(true));
            }
            if fixed.max_spikes != 1 {
                f.insert("max_spikes".into(), json!(fixed.max_spikes));
            }
            if s.floor == Floor::Threshold {
                f.insert("floor".into(), json!(-integers(numbers.threshold.as_deref().unwrap_or(&[0.0]))[0]));
            }
            if s.emit == When::NextStep && neurons.recurrent.is_none() {
                f.insert("emit".into(), json!("next_step"));
            }
        }
        if numbers.bias.iter().any(|b| b.abs() > 0.0) {
            let bias = self.per_neuron(&format!("{name}.v_bias"), &layer.shape, &integers(&numbers.bias));
            f.insert("bias".into(), bias);
        }
        if block != "neuron/if" {
            let leak = self.leak(&format!("{name}.leak"), layer, &numbers.leak);
            f.insert("leak".into(), leak);
        }
        if let Some(leak) = &numbers.current_leak {
            f.insert("current".into(), json!(fixed.membrane));
            let leak = self.leak(&format!("{name}.current_leak"), layer, leak);
            f.insert("current_leak".into(), leak);
            let current_first = s.order == super::semantics::Order::CurrentFirst;
            f.insert("order".into(), json!(if current_first { "current_first" } else { "membrane_first" }));
            if fixed.loihi {
                f.insert("current_overflow".into(), json!("wrap"));
            }
        }
        f.insert("overflow".into(), json!(s.overflow));
        Value::Object(f)
    }

    fn leak(&mut self, name: &str, layer: &Layer, leak: &Leak) -> Value {
        let with = |mut value: Value, rounding: Rounding| {
            if rounding != Rounding::Floor {
                value["rounding"] = json!(rounding);
            }
            value
        };
        match leak {
            // The read-outs have a leak whatever it is.
            Leak::Times(_) => json!({"shift": 1, "multiply": 2}),
            Leak::Shift { n, rounding } => with(json!({"shift": n}), *rounding),
            Leak::Fraction { k, n, rounding } => {
                let k = self.per_neuron(name, &layer.shape, &integers(k));
                with(json!({"shift": n, "multiply": k}), *rounding)
            }
        }
    }

    fn finish(self, name: &str, input: QType, outputs: &[String]) -> Written {
        let tensor = nervure_core::TensorType::step(&self.model.input, input);
        let lanes = default_lanes(&tensor);
        let port =
            json!({"name": "x", "shape": self.model.input, "format": input, "rate": "step", "lanes": lanes});
        let mut yaml = String::from("nervure: 1\n");
        entry(&mut yaml, 0, "name", &json!(name));
        yaml.push_str("inputs:\n  - ");
        inline(&mut yaml, &port);
        yaml.push_str("\nlayers:\n");
        for layer in &self.layers {
            yaml.push_str("  - ");
            for (i, (key, value)) in layer.iter().enumerate() {
                entry(&mut yaml, if i == 0 { 0 } else { 4 }, key, value);
            }
        }
        entry(&mut yaml, 0, "outputs", &json!(outputs));
        Written { yaml, arrays: self.arrays }
    }
}
