//! What a plain scalar means: YAML 1.2, core schema.

use serde_json::Number;

use super::Kind;

/// The value of an unquoted scalar. Numbers that 64 bits cannot hold, and infinities, stay text.
pub(super) fn plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return Kind::Text(text.to_owned());
    }
    match integer(text).or_else(|| float(text)) {
        Some(number) => Kind::Number(number),
        None => Kind::Text(text.to_owned()),
    }
}

fn integer(text: &str) -> Option<Number> {
    if let Some((digits, radix)) =
        text.strip_prefix("0x").map(|d| (d, 16)).or(text.strip_prefix("0o").map(|d| (d, 8)))
    {
        let digits = digits.strip_prefix(['+', '-']).map_or(Some(digits), |_| None)?;
        return u64::from_str_radix(digits, radix).ok().map(Number::from);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    // `010` is 8 to YAML 1.1 and 10 to YAML 1.2: it stays text, which no number field takes.
    if digits.len() > 1 && digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)).ok()
}

fn float(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let shape = digits.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b))
        && digits.contains(['.', 'e', 'E']);
    if !shape || (digits.starts_with('0') && digits[1..].starts_with(|c: char| c.is_ascii_digit())) {
        return None;
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_have_the_types_of_the_core_schema() {
        let number = |text: &str| match plain(text) {
            Kind::Number(n) => n.to_string(),
            other => format!("{other:?}"),
        };
        for (text, expected) in [
            ("12", "12"),
            ("-3", "-3"),
            ("+3", "3"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("0", "0"),
            ("-0", "0"),
            ("18446744073709551615", "18446744073709551615"),
            ("0.5", "0.5"),
            ("1e3", "1000.0"),
            (".5", "0.5"),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
        for text in [
            "s12",
            "010",
            "1.2.3",
            "-",
            "+",
            ".",
            "99999999999999999999",
            ".inf",
            "1_000",
            "0x",
            "0x-1",
            "1-2",
        ] {
            assert!(matches!(plain(text), Kind::Text(_)), "{text} {:?}", plain(text));
        }
        assert!(matches!(plain("~"), Kind::Null));
        assert!(matches!(plain("true"), Kind::Bool(true)));
        assert!(matches!(plain("yes"), Kind::Text(_)));
    }
}
