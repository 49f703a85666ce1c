//! `nervure verify --reload`: other weights over the register bus while samples pass.

use std::path::Path;

use anyhow::{Result, bail};
use nervure_back::Options;
use nervure_core::{Registry, Samples};
use nervure_sim::cosim::{Subject, reload, samples_to_reload};
use nervure_sim::golden::{self, GoldenOptions};
use nervure_sim::{Bench, Report};
use serde_json::{Value, json};

use crate::compile::Compiled;
use crate::console::Console;

/// What it takes.
pub(super) struct Job<'a> {
    pub(super) bench: Bench<'a>,
    pub(super) compiled: &'a Compiled<'a>,
    pub(super) registry: &'a Registry,
    pub(super) options: &'a Options,
    pub(super) rtl: &'a Path,
}

impl Job<'_> {
    /// Loads the weights of `net`; nothing in a dry run. Samples are repeated until there are enough.
    pub(super) fn reload(
        &self,
        console: &Console,
        (net, set): (&Path, &[(String, String)]),
        samples: &Samples,
        seed: u64,
    ) -> Result<Option<Report>> {
        let design = &self.compiled.design;
        if design.banks().is_empty() {
            bail!("{} has no weights that are written at run time", design.title);
        }
        let other = nervure_front::load(net, self.registry, set)?;
        let other = Compiled::new(other, self.registry, self.compiled.target, self.options)?;
        let samples = samples.repeated(samples_to_reload(design));
        let stage = console.stage("reload", samples.count);
        let answer = |c: &Compiled| golden::run(&c.network, &samples, GoldenOptions::default(), &|_| ());
        let traces = [answer(self.compiled)?, answer(&other)?];
        let subject = Subject { design, network: &self.compiled.network, rtl: self.rtl };
        let report = reload(&self.bench, &subject, &other.design, &samples, [&traces[0], &traces[1]], seed)?;
        stage.done(&format!("{} samples", samples.count));
        Ok(report)
    }
}

/// For the JSON object.
pub(super) fn figures(report: &Report) -> Value {
    json!({"samples": report.samples, "old_answers": report.reloaded_after, "passed": report.passed()})
}

/// What went wrong.
pub(super) fn failures(report: &Report) -> impl Iterator<Item = String> {
    report.failures.iter().map(|f| format!("reload: {f}"))
}

/// For the terminal.
pub(super) fn words(figures: &Value) -> Option<String> {
    let after = figures["old_answers"].as_array()?;
    let after: Vec<String> = after.iter().map(ToString::to_string).collect();
    let count = &figures["samples"];
    Some(format!(
        "weights loaded while {count} samples passed: the first {} with the old ones (at full speed, with stalls)",
        after.join(" and ")
    ))
}
