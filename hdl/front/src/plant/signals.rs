//! The names that a plant's sums may use, and what they stand for.

use nervure_core::plant::{Factor, Signal, Sum, Term};
use nervure_core::{Diagnostic, Network, Plant, QType, diag};

use super::file;
use crate::suggest;

/// Every signal with its name and format: states, sequences, then outputs of the network, element by element.
pub(super) struct Signals(Vec<(String, Signal, QType)>);

impl Signals {
    /// Errors: `E0104` for an empty name; `E0141` for a name that is taken.
    pub(super) fn new(file: &file::File, network: &Network) -> Result<Self, Diagnostic> {
        let mut all: Vec<(String, Signal, QType)> = Vec::new();
        let states =
            file.states.iter().enumerate().map(|(i, s)| ("states", &s.name, Signal::State(i), s.format));
        let sequences = file.sequences.iter().enumerate();
        let sequences = sequences.map(|(i, s)| ("sequences", &s.name, Signal::Sequence(i), s.format));
        let commands = commands(network);
        for (list, name, signal, format) in states.chain(sequences) {
            let index =
                all.iter().filter(|(_, s, _)| matches!(s, Signal::State(_)) == (list == "states")).count();
            let at = |d: Diagnostic| d.at("name").at(format!("[{index}]")).at(list);
            if name.is_empty() {
                return Err(at(Diagnostic::new("E0104", "`name` is empty", "give it a name")));
            }
            if all.iter().chain(&commands).any(|(other, ..)| other == name) {
                let message = format!("two signals are called `{}`", name.escape_debug());
                let help = "give states and sequences names of their own, other than the network's outputs";
                return Err(at(Diagnostic::new("E0141", message, help)));
            }
            all.push((name.clone(), signal, format));
        }
        all.extend(commands);
        Ok(Self(all))
    }

    /// The term. Errors: `E0140` for a signal that does not exist, or not yet; `E0201` for too many factors.
    pub(super) fn term(&self, t: &file::Term, commands: bool) -> Result<Term, Diagnostic> {
        let names = t.of.as_ref().map_or(&[][..], file::Of::names);
        diag::in_range("of", names.len(), 0..Term::MOST + 1)?;
        let factors = names.iter().map(|name| self.factor(name, commands));
        Ok(Term { gain: t.gain, factors: factors.collect::<Result<_, _>>().map_err(|d| d.at("of"))? })
    }

    fn factor(&self, text: &str, commands: bool) -> Result<Factor, Diagnostic> {
        let inner = text.strip_prefix("abs(").and_then(|t| t.strip_suffix(')'));
        let (name, absolute) = (inner.unwrap_or(text).trim(), inner.is_some());
        let usable = |s: &Signal| commands || !matches!(s, Signal::Command { .. });
        let found = self.0.iter().find(|(n, ..)| n == name);
        if let Some((_, signal, _)) = found.filter(|(_, s, _)| usable(s)) {
            return Ok(Factor { signal: *signal, absolute });
        }
        let names: Vec<&str> =
            self.0.iter().filter(|(_, s, _)| usable(s)).map(|(n, ..)| n.as_str()).collect();
        let message = match found {
            Some(_) => format!("`{}` is not known yet when the network is told", name.escape_debug()),
            None => format!("there is no signal `{}`", name.escape_debug()),
        };
        Err(Diagnostic::new("E0140", message, suggest::help(name, &names, "there are")))
    }

    /// The format of a signal that was found here.
    pub(super) fn format(&self, signal: Signal) -> QType {
        let found = self.0.iter().find(|(_, s, _)| *s == signal);
        found.expect("a signal of this plant").2
    }

    /// Names of the network's answers.
    pub(super) fn commands(&self) -> Vec<&str> {
        let commands = self.0.iter().filter(|(_, s, _)| matches!(s, Signal::Command { .. }));
        commands.map(|(n, ..)| n.as_str()).collect()
    }
}

/// Whether a state reads an answer of the network.
pub(super) fn reads_a_command(plant: &Plant) -> bool {
    let reads = |sum: &Sum| {
        let mut factors = sum.terms.iter().flat_map(|t| &t.factors);
        factors.any(|f| matches!(f.signal, Signal::Command { .. }))
    };
    plant.states.iter().any(|s| reads(&s.next))
}

/// `out` for an output of one element, else `out.0`, `out.1` and so on.
fn commands(network: &Network) -> Vec<(String, Signal, QType)> {
    let mut all = Vec::new();
    for (output, (name, tensor)) in network.outputs.iter().enumerate() {
        let tensor = network.stream(*tensor).tensor;
        for element in 0..tensor.len() {
            let name = if tensor.len() == 1 { name.clone() } else { format!("{name}.{element}") };
            all.push((name, Signal::Command { output, element }, tensor.format));
        }
    }
    all
}
