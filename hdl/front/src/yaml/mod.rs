//! YAML as a tree that knows the line and column of every value.
//!
//! One reader gives both the values and their places, so the two cannot disagree. YAML 1.2, core schema; deliberately
//! absent: tags, merge keys, several documents a file.

mod read;
mod scalar;
mod write;

use serde_json::{Number, Value};

pub(crate) use read::parse;
pub(crate) use write::{entry, inline};

/// A place: line and column from 1. Column 0 marks command-line override number `line`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Line, or number of the override.
    pub(crate) line: u32,
    /// Column, or 0.
    pub(crate) column: u32,
}

/// A value and where it starts.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it starts.
    pub(crate) at: Mark,
    /// What it is.
    pub(crate) kind: Kind,
}

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of 64 bits, or a finite floating-point number.
    Number(Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file; keys differ.
    Map(Vec<Entry>),
}

/// One field of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Name.
    pub(crate) key: String,
    /// Where the name starts.
    pub(crate) at: Mark,
    /// Value.
    pub(crate) value: Node,
}

impl Node {
    /// The field `key`, if this is a mapping that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|e| e.key == key),
            _ => None,
        }
    }

    /// The value of field `key`, if this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|e| &e.value)
    }

    /// The value of field `key`, to change it.
    pub(crate) fn entry_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.kind {
            Kind::Map(entries) => entries.iter_mut().find(|e| e.key == key).map(|e| &mut e.value),
            _ => None,
        }
    }

    /// The text, if this is text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What this is, for people.
    pub(crate) fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "empty".to_owned(),
            Kind::Bool(b) => b.to_string(),
            Kind::Number(n) => n.to_string(),
            Kind::Text(text) => {
                let short: String = text.chars().take(40).collect();
                format!("the text \"{}\"", short.escape_debug())
            }
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
        }
    }

    /// The same as JSON.
    pub(crate) fn json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(b) => Value::Bool(*b),
            Kind::Number(n) => Value::Number(n.clone()),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Self::json).collect()),
            Kind::Map(entries) => entries.iter().map(|e| (e.key.clone(), e.value.json())).collect(),
        }
    }
}
