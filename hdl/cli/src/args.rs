//! The command line's words.

mod prune;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use nervure_core::{Bus, QType};
use nervure_front::import::{Preset, Readout};
use nervure_front::streamline::Engine;

pub(crate) use prune::PruneArgs;

/// Generates verified Verilog from trained networks.
///
/// Exit codes: 0; 1 when a check failed; 2 for bad input or a missing tool. Results go to standard output, progress to
/// standard error.
#[derive(Debug, Parser)]
#[command(name = "nervure", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print the external commands and run none of them.
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    /// No progress on standard error.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Take a network down to linted, verified and synthesised Verilog.
    Build(BuildArgs),
    /// Run the golden model alone, fast.
    Run(RunArgs),
    /// Co-simulate a build directory: a mismatch is named by layer, element, step and cycle.
    Verify(VerifyArgs),
    /// Synthesise a build directory with Yosys.
    Synth(SynthArgs),
    /// Turn a trained model (NIR, lava-dl, ONNX) into a network folder.
    Import(ImportArgs),
    /// Find neurons that are active all the time, and write masks that silence them.
    Mask(MaskArgs),
    /// Keep the N largest of every M consecutive weights, and say what is lost.
    Prune(PruneArgs),
    /// List the blocks, or describe one.
    Blocks {
        /// Block, such as `neuron/lif`.
        name: Option<String>,
    },
    /// List the boards, or describe one.
    Boards {
        /// Board, such as `arty_a7_35`.
        name: Option<String>,
    },
    /// Say which outside tools are there, and how to install the others.
    Doctor,
    /// Copy a shipped example to a new folder.
    New {
        /// Example; a wrong name lists them.
        example: String,
        /// Folder to make.
        dir: PathBuf,
    },
    /// Print the completion script of a shell.
    Completions {
        /// Shell.
        shell: clap_complete::Shell,
    },
    /// Print the JSON Schema of network files, for editors.
    Schema,
}

/// `nervure build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// Network file, or a folder that holds `network.yaml`.
    pub(crate) net: PathBuf,
    /// Technology family [default: the board's, else xc7].
    #[arg(long, conflicts_with = "board")]
    pub(crate) target: Option<String>,
    /// Board: its target and clock, and whether the design fits.
    #[arg(long)]
    pub(crate) board: Option<String>,
    /// Board, and the fastest folding that fits it: lanes and the like are chosen, unless --set decides them.
    #[arg(long, value_name = "BOARD", conflicts_with_all = ["board", "target"])]
    pub(crate) fit: Option<String>,
    /// Choose the folding, and no more hardware than makes the interval (of a step, where there are steps) so short.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) cycles: Option<u32>,
    /// Build directory [default: build/NAME].
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Replace a field of the network, such as `layers.hidden.lanes=8`.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
    /// Samples for golden model and co-simulation [default: samples.npz beside the network, else noise].
    #[arg(long, value_name = "X.npz")]
    pub(crate) input: Option<PathBuf>,
    /// Plant to close the loop with [default: plant.yaml beside the network, unless samples are named].
    #[arg(long, value_name = "PLANT.yaml", conflicts_with = "input")]
    pub(crate) plant: Option<PathBuf>,
    /// Samples to co-simulate; 0 for all.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) samples: usize,
    /// Clock to schedule for [default: the board's, else the target's].
    #[arg(long, value_name = "MHZ", value_parser = clap::value_parser!(u32).range(1..=2000))]
    pub(crate) clock: Option<u32>,
    /// Work to spend on sharing the adders of products with constants, in microseconds of one core; counted, not timed, so
    /// that equal efforts give equal designs [default: a second of two cores].
    #[arg(long, value_name = "N")]
    pub(crate) effort: Option<u64>,
    /// What reaches weights that are written at run time, where there are any [default: the network's, else axi-lite].
    #[arg(long, value_enum)]
    pub(crate) bus: Option<BusArg>,
    /// Most pipeline stages of an unrolled module, even where the clock would need more.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) stages: Option<u32>,
    /// One module a layer: unrolled neighbours do not share a pipeline.
    #[arg(long)]
    pub(crate) no_fuse: bool,
    /// Seed of initial values, stalls and the moment of the reset.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=0xffff_ffff))]
    pub(crate) seed: u64,
    /// Guard against upsets: tmr holds every register three times, with a vote that mends a flip within a cycle; ecc codes the
    /// words of memories of weights, so that a flip is corrected and two are seen; `tmr,ecc` does both.
    #[arg(long, value_enum, value_name = "HOW", value_delimiter = ',', conflicts_with = "fit")]
    pub(crate) harden: Vec<Harden>,
    /// Leave the Yosys run out.
    #[arg(long)]
    pub(crate) no_synth: bool,
}

/// How a design is guarded against upsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Harden {
    /// Every register in three copies with a majority vote.
    Tmr,
    /// Memories of weights in code words.
    Ecc,
}

/// `nervure run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Network file, a folder that holds `network.yaml`, or a build directory.
    pub(crate) net: PathBuf,
    /// Samples [default: samples.npz beside the network].
    #[arg(long, value_name = "X.npz")]
    pub(crate) input: Option<PathBuf>,
    /// Plant to close the loop with [default: plant.yaml beside the network, unless samples are named].
    #[arg(long, value_name = "PLANT.yaml", conflicts_with = "input")]
    pub(crate) plant: Option<PathBuf>,
    /// Write one array per output stream.
    #[arg(short, long, value_name = "Y.npz")]
    pub(crate) output: Option<PathBuf>,
    /// Replace a field of the network, such as `layers.hidden.lanes=8`.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
    /// Write every layer's output, too.
    #[arg(long, requires = "output")]
    pub(crate) trace: bool,
    /// Worker threads; 0 for one a core.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) threads: usize,
}

/// File that `nervure mask` writes, and may write again.
pub(crate) const MASKS: &str = "mask.npz";

/// `nervure mask`.
#[derive(Debug, Args)]
pub(crate) struct MaskArgs {
    /// Network file, or a folder that holds `network.yaml`.
    pub(crate) net: PathBuf,
    /// Samples [default: samples.npz beside the network].
    #[arg(long, value_name = "X.npz")]
    pub(crate) input: Option<PathBuf>,
    /// Silence neurons that are active in a larger share of the time steps, 0 to 1.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) rate: f64,
    /// Layer; may be given several times [default: those with a mask that another one with a mask reads].
    #[arg(long, value_name = "NAME")]
    pub(crate) layer: Vec<String>,
    /// File to write, in the folder of the network: one array per layer.
    #[arg(short, long, value_name = "NAME.npz", default_value = MASKS, value_parser = file_name)]
    pub(crate) output: String,
    /// Replace a field of the network, such as `layers.hidden.lanes=8`.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
}

/// `nervure verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Build directory.
    pub(crate) dir: PathBuf,
    /// Samples [default: those of the build].
    #[arg(long, value_name = "X.npz")]
    pub(crate) input: Option<PathBuf>,
    /// Plant to close the loop with [default: plant.yaml of the build, unless samples are named].
    #[arg(long, value_name = "PLANT.yaml", conflicts_with = "input")]
    pub(crate) plant: Option<PathBuf>,
    /// Samples to simulate; 0 for all.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) samples: usize,
    /// First seed.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=0xffff_ffff))]
    pub(crate) seed: u64,
    /// How many seeds to try, one after the other.
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) seeds: u64,
    /// Flip so many flip-flops instead, one a run, and say what became of them; a hardened design must not show any.
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "waves", "output"], value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) faults: Option<u64>,
    /// Write `sim/waves.fst` around the first mismatch, or from the start.
    #[arg(long)]
    pub(crate) waves: bool,
    /// Also load the weights of this network, the same with others, over the register bus while samples pass.
    #[arg(long, value_name = "NET")]
    pub(crate) reload: Option<PathBuf>,
    /// Replace a field of that network, such as `layers.out.weights=other.npz:out`.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, requires = "reload")]
    pub(crate) set: Vec<(String, String)>,
    /// Write the outputs of the golden model, one array per output stream.
    #[arg(short, long, value_name = "Y.npz")]
    pub(crate) output: Option<PathBuf>,
}

/// The outside of the register bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BusArg {
    /// An AXI4-Lite port of 32 bits.
    AxiLite,
    /// Two wires: an I2C slave.
    I2c,
}

impl From<BusArg> for Bus {
    fn from(bus: BusArg) -> Self {
        match bus {
            BusArg::AxiLite => Self::AxiLite,
            BusArg::I2c => Self::I2c,
        }
    }
}

/// `nervure synth`.
#[derive(Debug, Args)]
pub(crate) struct SynthArgs {
    /// Build directory.
    pub(crate) dir: PathBuf,
    /// Technology family [default: the build's].
    #[arg(long)]
    pub(crate) target: Option<String>,
    /// Liberty file of target asic, compressed or not; several are one library.
    #[arg(long, value_name = "FILE")]
    pub(crate) liberty: Vec<PathBuf>,
    /// Clock to hold target asic against [default: the build's].
    #[arg(long, value_name = "MHZ", requires = "liberty", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) clock: Option<u32>,
    /// Leave out the simulation of the mapped netlist, and so power and energy.
    #[arg(long, requires = "liberty")]
    pub(crate) no_energy: bool,
}

/// `nervure import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// A NIR graph (`.nir`), a lava-dl network (`.net`), or an ONNX model (`.onnx`).
    pub(crate) model: PathBuf,
    /// The framework whose reading of a spiking network counts: snntorch, norse, spyx, sinabs, loihi or slayer.
    #[arg(long, value_parser = |text: &str| text.parse::<Preset>())]
    pub(crate) preset: Option<Preset>,
    /// Seconds in a time step.
    #[arg(long, default_value_t = 1e-4, value_name = "S", value_parser = seconds)]
    pub(crate) dt: f64,
    /// Replace an option of the preset, such as `reset=zero`; a wrong name lists them.
    #[arg(long, value_name = "OPTION=VALUE", value_parser = key_value)]
    pub(crate) with: Vec<(String, String)>,
    /// Bits of a weight, of ONNX also of an activation [default: as few as keep every spike of the calibration samples, 8 without such].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=24))]
    pub(crate) bits: Option<u32>,
    /// Samples to choose formats by, and to compare with real numbers on: `x`, and `label` where there is one.
    #[arg(long, value_name = "X.npz")]
    pub(crate) calibrate: Option<PathBuf>,
    /// Format of the network's input [default: that of the calibration samples, else u1].
    #[arg(long, value_name = "FORMAT")]
    pub(crate) input: Option<QType>,
    /// What one integer of an ONNX model's input stands for [default: a unit of its format].
    #[arg(long, value_name = "S")]
    pub(crate) input_scale: Option<f64>,
    /// How layers of an ONNX model are built [default: unrolled where that is small].
    #[arg(long, value_enum)]
    pub(crate) engine: Option<EngineArg>,
    /// Neurons, or multipliers, of a layer at work at once, at most.
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) lanes: u32,
    /// What stands behind the last layer.
    #[arg(long, value_enum, default_value_t = ReadoutArg::Spikes)]
    pub(crate) readout: ReadoutArg,
    /// Folder to make [default: the model's name].
    #[arg(short, long, value_name = "NET")]
    pub(crate) output: Option<PathBuf>,
}

/// How layers with weights are built.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum EngineArg {
    /// All products at once: a sample a cycle.
    Unrolled,
    /// A few multipliers a layer.
    Folded,
}

impl From<EngineArg> for Engine {
    fn from(arg: EngineArg) -> Self {
        match arg {
            EngineArg::Unrolled => Self::Unrolled,
            EngineArg::Folded => Self::Folded,
        }
    }
}

/// What stands behind the last layer of an imported network.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ReadoutArg {
    /// Nothing: its output leaves, step by step.
    Spikes,
    /// The sums over the steps.
    Counts,
    /// The index of the largest sum.
    Class,
}

impl From<ReadoutArg> for Readout {
    fn from(arg: ReadoutArg) -> Self {
        match arg {
            ReadoutArg::Spikes => Self::Spikes,
            ReadoutArg::Counts => Self::Counts,
            ReadoutArg::Class => Self::Class,
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|v| v.is_finite() && *v > 0.0);
    value.ok_or_else(|| "expected a time above 0 in seconds, such as 1e-4".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|v| (0.0..=1.0).contains(v));
    value.ok_or_else(|| "expected a share from 0 to 1, such as 0.5".to_owned())
}

fn file_name(text: &str) -> Result<String, String> {
    let plain = std::path::Path::new(text).extension().is_some_and(|e| e == "npz")
        && !text.contains(['/', '\\', ':']);
    if plain {
        Ok(text.to_owned())
    } else {
        Err("expected a name such as `mask.npz`, without a folder".to_owned())
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as `layers.hidden.lanes=8`".to_owned()),
    }
}
