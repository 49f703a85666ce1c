//! Outside programs: where they are, which version, and the one place that starts them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};

/// A program that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Name, such as `verilator`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// First line of what it says of its version.
    pub version: String,
}

/// A program that is not installed. The command line exits with 2 on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingTool {
    /// Name, such as `verilator`.
    pub name: String,
    /// Debian package that has it, where there is one.
    pub package: Option<&'static str>,
}

impl fmt::Display for MissingTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not installed; ", self.name)?;
        match self.package {
            Some(package) => write!(f, "`apt-get install {package}` brings it"),
            None => write!(f, "install it and put it on the PATH"),
        }
    }
}

impl std::error::Error for MissingTool {}

/// Programs that some verb may start: name, the argument that makes it tell its version, Debian package.
pub const KNOWN: &[(&str, &str, Option<&str>)] = &[
    ("verilator", "--version", Some("verilator")),
    ("g++", "--version", Some("g++")),
    ("iverilog", "-V", Some("iverilog")),
    ("yosys", "-V", Some("yosys")),
    ("nextpnr-ice40", "--version", Some("nextpnr-ice40")),
    ("nextpnr-ecp5", "--version", Some("nextpnr-ecp5")),
    ("nextpnr-gowin", "--version", Some("nextpnr-gowin")),
    ("icepack", "-h", Some("fpga-icestorm")),
    ("icetime", "-h", Some("fpga-icestorm")),
    ("ecppack", "--version", Some("prjtrellis")),
    ("openFPGALoader", "--Version", Some("openfpgaloader")),
    ("sta", "-version", Some("opensta")),
    ("vivado", "-version", None),
];

/// One command: program, arguments, folder.
#[derive(Debug, Clone)]
pub struct Call {
    program: OsString,
    args: Vec<OsString>,
    folder: Option<PathBuf>,
}

impl Call {
    /// The command without arguments.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self { program: program.as_ref().to_owned(), args: Vec::new(), folder: None }
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// With more arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Run in `folder`.
    #[must_use]
    pub fn within(mut self, folder: impl AsRef<Path>) -> Self {
        self.folder = Some(folder.as_ref().to_owned());
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }

    /// As a person would type it to a shell.
    pub fn line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.args).map(|w| quote(&w.to_string_lossy()));
        let line = words.collect::<Vec<_>>().join(" ");
        match &self.folder {
            Some(folder) => format!("(cd {} && {line})", quote(&folder.to_string_lossy())),
            None => line,
        }
    }
}

/// A word for a POSIX shell.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./,:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// What a finished command left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Whether it exited with 0.
    pub success: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output and error, one after the other, trimmed.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr).trim().to_owned()
    }
}

/// Hears the command lines of a dry run.
pub type Listener = Arc<dyn Fn(&str) + Send + Sync>;

/// Starts every outside program, or in a dry run only says which.
#[derive(Default)]
pub struct Toolbox {
    listener: Option<Listener>,
    found: Mutex<BTreeMap<String, Tool>>,
}

impl Toolbox {
    /// Starts programs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts nothing; `listener` hears every command line.
    pub fn dry(listener: Listener) -> Self {
        Self { listener: Some(listener), found: Mutex::default() }
    }

    /// Whether nothing is started.
    pub fn is_dry(&self) -> bool {
        self.listener.is_some()
    }

    /// Looks a program up on the PATH and asks for its version, once. Errors: [`MissingTool`].
    pub fn find(&self, name: &str) -> Result<Tool> {
        let known = KNOWN.iter().find(|(known, ..)| *known == name);
        if self.is_dry() {
            return Ok(Tool { name: name.into(), path: name.into(), version: "any".into() });
        }
        if let Some(tool) = self.found.lock().expect("no panic while it is held").get(name) {
            return Ok(tool.clone());
        }
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::split_paths(&folders).map(|f| f.join(name)).find(|p| p.is_file());
        let Some(path) = path else {
            return Err(MissingTool { name: name.into(), package: known.and_then(|k| k.2) }.into());
        };
        let version = match known {
            Some((_, flag, _)) => self.run(&Call::new(&path).arg(flag))?.text(),
            None => String::new(),
        };
        let version = version.lines().next().unwrap_or_default().to_owned();
        let tool = Tool { name: name.into(), path, version };
        self.found.lock().expect("no panic while it is held").insert(name.into(), tool.clone());
        Ok(tool)
    }

    /// Runs a command to its end, whatever its exit code. A dry run answers with success and no text.
    pub fn run(&self, call: &Call) -> Result<Output> {
        if let Some(listener) = &self.listener {
            listener(&call.line());
            return Ok(Output { success: true, ..Output::default() });
        }
        let out = call
            .command()
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {}", call.line()))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Output { success: out.status.success(), stdout: text(&out.stdout), stderr: text(&out.stderr) })
    }

    /// Starts a command to talk with, over its standard input and output; `None` in a dry run.
    pub fn start(&self, call: &Call) -> Result<Option<Child>> {
        if let Some(listener) = &self.listener {
            listener(&call.line());
            return Ok(None);
        }
        let mut command = call.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Some(command.spawn().with_context(|| format!("cannot start {}", call.line()))?))
    }

    /// Runs a command that must succeed. Errors: its text when it does not.
    pub fn must(&self, call: &Call) -> Result<Output> {
        let out = self.run(call)?;
        if !out.success {
            bail!("{} failed:\n{}", call.line(), out.text());
        }
        Ok(out)
    }
}
