//! What a module of ours is made of, as far as storage goes: declarations of `reg`, clocked blocks, memory files.
//!
//! This reads the style that the back end and the templates write, and says so when it meets anything else: what is not
//! understood is an error, never left out. Deliberately absent: everything that holds no state.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::token::{Token, is_name, tokens};

/// A `reg`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    /// From its attribute or `reg` to the semicolon.
    pub(super) at: Range<usize>,
    /// Attribute before it, with a blank, or nothing.
    pub(super) attribute: String,
    /// ` signed [3:0]`, ` [3:0]` or nothing.
    pub(super) kind: String,
    /// The bits of a word as Verilog: `4`, `WIDTH`, `(A*B-2) + 1`.
    pub(super) width: String,
    pub(super) name: String,
    /// ` [0:63]` of a memory.
    pub(super) array: Option<String>,
    /// Generate blocks that it stands in, by number, outermost first.
    pub(super) scope: Vec<usize>,
}

/// A statement of a procedural block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    Block(Vec<Statement>),
    If { condition: String, then: Box<Statement>, other: Option<Box<Statement>> },
    Loop { head: String, body: Box<Statement> },
    Case { head: String, items: Vec<(String, Statement)> },
    Assign(Assignment),
}

/// `name[select] <= value;` or `name[select] = value;`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) name: String,
    pub(super) select: String,
    pub(super) value: String,
    pub(super) clocked: bool,
    /// Places of name, sign and value, for editing in place.
    pub(super) name_at: Range<usize>,
    pub(super) sign_at: Range<usize>,
    pub(super) value_at: Range<usize>,
}

/// `always @(posedge clk)` and its statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clocked {
    pub(super) at: Range<usize>,
    /// The statement alone.
    pub(super) body_at: Range<usize>,
    pub(super) body: Statement,
    pub(super) scope: Vec<usize>,
}

/// What was found in a module.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) declared: Vec<Declared>,
    pub(super) clocked: Vec<Clocked>,
    /// Every name of the text.
    pub(super) names: BTreeSet<String>,
    /// Modules by the names of their instances.
    pub(super) instances: BTreeMap<String, String>,
}

impl Declared {
    /// Whether it holds code words, which need no copies.
    pub(super) fn coded(&self) -> bool {
        self.attribute.starts_with(&format!("(* {}", super::ecc::MARK))
    }

    /// Whether writes to it stay as they are.
    pub(super) fn stays(&self) -> bool {
        self.array.is_some() || self.coded()
    }
}

impl Statement {
    /// Whether it has a loop.
    pub(super) fn loops(&self) -> bool {
        match self {
            Self::Block(list) => list.iter().any(Self::loops),
            Self::If { then, other, .. } => then.loops() || other.as_ref().is_some_and(|s| s.loops()),
            Self::Loop { .. } => true,
            Self::Case { items, .. } => items.iter().any(|(_, s)| s.loops()),
            Self::Assign(_) => false,
        }
    }

    /// Every assignment in it.
    pub(super) fn assignments(&self) -> Vec<&Assignment> {
        match self {
            Self::Block(list) => list.iter().flat_map(Self::assignments).collect(),
            Self::If { then, other, .. } => {
                then.assignments().into_iter().chain(other.iter().flat_map(|s| s.assignments())).collect()
            }
            Self::Loop { body, .. } => body.assignments(),
            Self::Case { items, .. } => items.iter().flat_map(|(_, s)| s.assignments()).collect(),
            Self::Assign(a) => vec![a],
        }
    }
}

/// Reads a module. Errors: what was not understood.
pub(super) fn read(text: &str) -> Result<Found, String> {
    let mut r = Reader { text, tokens: tokens(text), next: 0 };
    let mut found = Found::default();
    let (mut scope, mut scopes) = (Vec::new(), 0);
    // Only memories may begin with something: a register begins with whatever its copies hold.
    let mut filled: Vec<String> = Vec::new();
    found.names =
        r.tokens.iter().map(|t| &text[t.at.clone()]).filter(|w| is_name(w)).map(str::to_owned).collect();
    // Ports are wires.
    r.until(";")?;
    while let Some(word) = r.peek() {
        match word {
            "reg" => {
                let declared = r.declaration(&scope)?;
                found.declared.push(declared);
            }
            "always" => found.clocked.extend(r.always(&scope)?),
            "initial" => {
                r.next += 1;
                if r.peek() == Some("$readmemh") {
                    r.until(";")?;
                } else {
                    let body = r.statement()?;
                    filled.extend(body.assignments().iter().map(|a| a.name.clone()));
                }
            }
            "function" => r.until("endfunction")?,
            "begin" => {
                scopes += 1;
                scope.push(scopes);
                r.next += 1;
            }
            "end" => {
                scope.pop();
                r.next += 1;
            }
            "task" => return Err("a task".into()),
            _ => {
                if let Some((instance, module)) = r.instance() {
                    found.instances.insert(instance, module);
                }
                r.next += 1;
            }
        }
    }
    let is_memory = |name: &String| found.declared.iter().any(|d| d.name == *name && d.array.is_some());
    match filled.iter().find(|name| !is_memory(name)) {
        Some(name) => Err(format!("`{name}` has an initial value")),
        None => Ok(found),
    }
}

struct Reader<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    next: usize,
}

impl<'a> Reader<'a> {
    fn word(&self, n: usize) -> Option<&'a str> {
        self.tokens.get(n).map(|t| &self.text[t.at.clone()])
    }

    fn peek(&self) -> Option<&'a str> {
        self.word(self.next)
    }

    fn take(&mut self) -> Result<&'a str, String> {
        let word = self.peek().ok_or("the text ends early")?;
        self.next += 1;
        Ok(word)
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        let got = self.take()?;
        if got == word { Ok(()) } else { Err(format!("`{got}` where `{word}` should be")) }
    }

    /// Moves behind the next `word`.
    fn until(&mut self, word: &str) -> Result<(), String> {
        while self.take()? != word {}
        Ok(())
    }

    /// Where the next word begins.
    fn start(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |t| t.at.start)
    }

    /// Where the word before the next ends.
    fn end(&self) -> usize {
        self.tokens[self.next - 1].at.end
    }

    /// Moves over a bracket and what is in it, and returns its text.
    fn bracket(&mut self) -> Result<&'a str, String> {
        let (start, mut depth) = (self.start(), 0);
        loop {
            match self.take()? {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(&self.text[start..self.end()]);
            }
        }
    }

    /// The text up to `end` outside brackets, which is passed over.
    fn expression(&mut self, end: &str) -> Result<&'a str, String> {
        let start = self.start();
        while self.peek() != Some(end) {
            match self.peek() {
                Some("(" | "[" | "{") => drop(self.bracket()?),
                _ => drop(self.take()?),
            }
        }
        let text = self.text[start..self.start()].trim_end();
        self.next += 1;
        Ok(text)
    }

    /// `MODULE NAME (` or `MODULE #(...) NAME (` at the next word.
    fn instance(&self) -> Option<(String, String)> {
        let plain = |w: &&str| is_name(w) && !["for", "if", "case", "generate", "function"].contains(w);
        let module = self.peek().filter(plain)?;
        let before = self.next.checked_sub(1).and_then(|n| self.word(n))?;
        if ![";", "end", "begin", "generate", "endgenerate", "endfunction"].contains(&before)
            && self.word(self.next.checked_sub(2)?) != Some(":")
        {
            return None;
        }
        let mut at = self.next + 1;
        if self.word(at) == Some("#") {
            let mut depth = 0;
            at += 1;
            loop {
                match self.word(at)? {
                    "(" => depth += 1,
                    ")" => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    break;
                }
            }
        }
        let name = self.word(at).filter(plain)?;
        (self.word(at + 1) == Some("(")).then(|| (name.to_owned(), module.to_owned()))
    }

    fn declaration(&mut self, scope: &[usize]) -> Result<Declared, String> {
        let mut start = self.start();
        let mut attribute = String::new();
        if let Some(before) = self.next.checked_sub(1).and_then(|n| self.word(n))
            && before.starts_with("(*")
        {
            start = self.tokens[self.next - 1].at.start;
            attribute = format!("{before} ");
        }
        self.expect("reg")?;
        let mut kind = String::new();
        if self.peek() == Some("signed") {
            self.next += 1;
            kind += " signed";
        }
        let mut width = "1".to_owned();
        if self.peek() == Some("[") {
            let range = self.bracket()?;
            width = bits(range)?;
            kind = format!("{kind} {range}");
        }
        let name = self.take()?.to_owned();
        let array = if self.peek() == Some("[") { Some(format!(" {}", self.bracket()?)) } else { None };
        if self.peek() != Some(";") {
            return Err(format!("the declaration of `{name}` goes on behind it"));
        }
        self.next += 1;
        let at = start..self.end();
        Ok(Declared { at, attribute, kind, width, name, array, scope: scope.to_vec() })
    }

    fn always(&mut self, scope: &[usize]) -> Result<Option<Clocked>, String> {
        let start = self.start();
        self.next += 1;
        self.expect("@")?;
        if self.peek() == Some("*") {
            self.next += 1;
            let body = self.statement()?;
            let clocked = body.assignments().iter().any(|a| a.clocked);
            return if clocked { Err("`<=` without a clock".into()) } else { Ok(None) };
        }
        let event = self.bracket()?;
        if event != "(posedge clk)" {
            return Err(format!("`always @{event}`"));
        }
        let body_start = self.start();
        let body = self.statement()?;
        let (at, body_at) = (start..self.end(), body_start..self.end());
        Ok(Some(Clocked { at, body_at, body, scope: scope.to_vec() }))
    }

    fn statement(&mut self) -> Result<Statement, String> {
        match self.take()? {
            "begin" => {
                let mut list = Vec::new();
                while self.peek() != Some("end") {
                    list.push(self.statement()?);
                }
                self.next += 1;
                Ok(Statement::Block(list))
            }
            "if" => {
                let condition = self.bracket()?.to_owned();
                let then = Box::new(self.statement()?);
                let other = if self.peek() == Some("else") {
                    self.next += 1;
                    Some(Box::new(self.statement()?))
                } else {
                    None
                };
                Ok(Statement::If { condition, then, other })
            }
            "for" => {
                let head = format!("for {}", self.bracket()?);
                Ok(Statement::Loop { head, body: Box::new(self.statement()?) })
            }
            "case" => {
                let head = format!("case {}", self.bracket()?);
                let mut items = Vec::new();
                while self.peek() != Some("endcase") {
                    let label = self.expression(":")?.to_owned();
                    items.push((label, self.statement()?));
                }
                self.next += 1;
                Ok(Statement::Case { head, items })
            }
            name if is_name(name) => {
                let name_at = self.tokens[self.next - 1].at.clone();
                let mut select = String::new();
                while self.peek() == Some("[") {
                    select += self.bracket()?;
                }
                let sign_at = self.tokens.get(self.next).ok_or("the text ends early")?.at.clone();
                let clocked = match self.take()? {
                    "<=" => true,
                    "=" => false,
                    other => return Err(format!("`{other}` behind `{name}`")),
                };
                let start = self.start();
                let value = self.expression(";")?.to_owned();
                let (name, value_at) = (name.to_owned(), start..start + value.len());
                Ok(Statement::Assign(Assignment { name, select, value, clocked, name_at, sign_at, value_at }))
            }
            other => Err(format!("`{other}` where a statement should begin")),
        }
    }
}

/// The number of bits in a range `[hi:0]`, or `[hi:lo]` of numbers, as Verilog.
fn bits(range: &str) -> Result<String, String> {
    let inner = &range[1..range.len() - 1];
    let number = |text: &str| text.parse::<u64>().ok();
    if let Some((hi, lo)) = inner.split_once(':').and_then(|(hi, lo)| number(hi).zip(number(lo)))
        && hi >= lo
    {
        return Ok((hi - lo + 1).to_string());
    }
    let Some(top) = inner.strip_suffix(":0") else { return Err(format!("the range {range}")) };
    Ok(top.strip_suffix("-1").map_or_else(|| format!("({top}) + 1"), str::to_owned))
}
