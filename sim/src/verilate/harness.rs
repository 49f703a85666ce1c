//! The C++ text around a design: fixed code, and a list of the ports.

use nervure_core::{Bus, Design};

use super::Port;

/// The fixed code.
pub fn harness() -> &'static str {
    include_str!("harness.cpp")
}

/// Input and output ports of a design.
pub(crate) fn ports(design: &Design) -> (Vec<Port>, Vec<Port>) {
    let of = |streams: &[nervure_core::Stream], input| streams.iter().map(|s| Port::new(s, input)).collect();
    (of(&design.inputs, true), of(&design.outputs, false))
}

/// The text that names the ports and includes the fixed code as `harness.cpp`.
pub fn main_text(design: &Design) -> String {
    let (inputs, outputs) = ports(design);
    format!(
        "// Co-simulation of {}.\n#define MODEL V\n#define NERVURE_BUS {}\n#define INPUTS(X){}\n#define OUTPUTS(X){}\n#include \"harness.cpp\"\n",
        design.name,
        match design.bus {
            _ if design.banks().is_empty() => 0,
            Bus::AxiLite => 1,
            Bus::I2c => 2,
        },
        list(&inputs),
        list(&outputs)
    )
}

fn list(ports: &[Port]) -> String {
    let item = |(i, p): (usize, &Port)| {
        let mask = u32::MAX >> (p.words * 32 - p.bits);
        format!(" \\\n  X({i}, {}, {}, {mask:#x}u)", p.prefix, p.words)
    };
    ports.iter().enumerate().map(item).collect()
}
