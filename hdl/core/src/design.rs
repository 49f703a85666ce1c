//! The second intermediate form: modules, streams and exact timing. Nothing after it decides anything.

use std::sync::Arc;

use crate::block::{Area, Body, Memory, Stream};
use crate::kernel::Stages;
use crate::num::counter_bits;
use crate::registry::Instance;
use crate::schedule::Timing;
use crate::target::Target;

/// One hardware module.
#[derive(Debug, Clone)]
pub struct Module {
    /// Verilog module name, with the design's prefix.
    pub name: String,
    /// The layer that it computes, as the person named it; for an element of the stream plumbing, the layer it feeds.
    pub layer: String,
    /// Index of that layer in the network, where the module computes one.
    pub node: Option<usize>,
    /// Block and parameters.
    pub instance: Arc<dyn Instance>,
    /// The hardware.
    pub body: Body,
    /// Pipeline of a kernel, elementwise or flat; nothing for a template.
    pub stages: Option<Stages>,
    /// How its control moves.
    pub timing: Timing,
}

impl Module {
    /// Estimated delay of the slowest pipeline stage of a kernel, picoseconds; nothing for a template.
    pub fn slowest_stage_ps(&self, target: &Target) -> Option<u32> {
        match (&self.body, &self.stages) {
            (Body::Kernel(kernel) | Body::Flat(kernel), Some(stages)) => {
                Some(kernel.critical_ps(target, stages))
            }
            _ => None,
        }
    }

    /// Estimated area: of the kernel as it was scheduled, where the module is flat, else what the block says.
    pub fn area(&self, target: &Target) -> Area {
        match (&self.body, &self.stages) {
            (Body::Flat(kernel), Some(stages)) => kernel.module_area(target, stages),
            _ => self.instance.cost(target),
        }
    }
}

/// What reaches the registers of a design from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bus {
    /// An AXI4-Lite port of 32 bits.
    #[default]
    AxiLite,
    /// Two wires: a slave with a register pointer.
    I2c,
}

impl Bus {
    /// All of them, each with the name that files and the command line use.
    pub const NAMES: [(&str, Self); 2] = [("axi-lite", Self::AxiLite), ("i2c", Self::I2c)];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AxiLite => Self::NAMES[0].0,
            Self::I2c => Self::NAMES[1].0,
        }
    }

    /// The bus of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(n, _)| *n == name).map(|(_, bus)| *bus)
    }
}

/// One end of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// Port number n of the design itself.
    Boundary(usize),
    /// A port of a module.
    Port {
        /// Index in [`Design::modules`].
        module: usize,
        /// Port number.
        port: usize,
    },
}

/// A stream between two modules, or between a module and the boundary.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Where beats come from: a boundary input or a module's output.
    pub from: Endpoint,
    /// Where they go: a boundary output or a module's input.
    pub to: Endpoint,
    /// What passes.
    pub stream: Stream,
}

/// A memory that is written at run time, in the address space of the register bus: word r begins at
/// `base + (r << (column_bits + 2))`, lowest 32 bits first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bank {
    /// Index in [`Design::modules`].
    pub module: usize,
    /// Index in the memories of its template, or the stores of its kernel.
    pub memory: usize,
    /// Whether words are written beside those in use, which they replace all at once; otherwise they are written while no
    /// sample is in the design.
    pub buffered: bool,
    /// Whether what came into use is copied afterwards: two halves of a memory instead of two registers for each word.
    pub copies: bool,
    /// Address of the first word; a multiple of the size.
    pub base: u64,
    /// Bits of the number of a word.
    pub row_bits: usize,
    /// Bits of the number of 32 bits of a word.
    pub column_bits: usize,
}

impl Bank {
    /// Bits of an address in it, in bytes.
    pub const fn size_bits(&self) -> usize {
        self.row_bits + self.column_bits + 2
    }
}

/// Modules in topological order, and the channels between them.
#[derive(Debug, Clone)]
pub struct Design {
    /// Verilog name of the top module.
    pub name: String,
    /// The network's name, as the person wrote it.
    pub title: String,
    /// File and SHA-256 of the source.
    pub source: Option<(String, String)>,
    /// Target that it is scheduled for.
    pub target: String,
    /// Clock that it is scheduled for, MHz.
    pub clock_mhz: u32,
    /// What its register bus is outside, where it has one.
    pub bus: Bus,
    /// Boundary inputs, with Verilog names.
    pub inputs: Vec<Stream>,
    /// Boundary outputs, with Verilog names.
    pub outputs: Vec<Stream>,
    /// Modules.
    pub modules: Vec<Module>,
    /// Channels.
    pub channels: Vec<Channel>,
}

impl Design {
    /// Checks what rendering and timing rely on: every port has exactly one channel of its own type, and channels run
    /// from earlier modules to later ones.
    ///
    /// Panics when broken: a design comes from our own lowering, never from a user.
    pub fn validate(&self) {
        let mut driven = std::collections::BTreeSet::new();
        let mut read = std::collections::BTreeSet::new();
        for c in &self.channels {
            assert!(driven.insert(c.to), "{:?} is driven twice", c.to);
            assert!(read.insert(c.from), "{:?} is read twice; a fork is missing", c.from);
            let (from, to) = (self.stream(c.from, false), self.stream(c.to, true));
            let same = |s: &Stream| s.tensor == c.stream.tensor && s.lanes == c.stream.lanes;
            assert!(same(from) && same(to), "channel {:?} to {:?} joins unlike streams", c.from, c.to);
            if let (Endpoint::Port { module: a, .. }, Endpoint::Port { module: b, .. }) = (c.from, c.to) {
                assert!(a < b, "modules are not in topological order");
            }
        }
        for (i, m) in self.modules.iter().enumerate() {
            let ports = m.instance.interface();
            assert!((0..ports.inputs.len()).all(|port| driven.contains(&Endpoint::Port { module: i, port })));
            assert!((0..ports.outputs.len()).all(|port| read.contains(&Endpoint::Port { module: i, port })));
        }
    }

    /// Bytes at the beginning of the address space of the register bus that belong to registers.
    pub const REGISTERS: u64 = 0x1000;

    /// The memories that are written at run time, in the order of the modules. Without any, a design has no register bus.
    pub fn banks(&self) -> Vec<Bank> {
        let mut end = Self::REGISTERS;
        let mut list = Vec::new();
        for (module, m) in self.modules.iter().enumerate() {
            for (memory, held) in m.body.run_time() {
                let (row_bits, columns) = (counter_bits(held.words.len()), held.width.div_ceil(32));
                let column_bits = if columns > 1 { counter_bits(columns) } else { 0 };
                let (buffered, copies) = (held.buffered, held.buffered && !matches!(m.body, Body::Flat(_)));
                let mut bank = Bank { module, memory, buffered, copies, base: 0, row_bits, column_bits };
                let size = 1u64 << bank.size_bits();
                bank.base = end.next_multiple_of(size);
                end = bank.base + size;
                list.push(bank);
            }
        }
        list
    }

    /// Bits of an address on the register bus, in bytes.
    pub fn address_bits(&self) -> usize {
        let end = self.banks().last().map_or(Self::REGISTERS, |b| b.base + (1 << b.size_bits()));
        (u64::BITS - (end - 1).leading_zeros()) as usize
    }

    /// Bytes of an address where it passes as bytes.
    pub fn pointer_bytes(&self) -> usize {
        self.address_bits().div_ceil(8)
    }

    /// The memory of a bank.
    ///
    /// Panics for a bank of another design.
    pub fn held(&self, bank: &Bank) -> Memory {
        let list = self.modules[bank.module].body.run_time();
        let found = list.into_iter().find(|(n, _)| *n == bank.memory);
        found.expect("a bank of this design").1
    }

    fn stream(&self, end: Endpoint, consumer: bool) -> &Stream {
        match (end, consumer) {
            (Endpoint::Boundary(n), true) => &self.outputs[n],
            (Endpoint::Boundary(n), false) => &self.inputs[n],
            (Endpoint::Port { module, port }, true) => {
                &self.modules[module].instance.interface().inputs[port]
            }
            (Endpoint::Port { module, port }, false) => {
                &self.modules[module].instance.interface().outputs[port]
            }
        }
    }
}
