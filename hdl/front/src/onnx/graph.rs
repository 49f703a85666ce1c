//! A graph of operators, as the file has it.

use std::collections::BTreeMap;

use nervure_core::Diagnostic;

use super::array::{Array, Dtype};

/// A graph. Nodes are in an order in which each reads only what is made before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// What enters, constants left out.
    pub inputs: Vec<Port>,
    /// What leaves.
    pub outputs: Vec<Port>,
    /// Operators.
    pub nodes: Vec<Node>,
    /// Constants by name.
    pub constants: BTreeMap<String, Array>,
    /// Version of the standard operators.
    pub opset: i64,
}

/// A tensor that enters or leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Extents, where the file knows them; nothing where it does not even know the number of axes.
    pub shape: Option<Vec<Option<usize>>>,
    /// Type of an element.
    pub dtype: Dtype,
}

/// An operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name, or that of its first output where it has none.
    pub name: String,
    /// Operator, such as `MatMul`.
    pub op: String,
    /// The operator's domain; empty for the standard ones.
    pub domain: String,
    /// Names of the tensors that it reads; empty for one that is left out.
    pub inputs: Vec<String>,
    /// Names of the tensors that it makes.
    pub outputs: Vec<String>,
    /// Attributes.
    pub attributes: BTreeMap<String, Attribute>,
}

/// A constant parameter of an operator.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// A number.
    Float(f64),
    /// An integer.
    Int(i64),
    /// A text.
    Text(String),
    /// Numbers.
    Floats(Vec<f64>),
    /// Integers.
    Ints(Vec<i64>),
    /// A constant.
    Tensor(Array),
    /// Anything else: graphs, types, lists of them.
    Other,
}

/// A name for a message: in backticks, without control characters, and not as long as a file.
pub(crate) fn quote(name: &str) -> String {
    let mut short: String = name.chars().take(80).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    format!("`{}`", short.escape_debug())
}

impl Node {
    /// A diagnostic about this node.
    pub(crate) fn wrong(
        &self,
        code: &'static str,
        message: impl std::fmt::Display,
        help: &str,
    ) -> Diagnostic {
        Diagnostic::new(code, format!("node {} ({}) {message}", quote(&self.name), quote(&self.op)), help)
    }

    /// Input number `n`, where it is given.
    pub(crate) fn input(&self, n: usize) -> Option<&str> {
        self.inputs.get(n).map(String::as_str).filter(|name| !name.is_empty())
    }

    fn bad(&self, name: &str, expected: &str) -> Diagnostic {
        let message = format!("has an attribute `{name}` that is no {expected}");
        self.wrong("E0153", message, "write the model again with the attribute's own type")
    }

    /// An integer. Errors: `E0153` for another type.
    pub(crate) fn int(&self, name: &str, otherwise: i64) -> Result<i64, Diagnostic> {
        match self.attributes.get(name) {
            None => Ok(otherwise),
            Some(Attribute::Int(v)) => Ok(*v),
            Some(_) => Err(self.bad(name, "integer")),
        }
    }

    /// A number. Errors: `E0153` for another type.
    pub(crate) fn float(&self, name: &str, otherwise: f64) -> Result<f64, Diagnostic> {
        match self.attributes.get(name) {
            None => Ok(otherwise),
            Some(Attribute::Float(v)) if v.is_finite() => Ok(*v),
            Some(_) => Err(self.bad(name, "finite number")),
        }
    }

    /// A text. Errors: `E0153` for another type.
    pub(crate) fn text(&self, name: &str, otherwise: &str) -> Result<String, Diagnostic> {
        match self.attributes.get(name) {
            None => Ok(otherwise.to_owned()),
            Some(Attribute::Text(v)) => Ok(v.clone()),
            Some(_) => Err(self.bad(name, "text")),
        }
    }

    /// A list of integers. Errors: `E0153` for another type.
    pub(crate) fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, Diagnostic> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(v)) => Ok(Some(v.clone())),
            Some(_) => Err(self.bad(name, "list of integers")),
        }
    }
}
