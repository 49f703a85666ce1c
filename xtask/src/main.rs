//! Set-up and repeated tasks: `cargo xtask demo | test | bless | bench`.
//!
//! Deliberately absent: anything the `nervure` command does. This crate installs what is missing and starts cargo; its
//! tests hold the documents and the board files against the sources.

#[cfg(test)]
mod boards;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod error_codes;
mod run;
mod setup;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};

use run::Cargo;

const USAGE: &str = "\
Usage: cargo xtask TASK [ARGUMENT]...

Tasks:
  demo    install what is missing, then take the spiking MNIST example from network to verified, synthesised Verilog
  test    install what is missing, then run every test; arguments go to `cargo test`
  bless   regenerate the expected files: golden Verilog, area records, diagnostics; read the diff before you commit it
  bench   run the benchmarks; arguments go to `cargo bench`
  help    print this

Exit codes: 0, 1 (a step failed), 2 (wrong usage, or something is missing and cannot be installed).
";

/// Where `demo` puts its build directory.
const DEMO: &str = "build/mnist-snn";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((task, rest)) = args.split_first() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let done = match task.as_str() {
        "demo" if rest.is_empty() => demo(),
        "test" => test(rest),
        "bless" if rest.is_empty() => bless(),
        "bench" => bench(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        "demo" | "bless" => {
            eprintln!("error: `cargo xtask {task}` takes no arguments\n\n{USAGE}");
            return ExitCode::from(2);
        }
        other => {
            eprintln!("error: there is no task `{other}`\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::from(if e.is::<setup::Missing>() { 2 } else { 1 })
        }
    }
}

/// The root of the repository: the folder above this crate.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

fn demo() -> Result<()> {
    setup::install()?;
    eprintln!("Building `nervure` (the first time, some minutes: it carries a SystemVerilog parser)");
    Cargo::new(&["build", "--release", "--package", "nervure"]).run()?;
    let example = "examples/mnist-snn";
    eprintln!("\nnervure build {example} --target xc7 -o {DEMO}\n");
    let build = ["build", example, "--target", "xc7", "-o", DEMO];
    Cargo::new(&["run", "--quiet", "--release", "--package", "nervure", "--"]).args(&build).run()?;
    let folder = root().join(DEMO);
    if !folder.is_dir() {
        bail!("{DEMO} was not written");
    }
    eprintln!("\nWhere to look next:");
    for (path, what) in [
        ("rtl", "the Verilog, one module a file, and the weights as .mem files"),
        ("report/summary.md", "what was predicted and what was measured"),
        ("manifest.json", "the same for machines, with hashes of all inputs and versions of all tools"),
    ] {
        if folder.join(path).exists() {
            eprintln!("  {:<38}{what}", format!("{DEMO}/{path}"));
        }
    }
    let network = format!("{example}/network.yaml");
    eprintln!("  {network:<38}what it was made from: change `lanes`, build again, compare");
    eprintln!("  {:<38}the other examples, and how to write your own", "README.md");
    Ok(())
}

fn test(rest: &[String]) -> Result<()> {
    setup::install()?;
    Cargo::new(&["test", "--workspace"]).args(rest).run()
}

fn bless() -> Result<()> {
    setup::install()?;
    let tests = ["test", "--package", "nervure-tests", "--test", "conformance", "--test", "errors"];
    Cargo::new(&tests).env("NERVURE_BLESS", "1").run()?;
    eprintln!("Expected files are regenerated. Read `git diff` before you commit it.");
    Ok(())
}

fn bench(rest: &[String]) -> Result<()> {
    setup::install()?;
    Cargo::new(&["bench", "--package", "nervure-benches"]).args(rest).run()
}
