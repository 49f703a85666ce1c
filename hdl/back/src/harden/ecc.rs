//! Constant memories with a code: a memory holds code words, what is read stays a code word in its register, and what the
//! module computes with is corrected behind it. The memory stays a plain one, so block RAM is inferred as before.
//!
//! Deliberately absent: memories that are written, and memories that are read otherwise than `x_q <= memory[address]`: those
//! are left as they are, and named.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::Range;

use serde_json::{Value, json};

use super::code::{Code, codes};
use super::read::{Assignment, Declared, Found};
use super::token::tokens;

/// What tells both passes and the fault injection that words are coded.
pub(super) const MARK: &str = "ecc";

/// What became of a module.
#[derive(Debug, Default)]
pub(super) struct Coded {
    pub(super) text: String,
    /// Memories: name, file and bits of a word.
    pub(super) memories: Vec<(String, String, usize)>,
    /// Codes that are decoded.
    pub(super) codes: BTreeSet<Code>,
}

/// Name of a decoder.
pub(super) fn decoder(cell: &str, code: Code) -> String {
    format!("{cell}_{}", code.data)
}

/// The module with its constant memories coded. `width` tells the bits of a word of a memory file; `cell` begins the names of
/// decoders.
pub(super) fn protect(text: &str, found: &Found, cell: &str, width: &dyn Fn(&str) -> Option<usize>) -> Coded {
    let mut done = Coded { text: text.to_owned(), ..Coded::default() };
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut flags = Vec::new();
    for memory in found.declared.iter().filter(|d| d.array.is_some() && d.scope.is_empty()) {
        let Some((file, width)) = file(text, &memory.name).and_then(|f| Some((f.to_owned(), width(f)?)))
        else {
            continue;
        };
        let Some(reads) = reads(text, found, memory) else { continue };
        let bits: usize = codes(width).iter().map(|c| c.bits()).sum();
        let attribute = memory.attribute.replacen("(* ", "", 1).replace(" *) ", "");
        let attribute = if attribute.is_empty() { String::new() } else { format!(", {attribute}") };
        let array = memory.array.as_deref().unwrap_or_default();
        let new = format!("(* {MARK}{attribute} *) reg [{}:0] {}{array};", bits - 1, memory.name);
        edits.push((memory.at.clone(), new));
        for (register, assignments) in &reads {
            let coded = fresh(&format!("{}_coded_q", register.name.trim_end_matches("_q")), found);
            let mut new = format!(
                "(* {MARK} *) reg [{}:0] {coded};  // as it is stored\n  wire{} {};",
                bits - 1,
                register.kind,
                register.name
            );
            let (mut from, mut to) = (0, 0);
            for (n, code) in codes(width).into_iter().enumerate() {
                let flag = fresh(&format!("{}_{n}", register.name.trim_end_matches("_q")), found);
                let part = if codes(width).len() > 1 {
                    format!("[{}:{to}]", to + code.data - 1)
                } else {
                    String::new()
                };
                write!(
                    new,
                    "\n  wire {flag}_corrected;\n  wire {flag}_failed;\n  {} {flag}_word (.clk(clk), .rst_n(rst_n), \
                     .code({coded}[{}:{from}]), .data({}{part}), .corrected({flag}_corrected), .failed({flag}_failed));",
                    decoder(cell, code),
                    from + code.bits() - 1,
                    register.name
                )
                .expect("writing to a string");
                from += code.bits();
                to += code.data;
                flags.push(flag);
                done.codes.insert(code);
            }
            edits.push((register.at.clone(), new));
            edits.extend(assignments.iter().map(|a| (a.name_at.clone(), coded.clone())));
        }
        done.memories.push((memory.name.clone(), file, width));
    }
    if done.memories.is_empty() {
        return done;
    }
    done.text = edited(text, edits);
    flag_ports(&mut done.text, &flags);
    done
}

/// The text with parts replaced.
fn edited(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(at, _)| at.start);
    let (mut out, mut from) = (String::with_capacity(2 * text.len()), 0);
    for (at, with) in edits {
        out += &text[from..at.start];
        out += &with;
        from = at.end;
    }
    out + &text[from..]
}

/// Two outputs more: whether any of `flags` has corrected, and whether any has failed.
fn flag_ports(text: &mut String, flags: &[String]) {
    *text = text.replacen("\n);", ",\n  output wire ecc_corrected,\n  output wire ecc_failed\n);", 1);
    let any = |what: &str| flags.iter().map(|f| format!("{f}_{what}")).collect::<Vec<_>>().join(" | ");
    let assigns = format!(
        "  // Since reset: a word was corrected, a word was beyond it.\n  assign ecc_corrected = {};\n  assign ecc_failed = {};\nendmodule",
        any("corrected"),
        any("failed")
    );
    *text = text.replacen("endmodule", &assigns, 1);
}

/// The top module, with the flags of `coded` modules as outputs of the design.
pub(super) fn gather(text: &str, found: &Found, coded: &BTreeSet<String>) -> String {
    let mut out = text.to_owned();
    let mut flags = Vec::new();
    for (instance, module) in found.instances.iter().filter(|(_, m)| coded.contains(*m)) {
        let flag = fresh(&format!("ecc_{instance}"), found);
        let head = format!("  {module} {instance} (");
        let new = format!(
            "  wire {flag}_corrected;\n  wire {flag}_failed;\n{head}\n    .ecc_corrected({flag}_corrected),\n    .ecc_failed({flag}_failed),"
        );
        out = out.replacen(&head, &new, 1);
        flags.push(flag);
    }
    flag_ports(&mut out, &flags);
    out
}

/// The file that a memory begins with.
fn file<'a>(text: &'a str, memory: &str) -> Option<&'a str> {
    let end = text.find(&format!("\", {memory});"))?;
    text[..end].rsplit_once("$readmemh(\"").map(|(_, file)| file)
}

/// The registers that a memory is read into, each with its assignments; nothing where it is written, or read otherwise.
fn reads<'a>(
    text: &str,
    found: &'a Found,
    memory: &Declared,
) -> Option<Vec<(&'a Declared, Vec<&'a Assignment>)>> {
    let all: Vec<(&[usize], &Assignment)> = found
        .clocked
        .iter()
        .flat_map(|c| c.body.assignments().into_iter().map(|a| (c.scope.as_slice(), a)))
        .collect();
    let whole = |a: &Assignment| {
        let inside = a
            .value
            .strip_prefix(&memory.name)
            .and_then(|rest| rest.strip_prefix('['))
            .and_then(|r| r.strip_suffix(']'));
        a.clocked && a.select.is_empty() && inside.is_some_and(|i| !i.contains(['[', ']']))
    };
    let list = tokens(text);
    let word = |n: usize| list.get(n).map(|t| &text[t.at.clone()]);
    let used = (0..list.len()).filter(|n| {
        word(*n) == Some(memory.name.as_str())
            && word(n + 1) == Some("[")
            && !memory.at.contains(&list[*n].at.start)
    });
    let mut by_register: BTreeMap<usize, Vec<&Assignment>> = BTreeMap::new();
    for (scope, a) in all.iter().filter(|(_, a)| whole(a)) {
        let place = found.declared.iter().position(|d| d.name == a.name && d.scope.is_empty())?;
        if !scope.is_empty() {
            return None;
        }
        by_register.entry(place).or_default().push(a);
    }
    let registers: Vec<_> =
        by_register.into_iter().map(|(place, list)| (&found.declared[place], list)).collect();
    let plain = registers.iter().all(|(d, list)| {
        let writers = all.iter().filter(|(_, a)| a.name == d.name).count();
        d.array.is_none() && d.attribute.is_empty() && writers == list.len()
    });
    let counted: usize = registers.iter().map(|(_, list)| list.len()).sum();
    (counted > 0 && plain && counted == used.count()).then_some(registers)
}

/// A name that the module does not have.
fn fresh(name: &str, found: &Found) -> String {
    let mut name = name.to_owned();
    while found.names.iter().any(|n| *n == name || n.starts_with(&format!("{name}_"))) {
        name += "_";
    }
    name
}

/// What the decoder's template prints.
pub(super) fn context(cell: &str, code: Code, origin: &str) -> Value {
    let (data, checks) = (code.data, code.checks());
    let columns = code.columns();
    let masks: Vec<String> = (0..checks)
        .map(|n| {
            let own = (0..data).filter(|at| columns[*at] >> n & 1 == 1).chain([data + n]);
            let bits: Vec<String> = own.map(|at| format!("code[{at}]")).collect();
            bits.join(" ^ ")
        })
        .collect();
    json!({
        "module": decoder(cell, code), "origin": origin, "data": data, "checks": checks, "bits": code.bits(),
        "columns": columns, "masks": masks, "largest": code.largest(), "full": code.largest() + 1 == 1 << checks,
    })
}
