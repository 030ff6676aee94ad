//! The bounds of the cache, and what they make of an answer.

use std::time::Duration;

use strait_wire::{Answer, AnswerKind};

/// Bounds of the cache.
#[derive(Debug, Clone)]
pub struct CacheSettings {
    /// Bytes it may hold, keys and values and bookkeeping; 0 turns it off.
    pub size: u64,
    /// Positive TTLs are raised and lowered into this range, in seconds.
    pub min_ttl: u32,
    /// See `min_ttl`.
    pub max_ttl: u32,
    /// Negative answers are kept no longer than this, in seconds (RFC 2308 5).
    pub max_negative_ttl: u32,
    /// A first failure is kept so long (RFC 9520 3.2: 1 s to 5 min).
    pub failure_ttl: Duration,
    /// Each failure that follows another is kept twice as long, up to this (RFC 9520 3.2: at most 5 min).
    pub max_failure_ttl: Duration,
    /// Answers past their time (RFC 8767).
    pub stale: StaleSettings,
    /// An answer with so many hits is asked for again before it expires; 0 turns that off.
    pub prefetch_hits: u8,
}

/// How answers past their time are told (RFC 8767 5).
#[derive(Debug, Clone)]
pub struct StaleSettings {
    /// Answers are kept so long past their time; zero: not at all.
    pub keep_for: Duration,
    /// A client that has waited so long for a source gets the stale answer; zero: only when the source fails.
    pub client_timer: Duration,
    /// After a failure the stale answer is told for so long before the source is asked again.
    pub recheck: Duration,
}

impl StaleSettings {
    /// The largest TTL in a stale answer, in seconds (RFC 8767 4).
    pub(crate) const TTL: u32 = 30;
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            size: 32 << 20,
            min_ttl: 0,
            max_ttl: 86_400,
            max_negative_ttl: 1_800,
            failure_ttl: Duration::from_secs(1),
            max_failure_ttl: Duration::from_secs(30),
            stale: StaleSettings::default(),
            prefetch_hits: 3,
        }
    }
}

impl Default for StaleSettings {
    fn default() -> Self {
        Self {
            keep_for: Duration::from_secs(86_400),
            client_timer: Duration::from_millis(1_800),
            recheck: Duration::from_secs(30),
        }
    }
}

impl CacheSettings {
    /// The answer with its TTLs within the bounds, and how long it may be kept; zero: not at all.
    pub(crate) fn bound(&self, answer: &Answer) -> (Answer, Duration) {
        let answer = match answer.kind() {
            AnswerKind::Positive => answer.clamp_ttls(self.min_ttl, self.max_ttl),
            // RFC 2308 5: the lesser of the SOA's TTL and its minimum, and that is what clients see.
            AnswerKind::NoData | AnswerKind::NxDomain => answer.clamp_ttls(0, self.max_negative_ttl.min(answer.ttl())),
            AnswerKind::Failure => return (answer.clone(), self.failure_lifetime()),
        };
        let lifetime = Duration::from_secs(u64::from(answer.ttl()));
        (answer, lifetime)
    }

    /// RFC 9520 3.2: at least one second, at most five minutes.
    pub(crate) fn failure_lifetime(&self) -> Duration {
        self.failure_ttl.clamp(Duration::from_secs(1), Self::MAX_FAILURE_TTL)
    }

    /// How long a failure is kept that follows one which was kept for `last`.
    pub(crate) fn next_failure_lifetime(&self, last: Duration) -> Duration {
        (last * 2).min(self.max_failure_ttl.min(Self::MAX_FAILURE_TTL)).max(self.failure_lifetime())
    }

    const MAX_FAILURE_TTL: Duration = Duration::from_secs(300);
}
