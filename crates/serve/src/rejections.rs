//! Tells of refused peers: counts all, logs at most one a second for each reason.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use strait_identity::Rejection;

/// Between two log lines for the same reason.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Remembers what was logged when. Its keys are the fixed words of [`Rejection::reason`].
#[derive(Default)]
pub(crate) struct RejectionLog {
    reasons: Mutex<HashMap<&'static str, Logged>>,
}

struct Logged {
    at: Instant,
    suppressed: u64,
}

impl RejectionLog {
    /// Logs the rejection unless one for the same reason was logged less than a second ago.
    pub(crate) fn tell(&self, client: SocketAddr, rejection: &Rejection) {
        if let Some(suppressed) = self.turn(rejection.reason(), Instant::now()) {
            tracing::warn!(%client, reason = rejection.reason(), suppressed, "peer refused: {rejection}");
        }
    }

    /// Whether it is this reason's turn, and how many were passed over since the last.
    fn turn(&self, reason: &'static str, now: Instant) -> Option<u64> {
        // Each change below is complete before a panic could poison the map.
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        match reasons.get_mut(reason) {
            Some(last) if now.saturating_duration_since(last.at) < LOG_INTERVAL => {
                last.suppressed += 1;
                None
            }
            Some(last) => {
                last.at = now;
                Some(std::mem::take(&mut last.suppressed))
            }
            None => {
                reasons.insert(reason, Logged { at: now, suppressed: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_for_each_reason() {
        let log = RejectionLog::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(log.turn("expired", at(0)), Some(0));
        assert_eq!(log.turn("expired", at(10)), None);
        assert_eq!(log.turn("expired", at(999)), None);
        // Another reason has its own turn.
        assert_eq!(log.turn("unknown_ca", at(10)), Some(0));
        assert_eq!(log.turn("expired", at(1000)), Some(2));
        assert_eq!(log.turn("expired", at(2500)), Some(0));
    }
}
