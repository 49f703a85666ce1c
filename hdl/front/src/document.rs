//! The fields of a network file, above the parameters of its layers.

use std::collections::BTreeMap;

use nervure_core::{Bus, Diagnostic, QType, Rate, TensorType};
use serde::Deserialize;

use crate::explain::{self, Context};
use crate::yaml::{Kind, Node};
use crate::{reference, suggest};

/// Fields of the file.
pub(crate) const FIELDS: [&str; 6] = ["nervure", "name", "bus", "inputs", "layers", "outputs"];

/// One input of the network, as a file writes it.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// Name; samples carry an array of this name.
    pub(crate) name: String,
    /// Extent of each axis, outermost first.
    pub(crate) shape: Vec<usize>,
    /// Format of an element: `u1`, `s8` or `s8.4`.
    pub(crate) format: QType,
    /// `frame`: once an inference; `step`: once a time step; `event`: once a time step, as address-events.
    #[serde(default = "frame")]
    pub(crate) rate: Rate,
    /// Elements a beat; by default as many as fit 32 bits.
    pub(crate) lanes: Option<usize>,
}

fn frame() -> Rate {
    Rate::Frame
}

impl Input {
    /// Its type.
    pub(crate) fn tensor(&self) -> TensorType {
        TensorType { shape: self.shape.clone(), format: self.format, rate: self.rate }
    }
}

/// One layer, its parameters still unread.
pub(crate) struct Layer<'a> {
    /// Name.
    pub(crate) name: &'a str,
    /// Block.
    pub(crate) block: &'a str,
    /// What it reads.
    pub(crate) from: Vec<String>,
    /// All of it.
    pub(crate) node: &'a Node,
}

/// A network file.
pub(crate) struct Document<'a> {
    /// Name of the network.
    pub(crate) name: &'a str,
    /// What shall reach the registers of the design from outside.
    pub(crate) bus: Option<Bus>,
    /// Inputs.
    pub(crate) inputs: Vec<Input>,
    /// Layers, in the order of the file; their names, and those of the inputs, differ.
    pub(crate) layers: Vec<Layer<'a>>,
    /// Outputs.
    pub(crate) outputs: Vec<String>,
}

const MORE: &str = "`nervure new EXAMPLE DIR` writes a network to start from";

/// Reads the fields. Errors: `E0103`, `E0104`, `E0111` for the version, `E0401` for a name that is taken, `E0404` for no layer.
pub(crate) fn read(root: &Node) -> Result<Document<'_>, Diagnostic> {
    let Kind::Map(entries) = &root.kind else {
        let message = format!("a network file is a mapping of fields, and this is {}", root.describe());
        return Err(Diagnostic::new("E0104", message, format!("start with `nervure: 1`; {MORE}")));
    };
    version(root)?;
    if let Some(e) = entries.iter().find(|e| !FIELDS.contains(&e.key.as_str())) {
        let message = format!("a network has no field `{}`", e.key.escape_debug());
        let help = suggest::help(&e.key, &FIELDS, "expected one of");
        return Err(Diagnostic::new("E0103", message, help).at(e.key.clone()));
    }
    let name = text(root, "name", "write a name for the network, such as `name: mnist`")?;
    let inputs = inputs(root)?;
    let names: Vec<&str> = inputs.iter().map(|i| i.name.as_str()).collect();
    let layers = layers(root, &names)?;
    distinct(root, &names, &layers)?;
    let outputs = match root.get("outputs") {
        Some(node) => reference::list(&node.json()).map_err(|d| d.at("outputs"))?,
        None => layers.last().map(|l| l.name.to_owned()).into_iter().collect(),
    };
    Ok(Document { name, bus: bus(root)?, inputs, layers, outputs })
}

/// Errors: `E0111` unless the file begins with the version that this program reads.
pub(crate) fn version(root: &Node) -> Result<(), Diagnostic> {
    let found = match root.get("nervure") {
        Some(Node { kind: Kind::Number(n), .. }) if n.as_u64() == Some(1) => return Ok(()),
        Some(other) => other.describe(),
        None => {
            let help = "start the file with `nervure: 1`";
            return Err(Diagnostic::new("E0111", "the format version is missing", help));
        }
    };
    let this = env!("CARGO_PKG_VERSION");
    let message = format!("`nervure` is {found}, and nervure {this} reads format version 1");
    Err(Diagnostic::new("E0111", message, "write `nervure: 1`, or use a nervure that reads this version")
        .at("nervure"))
}

/// The register bus, where the file names one. Errors: `E0104`.
fn bus(root: &Node) -> Result<Option<Bus>, Diagnostic> {
    if root.get("bus").is_none() {
        return Ok(None);
    }
    let names = Bus::NAMES.map(|(name, _)| name);
    let help = "expected one of `axi-lite`, `i2c`";
    let name = text(root, "bus", help)?;
    Bus::named(name).map(Some).ok_or_else(|| {
        let message = format!("`bus` is `{}`, which is not one of its values", name.escape_debug());
        Diagnostic::new("E0104", message, suggest::help(name, &names, "expected one of")).at("bus")
    })
}

/// The text in `field`. Errors: `E0104`.
fn text<'a>(node: &'a Node, field: &str, help: &str) -> Result<&'a str, Diagnostic> {
    let Some(value) = node.get(field) else {
        return Err(Diagnostic::new("E0104", format!("the field `{field}` is missing"), help));
    };
    match value.text() {
        Some("") => Err(Diagnostic::new("E0104", format!("`{field}` is empty"), help).at(field)),
        Some(text) => Ok(text),
        None => {
            let quote =
                if matches!(value.kind, Kind::Number(_) | Kind::Bool(_)) { "quote it, or " } else { "" };
            let message = format!("`{field}` is {}, expected text", value.describe());
            Err(Diagnostic::new("E0104", message, format!("{quote}{help}")).at(field))
        }
    }
}

/// The list in `field`. Errors: `E0104`.
fn list<'a>(root: &'a Node, field: &str, help: &str) -> Result<&'a [Node], Diagnostic> {
    match root.get(field) {
        Some(Node { kind: Kind::List(items), .. }) => Ok(items),
        Some(other) => {
            let message = format!("`{field}` is {}, expected a list", other.describe());
            Err(Diagnostic::new("E0104", message, help).at(field))
        }
        None => Err(Diagnostic::new("E0104", format!("the field `{field}` is missing"), help)),
    }
}

fn inputs(root: &Node) -> Result<Vec<Input>, Diagnostic> {
    let help = "write `inputs: [{name: x, shape: [4], format: u8}]`";
    let schema = schemars::schema_for!(Input).to_value();
    let input = |(i, node): (usize, &Node)| {
        let params = node.json();
        let skeleton = explain::skeleton(&params);
        let cx = Context { owner: "an input", params: &skeleton, schema: &schema, also: &[], more: help };
        let place = |d: Diagnostic| d.at(format!("[{i}]")).at("inputs");
        let input: Input = if matches!(node.kind, Kind::Map(_)) {
            explain::decode(params, &cx).map_err(place)?
        } else {
            let message = format!("an input is a mapping of fields, and this is {}", node.describe());
            return Err(place(Diagnostic::new("E0104", message, help)));
        };
        if input.name.is_empty() {
            return Err(place(Diagnostic::new("E0104", "`name` is empty", help).at("name")));
        }
        Ok(input)
    };
    list(root, "inputs", help)?.iter().enumerate().map(input).collect()
}

fn layers<'a>(root: &'a Node, inputs: &[&str]) -> Result<Vec<Layer<'a>>, Diagnostic> {
    let help = "write `layers: [{name: hidden, block: ..., ...}]`; `nervure blocks` lists the blocks";
    let mut layers: Vec<Layer<'a>> = Vec::new();
    for (i, node) in list(root, "layers", help)?.iter().enumerate() {
        let layer = || {
            if !matches!(node.kind, Kind::Map(_)) {
                let message = format!("a layer is a mapping of fields, and this is {}", node.describe());
                return Err(Diagnostic::new("E0104", message, help));
            }
            let name = text(node, "name", "write a name for the layer, such as `name: hidden`")?;
            let block = text(node, "block", "write the layer's kind; `nervure blocks` lists the blocks")?;
            let from = match node.get("from") {
                Some(from) => reference::list(&from.json()),
                None => reference::default_from(layers.last().map(|l| l.name), inputs).map(|f| vec![f]),
            };
            Ok(Layer { name, block, from: from.map_err(|d| d.at("from"))?, node })
        };
        let layer = layer().map_err(|d| d.at(format!("[{i}]")).at("layers"))?;
        layers.push(layer);
    }
    if layers.is_empty() {
        return Err(Diagnostic::new("E0404", "the network has no layers", help).at("layers"));
    }
    Ok(layers)
}

fn distinct(root: &Node, inputs: &[&str], layers: &[Layer<'_>]) -> Result<(), Diagnostic> {
    let inputs = inputs.iter().enumerate().map(|(i, n)| ("inputs", i, *n));
    let all = inputs.chain(layers.iter().enumerate().map(|(i, l)| ("layers", i, l.name)));
    let mut first = BTreeMap::new();
    for (list, i, name) in all {
        if let Some((other, j)) = first.insert(name, (list, i)) {
            let mark = crate::locate::find(root, &[other.to_owned(), format!("[{j}]"), "name".to_owned()]);
            let message = format!("two inputs or layers are called `{}`", name.escape_debug());
            let help = format!("give this one another name; the first is on line {}", mark.line);
            return Err(Diagnostic::new("E0401", message, help).at("name").at(format!("[{i}]")).at(list));
        }
    }
    Ok(())
}
