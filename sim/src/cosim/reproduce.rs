//! A folder that shows a failure again, with Verilator and a C++ compiler and nothing of ours.

use std::path::Path;

use anyhow::{Context, Result};
use nervure_core::Design;

use super::Prepared;
use crate::tool::quote;
use crate::verilate::{Model, RunOptions, Waves, harness, main_text, sources};

/// Writes network, Verilog, stimulus, expected beats, harness and `run.sh`.
pub(super) fn write(
    folder: &Path,
    design: &Design,
    rtl: &Path,
    model: &Model,
    prepared: &Prepared,
    options: &RunOptions,
    network: &str,
) -> Result<()> {
    let context = || format!("cannot write {}", folder.display());
    let copy = folder.join("rtl");
    std::fs::create_dir_all(&copy).with_context(context)?;
    for entry in std::fs::read_dir(rtl)? {
        let path = entry?.path();
        if let Some(name) = path.file_name()
            && path.is_file()
        {
            std::fs::copy(&path, copy.join(name)).with_context(context)?;
        }
    }
    let save = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).with_context(context);
    save("network.yaml", network.as_bytes())?;
    save("harness.cpp", harness().as_bytes())?;
    save(
        "main.cpp",
        format!(
            "#include \"verilated_fst_c.h\"\n#include \"V.h\"\n#include <cstdint>\n#include <cstdio>\n\
        #include <cstdlib>\n#include <cstring>\n#include <string>\n#include <vector>\n{}",
            main_text(design)
        )
        .as_bytes(),
    )?;
    std::fs::copy(&prepared.file, folder.join("stimulus.bin")).with_context(context)?;
    let sizes = &prepared.stimulus.expected;
    let words = sizes.iter().zip(&prepared.expected).flat_map(|(sizes, words)| sizes.iter().chain(words));
    let expected: Vec<u8> = words.flat_map(|w| w.to_le_bytes()).collect();
    save("expected.bin", &expected)?;
    save("run.sh", script(design, rtl, model, prepared, options)?.as_bytes())
}

fn script(
    design: &Design,
    rtl: &Path,
    model: &Model,
    prepared: &Prepared,
    options: &RunOptions,
) -> Result<String> {
    let window = 0..100_000;
    let waves = Some(Waves { file: "../waves.fst".into(), window });
    let options = RunOptions { waves, ..options.clone() };
    let args = options.args(&prepared.stimulus, model.inputs.iter().map(|p| p.words));
    let files = sources(rtl)?;
    let names: Vec<String> = crate::verilate::names(&files).map(|n| quote(&n.to_string_lossy())).collect();
    Ok(format!(
        r#"#!/bin/sh
# Simulates `{name}` as it failed, prints the first beats that differ, and writes waves.fst.
set -e
cd "$(dirname "$0")"
root=$(verilator --getenv VERILATOR_ROOT)/include
(cd rtl && verilator --cc -O3 --x-assign unique --x-initial unique --no-timing --language 1364-2005 -Wno-fatal \
  -Wno-lint -Wno-style --trace-fst --prefix V --Mdir ../obj --top-module {name} {files})
g++ -std=gnu++17 -O1 -w -DVM_COVERAGE=0 -DVM_SC=0 -DVM_TRACE=1 -DVM_TRACE_FST=1 -DVM_TRACE_VCD=0 -DNERVURE_WAVES=1 \
  -I "$root" -I obj -I . main.cpp obj/*.cpp "$root"/verilated.cpp "$root"/verilated_threads.cpp \
  "$root"/verilated_fst_c.cpp -lz -lpthread -o sim
cd rtl
../sim ../stimulus.bin ../result.bin expected=../expected.bin {args}
"#,
        name = design.name,
        files = names.join(" "),
        args = args.join(" ")
    ))
}
