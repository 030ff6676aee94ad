//! The metrics registry.

use prometheus::{IntGaugeVec, Opts, Registry, TextEncoder};

/// A registry with the process's own metrics and `strait_build_info`.
pub fn registry(version: &str) -> Result<Registry, prometheus::Error> {
    let registry = Registry::new();
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    let info =
        IntGaugeVec::new(Opts::new("strait_build_info", "Always 1; the version is in the label."), &["version"])?;
    info.with_label_values(&[version]).set(1);
    registry.register(Box::new(info))?;
    Ok(registry)
}

/// The registry's metrics in Prometheus text format.
pub fn encode(registry: &Registry) -> Result<String, prometheus::Error> {
    TextEncoder::new().encode_to_string(&registry.gather())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_version_and_the_process_are_told() {
        let page = encode(&registry("1.2.3").unwrap()).unwrap();
        assert!(page.contains("strait_build_info{version=\"1.2.3\"} 1"), "{page}");
        assert!(page.contains("process_resident_memory_bytes "), "{page}");
    }
}
