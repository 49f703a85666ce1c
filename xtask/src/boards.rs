//! Every board file is complete, and its constraint file says the same; on AMD parts every pin exists on the package.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Pin lists of packages (`PART.package_pins.csv`), beside the repository; no part of it.
const PINS: &str = "../shared/data/boards/pins";

const FIELDS: [&str; 11] = [
    "name",
    "title",
    "vendor",
    "family",
    "target",
    "part",
    "package",
    "clock_mhz",
    "clock_pin",
    "resources",
    "sources",
];

/// Constraint file and the text of a line that places the clock on a pin, by target.
fn constraint(target: &str, name: &str, pin: &str) -> (String, String) {
    let (suffix, line) = match target {
        "ice40" => ("pcf", format!("set_io clk {pin}")),
        "ecp5" => ("lpf", format!("LOCATE COMP \"clk\" SITE \"{pin}\";")),
        "gowin" => ("cst", format!("IO_LOC \"clk\" {pin};")),
        "xc7" | "xcup" => ("xdc", format!("PACKAGE_PIN {pin} ")),
        other => panic!("{name}: there is no target `{other}`"),
    };
    (format!("{name}.{suffix}"), line)
}

struct Board {
    name: String,
    fields: BTreeMap<String, String>,
    resources: BTreeMap<String, u32>,
}

/// Reads the plain YAML of a board file: one `field: value` a line, values on one line.
fn read(path: &Path) -> Board {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = fs::read_to_string(path).expect("a board file is text");
    let mut fields = BTreeMap::new();
    for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("{name}: `{line}` is no field"));
        assert!(key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}: `{key}` is no field name");
        let value = value.trim().trim_matches('"').to_owned();
        assert!(!value.is_empty(), "{name}: `{key}` is empty");
        assert!(fields.insert(key.to_owned(), value).is_none(), "{name}: `{key}` is written twice");
    }
    let resources = fields.get("resources").map(String::as_str).unwrap_or_default();
    let resources = resources.trim_start_matches('{').trim_end_matches('}').split(", ").map(|pair| {
        let (key, n) = pair.split_once(": ").unwrap_or_else(|| panic!("{name}: resources: `{pair}`"));
        (key.to_owned(), n.parse().unwrap_or_else(|_| panic!("{name}: resources: `{pair}` is no number")))
    });
    Board { resources: resources.collect(), name, fields }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(crate::root().join(folder)).expect("the folder exists");
    let mut files: Vec<PathBuf> = entries.map(|e| e.expect("the folder is readable").path()).collect();
    files.sort();
    files
}

fn boards() -> Vec<Board> {
    files("boards").iter().filter(|p| p.extension().is_some_and(|e| e == "yaml")).map(|p| read(p)).collect()
}

/// Text of the constraint file, without comments.
fn pins_text(board: &Board) -> String {
    let file = constraint(&board.fields["target"], &board.name, "").0;
    let text = fs::read_to_string(crate::root().join("constraints").join(&file));
    let text = text.unwrap_or_else(|_| panic!("constraints/{file} is missing"));
    let first = text.lines().next().unwrap_or_default();
    assert!(first.starts_with('#') || first.starts_with("//"), "{file}: the first line is a comment");
    assert!(text.contains("Source: "), "{file}: no source is named");
    let code = text.lines().filter(|l| !l.starts_with('#') && !l.starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_board_file_is_complete() {
    let boards = boards();
    assert!(!boards.is_empty());
    for board in &boards {
        let name = &board.name;
        let known: BTreeSet<&str> = FIELDS.into_iter().chain(["evidence"]).collect();
        let given: BTreeSet<&str> = board.fields.keys().map(String::as_str).collect();
        assert_eq!(given, known, "{name}: fields");
        assert_eq!(board.fields["name"], *name);
        let target = crate::root().join("templates/target").join(&board.fields["target"]);
        assert!(target.is_dir(), "{name}: there is no such target");
        assert!(
            board.fields["clock_mhz"].parse::<u32>().is_ok_and(|f| (1..=1000).contains(&f)),
            "{name}: clock"
        );
        let counts: Vec<&str> = board.resources.keys().map(String::as_str).collect();
        assert_eq!(counts, ["bram_kbit", "dsp", "ff", "lut"], "{name}: resources");
        assert!(board.fields["sources"].starts_with('['), "{name}: sources is a list");
    }
}

#[test]
fn the_clock_is_where_the_board_file_says() {
    for board in boards() {
        let (file, line) = constraint(&board.fields["target"], &board.name, &board.fields["clock_pin"]);
        let text = pins_text(&board);
        let clock = text.lines().find(|l| l.contains(&line) && l.contains("clk"));
        assert!(clock.is_some(), "constraints/{file}: no line with `{line}`");
    }
}

#[test]
fn no_constraint_file_is_left_over() {
    let wanted: BTreeSet<String> =
        boards().iter().map(|b| constraint(&b.fields["target"], &b.name, "").0).collect();
    let there: BTreeSet<String> = files("constraints")
        .iter()
        .filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned()))
        .collect();
    assert_eq!(wanted, there);
}

#[test]
fn no_pin_is_used_twice() {
    for board in boards() {
        let text = pins_text(&board);
        let mut seen = BTreeSet::new();
        let pins: Vec<&str> = text.lines().filter_map(|l| placed(&board.fields["target"], l)).collect();
        assert!(pins.len() > 3, "{}: clock, LEDs and UART", board.name);
        for pin in pins {
            assert!(seen.insert(pin), "{}: pin {pin} is used twice", board.name);
        }
    }
}

/// The pin that a line places something on.
fn placed<'a>(target: &str, line: &'a str) -> Option<&'a str> {
    let word = |after: &str| line.split_once(after).and_then(|(_, rest)| rest.split_whitespace().next());
    match target {
        "ice40" => line.starts_with("set_io ").then(|| line.split_whitespace().last()).flatten(),
        "ecp5" => word("SITE ").map(|p| p.trim_matches(&['"', ';'][..])),
        "gowin" => line.starts_with("IO_LOC ").then(|| line.split_whitespace().nth(2)).flatten(),
        _ => word("PACKAGE_PIN "),
    }
    .map(|p| p.trim_end_matches(';'))
}

#[test]
fn pins_of_amd_parts_exist_on_the_package() {
    let folder = crate::root().join(PINS);
    if !folder.is_dir() {
        eprintln!("skipped: pins_of_amd_parts_exist_on_the_package: {PINS} is not here");
        return;
    }
    for board in boards().iter().filter(|b| b.fields["target"].starts_with("xc")) {
        let part = board.fields["part"].replace("icsg", "csg").replace("-1L", "-1");
        let list = folder.join(format!("{part}.package_pins.csv"));
        let Ok(list) = fs::read_to_string(&list) else {
            eprintln!("skipped: {}: no pin list for {part}", board.name);
            continue;
        };
        let pins: BTreeMap<&str, &str> =
            list.lines().filter_map(|l| Some((l.split(',').next()?, l.rsplit(',').next()?))).collect();
        for pin in pins_text(board).lines().filter_map(|l| placed("xc7", l)) {
            let function = pins.get(pin).unwrap_or_else(|| panic!("{}: {part} has no pin {pin}", board.name));
            assert!(function.starts_with("IO_"), "{}: {pin} is {function}, not for signals", board.name);
        }
        let clock = pins[board.fields["clock_pin"].as_str()];
        assert!(
            clock.contains("MRCC") || clock.contains("SRCC"),
            "{}: {clock} cannot carry a clock",
            board.name
        );
    }
}
