#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

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
    zone.answered(Transport::Dot, RecordType::AAAA, Rcode::NXDOMAIN, Took::Known(Duration::from_millis(3)));
    // Types and rcodes that only a stranger thinks of share one label.
    zone.answered(Transport::Udp, RecordType(65_280), Rcode(3841), Took::Known(Duration::ZERO));
    zone.answered(Transport::Udp, RecordType(65_281), Rcode(3842), Took::Known(Duration::ZERO));
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
        zone.answered(Transport::Tcp, RecordType(9_999), Rcode(999), Took::Known(Duration::ZERO));
        zone.hit(AnswerKind::Failure);
        zone.miss();
    }
    gone.forget();
    let text = scrape(&registry);
    assert!(!text.contains("gone.") && text.contains("stays."), "{text}");
}

#[test]
fn what_threads_count_is_summed() {
    let registry = Registry::new();
    let zone = ResolveMetrics::new(&registry).unwrap().zone(".");
    let count = || {
        for _ in 0..1_000 {
            zone.answered(Transport::Udp, RecordType::A, Rcode::NOERROR, Took::Known(Duration::ZERO));
            zone.hit(AnswerKind::Positive);
        }
    };
    // More than have counters of their own.
    std::thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(count);
        }
    });
    let text = scrape(&registry);
    for line in [
        r#"strait_requests_total{transport="udp",type="A",zone="."} 200000"#,
        r#"strait_responses_total{rcode="NOERROR",zone="."} 200000"#,
        r#"strait_request_duration_seconds_count{zone="."} 200000"#,
        r#"strait_cache_hits_total{kind="positive",zone="."} 200000"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn of_the_answers_given_at_once_one_in_sixteen_is_timed() {
    let registry = Registry::new();
    let zone = ResolveMetrics::new(&registry).unwrap().zone(".");
    let long_ago = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
    // The first and the 17th are timed; those between count as the first.
    for at in 0..17 {
        let arrived = if matches!(at, 0 | 16) { long_ago } else { Instant::now() };
        zone.answered(Transport::Udp, RecordType::A, Rcode::NOERROR, Took::AtOnce(arrived));
    }
    zone.answered(Transport::Udp, RecordType::A, Rcode::NOERROR, Took::Known(Duration::ZERO));
    let text = scrape(&registry);
    for line in [
        r#"strait_request_duration_seconds_bucket{zone=".",le="0.0001"} 1"#,
        r#"strait_request_duration_seconds_bucket{zone=".",le="5"} 1"#,
        r#"strait_request_duration_seconds_bucket{zone=".",le="+Inf"} 18"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_zone_that_comes_again_counts_on() {
    let registry = Registry::new();
    let metrics = ResolveMetrics::new(&registry).unwrap();
    metrics.zone("example.com.").miss();
    metrics.zone("example.com.").miss();
    assert!(scrape(&registry).contains(r#"strait_cache_misses_total{zone="example.com."} 2"#));
}

#[test]
fn the_families_register_once() {
    let registry = Registry::new();
    ResolveMetrics::new(&registry).unwrap();
    assert!(ResolveMetrics::new(&registry).is_err());
}
