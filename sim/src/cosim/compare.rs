//! One simulation's beats held against the golden model's.

use nervure_core::{Design, Network};

use super::pack::unpack;
use super::report::{Failure, Fault, Mismatch, Pass, Report, SampleCycles, Waiting};
use crate::golden::Trace;
use crate::verilate::{Model, Outcome, Status, Stimulus};

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
            let wanted = stimulus.expected[n].0 as u64;
            if taken.beats > wanted {
                let (stream, beats) = (port.prefix.clone(), taken.beats - wanted);
                report.failures.push(Failure::Extra { pass, stream, beats });
            }
            self.check_output(pass, n, outcome, report);
        }
    }

    fn waiting(&self, stimulus: &Stimulus, outcome: &Outcome) -> Vec<Waiting> {
        let inputs = outcome.inputs.iter().zip(&self.model.inputs).zip(&stimulus.inputs).map(
            |((s, p), (words, _))| {
                let of = (words.len() / p.words) as u64;
                Waiting { stream: p.prefix.clone(), beats: s.beats, of, valid: s.valid, ready: s.ready }
            },
        );
        let outputs = outcome.outputs.iter().zip(&self.model.outputs).zip(&stimulus.expected).map(
            |((s, p), &(of, _))| Waiting {
                stream: p.prefix.clone(),
                beats: s.beats,
                of: of as u64,
                valid: s.valid,
                ready: s.ready,
            },
        );
        inputs.chain(outputs).collect()
    }

    fn check_output(&self, pass: Pass, n: usize, outcome: &Outcome, report: &mut Report) {
        let (stream, taken) = (&self.design.outputs[n], &outcome.outputs[n]);
        let (words, recorded) = (self.model.outputs[n].words, &self.trace.outputs[n]);
        let (beats, frames) = (stream.beats(), recorded.frames);
        let (name, tensor) = &self.network.outputs[n];
        let pairs = self.expected[n].chunks_exact(words).zip(taken.words.chunks_exact(words)).enumerate();
        for (at, (want, got)) in pairs {
            let last = (at + 1).is_multiple_of(beats * frames);
            if want == got && taken.last[at] == last {
                continue;
            }
            let (beat, step, sample) = (at % beats, at / beats % frames, at / beats / frames);
            let first = beat * stream.lanes;
            let mut add = |element: usize, fault: Fault| {
                report.mismatches += 1;
                if report.first.len() < SHOWN {
                    let element = multi_index(element, &stream.tensor.shape);
                    let layer = self.network.tensor_name(*tensor).to_owned();
                    let (output, cycle) = (name.clone(), taken.cycles[at]);
                    report.first.push(Mismatch { pass, output, layer, element, sample, step, cycle, fault });
                }
            };
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
            if taken.last[at] != last {
                add(first, Fault::Last { expected: last });
            }
        }
    }

    /// First and last cycle of every sample that finished.
    pub(super) fn cycles(&self, outcome: &Outcome) -> Vec<SampleCycles> {
        let finish = |sample: usize| {
            let ends = self.design.outputs.iter().zip(&self.trace.outputs).zip(&outcome.outputs);
            ends.map(|((s, r), t)| t.cycles.get((sample + 1) * s.beats() * r.frames - 1))
                .max_by_key(|c| (c.is_none(), *c))?
        };
        let start = |sample: usize| outcome.inputs.iter().filter_map(|i| i.first.get(sample)).min();
        let of = |sample| Some(SampleCycles { start: *start(sample)?, finish: *finish(sample)? });
        (0..self.trace.count).map_while(of).collect()
    }
}

fn multi_index(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = shape.iter().rev().map(|n| (flat % n, flat /= n).0).collect();
    index.reverse();
    index
}
