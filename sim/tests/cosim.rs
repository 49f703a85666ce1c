//! Co-simulation of hand-written Verilog: the right one passes, every wrong one is caught and named.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Add, Params, bench, design, golden, instance, network, rtl, samples, scale, scale_verilog};
use nervure_core::{Network, QType, TensorRef, TensorType};
use nervure_sim::cosim::{Bench, Failure, Fault, Pass, Subject};
use nervure_sim::verilate::ViolationKind;
use nervure_sim::{CosimOptions, Report, SampleCycles, cosim};

fn check_with(network: &Network, name: &str, text: &str, count: usize, options: &CosimOptions) -> Report {
    let (toolbox, cache) = bench();
    let (design, folder) = (design(name, network), rtl(name, text));
    let samples = samples(network, count, 1);
    let trace = golden(network, &samples);
    let bench = Bench { toolbox: &toolbox, cache: &cache };
    let subject = Subject { design: &design, network, rtl: folder.path() };
    cosim(&bench, &subject, &samples, &trace, options).unwrap().unwrap()
}

fn check(network: &Network, name: &str, text: &str) -> Report {
    check_with(network, name, text, 200, &CosimOptions { watchdog: 2000, ..CosimOptions::default() })
}

/// The good design with one edit.
fn broken(name: &str, from: &str, to: &str) -> Report {
    let text = scale_verilog(name, 8, 1, 3, 16);
    assert!(text.contains(from), "the edit applies");
    check(&scale(&[2, 3], 8, 1, 3, 16), name, &text.replace(from, to))
}

#[test]
fn every_port_width_passes() {
    // Bits, lanes, elements, result bits: ports of 8, 16 (padded), 40, 64, 256 and 1000 bits.
    for (bits, lanes, len, out_bits) in
        [(8, 1, 6, 16), (5, 3, 9, 9), (5, 8, 16, 6), (8, 8, 8, 16), (16, 16, 48, 24), (20, 50, 100, 22)]
    {
        let name = format!("wide_{bits}_{lanes}");
        let factor = if out_bits - bits < 3 { 1 } else { 3 };
        let network = scale(&[len], bits, lanes, factor, out_bits);
        let text = scale_verilog(&name, bits.into(), lanes, factor, out_bits.into());
        let report = check(&network, &name, &text);
        assert!(report.passed(), "{name}: {report:?}");
        assert_eq!(report.samples, 200);
    }
}

#[test]
fn cycles_are_exact() {
    let network = scale(&[2, 3], 8, 1, 3, 16);
    let text = scale_verilog("cycles", 8, 1, 3, 16);
    let mut predicted: Vec<_> = (0..200).map(|i| SampleCycles { start: 6 * i, finish: 6 * i + 6 }).collect();
    let with =
        |predicted: &[_]| CosimOptions { predicted: Some(predicted.to_vec()), ..CosimOptions::default() };
    let report = check_with(&network, "cycles", &text, 200, &with(&predicted));
    assert!(report.passed(), "{report:?}");
    assert_eq!((report.cycles_predicted, report.cycles_measured), (Some(1400), 1400));
    predicted[9].finish += 1;
    let report = check_with(&network, "cycles", &text, 200, &with(&predicted));
    assert_eq!((report.cycle_mismatches, report.first_cycle_mismatch.unwrap().0), (1, 9));
    assert!(!report.passed());
}

#[test]
fn wrong_data_is_named() {
    let report = broken(
        "wrong",
        "assign m_axis_y_tdata = data_q;",
        "assign m_axis_y_tdata = data_q == 16'd21 ? 16'd22 : data_q;",
    );
    assert!(report.mismatches > 0 && !report.passed());
    let first = &report.first[0];
    assert_eq!((first.layer.as_str(), first.output.as_str(), first.pass), ("layer", "y", Pass::FullSpeed));
    assert_eq!(first.fault, Fault::Value { expected: 21, got: 22 });
    let flat = first.element[0] * 3 + first.element[1];
    assert_eq!(first.cycle, (first.sample * 6 + flat + 1) as u64);
    assert!(first.to_string().contains("expected 21, got 22"));
    assert_eq!(report.first.len(), 10.min(report.mismatches as usize));
}

#[test]
fn a_valid_that_falls_is_caught() {
    let report = broken("drop", "else if (s_axis_x_tready) valid_q <=", "else valid_q <=");
    let kind = |f: &Failure| matches!(f, Failure::Protocol { violation, .. } if violation.kind == ViolationKind::ValidDropped);
    assert!(report.failures.iter().any(kind), "{report:?}");
}

#[test]
fn data_that_changes_while_it_waits_is_caught() {
    let report = broken(
        "change",
        "assign m_axis_y_tdata = data_q;",
        "assign m_axis_y_tdata = m_axis_y_tready ? data_q : ~data_q;",
    );
    // Ready and data move together, so the change shows when the wait ends.
    let kind = |f: &Failure| matches!(f, Failure::Protocol { violation, .. } if violation.kind == ViolationKind::DataChanged);
    assert!(report.failures.iter().any(kind), "{report:?}");
}

#[test]
fn a_deadlock_says_who_waits() {
    let text = scale_verilog("stuck", 8, 1, 3, 16)
        .replace("tready = !valid_q || m_axis_y_tready", "tready = !stuck_q && (!valid_q || m_axis_y_tready)")
        .replace("else if (s_axis_x_tready) valid_q <=", "else if (!valid_q || m_axis_y_tready) valid_q <= s_axis_x_tready &&")
        .replace("  reg valid_q;", "  reg valid_q;\n  reg stuck_q;\n  always @(posedge clk) stuck_q <= rst_n && (stuck_q || data_q == 16'd21);");
    let report = check(&scale(&[2, 3], 8, 1, 3, 16), "stuck", &text);
    let Failure::Deadlock { pass: Pass::FullSpeed, streams, .. } = &report.failures[0] else {
        panic!("{report:?}")
    };
    assert_eq!((streams.len(), streams[0].of, streams[0].valid, streams[0].ready), (2, 1200, true, false));
    let text = report.failures[0].to_string();
    assert!(text.contains("s_axis_x passed") && text.contains("of 1200 beats, valid 1, ready 0"), "{text}");
}

#[test]
fn a_flood_ends() {
    let report = broken("flood", "assign m_axis_y_tvalid = valid_q;", "assign m_axis_y_tvalid = 1'b1;");
    assert!(report.failures.iter().any(|f| matches!(f, Failure::Extra { .. })), "{report:?}");
}

#[test]
fn a_valid_that_waits_for_ready_is_caught() {
    let report = broken(
        "waits",
        "assign m_axis_y_tvalid = valid_q;",
        "assign m_axis_y_tvalid = valid_q && m_axis_y_tready;",
    );
    assert!(
        report.failures.iter().any(|f| matches!(f, Failure::Deadlock { pass: Pass::BackPressure, .. })),
        "{report:?}"
    );
}

#[test]
fn a_missing_reset_is_caught() {
    let report = broken("noreset", "if (!rst_n) valid_q <= 1'b0;\n    else if", "if");
    assert!(!report.passed(), "{report:?}");
}

#[test]
fn state_that_only_starts_right_is_caught_by_a_reset_in_mid_stream() {
    // A counter of the beats of a sample with an initial value, but no reset.
    let extra = "  reg [2:0] beat_q;\n  initial beat_q = 3'd0;\n  always @(posedge clk)\n    if (s_axis_x_tready && s_axis_x_tvalid) \
        beat_q <= beat_q == 3'd5 ? 3'd0 : beat_q + 3'd1;\n  assign m_axis_y_tdata";
    let text = scale_verilog("initial_only", 8, 1, 3, 16);
    let text = text
        .replace("assign m_axis_y_tdata", extra)
        .replace("last_q <= s_axis_x_tlast", "last_q <= beat_q == 3'd5");
    let seeds = (1..5).map(|seed| {
        let options = CosimOptions { seed, ..CosimOptions::default() };
        check_with(&scale(&[2, 3], 8, 1, 3, 16), "initial_only", &text, 50, &options)
    });
    assert!(seeds.into_iter().any(|r| r.failed_pass() == Some(Pass::Reset)));
}

#[test]
fn a_wrong_last_and_a_set_padding_bit_are_caught() {
    let report = broken("last", "last_q <= s_axis_x_tlast", "last_q <= 1'b0");
    assert_eq!(report.first[0].fault, Fault::Last { expected: true });
    assert_eq!(report.first[0].element, [1, 2]);
    let text = scale_verilog("padding", 5, 3, 3, 9).replace("5'd0, ", "5'd4, ");
    let report = check(&scale(&[6], 5, 3, 3, 9), "padding", &text);
    assert_eq!(report.first[0].fault, Fault::Padding);
}

#[test]
fn one_beat_too_many_is_caught() {
    let edit = "else if (s_axis_x_tready) valid_q <= s_axis_x_tvalid || (last_q && valid_q && !s_axis_x_tvalid && data_q[15])";
    let report = broken("extra", "else if (s_axis_x_tready) valid_q <= s_axis_x_tvalid", edit);
    assert!(!report.passed(), "{report:?}");
}

#[test]
fn answers_that_come_before_their_samples_are_caught() {
    let again = "reg again_q;
  always @(posedge clk)
    if (!rst_n) again_q <= 1'b0;
    else if (valid_q && m_axis_y_tready) again_q <= !again_q;
  assign s_axis_x_tready = !valid_q || (m_axis_y_tready && again_q);";
    let ready = "assign s_axis_x_tready = !valid_q || m_axis_y_tready;";
    let report = broken("twice", ready, again);
    assert!(!report.passed() && report.mismatches > 0, "{report:?}");
    assert!(report.sample_cycles.iter().any(|c| c.finish < c.start && c.count() == 0), "{report:?}");
}

#[test]
fn two_streams_of_steps_and_a_memory_file_pass() {
    // y = 7 a + b with the factor from a memory file; tlast only on the last beat of the last step.
    let text = "`default_nettype none
module join2 (
  input wire clk, input wire rst_n,
  input wire [7:0] s_axis_a_tdata, input wire s_axis_a_tvalid, output wire s_axis_a_tready, input wire s_axis_a_tlast,
  input wire [7:0] s_axis_b_tdata, input wire s_axis_b_tvalid, output wire s_axis_b_tready, input wire s_axis_b_tlast,
  output wire [15:0] m_axis_y_tdata, output wire m_axis_y_tvalid, input wire m_axis_y_tready, output wire m_axis_y_tlast
);
  reg [15:0] factor [0:0];
  initial $readmemh(\"factor.mem\", factor);
  reg valid_q;
  wire go = s_axis_a_tvalid && s_axis_b_tvalid && (!valid_q || m_axis_y_tready);
  reg last_q;
  reg [15:0] data_q;
  assign s_axis_a_tready = go;
  assign s_axis_b_tready = go;
  always @(posedge clk)
    if (!rst_n) valid_q <= 1'b0;
    else if (!valid_q || m_axis_y_tready) valid_q <= go;
  always @(posedge clk)
    if (go) begin
      data_q <= {{8{s_axis_a_tdata[7]}}, s_axis_a_tdata} * factor[0] + {{8{s_axis_b_tdata[7]}}, s_axis_b_tdata};
      last_q <= s_axis_a_tlast && s_axis_b_tlast;
    end
  assign m_axis_y_tdata = data_q;
  assign m_axis_y_tvalid = valid_q;
  assign m_axis_y_tlast = last_q;
endmodule
`default_nettype wire
";
    let step = TensorType::step(&[4], QType::signed(8));
    let p = Params { input: step.clone(), lanes: 1, factor: 7, output: QType::signed(16) };
    let inputs = vec![TensorRef::Input(0), TensorRef::Input(1)];
    let network = network(&[("a", &step, 1), ("b", &step, 1)], vec![("sum", instance::<Add>(&p), inputs)]);
    let (toolbox, cache) = bench();
    let (design, folder) = (design("join2", &network), rtl("join2", text));
    let samples = samples(&network, 50, 3);
    let trace = golden(&network, &samples);
    let bench = Bench { toolbox: &toolbox, cache: &cache };
    let subject = Subject { design: &design, network: &network, rtl: folder.path() };
    let check = || cosim(&bench, &subject, &samples, &trace, &CosimOptions::default());
    let error = check().unwrap_err().to_string();
    assert!(error.contains("factor.mem"), "{error}");
    std::fs::write(folder.path().join("factor.mem"), "0007\n").unwrap();
    let report = check().unwrap().unwrap();
    assert!(report.passed(), "{report:?}");
    std::fs::write(folder.path().join("factor.mem"), "0006\n").unwrap();
    let report = check().unwrap().unwrap();
    assert!(report.mismatches > 0 && report.first[0].step < 3 && report.first[0].layer == "sum");
    assert_eq!(report.sample_cycles[1].start, 12);
}
