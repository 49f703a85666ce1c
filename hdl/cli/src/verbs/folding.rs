//! `--fit` and `--cycles` of `nervure build`: a plan, which a synthesis may correct.

use std::path::Path;

use anyhow::Result;
use nervure_back::Options;
use nervure_core::{Registry, Target};
use nervure_sim::Toolbox;
use nervure_sim::synth::synth;

use super::build::input;
use crate::args::BuildArgs;
use crate::compile::Compiled;
use crate::console::Console;
use crate::embedded::Board;
use crate::figures;
use crate::plan::{Goal, Plan, Planner};

/// What it takes to choose a folding.
pub(super) struct Folding<'a> {
    pub(super) console: &'a Console,
    pub(super) toolbox: &'a Toolbox,
    pub(super) args: &'a BuildArgs,
    pub(super) registry: &'a Registry,
    pub(super) file: &'a Path,
}

/// Times that a synthesis may correct the estimates of a plan.
const TRIES: usize = 3;

impl Folding<'_> {
    /// A plan, where one was asked for; for a board, Yosys has the last word on what fits.
    pub(super) fn plan(
        &self,
        board: Option<&Board>,
        target: &Target,
        options: &Options,
    ) -> Result<Option<Plan>> {
        let args = self.args;
        if args.fit.is_none() && args.cycles.is_none() {
            return Ok(None);
        }
        let stage = self.console.stage("plan", 0);
        let room = args.fit.as_ref().and(board).map(|b| b.resources.clone());
        let goal = Goal { room, cycles: args.cycles.map(f64::from) };
        let load = |set: &[(String, String)]| -> Result<Compiled> {
            let network = nervure_front::load(self.file, self.registry, set)?;
            Ok(Compiled::new(network, self.registry, target, options)?)
        };
        let samples = input(args, self.file, &load(&args.set)?)?.samples;
        let mut planner = Planner::new(self.registry, target, options, self.file, &args.set, &samples)?;
        let mut plan = planner.plan(&goal);
        let checked = args.fit.is_some() && !args.no_synth && !self.console.dry;
        for _ in 0..if checked { TRIES } else { 0 } {
            let set: Vec<_> = args.set.iter().chain(&plan.set).cloned().collect();
            let (compiled, folder) = (load(&set)?, tempfile::tempdir()?);
            for file in compiled.files(self.registry) {
                let path = folder.path().join(&file.path);
                std::fs::create_dir_all(path.parent().expect("files lie in rtl/"))?;
                std::fs::write(path, file.text)?;
            }
            let rtl = folder.path().join("rtl");
            let made = synth(self.toolbox, &rtl, &compiled.design.name, target, "")?;
            let (Some(made), Some(board)) = (made, board) else { break };
            let used = figures::utilisation(&made, board, target.block_ram_bits);
            let Some((what, n, of)) = used.into_iter().find(|(_, n, of)| n > of) else { break };
            planner.learn(&plan, &made);
            plan = planner.plan(&goal);
            let note = format!("a first plan took {n:.0} of {of:.0} {what} in Yosys; estimates were raised");
            plan.why.insert(0, note);
        }
        stage.done(&format!("{} steps, {:.0} cycles", plan.why.len(), plan.interval_cycles));
        Ok(Some(plan))
    }
}
