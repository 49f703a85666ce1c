//! Three small blocks, networks of them, and hand-written Verilog, right and wrong.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "every test binary uses its own part")]

use std::path::PathBuf;
use std::sync::Arc;

use nervure_core::block::Rng;
use nervure_core::network::NodeId;
use nervure_core::registry::erase;
use nervure_core::{
    Area, Block, Body, Design, Diagnostic, Elements, InputPort, Instance, Interface, Network, Node, QType,
    Samples, Schedule, Stream, Target, TensorRef, TensorType,
};
use nervure_sim::golden::{GoldenOptions, Trace, run};
use nervure_sim::{Cache, Toolbox};

/// Parameters of all three blocks.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What enters, on every input.
    pub input: TensorType,
    /// Elements a beat.
    pub lanes: usize,
    /// Factor.
    pub factor: i64,
    /// Format of the result.
    pub output: QType,
}

macro_rules! block {
    ($name:ident, $folder:literal, $inputs:expr, $output:expr, $step:expr) => {
        pub struct $name;

        impl Block for $name {
            type Params = Params;
            type State = Vec<i64>;
            const NAME: &'static str = $folder;
            const README: &'static str = "";

            fn examples() -> Vec<Params> {
                Vec::new()
            }
            fn sample(_: &TensorType, _: &mut Rng) -> Option<Params> {
                None
            }
            fn interface(p: &Params) -> Result<Interface, Diagnostic> {
                let y: fn(&TensorType, QType) -> TensorType = $output;
                let inputs = $inputs.iter().map(|n| Stream::new(n, p.input.clone(), p.lanes)).collect();
                Ok(Interface { inputs, outputs: vec![Stream::new("y", y(&p.input, p.output), p.lanes)] })
            }
            fn state(p: &Params) -> Vec<i64> {
                vec![0; p.input.len()]
            }
            fn reset(_: &Params, s: &mut Vec<i64>) {
                s.fill(0);
            }
            fn step(p: &Params, s: &mut Vec<i64>, x: &[&[i64]], y: &mut [&mut [i64]]) {
                let step: fn(i64, &mut i64, &[&[i64]], usize) -> i64 = $step;
                for (i, s) in s.iter_mut().enumerate() {
                    y[0][i] = step(p.factor, s, x, i);
                }
            }
            fn body(_: &Params) -> Body {
                unreachable!("the tests bring their own Verilog")
            }
            fn schedule(_: &Params, _: &Self::State, _: &[&[i64]], _: bool, _: &mut Schedule) {}
            fn cost(_: &Params, _: &Target) -> Area {
                Area::default()
            }
        }
    };
}

block!(Scale, "test/scale", ["x"], |x, q| x.with_format(q), |f, _, x, i| f * x[0][i]);
block!(Add, "test/add", ["a", "b"], |x, q| x.with_format(q), |f, _, x, i| f * x[0][i] + x[1][i]);
block!(Total, "test/total", ["x"], |x, q| TensorType::frame(&x.shape, q), |f, s, x, i| {
    *s += f * x[0][i];
    *s
});

/// A block with parameters.
pub fn instance<B: Block>(p: &Params) -> Arc<dyn Instance> {
    erase::<B>().instantiate(serde_json::to_value(p).unwrap()).unwrap()
}

/// A network of layers `(name, instance, inputs)`, whose last layer is the output `y`.
pub fn network(
    inputs: &[(&str, &TensorType, usize)],
    layers: Vec<(&str, Arc<dyn Instance>, Vec<TensorRef>)>,
) -> Network {
    let port = |&(name, tensor, lanes): &(&str, &TensorType, usize)| InputPort {
        name: name.into(),
        tensor: tensor.clone(),
        lanes,
    };
    let last = NodeId(layers.len() - 1);
    let node =
        |(name, instance, inputs): (&str, _, _)| Node { name: String::from(name), instance, inputs, fifo: 0 };
    let network = Network {
        name: "test".into(),
        source: None,
        bus: None,
        inputs: inputs.iter().map(port).collect(),
        nodes: layers.into_iter().map(node).collect(),
        outputs: vec![("y".into(), TensorRef::Output(last, 0))],
    };
    network.validate().unwrap();
    network
}

/// One `Scale` layer.
pub fn scale(shape: &[usize], bits: u8, lanes: usize, factor: i64, out_bits: u8) -> Network {
    let input = TensorType::frame(shape, QType::signed(bits));
    let p = Params { input: input.clone(), lanes, factor, output: QType::signed(out_bits) };
    network(&[("x", &input, lanes)], vec![("layer", instance::<Scale>(&p), vec![TensorRef::Input(0)])])
}

/// A design with the network's boundary, and no inside.
pub fn design(name: &str, network: &Network) -> Design {
    Design {
        bus: nervure_core::Bus::AxiLite,
        name: name.into(),
        title: name.into(),
        source: None,
        target: "ice40".into(),
        clock_mhz: 100,
        inputs: (0..network.inputs.len()).map(|n| network.stream(TensorRef::Input(n))).collect(),
        outputs: network
            .outputs
            .iter()
            .map(|(n, r)| Stream { name: n.clone(), ..network.stream(*r) })
            .collect(),
        modules: Vec::new(),
        channels: Vec::new(),
    }
}

/// Reproducible noise over the whole range of every input.
pub fn samples(network: &Network, count: usize, steps: usize) -> Samples {
    let mut state = 0x1234_5678_9abc_def1u64;
    let mut draw = |q: QType| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        q.min() + (state >> 33) as i64 % (q.max() - q.min() + 1)
    };
    let input = |p: &InputPort| {
        let frames = if p.tensor.rate.steps() { steps } else { 1 };
        Elements::I64((0..count * frames * p.tensor.len()).map(|_| draw(p.tensor.format)).collect())
    };
    Samples { count, steps, inputs: network.inputs.iter().map(input).collect(), labels: None, targets: None }
}

/// The golden answer.
pub fn golden(network: &Network, samples: &Samples) -> Trace {
    run(network, samples, GoldenOptions::default(), &|_| ()).unwrap()
}

/// Verilog of one `Scale` layer: one register, full throughput.
pub fn scale_verilog(name: &str, bits: usize, lanes: usize, factor: i64, out_bits: usize) -> String {
    let (iw, ow) = ((bits * lanes).next_multiple_of(8), (out_bits * lanes).next_multiple_of(8));
    let lane = |i: usize| {
        let (top, low, grow) = (i * bits + bits - 1, i * bits, out_bits - bits);
        format!(
            "  wire signed [{}:0] x{i} = {{{{{grow}{{s_axis_x_tdata[{top}]}}}}, s_axis_x_tdata[{top}:{low}]}};\n  \
             wire signed [{0}:0] y{i} = x{i} * {out_bits}'sd{factor};\n",
            out_bits - 1
        )
    };
    let lanes_text: String = (0..lanes).map(lane).collect();
    let padding =
        if ow > lanes * out_bits { format!("{}'d0, ", ow - lanes * out_bits) } else { String::new() };
    let joined: Vec<String> = (0..lanes).rev().map(|i| format!("y{i}")).collect();
    format!(
        "`default_nettype none
module {name} (
  input wire clk,
  input wire rst_n,
  input wire [{}:0] s_axis_x_tdata,
  input wire s_axis_x_tvalid,
  output wire s_axis_x_tready,
  input wire s_axis_x_tlast,
  output wire [{}:0] m_axis_y_tdata,
  output wire m_axis_y_tvalid,
  input wire m_axis_y_tready,
  output wire m_axis_y_tlast
);
  reg valid_q;
  reg last_q;
  reg [{}:0] data_q;
{lanes_text}  assign s_axis_x_tready = !valid_q || m_axis_y_tready;
  always @(posedge clk) begin
    if (!rst_n) valid_q <= 1'b0;
    else if (s_axis_x_tready) valid_q <= s_axis_x_tvalid;
  end
  always @(posedge clk) begin
    if (s_axis_x_tready) begin
      data_q <= {{{padding}{}}};
      last_q <= s_axis_x_tlast;
    end
  end
  assign m_axis_y_tdata = data_q;
  assign m_axis_y_tvalid = valid_q;
  assign m_axis_y_tlast = last_q;
endmodule
`default_nettype wire
",
        iw - 1,
        ow - 1,
        ow - 1,
        joined.join(", ")
    )
}

/// A folder with one file, `NAME.v`.
pub fn rtl(name: &str, text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(format!("{name}.v")), text).unwrap();
    folder
}

/// Toolbox and the cache that all tests share.
pub fn bench() -> (Toolbox, Cache) {
    let default = Cache::open();
    let root =
        std::env::var_os("CARGO_TARGET_TMPDIR").map_or_else(|| default.root().to_owned(), PathBuf::from);
    (Toolbox::new(), Cache::at(root))
}
