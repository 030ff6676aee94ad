//! Tells of refused peers: counts all, and logs a few at once, then one a second for each reason.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use strait_identity::Rejection;

/// Between two log lines for the same reason, once the burst is used up.
const LOG_INTERVAL: Duration = Duration::from_secs(1);
/// Lines for the same reason that may come at once: an operator who tries one certificate after another sees each.
const BURST: u32 = 8;

/// Remembers what was logged when. Its keys are the fixed words of [`Rejection::reason`].
#[derive(Default)]
pub(crate) struct RejectionLog {
    reasons: Mutex<HashMap<&'static str, Allowance>>,
}

/// What may still be logged for a reason.
struct Allowance {
    lines: u32,
    /// Up to when lines have been given back.
    since: Instant,
    suppressed: u64,
}

impl RejectionLog {
    /// Logs the rejection, unless its reason has used up its lines.
    pub(crate) fn tell(&self, client: SocketAddr, rejection: &Rejection) {
        if let Some(suppressed) = self.turn(rejection.reason(), Instant::now()) {
            tracing::warn!(%client, reason = rejection.reason(), suppressed, "peer refused: {rejection}");
        }
    }

    /// Whether there is a line left for this reason, and how many were passed over since the last.
    fn turn(&self, reason: &'static str, now: Instant) -> Option<u64> {
        // Each change below is complete before a panic could poison the map.
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let allowance = reasons.entry(reason).or_insert(Allowance { lines: BURST, since: now, suppressed: 0 });
        allowance.earn(now);
        if allowance.lines == 0 {
            allowance.suppressed += 1;
            return None;
        }
        allowance.lines -= 1;
        Some(std::mem::take(&mut allowance.suppressed))
    }
}

impl Allowance {
    /// Gives back a line for each interval that has passed.
    fn earn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since).as_millis() / LOG_INTERVAL.as_millis();
        let earned = u32::try_from(passed).unwrap_or(u32::MAX);
        self.lines = self.lines.saturating_add(earned).min(BURST);
        self.since = if self.lines == BURST { now } else { self.since + LOG_INTERVAL * earned };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_lines_at_once_then_one_a_second_for_each_reason() {
        let log = RejectionLog::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        for _ in 0..BURST {
            assert_eq!(log.turn("expired", at(0)), Some(0));
        }
        assert_eq!(log.turn("expired", at(10)), None);
        assert_eq!(log.turn("expired", at(999)), None);
        // Another reason has its own turns.
        assert_eq!(log.turn("unknown_ca", at(10)), Some(0));
        assert_eq!(log.turn("expired", at(1000)), Some(2));
        assert_eq!(log.turn("expired", at(1500)), None);
        assert_eq!(log.turn("expired", at(2000)), Some(1));
        // After a silence the whole burst is there again, and no more.
        for _ in 0..BURST {
            assert_eq!(log.turn("expired", at(60_000)), Some(0));
        }
        assert_eq!(log.turn("expired", at(60_000)), None);
    }
}
