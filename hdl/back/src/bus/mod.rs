//! The register bus: memories and stores that are written at run time, behind one AXI4-Lite port of the design or two wires.
//! Deliberately absent: what they mean (their blocks say it in a line), and registers of blocks.

mod map;
mod modules;

use nervure_core::{Bank, Bus, Design, Module, Registry};
use serde_json::{Value, json};

use crate::render::{File, print};

/// What the register at address 0 reads as: `NERV`.
const ID: u32 = 0x4e45_5256;

pub(crate) use modules::{bank, pair, store};

/// What all memories hear, and what stores hear, too.
const SHARED: [&str; 4] = ["bus_free", "bus_write", "bus_wdata", "bus_wstrb"];
const STORES: [&str; 2] = ["bus_swap", "bus_active"];

/// Whether a design has memories that are written while no sample is in it.
fn live(design: &Design) -> bool {
    design.banks().iter().any(|b| !b.buffered)
}

/// Whether a design has stores.
fn stores(design: &Design) -> bool {
    design.banks().iter().any(|b| b.buffered)
}

/// Name of a bank among the nets of the top module: unique, for modules and memories are.
pub(super) fn net(design: &Design, bank: &Bank) -> String {
    let module = &design.modules[bank.module].name;
    let own = module.strip_prefix(&format!("{}_", design.name)).unwrap_or(module);
    format!("bus_{own}_{}", design.held(bank).name)
}

/// The AXI4-Lite ports of the registers; nothing without any.
fn axil(design: &Design) -> Vec<String> {
    if design.banks().is_empty() {
        return Vec::new();
    }
    let top = design.address_bits() - 1;
    let port = |text: &str| text.to_owned();
    vec![
        format!("input  wire [{top}:0] s_axil_awaddr"),
        port("input  wire s_axil_awvalid"),
        port("output wire s_axil_awready"),
        port("input  wire [31:0] s_axil_wdata"),
        port("input  wire [3:0] s_axil_wstrb"),
        port("input  wire s_axil_wvalid"),
        port("output wire s_axil_wready"),
        port("output wire [1:0] s_axil_bresp"),
        port("output wire s_axil_bvalid"),
        port("input  wire s_axil_bready"),
        format!("input  wire [{top}:0] s_axil_araddr"),
        port("input  wire s_axil_arvalid"),
        port("output wire s_axil_arready"),
        port("output wire [31:0] s_axil_rdata"),
        port("output wire [1:0] s_axil_rresp"),
        port("output wire s_axil_rvalid"),
        port("input  wire s_axil_rready"),
    ]
}

/// The ports of the top module that reach the registers.
pub(crate) fn ports(design: &Design) -> Vec<String> {
    match design.bus {
        _ if design.banks().is_empty() => Vec::new(),
        Bus::AxiLite => axil(design),
        Bus::I2c => [
            "input  wire i2c_scl",
            "input  wire i2c_sda",
            "output wire i2c_sda_low",
            "input  wire [6:0] i2c_address",
        ]
        .map(ToOwned::to_owned)
        .to_vec(),
    }
}

/// A port's name: the last word of its declaration.
fn name(port: &str) -> String {
    port.rsplit(' ').next().unwrap_or_default().to_owned()
}

/// Every net connected to the port of the same name.
fn alike(ports: impl IntoIterator<Item = String>) -> impl Iterator<Item = [String; 2]> {
    ports.into_iter().map(|p| [name(&p), name(&p)])
}

/// The module that makes accesses of what two wires say, and the nets between it and the registers.
fn i2c(design: &Design) -> (Value, Vec<String>) {
    if design.bus != Bus::I2c {
        return (Value::Null, Vec::new());
    }
    let between: Vec<String> = axil(design);
    let clock = ["clk", "rst_n"].map(ToOwned::to_owned);
    let mut list: Vec<[String; 2]> = alike(clock.into_iter().chain(ports(design))).collect();
    list.extend(between.iter().map(|p| [name(p).replacen("s_", "", 1), name(p)]));
    let wires =
        between.iter().map(|p| p.split_once("wire").map_or(String::new(), |(_, p)| format!("wire{p}")));
    (json!({"module": format!("{}_i2c", design.name), "connections": list}), wires.collect())
}

/// What the top module prints of the bus; null without one.
pub(crate) fn context(design: &Design) -> Value {
    let banks = design.banks();
    if banks.is_empty() {
        return Value::Null;
    }
    let clock = ["clk", "rst_n"].map(ToOwned::to_owned);
    let mut list: Vec<[String; 2]> = alike(clock.into_iter().chain(axil(design))).collect();
    let input = format!("s_axis_{}", design.inputs[0].name);
    list.push(["taken".into(), format!("{input}_tvalid & {input}_tready")]);
    list.push(["taken_last".into(), format!("{input}_tlast")]);
    list.push(["held".into(), "bus_held".into()]);
    for (n, output) in design.outputs.iter().enumerate() {
        let m = format!("m_axis_{}", output.name);
        list.push([format!("output_{n}_ends"), format!("{m}_tvalid & {m}_tready & {m}_tlast")]);
    }
    for bank in &banks {
        let name = net(design, bank);
        for part in parts(bank) {
            list.push([format!("{name}_{part}"), format!("{name}_{part}")]);
        }
    }
    let heard = SHARED.iter().filter(|p| live(design) || **p != "bus_free");
    list.extend(heard.map(|p| [(*p).to_owned(), (*p).to_owned()]));
    if stores(design) {
        list.extend(STORES.map(|p| [p.into(), p.into()]));
    }
    let named: Vec<Value> = banks
        .iter()
        .map(|b| json!({"name": net(design, b), "bus_bits": b.row_bits + b.column_bits, "copies": b.copies}))
        .collect();
    let (i2c, wires) = i2c(design);
    json!({"module": format!("{}_bus", design.name), "connections": list, "banks": named, "live": live(design), "stores": stores(design),
        "i2c": i2c, "wires": wires})
}

/// Ports of a module whose memories or stores are on the bus.
pub(crate) fn module_ports(module: &Module, design: &Design) -> Vec<String> {
    let mut list = Vec::new();
    let mut heard: &[&str] = &[];
    for bank in design.banks().iter().filter(|b| std::ptr::eq(&raw const design.modules[b.module], module)) {
        let (name, bits) = (design.held(bank).name, bank.row_bits + bank.column_bits);
        list.push(format!("input  wire bus_{name}_select"));
        list.push(format!("input  wire [{}:0] bus_{name}_address", bits - 1));
        list.push(format!("output wire [31:0] bus_{name}_rdata"));
        list.extend(bank.copies.then(|| format!("output wire bus_{name}_copies")));
        heard = hears(bank);
    }
    let shared = heard.iter().map(|port| match *port {
        "bus_wdata" => "input  wire [31:0] bus_wdata".into(),
        "bus_wstrb" => "input  wire [3:0] bus_wstrb".into(),
        bit => format!("input  wire {bit}"),
    });
    list.extend(shared);
    list
}

/// What passes between the bus and one bank.
fn parts(bank: &Bank) -> &'static [&'static str] {
    if bank.copies { &["select", "address", "rdata", "copies"] } else { &["select", "address", "rdata"] }
}

/// What the module of a bank hears of the bus beside accesses.
fn hears(bank: &Bank) -> &'static [&'static str] {
    if bank.buffered { &["bus_swap", "bus_active", "bus_write", "bus_wdata", "bus_wstrb"] } else { &SHARED }
}

/// What the top module connects to those.
pub(crate) fn connections(design: &Design, module: usize) -> Vec<[String; 2]> {
    let mut list = Vec::new();
    let mut heard: &[&str] = &[];
    for bank in design.banks().iter().filter(|b| b.module == module) {
        let (name, net) = (design.held(bank).name, net(design, bank));
        for part in parts(bank) {
            list.push([format!("bus_{name}_{part}"), format!("{net}_{part}")]);
        }
        heard = hears(bank);
    }
    list.extend(heard.iter().map(|p| [(*p).to_owned(), (*p).to_owned()]));
    list
}

/// The bus of a design, and its register map for people and for tools; nothing without memories on it.
pub(crate) fn files(design: &Design, registry: &Registry, origin: &str) -> Vec<File> {
    let banks = design.banks();
    if banks.is_empty() {
        return Vec::new();
    }
    let module = format!("{}_bus", design.name);
    let bits = design.address_bits();
    let list: Vec<Value> = banks
        .iter()
        .map(|b| {
            json!({"name": net(design, b), "bus_bits": b.row_bits + b.column_bits, "size_bits": b.size_bits(),
                "page": format!("{:x}", b.base >> b.size_bits()), "buffered": b.buffered, "copies": b.copies})
        })
        .collect();
    let header = vec![
        format!("{module}: weights at run time, behind AXI4-Lite"),
        format!("{origin}. Do not edit."),
        "The address map is in registers/registers.md.".into(),
    ];
    let outputs: Vec<String> = (0..design.outputs.len()).map(|n| format!("output_{n}")).collect();
    // From the last word of a store to the first of the next.
    let ends: Vec<(u64, u64)> = (banks.iter().filter(|b| b.buffered))
        .map(|b| (b.base >> 2, (b.base >> 2) + ((design.held(b).words.len() as u64) << b.column_bits) - 1))
        .collect();
    let next = |n: usize| ends.get(n + 1).map(|(first, _)| format!("{first:x}"));
    let scans: Vec<Value> = (ends.iter().enumerate())
        .map(|(n, (_, last))| json!({"last": format!("{last:x}"), "next": next(n)}))
        .collect();
    let copies: Vec<String> =
        banks.iter().filter(|b| b.copies).map(|b| format!("{}_copies", net(design, b))).collect();
    let context = json!({
        "copies": copies.join(" | "), "live": live(design), "stores": stores(design), "scans": scans,
        "first_word": ends.first().map(|(first, _)| format!("{first:x}")),
        "module": module, "header": header, "axil": axil(design), "outputs": outputs, "banks": list,
        "address_bits": bits, "id": format!("{ID:08x}"),
    });
    let bus = File { path: format!("rtl/{module}.v"), text: print(registry, "bus.v", None, &context) };
    let mut list = vec![bus];
    list.extend((design.bus == Bus::I2c).then(|| modules::i2c(design, registry, origin)));
    list.extend(map::files(design, &banks));
    list
}
