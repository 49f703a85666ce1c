//! The delays of a standard delay file, as far as a simulation by cells goes: one pair for each output of each instance.
//!
//! Deliberately absent: which input a change came from, conditions, wires and timing checks.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

/// Picoseconds until an output has risen, and has fallen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Delay {
    pub(super) rise: u32,
    pub(super) fall: u32,
}

/// Delays by instance, then output.
pub(super) type Delays = BTreeMap<String, BTreeMap<String, Delay>>;

/// Reads a file as OpenSTA writes it: an arc a line. The mean over the arcs to an output, each between its
/// smallest and its largest delay.
///
/// Errors: a delay that is no number, a timescale that is neither `1ns` nor `1ps`.
pub(super) fn delays(text: &str) -> Result<Delays> {
    let mut sums = BTreeMap::<String, BTreeMap<String, [(f64, f64); 2]>>::new();
    let (mut instance, mut unit_ps) = (String::new(), 1e3);
    for line in text.lines().map(str::trim) {
        if let Some(scale) = line.strip_prefix("(TIMESCALE ") {
            unit_ps = match scale.trim_end_matches(')') {
                "1ns" => 1e3,
                "1ps" => 1.0,
                other => bail!("a timescale of {other}"),
            };
        } else if let Some(name) = line.strip_prefix("(INSTANCE") {
            instance = name.trim().trim_end_matches(')').replace('\\', "");
        } else if line.starts_with("(IOPATH ") && !instance.is_empty() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let value = |w: &str| {
                w.strip_prefix('(')
                    .is_some_and(|w| w.starts_with(|c: char| c.is_ascii_digit() || ")-".contains(c)))
            };
            let at = words.iter().position(|w| value(w)).with_context(|| format!("no delay in `{line}`"))?;
            let output = words[at - 1].replace('\\', "");
            let sum = sums.entry(instance.clone()).or_default().entry(output).or_default();
            // One value is for both edges.
            for (edge, sum) in sum.iter_mut().enumerate() {
                let word = words.get(at + edge).unwrap_or(&words[at]);
                if let Some(delay) = mean(word).with_context(|| format!("the delays in `{line}`"))? {
                    *sum = (sum.0 + delay, sum.1 + 1.0);
                }
            }
        }
    }
    let ps = |(sum, n): (f64, f64)| if n > 0.0 { (sum / n * unit_ps).round().max(0.0) as u32 } else { 0 };
    let pair = |[rise, fall]: [(f64, f64); 2]| Delay { rise: ps(rise), fall: ps(fall) };
    let outputs = |pins: BTreeMap<String, _>| pins.into_iter().map(|(pin, sums)| (pin, pair(sums))).collect();
    Ok(sums.into_iter().map(|(instance, pins)| (instance, outputs(pins))).collect())
}

/// The mean of `(0.1::0.3)`, and nothing of `()`.
fn mean(word: &str) -> Result<Option<f64>> {
    let word = word.trim_matches(['(', ')']);
    let parts = word.split(':').filter(|p| !p.is_empty()).map(str::parse::<f64>);
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    Ok((!parts.is_empty()).then(|| parts.iter().sum::<f64>() / parts.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arcs_to_an_output_are_averaged() {
        let text = "(DELAYFILE\n (TIMESCALE 1ns)\n (CELL\n  (CELLTYPE \"top\")\n  (INSTANCE)\n   (INTERCONNECT a b.A (0.5::0.5))\n )\n \
                    (CELL\n  (INSTANCE u\\.g_1)\n    (IOPATH A Y (0.1::0.3) (0.1))\n    (COND B\n     (IOPATH B Y (0.4::0.4) (0.3)))\n )\n \
                    (CELL\n  (INSTANCE f)\n    (IOPATH (posedge CK) Q (0.25))\n    (IOPATH R Q () (0.75::0.75))\n )\n)\n";
        let found = delays(text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found["u.g_1"]["Y"], Delay { rise: 300, fall: 200 });
        assert_eq!(found["f"]["Q"], Delay { rise: 250, fall: 500 });
        let fast = delays(&text.replace("1ns", "1ps").replace("0.", "3.")).unwrap();
        assert_eq!(fast["f"]["Q"], Delay { rise: 3, fall: 4 });
        assert!(delays(&text.replace("1ns", "10ps")).is_err());
        assert!(delays("(INSTANCE a)\n(IOPATH A Y)\n").is_err());
        assert!(delays("(INSTANCE a)\n(IOPATH A Y (0.1::1.2.3))\n").is_err());
    }
}
