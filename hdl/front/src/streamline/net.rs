//! The network under construction: layers in integers, then its file.

use std::collections::BTreeSet;

use nervure_core::QType;
use nervure_core::num::bits_for;
use serde_json::{Map, Value, json};

use super::window::Window;
use super::{blocks, streamed};
use crate::import::WEIGHTS;
use crate::yaml::{entry, inline};

/// Products computed at once in a network that is unrolled unless said otherwise.
const SMALL: usize = 1 << 14;

/// How layers with weights are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// All products at once: a sample a cycle.
    Unrolled,
    /// A few multipliers, one group of outputs after the other; convolutions stream, window after window.
    Folded,
}

/// Weights of a layer, one row for each output; they change until the layer is read.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    pub(crate) weights: Vec<i64>,
    pub(crate) bias: Vec<i64>,
    /// Bits of the weights after the binary point.
    pub(crate) frac: i8,
    /// Smallest and largest integer that comes in.
    pub(crate) input: (i64, i64),
    /// For a convolution, with weights `[out, in / groups, ...]`: its windows and groups.
    pub(crate) conv: Option<(Window, usize)>,
}

impl Linear {
    /// What each sum starts from, where that is not always zero.
    pub(crate) fn bias_array(&self) -> Option<Owned> {
        self.bias.iter().any(|b| *b != 0).then(|| ("bias", vec![self.bias.len()], self.bias.clone()))
    }

    fn row(&self, output: usize) -> &[i64] {
        let width = self.weights.len() / self.bias.len();
        &self.weights[output * width..][..width]
    }

    fn range(&self, output: usize) -> (i64, i64) {
        let (mut lo, mut hi) = self.input;
        if self.conv.as_ref().is_some_and(|(w, _)| w.padding.iter().flatten().any(|p| *p > 0)) {
            (lo, hi) = (lo.min(0), hi.max(0));
        }
        let (lo, hi) = (i128::from(lo), i128::from(hi));
        let start = i128::from(self.bias[output]);
        let (least, most) = self.row(output).iter().fold((start, start), |(a, b), w| {
            let (p, q) = (i128::from(*w) * lo, i128::from(*w) * hi);
            (a + p.min(q), b + p.max(q))
        });
        let within = |v: i128| v.clamp(-(1 << 60), 1 << 60) as i64;
        (within(least), within(most))
    }
}

/// Largest integer that a layer may give, so that no format has more than 48 bits.
pub(crate) const LARGEST: i64 = 1 << 46;

/// Whether a layer may give these integers.
pub(crate) fn fits((lo, hi): (i64, i64)) -> bool {
    lo >= -LARGEST && hi <= LARGEST
}

/// An array of a layer: field, shape, elements.
pub(crate) type Owned = (&'static str, Vec<usize>, Vec<i64>);

/// A layer as the file has it, less its name.
pub(crate) struct Part {
    pub(crate) block: &'static str,
    /// The layer before; by default what the layer of the network reads.
    pub(crate) from: Option<String>,
    pub(crate) fields: Map<String, Value>,
    pub(crate) arrays: Vec<Owned>,
}

/// A layer.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) block: &'static str,
    pub(crate) from: Vec<usize>,
    pub(crate) fields: Map<String, Value>,
    /// Arrays of its own: field, shape, elements.
    pub(crate) arrays: Vec<Owned>,
    /// Extents of what it gives.
    pub(crate) shape: Vec<usize>,
    /// Bits after the binary point of what it gives.
    pub(crate) frac: i8,
    /// Smallest and largest integer, where it is not linear.
    pub(crate) range: (i64, i64),
    pub(crate) linear: Option<Linear>,
    /// Whether something else reads it already, so that it may not change.
    pub(crate) locked: bool,
}

impl Layer {
    /// A layer without weights.
    pub(crate) fn plain(
        name: &str,
        block: &'static str,
        from: &[usize],
        shape: Vec<usize>,
        range: (i64, i64),
    ) -> Self {
        Self {
            name: name.to_owned(),
            block,
            from: from.to_vec(),
            fields: Map::new(),
            arrays: Vec::new(),
            shape,
            frac: 0,
            range,
            linear: None,
            locked: false,
        }
    }

    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.fields.insert(field.into(), value);
        self
    }

    /// Smallest and largest integer of a column.
    pub(crate) fn range_of(&self, column: usize) -> (i64, i64) {
        self.linear.as_ref().map_or(self.range, |l| l.range(column))
    }

    /// Smallest and largest integer of all.
    pub(crate) fn whole_range(&self) -> (i64, i64) {
        let Some(linear) = &self.linear else { return self.range };
        let all = (0..linear.bias.len()).map(|o| linear.range(o));
        all.fold((i64::MAX, i64::MIN), |(a, b), (lo, hi)| (a.min(lo), b.max(hi)))
    }

    pub(crate) fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }
}

/// Layers in order; the first is the input.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) layers: Vec<Layer>,
    names: BTreeSet<String>,
    pub(crate) input: QType,
}

/// A network on its way into files.
pub(crate) struct Written {
    pub(crate) yaml: String,
    pub(crate) arrays: Vec<(String, Vec<usize>, Vec<i64>)>,
    pub(crate) engine: Engine,
}

impl Net {
    pub(crate) fn new(shape: &[usize], format: QType) -> Self {
        let mut input = Layer::plain("x", "", &[], shape.to_vec(), (format.min(), format.max()));
        input.frac = format.frac;
        Self { layers: vec![input], names: BTreeSet::from(["x".to_owned()]), input: format }
    }

    /// Adds a layer under a name of its own that a network file can have.
    pub(crate) fn push(&mut self, mut layer: Layer) -> usize {
        let mut name: String = layer.name.replace(".npz:", ".npz_").chars().take(120).collect();
        if name.is_empty() {
            name = layer.block.replace('/', "_");
        }
        while !self.names.insert(name.clone()) {
            name.push('_');
        }
        layer.name = name;
        self.layers.push(layer);
        self.layers.len() - 1
    }

    /// Gives output `column` of a linear layer the other sign.
    pub(crate) fn flip(&mut self, layer: usize, column: usize) -> bool {
        let layer = &mut self.layers[layer];
        let (locked, Some(linear)) = (layer.locked, &mut layer.linear) else { return false };
        if !locked {
            let width = linear.weights.len() / linear.bias.len();
            linear.weights[column * width..][..width].iter_mut().for_each(|w| *w = -*w);
            linear.bias[column] = -linear.bias[column];
        }
        !locked
    }

    /// Whether integers can be added to what `layer` gives for nothing.
    pub(crate) fn can_add(&self, layer: usize) -> bool {
        let layer = &self.layers[layer];
        layer.linear.is_some() && !layer.locked
    }

    fn products(&self) -> usize {
        let of = |l: &Linear| {
            let windows = l.conv.as_ref().map_or(1, |(w, _)| w.count());
            windows * l.weights.iter().filter(|w| **w != 0).count()
        };
        self.layers.iter().filter_map(|l| l.linear.as_ref()).map(of).sum()
    }

    /// The network file, with `outputs` leaving.
    pub(crate) fn write(
        self,
        name: &str,
        outputs: &[usize],
        engine: Option<Engine>,
        lanes: usize,
    ) -> Written {
        let small = if self.products() <= SMALL { Engine::Unrolled } else { Engine::Folded };
        let engine = engine.unwrap_or(small);
        let mut arrays = Vec::new();
        let mut yaml = String::from("nervure: 1\n");
        entry(&mut yaml, 0, "name", &json!(name));
        let mut port =
            json!({"name": "x", "shape": self.layers[0].shape, "format": self.input, "rate": "frame"});
        if engine == Engine::Unrolled {
            port["lanes"] = json!(self.layers[0].shape.iter().product::<usize>());
        }
        yaml.push_str("inputs:\n  - ");
        inline(&mut yaml, &port);
        yaml.push_str("\nlayers:\n");
        for (n, layer) in self.layers.iter().enumerate().skip(1) {
            let names: Vec<&str> = layer.from.iter().map(|f| self.layers[*f].name.as_str()).collect();
            let from = if let [one] = names[..] { json!(one) } else { json!(names) };
            for (name, part) in self.parts(layer, engine, lanes) {
                let mut fields = Map::new();
                fields.insert("name".into(), json!(name));
                fields.insert("block".into(), json!(part.block));
                fields.insert("from".into(), part.from.map_or(from.clone(), |f| json!(f)));
                fields.extend(part.fields);
                for (field, shape, data) in part.arrays {
                    let own = format!("{n}.{}.{field}", plain(&name));
                    fields.insert(field.into(), json!(format!("{WEIGHTS}:{own}")));
                    arrays.push((own, shape, data));
                }
                print(&mut yaml, &fields);
            }
        }
        let outputs: Vec<&str> = outputs.iter().map(|o| self.layers[*o].name.as_str()).collect();
        entry(&mut yaml, 0, "outputs", &json!(outputs));
        Written { yaml, arrays, engine }
    }

    /// The layers of the file that a layer becomes, with their names.
    fn parts(&self, layer: &Layer, engine: Engine, lanes: usize) -> Vec<(String, Part)> {
        let Some(linear) = &layer.linear else {
            let mut part = Part {
                block: layer.block,
                from: None,
                fields: layer.fields.clone(),
                arrays: layer.arrays.clone(),
            };
            if engine == Engine::Folded {
                streamed::pool(&mut part, layer.shape.len() - 1, self.beat(layer, lanes));
            }
            return vec![(layer.name.clone(), part)];
        };
        let (lo, hi) = linear.weights.iter().fold((0, 0), |(a, b), w| (*w.min(&a), *w.max(&b)));
        let (lo, hi) = (i128::from(lo), i128::from(hi));
        let mut format = QType::holding(lo, hi, linear.frac);
        format.bits = (bits_for(lo, hi) as u8).max(format.bits);
        let mut parts = match (&linear.conv, engine) {
            (Some((window, groups)), Engine::Folded) if streamed::streams(window) => {
                let mut name = format!("{}.windows", layer.name);
                while self.names.contains(&name) {
                    name.push('_');
                }
                let [windows, sums] = streamed::parts(linear, window, *groups, lanes, &name);
                vec![(name, windows), (layer.name.clone(), sums)]
            }
            (Some((window, groups)), _) => {
                let mut fields = window.fields();
                fields.insert("layout".into(), json!("oihw"));
                if *groups != 1 {
                    fields.insert("groups".into(), json!(groups));
                }
                let arrays = Self::weights(linear);
                vec![(layer.name.clone(), Part { block: blocks::CONV, from: None, fields, arrays })]
            }
            (None, _) => {
                let (mut fields, outputs) = (Map::new(), linear.bias.len());
                let block = if engine == Engine::Folded { blocks::FOLDED } else { blocks::DENSE };
                if engine == Engine::Folded {
                    fields.extend(streamed::folding(outputs, linear.weights.len() / outputs, lanes));
                }
                let arrays = Self::weights(linear);
                vec![(layer.name.clone(), Part { block, from: None, fields, arrays })]
            }
        };
        let last = &mut parts.last_mut().expect("there is a part").1;
        last.fields.insert("weight_format".into(), json!(format));
        last.fields.extend(layer.fields.clone());
        last.arrays.splice(0..0, layer.arrays.clone());
        parts
    }

    /// Channels a beat of what `layer` reads: as many as the folded matrix before it gives, one where there is none.
    fn beat(&self, layer: &Layer, lanes: usize) -> usize {
        let mut before = layer;
        while let [from, ..] = before.from[..] {
            before = &self.layers[from];
            if let Some(linear) = &before.linear {
                let (outputs, groups) = (linear.bias.len(), linear.conv.as_ref().map_or(1, |(_, g)| *g));
                return streamed::beat(outputs / groups, linear.weights.len() / outputs, lanes);
            }
        }
        1
    }

    fn weights(linear: &Linear) -> Vec<Owned> {
        let outputs = linear.bias.len();
        let row = linear.weights.len() / outputs;
        let shape = match &linear.conv {
            None => vec![outputs, row],
            Some((window, _)) => {
                let taps: usize = window.kernel.iter().product();
                [&[outputs, row / taps], &window.kernel[..]].concat()
            }
        };
        let weights = ("weights", shape, linear.weights.clone());
        std::iter::once(weights).chain(linear.bias_array()).collect()
    }
}

/// One layer of the file: `name`, `block` and `from` first.
fn print(yaml: &mut String, fields: &Map<String, Value>) {
    let order = ["name", "block", "from"];
    let head = order.iter().map(|k| (*k, &fields[*k]));
    let rest = fields.iter().map(|(k, v)| (k.as_str(), v)).filter(|(k, _)| !order.contains(k));
    yaml.push_str("  - ");
    for (i, (key, value)) in head.chain(rest).enumerate() {
        entry(yaml, if i == 0 { 0 } else { 4 }, key, value);
    }
}

/// A name that an archive can have for an array.
fn plain(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    name.chars().take(40).map(keep).collect()
}
