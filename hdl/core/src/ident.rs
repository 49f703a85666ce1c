//! The one way from a name that a person or a model chose to an identifier that is safe everywhere.

use std::collections::{BTreeMap, BTreeSet};

/// Reserved words of IEEE 1364-2005 and IEEE 1800-2017 that are short enough to be somebody's name, and of Tcl/VHDL
/// tools that choke on them.
const RESERVED: &str = "always and assert assign assume automatic before begin bind bins bit break buf bufif0 bufif1 \
    byte case casex casez cell chandle checker class clocking cmos config const constraint context continue cover \
    covergroup coverpoint cross deassign default defparam design disable dist do edge else end endcase endclass \
    endfunction endgenerate endmodule endtask enum event expect export extends extern final for force foreach forever \
    fork function generate genvar global highz0 highz1 if iff ifnone import incdir include initial inout input inside \
    instance int integer interface intersect join large let liblist library local localparam logic longint \
    macromodule matches medium modport module nand negedge nettype new nexttime nmos nor noshowcancelled not notif0 \
    notif1 null or output package packed parameter pmos posedge primitive priority program property protected pull0 \
    pull1 pulldown pullup pure rand randc randcase real realtime ref reg reject_on release repeat restrict return \
    rnmos rpmos rtran scalared sequence shortint shortreal signed small soft solve specify specparam static string \
    strong strong0 strong1 struct super supply0 supply1 table tagged task this throughout time timeprecision \
    timeunit tran tri tri0 tri1 triand trior trireg type typedef union unique unsigned until untyped use uwire var \
    vectored virtual void wait wand weak weak0 weak1 while wildcard wire with within wor xnor xor";

/// `name` as an identifier: `[a-z_][a-z0-9_]*`, at most 48 characters, no double or trailing underscore, no reserved word
/// of Verilog or SystemVerilog. Total: every input has an answer (`""`, `..` and `é` give `n`, `n` and `u00e9`).
///
/// The answer is safe in Verilog, Tcl, shell and file names. Two names may share an answer: see [`Names`].
pub fn ident(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        match c {
            'a'..='z' | '0'..='9' => out.push(c),
            'A'..='Z' => out.push(c.to_ascii_lowercase()),
            c if c.is_ascii() => {
                if !out.is_empty() && !out.ends_with('_') {
                    out.push('_');
                }
            }
            c => out.push_str(&format!("u{:04x}", c as u32)),
        }
    }
    out.truncate(48);
    let mut out = out.trim_end_matches('_').to_owned();
    if out.is_empty() {
        out.push('n');
    }
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, 'n');
    }
    if RESERVED.split_whitespace().any(|word| word == out) {
        out.push_str("_x");
    }
    out
}

/// `text` made safe for a one-line comment of Verilog, Tcl, YAML or shell.
pub fn comment(text: &str) -> String {
    text.chars().flat_map(char::escape_default).filter(|c| *c != '`').collect::<String>().replace("*/", "* /")
}

/// Hands out identifiers that differ from one another.
#[derive(Debug, Default)]
pub struct Names {
    taken: BTreeSet<String>,
    /// Per name without parts: the suffix to try next. All below it are taken, and nothing is ever given back.
    next: BTreeMap<String, u32>,
}

impl Names {
    /// [`ident`] of `name`, with `_2`, `_3`, ... where it is taken.
    pub fn claim(&mut self, name: &str) -> String {
        self.claim_family(name, &[])
    }

    /// The same, together with `NAME_PART` for every part: what belongs to `name` never takes another's name.
    pub fn claim_family(&mut self, name: &str, parts: &[&str]) -> String {
        let base = ident(name);
        let mut n = if parts.is_empty() { self.next.get(&base).copied().unwrap_or(1) } else { 1 };
        loop {
            let candidate = if n == 1 { base.clone() } else { format!("{base}_{n}") };
            n += 1;
            let family: Vec<String> = parts.iter().map(|part| format!("{candidate}_{part}")).collect();
            if !self.taken.contains(&candidate) && family.iter().all(|name| !self.taken.contains(name)) {
                self.taken.extend(family);
                self.taken.insert(candidate.clone());
                if parts.is_empty() {
                    self.next.insert(base, n);
                }
                return candidate;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_become_plain() {
        let cases = [
            ("small", "small_x"),
            ("reg", "reg_x"),
            ("a b", "a_b"),
            ("x;rm -rf ~", "x_rm_rf"),
            ("\u{e9}", "u00e9"),
            ("..", "n"),
            ("", "n"),
            ("7seg", "n7seg"),
            ("Conv1", "conv1"),
            ("a\n`include", "a_include"),
        ];
        for (name, expected) in cases {
            assert_eq!(ident(name), expected, "{name:?}");
        }
        assert_eq!(comment("a\n*/`b\u{e9}"), "a\\n* /b\\u{e9}");
    }

    #[test]
    fn names_stay_apart() {
        let mut names = Names::default();
        assert_eq!([names.claim("a b"), names.claim("a;b"), names.claim("a_b")], ["a_b", "a_b_2", "a_b_3"]);
        let mut names = Names::default();
        let claimed =
            [names.claim("a_kernel"), names.claim_family("a", &["kernel"]), names.claim("a_2_kernel")];
        assert_eq!(claimed, ["a_kernel", "a_2", "a_2_kernel_2"]);
    }
}
