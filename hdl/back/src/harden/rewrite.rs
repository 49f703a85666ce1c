//! A module with its registers held three times.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::Range;

use super::read::{Clocked, Declared, Found, Statement};
use super::token::tokens;

/// The registers: what is assigned at the clock edge and is no memory.
///
/// Errors: an assignment to what is not declared, or from two blocks to all of one register.
pub(super) fn registers(found: &Found) -> Result<Vec<&Declared>, String> {
    let mut writer: BTreeMap<usize, (usize, bool)> = BTreeMap::new();
    for (block, clocked) in found.clocked.iter().enumerate() {
        for a in clocked.body.assignments().iter().filter(|a| a.clocked) {
            let place = declared(found, &a.name, &clocked.scope)?;
            if found.declared[place].stays() {
                continue;
            }
            let (first, part) = writer.entry(place).or_insert((block, true));
            *part &= !a.select.is_empty();
            if *first != block && !*part {
                return Err(format!("two blocks write all of `{}`", a.name));
            }
        }
    }
    Ok(writer.keys().map(|place| &found.declared[*place]).collect())
}

/// The declaration that `name` means in `scope`: the innermost.
fn declared(found: &Found, name: &str, scope: &[usize]) -> Result<usize, String> {
    let seen = |d: &Declared| d.name == name && scope.starts_with(&d.scope);
    let list = found.declared.iter().enumerate().filter(|(_, d)| seen(d));
    let place = list.max_by_key(|(_, d)| d.scope.len()).map(|(place, _)| place);
    place.ok_or_else(|| format!("`{name}` is not declared as a `reg`"))
}

/// The text with every register an instance of `cell`, and the number of registers.
pub(super) fn triplicate(text: &str, found: &Found, cell: &str) -> Result<(String, usize), String> {
    let registers = registers(found)?;
    let next: BTreeMap<&str, String> =
        registers.iter().map(|d| (d.name.as_str(), next_name(&d.name, found))).collect();
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for d in &registers {
        let (name, kind, next) = (&d.name, &d.kind, &next[d.name.as_str()]);
        if !d.attribute.is_empty() {
            return Err(format!("`{name}` has an attribute"));
        }
        let indent = indent(text, d.at.start);
        // A comment behind the declaration stays with the register.
        let line_end = text[d.at.end..].find('\n').map_or(text.len(), |n| d.at.end + n);
        edits.push((d.at.clone(), format!("wire{kind} {name};")));
        let instance = format!(
            "\n{indent}reg {kind} {next};\n{indent}{cell} #(.WIDTH({})) {} (.clk(clk), .next({next}), .held({name}));",
            d.width,
            fresh(&format!("tmr_{name}"), found)
        );
        edits.push((line_end..line_end, instance));
    }
    // A memory that is read into registers of another module is read in the same cycle, which no block RAM can do.
    for d in found.declared.iter().filter(|d| d.attribute.contains("\"block\"") && !d.coded()) {
        let array = d.array.as_deref().unwrap_or_default();
        edits.push((d.at.clone(), format!("reg {} {}{array};", d.kind, d.name)));
    }
    let mut reads = Reads { found, taken: found.names.clone() };
    for clocked in &found.clocked {
        rewrite(text, &mut reads, clocked, &next, &mut edits)?;
    }
    edits.sort_by_key(|(at, _)| (at.start, at.end));
    let mut out = String::with_capacity(2 * text.len());
    let mut from = 0;
    for (at, with) in edits {
        out += &text[from..at.start];
        out += &with;
        from = at.end;
    }
    out += &text[from..];
    Ok((out, registers.len()))
}

/// `x_q` becomes `x_d`, `sum_q2` becomes `sum_d2`.
fn next_name(name: &str, found: &Found) -> String {
    let next = match name.rsplit_once("_q") {
        Some((stem, number)) if number.chars().all(|c| c.is_ascii_digit()) => format!("{stem}_d{number}"),
        _ => format!("{name}_d"),
    };
    fresh(&next, found)
}

/// A name that the module does not have.
fn fresh(name: &str, found: &Found) -> String {
    let mut name = name.to_owned();
    while found.names.contains(&name) {
        name += "_";
    }
    name
}

/// The blanks in front of what begins at `at`.
fn indent(text: &str, at: usize) -> &str {
    let line = text[..at].rfind('\n').map_or(0, |n| n + 1);
    let blanks = text[line..at].len() - text[line..at].trim_start().len();
    &text[line..line + blanks]
}

/// A clocked block as logic of the next values; writes to memories stay at the clock edge.
fn rewrite(
    text: &str,
    reads: &mut Reads,
    clocked: &Clocked,
    next: &BTreeMap<&str, String>,
    edits: &mut Vec<(Range<usize>, String)>,
) -> Result<(), String> {
    let found = reads.found;
    let all = clocked.body.assignments();
    let is_memory = |name: &str| -> Result<bool, String> {
        Ok(found.declared[declared(found, name, &clocked.scope)?].stays())
    };
    let (mut written, mut memories) = (Vec::new(), Vec::new());
    for a in all.iter().filter(|a| a.clocked) {
        let list = if is_memory(&a.name)? { &mut memories } else { &mut written };
        if !list.contains(&a.name.as_str()) {
            list.push(a.name.as_str());
        }
    }
    if written.is_empty() {
        return Ok(());
    }
    let indent = indent(text, clocked.at.start);
    let (wires, values) = reads.outside(clocked, &written)?;
    let mut head: String = wires.iter().map(|wire| format!("{wire}\n{indent}")).collect();
    head += "always @* begin\n";
    for name in &written {
        for part in defaults(found, clocked, name) {
            writeln!(head, "{indent}  {}{part} = {name}{part};", next[name]).expect("writing to a string");
        }
    }
    if !memories.is_empty() {
        // Two blocks: the memories as they were, and the registers.
        let mut block = "always @(posedge clk) begin\n".to_owned();
        let memory = |name: &str| memories.contains(&name).then(|| (name.to_owned(), "<="));
        print(&clocked.body, &memory, &BTreeMap::new(), indent, &mut block);
        let register = |name: &str| written.contains(&name).then(|| (next[name].clone(), "="));
        print(&clocked.body, &register, &values, indent, &mut head);
        edits.push((clocked.at.clone(), format!("{block}{indent}end\n\n{indent}{head}{indent}end")));
        return Ok(());
    }
    for a in all.iter().filter(|a| a.clocked) {
        edits.push((a.name_at.clone(), next[a.name.as_str()].clone()));
        edits.push((a.sign_at.clone(), "=".into()));
        edits.extend(values.get(&a.value).map(|value| (a.value_at.clone(), value.clone())));
    }
    // The statement stays where it is; of a block, `begin` and `end` serve again.
    if matches!(clocked.body, Statement::Block(_)) {
        let inner = clocked.body_at.start + "begin".len();
        edits.push((clocked.at.start..inner, head.trim_end().to_owned()));
    } else {
        edits.push((clocked.at.start..clocked.body_at.start, format!("{head}{indent}  ")));
        edits.push((clocked.at.end..clocked.at.end, format!("\n{indent}end")));
    }
    Ok(())
}

/// The parts of a register that a block keeps where it loads nothing: all of it, unless another block has its own part.
fn defaults(found: &Found, clocked: &Clocked, name: &str) -> BTreeSet<String> {
    let writes = |c: &Clocked| c.body.assignments().iter().any(|a| a.clocked && a.name == name);
    let same = |c: &&Clocked| c.scope == clocked.scope && writes(c);
    if found.clocked.iter().filter(same).count() < 2 {
        return BTreeSet::from([String::new()]);
    }
    let own = clocked.body.assignments().into_iter().filter(|a| a.name == name);
    own.map(|a| a.select.clone()).collect()
}

/// Values of assignments that are written otherwise.
type Values = BTreeMap<String, String>;

/// What is read from memories, outside of the logic that reads it: a block of logic would wait for every word of a memory.
struct Reads<'a> {
    found: &'a Found,
    taken: BTreeSet<String>,
}

impl Reads<'_> {
    /// A wire for every word that a block reads for the registers `written`, and the values with these wires.
    fn outside(&mut self, clocked: &Clocked, written: &[&str]) -> Result<(Vec<String>, Values), String> {
        let (mut wires, mut values) = (Vec::new(), Values::new());
        let mut named: BTreeMap<String, String> = BTreeMap::new();
        for a in clocked.body.assignments().iter().filter(|a| a.clocked && written.contains(&a.name.as_str()))
        {
            let mut value = a.value.clone();
            for m in self.found.declared.iter().filter(|d| d.array.is_some()) {
                while let Some(word) = word_of(&value, &m.name) {
                    if clocked.body.loops() {
                        return Err(format!("a loop reads `{}`", m.name));
                    }
                    let wire = named.entry(word.clone()).or_insert_with(|| {
                        let stem = m.name.trim_end_matches("_mem");
                        let mut name = format!("{stem}_read");
                        while !self.taken.insert(name.clone()) {
                            name += "_";
                        }
                        wires.push(format!("wire{} {name} = {word};", m.kind));
                        name
                    });
                    value = value.replacen(&word, wire, 1);
                }
            }
            if value != a.value {
                values.insert(a.value.clone(), value);
            }
        }
        Ok((wires, values))
    }
}

/// The first `memory[...]` in an expression.
fn word_of(text: &str, memory: &str) -> Option<String> {
    let list = tokens(text);
    let word = |n: usize| list.get(n).map(|t| &text[t.at.clone()]);
    let first = (0..list.len()).find(|n| word(*n) == Some(memory) && word(n + 1) == Some("["))?;
    let (mut depth, mut at) = (0, first + 1);
    loop {
        match word(at)? {
            "[" => depth += 1,
            "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(text[list[first].at.start..list[at].at.end].to_owned());
        }
        at += 1;
    }
}

/// What an assignment to a name becomes, and with which sign; nothing where it is left out.
type Choose<'a> = dyn Fn(&str) -> Option<(String, &'static str)> + 'a;

/// Whether anything is left of a statement.
fn any(statement: &Statement, choose: &Choose) -> bool {
    statement.assignments().iter().any(|a| choose(&a.name).is_some())
}

/// Prints what is left of a statement, a level below `indent`.
fn print(statement: &Statement, choose: &Choose, values: &Values, indent: &str, out: &mut String) {
    let deeper = format!("{indent}  ");
    let line = |out: &mut String, text: &str| writeln!(out, "{deeper}{text}").expect("writing to a string");
    if !any(statement, choose) {
        return;
    }
    match statement {
        // Whoever prints what it is in has written `begin`.
        Statement::Block(list) => list.iter().for_each(|s| print(s, choose, values, indent, out)),
        Statement::If { condition, then, other } => {
            let other = other.as_ref().filter(|s| any(s, choose));
            if any(then, choose) {
                line(out, &format!("if {condition} begin"));
                print(then, choose, values, &deeper, out);
                line(out, if other.is_some() { "end else begin" } else { "end" });
            } else {
                line(out, &format!("if (!{condition}) begin"));
            }
            if let Some(other) = other {
                print(other, choose, values, &deeper, out);
                line(out, "end");
            }
        }
        Statement::Loop { head, body } => {
            line(out, &format!("{head} begin"));
            print(body, choose, values, &deeper, out);
            line(out, "end");
        }
        Statement::Case { head, items } => {
            line(out, head);
            for (label, body) in items.iter().filter(|(_, s)| any(s, choose)) {
                line(out, &format!("  {label}: begin"));
                print(body, choose, values, &format!("{deeper}  "), out);
                line(out, "  end");
            }
            // A label without a statement of its own still keeps `default` from it.
            for (label, _) in items.iter().filter(|(l, s)| l != "default" && !any(s, choose)) {
                line(out, &format!("  {label}: ;"));
            }
            line(out, "endcase");
        }
        Statement::Assign(a) => {
            if let Some((name, sign)) = choose(&a.name) {
                let value = values.get(&a.value).unwrap_or(&a.value);
                line(out, &format!("{name}{} {sign} {value};", a.select));
            }
        }
    }
}
