//! What the verbs do with a plant: read it, close the loop, say what came out.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nervure_core::Network;
use nervure_front::PlantFile;
use nervure_sim::cosim::{self, Closed, ClosedOptions, Loop};
use nervure_sim::golden::Trace;
use nervure_sim::plant::{self, Recording, Tracked};
use nervure_sim::{Bench, Deadlock, Subject, predict_steps};
use serde_json::{Value, json};

use crate::compile::Compiled;
use crate::figures::rounded;
use crate::folder::Aside;
use crate::table::thousands;

/// A plant, and its loop with the golden model.
pub(super) struct Closing {
    path: PathBuf,
    file: PlantFile,
    /// Every episode.
    pub(super) recording: Recording,
}

impl Closing {
    /// The plant that was named, or the one beside the network where no samples were named. Errors: those of the file.
    pub(super) fn find(
        named: Option<&Path>,
        samples: Option<&Path>,
        network_file: &Path,
        network: &Network,
    ) -> Result<Option<Self>> {
        let folder = if network_file.is_dir() { Some(network_file) } else { network_file.parent() };
        let beside = folder.unwrap_or(Path::new("")).join("plant.yaml");
        let path = match named {
            Some(path) => path.to_owned(),
            None if samples.is_none() && beside.is_file() => beside,
            None => return Ok(None),
        };
        let file = nervure_front::plant(&path, network)?;
        let recording = plant::close(network, &file.plant, file.plant.episodes, &|_| ())?;
        Ok(Some(Self { path, file, recording }))
    }

    /// Copies plant and archives to where `verify` looks for them.
    pub(super) fn write(&self, aside: &Aside) -> Result<()> {
        let read =
            |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        aside.write("sim/plant.yaml", &read(&self.path)?)?;
        for name in &self.file.archives {
            aside.write(&format!("sim/{name}"), &read(&self.path.with_file_name(name))?)?;
        }
        Ok(())
    }

    /// Closes the loop around the hardware, for as many episodes as `trace` has; `None` in a dry run.
    pub(super) fn verify(
        &self,
        bench: &Bench,
        compiled: &Compiled,
        rtl: &Path,
        trace: &Trace,
        seed: u64,
    ) -> Result<Option<Closed>> {
        let plant = &self.file.plant;
        let recording = self.recording.take(trace.count);
        let predicted = match predict_steps(&compiled.optimised, &compiled.design, &recording.samples) {
            Ok(cycles) => Some(cycles),
            // The hardware will wait, too, and the co-simulation says where.
            Err(e) if e.is::<Deadlock>() => None,
            Err(e) => return Err(e),
        };
        let deadline = plant.deadline(compiled.design.clock_mhz);
        let options = ClosedOptions { seed, ..ClosedOptions::new(deadline, predicted) };
        let subject = Subject { design: &compiled.design, network: &compiled.network, rtl };
        cosim::close(bench, &subject, &Loop { plant, recording: &recording, trace }, &options)
    }

    /// The plant's states, for whoever draws them.
    pub(super) fn arrays(&self) -> impl Iterator<Item = (String, Vec<usize>, Vec<i64>)> {
        let shape = vec![self.recording.samples.count, self.recording.samples.steps];
        let states = self.file.plant.states.iter().zip(&self.recording.states);
        states.map(move |(s, values)| (s.name.clone(), shape.clone(), values.clone()))
    }

    /// The loop without hardware.
    pub(super) fn figures(&self, recording: &Recording) -> Value {
        let plant = &self.file.plant;
        let mut value = json!({"plant": plant.name, "rate_hz": plant.rate_hz, "episodes": recording.samples.count,
            "steps": recording.samples.steps});
        if let Some(tracked) = plant::track(plant, recording) {
            value["tracking"] = self.tracking(&tracked);
        }
        value
    }

    /// In the units of the state's format, and in seconds.
    fn tracking(&self, t: &Tracked) -> Value {
        let plant = &self.file.plant;
        let tracking = plant.tracking.as_ref().expect("it was tracked");
        let state = &plant.states[tracking.state];
        let lsb = f64::from(-i32::from(state.format.frac)).exp2();
        let real = |v: i64| (v as f64 * lsb * 1e6).round() / 1e6;
        let seconds = |steps: usize| rounded(steps as f64 / f64::from(plant.rate_hz));
        let rms = (t.squares as f64 / t.count.max(1) as f64).sqrt() * lsb;
        let settled = t.changes.iter().filter_map(|c| c.steps);
        let first = t.changes.iter().filter(|c| c.episode == 0).map(|c| {
            json!({"at_s": seconds(c.step), "change": real(c.change), "settling_s": c.steps.map(seconds),
                "overshoot": real(c.overshoot)})
        });
        json!({
            "state": state.name, "band": real(tracking.band), "rms_error": (rms * 1e6).round() / 1e6,
            "changes": t.changes.len(), "settled": settled.clone().count(),
            "settling_s_worst": settled.max().map(seconds),
            "overshoot_worst": t.changes.iter().map(|c| c.overshoot).max().map(real),
            "first_episode": first.collect::<Vec<_>>(),
        })
    }

    /// The loop, and what the hardware did in it.
    pub(super) fn checked(&self, recording: &Recording, closed: Option<&Closed>) -> Value {
        let mut value = self.figures(recording);
        let Some(c) = closed else { return value };
        let mean = c.report.cycles_measured as f64 / c.report.sample_cycles.len().max(1) as f64;
        let worst = c.worst.map_or(0, |(_, _, cycles)| cycles);
        let more = json!({
            "passed": c.passed(), "verified_episodes": c.report.samples, "mismatches": c.report.mismatches,
            "cycles_predicted": c.report.cycles_predicted, "cycles_measured": c.report.cycles_measured,
            "cycle_mismatches": c.report.cycle_mismatches, "cycles_per_step_mean": rounded(mean),
            "cycles_per_step_worst": worst,
            "worst": c.worst.map(|(episode, step, _)| json!({"episode": episode, "step": step})),
            "deadline_cycles": c.deadline, "margin_cycles": c.deadline as i128 - i128::from(worst),
            "missed": c.missed,
            "first": c.report.first.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "failures": c.report.failures.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
            value.extend(more);
        }
        value
    }
}

/// What is wrong with the loop around the hardware, one line each.
pub(super) fn failures(c: &Closed) -> Vec<String> {
    let mut lines = Vec::new();
    if c.report.mismatches > 0 || !c.report.failures.is_empty() || c.diverged.is_some() {
        let place = c.diverged.map_or(String::new(), |(e, s)| format!(" from episode {e}, step {s} on"));
        lines.push(format!("closed loop: the hardware leaves the trajectory of the golden model{place}"));
    }
    if let Some((n, p, m)) = c.report.first_cycle_mismatch {
        let (p, m, wrong) = (p.count(), m.count(), c.report.cycle_mismatches);
        lines.push(format!(
            "closed loop: {wrong} steps take other cycles than predicted, first step {n}: {m} instead of {p}"
        ));
    } else if c.report.cycle_mismatches > 0 {
        lines.push(format!("closed loop: {} steps were not answered", c.report.cycle_mismatches));
    }
    if let Some((episode, step, cycles)) = c.worst.filter(|_| c.missed > 0) {
        lines.push(format!(
            "closed loop: {} steps miss the deadline of {} cycles; the worst, step {step} of episode {episode}, takes {}",
            thousands(c.missed as u64),
            thousands(c.deadline),
            thousands(cycles)
        ));
    }
    lines
}

/// The loop in words; nothing where there is none.
pub(super) fn words(m: &Value) -> Vec<String> {
    if !m.is_object() {
        return Vec::new();
    }
    let n = |key: &str| thousands(m[key].as_u64().unwrap_or(0));
    let mut lines = vec![format!(
        "plant {}: {} episodes of {} steps, {} a second",
        m["plant"].as_str().unwrap_or_default(),
        n("episodes"),
        n("steps"),
        n("rate_hz")
    )];
    let t = &m["tracking"];
    if t.is_object() {
        lines.push(format!(
            "{}: RMS error {}, {} of {} changes settled within {} in at most {} s, overshoot at most {}",
            t["state"].as_str().unwrap_or_default(),
            t["rms_error"],
            t["settled"],
            t["changes"],
            t["band"],
            t["settling_s_worst"],
            t["overshoot_worst"]
        ));
    }
    if m["deadline_cycles"].is_u64() {
        lines.push(format!(
            "closed loop: {} mismatches, at most {} cycles a step of {} (margin {}), {} missed",
            n("mismatches"),
            n("cycles_per_step_worst"),
            n("deadline_cycles"),
            m["margin_cycles"],
            n("missed")
        ));
    }
    lines
}
