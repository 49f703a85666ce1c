//! OpenSTA: worst slack and power of a mapped netlist, without wires.
//!
//! The version that Debian has reads no waves and takes activities for all nets alike, so that is what it is given.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Timing;
use crate::tool::{Call, Toolbox};

/// Slack and power; `None` in a dry run.
pub(super) fn timing(
    toolbox: &Toolbox,
    libraries: &[PathBuf],
    netlist: &Path,
    top: &str,
    clock_mhz: u32,
    activity: Option<f64>,
) -> Result<Option<Timing>> {
    let period = 1000.0 / f64::from(clock_mhz.max(1));
    let power = activity.map_or(String::new(), |a| {
        format!(
            "set_power_activity -global -activity {a:.6} -duty 0.5\n\
             set_power_activity -input -activity {a:.6} -duty 0.5\nreport_power -digits 6\n"
        )
    });
    let libraries: String =
        libraries.iter().map(|file| format!("read_liberty {{{}}}\n", file.display())).collect();
    let script = format!(
        "{libraries}set_cmd_units -time ns -power W\nread_verilog {{{}}}\nlink_design {}\n\
         create_clock -name clk -period {period:.4} [get_ports clk]\n\
         set others {{}}\nforeach port [all_inputs] {{ if {{[get_property $port full_name] != \"clk\"}} {{ lappend others $port }} }}\n\
         set_input_delay 0 -clock clk $others\nset_output_delay 0 -clock clk [all_outputs]\n\
         report_worst_slack\n{power}exit\n",
        netlist.display(),
        top,
    );
    let file = netlist.with_file_name("sta.tcl");
    std::fs::write(&file, script)?;
    let said = toolbox.must(&Call::new("sta").args(["-no_splash", "-exit"]).arg(&file))?;
    if toolbox.is_dry() {
        return Ok(None);
    }
    let said = said.text();
    parse(&said, activity.is_some())
        .with_context(|| format!("OpenSTA says otherwise than expected:\n{said}"))
        .map(Some)
}

fn parse(said: &str, powered: bool) -> Option<Timing> {
    let line = |start: &str| said.lines().find_map(|l| l.trim().strip_prefix(start));
    let worst_slack_ns = line("worst slack ")?.trim().parse::<f64>().ok().filter(|ns| ns.is_finite())?;
    let mut power_mw = None;
    if powered {
        // Internal, switching, leakage and all together, in watts.
        power_mw = Some(line("Total ")?.split_whitespace().nth(3)?.parse::<f64>().ok()? * 1e3);
    }
    Some(Timing { worst_slack_ns, power_mw })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read() {
        let said = "worst slack -0.25\nGroup   Internal\nTotal   1e-03 2e-03 0.0 3.5e-03 100.0%\n   97.5% 2.5%\n";
        let timing = parse(said, true).expect("it is a report");
        assert!((timing.worst_slack_ns + 0.25).abs() < 1e-9 && (timing.power_mw.unwrap() - 3.5).abs() < 1e-9);
        assert_eq!(parse("Error: no such file", true), None);
        assert_eq!(parse("worst slack 1.00\n", true), None);
        assert_eq!(parse("worst slack 1.00\n", false).unwrap().power_mw, None);
    }
}
