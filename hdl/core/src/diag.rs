//! What is told to a person whose input is wrong.

use std::fmt;
use std::ops::Range;

/// A place in a text file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// File as the user named it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

/// One problem: code, message, place, and what to do about it.
///
/// `path` names the field in the network (`layers.hidden.weights`); `span` the place in the file, where known.
/// `help` is never empty: it is a required argument of [`Diagnostic::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code, `E` and four digits; listed in `docs/errors.md`.
    pub code: &'static str,
    /// What is wrong, and what was expected.
    pub message: String,
    /// Dotted path of the field.
    pub path: Vec<String>,
    /// Place in the file.
    pub span: Option<Box<Span>>,
    /// What to do.
    pub help: String,
}

impl Diagnostic {
    /// A diagnostic without a place; callers that know one add it.
    pub fn new(code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, message: message.into(), path: Vec::new(), span: None, help: help.into() }
    }

    /// The same, about field `segment` of what it was about so far (outermost segment last).
    #[must_use]
    pub fn at(mut self, segment: impl Into<String>) -> Self {
        self.path.insert(0, segment.into());
        self
    }

    /// The same, placed in a file.
    #[must_use]
    pub fn in_span(mut self, span: Span) -> Self {
        self.span = Some(Box::new(span));
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.message)?;
        match (&self.span, self.path.is_empty()) {
            (Some(s), true) => write!(f, "\n  --> {}:{}:{}", s.file, s.line, s.column)?,
            (Some(s), false) => {
                write!(f, "\n  --> {}:{}:{} ({})", s.file, s.line, s.column, self.path.join("."))?;
            }
            (None, false) => write!(f, "\n  --> {}", self.path.join("."))?,
            (None, true) => {}
        }
        write!(f, "\n  = help: {}", self.help)
    }
}

impl std::error::Error for Diagnostic {}

/// Fails with `E0201` unless `value` lies in `range`; `field` is the parameter's name.
pub fn in_range(field: &str, value: usize, range: Range<usize>) -> Result<(), Diagnostic> {
    if range.contains(&value) {
        return Ok(());
    }
    let (lo, hi) = (range.start, range.end - 1);
    Err(Diagnostic::new(
        "E0201",
        format!("`{field}` is {value}, expected {lo} to {hi}"),
        format!("choose a value from {lo} to {hi}"),
    )
    .at(field))
}

/// Fails with `E0202` unless `part` divides `whole`.
pub fn divides(field: &str, part: usize, of: &str, whole: usize) -> Result<(), Diagnostic> {
    if part > 0 && whole.is_multiple_of(part) {
        return Ok(());
    }
    let divisors: Vec<String> =
        (1..=whole.min(4096)).filter(|d| whole.is_multiple_of(*d)).map(|d| d.to_string()).collect();
    Err(Diagnostic::new(
        "E0202",
        format!("`{field}` is {part}, which does not divide {of} ({whole})"),
        format!("choose one of {}", divisors.join(", ")),
    )
    .at(field))
}
