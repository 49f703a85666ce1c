//! Memories of weights with a code: a memory holds code words, what is read stays a code word in its register, and what the
//! module computes with is corrected behind it. What the register bus writes is encoded in front of the memory, each part of
//! a word that it writes alone as a code word. The memory stays a plain one, so block RAM is inferred as before.
//!
//! Deliberately absent: memories that no file fills, and memories that are read otherwise than `x_q <= memory[address]`:
//! those are left as they are, and named.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::Range;

use serde_json::{Value, json};

use super::code::{Code, codes};
use super::read::{Assignment, Clocked, Declared, Found};
use super::token::tokens;

/// What tells both passes and the fault injection that words are coded.
pub(super) const MARK: &str = "ecc";

/// What became of a module.
#[derive(Debug, Default)]
pub(super) struct Coded {
    pub(super) text: String,
    /// Memories: name, file and the codes of a word.
    pub(super) memories: Vec<(String, String, Vec<Code>)>,
    /// Whether words of a memory are written.
    pub(super) written: bool,
    /// Wires that say that something was corrected or failed, without these words.
    pub(super) flags: Vec<String>,
}

/// Name of a decoder.
pub(super) fn decoder(cell: &str, code: Code) -> String {
    format!("{cell}_{}", code.data)
}

/// Name of an encoder.
pub(super) fn encoder(cell: &str, code: Code) -> String {
    format!("{cell}_{}_put", code.data)
}

/// The module with its constant memories coded. `width` tells the bits of a word of a memory file; `cell` begins the names of
/// decoders.
pub(super) fn protect(text: &str, found: &Found, cell: &str, width: &dyn Fn(&str) -> Option<usize>) -> Coded {
    let mut done = Coded { text: text.to_owned(), ..Coded::default() };
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for memory in found.declared.iter().filter(|d| d.array.is_some() && d.scope.is_empty()) {
        let Some((file, width)) = file(text, &memory.name).and_then(|f| Some((f.to_owned(), width(f)?)))
        else {
            continue;
        };
        let Some(writes) = writes(found, memory, width) else { continue };
        let Some(reads) = reads(text, found, memory, &writes) else { continue };
        let pieces: Vec<Code> = match &writes[..] {
            [] => codes(width),
            parts => parts.iter().map(|part| part.code).collect(),
        };
        let bits: usize = pieces.iter().map(|c| c.bits()).sum();
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
            for (n, code) in pieces.iter().copied().enumerate() {
                let flag = fresh(&format!("{}_{n}", register.name.trim_end_matches("_q")), found);
                let part =
                    if pieces.len() > 1 { format!("[{}:{to}]", to + code.data - 1) } else { String::new() };
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
                done.flags.push(flag);
            }
            edits.push((register.at.clone(), new));
            edits.extend(assignments.iter().map(|a| (a.name_at.clone(), coded.clone())));
        }
        done.written |= !writes.is_empty();
        edits.extend(puts(&writes, found, cell, &memory.name));
        done.memories.push((memory.name.clone(), file, pieces));
    }
    done.text = edited(text, edits);
    done
}

/// A part of a word that is written, with the code that it gets.
struct Part<'a> {
    low: usize,
    code: Code,
    /// `[place]` of the word.
    word: String,
    clocked: &'a Clocked,
    assignment: &'a Assignment,
}

/// The parts of words that a module writes, lowest first; nothing where they are not parts of words once each.
fn writes<'a>(found: &'a Found, memory: &Declared, width: usize) -> Option<Vec<Part<'a>>> {
    let mut parts = Vec::new();
    for clocked in &found.clocked {
        for assignment in clocked.body.assignments().into_iter().filter(|a| a.name == memory.name) {
            let (word, range) = match assignment.select.rsplit_once('[') {
                Some((word, range)) if !word.is_empty() => (word.to_owned(), range.strip_suffix(']')?),
                _ => return None,
            };
            let (high, low) = range.split_once(':')?;
            let (high, low) = (high.parse::<usize>().ok()?, low.parse::<usize>().ok()?);
            if clocked.body.loops() || !clocked.scope.is_empty() || !assignment.clocked {
                return None;
            }
            parts.push(Part { low, code: Code { data: high + 1 - low }, word, clocked, assignment });
        }
    }
    parts.sort_by_key(|p| p.low);
    let end = parts.iter().try_fold(0, |at, p| (p.low == at).then_some(at + p.code.data))?;
    (parts.is_empty() || end == width).then_some(parts)
}

/// What is written, encoded in front of its block.
fn puts(parts: &[Part], found: &Found, cell: &str, memory: &str) -> Vec<(Range<usize>, String)> {
    let mut edits = Vec::new();
    let mut heads: BTreeMap<usize, String> = BTreeMap::new();
    let mut from = 0;
    for (n, part) in parts.iter().enumerate() {
        let (a, bits) = (part.assignment, part.code.bits());
        let wire = fresh(&format!("{memory}_put_{n}"), found);
        let head = heads.entry(part.clocked.at.start).or_default();
        let module = encoder(cell, part.code);
        write!(
            head,
            "wire [{}:0] {wire};\n  {module} {wire}_word (.data({}), .code({wire}));\n  ",
            bits - 1,
            a.value
        )
        .expect("writing to a string");
        let select = format!("{}[{}:{from}] ", part.word, from + bits - 1);
        edits.push((a.name_at.end..a.sign_at.start, select));
        edits.push((a.value_at.clone(), wire));
        from += bits;
    }
    edits.extend(heads.into_iter().map(|(at, head)| (at..at, head)));
    edits
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

/// A module with its own `flags` and those of the `coded` modules in it as outputs; `bare` ones had no reset, and get one.
pub(super) fn gather(
    text: &str,
    found: &Found,
    mut flags: Vec<String>,
    coded: &BTreeSet<String>,
    bare: &BTreeSet<String>,
) -> String {
    let mut out = text.to_owned();
    for (instance, module) in found.instances.iter().filter(|(_, m)| coded.contains(*m)) {
        let flag = fresh(&format!("ecc_{instance}"), found);
        let head = format!("{module} {instance} (");
        let reset = if bare.contains(module) { "\n    .rst_n(rst_n)," } else { "" };
        let new = format!(
            "wire {flag}_corrected;\n  wire {flag}_failed;\n  {head}{reset}\n    .ecc_corrected({flag}_corrected),\n    .ecc_failed({flag}_failed),"
        );
        out = out.replacen(&head, &new, 1);
        flags.push(flag);
    }
    if !found.names.contains("rst_n") {
        out = out.replacen("\n);", ",\n  input  wire rst_n\n);", 1);
    }
    flag_ports(&mut out, &flags);
    out
}

/// The file that a memory begins with.
fn file<'a>(text: &'a str, memory: &str) -> Option<&'a str> {
    let end = text.find(&format!("\", {memory});"))?;
    text[..end].rsplit_once("$readmemh(\"").map(|(_, file)| file)
}

/// The registers that a memory is read into, each with its assignments; nothing where it is read otherwise.
fn reads<'a>(
    text: &str,
    found: &'a Found,
    memory: &Declared,
    writes: &[Part],
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
        a.clocked && a.select.is_empty() && inside.is_some_and(balanced)
    };
    let list = tokens(text);
    let word = |n: usize| list.get(n).map(|t| &text[t.at.clone()]);
    let used = (0..list.len()).filter(|n| {
        word(*n) == Some(memory.name.as_str())
            && word(n + 1) == Some("[")
            && !memory.at.contains(&list[*n].at.start)
            && writes.iter().all(|part| part.assignment.name_at.start != list[*n].at.start)
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

/// Whether every bracket that is closed was opened.
fn balanced(text: &str) -> bool {
    let mut depth = 0i32;
    text.chars().all(|c| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        depth >= 0
    })
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
    let checked: Vec<String> = (0..checks)
        .map(|n| {
            let own = (0..data).filter(|at| columns[*at] >> n & 1 == 1);
            own.map(|at| format!("data[{at}]")).collect::<Vec<_>>().join(" ^ ")
        })
        .collect();
    json!({
        "checked": checked,
        "module": decoder(cell, code), "encoder": encoder(cell, code), "origin": origin, "data": data, "checks": checks, "bits": code.bits(),
        "columns": columns, "masks": masks, "largest": code.largest(), "full": code.largest() + 1 == 1 << checks,
    })
}
