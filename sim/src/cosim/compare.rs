//! One simulation's beats held against the golden model's.

use nervure_core::{Design, Network, Stream};

use super::pack::unpack;
use super::report::{Failure, Fault, Mismatch, Pass, Report, SampleCycles, Waiting};
use crate::golden::Trace;
use crate::verilate::{Model, Outcome, Status, Stimulus, total};

/// Mismatches that are reported one by one.
const SHOWN: usize = 10;

/// What one pass is held against.
pub(super) struct Reference<'a> {
    pub(super) design: &'a Design,
    pub(super) network: &'a Network,
    pub(super) trace: &'a Trace,
    pub(super) model: &'a Model,
    /// Beats per output, as many samples as the pass has.
    pub(super) expected: &'a [Vec<u32>],
}

impl Reference<'_> {
    /// Adds what `outcome` shows to `report`.
    pub(super) fn check(&self, pass: Pass, stimulus: &Stimulus, outcome: &Outcome, report: &mut Report) {
        report.cycles_simulated += outcome.cycles;
        for violation in &outcome.violations {
            report.failures.push(Failure::Protocol { pass, violation: violation.clone() });
        }
        match outcome.status {
            // A flood shows as beats too many, below.
            Status::Done | Status::Flood => {}
            Status::TooLong => report.failures.push(Failure::TooLong { pass, cycle: outcome.cycles }),
            Status::Deadlock => {
                let streams = self.waiting(stimulus, outcome);
                report.failures.push(Failure::Deadlock { pass, cycle: outcome.cycles, streams });
            }
        }
        for (n, (taken, port)) in outcome.outputs.iter().zip(&self.model.outputs).enumerate() {
            let wanted = total(&stimulus.expected[n]);
            if taken.beats > wanted {
                let (stream, beats) = (port.prefix.clone(), taken.beats - wanted);
                report.failures.push(Failure::Extra { pass, stream, beats });
            }
            self.check_output(pass, n, &stimulus.expected[n], outcome, report);
        }
    }

    fn waiting(&self, stimulus: &Stimulus, outcome: &Outcome) -> Vec<Waiting> {
        let inputs = outcome.inputs.iter().zip(&self.model.inputs).zip(&stimulus.inputs).map(
            |((s, p), (words, _))| {
                let of = (words.len() / p.words) as u64;
                Waiting { stream: p.prefix.clone(), beats: s.beats, of, valid: s.valid, ready: s.ready }
            },
        );
        let outputs =
            outcome.outputs.iter().zip(&self.model.outputs).zip(&stimulus.expected).map(|((s, p), sizes)| {
                Waiting {
                    stream: p.prefix.clone(),
                    beats: s.beats,
                    of: total(sizes),
                    valid: s.valid,
                    ready: s.ready,
                }
            });
        inputs.chain(outputs).collect()
    }

    fn check_output(&self, pass: Pass, n: usize, sizes: &[u32], outcome: &Outcome, report: &mut Report) {
        let (stream, taken) = (&self.design.outputs[n], &outcome.outputs[n]);
        let words = self.model.outputs[n].words;
        let (name, tensor) = &self.network.outputs[n];
        let beats =
            sizes.iter().enumerate().flat_map(|(s, &size)| (0..size).map(move |b| (s, b, b + 1 == size)));
        let pairs = self.expected[n].chunks_exact(words).zip(taken.words.chunks_exact(words));
        for (at, ((sample, beat, last), (want, got))) in beats.zip(pairs).enumerate() {
            if want == got && taken.last[at] == last {
                continue;
            }
            let (step, beat) = self.place(n, sample, beat as usize);
            let first = if stream.events { 0 } else { beat * stream.lanes };
            let mut add = |element: usize, fault: Fault| {
                report.mismatches += 1;
                if report.first.len() < SHOWN {
                    let element = multi_index(element, &stream.tensor.shape);
                    let layer = self.network.tensor_name(*tensor).to_owned();
                    let (output, cycle) = (name.clone(), taken.cycles[at]);
                    report.first.push(Mismatch { pass, output, layer, element, sample, step, cycle, fault });
                }
            };
            if stream.events {
                if want != got {
                    let [expected, got] = [want[0], got[0]].map(|beat| address(beat, stream));
                    let fault = if expected == got { Fault::Padding } else { Fault::Event { expected, got } };
                    add(expected.unwrap_or(first), fault);
                }
            } else {
                let mut wrong = false;
                for lane in 0..stream.lanes.min(stream.tensor.len() - first) {
                    let (expected, got) = (unpack(want, stream, lane), unpack(got, stream, lane));
                    if expected != got {
                        wrong = true;
                        add(first + lane, Fault::Value { expected, got });
                    }
                }
                if want != got && !wrong {
                    add(first, Fault::Padding);
                }
            }
            if taken.last[at] != last {
                add(first, Fault::Last { expected: last });
            }
        }
    }

    /// Step of a beat of a sample, and its number in that step.
    fn place(&self, n: usize, sample: usize, mut beat: usize) -> (usize, usize) {
        let (stream, recorded) = (&self.design.outputs[n], &self.trace.outputs[n]);
        if !stream.events {
            return (beat / stream.beats(), beat % stream.beats());
        }
        let mut values = vec![0; stream.tensor.len()];
        for step in 0..recorded.frames {
            recorded.get(sample, step, &mut values);
            match beat.checked_sub(stream.beats_of(&values)) {
                Some(rest) => beat = rest,
                None => return (step, beat),
            }
        }
        unreachable!("a sample has no beat behind its last step")
    }

    /// First and last cycle of every sample that finished.
    pub(super) fn cycles(&self, stimulus: &Stimulus, outcome: &Outcome) -> Vec<SampleCycles> {
        let mut ends = vec![0; stimulus.expected.len()];
        let mut finish = |sample: usize| {
            for (end, sizes) in ends.iter_mut().zip(&stimulus.expected) {
                *end += *sizes.get(sample)? as usize;
            }
            let cycles = ends.iter().zip(&outcome.outputs).map(|(end, t)| t.cycles.get(end - 1));
            cycles.max_by_key(|c| (c.is_none(), *c))?
        };
        let start = |sample: usize| outcome.inputs.iter().filter_map(|i| i.first.get(sample)).min();
        let of = |sample| Some(SampleCycles { finish: *finish(sample)?, start: *start(sample)? });
        (0..self.trace.count).map_while(of).collect()
    }
}

/// The address in a beat, or nothing for the end of a step.
fn address(beat: u32, stream: &Stream) -> Option<usize> {
    let end = 1usize << stream.address_bits();
    (beat as usize & end == 0).then_some(beat as usize & (end - 1))
}

fn multi_index(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = shape.iter().rev().map(|n| (flat % n, flat /= n).0).collect();
    index.reverse();
    index
}
