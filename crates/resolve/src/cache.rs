//! The answer cache: wire-ready answers under (lower-cased name, type, class, DO, CD), bounded in bytes.

use std::time::Duration;

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
    /// Failures are kept so long (RFC 9520: 1 s to 5 min).
    pub failure_ttl: Duration,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            size: 32 << 20,
            min_ttl: 0,
            max_ttl: 86_400,
            max_negative_ttl: 1_800,
            failure_ttl: Duration::from_secs(1),
        }
    }
}

/// The cache.
pub struct AnswerCache {
    _settings: CacheSettings,
}

impl AnswerCache {
    /// An empty cache.
    pub fn new(settings: CacheSettings) -> Self {
        Self { _settings: settings }
    }
}
