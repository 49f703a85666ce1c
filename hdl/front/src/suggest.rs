//! "Did you mean": the nearest of some known words.

/// The candidate that a person most likely meant by `word`, if one is near enough.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = word.to_lowercase();
    let limit = (plain.chars().count() / 3).clamp(1, 3);
    let distance = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        // `lif` for `neuron/lif`: the last part of a path counts as the whole.
        let last = candidate.rsplit('/').next().unwrap_or(&candidate);
        let full = strsim::damerau_levenshtein(&plain, &candidate);
        full.min(strsim::damerau_levenshtein(&plain, last))
    };
    if plain.is_empty() || plain.len() > 200 {
        return None;
    }
    candidates
        .into_iter()
        .filter(|c| c.len() <= 200)
        .map(|c| (distance(c), c))
        .filter(|(d, _)| *d <= limit)
        .min()
        .map(|(_, c)| c)
}

/// Help for an unknown word: the nearest candidate first, then all of them (`what`: "the fields are").
pub(crate) fn help(word: &str, candidates: &[&str], what: &str) -> String {
    const SHOWN: usize = 40;
    let guess = match nearest(word, candidates.iter().copied()) {
        Some(c) => format!("did you mean `{}`? ", c.escape_debug()),
        None => String::new(),
    };
    let mut names: Vec<String> =
        candidates.iter().take(SHOWN).map(|c| format!("`{}`", c.escape_debug())).collect();
    if candidates.len() > SHOWN {
        names.push(format!("and {} more", candidates.len() - SHOWN));
    }
    match names.as_slice() {
        [] => "there is none".to_owned(),
        names => format!("{guess}{what} {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let fields = ["threshold", "membrane", "leak", "neuron/lif"];
        assert_eq!(nearest("treshold", fields), Some("threshold"));
        assert_eq!(nearest("Threshold", fields), Some("threshold"));
        assert_eq!(nearest("lif", fields), Some("neuron/lif"));
        assert_eq!(nearest("bias", fields), None);
        assert_eq!(nearest("", fields), None);
        assert_eq!(
            help("lek", &["leak", "x"], "the fields are"),
            "did you mean `leak`? the fields are `leak`, `x`"
        );
        assert_eq!(help("lek", &[], "the fields are"), "there is none");
    }
}
