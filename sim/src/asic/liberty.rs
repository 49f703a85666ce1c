//! Liberty files, as far as areas and gates are concerned: cells with area, pins and functions.
//!
//! Delays and powers are left to the tools that are given the file.

use std::io::Read;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::function::evaluate;
use super::scan::{Item, Scan};

/// A cell.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Cell {
    pub(super) name: String,
    /// Square micrometres.
    pub(super) area: f64,
    /// Flip-flop or latch.
    pub(super) sequential: bool,
    flip_flop: bool,
    /// The library asks tools to leave it alone.
    avoid: bool,
    pins: Vec<Pin>,
    /// Where it stands in the text.
    at: Range<usize>,
}

/// A pin of a cell, without supplies.
#[derive(Debug, Clone, PartialEq)]
struct Pin {
    name: String,
    input: bool,
    function: Option<String>,
    /// What an input loads a net with, in the library's unit.
    load: f64,
    /// What an output can be loaded with.
    drive: f64,
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
    /// Femtofarads in the unit of capacitances.
    unit_ff: f64,
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
                Some(all) => {
                    let same = all.unit_ff.total_cmp(&one.unit_ff).is_eq();
                    ensure!(same, "{} has another unit of capacitances", file.display());
                    all.join(&one);
                }
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

    /// The buffer that stands for what drives a net from a register or from outside, and the load of its input in
    /// femtofarads: the smallest that can be loaded like the smallest flip-flop, where the library says how much that is.
    ///
    /// Any weaker one would count delays that are not there, and delay cells are larger.
    pub(super) fn driver(&self) -> Option<(&Cell, f64)> {
        let flip_flops = self.cells.iter().filter(|c| c.flip_flop && !c.avoid && c.area > 0.0);
        let smallest = flip_flops.min_by(|a, b| a.area.total_cmp(&b.area));
        let asked = smallest.map_or(0.0, Cell::drive);
        let buffers = self.cells.iter().filter(|c| c.is_buffer() && !c.avoid && c.area > 0.0);
        let weak = |c: &Cell| c.drive() < asked;
        let by = |a: &Cell, b: &Cell| weak(a).cmp(&weak(b)).then(a.area.total_cmp(&b.area));
        let driver = buffers.min_by(|a, b| by(a, b).then_with(|| a.name.cmp(&b.name)))?;
        Some((driver, driver.inputs().next()?.load * self.unit_ff))
    }

    fn parse(text: String) -> Result<Self> {
        let mut scan = Scan { text: &text, at: 0 };
        // Of a library that names no unit, the standard says one picofarad.
        let mut library = Self {
            names: Vec::new(),
            cells: Vec::new(),
            text: String::new(),
            parts: Vec::new(),
            unit_ff: 1e3,
        };
        // Groups that are open: their kinds.
        let mut open: Vec<String> = Vec::new();
        let mut cell: Option<Cell> = None;
        while let Some(item) = scan.next()? {
            match item {
                Item::Open { kind, name, start } => {
                    match (open.len(), kind) {
                        (0, "library") => library.names.push(name.to_owned()),
                        (1, "cell") => {
                            cell = Some(Cell { name: name.to_owned(), at: start..start, ..Cell::default() });
                        }
                        (2, _) => cell.iter_mut().for_each(|c| c.group(kind, name)),
                        _ => {}
                    }
                    open.push(kind.to_owned());
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
                Item::List { name: "capacitive_load_unit", values } if open.len() == 1 => {
                    library.unit_ff = femtofarads(values).with_context(|| format!("the unit `{values}`"))?;
                }
                Item::List { .. } => {}
                Item::Attribute { name, value } => {
                    let Some(c) = &mut cell else { continue };
                    let read = match open.len() {
                        2 => c.attribute(name, value),
                        3 if open[2] == "pin" => {
                            c.pins.last_mut().map_or(Some(()), |p| p.attribute(name, value))
                        }
                        _ => Some(()),
                    };
                    read.with_context(|| format!("{name} `{value}` of cell {}", c.name))?;
                }
            }
        }
        ensure!(open.is_empty(), "it is cut short");
        ensure!(!library.cells.is_empty(), "it has no cell");
        Ok(Self { parts: vec![text.clone()], text, ..library })
    }
}

impl Cell {
    /// Takes note of a group in it.
    fn group(&mut self, kind: &str, name: &str) {
        match kind {
            "pin" => {
                let name = name.to_owned();
                self.pins.push(Pin { name, input: true, function: None, load: 0.0, drive: 0.0 });
            }
            "ff" | "ff_bank" => (self.sequential, self.flip_flop) = (true, true),
            "latch" | "latch_bank" | "statetable" => self.sequential = true,
            _ => {}
        }
    }

    /// Takes note of an attribute; `None` if it is no number where one belongs.
    fn attribute(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "area" => self.area = value.parse().ok()?,
            "dont_use" => self.avoid = value == "true",
            _ => {}
        }
        Some(())
    }

    fn inputs(&self) -> impl Iterator<Item = &Pin> {
        self.pins.iter().filter(|p| p.input)
    }

    /// The names of its first input and output.
    pub(super) fn ends(&self) -> Option<(&str, &str)> {
        Some((&self.inputs().next()?.name, &self.pins.iter().find(|p| !p.input)?.name))
    }

    /// What its first output can be loaded with.
    fn drive(&self) -> f64 {
        self.pins.iter().find(|p| !p.input).map_or(0.0, |p| p.drive)
    }

    /// Whether it has one output, which is `function` of the inputs.
    fn computes(&self, function: impl Fn(&[bool]) -> bool) -> bool {
        let inputs: Vec<&Pin> = self.inputs().collect();
        let functions: Vec<&str> = self.pins.iter().filter_map(|p| p.function.as_deref()).collect();
        let [text] = functions[..] else { return false };
        !self.sequential
            && (0..1usize << inputs.len()).all(|row| {
                let bits: Vec<bool> = (0..inputs.len()).map(|n| row >> n & 1 == 1).collect();
                let value = |pin: &str| Some(bits[inputs.iter().position(|p| p.name == pin)?]);
                evaluate(text, &value) == Some(function(&bits))
            })
    }

    fn is_nand2(&self) -> bool {
        self.inputs().count() == 2 && self.computes(|x| !(x[0] & x[1]))
    }

    fn is_buffer(&self) -> bool {
        self.inputs().count() == 1 && self.computes(|x| x[0])
    }
}

impl Pin {
    /// Takes note of an attribute; `None` if it is no number where one belongs.
    fn attribute(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "direction" => self.input = value == "input",
            "function" => self.function = Some(value.to_owned()),
            "capacitance" => self.load = value.parse().ok()?,
            "max_capacitance" => self.drive = value.parse().ok()?,
            _ => {}
        }
        Some(())
    }
}

/// A unit such as `1, pf`.
fn femtofarads(values: &str) -> Option<f64> {
    let (number, unit) = values.split_once(',')?;
    let scale = match unit.trim().trim_matches('"').to_ascii_lowercase().as_str() {
        "ff" => 1.0,
        "pf" => 1e3,
        _ => return None,
    };
    Some(number.trim().trim_matches('"').parse::<f64>().ok()? * scale)
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

    /// A library of flip-flop `f` and of buffers by name, area, largest load and extra text.
    fn buffers(unit: &str, drive: f64, list: &[(&str, f64, f64, &str)]) -> Library {
        let pins = |function: &str, drive: f64| {
            format!(
                "pin (A) {{ capacitance : 0.25; direction : input; }} pin (X) {{ direction : output; function : \"{function}\"; \
                 max_capacitance : {drive}; timing () {{ capacitance : 9; }} }}"
            )
        };
        let mut text = format!(
            "library (l) {{ {unit} cell (f) {{ area : 8; ff (IQ, IQN) {{ next_state : \"A\"; }} {} }}",
            pins("IQ", drive)
        );
        for (name, area, drive, extra) in list {
            text += &format!("cell ({name}) {{ area : {area}; {extra} {} }}", pins("A", *drive));
        }
        Library::parse(text + "}").unwrap()
    }

    #[test]
    fn a_net_is_driven_by_the_smallest_buffer_as_strong_as_a_flip_flop() {
        let list = [
            ("weak", 1.0, 0.1, ""),
            ("kept_back", 2.0, 0.3, "dont_use : true;"),
            ("right", 3.0, 0.2, ""),
            ("strong", 4.0, 0.8, ""),
        ];
        let found = |drive: f64, unit: &str| {
            let library = buffers(unit, drive, &list);
            let (cell, load) = library.driver().expect("there are buffers");
            (cell.name.clone(), load)
        };
        assert_eq!(found(0.2, "capacitive_load_unit (1, pf);"), ("right".into(), 250.0));
        assert_eq!(found(0.5, "capacitive_load_unit (2.0,\"ff\");"), ("strong".into(), 0.5));
        assert_eq!(found(0.0, ""), ("weak".into(), 250.0));
        // Where none is strong enough, the smallest; and no inverter, nor a flip-flop.
        assert_eq!(found(2.0, "").0, "weak");
        assert!(buffers("", 0.2, &list[1..2]).driver().is_none());
    }

    #[test]
    fn several_files_are_one_library() {
        let cell =
            |name: &str, area: f64| format!("library (l_{name}) {{ cell ({name}) {{ area : {area}; }} }}");
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
        let cell = "library (a) { capacitive_load_unit (1, parsec); cell (b) { area : 1; } }";
        let areas = "library (a) { cell (b) { area : large; } }";
        for text in
            ["", "library (a) {", "library (a) { }", "}", "library (a) { cell (b { } }", "# x", cell, areas]
        {
            assert!(Library::parse(text.into()).is_err(), "{text}");
        }
    }
}
