//! The syntax of liberty files: groups, attributes and lists, one after the other.
//!
//! Deliberately absent: what they mean.

use anyhow::{Result, ensure};

/// What a liberty file is made of.
pub(super) enum Item<'a> {
    /// `kind (name) {`.
    Open { kind: &'a str, name: &'a str, start: usize },
    /// `}`.
    Close,
    /// `name (values);`.
    List { name: &'a str, values: &'a str },
    /// `name : value;`.
    Attribute { name: &'a str, value: &'a str },
}

/// A text, and how far it is read.
pub(super) struct Scan<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len()
                - rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ';' | '\\')).len();
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

    /// The next of them; nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<Item<'a>>> {
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
        Ok(Some(Item::List { name: kind, values: inside }))
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
