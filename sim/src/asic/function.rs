//! The functions of a liberty file's outputs, such as `!(A & B)`.
//!
//! Deliberately absent: states; a name stands for an input pin and nothing else.

/// The value of a function such as `!(A & B)`; nothing for one that is not understood.
pub(super) fn evaluate(function: &str, pin: &dyn Fn(&str) -> Option<bool>) -> Option<bool> {
    let mut words = Vec::new();
    let mut rest = function.trim_start();
    while !rest.is_empty() {
        let name = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len()).max(1);
        words.push(&rest[..name]);
        rest = rest[name..].trim_start();
    }
    let mut at = 0;
    let value = either(&words, &mut at, pin)?;
    (at == words.len()).then_some(value)
}

fn either(words: &[&str], at: &mut usize, pin: &dyn Fn(&str) -> Option<bool>) -> Option<bool> {
    let mut value = differs(words, at, pin)?;
    while matches!(words.get(*at), Some(&("|" | "+"))) {
        *at += 1;
        value |= differs(words, at, pin)?;
    }
    Some(value)
}

fn differs(words: &[&str], at: &mut usize, pin: &dyn Fn(&str) -> Option<bool>) -> Option<bool> {
    let mut value = both(words, at, pin)?;
    while words.get(*at) == Some(&"^") {
        *at += 1;
        value ^= both(words, at, pin)?;
    }
    Some(value)
}

fn both(words: &[&str], at: &mut usize, pin: &dyn Fn(&str) -> Option<bool>) -> Option<bool> {
    let mut value = unit(words, at, pin)?;
    while let Some(word) = words.get(*at) {
        match *word {
            "&" | "*" => *at += 1,
            ")" | "|" | "+" | "^" => break,
            // Two beside each other are both.
            _ => {}
        }
        value &= unit(words, at, pin)?;
    }
    Some(value)
}

fn unit(words: &[&str], at: &mut usize, pin: &dyn Fn(&str) -> Option<bool>) -> Option<bool> {
    let word = *words.get(*at)?;
    *at += 1;
    let mut value = match word {
        "!" => return unit(words, at, pin).map(|v| !v),
        "(" => {
            let value = either(words, at, pin)?;
            (words.get(*at) == Some(&")")).then_some(())?;
            *at += 1;
            value
        }
        "0" => false,
        "1" => true,
        name => pin(name)?,
    };
    while words.get(*at) == Some(&"'") {
        *at += 1;
        value = !value;
    }
    Some(value)
}
