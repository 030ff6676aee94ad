//! Which known word a mistyped one was probably meant to be.

/// The known word that was probably meant.
pub(crate) fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let plain = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
    let word = plain(word);
    let budget = if word.len() <= 4 { 1 } else { 2 };
    known
        .iter()
        .map(|candidate| (distance(&word, &plain(candidate)), *candidate))
        .filter(|(distance, _)| *distance <= budget)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions and replacements from one word to the other (Levenshtein); long words are far from everything.
fn distance(from: &str, to: &str) -> usize {
    if from.len().max(to.len()) > 64 {
        return usize::MAX;
    }
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, character) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (at, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(character != *other);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn words_that_are_near_are_offered() {
        let known = ["listen", "allow", "resolvConf", "ttl", "ca"];
        let cases = [
            ("listen", Some("listen")),
            ("listne", Some("listen")),
            // Other styles of writing the same.
            ("resolv_conf", Some("resolvConf")),
            ("RESOLV-CONF", Some("resolvConf")),
            ("TTL", Some("ttl")),
            // Short words are near to everything; only one letter is let pass.
            ("tt", Some("ttl")),
            ("xyz", None),
            ("policy", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, &known), expected, "{word}");
        }
        assert_eq!(nearest(&"listen".repeat(1000), &known), None);
    }
}
