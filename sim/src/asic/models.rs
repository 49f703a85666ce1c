//! Verilog of a mapped netlist and of its cells that can be simulated with delays: each output of a cell gets two parameters, and
//! each instance says what they are.
//!
//! Registers begin with a value drawn at random, as in the other simulations. Deliberately absent: timing checks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::sdf::{Delay, Delays};

/// A cell as Yosys writes it, with delays.
struct Model {
    outputs: Vec<String>,
    text: String,
}

/// `netlist` with the cells of `cells` that it has, both as Yosys writes them.
pub(super) fn delayed(netlist: &str, cells: &str, delays: &Delays) -> String {
    let modules = cells.split("\nmodule ").skip(1).filter_map(|text| {
        let (name, _) = text.split_once('(')?;
        Some((name.trim(), text.split_once("endmodule")?.0))
    });
    let models: BTreeMap<&str, Model> = modules.map(|(name, text)| (name, model(text))).collect();
    let mut used = BTreeSet::new();
    let mut out = String::new();
    for line in netlist.lines() {
        let mut words = line.split_whitespace();
        let (cell, instance) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match models.get(cell) {
            Some(model) if words.next() == Some("(") => {
                used.insert(cell);
                let known = delays.get(instance.trim_start_matches('\\'));
                let values = model.outputs.iter().filter_map(|o| Some((o, known?.get(o)?)));
                let values: Vec<String> = values.map(|(o, d)| parameters(o, *d)).collect();
                let values =
                    if values.is_empty() { String::new() } else { format!("#({}) ", values.join(", ")) };
                let _ = writeln!(out, "  {cell} {values}{instance} (");
            }
            _ => {
                let _ = writeln!(out, "{line}");
            }
        }
    }
    for cell in used {
        let _ = writeln!(out, "\nmodule {}endmodule", models[cell].text);
    }
    out
}

fn parameters(output: &str, delay: Delay) -> String {
    format!(".RISE_{output}({}), .FALL_{output}({})", delay.rise, delay.fall)
}

fn model(text: &str) -> Model {
    let between =
        |line: &str, start: &str| Some(line.trim().strip_prefix(start)?.strip_suffix(';')?.to_owned());
    let outputs: Vec<String> = text.lines().filter_map(|l| between(l, "output ")).collect();
    let mut delayed = String::new();
    for (n, line) in text.lines().enumerate() {
        let driven = outputs.iter().find(|o| line.trim().starts_with(&format!("assign {o} = ")));
        match driven {
            Some(o) => {
                let delay = format!("assign #(RISE_{o}, FALL_{o}) ");
                delayed += &line.replacen("assign ", &delay, 1);
            }
            None => delayed += line,
        }
        delayed.push('\n');
        if n == 0 {
            for o in &outputs {
                let _ = writeln!(delayed, "  parameter RISE_{o} = 0;\n  parameter FALL_{o} = 0;");
            }
        }
        if let Some(register) = between(line, "reg ") {
            let _ = writeln!(delayed, "  initial {register} = $random;");
        }
    }
    Model { outputs, text: delayed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_get_the_delays_of_their_outputs() {
        let cells = "/* Yosys */\n\nmodule inv(A, Y);\n  input A;\n  output Y;\n  wire Y;\n  assign Y = ~A;\nendmodule\n\n\
                     module dff(D, CK, Q);\n  output Q;\n  wire Q;\n  reg IQ;\n  always @(posedge CK)\n    IQ <= D;\n  assign Q = IQ;\nendmodule\n\n\
                     module unused(A, Y);\n  output Y;\n  assign Y = A;\nendmodule\n";
        let netlist = "module top(a, y);\n  wire n;\n  inv _1_ (\n    .A(a),\n    .Y(n)\n  );\n  dff \\u.q (\n    .D(n)\n  );\n  inv _2_ (\n  );\nendmodule\n";
        let one = |pin: &str, rise, fall| BTreeMap::from([(pin.to_owned(), Delay { rise, fall })]);
        let delays = Delays::from([("_1_".into(), one("Y", 12, 34)), ("u.q".into(), one("Q", 5, 6))]);
        let text = delayed(netlist, cells, &delays);
        for part in [
            "  inv #(.RISE_Y(12), .FALL_Y(34)) _1_ (\n    .A(a),",
            "  dff #(.RISE_Q(5), .FALL_Q(6)) \\u.q (\n",
            "  inv _2_ (\n",
            "module inv(A, Y);\n  parameter RISE_Y = 0;\n  parameter FALL_Y = 0;\n",
            "  assign #(RISE_Y, FALL_Y) Y = ~A;\nendmodule",
            "  reg IQ;\n  initial IQ = $random;\n",
            "  assign #(RISE_Q, FALL_Q) Q = IQ;\n",
        ] {
            assert!(text.contains(part), "`{part}` in\n{text}");
        }
        assert!(!text.contains("unused"), "{text}");
    }
}
