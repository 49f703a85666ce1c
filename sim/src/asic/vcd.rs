//! How often the nets in a waveform change: all changes, and those that are left when a clock cycle ends.

use std::collections::HashMap;
use std::io::BufRead;

use anyhow::{Context, Result, ensure};

/// Changes of bits in a waveform, those of the clock left out, and those from or to what is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Bits that were recorded.
    pub(super) nets: u64,
    /// Rising edges of the clock.
    pub(super) cycles: u64,
    /// All changes.
    pub(super) all: u64,
    /// Bits that differ between the ends of successive cycles.
    pub(super) settled: u64,
}

/// A net: its value now, and when the last cycle ended.
#[derive(Default)]
struct Net {
    now: Vec<u8>,
    before: Vec<u8>,
    touched: bool,
}

#[derive(Default)]
struct Counter {
    found: Changes,
    nets: Vec<Net>,
    /// Places in `nets` by the waveform's short names.
    places: HashMap<String, usize>,
    clock: Option<String>,
    /// Nets that changed in this cycle.
    touched: Vec<usize>,
}

/// Counts in a waveform of one module, whose clock is `clock`. Errors: what is no waveform of that.
pub(super) fn changes(file: impl BufRead, clock: &str) -> Result<Changes> {
    let mut counter = Counter::default();
    let mut lines = file.lines();
    for line in lines.by_ref() {
        let line = line?;
        if line.starts_with("$enddefinitions") {
            break;
        }
        counter.declare(&line, clock).with_context(|| format!("`{line}`"))?;
    }
    ensure!(counter.clock.is_some(), "the waveform has no {clock}");
    for line in lines {
        let line = line?;
        match line.as_bytes().first() {
            Some(b'b') => {
                let (value, id) = line[1..].split_once(' ').with_context(|| format!("`{line}`"))?;
                counter.change(value, id.trim());
            }
            Some(b'0' | b'1' | b'x' | b'z') => counter.change(&line[..1], line[1..].trim()),
            _ => {}
        }
    }
    Ok(counter.found)
}

impl Counter {
    fn declare(&mut self, line: &str, clock: &str) -> Result<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["$var", _, bits, id, name, ..] = words[..] else { return Ok(()) };
        if name == clock {
            self.clock = Some(id.to_owned());
        } else if !self.places.contains_key(id) {
            self.places.insert(id.to_owned(), self.nets.len());
            self.nets.push(Net::default());
            self.found.nets += bits.parse::<u64>()?;
        }
        Ok(())
    }

    fn change(&mut self, value: &str, id: &str) {
        if self.clock.as_deref() == Some(id) {
            if value == "1" {
                self.found.cycles += 1;
                self.found.settled += self.touched.drain(..).map(|n| settle(&mut self.nets[n])).sum::<u64>();
            }
            return;
        }
        let Some(&n) = self.places.get(id) else { return };
        let net = &mut self.nets[n];
        self.found.all += differences(&net.now, value.as_bytes());
        net.now.clear();
        net.now.extend_from_slice(value.as_bytes());
        if !net.touched {
            net.touched = true;
            self.touched.push(n);
        }
    }
}

/// Bits that changed since the last cycle ended.
fn settle(net: &mut Net) -> u64 {
    net.touched = false;
    let count = differences(&net.before, &net.now);
    net.before.clone_from(&net.now);
    count
}

/// Bits that differ and are known; leading bits that a waveform leaves out are those of its first, or zero where that is one.
fn differences(before: &[u8], now: &[u8]) -> u64 {
    if before.is_empty() {
        return 0;
    }
    let bit = |v: &[u8], n: usize| match v.len().checked_sub(n + 1) {
        Some(at) => v[at],
        None if v[0] == b'1' => b'0',
        None => v[0],
    };
    let known = |b: u8| b == b'0' || b == b'1';
    let differs = |n: &usize| {
        let (a, b) = (bit(before, *n), bit(now, *n));
        a != b && known(a) && known(b)
    };
    (0..before.len().max(now.len())).filter(differs).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glitches_do_not_settle() {
        let text = "$timescale 1ps $end\n$scope module dut $end\n$var wire 1 ! clk $end\n$var wire 1 \" a $end\n$var wire 4 # b [3:0] $end\n\
                    $var wire 1 $ c $end\n$enddefinitions $end\n$dumpvars\n0!\n0\"\nb1x #\nx$\n$end\n#10\n1!\n#11\n1\"\n#12\n0\"\n1$\n#15\n0!\n\
                    b101 #\n#20\n1!\n#21\n1\"\nb1100 #\n#30\n1!\n";
        let found = changes(text.as_bytes(), "clk").unwrap();
        // In the first cycle a rises and falls; of b two known bits change from 001x to 0101, and two to 1100.
        assert_eq!(found, Changes { nets: 6, cycles: 3, all: 2 + 2 + 1 + 2, settled: 2 + 1 + 2 });
        assert!(changes(text.as_bytes(), "clock").is_err());
    }
}
