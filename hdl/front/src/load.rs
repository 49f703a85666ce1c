//! From a network file, its arrays and the command line's overrides to a network.

use std::collections::BTreeMap;
use std::path::Path;

use nervure_core::{Diagnostic, Network, Registry};
use serde_json::{Value, json};

use crate::builder::NetworkBuilder;
use crate::npz::Npz;
use crate::source::{Digests, Source};
use crate::yaml::{Kind, Node};
use crate::{document, locate, order, overrides, source, yaml};

/// Most elements of one weight tensor.
const MAX_WEIGHTS: usize = 1 << 26;

/// Reads the network in `path`: a YAML file, or a folder that holds `network.yaml`. Each of `set` replaces a field, such as
/// `("layers.hidden.lanes", "8")`.
///
/// Text of the form `file.npz:array` in a layer's parameters stands for that array, the file lying beside the network
/// file. The result is valid ([`Network::validate`]), and [`Network::source`] is filled in.
///
/// Errors: one diagnostic with its place. `E01xx` for the file, `E02xx` to `E04xx` for what core and blocks say.
pub fn load(path: &Path, registry: &Registry, set: &[(String, String)]) -> Result<Network, Diagnostic> {
    let source = source::read(path)?;
    let mut root = yaml::parse(&source.text, &source.shown)?;
    overrides::apply(&mut root, set, registry)?;
    let mut arrays = Arrays::new(&source);
    build(&root, &mut arrays, registry, set).map_err(|d| locate::place(d, &root, &source.shown))
}

/// The network of a document and the arrays that it names.
pub(crate) fn build(
    root: &Node,
    arrays: &mut Arrays<'_>,
    registry: &Registry,
    set: &[(String, String)],
) -> Result<Network, Diagnostic> {
    let document = document::read(root)?;
    let order = order::sort(&document)?;
    let mut builder = NetworkBuilder::new(document.name, registry);
    for input in &document.inputs {
        builder = builder.input(&input.name, input.tensor(), input.lanes)?;
    }
    for layer in order.iter().map(|i| &document.layers[*i]) {
        let mut params = arrays.json(layer.node).map_err(|d| d.at(layer.name).at("layers"))?;
        if let Value::Object(fields) = &mut params {
            fields.shift_remove("name");
            fields.shift_remove("block");
            fields.insert("from".to_owned(), json!(layer.from));
        }
        builder = builder.layer(layer.name, layer.block, params)?;
    }
    for (i, output) in document.outputs.iter().enumerate() {
        builder = builder.output(output).map_err(|d| {
            let item = locate::find(root, &["outputs".to_owned(), format!("[{i}]")]);
            d.in_span(locate::span(item, &arrays.source.shown))
        })?;
    }
    let mut network = builder.finish()?;
    network.bus = document.bus;
    let mut digests = std::mem::replace(&mut arrays.digests, Digests::new(""));
    for (key, value) in set {
        digests.add(&format!("--set {key}"), value.as_bytes());
    }
    network.source = Some((arrays.source.short.clone(), digests.finish()));
    Ok(network)
}

/// The archives that a network names, opened once each.
pub(crate) struct Arrays<'a> {
    source: &'a Source,
    open: BTreeMap<String, Npz>,
    digests: Digests,
    /// Arrays that are not on disk: `{shape, data}` by `file.npz:array`.
    given: BTreeMap<String, Value>,
}

impl<'a> Arrays<'a> {
    /// Those beside `source`.
    pub(crate) fn new(source: &'a Source) -> Self {
        Self { source, open: BTreeMap::new(), digests: Digests::new(&source.text), given: BTreeMap::new() }
    }

    /// The same, and before them those of an archive `file` that is not written yet.
    #[must_use]
    pub(crate) fn with(mut self, file: &str, list: &[(String, Vec<usize>, Vec<i64>)]) -> Self {
        let value = |shape: &[usize], data: &[i64]| json!({"shape": shape, "data": data});
        self.given.extend(list.iter().map(|(name, s, d)| (format!("{file}:{name}"), value(s, d))));
        self
    }

    /// `node` as JSON, every `file.npz:array` replaced by `{shape, data}`. Errors: `E0101`, `E0105` to `E0107`, `E0110`.
    fn json(&mut self, node: &Node) -> Result<Value, Diagnostic> {
        match &node.kind {
            Kind::Text(text) => match reference(text) {
                Some((file, key)) => self.array(&file, key),
                None => Ok(node.json()),
            },
            Kind::List(items) => items.iter().map(|item| self.json(item)).collect(),
            Kind::Map(entries) => {
                let field = |e: &yaml::Entry| {
                    let value = self.json(&e.value).map_err(|d| d.at(e.key.clone()))?;
                    Ok((e.key.clone(), value))
                };
                entries.iter().map(field).collect()
            }
            _ => Ok(node.json()),
        }
    }

    /// `{shape, data}`. Errors: as [`Arrays::json`].
    pub(crate) fn array(&mut self, file: &str, key: &str) -> Result<Value, Diagnostic> {
        if let Some(given) = self.given.get(&format!("{file}:{key}")) {
            return Ok(given.clone());
        }
        let path = Path::new(file);
        if path.is_absolute() {
            let message = format!("`{}` is an absolute path", file.escape_debug());
            return Err(Diagnostic::new("E0105", message, "name the file relative to the network file"));
        }
        if !self.open.contains_key(file) {
            let npz = Npz::open(&self.source.folder.join(path), file)?;
            self.open.insert(file.to_owned(), npz);
        }
        let npz = self.open.get_mut(file).expect("it was opened above");
        let array = npz.read(key, MAX_WEIGHTS)?;
        self.digests.add(&array.name, &array.bytes);
        Ok(json!({"shape": array.shape, "data": array.integers()?}))
    }
}

/// File and array of `file.npz:array`.
pub(crate) fn reference(text: &str) -> Option<(String, &str)> {
    let (stem, key) = text.split_once(".npz:")?;
    (!stem.is_empty() && !key.is_empty()).then(|| (format!("{stem}.npz"), key))
}
