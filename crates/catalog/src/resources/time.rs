//! Moments as the API writes them (RFC 3339).

use std::time::SystemTime;

use k8s_openapi::jiff::Timestamp;

/// Seconds since 1970-01-01 UTC.
pub(super) fn parse(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// Now, in whole seconds.
pub(super) fn now() -> String {
    seconds(SystemTime::now())
}

/// Now, in microseconds, as leases have it.
pub(super) fn now_in_micros() -> String {
    format!("{:.6}", Timestamp::now())
}

/// That time, in whole seconds.
pub(super) fn seconds(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| String::new(), |time| format!("{time:.0}"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn moments_are_written_as_the_api_has_them() {
        assert_eq!(seconds(UNIX_EPOCH + Duration::from_secs(1_700_000_000)), "2023-11-14T22:13:20Z");
        assert_eq!(parse("2023-11-14T22:13:20Z"), Some(1_700_000_000));
        assert_eq!(parse("2023-11-14T22:13:20.123456Z"), Some(1_700_000_000));
        assert_eq!(parse("yesterday"), None);
        let micros = now_in_micros();
        assert_eq!((micros.len(), parse(&micros).is_some()), ("2023-11-14T22:13:20.123456Z".len(), true), "{micros}");
    }
}
