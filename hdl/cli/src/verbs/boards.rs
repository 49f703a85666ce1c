//! `nervure boards`.

use anyhow::Result;
use serde_json::json;

use crate::console::Console;
use crate::embedded;
use crate::table::table;

/// Lists the boards, or describes one.
pub(crate) fn boards(console: &Console, name: Option<&str>) -> Result<bool> {
    if let Some(name) = name {
        let b = embedded::board(name)?;
        console.result(&json!(b), || {
            let r = &b.resources;
            let rows = [
                ("board", format!("{} ({})", b.title, b.vendor)),
                ("part", format!("{}, package {}, {}", b.part, b.package, b.family)),
                ("target", b.target.clone()),
                ("clock", format!("{} MHz on pin {}", b.clock_mhz, b.clock_pin)),
                ("has", format!("{} LUT, {} FF, {} kbit block RAM, {} DSP", r.lut, r.ff, r.bram_kbit, r.dsp)),
                ("evidence", b.evidence.clone()),
                ("sources", b.sources.join("; ")),
            ];
            table(&rows.map(|(k, v)| vec![k.to_owned(), v]))
        });
        return Ok(true);
    }
    let boards = embedded::boards();
    console.result(&json!({"boards": boards}), || {
        let head = ["BOARD", "TARGET", "CLOCK", "LUT", "BRAM", "DSP", "NAME"].map(ToOwned::to_owned).to_vec();
        let row = |b: &embedded::Board| {
            let r = &b.resources;
            let (clock, bram) = (format!("{} MHz", b.clock_mhz), format!("{} kbit", r.bram_kbit));
            let (name, title) = (b.name.clone(), b.title.clone());
            vec![name, b.target.clone(), clock, r.lut.to_string(), bram, r.dsp.to_string(), title]
        };
        table(&std::iter::once(head).chain(boards.iter().map(row)).collect::<Vec<_>>())
    });
    Ok(true)
}
