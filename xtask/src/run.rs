//! Starts cargo, in the root of the repository, with its output going straight to the person.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// One call of cargo.
pub(crate) struct Cargo {
    command: Command,
    shown: String,
}

impl Cargo {
    /// The cargo that started this program.
    pub(crate) fn new<S: AsRef<OsStr>>(args: &[S]) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.current_dir(crate::root());
        Self { command, shown: "cargo".into() }.args(args)
    }

    /// With more arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: &[S]) -> Self {
        for arg in args {
            self.command.arg(arg);
            self.shown = format!("{} {}", self.shown, arg.as_ref().to_string_lossy());
        }
        self
    }

    /// With a variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end. Errors: when it does not exit with 0.
    pub(crate) fn run(mut self) -> Result<()> {
        let status = self.command.status().with_context(|| format!("cannot start `{}`", self.shown))?;
        if !status.success() {
            bail!("`{}` failed ({status})", self.shown);
        }
        Ok(())
    }
}
