#![allow(clippy::unwrap_used)]

mod refusals;
mod replies;
mod routes;
mod sources;
mod stale;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use strait_wire::{Ede, Rcode, RecordType};

use super::kit::{Bench, Said, told};
use crate::SourceError;
use crate::testing::{Scripted, address, ask, soa_record};

#[tokio::test]
async fn a_miss_asks_the_source_and_a_hit_does_not() {
    let source = Scripted::new(|ask| address(ask, 60, 7));
    let bench = Bench::new([("example.com", "upstream", Arc::clone(&source))]);
    assert_eq!(bench.now("web.example.com", "A").0, Said::Later);
    let fresh = bench.ask("web.example.com", "A").await;
    assert_eq!((fresh.rcode, fresh.answers[0].rdata.as_bytes()), (Rcode::NOERROR, [192, 0, 2, 7].as_slice()));
    // A hit needs no waiting, and keeps the case it was asked in (draft-vixie-dnsext-dns0x20).
    let (now, hit) = bench.now("WEB.example.com", "A");
    assert_eq!(now, Said::Reply);
    assert_eq!(hit.unwrap().questions[0].name.as_wire(), b"\x03WEB\x07example\x03com\x00");
    assert_eq!(source.calls(), 1);
    bench.counts(&[
        (r#"strait_cache_misses_total{zone="example.com."}"#, 1),
        (r#"strait_cache_hits_total{kind="positive",zone="example.com."}"#, 1),
        (r#"strait_requests_total{transport="udp",type="A",zone="example.com."}"#, 2),
        (r#"strait_responses_total{rcode="NOERROR",zone="example.com."}"#, 2),
        ("strait_cache_entries", 1),
    ]);
}

#[tokio::test]
async fn the_source_gets_the_name_in_lower_case() {
    let source = Scripted::new(|ask| address(ask, 60, 7));
    let bench = Bench::new([(".", "upstream", Arc::clone(&source))]);
    bench.ask("WEB.Example.COM", "A").await;
    assert_eq!(source.asked.lock().unwrap()[0].question.name.as_wire(), b"\x03web\x07example\x03com\x00");
}

#[tokio::test]
async fn a_local_source_answers_at_once_and_is_not_cached() {
    let source = Scripted::local(|ask| address(ask, 60, 7));
    let bench = Bench::new([("example.com", "static", Arc::clone(&source))]);
    for calls in 1..=2 {
        assert_eq!(bench.now("web.example.com", "A").0, Said::Reply);
        assert_eq!(source.calls(), calls);
    }
    bench.counts(&[("strait_cache_entries", 0)]);
}

#[tokio::test]
async fn ttl_zero_is_not_cached() {
    let source = Scripted::new(|ask| address(ask, 0, 7));
    let bench = Bench::new([(".", "upstream", Arc::clone(&source))]);
    for calls in 1..=2 {
        assert_eq!(bench.ask("example.com", "A").await.answers[0].ttl, 0);
        assert_eq!(source.calls(), calls);
    }
}

#[tokio::test]
async fn rfc2308_5_absence_is_cached() {
    let source =
        Scripted::new(|ask| Ok(crate::testing::answer(ask, Rcode::NXDOMAIN, vec![], vec![soa_record("com", 300, 60)])));
    let bench = Bench::new([(".", "upstream", Arc::clone(&source))]);
    for _ in 0..2 {
        let absent = bench.ask("no.com", "A").await;
        assert_eq!((absent.rcode, absent.authorities[0].ttl), (Rcode::NXDOMAIN, 60));
    }
    assert_eq!(source.calls(), 1);
    bench.counts(&[(r#"strait_cache_hits_total{kind="negative",zone="."}"#, 1)]);
}

#[tokio::test]
async fn rfc9520_failures_are_cached_and_say_so() {
    let source = Scripted::new(|_| Err(SourceError::Unreachable("192.0.2.53:53 does not answer".to_owned())));
    let bench = Bench::new([(".", "upstream", Arc::clone(&source))]);
    let first = bench.ask("example.com", "A").await;
    assert_eq!(
        (first.rcode, told(&first)),
        (Rcode::SERVFAIL, vec![(Ede::NO_REACHABLE_AUTHORITY, "192.0.2.53:53 does not answer".to_owned())])
    );
    let second = bench.ask("example.com", "A").await;
    let codes: Vec<u16> = told(&second).into_iter().map(|(code, _)| code).collect();
    // RFC 8914 4.14: from the cache, and still why.
    assert_eq!(codes, [Ede::CACHED_ERROR, Ede::NO_REACHABLE_AUTHORITY]);
    assert_eq!(source.calls(), 1);
}

#[tokio::test]
async fn a_shortage_of_ours_is_not_cached() {
    let source = Scripted::new(|_| Err(SourceError::Overloaded("4096 questions are outstanding".to_owned())));
    let bench = Bench::new([(".", "upstream", Arc::clone(&source))]);
    for calls in 1..=2 {
        assert_eq!(bench.ask("example.com", "A").await.rcode, Rcode::SERVFAIL);
        assert_eq!(source.calls(), calls);
    }
}

#[tokio::test]
async fn ttls_count_down() {
    let bench = Bench::new([(".", "upstream", Scripted::new(|ask| address(ask, 60, 7)))]);
    bench.ask("example.com", "A").await;
    let aged = bench.at(Duration::from_secs(25), "example.com", "A").unwrap();
    assert_eq!(aged.answers[0].ttl, 35);
    assert!(bench.at(Duration::from_secs(60), "example.com", "A").is_none());
}

#[tokio::test]
async fn rfc8482_any_gets_one_record_and_is_never_asked_further() {
    let far = Scripted::new(|ask| address(ask, 60, 7));
    let near = Scripted::local(|ask| {
        let soa = vec![soa_record("example.com", 60, 60)];
        Ok(crate::testing::answer(ask, Rcode::NXDOMAIN, vec![], soa))
    });
    let bench = Bench::new([(".", "upstream", Arc::clone(&far)), ("example.com", "static", near)]);
    let (now, reply) = bench.now("example.net", "ANY");
    let reply = reply.unwrap();
    assert_eq!((now, reply.rcode, reply.answers.len()), (Said::Reply, Rcode::NOERROR, 1));
    assert_eq!(reply.answers[0].rtype, RecordType::HINFO);
    assert_eq!(reply.answers[0].rdata.as_bytes(), b"\x07RFC8482\x00");
    assert_eq!(far.calls(), 0);
    // What does not exist has nothing of any type.
    assert_eq!(bench.now("no.example.com", "ANY").1.unwrap().rcode, Rcode::NXDOMAIN);
}

#[tokio::test]
async fn flushing_forgets() {
    let source = Scripted::new(|ask| address(ask, 60, 7));
    let bench = Bench::new([(".", "upstream", Arc::clone(&source))]);
    bench.ask("example.com", "A").await;
    bench.resolver.flush_all();
    bench.ask("example.com", "A").await;
    assert_eq!(source.calls(), 2);
    assert_eq!(source.asked.lock().unwrap()[0], ask("example.com", "A"));
}
