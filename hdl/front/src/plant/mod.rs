//! Plants: `plant.yaml` and the arrays that it names, held against the network that is to control it.
//!
//! Deliberately absent: what a plant does in a step (see `nervure_sim::plant`).

mod file;
mod signals;

use std::collections::BTreeMap;
use std::path::{Component, Path};

use nervure_core::plant::{PlantState, Sequence, Sum, Tracking};
use nervure_core::{Diagnostic, Network, Plant, QType, Rate, diag};

use crate::explain::{self, Context};
use crate::npz::Npz;
use crate::source::Source;
use crate::yaml::{Kind, Node};
use crate::{document, locate, shape_of, source, suggest, yaml};
use file::File;
use signals::Signals;

/// Most elements of one sequence.
const MAX_ELEMENTS: usize = 1 << 26;
const MORE: &str = "docs/network.md describes plants";

/// A plant, and what it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlantFile {
    /// The plant.
    pub plant: Plant,
    /// Names of the archives beside the file that it reads.
    pub archives: Vec<String>,
}

/// Reads the plant in file `path`, which `network` is to control.
///
/// Errors: one diagnostic with its place: `E0101` to `E0111` for the file and its arrays, `E0140` for a signal that does not
/// exist, `E0141` for two of one name, `E0142` where plant and network do not fit, `E0201` and `E0205` to `E0207` for
/// numbers.
pub fn plant(path: &Path, network: &Network) -> Result<PlantFile, Diagnostic> {
    let source = source::read(path)?;
    let root = yaml::parse(&source.text, &source.shown)?;
    build(&root, &source, network).map_err(|d| locate::place(d, &root, &source.shown))
}

fn build(root: &Node, source: &Source, network: &Network) -> Result<PlantFile, Diagnostic> {
    if !matches!(root.kind, Kind::Map(_)) {
        let message = format!("a plant file is a mapping of fields, and this is {}", root.describe());
        return Err(Diagnostic::new("E0104", message, format!("start with `nervure: 1`; {MORE}")));
    }
    document::version(root)?;
    let params = root.json();
    let skeleton = explain::skeleton(&params);
    let schema = schemars::schema_for!(File).to_value();
    let cx = Context { owner: "a plant", params: &skeleton, schema: &schema, also: &[], more: MORE };
    let file: File = explain::decode(params, &cx)?;
    diag::in_range("rate_hz", file.rate_hz as usize, 1..1_000_000_001)?;
    each_step(network)?;
    let signals = Signals::new(&file, network)?;
    let (sequences, archives) = sequences(&file, source)?;
    let Some((episodes, steps)) = sequences.first().map(|s| s.1) else {
        let message = "the plant has no sequence, whose shape tells how many episodes and steps there are";
        return Err(Diagnostic::new("E0104", message, "give it one, such as a set-point").at("sequences"));
    };
    let states = file.states.iter().map(|s| state(s, &signals).map_err(|d| d.at(&s.name).at("states")));
    let plant = Plant {
        name: file.name.clone(),
        rate_hz: file.rate_hz,
        episodes,
        steps,
        states: states.collect::<Result<_, _>>()?,
        sequences: sequences.into_iter().map(|(s, _)| s).collect(),
        senses: senses(&file, &signals, network).map_err(|d| d.at("senses"))?,
        tracking: tracking(&file).map_err(|d| d.at("tracking"))?,
    };
    if !signals::reads_a_command(&plant) {
        let outputs: Vec<&str> = signals.commands();
        let help = suggest::help("", &outputs, "the network answers with");
        let message = "no state reads an output of the network: nothing is controlled";
        return Err(Diagnostic::new("E0142", message, help).at("states"));
    }
    Ok(PlantFile { plant, archives })
}

/// Errors: `E0142` for a tensor of the network that passes once a frame, or as events.
fn each_step(network: &Network) -> Result<(), Diagnostic> {
    let inputs = network.inputs.iter().map(|i| (&i.name, i.tensor.rate));
    let outputs = network.outputs.iter().map(|(n, r)| (n, network.stream(*r).tensor.rate));
    let other = inputs.chain(outputs).find(|(_, rate)| *rate != Rate::Step);
    other.map_or(Ok(()), |(name, rate)| {
        let (passes, moves) = match rate {
            Rate::Frame => ("once a sample", "moves every step"),
            Rate::Step | Rate::Event => ("as events", "knows numbers"),
        };
        let message = format!("`{name}` of the network passes {passes}, and a plant {moves}");
        let help = "control with a network whose inputs and outputs all pass once a step, as numbers";
        Err(Diagnostic::new("E0142", message, help))
    })
}

type Shaped = (Sequence, (usize, usize));

/// Every sequence with its shape, and the archives that were opened.
fn sequences(file: &File, source: &Source) -> Result<(Vec<Shaped>, Vec<String>), Diagnostic> {
    let mut open = BTreeMap::new();
    let mut all: Vec<Shaped> = Vec::new();
    for s in &file.sequences {
        let first = all.first().map(|(s, shape)| (s.name.as_str(), *shape));
        all.push(sequence(s, first, source, &mut open).map_err(|d| d.at(&s.name).at("sequences"))?);
    }
    Ok((all, open.into_keys().collect()))
}

fn sequence(
    s: &file::Sequence,
    first: Option<(&str, (usize, usize))>,
    source: &Source,
    open: &mut BTreeMap<String, Npz>,
) -> Result<Shaped, Diagnostic> {
    let place = s.array.split_once(".npz:").filter(|(stem, key)| !stem.is_empty() && !key.is_empty());
    let Some((stem, key)) = place else {
        let message = format!("`array` is `{}`, expected `FILE.npz:ARRAY`", s.array.escape_debug());
        return Err(Diagnostic::new("E0104", message, "write `array: plant.npz:target`").at("array"));
    };
    let name = format!("{stem}.npz");
    let parts: Vec<Component> = Path::new(&name).components().collect();
    if !matches!(parts[..], [Component::Normal(_)]) {
        let message = format!("`{}` does not lie beside the plant file", name.escape_debug());
        let help = "put the archive into the folder of the plant file, and write its name alone";
        return Err(Diagnostic::new("E0105", message, help).at("array"));
    }
    if !open.contains_key(&name) {
        let npz = Npz::open(&source.folder.join(&name), &name).map_err(|d| d.at("array"))?;
        open.insert(name.clone(), npz);
    }
    let npz = open.get_mut(&name).expect("it was opened above");
    let array = npz.read(key, MAX_ELEMENTS).map_err(|d| d.at("array"))?;
    let shape = |expected: String| {
        let message = format!("`{}` has shape {:?}, expected {expected}", array.name, array.shape);
        let help =
            "a sequence is `[episodes, steps]`, the same for every sequence, with at least one of each";
        Diagnostic::new("E0205", message, help).at("array")
    };
    let own = match array.shape[..] {
        [episodes, steps] if episodes > 0 && steps > 0 => (episodes, steps),
        _ => return Err(shape("[episodes, steps]".to_owned())),
    };
    if let Some((other, (episodes, steps))) = first.filter(|(_, shape)| *shape != own) {
        return Err(shape(format!("[{episodes}, {steps}], as `{other}` has")));
    }
    let values = array.integers().map_err(|d| d.at("array"))?;
    if let Some(at) = values.iter().position(|v| !s.format.contains(*v)) {
        let place = shape_of::position(at, &array.shape, false);
        let message = format!(
            "`{}` is {} in episode {}, step {}: outside {}",
            array.name, values[at], place[0], place[1], s.format
        );
        return Err(Diagnostic::new("E0206", message, "widen the format, or limit the values").at("format"));
    }
    Ok((Sequence { name: s.name.clone(), format: s.format, values }, own))
}

fn state(s: &file::State, signals: &Signals) -> Result<PlantState, Diagnostic> {
    if !s.format.contains(s.start) {
        let message = format!(
            "`start` is {}, outside {} ({} to {})",
            s.start,
            s.format,
            s.format.min(),
            s.format.max()
        );
        return Err(Diagnostic::new("E0206", message, "start within the format, or widen it").at("start"));
    }
    let next = sum(&s.next, signals, true).map_err(|d| d.at("next"))?;
    Ok(PlantState { name: s.name.clone(), format: s.format, start: s.start, next })
}

fn sum(s: &file::Sum, signals: &Signals, commands: bool) -> Result<Sum, Diagnostic> {
    diag::in_range("shift", s.shift as usize, 0..Sum::MOST_SHIFT as usize + 1)?;
    let term = |(i, t): (usize, &file::Term)| {
        signals.term(t, commands).map_err(|d| d.at(format!("[{i}]")).at("terms"))
    };
    let terms = s.terms.iter().enumerate().map(term).collect::<Result<_, _>>()?;
    let sum = Sum { terms, shift: s.shift, rounding: s.rounding };
    let size = |q: QType| q.max().max(-q.min());
    if sum.magnitude(|signal| size(signals.format(signal))).is_none() {
        let message = "the sum could need more than 126 bits before its division";
        let help = "use smaller gains, fewer factors, or narrower formats of the signals";
        return Err(Diagnostic::new("E0207", message, help).at("terms"));
    }
    Ok(sum)
}

/// Per input of the network its elements. Errors: also `E0142` for another number of them, or of inputs.
fn senses(file: &File, signals: &Signals, network: &Network) -> Result<Vec<Vec<Sum>>, Diagnostic> {
    let names: Vec<&str> = network.inputs.iter().map(|i| i.name.as_str()).collect();
    if let Some(name) = file.senses.keys().find(|n| !names.contains(&n.as_str())) {
        let message = format!("the network has no input `{}`", name.escape_debug());
        let help = suggest::help(name, &names, "its inputs are");
        return Err(Diagnostic::new("E0142", message, help).at(name.clone()));
    }
    let elements = |input: &nervure_core::InputPort| {
        let (name, len) = (&input.name, input.tensor.len());
        let list = file.senses.get(name).map_or(&[][..], Vec::as_slice);
        if list.len() != len {
            let message = format!(
                "input `{}` of the network has {len} elements, and the plant tells {}",
                name.escape_debug(),
                list.len()
            );
            let help = format!("list {len} sums below `{}`", name.escape_debug());
            return Err(Diagnostic::new("E0142", message, help).at(name.clone()));
        }
        let each = list.iter().enumerate();
        each.map(|(i, s)| sum(s, signals, false).map_err(|d| d.at(format!("[{i}]")).at(name.clone())))
            .collect()
    };
    network.inputs.iter().map(elements).collect()
}

/// Errors: `E0140` for a name that is no state or no sequence; `E0203` for formats that do not compare.
fn tracking(file: &File) -> Result<Option<Tracking>, Diagnostic> {
    let Some(t) = &file.tracking else { return Ok(None) };
    let find = |field: &str, name: &str, names: Vec<&str>, what: &str| {
        names.iter().position(|n| *n == name).ok_or_else(|| {
            let message = format!("the plant has no {what} `{}`", name.escape_debug());
            Diagnostic::new("E0140", message, suggest::help(name, &names, "there are")).at(field)
        })
    };
    let states = || file.states.iter().map(|s| s.name.as_str()).collect();
    let sequences = || file.sequences.iter().map(|s| s.name.as_str()).collect();
    let state = find("state", &t.state, states(), "state")?;
    let target = find("target", &t.target, sequences(), "sequence")?;
    let disturbances = t.disturbances.iter().map(|d| find("disturbances", d, sequences(), "sequence"));
    let disturbances = disturbances.collect::<Result<_, _>>()?;
    if t.band < 0 {
        let message = format!("`band` is {}, expected 0 or more", t.band);
        return Err(Diagnostic::new("E0201", message, "choose a distance that counts as settled").at("band"));
    }
    let (fine, coarse) = (file.states[state].format, file.sequences[target].format);
    let shift = u32::try_from(i32::from(fine.frac) - i32::from(coarse.frac)).ok();
    let Some(shift) = shift.filter(|n| u32::from(coarse.bits) + n < 63) else {
        let message = format!("`{}` is {coarse}, which cannot be compared with {fine}", t.target);
        let help =
            "give the target a fraction of at most that of the state, and at most 62 bits at that fraction";
        return Err(Diagnostic::new("E0203", message, help).at("target"));
    };
    Ok(Some(Tracking { state, target, shift, disturbances, band: t.band }))
}
