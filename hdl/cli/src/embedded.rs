//! What the command carries with it: boards and examples.

use nervure_core::Diagnostic;
use serde::{Deserialize, Serialize};

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// What a part has, in the units of a data sheet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Resources {
    /// Lookup tables.
    pub(crate) lut: u64,
    /// Flip-flops.
    pub(crate) ff: u64,
    /// Kilobits of block RAM.
    pub(crate) bram_kbit: u64,
    /// Hard multipliers.
    pub(crate) dsp: u64,
}

/// Facts of one board.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Board {
    /// Name on the command line.
    pub(crate) name: String,
    /// Name for people.
    pub(crate) title: String,
    /// Who makes it.
    pub(crate) vendor: String,
    /// Family of its part.
    pub(crate) family: String,
    /// Target.
    pub(crate) target: String,
    /// Part number.
    pub(crate) part: String,
    /// Package.
    pub(crate) package: String,
    /// Oscillator, MHz.
    pub(crate) clock_mhz: u32,
    /// Pin of the oscillator.
    pub(crate) clock_pin: String,
    /// What the part has.
    pub(crate) resources: Resources,
    /// Where the facts come from.
    pub(crate) sources: Vec<String>,
    /// What was tried.
    pub(crate) evidence: String,
    /// Anything else that the file says.
    #[serde(flatten)]
    pub(crate) more: serde_json::Map<String, serde_json::Value>,
}

/// Every board, in order of the names.
pub(crate) fn boards() -> Vec<Board> {
    let parse = |(name, bytes): &(&str, &[u8])| {
        serde_yaml::from_slice(bytes)
            .unwrap_or_else(|e| panic!("the shipped board file {name} is invalid: {e}"))
    };
    BOARDS.iter().map(parse).collect()
}

/// The board called `name`. Errors: `E0501`.
pub(crate) fn board(name: &str) -> Result<Board, Diagnostic> {
    let boards = boards();
    let known: Vec<&str> = boards.iter().map(|b| b.name.as_str()).collect();
    let help = format!("the boards are {}", known.join(", "));
    let missing = || Diagnostic::new("E0501", format!("there is no board `{}`", name.escape_debug()), help);
    boards.iter().find(|b| b.name == name).cloned().ok_or_else(missing)
}

/// The board's own files: facts and pins, name and text.
pub(crate) fn board_files(name: &str) -> Vec<(&'static str, &'static [u8])> {
    let of =
        |file: &&(&'static str, &'static [u8])| file.0.rsplit_once('.').is_some_and(|(stem, _)| stem == name);
    BOARDS.iter().chain(CONSTRAINTS).filter(of).copied().collect()
}

/// Files of the example called `name`. Errors: `E0502`, with all names.
pub(crate) fn example(name: &str) -> Result<Vec<(&'static str, &'static [u8])>, Diagnostic> {
    let split = |(path, bytes): &(&'static str, &'static [u8])| {
        let (folder, file) = path.split_once('/').expect("the build script writes a folder before the file");
        (folder, file, *bytes)
    };
    let all: Vec<_> = EXAMPLES.iter().map(split).collect();
    let files: Vec<_> = all.iter().filter(|e| e.0 == name).map(|e| (e.1, e.2)).collect();
    if files.is_empty() {
        let mut known: Vec<&str> = all.iter().map(|e| e.0).collect();
        known.dedup();
        let help = format!("the examples are {}", known.join(", "));
        return Err(Diagnostic::new("E0502", format!("there is no example `{}`", name.escape_debug()), help));
    }
    Ok(files)
}
