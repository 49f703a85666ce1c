//! Quantized networks as `qnn-case/1` files: layers in exact integers with inputs and outputs, made by an outside reference.
//! [`convert`] writes one as a network folder, unrolled. Deliberately absent: executing a case.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use nervure_core::QType;
use nervure_front::write_npz;
use serde_json::Value;

type Arrays = Vec<(String, Vec<usize>, Vec<i64>)>;

/// A network file in the making.
struct Writer {
    layers: String,
    weights: Arrays,
    /// Fraction that all elements of the last layer's tensor share.
    frac: i64,
    shape: Vec<usize>,
}

/// Writes `network.yaml`, `weights.npz` and `samples.npz` (`x` and `target`) for `case` into `folder`.
///
/// Errors: a layer or format that is not known, or a file that cannot be written.
pub fn convert(case: &Value, folder: &Path) -> Result<()> {
    ensure!(case["format"] == "qnn-case/1", "this is no qnn-case/1 file");
    let input = &case["input"];
    let shape = extents(&input["shape"])?;
    let n: usize = shape.iter().product();
    let elements = Elements::read(input, n)?;
    let format = elements.common()?;
    let mut w =
        Writer { layers: String::new(), weights: Vec::new(), frac: format.frac.into(), shape: shape.clone() };
    // Positions that are always zero, and formats of their own: what the network may count on.
    let active =
        input["active"].as_array().map(|list| list.iter().filter_map(Value::as_u64).collect::<Vec<_>>());
    let mut own = elements.clone();
    if let Some(active) = &active {
        (0..n).filter(|e| !active.contains(&(*e as u64))).for_each(|e| own.bits[e] = 0);
    }
    if active.is_some() || !elements.uniform() {
        w.quant("input_range", &own, "floor", "saturate");
    }
    let layers = case["layers"].as_array().context("`layers` is a list")?;
    for (i, layer) in layers.iter().enumerate() {
        w.layer(i + 1, layer).with_context(|| format!("layer {}", i + 1))?;
    }
    let name = case["name"].as_str().context("`name` is text")?;
    let mut text = format!("# {}\n", case["description"].as_str().unwrap_or(name).replace('\n', " "));
    writeln!(text, "nervure: 1\nname: {name}\ninputs:")?;
    writeln!(text, "  - {{name: x, shape: {shape:?}, format: {format}, rate: frame, lanes: {n}}}\nlayers:")?;
    text += &w.layers;
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("network.yaml"), text)?;
    write_npz(&folder.join("weights.npz"), &w.weights)?;

    let rows = |field: &str| -> Result<Vec<Vec<i64>>> {
        case["vectors"][field].as_array().context("vectors are a list")?.iter().map(integers).collect()
    };
    let (x, y) = (rows("inputs")?, rows("outputs")?);
    let lift = |row: Vec<i64>| -> Vec<i64> {
        let up = |e: usize| i64::from(format.frac) - elements.frac[e];
        row.iter().enumerate().map(|(e, v)| v << up(e)).collect()
    };
    let out: usize = w.shape.iter().product();
    let given = broadcast(&case["output"]["frac"], out)?;
    let lift_out = |row: Vec<i64>| -> Result<Vec<i64>> {
        let pairs = row.iter().zip(&given);
        let up =
            pairs.map(|(v, f)| Ok(v << u32::try_from(w.frac - f).context("an output of a larger fraction")?));
        up.collect()
    };
    let count = x.len();
    let x: Vec<i64> = x.into_iter().flat_map(lift).collect();
    let y: Vec<i64> = y.into_iter().map(lift_out).collect::<Result<Vec<_>>>()?.concat();
    let samples = [("x".to_owned(), vec![count, n], x), ("target".to_owned(), vec![count, out], y)];
    write_npz(&folder.join("samples.npz"), &samples)?;
    Ok(())
}

/// Formats of all elements of a tensor.
#[derive(Debug, Clone)]
struct Elements {
    bits: Vec<i64>,
    frac: Vec<i64>,
    signed: Vec<i64>,
}

impl Elements {
    fn read(of: &Value, n: usize) -> Result<Self> {
        let read = |field: &str| broadcast(&of[field], n).with_context(|| format!("`{field}`"));
        Ok(Self { bits: read("bits")?, frac: read("frac")?, signed: read("signed")? })
    }

    fn uniform(&self) -> bool {
        let one = |list: &[i64]| list.iter().all(|v| *v == list[0]);
        one(&self.bits) && one(&self.frac) && one(&self.signed)
    }

    /// The largest fraction of an element that has bits.
    fn largest_frac(&self) -> i64 {
        let with_bits = self.bits.iter().zip(&self.frac).filter(|(b, _)| **b > 0);
        with_bits.map(|(_, f)| *f).max().unwrap_or(0)
    }

    /// A format that holds every element.
    fn common(&self) -> Result<QType> {
        let frac = self.largest_frac();
        let (mut lo, mut hi) = (0i128, 0i128);
        for ((&b, &f), &signed) in
            self.bits.iter().zip(&self.frac).zip(&self.signed).filter(|((b, _), _)| **b > 0)
        {
            ensure!(frac - f < 64 && b <= 48, "formats too far apart");
            let ends = if signed != 0 {
                (-(1i128 << (b - 1)), (1i128 << (b - 1)) - 1)
            } else {
                (0, (1i128 << b) - 1)
            };
            (lo, hi) = (lo.min(ends.0 << (frac - f)), hi.max(ends.1 << (frac - f)));
        }
        Ok(QType::holding(lo, hi, i8::try_from(frac)?))
    }
}

impl Writer {
    fn add(&mut self, name: &str, block: &str, fields: &[(&str, String)]) {
        let fields: String = fields.iter().map(|(key, value)| format!("    {key}: {value}\n")).collect();
        write!(self.layers, "  - name: {name}\n    block: {block}\n{fields}").expect("writing to a string");
    }

    /// `weights.npz:NAME`, or the number itself where all are alike.
    fn list(&mut self, name: String, data: &[i64]) -> String {
        if data.iter().all(|v| *v == data[0]) {
            return data[0].to_string();
        }
        let reference = format!("weights.npz:{name}");
        self.weights.push((name, vec![data.len()], data.to_vec()));
        reference
    }

    fn quant(&mut self, name: &str, e: &Elements, rounding: &str, overflow: &str) {
        let bits = self.list(format!("{name}.bits"), &e.bits);
        let frac = self.list(format!("{name}.frac"), &e.frac);
        let signed = self.list(format!("{name}.signed"), &e.signed);
        self.frac = e.largest_frac();
        let fields = [
            ("bits", bits),
            ("frac", frac),
            ("signed", signed),
            ("rounding", rounding.to_owned()),
            ("overflow", overflow.to_owned()),
        ];
        self.add(name, "act/quant", &fields);
    }

    fn layer(&mut self, number: usize, layer: &Value) -> Result<()> {
        let op = layer["op"].as_str().context("`op` is text")?;
        let name = format!("{op}{number}");
        match op {
            "dense" => self.dense(&name, layer),
            "conv2d" | "conv1d" => self.conv(&name, layer),
            "relu" => {
                self.add(&name, "act/relu", &[]);
                Ok(())
            }
            "flatten" => {
                self.shape = vec![self.shape.iter().product()];
                self.add(&name, "seq/flatten", &[]);
                Ok(())
            }
            "quant" => {
                let e = Elements::read(layer, self.shape.iter().product())?;
                let rounding = match layer["rounding"].as_str() {
                    Some("TRN") => "floor",
                    Some("RND") => "half_up",
                    Some("RND_CONV") => "half_even",
                    other => bail!("rounding {other:?} is not known"),
                };
                let overflow = match layer["overflow"].as_str() {
                    Some("SAT") => "saturate",
                    Some("SAT_SYM") => "saturate_symmetric",
                    Some("WRAP") => "wrap",
                    other => bail!("overflow {other:?} is not known"),
                };
                self.quant(&name, &e, rounding, overflow);
                Ok(())
            }
            other => bail!("`{other}` is not known"),
        }
    }

    /// Weights and bias of a layer whose weights are `[..., out]`; returns the fields that dense and convolution share.
    fn weights(
        &mut self,
        name: &str,
        layer: &Value,
        shape: &[usize],
        data: Vec<i64>,
    ) -> Result<Vec<(&'static str, String)>> {
        let w = &layer["weight"];
        let integer = |v: &Value, what| v.as_i64().with_context(|| format!("`{what}` is an integer"));
        let (mut bits, mut frac) = (integer(&w["bits"], "bits")?, integer(&w["frac"], "frac")?);
        let bias = &layer["bias"];
        // A bias with a larger fraction than the products': the weights get the fraction bits that are missing.
        let bias_frac = if bias.is_null() { None } else { Some(integer(&bias["frac"], "frac")?) };
        let lift = bias_frac.map_or(0, |b| (b - self.frac - frac).max(0));
        (bits, frac) = (bits + lift, frac + lift);
        self.weights.push((name.to_owned(), shape.to_vec(), data.iter().map(|v| v << lift).collect()));
        let sign = if w["signed"] == Value::Bool(true) { 's' } else { 'u' };
        let mut fields = vec![
            ("weights", format!("weights.npz:{name}")),
            ("weight_format", format!("{sign}{bits}.{frac}")),
        ];
        self.frac += frac;
        if let Some(b) = bias_frac {
            let data: Vec<i64> = integers(&bias["data"])?.iter().map(|v| v << (self.frac - b)).collect();
            self.weights.push((format!("{name}.bias"), vec![data.len()], data));
            fields.push(("bias", format!("weights.npz:{name}.bias")));
        }
        Ok(fields)
    }

    fn dense(&mut self, name: &str, layer: &Value) -> Result<()> {
        let shape = extents(&layer["weight"]["shape"])?;
        let &[inputs, outputs] = &shape[..] else { bail!("dense weights have two axes") };
        let data = integers(&layer["weight"]["data"])?;
        let transposed = (0..outputs).flat_map(|o| (0..inputs).map(move |i| i * outputs + o));
        let data = transposed.map(|at| data[at]).collect();
        let fields = self.weights(name, layer, &[outputs, inputs], data)?;
        self.shape = vec![outputs];
        self.add(name, "dense/unrolled", &fields);
        Ok(())
    }

    fn conv(&mut self, name: &str, layer: &Value) -> Result<()> {
        let shape = extents(&layer["weight"]["shape"])?;
        let data = integers(&layer["weight"]["data"])?;
        let mut fields = self.weights(name, layer, &shape, data)?;
        let stride = extents(&layer["stride"])?;
        let pad = layer["pad"].as_array().context("`pad` is a list")?;
        let pad = pad.iter().map(extents).collect::<Result<Vec<_>>>()?;
        fields.push(("stride", format!("{stride:?}")));
        fields.push(("padding", format!("{pad:?}")));
        for (n, axis) in self.shape.iter_mut().take(stride.len()).enumerate() {
            *axis = (*axis + pad[n][0] + pad[n][1] - shape[n]) / stride[n] + 1;
        }
        *self.shape.last_mut().context("a map has channels")? = *shape.last().context("weights have axes")?;
        self.add(name, "conv/unrolled", &fields);
        Ok(())
    }
}

fn integers(list: &Value) -> Result<Vec<i64>> {
    let list = list.as_array().context("a list of integers")?;
    list.iter().map(|v| v.as_i64().or(v.as_bool().map(i64::from)).context("an integer")).collect()
}

fn extents(list: &Value) -> Result<Vec<usize>> {
    integers(list)?.into_iter().map(|v| Ok(usize::try_from(v)?)).collect()
}

/// One integer for each of `n` elements, from one or from a list.
fn broadcast(value: &Value, n: usize) -> Result<Vec<i64>> {
    let list = match value {
        Value::Array(_) => integers(value)?,
        one => vec![integers(&Value::Array(vec![one.clone()]))?[0]; n],
    };
    ensure!(list.len() == n, "{} values for {n} elements", list.len());
    Ok(list)
}
