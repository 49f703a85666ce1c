//! Lint, synthesis, tools, waves, reproduction.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::{Arc, Mutex};

use common::{bench, design, golden, rtl, samples, scale, scale_verilog};
use nervure_core::Target;
use nervure_sim::cosim::{Bench, Subject};
use nervure_sim::lint::lint;
use nervure_sim::synth::synth;
use nervure_sim::verilate::Waves;
use nervure_sim::{Cache, CosimOptions, MissingTool, Toolbox, cosim};

#[test]
fn clean_verilog_is_silent_and_dirty_is_not() {
    let text = scale_verilog("clean", 8, 1, 3, 16);
    let (toolbox, cache) = bench();
    let bench = Bench { toolbox: &toolbox, cache: &cache };
    let findings = |name: &str, text: &str| lint(&bench, rtl(name, text).path(), name).unwrap();
    assert_eq!(findings("clean", &text), []);
    let latch = "  reg latch_q;\n  always @* if (s_axis_x_tvalid) latch_q = s_axis_x_tlast;\n  assign m_axis_y_tlast = latch_q;\n";
    let dirty =
        text.replace("  assign m_axis_y_tlast = last_q;\n", latch).replace("module clean", "module dirty");
    let said = findings("dirty", &dirty);
    assert!(said.iter().any(|f| f.tool == "yosys") && said.iter().any(|f| f.tool == "verilator"), "{said:?}");
    let said = findings("cut", &text.replace("endmodule", "").replace("module clean", "module cut"));
    let tools: Vec<&str> = said.iter().map(|f| f.tool).collect();
    let all = ["verilator", "iverilog", "yosys", "sv-parser"];
    assert_eq!(tools, all[..3 + usize::from(cfg!(feature = "sv-parser"))]);
}

fn ice40() -> Target {
    serde_json::from_value(serde_json::json!({
        "name": "ice40", "title": "", "source": "", "clock_mhz": 50, "lut_inputs": 4, "lut_ps": 1, "carry_ps": 1,
        "multiplier_ps": 0, "register_ps": 1, "multiplier_bits": [0, 0], "block_ram_bits": 4096, "lut_ram_words": 0,
        "synth": "synth_ice40 -top TOP",
        "cells": {
            "lut": [["SB_LUT4", 1]], "carry": [["SB_CARRY", 1]], "bram": [["SB_RAM40_4K", 2]],
            "ff": [["SB_DFF", 1], ["SB_DFFE", 1], ["SB_DFFSR", 1], ["SB_DFFESR", 1]]
        }
    }))
    .unwrap()
}

#[test]
fn synthesis_is_counted() {
    let folder = rtl("counted", &scale_verilog("counted", 8, 1, 3, 16));
    let figures = synth(&Toolbox::new(), folder.path(), "counted", &ice40(), "").unwrap().unwrap();
    // Yosys stores the repeated sign bits of the product once: 11 of data, valid, last.
    assert_eq!(figures.ff, 13, "{figures:?}");
    assert!(figures.lut > 0 && figures.carry > 0 && figures.unlisted.is_empty(), "{figures:?}");
    assert!(figures.bram < 0.5 && figures.version.starts_with("Yosys"));
}

#[test]
fn halves_of_block_rams_are_halves() {
    let mut target = ice40();
    target.cells.insert("bram".into(), vec![("RAMB18E1".into(), 1), ("RAMB36E1".into(), 2)]);
    let cells = [("RAMB18E1".to_owned(), 3), ("RAMB36E1".to_owned(), 2), ("BUFG".to_owned(), 1)];
    let figures = nervure_sim::synth::count(cells.into(), &target);
    assert!((figures.bram - 3.5).abs() < 1e-9);
    assert_eq!(figures.unlisted, ["BUFG"]);
}

#[test]
fn a_missing_tool_names_its_package() {
    let error = Toolbox::new().find("no-such-tool").unwrap_err();
    assert_eq!(error.downcast_ref::<MissingTool>().unwrap().package, None);
    let missing = MissingTool { name: "yosys".into(), package: Some("yosys") };
    assert_eq!(missing.to_string(), "`yosys` is not installed; `apt-get install yosys` brings it");
}

#[test]
fn a_dry_run_only_says_what_it_would_do() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let heard = lines.clone();
    let toolbox = Toolbox::dry(Arc::new(move |line: &str| heard.lock().unwrap().push(line.to_owned())));
    let network = scale(&[4], 8, 1, 3, 16);
    let (design, folder) = (design("dry", &network), rtl("dry", &scale_verilog("dry", 8, 1, 3, 16)));
    let cache = Cache::at("/nonexistent");
    let samples = samples(&network, 3, 1);
    let subject = Subject { design: &design, network: &network, rtl: folder.path() };
    let bench = Bench { toolbox: &toolbox, cache: &cache };
    let report =
        cosim(&bench, &subject, &samples, &golden(&network, &samples), &CosimOptions::default()).unwrap();
    assert_eq!(report, None);
    assert_eq!(lint(&bench, folder.path(), "dry").unwrap(), []);
    assert_eq!(synth(&toolbox, folder.path(), "dry", &ice40(), "").unwrap(), None);
    let lines = lines.lock().unwrap();
    let count = |word: &str| lines.iter().filter(|l| l.contains(word)).count();
    assert_eq!(
        (count("verilator --cc"), count("g++ "), count("verilator --lint-only"), count("synth_ice40")),
        (1, 1, 1, 1)
    );
}

#[test]
fn waves_and_a_reproduction_are_written() {
    let (toolbox, cache) = bench();
    let network = scale(&[4], 8, 1, 3, 16);
    let text = scale_verilog("waved", 8, 1, 3, 16).replace("last_q <= s_axis_x_tlast", "last_q <= 1'b0");
    let (design, folder) = (design("waved", &network), rtl("waved", &text));
    let samples = samples(&network, 20, 1);
    let place = tempfile::tempdir().unwrap();
    let options = CosimOptions {
        waves: Some(Waves { file: place.path().join("waves.fst"), window: 0..50 }),
        reproduce: Some(place.path().join("case")),
        network_text: "name: waved\n".into(),
        ..CosimOptions::default()
    };
    let subject = Subject { design: &design, network: &network, rtl: folder.path() };
    let bench = Bench { toolbox: &toolbox, cache: &cache };
    let report = cosim(&bench, &subject, &samples, &golden(&network, &samples), &options).unwrap().unwrap();
    assert!(std::fs::metadata(place.path().join("waves.fst")).unwrap().len() > 100);
    let case = report.reproduction.unwrap();
    for name in
        ["network.yaml", "stimulus.bin", "expected.bin", "harness.cpp", "main.cpp", "run.sh", "rtl/waved.v"]
    {
        assert!(case.join(name).is_file(), "{name}");
    }
    if let Some(keep) = std::env::var_os("KEEP_CASE") {
        std::process::Command::new("cp").arg("-r").arg(&case).arg(keep).status().unwrap();
    }
}

#[test]
fn many_may_build_the_same_design_at_once() {
    let (toolbox, cache) = bench();
    let network = scale(&[4], 8, 1, 3, 16);
    let text = scale_verilog("shared", 8, 1, 3, 16) + &format!("// {:?}\n", std::time::SystemTime::now());
    let (design, folder) = (design("shared", &network), rtl("shared", &text));
    let samples = samples(&network, 20, 1);
    let trace = golden(&network, &samples);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let subject = Subject { design: &design, network: &network, rtl: folder.path() };
                let bench = Bench { toolbox: &toolbox, cache: &cache };
                let report =
                    cosim(&bench, &subject, &samples, &trace, &CosimOptions::default()).unwrap().unwrap();
                assert!(report.passed(), "{report:?}");
            });
        }
    });
}
