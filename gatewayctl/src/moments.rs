//! Moments and spans for people.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds since 1970-01-01 UTC, now.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// RFC 3339, for those who compute with it; none for 0, which means never.
pub(crate) fn moment(seconds: i64) -> Option<String> {
    if seconds == 0 {
        return None;
    }
    OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|moment| moment.format(&Rfc3339).ok())
}

/// How long ago, in the largest unit that fits: `5s ago`, `3m ago`.
pub(crate) fn ago(seconds: i64, now: i64) -> String {
    let passed = now.saturating_sub(seconds).max(0);
    match passed {
        0..120 => format!("{passed}s ago"),
        120..7_200 => format!("{}m ago", passed / 60),
        7_200..172_800 => format!("{}h ago", passed / 3_600),
        _ => format!("{}d ago", passed / 86_400),
    }
}

/// Milliseconds with what precision helps: `0.42 ms`, `12.3 ms`, `850 ms`.
pub(crate) fn span(span: Duration) -> String {
    let ms = span.as_secs_f64() * 1000.0;
    match ms {
        0.0..10.0 => format!("{ms:.2} ms"),
        10.0..100.0 => format!("{ms:.1} ms"),
        _ => format!("{ms:.0} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_ages_are_short() {
        let ages = [(0, "0s ago"), (119, "119s ago"), (120, "2m ago"), (7_200, "2h ago"), (172_800, "2d ago")];
        for (passed, expected) in ages {
            assert_eq!(ago(1_000, 1_000 + passed), expected);
        }
        // Two clocks that differ are no reason for a negative age.
        assert_eq!(ago(1_010, 1_000), "0s ago");
        let spans = [(420, "0.42 ms"), (12_340, "12.3 ms"), (850_000, "850 ms")];
        for (micros, expected) in spans {
            assert_eq!(span(Duration::from_micros(micros)), expected);
        }
        assert_eq!(moment(1_700_000_000).as_deref(), Some("2023-11-14T22:13:20Z"));
        assert_eq!(moment(0), None);
    }
}
