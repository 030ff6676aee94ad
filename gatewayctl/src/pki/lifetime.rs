//! Lifetimes as people write them: `90s`, `15m`, `12h`, `30d`.

use std::time::Duration;

/// Reads a lifetime; how long is allowed is decided where it is issued.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: u64 = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(unreadable()),
    };
    let count: u64 = digits.parse().map_err(|_| unreadable())?;
    count.checked_mul(unit).map(Duration::from_secs).ok_or_else(unreadable)
}

fn unreadable() -> String {
    "not a lifetime; a number and a unit (s, m, h, d) are needed, as in 12h or 30d".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes() {
        for (text, seconds) in
            [("90s", Some(90)), ("15m", Some(900)), ("12h", Some(43_200)), ("30d", Some(2_592_000)), ("0s", Some(0))]
        {
            assert_eq!(parse(text).ok().map(|time| time.as_secs()), seconds, "{text}");
        }
        // No unit, no number, two units, a sign, a fraction, an unknown unit, more than fits.
        for text in
            ["30", "d", "1h30m", "-1d", "1.5h", "2w", "99999999999999999999d", "18446744073709551615d", "", "3é"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
