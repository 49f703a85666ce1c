//! The program that flips: the design as Verilator makes it with every register kept, the harness, and a table of registers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use nervure_back::Storage;
use nervure_core::Design;

use super::flops::{Flop, configuration, find};
use crate::cache::digest;
use crate::cosim::Bench;
use crate::tool::Call;
use crate::verilate::{Port, VERILATOR, boundary, compiler_call, harness, include, main_text};
use crate::verilate::{names, runtime, runtime_key, runtime_sources, sources, unit};

/// A compiled design that can be upset.
pub(super) struct Injector {
    pub(super) program: PathBuf,
    pub(super) inputs: Vec<Port>,
    pub(super) flops: Vec<Flop>,
}

/// Beside those of any model.
const KEEP: &[&str] = &["--flatten"];

/// Compiles the design in `rtl`, or finds it compiled; `None` in a dry run.
pub(super) fn build(bench: &Bench, design: &Design, rtl: &Path) -> Result<Option<Injector>> {
    let Bench { toolbox, cache } = *bench;
    let files = sources(rtl)?;
    let mut modules: BTreeMap<String, Storage> = BTreeMap::new();
    let runtime_key = runtime_key(toolbox, false)?;
    let (main, own) = (main_text(design), include_str!("faults.cpp"));
    let mut text: Vec<Vec<u8>> = [runtime_key.as_str(), &main, harness(), own, &KEEP.join(" ")]
        .map(|t| t.as_bytes().to_vec())
        .to_vec();
    for file in &files {
        let (name, verilog) = (file.file_stem().unwrap_or_default(), std::fs::read_to_string(file)?);
        let storage = nervure_back::storage(&verilog)
            .map_err(|why| anyhow!("cannot tell the registers of {}: {why}", file.display()))?;
        modules.insert(name.to_string_lossy().into_owned(), storage);
        text.push(name.as_encoded_bytes().to_vec());
        text.push(verilog.into_bytes());
    }
    let configuration = configuration(&modules);
    text.push(configuration.clone().into_bytes());
    let key = digest(text.iter().map(Vec::as_slice));
    let compile = |aside: &Path| -> Result<()> {
        let (object, config) = (aside.join("obj"), aside.join("keep.vlt"));
        if !toolbox.is_dry() {
            std::fs::write(&config, &configuration)?;
        }
        let verilate = Call::new("verilator").args(VERILATOR).args(KEEP).arg("--Mdir").arg(&object);
        let verilate = verilate.args(["--top-module", &design.name]).arg(&config).args(names(&files));
        toolbox.must(&verilate.within(rtl))?;
        if toolbox.is_dry() {
            return Ok(());
        }
        let runtime = runtime(toolbox, cache, &runtime_key, false)?;
        std::fs::copy(object.join("V___024root.h"), aside.join("root.h"))?;
        let flops = find(&std::fs::read_to_string(aside.join("root.h"))?, &design.name, &modules)?;
        let table: String = flops
            .iter()
            .map(|f| format!(" \\\n  X({}, {}, {}, {})", f.member, f.bits, f.words, u8::from(f.coded)))
            .collect();
        let mut head = "#define NERVURE_FAULTS 1\n#include \"V___024root.h\"\n".to_owned();
        if std::fs::read_to_string(rtl.join(format!("{}.v", design.name)))?.contains("output wire ecc_failed")
        {
            head += "#define FAILED(top) ((top).ecc_failed)\n";
        }
        let main = format!("{head}{main}#define FLOPS(X){table}\n#include \"faults.cpp\"\n");
        std::fs::write(aside.join("harness.cpp"), harness())?;
        std::fs::write(aside.join("faults.cpp"), own)?;
        std::fs::write(aside.join("all.cpp"), unit(&object, &main)?)?;
        let gold = toolbox.find("ld.gold").is_ok().then_some("-fuse-ld=gold");
        let link = compiler_call(false).arg("-I").arg(&runtime).arg("-I").arg(&object);
        // Public registers make Verilator include the headers of DPI.
        let link = link.arg("-I").arg(include(toolbox)?.join("vltstd"));
        let link = link.arg("-I").arg(include(toolbox)?).args(gold).args(["-s", "-o"]);
        let link = link.arg(aside.join("sim")).arg(aside.join("all.cpp"));
        let link = link.args(runtime_sources(false).map(|s| runtime.join(s).with_extension("o")));
        toolbox.must(&link.arg("-lpthread"))?;
        std::fs::remove_dir_all(&object)?;
        Ok(())
    };
    if toolbox.is_dry() {
        compile(&cache.root().join("building"))?;
        return Ok(None);
    }
    let folder = cache.entry("injectors", &key, compile)?;
    let flops = find(&std::fs::read_to_string(folder.join("root.h"))?, &design.name, &modules)?;
    Ok(Some(Injector { program: folder.join("sim"), inputs: boundary(design).0, flops }))
}
