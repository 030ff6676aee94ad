#![allow(clippy::unwrap_used)]

use std::time::Duration;

use prometheus::TextEncoder;
use strait_wire::{AnswerKind, Rcode, RecordType};

use super::*;
use crate::Transport;

fn scrape(registry: &Registry) -> String {
    TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
}

#[test]
fn a_question_is_counted_under_its_labels() {
    let registry = Registry::new();
    let zone = ResolveMetrics::new(&registry).unwrap().zone("example.com.");
    zone.answered(Transport::Dot, RecordType::AAAA, Rcode::NXDOMAIN, Duration::from_millis(3));
    // Types and rcodes that only a stranger thinks of share one label.
    zone.answered(Transport::Udp, RecordType(65_280), Rcode(3841), Duration::ZERO);
    zone.answered(Transport::Udp, RecordType(65_281), Rcode(3842), Duration::ZERO);
    zone.hit(AnswerKind::NoData);
    zone.hit(AnswerKind::NxDomain);
    zone.miss();
    let text = scrape(&registry);
    for line in [
        r#"strait_requests_total{transport="dot",type="AAAA",zone="example.com."} 1"#,
        r#"strait_requests_total{transport="udp",type="other",zone="example.com."} 2"#,
        r#"strait_responses_total{rcode="NXDOMAIN",zone="example.com."} 1"#,
        r#"strait_responses_total{rcode="other",zone="example.com."} 2"#,
        r#"strait_request_duration_seconds_bucket{zone="example.com.",le="0.0001"} 2"#,
        r#"strait_request_duration_seconds_bucket{zone="example.com.",le="0.1"} 3"#,
        r#"strait_cache_hits_total{kind="negative",zone="example.com."} 2"#,
        r#"strait_cache_misses_total{zone="example.com."} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_forgotten_zone_leaves_no_series() {
    let registry = Registry::new();
    let metrics = ResolveMetrics::new(&registry).unwrap();
    let (gone, stays) = (metrics.zone("gone."), metrics.zone("stays."));
    for zone in [&gone, &stays] {
        zone.answered(Transport::Tcp, RecordType(9_999), Rcode(999), Duration::ZERO);
        zone.hit(AnswerKind::Failure);
        zone.miss();
    }
    gone.forget();
    let text = scrape(&registry);
    assert!(!text.contains("gone.") && text.contains("stays."), "{text}");
}

#[test]
fn the_families_register_once() {
    let registry = Registry::new();
    ResolveMetrics::new(&registry).unwrap();
    assert!(ResolveMetrics::new(&registry).is_err());
}
