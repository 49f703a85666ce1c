//! Words of emitted Verilog, with their places. Comments are no words.

use std::ops::Range;

/// A word: an identifier or number, a string, an attribute, or one or two signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// Where it stands.
    pub(super) at: Range<usize>,
}

/// The words of `text`.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut list = Vec::new();
    let mut i = 0;
    while i < bytes.len() {
        let rest = &text[i..];
        let length = match bytes[i] {
            b if b.is_ascii_whitespace() => {
                i += 1;
                continue;
            }
            _ if rest.starts_with("//") => {
                i += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            _ if rest.starts_with("(*") && !rest.starts_with("(*)") => {
                rest.find("*)").map_or(rest.len(), |n| n + 2)
            }
            b'"' => rest[1..].find('"').map_or(rest.len(), |n| n + 2),
            b if is_word(b) => bytes[i..].iter().take_while(|b| is_word(**b)).count(),
            _ if ["<=", ">=", "==", "!=", "&&", "||", "<<", ">>"].iter().any(|s| rest.starts_with(s)) => 2,
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
        list.push(Token { at: i..i + length });
        i += length;
    }
    list
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'\'' | b'`')
}

/// Whether a word is a name.
pub(super) fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !word.contains('\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_leave_comments_out() {
        let text = "(* keep *) reg [3:0] a_q; // reg b\n  a_q <= {2{1'b0}};";
        let words: Vec<&str> = tokens(text).into_iter().map(|t| &text[t.at]).collect();
        assert_eq!(
            words,
            [
                "(* keep *)", "reg", "[", "3", ":", "0", "]", "a_q", ";", "a_q", "<=", "{", "2", "{", "1'b0",
                "}", "}", ";"
            ]
        );
    }
}
