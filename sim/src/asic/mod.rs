//! A design in standard cells: Yosys maps it to a liberty file, cells are counted, OpenSTA tells the slack and the power.
//!
//! Before layout: no wires, no clock tree, no scan. Deliberately absent: place and route.

mod activity;
mod function;
mod liberty;
mod models;
mod scan;
mod sdf;
mod sta;
mod stand;
mod vcd;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nervure_core::{Samples, Target};
use serde::Serialize;

use crate::cosim::{Bench, Subject};
use crate::golden::Trace;
use crate::synth::{cells, script};
use crate::tool::{Call, MissingTool, quote};
use crate::verilate::{names, sources};
pub use activity::Activity;
use activity::Mapped;
use liberty::{Cell, Library};

/// Products from which each kind of multiplier is mapped once: ABC takes too long for so many at a time.
const MANY_PRODUCTS: usize = 256;

/// What to map, and to what.
#[derive(Debug, Clone, Copy)]
pub struct AsicOptions<'a> {
    /// Liberty files, compressed or not; several are read as one library.
    pub liberty: &'a [PathBuf],
    /// Clock.
    pub clock_mhz: u32,
    /// What the netlist is simulated on for its activity, and the golden model's answer; the power is told for it alone.
    /// Without OpenSTA it is not simulated.
    pub samples: Option<(&'a Samples, &'a Trace)>,
}

/// A design in standard cells.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Asic {
    /// Target's name.
    pub target: String,
    /// Names of the libraries.
    pub liberty: Vec<String>,
    /// The gate that areas are counted in: the smallest NAND of two inputs.
    pub nand2: String,
    /// Its area, square micrometres.
    pub nand2_um2: f64,
    /// Number of cells.
    pub cells: u64,
    /// Flip-flops and latches among them.
    pub ff: u64,
    /// Area of all cells, square micrometres.
    pub area_um2: f64,
    /// Thousand times the area of that gate.
    pub kge: f64,
    /// Every cell by its name.
    pub by_cell: BTreeMap<String, u64>,
    /// Clock, MHz.
    pub clock_mhz: u32,
    /// How much its nets change.
    pub activity: Option<Activity>,
    /// Slack and power; nothing without OpenSTA.
    pub timing: Option<Timing>,
    /// Versions of Yosys, OpenSTA and Icarus Verilog.
    pub versions: Vec<String>,
}

/// What OpenSTA says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Timing {
    /// Worst slack at the clock, nanoseconds.
    pub worst_slack_ns: f64,
    /// Power in cells and clock pins, milliwatts, where the activity is known.
    pub power_mw: Option<f64>,
    /// The same without glitches.
    pub settled_mw: Option<f64>,
}

/// Whether mapping to `target` needs a liberty file.
pub fn needs_liberty(target: &Target) -> bool {
    target.synth.contains("LIBERTY")
}

/// Maps a design to standard cells; `None` in a dry run.
///
/// Errors: a liberty file that cannot be used; cells that the library does not have.
pub fn asic(
    bench: &Bench,
    subject: &Subject,
    target: &Target,
    options: &AsicOptions,
) -> Result<Option<Asic>> {
    let (toolbox, clock_mhz) = (bench.toolbox, options.clock_mhz);
    let (rtl, top) = (subject.rtl, subject.design.name.as_str());
    let mut versions = vec![toolbox.find("yosys")?.version];
    let library = Library::read(options.liberty)?;
    let nand2 = library.nand2().context("the library has no NAND of two inputs to count areas in")?;
    let (driver, load) =
        library.driver().context("the library has no buffer to drive a net with many loads")?;
    let scratch = tempfile::tempdir()?;
    let [file, constraints] = ["library.lib", "constraints"].map(|n| scratch.path().join(n));
    std::fs::write(&file, &library.text)?;
    // With these, ABC splits nets with many loads and sizes gates; the load is in femtofarads.
    std::fs::write(&constraints, format!("set_driving_cell {}\nset_load {load}\n", driver.name))?;
    // Tables have templates of their own in each.
    let mut parts = Vec::new();
    for (n, text) in library.parts.iter().enumerate() {
        parts.push(scratch.path().join(format!("part_{n}.lib")));
        std::fs::write(&parts[n], text)?;
    }
    let files: Vec<String> = names(&sources(rtl)?).map(|n| n.to_string_lossy().into_owned()).collect();
    let [stat, netlist] = ["stat.json", "netlist.v"].map(|n| scratch.path().join(n));
    let text = |path: &Path| quote(&path.to_string_lossy());
    let mut commands = script(&files, top, target);
    if products(rtl, &files)? >= MANY_PRODUCTS {
        let apart = apart(scratch.path(), driver, top)?;
        commands = commands.replacen("; synth ", &format!("; {apart}; synth "), 1);
    }
    let mapped = commands
        .replace("LIBERTY", &text(&file))
        .replace("CONSTRAINTS", &text(&constraints))
        .replace("PERIOD_PS", &(1_000_000 / clock_mhz.max(1)).to_string());
    let run = format!(
        "{mapped}; tee -q -o {} stat -json; write_verilog -noattr -noexpr -nohex -nodec -simple-lhs {}",
        text(&stat),
        text(&netlist)
    );
    toolbox.must(&Call::new("yosys").args(["-q", "-p", &run]).within(rtl))?;
    let by_cell = match toolbox.is_dry() {
        true => BTreeMap::new(),
        false => cells(&std::fs::read_to_string(&stat).context("Yosys wrote no statistics")?)?,
    };
    let count = by_cell.values().sum();
    let (timing, activity) = match toolbox.find("sta") {
        Ok(tool) => {
            versions.push(format!("OpenSTA {}", tool.version));
            if options.samples.is_some() {
                versions.push(toolbox.find("iverilog")?.version);
            }
            let sta = sta::Subject { libraries: &parts, netlist: &netlist, top, clock_mhz };
            timing(bench, subject, options.samples, &sta, &file, count)?
        }
        Err(e) if e.is::<MissingTool>() => (None, None),
        Err(e) => return Err(e),
    };
    if toolbox.is_dry() {
        return Ok(None);
    }
    let (mut area_um2, mut ff, mut unknown) = (0.0, 0, Vec::new());
    for (name, n) in &by_cell {
        match library.cells.iter().find(|c| c.name == *name) {
            Some(cell) => {
                area_um2 += cell.area * *n as f64;
                ff += if cell.sequential { *n } else { 0 };
            }
            None => unknown.push(name.as_str()),
        }
    }
    ensure!(unknown.is_empty(), "the library has no cell for {}", unknown.join(", "));
    Ok(Some(Asic {
        target: target.name.clone(),
        liberty: library.names.clone(),
        nand2: nand2.name.clone(),
        nand2_um2: nand2.area,
        cells: count,
        ff,
        area_um2,
        kge: area_um2 / nand2.area / 1000.0,
        by_cell,
        clock_mhz,
        activity,
        timing,
        versions,
    }))
}

/// The number of multiplications that the Verilog spells out.
fn products(rtl: &Path, files: &[String]) -> Result<usize> {
    let count = |name: &String| {
        let text = std::fs::read_to_string(rtl.join(name)).with_context(|| format!("cannot read {name}"))?;
        let code = text.lines().filter_map(|line| line.split("//").next());
        Ok(code.map(|line| line.matches(" * ").count()).sum::<usize>())
    };
    files.iter().map(count).sum()
}

/// Yosys commands that make every multiplier a module, so that one of each kind is mapped instead of all; their files are
/// written to `folder`.
fn apart(folder: &Path, driver: &Cell, top: &str) -> Result<String> {
    let (from, to) = driver.ends().context("a buffer has an input and an output")?;
    let product = include_str!("product.v").replace("BUFFER", &driver.name);
    let product = product.replace("FROM", from).replace("TO(", &format!("{to}("));
    let files = ["apart.v", "product.v"].map(|n| folder.join(n));
    std::fs::write(&files[0], include_str!("apart.v"))?;
    std::fs::write(&files[1], product)?;
    let [apart, product] = files.map(|f| quote(&f.to_string_lossy()));
    Ok(format!(
        "read_liberty -lib -ignore_miss_func -ignore_miss_dir LIBERTY; hierarchy -check -top {top}; proc; wreduce; \
         opt_clean; techmap -map {apart}; read_verilog -defer {product}; hierarchy -check -top {top}"
    ))
}

/// Slack, and with samples activity and power, of a netlist of so many cells of `library`.
fn timing(
    bench: &Bench,
    subject: &Subject,
    samples: Option<(&Samples, &Trace)>,
    sta: &sta::Subject,
    library: &Path,
    cells: u64,
) -> Result<(Option<Timing>, Option<Activity>)> {
    let delays = sta.netlist.with_file_name("delays.sdf");
    let slack = sta::slack(bench.toolbox, sta, samples.map(|_| delays.as_path()))?;
    let (mut activity, mut power) = (None, None);
    if let Some((samples, trace)) = samples {
        // A clock that is missed is simulated slower: its glitches are the same.
        let late_ps = slack.map_or(0.0, |ns| (-ns * 1e3).max(0.0)).ceil() as u64;
        let period_ps = 1_000_000 / u64::from(sta.clock_mhz.max(1)) + late_ps;
        let mapped = Mapped { netlist: sta.netlist, library, cells, delays: &delays, period_ps };
        activity = activity::activity(bench, subject, samples, trace, &mapped)?;
        let Activity { toggles, settled, .. } = activity.unwrap_or_default();
        power = sta::power(bench.toolbox, sta, &[toggles, settled])?;
    }
    let power_mw = |n: usize| power.as_ref().map(|all| all[n]);
    let timing = |ns| Timing { worst_slack_ns: ns, power_mw: power_mw(0), settled_mw: power_mw(1) };
    Ok((slack.map(timing), activity))
}
