//! What a technology family can do: delays, sizes and the words of its synthesis script.
//!
//! One folder a family under `templates/target/`; this is its type.

use serde::{Deserialize, Serialize};

/// A technology family.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Name on the command line: `xc7`, `ice40`, ...
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Where the delays and sizes come from.
    pub source: String,
    /// Clock that designs are scheduled for unless told otherwise, MHz.
    pub clock_mhz: u32,
    /// Inputs of a lookup table.
    pub lut_inputs: u32,
    /// Delay through a lookup table and the wire after it, picoseconds.
    pub lut_ps: u32,
    /// Delay of one carry bit, picoseconds.
    pub carry_ps: u32,
    /// Delay of a hard multiplier, picoseconds.
    pub multiplier_ps: u32,
    /// Clock-to-output plus set-up of a register, picoseconds.
    pub register_ps: u32,
    /// Larger and smaller operand width of one hard multiplier (`[25, 18]`); zero when there is none.
    pub multiplier_bits: [u32; 2],
    /// Bits of one block RAM as this tool counts them.
    pub block_ram_bits: usize,
    /// Memories with at most this many words go to lookup tables.
    pub lut_ram_words: usize,
    /// The Yosys command that maps to the family (`TOP` is replaced).
    pub synth: String,
    /// Yosys cell names, by what they count as: `lut`, `ff`, `bram`, `dsp`, `carry`; a value `[name, weight]`.
    pub cells: std::collections::BTreeMap<String, Vec<(String, u32)>>,
}

impl Target {
    /// Delay that may be spent between two registers at `clock_mhz`.
    pub const fn budget_ps(&self, clock_mhz: u32) -> u32 {
        (1_000_000 / clock_mhz).saturating_sub(self.register_ps)
    }

    /// Delay of a `bits`-bit adder.
    pub const fn adder_ps(&self, bits: u32) -> u32 {
        self.lut_ps + self.carry_ps * bits
    }
}
