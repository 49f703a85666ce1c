//! The only file that writes to the terminal: results on standard output, everything else on standard error.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use nervure_sim::Toolbox;
use serde_json::{Value, json};

/// Where words go.
pub(crate) struct Console {
    /// One JSON object instead of text.
    pub(crate) json: bool,
    /// Whether outside commands are only shown.
    pub(crate) dry: bool,
    silent: bool,
    bars: MultiProgress,
    commands: Arc<Mutex<Vec<String>>>,
}

/// Something that takes time.
pub(crate) struct Stage<'a> {
    console: &'a Console,
    bar: ProgressBar,
    name: &'static str,
    start: Instant,
}

impl Console {
    /// Bars are shown on a terminal only, and never with `--json` or `--quiet`.
    pub(crate) fn new(json: bool, dry: bool, quiet: bool) -> Self {
        let silent = json || quiet || dry;
        let shown = !silent && std::io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        Self { json, dry, silent, bars, commands: Arc::default() }
    }

    /// Starts tools, or in a dry run remembers what would be started.
    pub(crate) fn toolbox(&self) -> Toolbox {
        if !self.dry {
            return Toolbox::new();
        }
        let commands = self.commands.clone();
        Toolbox::dry(Arc::new(move |line| {
            commands.lock().expect("no panic while it is held").push(line.into());
        }))
    }

    /// Prints what a dry run would have started; `from` (a folder for temporary files) is shown as `to`.
    pub(crate) fn commands(&self, from: &str, to: &str) {
        let commands = self.commands.lock().expect("no panic while it is held");
        let lines: Vec<String> = commands.iter().map(|c| c.replace(from, to)).collect();
        self.result(&json!({"commands": lines}), || lines.join("\n"));
    }

    /// A result: the object with `--json`, else the text.
    pub(crate) fn result(&self, object: &Value, text: impl FnOnce() -> String) {
        let text = if self.json { format!("{object:#}") } else { text() };
        self.print(&text);
    }

    /// Text on standard output. Whoever closes the pipe early wants no more.
    #[expect(clippy::unused_self, reason = "who prints holds a console")]
    pub(crate) fn print(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
    }

    /// A remark on standard error.
    pub(crate) fn note(&self, text: &str) {
        if !self.silent {
            self.bars.suspend(|| self.complain(text));
        }
    }

    /// An error on standard error, whatever the options.
    #[expect(clippy::unused_self, reason = "who prints holds a console")]
    pub(crate) fn complain(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
    }

    /// Begins a stage of `length` parts (0: unknown).
    pub(crate) fn stage(&self, name: &'static str, length: usize) -> Stage<'_> {
        let bar = self.bars.add(ProgressBar::new(length as u64));
        let text = if length == 0 {
            "{spinner} {prefix:10} {elapsed}"
        } else {
            "{spinner} {prefix:10} {elapsed} {wide_bar} {pos}/{len}"
        };
        bar.set_style(ProgressStyle::with_template(text).expect("the template is a constant"));
        bar.set_prefix(name);
        if !self.bars.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Stage { console: self, bar, name, start: Instant::now() }
    }
}

impl Stage<'_> {
    /// Sets how many parts are done.
    pub(crate) fn at(&self, n: usize) {
        self.bar.set_position(n as u64);
    }

    /// Ends the stage, says so, and returns its seconds.
    pub(crate) fn done(self, detail: &str) -> f64 {
        let seconds = self.start.elapsed().as_secs_f64();
        self.bar.finish_and_clear();
        self.console.note(&format!("  {:10} {seconds:6.2} s  {detail}", self.name));
        seconds
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
