//! From text to the tree, within limits: depth, values, and what aliases expand to.

use std::collections::{BTreeMap, BTreeSet};

use nervure_core::{Diagnostic, Span};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::{Entry, Kind, Mark, Node, scalar};

/// Deepest nesting.
const MAX_DEPTH: usize = 64;
/// Most values in a file.
const MAX_NODES: usize = 1 << 24;
/// Most values that anchors and aliases may copy.
const MAX_COPIED: usize = 1 << 20;

/// A list or mapping that is not closed yet.
struct Open {
    at: Mark,
    anchor: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, keys: BTreeSet<String>, key: Option<(String, Mark)> },
}

struct Anchored {
    node: Node,
    size: usize,
    depth: usize,
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Anchored>,
    nodes: usize,
    copied: usize,
    root: Option<Node>,
}

/// Reads one YAML document; `file` is its name in diagnostics.
///
/// Errors: `E0102` for what is not YAML, or YAML that a network does not use; `E0110` for too much of it.
pub(crate) fn parse(text: &str, file: &str) -> Result<Node, Diagnostic> {
    let mut reader =
        Reader { file, text, open: Vec::new(), anchors: BTreeMap::new(), nodes: 0, copied: 0, root: None };
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|e| reader.syntax(&e))?;
        let at = mark(span.start);
        match event {
            Event::DocumentStart(_) => documents += 1,
            Event::StreamEnd => break,
            _ => {}
        }
        if documents > 1 {
            let help = "keep one network in a file";
            return Err(reader.fault("E0102", at, "a second YAML document starts here", help));
        }
        reader.event(event, at)?;
    }
    let empty = Mark { line: 1, column: 1 };
    reader.root.take().ok_or_else(|| reader.fault("E0102", empty, "the file is empty", EMPTY))
}

const EMPTY: &str = "a network file starts with `nervure: 1` and has `name`, `inputs` and `layers`";

fn mark(marker: Marker) -> Mark {
    Mark { line: marker.line() as u32, column: marker.col() as u32 + 1 }
}

impl Reader<'_> {
    fn fault(
        &self,
        code: &'static str,
        at: Mark,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostic {
        let (line, column) = (at.line as usize, at.column as usize);
        Diagnostic::new(code, message, help).in_span(Span { file: self.file.to_owned(), line, column })
    }

    fn event(&mut self, event: Event<'_>, at: Mark) -> Result<(), Diagnostic> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = self.tagged_text(tag.as_deref(), at)? || style != ScalarStyle::Plain;
                if self.key(&text, at)? {
                    return Ok(());
                }
                let kind = if quoted { Kind::Text(text.into_owned()) } else { scalar::plain(&text) };
                self.value(Node { at, kind }, anchor)
            }
            Event::Alias(id) => self.alias(id, at),
            Event::SequenceStart(anchor, tag) => {
                self.start(at, anchor, tag.as_deref(), Inside::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let inside = Inside::Map { entries: Vec::new(), keys: BTreeSet::new(), key: None };
                self.start(at, anchor, tag.as_deref(), inside)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { at, anchor, inside }) = self.open.pop() else { return Ok(()) };
                let kind = match inside {
                    Inside::List(items) => Kind::List(items),
                    Inside::Map { entries, .. } => Kind::Map(entries),
                };
                self.value(Node { at, kind }, anchor)
            }
            _ => Ok(()),
        }
    }

    /// Whether the scalar is tagged as text. Errors: any other tag.
    fn tagged_text(&self, tag: Option<&Tag>, at: Mark) -> Result<bool, Diagnostic> {
        match tag {
            None => Ok(false),
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(true),
            Some(tag) => {
                let tag = format!("{}{}", tag.handle, tag.suffix);
                let message = format!("the tag `{}` is not used in a network file", tag.escape_debug());
                Err(self.fault("E0102", at, message, "remove it; quote a value that starts with `!`"))
            }
        }
    }

    fn start(
        &mut self,
        at: Mark,
        anchor: usize,
        tag: Option<&Tag>,
        inside: Inside,
    ) -> Result<(), Diagnostic> {
        self.tagged_text(tag, at)?;
        if let Some(Open { inside: Inside::Map { key: None, .. }, .. }) = self.open.last() {
            let help = "quote it if it is meant as text";
            return Err(self.fault("E0102", at, "a list or a mapping cannot be the name of a field", help));
        }
        self.deeper(1, at)?;
        self.open.push(Open { at, anchor, inside });
        Ok(())
    }

    fn deeper(&self, levels: usize, at: Mark) -> Result<(), Diagnostic> {
        if self.open.len() + levels <= MAX_DEPTH {
            return Ok(());
        }
        Err(self.too_deep(at))
    }

    fn too_deep(&self, at: Mark) -> Diagnostic {
        let message = format!("lists and mappings are nested deeper than {MAX_DEPTH} levels");
        self.fault(
            "E0110",
            at,
            message,
            "a network needs fewer than ten; look for a bracket that is not closed",
        )
    }

    /// Takes a scalar as the name of a field, where one is due.
    fn key(&mut self, text: &str, at: Mark) -> Result<bool, Diagnostic> {
        let Some(Open { inside: Inside::Map { keys, key: key @ None, entries }, .. }) = self.open.last_mut()
        else {
            return Ok(false);
        };
        if keys.insert(text.to_owned()) {
            *key = Some((text.to_owned(), at));
            return Ok(true);
        }
        let first = entries.iter().find(|e| e.key == text).map_or(0, |e| e.at.line);
        let message = format!("the field `{}` is written twice", text.escape_debug());
        let mut d = self.fault("E0102", at, message, format!("remove one; the first is on line {first}"));
        d.path = vec![text.to_owned()];
        Err(d)
    }

    fn alias(&mut self, id: usize, at: Mark) -> Result<(), Diagnostic> {
        let Some(Anchored { node, size, depth }) = self.anchors.get(&id) else {
            let help = "write the value out";
            return Err(self.fault("E0102", at, "this alias stands inside its own anchor", help));
        };
        let node = Node { at, kind: node.kind.clone() };
        let (size, depth) = (*size, *depth);
        self.deeper(depth, at)?;
        self.copy(size, at)?;
        if let Some(text) = node.text().map(str::to_owned)
            && self.key(&text, at)?
        {
            return Ok(());
        }
        self.value(node, 0)
    }

    fn copy(&mut self, size: usize, at: Mark) -> Result<(), Diagnostic> {
        self.copied += size;
        if self.copied <= MAX_COPIED {
            return Ok(());
        }
        let message = format!("anchors and aliases expand to more than {MAX_COPIED} values");
        Err(self.fault("E0110", at, message, "write the values out, or keep weights in an `.npz`"))
    }

    fn value(&mut self, node: Node, anchor: usize) -> Result<(), Diagnostic> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("the file holds more than {MAX_NODES} values");
            let help = "keep weights in an `.npz` and write `weights: weights.npz:name`";
            return Err(self.fault("E0110", node.at, message, help));
        }
        if anchor > 0 {
            let (size, depth) = measure(&node);
            self.copy(size, node.at)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), size, depth });
        }
        match self.open.last_mut().map(|o| &mut o.inside) {
            None => self.root = Some(node),
            Some(Inside::List(items)) => items.push(node),
            Some(Inside::Map { entries, key, .. }) => {
                let Some((key, at)) = key.take() else {
                    let message = "an alias of this kind cannot name a field";
                    return Err(self.fault("E0102", node.at, message, "quote it if it is meant as text"));
                };
                entries.push(Entry { key, at, value: node });
            }
        }
        Ok(())
    }

    fn syntax(&self, e: &ScanError) -> Diagnostic {
        let at = mark(*e.marker());
        // A tab that ends a scalar is told of on the scalar's line, which is the one before.
        for (line, text) in self.text.lines().enumerate().skip((at.line as usize).saturating_sub(1)).take(2) {
            let tab = text.chars().take_while(|c| c.is_whitespace()).position(|c| c == '\t');
            if let Some(column) = tab {
                let at = Mark { line: line as u32 + 1, column: column as u32 + 1 };
                let help = "indent with spaces: YAML allows no tabs there";
                return self.fault("E0102", at, "a tab stands in the indentation", help);
            }
        }
        let info = e.info();
        if info.contains("recursion limit") {
            return self.too_deep(at);
        }
        let (message, help) = if info.contains("mapping values are not allowed") {
            ("a `:` cannot stand here".to_owned(), "check the indentation; quote text that contains `: `")
        } else if info.contains("invalid indentation") {
            (
                "the indentation is wrong here, or a bracket before is not closed".to_owned(),
                "close every `[` and `{`",
            )
        } else if info.contains("did not find expected '-'") || info.contains("did not find expected key") {
            let message = "this line is indented unlike the lines that it belongs to".to_owned();
            (message, "give all fields of a mapping, and all items of a list, the same indentation")
        } else if info.contains("unknown anchor") {
            ("this alias names an anchor that does not exist".to_owned(), "define it before with `&name`")
        } else {
            (
                format!("this is not YAML: {info}"),
                "check the indentation, the brackets and the quotes here and just before",
            )
        };
        self.fault("E0102", at, message, help)
    }
}

/// Values and levels of a tree; its depth is limited already.
fn measure(node: &Node) -> (usize, usize) {
    let sum = |parts: &mut dyn Iterator<Item = &Node>| {
        let (size, depth) = parts.map(measure).fold((0, 0), |(n, d), (m, e)| (n + m, d.max(e)));
        (size + 1, depth + 1)
    };
    match &node.kind {
        Kind::List(items) => sum(&mut items.iter()),
        Kind::Map(entries) => sum(&mut entries.iter().map(|e| &e.value)),
        _ => (1, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(text: &str) -> String {
        parse(text, "n.yaml").expect_err("a diagnostic").to_string()
    }

    #[test]
    fn values_keep_their_places() {
        let root = parse("a: 1\nb:\n  - {c: x, d: [1, -2]}\n", "n").expect("YAML");
        let item = match &root.get("b").expect("b").kind {
            Kind::List(items) => &items[0],
            other => panic!("{other:?}"),
        };
        assert_eq!(item.entry("c").expect("c").at, Mark { line: 3, column: 6 });
        assert_eq!(item.get("d").expect("d").at, Mark { line: 3, column: 15 });
        assert_eq!(root.json(), serde_json::json!({"a": 1, "b": [{"c": "x", "d": [1, -2]}]}));
    }

    #[test]
    fn agrees_with_a_second_reader() {
        for text in [
            "a: 1\nb: [1, 2, {c: d}]\n",
            "- 'it''s'\n- \"tab\\t\\u00e9\"\n- |\n  two\n  lines\n- >-\n  one\n  line\n- ~\n- 0.5\n- 0x10\n",
            "a: &x {p: 1}\nb: *x\nc:\n- *x\n",
            "{a: , b: 'null', c: \"1\", 'd e': yes}",
        ] {
            let theirs: serde_json::Value = serde_yaml::from_str(text).expect("YAML");
            assert_eq!(parse(text, "n").expect("YAML").json(), theirs, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_document_is_refused() {
        for (text, expected) in [
            ("", "the file is empty"),
            ("# nothing\n", "the file is empty"),
            ("a: 1\na: 2", "`a` is written twice"),
            ("a:\n\t- 1", "a tab stands"),
            ("a: b: c", "a `:` cannot stand here"),
            ("a: [1, 2", "this is not YAML"),
            ("a: 1\n---\nb: 1\n", "a second YAML document"),
            ("a: !x 1", "the tag `!x`"),
            ("? [1]\n: 2", "cannot be the name of a field"),
            ("a: *b", "anchor that does not exist"),
            ("a: &b [*b]", ""),
        ] {
            let message = fails(text);
            assert!(message.contains(expected), "{text:?}: {message}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n".to_owned();
        for i in 1..12 {
            let items = vec![format!("*a{}", i - 1); 10].join(",");
            bomb += &["a", &i.to_string(), ": &a", &i.to_string(), " [", &items, "]\n"].concat();
        }
        assert!(fails(&bomb).contains("expand to more than"), "{}", fails(&bomb));
        for part in ["[", "- ", "{a: ", "[{a: "] {
            let message = fails(&part.repeat(100_000));
            assert!(message.contains("deeper than"), "{part}: {message}");
        }
        let mut chain = "a0: &a0 [[[[[[[[[[1]]]]]]]]]]\n".to_owned();
        for i in 1..20 {
            let (this, before) = (i.to_string(), (i - 1).to_string());
            chain += &["a", &this, ": &a", &this, " [[[[*a", &before, "]]]]\n"].concat();
        }
        assert!(fails(&chain).contains("deeper than"));
    }
}
