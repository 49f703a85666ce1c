//! A build in words: the terminal's summary, and the report in Markdown. Both are made from the manifest alone.

use serde_json::Value;

use super::closed;
use crate::table::{bar, table, thousands};

/// Rows of name and value.
fn rows(m: &Value) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = |name: &str, text: String| rows.push(vec![name.to_owned(), text]);
    let (design, verify, synth) = (&m["design"], &m["verify"], &m["synth"]);
    let n = |v: &Value| thousands(v.as_u64().unwrap_or(0));
    let board = m["board"].as_str().map_or(String::new(), |b| format!(", board {b}"));
    row("design", format!("{} for {}{board} at {} MHz", s(&m["name"]), s(&m["target"]), m["clock_mhz"]));
    for (n, why) in strings(&m["plan"]["why"]).into_iter().enumerate() {
        row(if n == 0 { "plan" } else { "" }, why);
    }
    let modules = design["modules"].as_array().map_or(0, Vec::len);
    if let (Some(latency), Some(interval)) =
        (design["latency_cycles"].as_u64(), design["interval_cycles"].as_f64())
    {
        let rate = m["clock_mhz"].as_f64().unwrap_or(0.0) * 1e6 / interval;
        row(
            "cycles",
            format!("latency {}, interval {interval:.1}: {rate:.0} inferences a second", thousands(latency)),
        );
    }
    row("modules", modules.to_string());
    for (n, line) in hardened(&m["harden"]).into_iter().enumerate() {
        row(if n == 0 { "harden" } else { "" }, line);
    }
    if let Some(accuracy) = m["accuracy"].as_f64() {
        row("accuracy", format!("{:.2} % on {} samples", accuracy * 100.0, n(&m["samples"]["count"])));
    }
    if let Some(mse) = m["reconstruction_mse"].as_f64() {
        row("error", format!("mean squared {mse:.6} on {} samples", n(&m["samples"]["count"])));
    }
    let findings = m["lint"].as_array().map_or(0, Vec::len);
    row("lint", if findings == 0 { "clean".to_owned() } else { format!("{findings} findings") });
    if verify.is_object() {
        let cycles = match verify["cycle_mismatches"].as_u64() {
            Some(0) if verify["cycles_predicted"].is_u64() => {
                format!("{} cycles as predicted", n(&verify["cycles_measured"]))
            }
            Some(wrong) => format!("cycles differ in {wrong} samples"),
            None => String::new(),
        };
        row(
            "verify",
            format!("{} samples, {} mismatches, {cycles}", n(&verify["samples"]), n(&verify["mismatches"])),
        );
        if let Some(step) = verify["cycles_per_step_mean"].as_f64() {
            row("", format!("{step:.1} cycles a time step"));
        }
    }
    for (n, line) in closed::words(&m["closed_loop"]).into_iter().enumerate() {
        row(if n == 0 { "loop" } else { "" }, line);
    }
    if synth.is_object() {
        row(
            "synth",
            format!(
                "{} LUT, {} FF, {} block RAM, {} DSP, {} carry",
                n(&synth["lut"]),
                n(&synth["ff"]),
                synth["bram"],
                n(&synth["dsp"]),
                n(&synth["carry"])
            ),
        );
    }
    rows
}

/// What was hardened, and what was not.
fn hardened(h: &Value) -> Vec<String> {
    if !h.is_object() {
        return Vec::new();
    }
    let mut lines = vec![format!("{}: {} registers in three copies", s(&h["mode"]), h["registers"])];
    for (key, what) in [
        ("coded_memories", "one flip in a word is corrected"),
        ("constant_memories", "in logic, nothing to upset"),
        ("unprotected_memories", "NOT protected"),
    ] {
        let list = strings(&h[key]);
        lines.extend((!list.is_empty()).then(|| format!("{what}: {}", list.join(", "))));
    }
    lines
}

fn s(v: &Value) -> &str {
    v.as_str().unwrap_or_default()
}

fn strings(v: &Value) -> Vec<String> {
    v.as_array().into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

/// What failed, one line each, with the first details.
pub(super) fn failures(m: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for f in m["lint"].as_array().into_iter().flatten() {
        lines.push(format!("lint: {}: {}", s(&f["tool"]), s(&f["text"])));
    }
    lines.extend(strings(&m["verify"]["failures"]).into_iter().map(|f| format!("verify: {f}")));
    lines.extend(strings(&m["verify"]["first"]).into_iter().map(|f| format!("verify: {f}")));
    for key in ["failures", "first"] {
        lines.extend(strings(&m["closed_loop"][key]).into_iter().map(|f| format!("closed loop: {f}")));
    }
    let cycle = &m["verify"]["first_cycle_mismatch"];
    if cycle.is_object() {
        let (p, q) = (&cycle["predicted"], &cycle["measured"]);
        lines.push(format!(
            "verify: sample {} was predicted for cycles {} to {} and took {} to {}",
            cycle["sample"], p["start"], p["finish"], q["start"], q["finish"]
        ));
    }
    lines
}

/// For the terminal.
pub(super) fn text(m: &Value) -> String {
    let mut parts = vec![table(&rows(m))];
    let bars: Vec<String> = (m["utilisation"].as_array().into_iter().flatten())
        .map(|u| {
            bar(s(&u["resource"]), u["used"].as_f64().unwrap_or(0.0), u["available"].as_f64().unwrap_or(0.0))
        })
        .collect();
    parts.extend((!bars.is_empty()).then(|| bars.join("\n")));
    parts.extend(Some(failures(m)).filter(|f| !f.is_empty()).map(|f| f.join("\n")));
    let failed = strings(&m["failed"]);
    if failed.is_empty() {
        parts.push(format!("{} is complete", s(&m["dir"])));
    } else {
        parts.push(format!("FAILED\n  {}", failed.join("\n  ")));
    }
    parts.join("\n")
}

/// For the report folder.
pub(super) fn markdown(m: &Value) -> String {
    let mut text = format!("# {}\n\n| | |\n|---|---|\n", s(&m["name"]));
    for row in rows(m) {
        text.extend(["| ", &row[0], " | ", &row[1], " |\n"]);
    }
    text += "\n## Modules\n\n| module | layer | block | LUT (estimate) | FF (estimate) |\n|---|---|---|---|---|\n";
    for module in m["design"]["modules"].as_array().into_iter().flatten() {
        let area = &module["area_estimate"];
        let layer = s(&module["layer"]).replace('|', "\\|").escape_debug().to_string();
        let (lut, ff) = (area["lut"].to_string(), area["ff"].to_string());
        let row =
            format!("| `{}` | {layer} | {} | {lut} | {ff} |\n", s(&module["name"]), s(&module["block"]));
        text.push_str(&row);
    }
    let failed: Vec<String> = strings(&m["failed"]).into_iter().chain(failures(m)).collect();
    if !failed.is_empty() {
        text += "\n## Failed\n\n```\n";
        text += &failed.join("\n");
        text += "\n```\n";
    }
    text
}
