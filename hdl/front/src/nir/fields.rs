//! The fields of a node or layer: numbers, sizes and texts, each with the diagnostic for its absence or misfit.

use std::cell::RefCell;
use std::collections::BTreeSet;

use nervure_core::{Diagnostic, TensorType};

use super::array::Array;
use super::hdf5::{Content, Group, Hdf5};
use crate::suggest;

/// Whole numbers with their shape.
type Integers = (Vec<usize>, Vec<i64>);

/// A group that describes a node or layer.
pub(super) struct Fields<'a> {
    file: &'a Hdf5<'a>,
    group: &'a Group,
    /// For people: "node `fc1` (Linear)".
    owner: String,
    /// Of diagnostics: the node's name.
    name: String,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Fields<'a> {
    /// The fields in `group`, of the node or layer called `name`, for people `owner`.
    pub(super) fn new(file: &'a Hdf5<'a>, group: &'a Group, name: &str, owner: &str) -> Self {
        Self { file, group, owner: owner.to_owned(), name: name.to_owned(), asked: RefCell::default() }
    }

    /// The same with its type in the words for people.
    pub(super) fn with_type(mut self, type_name: &str) -> Self {
        self.owner = format!("{} ({})", self.owner, type_name.escape_debug());
        self
    }

    /// What the fields belong to, for people.
    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    /// A diagnostic about `field`, which goes on after the name of the file and its owner.
    pub(super) fn fault(
        &self,
        code: &'static str,
        field: &str,
        what: &str,
        help: impl Into<String>,
    ) -> Diagnostic {
        let message = format!("`{}`: {} {what}", self.file.shown, self.owner);
        Diagnostic::new(code, message, help).at(field).at(self.name.clone())
    }

    fn wrong(&self, field: &str, found: &str, expected: &str) -> Diagnostic {
        let what = format!("has `{field}` {found}, expected {expected}");
        self.fault("E0124", field, &what, format!("write {expected}"))
    }

    /// Whether there is a dataset `field`.
    pub(super) fn has(&self, field: &str) -> bool {
        self.asked.borrow_mut().insert(field.to_owned());
        self.group.data.contains_key(field)
    }

    fn content(&self, field: &str) -> Result<Option<Content>, Diagnostic> {
        if !self.has(field) {
            return Ok(None);
        }
        let content = self.file.read(self.group, field);
        content.map(Some).map_err(|d| if d.path.is_empty() { d.at(field).at(self.name.clone()) } else { d })
    }

    fn missing(&self, field: &str) -> Diagnostic {
        let known: Vec<&str> = self.group.data.keys().map(String::as_str).collect();
        let help = format!("write the file again with `{field}`; {}", suggest::help(field, &known, "it has"));
        self.fault("E0123", field, &format!("has no field `{field}`"), help)
    }

    /// An array of finite numbers, where the file has it.
    pub(super) fn array_opt(&self, field: &str) -> Result<Option<Array>, Diagnostic> {
        let array = match self.content(field)? {
            None => return Ok(None),
            Some(Content::Texts(..)) => return Err(self.wrong(field, "that is text", "an array of numbers")),
            Some(Content::Numbers(array)) => array,
        };
        match array.data.iter().position(|v| !v.is_finite()) {
            None => Ok(Some(array)),
            Some(at) => {
                let what =
                    format!("has `{field}` with element {at} {}, which is no finite number", array.data[at]);
                Err(self.fault("E0125", field, &what, "train or export again; a value was lost on the way"))
            }
        }
    }

    /// An array of finite numbers.
    pub(super) fn array(&self, field: &str) -> Result<Array, Diagnostic> {
        self.array_opt(field)?.ok_or_else(|| self.missing(field))
    }

    /// An array of which every element is at least `least`, or above it.
    pub(super) fn bounded(&self, field: &str, least: f64, above: bool) -> Result<Array, Diagnostic> {
        let array = self.array(field)?;
        match array.data.iter().position(|v| *v < least || (above && *v <= least)) {
            None => Ok(array),
            Some(at) => {
                let bound = if above { "above" } else { "at least" };
                let what =
                    format!("has `{field}` with element {at} {}, expected {bound} {least}", array.data[at]);
                Err(self.fault("E0125", field, &what, format!("give `{field}` in seconds, {bound} {least}")))
            }
        }
    }

    /// Whether `field` is text.
    pub(super) fn is_text(&self, field: &str) -> Result<bool, Diagnostic> {
        Ok(matches!(self.content(field)?, Some(Content::Texts(..))))
    }

    /// Text, where the file has it: a scalar, or an array of one.
    pub(super) fn text_opt(&self, field: &str) -> Result<Option<String>, Diagnostic> {
        match self.content(field)? {
            None => Ok(None),
            Some(Content::Texts(_, texts)) if texts.len() == 1 => Ok(texts.into_iter().next()),
            Some(Content::Texts(shape, _)) => {
                Err(self.wrong(field, &format!("of shape {shape:?}"), "one text"))
            }
            Some(Content::Numbers(_)) => Err(self.wrong(field, "that is a number", "text")),
        }
    }

    /// Text.
    pub(super) fn text(&self, field: &str) -> Result<String, Diagnostic> {
        self.text_opt(field)?.ok_or_else(|| self.missing(field))
    }

    /// Pairs of texts, `[n, 2]`.
    pub(super) fn pairs(&self, field: &str) -> Result<Vec<(String, String)>, Diagnostic> {
        let expected = "pairs of texts, of shape [edges, 2]";
        match self.content(field)? {
            None => Err(self.missing(field)),
            Some(Content::Texts(shape, texts)) if shape.len() == 2 && shape[1] == 2 => {
                let mut texts = texts.into_iter();
                Ok(std::iter::from_fn(|| texts.next().zip(texts.next())).collect())
            }
            Some(Content::Texts(shape, _)) => {
                Err(self.wrong(field, &format!("of shape {shape:?}"), expected))
            }
            Some(Content::Numbers(_)) => Err(self.wrong(field, "of numbers", expected)),
        }
    }

    /// Whole numbers.
    pub(super) fn integers_opt(&self, field: &str) -> Result<Option<Integers>, Diagnostic> {
        let Some(array) = self.array_opt(field)? else { return Ok(None) };
        if let Some(at) = array.data.iter().position(|v| v.fract() != 0.0 || v.abs() > (1i64 << 53) as f64) {
            let what = format!("has `{field}` with element {at} {}, expected whole numbers", array.data[at]);
            return Err(self.fault("E0107", field, &what, "quantize first, and export integers"));
        }
        Ok(Some((array.shape, array.data.iter().map(|v| *v as i64).collect())))
    }

    /// One whole number, where the file has it: a scalar, or an array of one.
    pub(super) fn integer_opt(&self, field: &str) -> Result<Option<i64>, Diagnostic> {
        match self.integers_opt(field)? {
            None => Ok(None),
            Some((_, data)) if data.len() == 1 => Ok(data.first().copied()),
            Some((shape, _)) => Err(self.wrong(field, &format!("of shape {shape:?}"), "one whole number")),
        }
    }

    /// One whole number.
    pub(super) fn integer(&self, field: &str) -> Result<i64, Diagnostic> {
        self.integer_opt(field)?.ok_or_else(|| self.missing(field))
    }

    /// Sizes, where the file has them: a scalar or a vector, each from `least` to the largest extent there is.
    pub(super) fn sizes_opt(&self, field: &str, least: usize) -> Result<Option<Vec<usize>>, Diagnostic> {
        let Some((shape, data)) = self.integers_opt(field)? else { return Ok(None) };
        if shape.len() > 1 {
            return Err(self.wrong(field, &format!("of shape {shape:?}"), "a list of whole numbers"));
        }
        let most = TensorType::MAX_LEN;
        let size = |v: &i64| usize::try_from(*v).ok().filter(|v| (least..=most).contains(v));
        if let Some(sizes) = data.iter().map(size).collect() {
            Ok(Some(sizes))
        } else {
            let shown: Vec<String> = data.iter().take(8).map(ToString::to_string).collect();
            let what = format!("has `{field}` {}, expected {least} to {most}", shown.join(", "));
            Err(self.fault("E0204", field, &what, format!("write numbers from {least} to {most}")))
        }
    }

    /// Extents of data: at least one axis, and no more elements than an edge can carry.
    pub(super) fn extents_opt(&self, field: &str) -> Result<Option<Vec<usize>>, Diagnostic> {
        let Some(sizes) = self.sizes_opt(field, 1)? else { return Ok(None) };
        let count = sizes.iter().try_fold(1usize, |n, extent| n.checked_mul(*extent));
        if count.is_none_or(|n| n > TensorType::MAX_LEN) {
            let what = format!("has `{field}` {sizes:?}, more than {} elements", TensorType::MAX_LEN);
            return Err(self.fault("E0204", field, &what, "split the data; an edge carries no more"));
        }
        Ok(Some(sizes))
    }

    /// Extents of data.
    pub(super) fn extents(&self, field: &str) -> Result<Vec<usize>, Diagnostic> {
        self.extents_opt(field)?.ok_or_else(|| self.missing(field))
    }

    /// `N` sizes, where the file has them; one stands for all.
    pub(super) fn spread_opt<const N: usize>(
        &self,
        field: &str,
        least: usize,
    ) -> Result<Option<[usize; N]>, Diagnostic> {
        let Some(sizes) = self.sizes_opt(field, least)? else { return Ok(None) };
        match (sizes.as_slice(), <[usize; N]>::try_from(sizes.as_slice())) {
            (_, Ok(sizes)) => Ok(Some(sizes)),
            ([one], _) => Ok(Some([*one; N])),
            _ => Err(self.wrong(field, &format!("of {} numbers", sizes.len()), &format!("1 or {N} numbers"))),
        }
    }

    /// `N` sizes; one stands for all.
    pub(super) fn spread<const N: usize>(&self, field: &str, least: usize) -> Result<[usize; N], Diagnostic> {
        self.spread_opt(field, least)?.ok_or_else(|| self.missing(field))
    }

    /// Fails with `E0124` unless `array` has `rank` axes; `axes` names them.
    pub(super) fn rank(&self, field: &str, array: &Array, axes: &str, rank: usize) -> Result<(), Diagnostic> {
        if array.shape.len() == rank {
            return Ok(());
        }
        Err(self.wrong(field, &format!("of shape {:?}", array.shape), axes))
    }

    /// Fails with `E0124` unless `array` has shape `shape`.
    pub(super) fn shaped(&self, field: &str, array: &Array, shape: &[usize]) -> Result<(), Diagnostic> {
        if array.shape == shape {
            return Ok(());
        }
        Err(self.wrong(field, &format!("of shape {:?}", array.shape), &format!("shape {shape:?}")))
    }

    /// Names of what nobody asked for.
    pub(super) fn unread(&self) -> Vec<&'a str> {
        let asked = self.asked.borrow();
        let names = self.group.data.keys().chain(self.group.groups.keys());
        names.map(String::as_str).filter(|name| !asked.contains(*name)).collect()
    }
}
