//! Answers past their time (RFC 8767), and answers asked for anew before it.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use strait_wire::{Answer, Ede, Message, Rcode};
use tokio::sync::Semaphore;

use crate::cache::CacheKey;
use crate::resolver::kit::{Bench, Said, query_with_path, table, told};
use crate::resolver::refresh::MAX_REFRESHES;
use crate::testing::{Scripted, address, alias, answer, query, soa_record, until};
use crate::{RouteTable, SourceError};

const NAME: &str = "www.example.com";

/// A source that answers with a TTL of one second while it is alive.
fn mortal() -> (Arc<Scripted>, Arc<AtomicBool>) {
    let alive = Arc::new(AtomicBool::new(true));
    let is_alive = Arc::clone(&alive);
    let source = Scripted::new(move |ask| match is_alive.load(Ordering::SeqCst) {
        true => address(ask, 1, 7),
        false => Err(SourceError::Unreachable("192.0.2.53:53 does not answer".to_owned())),
    });
    (source, alive)
}

fn bench(routes: RouteTable, client_timer: Duration) -> Bench {
    Bench::with(routes, |settings| settings.cache.stale.client_timer = client_timer)
}

/// Waits until the cached answer's time is over.
async fn expired(bench: &Bench) {
    let road = &bench.resolver.road;
    let packet = query(NAME, "A");
    let view = strait_wire::QueryView::parse(&packet).unwrap();
    until(|| road.look_up_stale(&CacheKey::of_query(&view), &Default::default()).is_some()).await;
}

fn assert_stale(reply: &Message, code: u16) {
    assert_eq!(told(reply).first().map(|(code, _)| *code), Some(code));
    assert!(reply.records().all(|record| record.ttl <= 30), "RFC 8767 4");
}

#[tokio::test]
async fn rfc8767_4_an_answer_past_its_time_beats_a_fresh_failure() {
    let (source, alive) = mortal();
    let bench = bench(table([(".", "upstream", Arc::clone(&source))]), Duration::ZERO);
    bench.ask(NAME, "A").await;
    expired(&bench).await;
    alive.store(false, Ordering::SeqCst);
    let reply = bench.ask(NAME, "A").await;
    assert_eq!((reply.rcode, reply.answers.len()), (Rcode::NOERROR, 1));
    assert_stale(&reply, Ede::STALE_ANSWER);
    assert_eq!(source.calls(), 2);
    // RFC 8767 5: within the recheck time it is told at once, and the source is left alone.
    let (said, again) = bench.now(NAME, "A");
    assert_eq!(said, Said::Reply);
    assert_stale(&again.unwrap(), Ede::STALE_ANSWER);
    assert_eq!(source.calls(), 2);
    bench.counts(&[("strait_cache_stale_answers_total", 2)]);
}

#[tokio::test]
async fn rfc8914_4_19_what_is_prohibited_is_not_told_past_its_time() {
    // (what the source says by then, whether the answer from before is told)
    for (ede, is_told) in [(Ede::PROHIBITED, false), (Ede::NOT_AUTHORITATIVE, true)] {
        let allowed = Arc::new(AtomicBool::new(true));
        let is_allowed = Arc::clone(&allowed);
        let source = Scripted::new(move |ask| match is_allowed.load(Ordering::SeqCst) {
            true => address(ask, 1, 7),
            false => Ok(Answer::failure(ask.question.clone(), Rcode::REFUSED, Some(Ede::new(ede, "")))),
        });
        let bench = bench(table([(".", "upstream", source)]), Duration::ZERO);
        bench.ask(NAME, "A").await;
        expired(&bench).await;
        allowed.store(false, Ordering::SeqCst);
        for _ in 0..2 {
            let reply = bench.ask(NAME, "A").await;
            let expected = if is_told { (Rcode::NOERROR, 1) } else { (Rcode::REFUSED, 0) };
            assert_eq!((reply.rcode, reply.answers.len()), expected, "{ede}");
        }
        // Nor is it there any more when nobody answers.
        let key = CacheKey::of_query(&strait_wire::QueryView::parse(&query(NAME, "A")).unwrap());
        assert_eq!(bench.resolver.road.look_up_stale(&key, &Default::default()).is_some(), is_told, "{ede}");
    }
}

#[tokio::test]
async fn rfc8914_4_20_an_absence_past_its_time_says_so() {
    let alive = Arc::new(AtomicBool::new(true));
    let is_alive = Arc::clone(&alive);
    let source = Scripted::new(move |ask| match is_alive.load(Ordering::SeqCst) {
        true => Ok(answer(ask, Rcode::NXDOMAIN, vec![], vec![soa_record("com", 1, 1)])),
        false => Err(SourceError::Unreachable("nobody answers".to_owned())),
    });
    let bench = bench(table([(".", "upstream", source)]), Duration::ZERO);
    bench.ask(NAME, "A").await;
    expired(&bench).await;
    alive.store(false, Ordering::SeqCst);
    let reply = bench.ask(NAME, "A").await;
    assert_eq!(reply.rcode, Rcode::NXDOMAIN);
    assert_stale(&reply, Ede::STALE_NXDOMAIN);
}

#[tokio::test]
async fn rfc8767_5_a_client_waits_for_its_timer_and_the_exchange_goes_on() {
    let gate = Arc::new(Semaphore::new(1));
    let source = Scripted::gated(&gate, |ask| address(ask, 1, 7));
    let bench = bench(table([(".", "upstream", Arc::clone(&source))]), Duration::from_millis(50));
    bench.ask(NAME, "A").await;
    expired(&bench).await;
    let reply = bench.ask(NAME, "A").await;
    assert_eq!(reply.rcode, Rcode::NOERROR);
    assert_stale(&reply, Ede::STALE_ANSWER);
    assert_eq!((source.calls(), bench.in_flight()), (2, 1));
    // Who comes now does not wait as long again.
    assert_eq!(bench.now(NAME, "A").0, Said::Reply);
    gate.add_permits(1);
    until(|| bench.in_flight() == 0).await;
    let fresh = bench.now(NAME, "A").1.unwrap();
    assert_eq!(told(&fresh), [], "the late answer takes the place of the old one");
}

#[tokio::test]
async fn an_upstream_that_flaps_costs_nobody_an_answer() {
    let (source, alive) = mortal();
    let bench = Bench::with(table([(".", "upstream", source)]), |settings| {
        settings.cache.stale.client_timer = Duration::ZERO;
        // Each question finds out anew.
        settings.cache.stale.recheck = Duration::ZERO;
    });
    bench.ask(NAME, "A").await;
    for _ in 0..3 {
        expired(&bench).await;
        alive.fetch_xor(true, Ordering::SeqCst);
        for _ in 0..10 {
            assert_eq!(bench.ask(NAME, "A").await.rcode, Rcode::NOERROR);
        }
    }
}

#[tokio::test]
async fn an_answer_of_another_route_is_not_told_past_its_time() {
    let (source, alive) = mortal();
    let bench = bench(table([(".", "upstream", Arc::clone(&source))]), Duration::ZERO);
    bench.ask(NAME, "A").await;
    expired(&bench).await;
    alive.store(false, Ordering::SeqCst);
    let (other, _) = mortal();
    bench.resolver.replace_routes(table([(".", "upstream", source), ("example.com", "forward", Arc::clone(&other))]));
    assert_eq!(told(&bench.ask(NAME, "A").await), [], "the new route was asked");
    assert_eq!(other.calls(), 1);
}

#[tokio::test]
async fn a_flushed_answer_is_not_told_past_its_time() {
    let (source, alive) = mortal();
    let bench = bench(table([(".", "upstream", source)]), Duration::ZERO);
    bench.ask(NAME, "A").await;
    expired(&bench).await;
    alive.store(false, Ordering::SeqCst);
    bench.resolver.flush_all();
    assert_eq!(bench.ask(NAME, "A").await.rcode, Rcode::SERVFAIL);
}

#[tokio::test]
async fn a_peers_answer_past_its_time_is_not_told_to_another_cluster() {
    let (source, alive) = mortal();
    let bench = bench(table([(".", "peer", source)]), Duration::ZERO);
    bench.ask(NAME, "A").await;
    expired(&bench).await;
    alive.store(false, Ordering::SeqCst);
    let packet = query_with_path(NAME, "A", "cluster-c.example.com");
    assert_eq!(bench.send(&packet).await.unwrap().rcode, Rcode::REFUSED);
}

#[tokio::test]
async fn nor_one_that_led_to_a_peer_by_an_alias() {
    let (peer, _) = mortal();
    let near = Scripted::new(|ask| alias(ask, 1, "web.cluster-b.example.com"));
    let bench = bench(table([(".", "upstream", near), ("cluster-b.example.com", "peer", peer)]), Duration::ZERO);
    assert_eq!(bench.ask(NAME, "A").await.answers.len(), 2);
    expired(&bench).await;
    let packet = query_with_path(NAME, "A", "cluster-c.example.com");
    assert_eq!(bench.send(&packet).await.unwrap().answers.len(), 0);
}

#[tokio::test]
async fn what_is_asked_for_often_is_asked_for_anew_in_time() {
    let source = Scripted::new(|ask| address(ask, 60, 7));
    let bench = Bench::new([(".", "upstream", Arc::clone(&source))]);
    let late = Duration::from_secs(58);
    bench.ask("rare.example", "A").await;
    assert!(bench.at(late, "rare.example", "A").is_some());
    bench.ask(NAME, "A").await;
    for _ in 0..3 {
        assert_eq!(bench.now(NAME, "A").0, Said::Reply);
    }
    assert!(bench.at(Duration::from_secs(30), NAME, "A").is_some());
    bench.counts(&[("strait_cache_prefetches_total", 0)]);
    for _ in 0..3 {
        assert!(bench.at(late, NAME, "A").is_some());
    }
    until(|| source.calls() == 3 && bench.in_flight() == 0).await;
    bench.counts(&[("strait_cache_prefetches_total", 1)]);
    // The new answer counts from now.
    assert_eq!(bench.at(late, NAME, "A").unwrap().answers[0].ttl, 2);
    let asked = source.asked.lock().unwrap();
    assert_eq!(asked.iter().filter(|ask| ask.question.name.to_string() == "rare.example.").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_anew_in_vain_does_not_hold_its_place_for_ever() {
    let gate = Arc::new(Semaphore::new(1));
    let source = Scripted::gated(&gate, |ask| address(ask, 60, 7));
    let bench = Bench::new([(".", "upstream", Arc::clone(&source))]);
    bench.ask(NAME, "A").await;
    for _ in 0..3 {
        assert_eq!(bench.now(NAME, "A").0, Said::Reply);
    }
    // Nobody looks after the first question any more.
    tokio::time::advance(Duration::from_secs(1)).await;
    until(|| !bench.resolver.road.flights.is_watched()).await;
    assert!(bench.at(Duration::from_secs(58), NAME, "A").is_some());
    // Nobody waits for it, and nothing else is in flight.
    until(|| source.calls() == 2).await;
    assert_eq!(bench.in_flight(), 1);
    tokio::time::advance(Duration::from_secs(15)).await;
    until(|| bench.in_flight() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn without_room_nothing_is_asked_for_anew_and_the_next_hit_tries_again() {
    let source = Scripted::new(|ask| address(ask, 60, 7));
    let bench = Bench::new([(".", "upstream", Arc::clone(&source)), ("dead.example", "peer", Scripted::silent())]);
    bench.ask(NAME, "A").await;
    for _ in 0..3 {
        assert_eq!(bench.now(NAME, "A").0, Said::Reply);
    }
    // Nobody looks after the first question any more.
    tokio::time::advance(Duration::from_secs(1)).await;
    until(|| !bench.resolver.road.flights.is_watched()).await;
    let refreshing = &bench.resolver.road.refreshing;
    refreshing.store(MAX_REFRESHES, Ordering::Relaxed);
    assert!(bench.at(Duration::from_secs(58), NAME, "A").is_some());
    assert_eq!((bench.in_flight(), refreshing.load(Ordering::Relaxed)), (0, MAX_REFRESHES));
    bench.counts(&[("strait_cache_prefetches_total", 0)]);
    // Nothing has been begun that others would count on: who waits in vain is told so at the deadline.
    let told = tokio::time::timeout(Duration::from_secs(60), bench.ask("a.dead.example", "A")).await;
    assert_eq!(told.unwrap().rcode, Rcode::SERVFAIL);

    refreshing.store(0, Ordering::Relaxed);
    assert!(bench.at(Duration::from_secs(58), NAME, "A").is_some());
    until(|| source.calls() == 2).await;
    bench.counts(&[("strait_cache_prefetches_total", 1)]);
    until(|| refreshing.load(Ordering::Relaxed) == 0).await;
}
