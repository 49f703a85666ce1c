//! Liberty files, as far as areas and gates are concerned: cells with area, pins and functions.
//!
//! Delays and powers are left to the tools that are given the file.

use std::io::Read;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell {
    pub(super) name: String,
    /// Square micrometres.
    pub(super) area: f64,
    /// Flip-flop or latch.
    pub(super) sequential: bool,
    inputs: Vec<String>,
    /// One for each output.
    functions: Vec<String>,
    /// Where it stands in the text.
    at: Range<usize>,
}

/// A library, or several in one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Library {
    /// Names of the libraries.
    pub(super) names: Vec<String>,
    pub(super) cells: Vec<Cell>,
    /// The text: of several, the first with the cells of all.
    pub(super) text: String,
    /// The text of each.
    pub(super) parts: Vec<String>,
}

impl Library {
    /// Reads files, compressed with gzip or not, as one library. Errors: no cell, or what is no liberty file.
    pub(super) fn read(files: &[impl AsRef<Path>]) -> Result<Self> {
        let mut all: Option<Self> = None;
        for file in files {
            let file = file.as_ref();
            let one = Self::parse(text(file)?).with_context(|| format!("cannot use {}", file.display()))?;
            match &mut all {
                None => all = Some(one),
                Some(all) => all.join(&one),
            }
        }
        all.context("no liberty file is named")
    }

    /// Adds the cells of another.
    fn join(&mut self, other: &Self) {
        let end = self.text.rfind('}').unwrap_or(self.text.len());
        self.text.truncate(end);
        for cell in &other.cells {
            let start = self.text.len();
            self.text += &other.text[cell.at.clone()];
            self.text.push('\n');
            let at = start..self.text.len();
            self.cells.push(Cell { at, ..cell.clone() });
        }
        self.text += "}\n";
        self.names.extend(other.names.iter().cloned());
        self.parts.extend(other.parts.iter().cloned());
    }

    /// The smallest gate that computes NAND of two inputs, by which areas are counted.
    pub(super) fn nand2(&self) -> Option<&Cell> {
        let nands = self.cells.iter().filter(|c| c.is_nand2() && c.area > 0.0);
        nands.min_by(|a, b| a.area.total_cmp(&b.area))
    }

    fn parse(text: String) -> Result<Self> {
        let mut scan = Scan { text: &text, at: 0 };
        let mut library = Self { names: Vec::new(), cells: Vec::new(), text: String::new(), parts: Vec::new() };
        // Groups that are open: kind and name.
        let mut open: Vec<(String, usize)> = Vec::new();
        let mut cell: Option<Cell> = None;
        while let Some(item) = scan.next()? {
            match item {
                Item::Open { kind, name, start } => {
                    match (open.len(), kind) {
                        (0, "library") => library.names.push(name.to_owned()),
                        (1, "cell") => {
                            let (inputs, functions) = (Vec::new(), Vec::new());
                            let (name, at) = (name.to_owned(), start..start);
                            cell = Some(Cell { name, area: 0.0, sequential: false, inputs, functions, at });
                        }
                        (2, "pin") => {
                            if let Some(c) = &mut cell {
                                c.inputs.push(name.to_owned());
                            }
                        }
                        (2, "ff" | "latch" | "ff_bank" | "latch_bank" | "statetable") => {
                            if let Some(c) = &mut cell {
                                c.sequential = true;
                            }
                        }
                        _ => {}
                    }
                    open.push((kind.to_owned(), start));
                }
                Item::Close => {
                    open.pop().context("a brace too many")?;
                    if open.len() == 1
                        && let Some(mut c) = cell.take()
                    {
                        c.at.end = scan.at;
                        library.cells.push(c);
                    }
                }
                Item::Attribute { name, value } => {
                    let Some(c) = &mut cell else { continue };
                    match (open.len(), name) {
                        (2, "area") => c.area = value.parse().with_context(|| format!("the area of {}", c.name))?,
                        // An output is no input.
                        (3, "direction") if value != "input" && open[2].0 == "pin" => drop(c.inputs.pop()),
                        (3, "function") if open[2].0 == "pin" => c.functions.push(value.to_owned()),
                        _ => {}
                    }
                }
            }
        }
        ensure!(open.is_empty(), "it is cut short");
        ensure!(!library.cells.is_empty(), "it has no cell");
        Ok(Self { parts: vec![text.clone()], text, ..library })
    }
}

impl Cell {
    fn is_nand2(&self) -> bool {
        let (inputs, [function]) = (&self.inputs[..], &self.functions[..]) else { return false };
        let [a, b] = inputs else { return false };
        let value = |x: bool, y: bool| evaluate(function, &|pin| match pin {
            p if p == a => Some(x),
            p if p == b => Some(y),
            _ => None,
        });
        !self.sequential
            && [(false, false), (false, true), (true, false), (true, true)]
                .iter()
                .all(|(x, y)| value(*x, *y) == Some(!(x & y)))
    }
}

/// The text of a file.
fn text(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut text = String::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut decoder = flate2::read::MultiGzDecoder::new(&bytes[..]);
        decoder.read_to_string(&mut text).with_context(|| format!("cannot unpack {}", file.display()))?;
    } else {
        text = String::from_utf8(bytes).with_context(|| format!("{} is no text", file.display()))?;
    }
    Ok(text)
}

/// What a liberty file is made of.
enum Item<'a> {
    /// `kind (name) {`.
    Open { kind: &'a str, name: &'a str, start: usize },
    /// `}`.
    Close,
    /// `name : value;`; values in parentheses are passed over.
    Attribute { name: &'a str, value: &'a str },
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ';' | '\\')).len();
            self.at += blank;
            if self.rest().starts_with("/*") {
                self.at += self.rest().find("*/").map_or(self.rest().len(), |n| n + 2);
            } else if self.rest().starts_with("//") {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            } else if blank == 0 {
                return;
            }
        }
    }

    fn next(&mut self) -> Result<Option<Item<'a>>> {
        loop {
            self.skip();
            let start = self.at;
            let rest = self.rest();
            if rest.is_empty() {
                return Ok(None);
            }
            if rest.starts_with('}') {
                self.at += 1;
                return Ok(Some(Item::Close));
            }
            let name = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            ensure!(name > 0, "`{}` at byte {start}", rest.chars().take(20).collect::<String>());
            self.at += name;
            self.skip();
            let kind = &rest[..name];
            if self.rest().starts_with(':') {
                self.at += 1;
                let value = self.value();
                return Ok(Some(Item::Attribute { name: kind, value }));
            }
            ensure!(self.rest().starts_with('('), "`{kind}` at byte {start}");
            let inside = self.parentheses()?;
            self.skip();
            if self.rest().starts_with('{') {
                self.at += 1;
                return Ok(Some(Item::Open { kind, name: inside.trim().trim_matches('"'), start }));
            }
        }
    }

    /// A value behind a colon: quoted, or up to the semicolon or the end of the line.
    fn value(&mut self) -> &'a str {
        let rest = self.rest().trim_start();
        self.at = self.text.len() - rest.len();
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            self.at += (end + 2).min(rest.len());
            return &quoted[..end];
        }
        let end = rest.find([';', '\n', '}']).unwrap_or(rest.len());
        self.at += end;
        rest[..end].trim()
    }

    fn parentheses(&mut self) -> Result<&'a str> {
        let rest = self.rest();
        let (mut depth, mut quoted) = (0, false);
        for (n, b) in rest.bytes().enumerate() {
            match b {
                b'"' => quoted = !quoted,
                b'(' if !quoted => depth += 1,
                b')' if !quoted => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.at += n + 1;
                return Ok(&rest[1..n]);
            }
        }
        anyhow::bail!("a parenthesis is not closed")
    }
}

/// The value of a function such as `!(A & B)`; nothing for one that is not understood.
fn evaluate(function: &str, pin: &dyn Fn(&str) -> Option<bool>) -> Option<bool> {
    let mut words = Vec::new();
    let mut rest = function.trim_start();
    while !rest.is_empty() {
        let name = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len()).max(1);
        words.push(&rest[..name]);
        rest = rest[name..].trim_start();
    }
    let mut at = 0;
    let value = either(&words, &mut at, pin)?;
    (at == words.len()).then_some(value)
}

fn either(words: &[&str], at: &mut usize, pin: &dyn Fn(&str) -> Option<bool>) -> Option<bool> {
    let mut value = differs(words, at, pin)?;
    while matches!(words.get(*at), Some(&("|" | "+"))) {
        *at += 1;
        value |= differs(words, at, pin)?;
    }
    Some(value)
}

fn differs(words: &[&str], at: &mut usize, pin: &dyn Fn(&str) -> Option<bool>) -> Option<bool> {
    let mut value = both(words, at, pin)?;
    while words.get(*at) == Some(&"^") {
        *at += 1;
        value ^= both(words, at, pin)?;
    }
    Some(value)
}

fn both(words: &[&str], at: &mut usize, pin: &dyn Fn(&str) -> Option<bool>) -> Option<bool> {
    let mut value = unit(words, at, pin)?;
    while let Some(word) = words.get(*at) {
        match *word {
            "&" | "*" => *at += 1,
            ")" | "|" | "+" | "^" => break,
            // Two beside each other are both.
            _ => {}
        }
        value &= unit(words, at, pin)?;
    }
    Some(value)
}

fn unit(words: &[&str], at: &mut usize, pin: &dyn Fn(&str) -> Option<bool>) -> Option<bool> {
    let word = *words.get(*at)?;
    *at += 1;
    let mut value = match word {
        "!" => return unit(words, at, pin).map(|v| !v),
        "(" => {
            let value = either(words, at, pin)?;
            (words.get(*at) == Some(&")")).then_some(())?;
            *at += 1;
            value
        }
        "0" => false,
        "1" => true,
        name => pin(name)?,
    };
    while words.get(*at) == Some(&"'") {
        *at += 1;
        value = !value;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nand(function: &str) -> bool {
        let text = format!(
            "library (l) {{\n  /* a cell (x) {{ */\n  values (\"1, 2\", \\\n    \"3\");\n  cell (\"g_1\") {{\n    area : 2.5;\n    \
             pin (A) {{ direction : input; capacitance : 0.1; }}\n    pin (\"B\") {{ direction : \"input\"; }}\n    \
             pin (Y) {{ direction : output; function : \"{function}\"; timing () {{ t (x) {{ v (\"1\"); }} }} }}\n  }}\n}}\n"
        );
        let library = Library::parse(text).unwrap();
        assert_eq!(library.cells[0].area.to_bits(), 2.5f64.to_bits());
        library.nand2().is_some_and(|c| c.name == "g_1")
    }

    #[test]
    fn a_nand_is_known_by_what_it_computes() {
        for function in ["!(A&B)", "(!A) | (!B)", "(A B)'", "A' + B'", "!(A*B)", "1 ^ (A & B)"] {
            assert!(nand(function), "{function}");
        }
        for function in ["A&B", "!(A|B)", "!A", "!(A&C)", "A & (", "(A & B) ^ 0"] {
            assert!(!nand(function), "{function}");
        }
    }

    #[test]
    fn several_files_are_one_library() {
        let cell = |name: &str, area: f64| format!("library (l_{name}) {{ cell ({name}) {{ area : {area}; }} }}");
        let folder = tempfile::tempdir().unwrap();
        let files = ["a", "b"].map(|n| folder.path().join(n));
        std::fs::write(&files[0], cell("a", 1.0)).unwrap();
        std::fs::write(&files[1], cell("b", 2.0)).unwrap();
        let library = Library::read(&files).unwrap();
        assert_eq!(library.names, ["l_a", "l_b"]);
        let again = Library::parse(library.text).unwrap();
        assert_eq!(again.cells.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn what_is_no_library_is_refused() {
        for text in ["", "library (a) {", "library (a) { }", "}", "library (a) { cell (b { } }", "# x"] {
            assert!(Library::parse(text.into()).is_err(), "{text}");
        }
    }
}
