//! Less to parse: of lines that a grammar cannot tell apart, one.
//!
//! An unrolled network is thousands of declarations and assignments that differ in names and numbers only. Deliberately absent:
//! what they mean. The other readers read every line.

use std::collections::HashSet;

use nervure_core::ident::ident;

/// `text` without the lines that are a whole declaration or assignment of a shape that came before. It parses if and only if
/// `text` does.
pub(super) fn distinct(text: &str) -> String {
    let mut seen = HashSet::new();
    let mut kept = String::with_capacity(text.len());
    let mut fresh = false;
    for line in text.lines() {
        let code = line.trim();
        let whole = fresh && is_whole(code);
        fresh = code.ends_with(';') || code.ends_with("begin");
        if !whole || seen.insert(shape(code)) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Whether a line that starts a statement also ends it, and may be missing without a change to what is around it.
fn is_whole(code: &str) -> bool {
    let mut words = code.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let known = matches!(first, "wire" | "reg" | "assign" | "localparam") || is_name(first) && second == "<=";
    known && code.find(';') == Some(code.len() - 1) && !code.contains(['"', '`', '/', '\\'])
}

/// Whether `word` is an identifier, and no reserved word of any version of the language.
fn is_name(word: &str) -> bool {
    ident(word) == word
}

/// `code` with one name for all names and one number for all numbers.
fn shape(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(c) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = if is_word(c) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { c.len_utf8() };
        let (word, behind) = rest.split_at(end);
        rest = behind;
        if out.ends_with('\'') {
            out.push_str(&digits(word));
        } else if c.is_ascii_digit() && word.chars().all(|c| c.is_ascii_digit()) {
            out.push('0');
        } else {
            out.push_str(if is_word(c) && is_name(word) { "n" } else { word });
        }
    }
    out
}

/// What follows the apostrophe of a number: its base, and one digit for valid digits.
fn digits(word: &str) -> String {
    let signed = usize::from(word.starts_with('s'));
    let radix = match word[signed..].chars().next() {
        Some('b') => 2,
        Some('o') => 8,
        Some('d') => 10,
        Some('h') => 16,
        _ => return word.to_owned(),
    };
    let (base, value) = word.split_at(signed + 1);
    let valid = !value.is_empty() && value.chars().all(|c| c.is_digit(radix));
    if valid { format!("{base}0") } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_do_not_count() {
        let first = "  wire x;\n  wire [7:0] sum = {1'd0, a} + 8'hFF;\n";
        let again = "  wire [12:3] other_2 = {4'd9, b_q} + 12'h015;\n";
        assert_eq!(distinct(&format!("{first}{again}{again}")), first);
        let other = "  wire [12:3] other_2 = {4'd9, b_q} + 12'd15;\n";
        assert_eq!(distinct(&format!("{first}{other}{again}")), format!("{first}{other}"));
    }

    #[test]
    fn what_is_wrong_stays() {
        for wrong in [
            "wire small = a;",
            "wire a = ;",
            "wire a = 8'd1f;",
            "wire a = b +* c;",
            "wire a = 2b;",
            "a <= small;",
        ] {
            let text = format!("module m;\n  wire a = b;\n  wire c = d;\n  {wrong}\nendmodule\n");
            assert!(distinct(&text).contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn only_whole_lines_go() {
        let text = "  wire a = b;\n  wire\n    c = d;\n  if (x)\n    y <= z;\n  else\n    y <= w;\n  y <= v;\n  z <= v;\n";
        assert_eq!(distinct(text), text.replace("  z <= v;\n", ""));
    }
}
