//! The modules on the register bus: memories, stores, and the slave that two wires talk to.

use nervure_core::kernel::{Store, emit::literal};
use nervure_core::num::counter_bits;
use nervure_core::{Design, Memory, Registry};
use serde_json::{Value, json};

use crate::render::{File, print};

/// Clocks of the design in one of the two wires, at least.
pub(super) const CLOCKS: u32 = 40;
/// A spike on the two wires that has to go unnoticed, nanoseconds.
const SPIKE_NS: u32 = 50;

/// The module of a memory that is written at run time, while no sample is in the design.
pub(crate) fn bank(
    registry: &Registry,
    module: &str,
    memory: &Memory,
    file: &str,
    style: &str,
    origin: &str,
) -> File {
    let mut context = written(module, memory, file, style);
    context["header"] = json!([
        format!("{module}: a memory that the register bus writes"),
        format!("{origin}. Do not edit."),
        format!("Its contents after configuration are those of {file}; reset leaves them as they are."),
    ]);
    File { path: format!("rtl/{module}.v"), text: print(registry, "bank.v", None, &context) }
}

/// The module of a memory of two halves, one in use and one that waits, and what both hold at first.
pub(crate) fn pair(
    registry: &Registry,
    module: &str,
    memory: &Memory,
    file: &str,
    style: &str,
    origin: &str,
) -> [File; 3] {
    let mut context = written(module, memory, file, style);
    context["header"] = json!([
        format!("{module}: a memory that the register bus writes beside what is in use"),
        format!("{origin}. Do not edit."),
        format!(
            "Both halves of {file} are the words of the network. Reset makes the first half the one in use."
        ),
    ]);
    let rows = 1usize << counter_bits(memory.words.len());
    context["last_place"] = json!(2 * rows - 1);
    context["last_row"] = json!(memory.words.len() - 1);
    let zero = "0".repeat(memory.width.div_ceil(4));
    let half: Vec<&str> =
        memory.words.iter().map(String::as_str).chain(std::iter::repeat(zero.as_str())).take(rows).collect();
    let both = half.join("\n") + "\n";
    [
        File { path: format!("rtl/{module}.v"), text: print(registry, "pair.v", None, &context) },
        File { path: format!("rtl/{file}"), text: both.repeat(2) },
        // What to write for these words is what another build of the network has here.
        File { path: format!("registers/{file}"), text: memory.words.join("\n") + "\n" },
    ]
}

/// What both print of a memory.
fn written(module: &str, memory: &Memory, file: &str, style: &str) -> Value {
    let width = memory.width;
    let (row_bits, columns) = (counter_bits(memory.words.len()), width.div_ceil(32));
    let column_bits = if columns > 1 { counter_bits(columns) } else { 0 };
    let bytes: Vec<Value> = (0..width.div_ceil(8))
        .map(|byte| {
            let (lo, hi) = (8 * byte, (8 * byte + 7).min(width - 1));
            json!({"strobe": byte % 4, "column": byte / 4, "lo": lo, "hi": hi,
                "from_lo": lo % 32, "from_hi": hi % 32})
        })
        .collect();
    let mut unused = Vec::new();
    if width < 32 {
        unused.push(format!("bus_wdata[31:{width}]"));
        let strobes = width.div_ceil(8);
        unused.extend((strobes < 4).then(|| format!("bus_wstrb[3:{strobes}]")));
    }
    json!({
        "module": module, "file": file, "style": style, "width": width, "depth": memory.words.len(),
        "row_bits": row_bits, "column_bits": column_bits, "bus_bits": row_bits + column_bits,
        "padded": 32usize << column_bits, "bytes": bytes, "unused": unused.join(", "),
    })
}

/// The module of a store: two words for each, one in use and one that waits.
pub(crate) fn store(registry: &Registry, module: &str, store: &Store, origin: &str) -> Vec<File> {
    let memory = store.memory();
    let (name, bits) = (format!("{module}_{}", store.name), usize::from(store.format.bits));
    let (rows, width) = (memory.words.len(), memory.width);
    let row_bits = counter_bits(rows);
    let mut all = store.words.clone();
    all.resize(rows * store.packed(), 0);
    let digits: Vec<String> = all.iter().rev().map(|w| literal((*w).into(), bits as u32)).collect();
    let first: Vec<String> = digits.chunks(store.packed()).map(|row| row.join(", ")).collect();
    let bytes: Vec<Value> = (0..width.div_ceil(8))
        .map(|byte| json!({"strobe": byte, "lo": 8 * byte, "hi": (8 * byte + 7).min(width - 1)}))
        .collect();
    let reads: Vec<Value> =
        (0..rows).map(|row| json!({"row": row, "lo": row * width, "hi": (row + 1) * width - 1})).collect();
    let mut unused = Vec::new();
    unused.extend((width < 32).then(|| format!("bus_wdata[31:{width}]")));
    unused.extend((bytes.len() < 4).then(|| format!("bus_wstrb[3:{}]", bytes.len())));
    let header = vec![
        format!("{name}: {}", store.holds),
        format!("{origin}. Do not edit."),
        format!("{} words of {}; reset makes them those of the network.", store.words.len(), store.format),
    ];
    let context = json!({
        "module": name, "header": header, "rows": rows, "width": width, "row_bits": row_bits, "first": first,
        "used": store.words.len() * bits, "bytes": bytes, "unused": unused.join(", "), "reads": reads,
    });
    // What to write for these words is what another build of the network has here.
    let words = memory.words.join("\n") + "\n";
    vec![
        File { path: format!("rtl/{name}.v"), text: print(registry, "store.v", None, &context) },
        File { path: format!("registers/{name}.mem"), text: words },
    ]
}

/// The slave behind two wires.
pub(super) fn i2c(design: &Design, registry: &Registry, origin: &str) -> File {
    let module = format!("{}_i2c", design.name);
    let (address_bits, pointer_bytes) = (design.address_bits(), design.pointer_bytes());
    let filter = (SPIKE_NS * design.clock_mhz).div_ceil(1000).max(1) as usize + 1;
    let header = vec![
        format!("{module}: registers over I2C, with a pointer that moves on by itself"),
        format!("{origin}. Do not edit."),
        "The address map is in registers/registers.md.".into(),
    ];
    let context = json!({
        "module": module, "header": header, "address_bits": address_bits, "pointer_bytes": pointer_bytes,
        "pointer_bits": 8 * pointer_bytes, "count_bits": counter_bits(pointer_bytes), "filter": filter,
        "ones": "1".repeat(filter),
    });
    File { path: format!("rtl/{module}.v"), text: print(registry, "i2c.v", None, &context) }
}
