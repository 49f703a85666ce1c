//! A simulation in turns: what goes in is made from what came out, over a pipe.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::run::parse;
use super::{Model, Outcome, RunOptions, Stimulus};
use crate::tool::{Call, Toolbox};

/// What passes in turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turns {
    /// Number of turns.
    pub count: usize,
    /// Beats of a turn, per input.
    pub inputs: Vec<usize>,
    /// Beats of the answer, per output.
    pub outputs: Vec<usize>,
}

/// The other side: the turn's number, the words of the answer to the turn before, and room for the words of this one.
pub type Other<'a> = dyn FnMut(usize, &[u32], &mut Vec<u32>) + 'a;

/// Simulates in folder `rtl`, `None` in a dry run. `turn(n, answer, words)` hears the answer to turn `n - 1`, the words of one
/// output after the other (none before the first turn), and appends the words of every input in turn `n`; what it
/// appends after the last turn is dropped. Of `stimulus` only the sizes count.
///
/// In the outcome, `first` of an input is the cycle of the first beat of each turn.
pub fn run_in_turns(
    toolbox: &Toolbox,
    model: &Model,
    rtl: &Path,
    stimulus: &Stimulus,
    turns: &Turns,
    options: &RunOptions,
    turn: &mut Other,
) -> Result<Option<Outcome>> {
    let scratch = tempfile::tempdir()?;
    let result = scratch.path().join("result.bin");
    let mut args = options.args(stimulus, model.inputs.iter().map(|p| p.words));
    args.push(format!("turns={}", turns.count));
    args.extend(turns.inputs.iter().enumerate().map(|(i, beats)| format!("turn{i}={beats}")));
    args.extend(turns.outputs.iter().enumerate().map(|(i, beats)| format!("reply{i}={beats}")));
    let call = Call::new(&model.program).arg("-").arg(&result).args(args).within(rtl);
    let Some(mut child) = toolbox.start(&call)? else { return Ok(None) };
    let mut to = child.stdin.take().context("the simulation has no standard input")?;
    let mut from = child.stdout.take().context("the simulation has no standard output")?;
    let mut answer = Vec::new();
    let len = model.outputs.iter().zip(&turns.outputs).map(|(p, beats)| p.words * beats).sum::<usize>();
    for n in 0..=turns.count {
        let mut words = Vec::new();
        turn(n, &answer, &mut words);
        if n == turns.count || !(send(&mut to, &words)? && receive(&mut from, len, &mut answer)?) {
            break;
        }
    }
    drop(to);
    let out = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success() && said.is_empty(), "the simulation complains:\n{said}");
    parse(&std::fs::read(&result)?, model).map(Some)
}

/// Whether somebody took them: a simulation that has failed does not.
fn send(to: &mut impl Write, words: &[u32]) -> Result<bool> {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    match to.write_all(&bytes).and_then(|()| to.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(e).context("cannot write to the simulation"),
    }
}

/// Whether there was an answer: a simulation that has failed gives none.
fn receive(from: &mut impl Read, len: usize, words: &mut Vec<u32>) -> Result<bool> {
    let mut bytes = vec![0; 4 * len];
    match from.read_exact(&mut bytes) {
        Ok(()) => {
            let word = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            *words = bytes.chunks_exact(4).map(word).collect();
            Ok(true)
        }
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e).context("cannot read from the simulation"),
    }
}
