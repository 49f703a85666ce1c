//! The test bench of a mapped netlist in Verilog: reset, samples at full speed, and what comes out as text.
//!
//! Deliberately absent: stalls, and accesses to a register bus, whose lines rest.

use std::fmt::Write as _;

use nervure_core::Design;

use crate::verilate::{Port, Stimulus, boundary};

/// Name of the module.
pub(super) const TOP: &str = "nervure_stand";

/// How long to simulate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// Clock period.
    pub(super) period_ps: u64,
    /// Cycles after which no sample is waited for but the first.
    pub(super) cycles: u64,
    /// Cycles after which it is given up.
    pub(super) give_up: u64,
}

/// Beats as text for `$readmemh`, a line each: `tlast` above the data.
pub(super) fn beats(words: &[u32], sizes: &[u32], port: &Port) -> String {
    let mut text = String::new();
    let mut beats = words.chunks(port.words);
    for size in sizes {
        for n in 1..=*size {
            let beat = beats.next().unwrap_or_default();
            let _ = writeln!(text, "{}", hex(beat, n == *size, port));
        }
    }
    text
}

/// A beat with `tlast` as `%h` shows it.
pub(super) fn hex(beat: &[u32], last: bool, port: &Port) -> String {
    let digits = port.bits / 4;
    let data: String = beat.iter().rev().map(|w| format!("{w:08x}")).collect();
    format!("{}{}", u8::from(last), &data[data.len() - digits..])
}

/// The test bench; it reads `in_N.hex`, and writes `out_N.hex` and `waves.vcd`. `netlist` is the text of the design.
pub(super) fn stand(design: &Design, netlist: &str, stimulus: &Stimulus, span: &Span) -> String {
    let (inputs, outputs) = boundary(design);
    let mut stand = Stand::default();
    for (n, port) in inputs.iter().enumerate() {
        let count = stimulus.inputs[n].1.iter().map(|s| u64::from(*s)).sum();
        stand.input(n, port, count);
    }
    for (n, port) in outputs.iter().enumerate() {
        let sizes = stimulus.expected[n].iter().map(|s| u64::from(*s));
        stand.output(n, port, sizes.clone().sum(), sizes.take(1).sum());
    }
    stand.rest(netlist);
    let Stand { declared, connected, started, clocked, all, first } = stand;
    let Span { period_ps, cycles, give_up } = *span;
    format!(
        "`timescale 1ps/1ps\nmodule {TOP};\n  reg clk = 0;\n  reg rst_n = 0;\n  integer cycle = 0;\n{declared}\
         {} dut (\n    .clk(clk),\n    .rst_n(rst_n){connected}\n  );\n\n  always #{} clk = ~clk;\n  \
         always @(posedge clk) if (rst_n) begin\n    cycle = cycle + 1;\n{clocked}    \
         if ((1'b1{all}) || (cycle >= {cycles}{first}) || cycle >= {give_up}) $finish(0);\n  end\n  \
         initial begin\n    @(posedge clk);\n    @(posedge clk);\n    #1 rst_n = 1;\n{started}    \
         $dumpfile(\"waves.vcd\");\n    $dumpvars(1, dut);\n  end\nendmodule\n",
        design.name,
        period_ps.div_ceil(2),
    )
}

#[derive(Default)]
struct Stand {
    declared: String,
    connected: String,
    /// What reset ends with.
    started: String,
    /// What happens at a rising edge.
    clocked: String,
    /// Everything came out.
    all: String,
    /// The first sample came out.
    first: String,
}

impl Stand {
    fn connect(&mut self, port: &str, to: &str) {
        let _ = write!(self.connected, ",\n    .{port}({to})");
    }

    fn input(&mut self, n: usize, port: &Port, count: u64) {
        let (bits, top) = (port.bits, port.bits - 1);
        let last = count.max(1) - 1;
        let _ = write!(
            self.declared,
            "  reg  [{bits}:0] in_{n}_beats [0:{last}];\n  reg  [{bits}:0] in_{n} = 0;\n  integer in_{n}_next = 0;\n  \
             reg  in_{n}_valid = 0;\n  wire in_{n}_ready;\n"
        );
        self.connect(&format!("{}_tdata", port.prefix), &format!("in_{n}[{top}:0]"));
        self.connect(&format!("{}_tvalid", port.prefix), &format!("in_{n}_valid"));
        self.connect(&format!("{}_tready", port.prefix), &format!("in_{n}_ready"));
        self.connect(&format!("{}_tlast", port.prefix), &format!("in_{n}[{bits}]"));
        if count > 0 {
            let _ = write!(
                self.started,
                "    $readmemh(\"in_{n}.hex\", in_{n}_beats);\n    in_{n} = in_{n}_beats[0];\n    in_{n}_valid = 1;\n"
            );
            // What is offered changes behind the edge, after the registers have taken it.
            let _ = write!(
                self.clocked,
                "    if (in_{n}_valid && in_{n}_ready) begin\n      in_{n}_next = in_{n}_next + 1;\n      \
                 if (in_{n}_next < {count}) in_{n} <= #1 in_{n}_beats[in_{n}_next];\n      \
                 else in_{n}_valid <= #1 0;\n    end\n"
            );
        }
    }

    fn output(&mut self, n: usize, port: &Port, count: u64, first: u64) {
        let top = port.bits - 1;
        let _ = write!(
            self.declared,
            "  wire [{top}:0] out_{n};\n  wire out_{n}_valid;\n  wire out_{n}_last;\n  integer out_{n}_count = 0;\n  \
             integer out_{n}_file;\n  initial out_{n}_file = $fopen(\"out_{n}.hex\", \"w\");\n"
        );
        self.connect(&format!("{}_tdata", port.prefix), &format!("out_{n}"));
        self.connect(&format!("{}_tvalid", port.prefix), &format!("out_{n}_valid"));
        self.connect(&format!("{}_tready", port.prefix), "1'b1");
        self.connect(&format!("{}_tlast", port.prefix), &format!("out_{n}_last"));
        let _ = write!(
            self.clocked,
            "    if (out_{n}_valid) begin\n      $fdisplay(out_{n}_file, \"%h\", {{3'd0, out_{n}_last, out_{n}}});\n      \
             out_{n}_count = out_{n}_count + 1;\n    end\n"
        );
        let _ = write!(self.all, " && out_{n}_count >= {count}");
        let _ = write!(self.first, " && out_{n}_count >= {first}");
    }

    /// Connects the inputs of the netlist that no stream has: lines of I2C rest high, all others low.
    fn rest(&mut self, netlist: &str) {
        let inputs = netlist.lines().filter_map(|l| l.trim().strip_prefix("input ")?.strip_suffix(';'));
        for name in inputs.filter_map(|port| port.split_whitespace().last()) {
            let known = name == "clk" || name == "rst_n" || self.connected.contains(&format!(".{name}("));
            if !known {
                let level = if matches!(name, "i2c_scl" | "i2c_sda") { "1'b1" } else { "0" };
                self.connect(name, level);
            }
        }
    }
}
