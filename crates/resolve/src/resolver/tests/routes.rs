//! Another route table in force: what is cached, what is in flight, what is counted.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::resolver::kit::{Bench, Said, table};
use crate::testing::{Scripted, address, alias, name, until};

#[tokio::test]
async fn answers_of_a_source_that_is_gone_are_told_no_more() {
    let (old, new, other) = (source(1), source(2), source(3));
    let bench = Bench::new([("example.com", "peer", Arc::clone(&old)), ("example.net", "peer", Arc::clone(&other))]);
    bench.ask("web.example.com", "A").await;
    bench.ask("web.example.net", "A").await;
    bench.resolver.replace_routes(table([
        ("example.com", "peer", Arc::clone(&new)),
        ("example.net", "peer", Arc::clone(&other)),
    ]));
    assert_eq!(last_octet(&bench, "web.example.com").await, 2);
    assert_eq!((old.calls(), new.calls()), (1, 1));
    // The other zone kept its source, and so its answers.
    assert_eq!(bench.now("web.example.net", "A").0, Said::Reply);
    assert_eq!(other.calls(), 1);
}

#[tokio::test]
async fn a_zone_that_comes_takes_its_names_out_of_the_zone_above() {
    let (above, below) = (source(1), source(2));
    let bench = Bench::new([("example.com", "upstream", Arc::clone(&above))]);
    assert_eq!(last_octet(&bench, "web.cluster-b.example.com").await, 1);
    let routes =
        [("example.com", "upstream", Arc::clone(&above)), ("cluster-b.example.com", "peer", Arc::clone(&below))];
    bench.resolver.replace_routes(table(routes));
    assert_eq!(last_octet(&bench, "web.cluster-b.example.com").await, 2);
    // And gives them back when it goes.
    bench.resolver.replace_routes(table([("example.com", "upstream", above)]));
    assert_eq!(last_octet(&bench, "web.cluster-b.example.com").await, 1);
    assert_eq!(bench.resolver.routes().find(&name("web.cluster-b.example.com")).unwrap().kind, "upstream");
}

#[tokio::test]
async fn an_answer_through_an_alias_goes_with_the_zone_it_led_to() {
    let near = Scripted::local(|ask| alias(ask, 60, "web.cluster-b.example.com"));
    let bench =
        Bench::new([("example.org", "static", Arc::clone(&near)), ("cluster-b.example.com", "peer", source(1))]);
    bench.ask("www.example.org", "A").await;
    assert_eq!(bench.now("www.example.org", "A").0, Said::Reply);
    bench
        .resolver
        .replace_routes(table([("example.org", "static", near), ("cluster-b.example.com", "peer", source(2))]));
    let reply = bench.ask("www.example.org", "A").await;
    assert_eq!(reply.answers[1].rdata.as_bytes()[3], 2);
}

#[tokio::test]
async fn an_answer_still_in_flight_from_an_old_source_is_not_kept() {
    let gate = Arc::new(Semaphore::new(0));
    let old = Scripted::gated(&gate, |ask| address(ask, 60, 1));
    let bench = Arc::new(Bench::new([("example.com", "peer", Arc::clone(&old))]));
    let waiting = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { last_octet(&bench, "web.example.com").await }
    });
    until(|| old.calls() == 1).await;
    bench.resolver.replace_routes(table([("example.com", "peer", source(2))]));
    // A question that comes now does not join the old exchange.
    assert_eq!(last_octet(&bench, "web.example.com").await, 2);
    bench.resolver.flush_all();
    gate.add_permits(1);
    assert_eq!(waiting.await.unwrap(), 1);
    assert_eq!(bench.now("web.example.com", "A").0, Said::Later);
    bench.counts(&[("strait_cache_entries", 0)]);
}

#[tokio::test]
async fn an_answer_still_in_flight_when_all_is_forgotten_is_not_kept() {
    let gate = Arc::new(Semaphore::new(0));
    let slow = Scripted::gated(&gate, |ask| address(ask, 60, 1));
    let bench = Arc::new(Bench::new([("example.com", "upstream", Arc::clone(&slow))]));
    let waiting = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { last_octet(&bench, "web.example.com").await }
    });
    until(|| slow.calls() == 1).await;
    bench.resolver.flush_all();
    gate.add_permits(1);
    assert_eq!(waiting.await.unwrap(), 1);
    assert_eq!(bench.now("web.example.com", "A").0, Said::Later);
}

#[tokio::test]
async fn a_zone_that_goes_takes_its_counters_along() {
    let bench = Bench::new([("example.com", "peer", source(1)), ("example.net", "peer", source(2))]);
    bench.ask("web.example.com", "A").await;
    bench.ask("web.example.net", "A").await;
    let counters = |zone: &str| bench.resolver.road.active.load().find(name(zone).as_wire()).is_some();
    assert!(counters("example.com") && counters("example.net"));
    bench.resolver.replace_routes(table([("example.net", "peer", source(2))]));
    assert!(!counters("example.com"));
    let text = bench.text();
    assert!(!text.contains(r#"zone="example.com.""#) && text.contains(r#"zone="example.net.""#), "{text}");
}

fn source(last: u8) -> Arc<Scripted> {
    Scripted::new(move |ask| address(ask, 60, last))
}

async fn last_octet(bench: &Bench, name: &str) -> u8 {
    bench.ask(name, "A").await.answers[0].rdata.as_bytes()[3]
}
