//! Sentences that fit the extra text of an extended error.

use strait_wire::Ede;

/// `text`, cut after a word where it is longer than the extended error may be, which is then seen.
pub(crate) fn brief(text: String) -> String {
    const MARK: &str = " …";
    if text.len() <= Ede::MAX_TEXT {
        return text;
    }
    let room = Ede::MAX_TEXT - MARK.len();
    let end = (0..=room).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    // Within the room, or just behind it.
    let words = if text[end..].starts_with(' ') {
        &text[..end]
    } else {
        text[..end].rsplit_once(' ').map_or(&text[..end], |(words, _)| words)
    };
    format!("{}{MARK}", words.trim_end_matches([' ', ',', ';', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_ends_with_a_word() {
        let fits = "x".repeat(Ede::MAX_TEXT);
        let long = |word: &str| format!("{word} ").repeat(100);
        let cases = [
            (fits.clone(), fits),
            // The last word does not fit.
            (long("four"), format!("{} …", ["four"; 31].join(" "))),
            // Nothing dangles.
            (long("four:"), format!("{}: four …", ["four"; 25].join(": "))),
            // One word alone is cut at a character.
            ("ü".repeat(200), format!("{} …", "ü".repeat(78))),
        ];
        for (text, expected) in cases {
            let cut = brief(text);
            assert!(cut.len() <= Ede::MAX_TEXT, "{cut}");
            assert_eq!(cut, expected);
        }
    }
}
