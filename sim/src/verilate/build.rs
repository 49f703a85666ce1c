//! From Verilog to a program, fast: Verilator's runtime compiled once, its headers precompiled, the design as one
//! translation unit; everything cached.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nervure_core::Design;

use super::{Model, harness, main_text};
use crate::cache::{Cache, digest};
use crate::tool::{Call, Toolbox};

/// The headers that every design includes.
const PRECOMPILED: &str = "#include \"verilated.h\"\n#include <cstdint>\n#include <cstdio>\n#include <cstdlib>\n\
    #include <cstring>\n#include <string>\n#include <vector>\n";
const WAVES: &str = "#include \"verilated_fst_c.h\"\n";
/// Registers start at random, so that a missing reset shows. Long functions are split: an unrolled network is one function of
/// ten thousand statements, for which the compiler takes ten times as long.
pub(crate) const VERILATOR: &[&str] = &[
    "--cc",
    "-O3",
    "--x-assign",
    "unique",
    "--x-initial",
    "unique",
    "--no-timing",
    "--language",
    "1364-2005",
    "-Wno-fatal",
    "-Wno-lint",
    "-Wno-style",
    "--output-split",
    "0",
    "--output-split-cfuncs",
    "1000",
    "--prefix",
    "V",
];
const COMPILER: &[&str] = &[
    "-std=gnu++17",
    "-O1",
    "-w",
    "-pipe",
    "-faligned-new",
    "-fcf-protection=none",
    "-DVM_COVERAGE=0",
    "-DVM_SC=0",
    "-DVM_TRACE_VCD=0",
];

/// The Verilog files of a folder, sorted by name. Errors: there is none.
pub fn sources(rtl: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(rtl).with_context(|| format!("cannot read {}", rtl.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|e| Ok(e?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|p| p.extension().is_some_and(|e| e == "v"));
    files.sort();
    if files.is_empty() {
        bail!("no Verilog in {}", rtl.display());
    }
    Ok(files)
}

/// File names for a command that runs in their folder.
pub(crate) fn names(files: &[PathBuf]) -> impl Iterator<Item = &std::ffi::OsStr> {
    files.iter().filter_map(|p| p.file_name())
}

/// Compiles the design in `rtl`, or finds it compiled. Memory files are read when the program runs.
pub fn build(toolbox: &Toolbox, cache: &Cache, design: &Design, rtl: &Path, waves: bool) -> Result<Model> {
    let rtl = std::path::absolute(rtl)?;
    let files = sources(&rtl)?;
    let main = main_text(design);
    let runtime_key = runtime_key(toolbox, waves)?;
    let mut text: Vec<Vec<u8>> =
        [runtime_key.as_str(), &main, harness()].map(|t| t.as_bytes().to_vec()).to_vec();
    for file in &files {
        text.push(file.file_name().unwrap_or_default().as_encoded_bytes().to_vec());
        text.push(std::fs::read(file)?);
    }
    let key = digest(text.iter().map(Vec::as_slice));
    let compile = |aside: &Path, runtime: &Path| -> Result<()> {
        let object = aside.join("obj");
        let trace: &[&str] = if waves { &["--trace-fst"] } else { &[] };
        let verilate = Call::new("verilator").args(VERILATOR).args(trace).arg("--Mdir").arg(&object);
        let verilate = verilate.args(["--top-module", &design.name]).args(names(&files)).within(&rtl);
        toolbox.must(&verilate)?;
        if !toolbox.is_dry() {
            std::fs::write(aside.join("harness.cpp"), harness())?;
            std::fs::write(aside.join("all.cpp"), unit(&object, &main)?)?;
        }
        // Links in a third of the time, where it is installed.
        let gold = toolbox.find("ld.gold").is_ok().then_some("-fuse-ld=gold");
        let libraries: &[&str] = if waves { &["-lz", "-lpthread"] } else { &["-lpthread"] };
        let link = compiler_call(waves)
            .arg("-I")
            .arg(runtime)
            .arg("-I")
            .arg(&object)
            .arg("-I")
            .arg(include(toolbox)?);
        let link = link.args(gold).args(["-s", "-o"]).arg(aside.join("sim")).arg(aside.join("all.cpp"));
        toolbox.must(
            &link.args(runtime_sources(waves).map(|s| runtime.join(s).with_extension("o"))).args(libraries),
        )?;
        Ok(())
    };
    let program = if toolbox.is_dry() {
        compile(&cache.root().join("building"), &cache.root().join("runtime"))?;
        cache.root().join("building/sim")
    } else {
        let build = |aside: &Path| {
            compile(aside, &runtime(toolbox, cache, &runtime_key, waves)?)?;
            std::fs::remove_dir_all(aside.join("obj"))?;
            Ok(())
        };
        cache.entry("models", &key, build)?.join("sim")
    };
    let (inputs, outputs) = super::harness::ports(design);
    Ok(Model { program, inputs, outputs, bus: !design.banks().is_empty() })
}

/// What tells one compiled runtime from another: tools and their options.
pub(crate) fn runtime_key(toolbox: &Toolbox, waves: bool) -> Result<String> {
    let (verilator, compiler) = (toolbox.find("verilator")?, toolbox.find("g++")?);
    let options = [&VERILATOR.join(" "), &COMPILER.join(" "), PRECOMPILED, &waves.to_string()].join(" ");
    Ok(digest([verilator.version.as_bytes(), compiler.version.as_bytes(), options.as_bytes()].into_iter()))
}

/// The one translation unit: precompiled headers, all that Verilator wrote, the harness.
pub(crate) fn unit(object: &Path, main: &str) -> Result<String> {
    let mut parts: Vec<_> =
        std::fs::read_dir(object)?.map(|e| Ok(e?.file_name())).collect::<std::io::Result<_>>()?;
    parts.retain(|name| Path::new(name).extension().is_some_and(|e| e == "cpp"));
    parts.sort();
    let includes = parts.iter().map(|p| format!("#include \"{}\"\n", p.to_string_lossy()));
    Ok(format!("#include \"precompiled.h\"\n#include \"V.h\"\n{}{main}", includes.collect::<String>()))
}

pub(crate) fn compiler_call(waves: bool) -> Call {
    let flag = u8::from(waves);
    let defines = ["VM_TRACE", "VM_TRACE_FST", "NERVURE_WAVES"].map(|name| format!("-D{name}={flag}"));
    Call::new("g++").args(COMPILER).args(defines)
}

pub(crate) fn runtime_sources(waves: bool) -> impl Iterator<Item = &'static str> {
    ["verilated.cpp", "verilated_threads.cpp"].into_iter().chain(waves.then_some("verilated_fst_c.cpp"))
}

/// Folder of Verilator's headers.
pub(crate) fn include(toolbox: &Toolbox) -> Result<PathBuf> {
    let root = match std::env::var_os("VERILATOR_ROOT") {
        Some(root) => PathBuf::from(root),
        None if toolbox.is_dry() => PathBuf::from("/usr/share/verilator"),
        None => {
            toolbox.must(&Call::new("verilator").args(["--getenv", "VERILATOR_ROOT"]))?.stdout.trim().into()
        }
    };
    Ok(root.join("include"))
}

/// Folder with Verilator's runtime compiled and its headers precompiled.
pub(crate) fn runtime(toolbox: &Toolbox, cache: &Cache, key: &str, waves: bool) -> Result<PathBuf> {
    cache.entry("runtime", key, |aside| {
        let include = include(toolbox)?;
        let header = aside.join("precompiled.h");
        std::fs::write(&header, format!("{PRECOMPILED}{}", if waves { WAVES } else { "" }))?;
        let call = || compiler_call(waves).arg("-I").arg(&include);
        let mut calls = vec![
            call().args(["-x", "c++-header"]).arg(&header).arg("-o").arg(aside.join("precompiled.h.gch")),
        ];
        for source in runtime_sources(waves) {
            let object = aside.join(source).with_extension("o");
            calls.push(call().arg("-c").arg(include.join(source)).arg("-o").arg(object));
        }
        std::thread::scope(|scope| {
            let running: Vec<_> = calls.iter().map(|c| scope.spawn(|| toolbox.must(c))).collect();
            running
                .into_iter()
                .try_for_each(|r| r.join().expect("running a command does not panic").map(|_| ()))
        })
    })
}
