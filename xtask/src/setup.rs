//! What must be installed beside Rust: checks for it, and installs it on Debian when run as root.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// What a build needs of the machine: how to see that it is there, and the Debian package that brings it.
const NEEDED: [(Needed, &str); 7] = [
    (Needed::Program("verilator"), "verilator"),
    (Needed::Program("yosys"), "yosys"),
    (Needed::Program("iverilog"), "iverilog"),
    // Places what `--fit` finds; Debian has none for ECP5.
    (Needed::Program("nextpnr-ice40"), "nextpnr-ice40"),
    (Needed::Program("g++"), "g++"),
    (Needed::Program("make"), "make"),
    (Needed::Program("sta"), "opensta"),
    // Verilator's trace code includes it.
    (Needed::Header("zlib.h"), "zlib1g-dev"),
];

#[derive(Clone, Copy)]
enum Needed {
    Program(&'static str),
    Header(&'static str),
}

impl Needed {
    fn is_there(self) -> bool {
        match self {
            Self::Program(name) => on_path(name),
            Self::Header(name) => {
                ["/usr/include", "/usr/local/include"].iter().any(|f| Path::new(f).join(name).is_file())
            }
        }
    }
}

/// Packages that are missing and cannot be installed from here. The task exits with 2 on it.
#[derive(Debug)]
pub(crate) struct Missing {
    packages: Vec<&'static str>,
    apt: bool,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packages = self.packages.join(" ");
        write!(f, "missing: {packages}\n  = help: ")?;
        if self.apt {
            write!(f, "sudo apt-get install --no-install-recommends -y {packages}")
        } else {
            write!(f, "these are the names of Debian packages; install them and run the task again")
        }
    }
}

impl std::error::Error for Missing {}

/// Installs what is missing; quick when nothing is. Errors: [`Missing`] without root or without apt.
pub(crate) fn install() -> Result<()> {
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    let apt = on_path("apt-get");
    if !apt || !is_root() {
        return Err(Missing { packages, apt }.into());
    }
    eprintln!("Installing {}", packages.join(" "));
    apt_get(&["update"])?;
    apt_get(&[&["install", "--no-install-recommends", "-y"], packages.as_slice()].concat())?;
    let left = missing();
    if !left.is_empty() {
        bail!("apt-get was content, and still missing: {}", left.join(" "));
    }
    Ok(())
}

fn missing() -> Vec<&'static str> {
    NEEDED.iter().filter(|(needed, _)| !needed.is_there()).map(|(_, package)| *package).collect()
}

fn on_path(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").stderr(Stdio::null()).output();
    id.is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}

fn apt_get(args: &[&str]) -> Result<()> {
    let shown = args.join(" ");
    let mut command = Command::new("apt-get");
    command.arg("-qq").args(args).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    // Standard output carries results; this is progress.
    command.stdout(std::io::stderr());
    let status = command.status().with_context(|| format!("cannot start `apt-get {shown}`"))?;
    if !status.success() {
        bail!("`apt-get {shown}` failed ({status})");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_to_type_is_spelled_out() {
        let text = Missing { packages: vec!["yosys", "make"], apt: true }.to_string();
        assert!(text.contains("sudo apt-get install --no-install-recommends -y yosys make"), "{text}");
    }

    #[test]
    fn programs_are_looked_up_on_the_path() {
        assert!(on_path("sh"));
        assert!(!on_path("no-such-program-of-ours"));
    }
}
