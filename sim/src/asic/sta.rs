//! OpenSTA: worst slack, delays and power of a mapped netlist, with wires only as far as the library has a default wire load.
//!
//! The version that Debian has reads no waves and takes activities for all nets alike, so that is what it is given.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::tool::{Call, Toolbox};

/// A netlist, and what OpenSTA is to hold it against.
pub(super) struct Subject<'a> {
    pub(super) libraries: &'a [PathBuf],
    pub(super) netlist: &'a Path,
    pub(super) top: &'a str,
    pub(super) clock_mhz: u32,
}

/// Worst slack in nanoseconds, and the delays as file `delays`, if that is named; `None` in a dry run.
pub(super) fn slack(toolbox: &Toolbox, subject: &Subject, delays: Option<&Path>) -> Result<Option<f64>> {
    let delays = delays.map(|file| format!("write_sdf -digits 4 -divider . {{{}}}\n", file.display()));
    let asked = format!("report_worst_slack\n{}", delays.unwrap_or_default());
    ask(toolbox, subject, &asked, worst_slack)
}

/// Power in milliwatts at each of the given activities, changes of a net in a cycle; `None` in a dry run.
pub(super) fn power(toolbox: &Toolbox, subject: &Subject, activities: &[f64]) -> Result<Option<Vec<f64>>> {
    let asked: String = activities
        .iter()
        .map(|a| {
            format!(
                "set_power_activity -global -activity {a:.6} -duty 0.5\n\
                 set_power_activity -input -activity {a:.6} -duty 0.5\nreport_power -digits 6\n"
            )
        })
        .collect();
    ask(toolbox, subject, &asked, |said| Some(powers(said)).filter(|found| found.len() == activities.len()))
}

/// Runs commands on the netlist with its clock, and reads what they say.
fn ask<T>(
    toolbox: &Toolbox,
    subject: &Subject,
    asked: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>> {
    let Subject { libraries, netlist, top, clock_mhz } = *subject;
    let period = 1000.0 / f64::from(clock_mhz.max(1));
    let libraries: String =
        libraries.iter().map(|file| format!("read_liberty {{{}}}\n", file.display())).collect();
    let script = format!(
        "{libraries}set_cmd_units -time ns -power W\nread_verilog {{{}}}\nlink_design {top}\n\
         create_clock -name clk -period {period:.4} [get_ports clk]\n\
         set others {{}}\nforeach port [all_inputs] {{ if {{[get_property $port full_name] != \"clk\"}} {{ lappend others $port }} }}\n\
         set_input_delay 0 -clock clk $others\nset_output_delay 0 -clock clk [all_outputs]\n\
         {asked}exit\n",
        netlist.display(),
    );
    let file = netlist.with_file_name("sta.tcl");
    std::fs::write(&file, script)?;
    let said = toolbox.must(&Call::new("sta").args(["-no_splash", "-exit"]).arg(&file))?;
    if toolbox.is_dry() {
        return Ok(None);
    }
    let said = said.text();
    read(&said).with_context(|| format!("OpenSTA says otherwise than expected:\n{said}")).map(Some)
}

fn worst_slack(said: &str) -> Option<f64> {
    let line = said.lines().find_map(|l| l.trim().strip_prefix("worst slack "))?;
    line.trim().parse().ok().filter(|ns: &f64| ns.is_finite())
}

/// Milliwatts of every report: internal, switching, leakage and all together, in watts.
fn powers(said: &str) -> Vec<f64> {
    let totals = said.lines().filter_map(|l| l.trim().strip_prefix("Total "));
    totals.filter_map(|l| Some(l.split_whitespace().nth(3)?.parse::<f64>().ok()? * 1e3)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read() {
        let report = "Group   Internal\nTotal   1e-03 2e-03 0.0 3.5e-03 100.0%\n   97.5% 2.5%\n";
        let said = format!("worst slack -0.25\n{report}{report}");
        assert!((worst_slack(&said).expect("it is a report") + 0.25).abs() < 1e-9);
        assert_eq!(powers(&said).len(), 2);
        assert!((powers(&said)[1] - 3.5).abs() < 1e-9);
        assert_eq!(worst_slack("Error: no such file"), None);
        assert_eq!(powers("worst slack 1.00\n"), [0.0; 0]);
    }
}
