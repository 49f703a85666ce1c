//! Small modules, before and after.

use super::{read, rewrite, storage};

const COUNTER: &str = "module m (\n  input wire clk\n);\n  reg  [3:0] n_q;  // counts\n  reg  on_q;\n  wire x_d = on_q;\n\n  always @(posedge clk)\n    if (~rst_n) n_q <= 4'd0;\n    else begin\n      // One more.\n      n_q <= n_q + 4'd1;\n    end\n\n  always @(posedge clk) if (n_q[0]) on_q <= ~on_q;\nendmodule\n";

fn hard(text: &str) -> Result<(String, usize), String> {
    rewrite::triplicate(text, &read::read(text)?, "m_tmr")
}

#[test]
fn a_register_becomes_an_instance() {
    let (text, count) = hard(COUNTER).unwrap();
    assert_eq!(count, 2);
    assert_eq!(
        text,
        "module m (\n  input wire clk\n);\n  wire [3:0] n_q;  // counts\n  reg  [3:0] n_d;\n  \
         m_tmr #(.WIDTH(4)) tmr_n_q (.clk(clk), .next(n_d), .held(n_q));\n  wire on_q;\n  reg  on_d;\n  \
         m_tmr #(.WIDTH(1)) tmr_on_q (.clk(clk), .next(on_d), .held(on_q));\n  wire x_d = on_q;\n\n  \
         always @* begin\n    n_d = n_q;\n    if (~rst_n) n_d = 4'd0;\n    else begin\n      // One more.\n      \
         n_d = n_q + 4'd1;\n    end\n  end\n\n  always @* begin\n    on_d = on_q;\n    if (n_q[0]) on_d = ~on_q;\n  \
         end\nendmodule\n"
    );
    assert!(!text.contains("posedge"));
}

#[test]
fn a_range_need_not_end_at_zero() {
    let (text, _) = hard(&COUNTER.replace("[3:0]", "[13:2]")).unwrap();
    assert!(text.contains("wire [13:2] n_q;") && text.contains("reg  [13:2] n_d;"), "{text}");
    assert!(text.contains("m_tmr #(.WIDTH(12)) tmr_n_q (.clk(clk), .next(n_d), .held(n_q));"), "{text}");
}

#[test]
fn memories_stay_at_the_edge() {
    let text = "module m (\n  input wire clk\n);\n  reg [3:0] a_mem [0:7];\n  reg [3:0] b_q;\n\n  \
        always @(posedge clk) begin\n    if (w) a_mem[x] <= y;\n    else b_q <= a_mem[z];\n  end\nendmodule\n";
    let (text, count) = hard(text).unwrap();
    assert_eq!(count, 1);
    assert!(text.contains("if (w) begin\n      a_mem[x] <= y;\n    end\n"), "{text}");
    assert!(text.contains("  wire [3:0] a_read = a_mem[z];\n  always @* begin\n"), "{text}");
    assert!(text.contains("if (!(w)) begin\n      b_d = a_read;\n    end\n"), "{text}");
}

#[test]
fn what_is_not_understood_is_refused() {
    let module = |body: &str| format!("module m (\n  input wire clk\n);\n  reg a_q;\n  {body}\nendmodule\n");
    for body in [
        "always @(negedge clk) a_q <= 1'b0;",
        "always @(posedge clk or posedge b) a_q <= 1'b0;",
        "always @(posedge clk) b_q <= 1'b0;",
        "always @(posedge clk) a_q <= 1'b0;\n  always @(posedge clk) a_q <= 1'b1;",
        "always @* a_q <= 1'b0;",
        "reg b_q = 1'b0;",
        "reg [1:8] b_q;",
        "initial a_q = 1'b0;",
        "always @(posedge clk) {a_q, b_q} <= 2'd0;",
    ] {
        assert!(hard(&module(body)).is_err(), "{body}");
    }
}

#[test]
fn registers_are_found_in_every_scope() {
    let names = |text: &str| storage(text).unwrap().registers.into_iter().collect::<Vec<_>>();
    assert_eq!(names(COUNTER), ["n_q", "on_q"]);
    let text = "module m (\n  input wire clk\n);\n  generate\n    for (g = 0; g < 2; g = g + 1) begin : gen_a\n      \
        reg x_q;\n      always @(posedge clk) x_q <= y[g];\n    end\n    for (g = 0; g < 2; g = g + 1) begin : gen_b\n      \
        reg [1:0] x_q;\n      always @(posedge clk) x_q <= z[g];\n    end\n  endgenerate\nendmodule\n";
    assert_eq!(names(text), ["x_q"]);
    let (text, count) = hard(text).unwrap();
    assert_eq!(count, 2);
    assert!(text.contains("m_tmr #(.WIDTH(2)) tmr_x_q"), "{text}");
}

#[test]
fn instances_are_found() {
    let text = "module m (\n  input wire clk\n);\n  wire a = b;\n  m_x u_x (\n    .clk(clk)\n  );\n  generate\n    \
        for (g = 0; g < 2; g = g + 1) begin : gen_a\n      m_y #(.W(2), .V((3))) u_y (.clk(clk));\n    end\n  endgenerate\n  \
        assign c = d;\nendmodule\n";
    let found: Vec<_> = storage(text).unwrap().instances.into_iter().collect();
    assert_eq!(found, [("u_x".into(), "m_x".into()), ("u_y".into(), "m_y".into())]);
}

#[test]
fn blocks_may_write_parts_of_a_register() {
    let text = "module m (\n  input wire clk\n);\n  reg [3:0] a_q;\n  reg [3:0] b_mem [0:7];\n  integer i;\n  \
        initial for (i = 0; i < 8; i = i + 1) b_mem[i] = 4'd0;\n  always @(posedge clk) if (x) a_q[1:0] <= y;\n  \
        always @(posedge clk) a_q[3:2] <= z;\nendmodule\n";
    let (text, count) = hard(text).unwrap();
    assert_eq!(count, 1);
    assert!(text.contains("a_d[1:0] = a_q[1:0];\n    if (x) a_d[1:0] = y;"), "{text}");
    assert!(text.contains("a_d[3:2] = a_q[3:2];\n    a_d[3:2] = z;"), "{text}");
}
