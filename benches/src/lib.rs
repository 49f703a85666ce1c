//! What the benchmarks share: examples, designs on disk, and clocks. Each benchmark prints one line a figure.
//!
//! Deliberately absent: statistics. A figure is the best of several runs, which is what the machine can do.

pub mod qnn;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use nervure_back::{File, Options, lower, optimise, render};
use nervure_core::{Design, Network, Registry, Samples, Target};

/// Folder of a shipped example.
pub fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

/// Names of all shipped examples, sorted.
pub fn examples() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(example("")).context("the examples are not there")? {
        let entry = entry?;
        if entry.path().join("network.yaml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// A shipped example and its samples.
pub fn load(name: &str, registry: &Registry) -> Result<(Network, Samples)> {
    let network = nervure_front::load(&example(name), registry, &[])?;
    let samples = nervure_front::samples(&example(name).join("samples.npz"), &network)?;
    Ok((network, samples))
}

/// Everything that Rust does between the network and the Verilog text.
pub fn generate(network: &Network, registry: &Registry, target: &Target) -> Result<(Design, Vec<File>)> {
    let design = lower(&optimise(network)?, registry, target, &Options::default())?;
    let files = render(&design, registry, target);
    Ok((design, files))
}

/// Writes `files` below `folder`; returns the folder of the Verilog.
pub fn write(files: &[File], folder: &Path) -> Result<PathBuf> {
    for file in files {
        let path = folder.join(&file.path);
        std::fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
        std::fs::write(&path, &file.text)?;
    }
    Ok(folder.join("rtl"))
}

/// Seconds of the quickest of `runs` runs, and what the last returned.
pub fn best<T>(runs: usize, mut run: impl FnMut() -> Result<T>) -> Result<(f64, T)> {
    let mut timed = || {
        let start = Instant::now();
        let out = run()?;
        Ok::<_, anyhow::Error>((start.elapsed().as_secs_f64(), out))
    };
    let mut last = timed()?;
    for _ in 1..runs {
        let (seconds, out) = timed()?;
        last = (last.0.min(seconds), out);
    }
    Ok(last)
}
