//! The metrics registry.

use prometheus::Registry;

/// A registry with the process's own metrics and `strait_build_info`.
pub fn registry(version: &str) -> Result<Registry, prometheus::Error> {
    let _ = version;
    unimplemented!()
}

/// The registry's metrics in Prometheus text format.
pub fn encode(registry: &Registry) -> Result<String, prometheus::Error> {
    let _ = registry;
    unimplemented!()
}
