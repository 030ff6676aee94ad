//! Clients that wait: sharing, deadlines, bounds, and names that do not wait for others' trouble.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use strait_wire::{Ede, Message, Rcode};
use tokio::sync::Semaphore;

use crate::flight::{MAX_EXCHANGES, MAX_WAITING_PER_ZONE};
use crate::resolver::kit::{Bench, Said, local, query_with_path, refused, told};
use crate::testing::{Scripted, address, alias, origin_from, query, until};
use crate::{Now, Outlet, Pending, Reply, Respond, Transport};

#[tokio::test]
async fn a_thousand_clients_at_once_cost_one_exchange() {
    let gate = Arc::new(Semaphore::new(0));
    let source = Scripted::gated(&gate, |ask| address(ask, 60, 7));
    let bench = Arc::new(Bench::new([(".", "upstream", Arc::clone(&source))]));
    let clients: Vec<_> = (0..1000)
        .map(|i| {
            let bench = Arc::clone(&bench);
            // The case of a name makes no other question.
            let name = if i % 2 == 0 { "www.example.com" } else { "WWW.example.com" };
            tokio::spawn(async move { bench.ask(name, "A").await })
        })
        .collect();
    until(|| source.calls() == 1).await;
    gate.add_permits(1000);
    for client in clients {
        assert_eq!(client.await.unwrap().answers.len(), 1);
    }
    assert_eq!((source.calls(), bench.in_flight()), (1, 0));
    bench.counts(&[("strait_single_flight_shared_total", 999)]);
}

#[tokio::test]
async fn questions_that_passed_other_clusters_are_other_questions() {
    let gate = Arc::new(Semaphore::new(0));
    let source = Scripted::gated(&gate, |ask| address(ask, 60, 7));
    let bench = Arc::new(Bench::new([("cluster-a.example.com", "home", Arc::clone(&source))]));
    let passed = query_with_path("web.cluster-a.example.com", "A", "cluster-c.example.com");
    let clients = [query("web.cluster-a.example.com", "A"), passed].map(|packet| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move { bench.send(&packet).await })
    });
    // A source may answer by the path; the one must not get what is said to the other.
    until(|| source.calls() == 2).await;
    gate.add_permits(2);
    for client in clients {
        assert_eq!(client.await.unwrap().unwrap().rcode, Rcode::NOERROR);
    }
}

#[tokio::test]
async fn rfc5452_5_an_upstream_is_asked_once_whatever_clusters_the_questions_have_passed() {
    let gate = Arc::new(Semaphore::new(0));
    let source = Scripted::gated(&gate, |ask| address(ask, 60, 7));
    let bench = Arc::new(Bench::new([(".", "upstream", Arc::clone(&source))]));
    let clients: Vec<_> = (0..100)
        .map(|number| {
            let (bench, passed) = (Arc::clone(&bench), format!("cluster-{number}.example.com"));
            let packet = query_with_path("victim.example", "A", &passed);
            tokio::spawn(async move { bench.send(&packet).await })
        })
        .collect();
    until(|| source.calls() == 1).await;
    gate.add_permits(100);
    for client in clients {
        assert_eq!(client.await.unwrap().unwrap().rcode, Rcode::NOERROR);
    }
    assert_eq!(source.calls(), 1);
    // What clusters it has passed is nobody's business out there.
    assert!(source.asked.lock().unwrap()[0].path.is_empty());
}

#[tokio::test]
async fn rfc9520_3_2_a_failure_that_owes_nothing_to_the_path_is_kept() {
    let source = Scripted::new(|_| Err(crate::SourceError::Unreachable("nobody answers".into())));
    let bench = Bench::new([(".", "upstream", Arc::clone(&source))]);
    for number in 0..10 {
        let packet = query_with_path("victim.example", "A", &format!("cluster-{number}.example.com"));
        assert_eq!(bench.send(&packet).await.unwrap().rcode, Rcode::SERVFAIL);
    }
    assert_eq!(source.calls(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_takes_nothing_from_the_others() {
    let gate = Arc::new(Semaphore::new(0));
    let source = Scripted::gated(&gate, |ask| address(ask, 60, 7));
    let bench = Arc::new(Bench::new([(".", "upstream", Arc::clone(&source))]));
    let ask = || {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move { bench.ask("example.com", "A").await })
    };
    let (leader, follower) = (ask(), ask());
    until(|| source.calls() == 1).await;
    leader.abort();
    gate.add_permits(1);
    assert_eq!(follower.await.unwrap().rcode, Rcode::NOERROR);
}

#[tokio::test]
async fn who_is_gone_waits_no_longer() {
    let bench = Bench::new([("dead.example", "peer", Scripted::silent())]);
    let resolver = Arc::clone(&bench.resolver);
    let client = tokio::spawn(async move { resolver.respond(&query("a.dead.example", "A"), &local()).await });
    let dead = Arc::clone(bench.resolver.road.active.load().find(b"\x04dead\x07example\x00").unwrap());
    let waiting = || dead.zone.waiting.load(Ordering::Relaxed);
    until(|| waiting() == 1).await;
    client.abort();
    until(|| waiting() == 0).await;
    // The exchange goes on, for the cache and for who asks next.
    assert_eq!(bench.in_flight(), 1);
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_a_client_gets_servfail_and_the_exchange_goes_on() {
    let gate = Arc::new(Semaphore::new(0));
    let source = Scripted::gated(&gate, |ask| address(ask, 60, 7));
    let bench = Bench::new([(".", "upstream", Arc::clone(&source))]);
    let reply = bench.ask("example.com", "A").await;
    assert_eq!(reply.rcode, Rcode::SERVFAIL);
    assert_eq!(told(&reply), [(Ede::NO_REACHABLE_AUTHORITY, "no answer within 3s".to_owned())]);
    // The late answer still serves the next client.
    gate.add_permits(1);
    until(|| bench.in_flight() == 0).await;
    assert_eq!(bench.now("example.com", "A").0, Said::Reply);
    assert_eq!(source.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_answers_does_not_hold_its_place_for_ever() {
    let bench = Bench::new([
        (".", "upstream", Scripted::silent()),
        ("example.org", "static", Scripted::local(|ask| alias(ask, 300, "www.example.com"))),
    ]);
    // The second is an alias to a name of its.
    for name in ["example.com", "web.example.org"] {
        assert_eq!(bench.ask(name, "A").await.rcode, Rcode::SERVFAIL);
        assert_eq!(bench.in_flight(), 1);
        tokio::time::advance(Duration::from_secs(15)).await;
        until(|| bench.in_flight() == 0).await;
        // The failure is kept with its cause.
        let (_, kept) = bench.now(name, "A");
        let cause = (Ede::NO_REACHABLE_AUTHORITY, ". had no answer within 15s".to_owned());
        assert!(told(&kept.unwrap()).contains(&cause), "{name}");
    }
}

/// What breaks when it is asked whether it is gone, once.
#[derive(Default)]
struct Broken(AtomicBool);

impl Outlet for Broken {
    fn deliver(&self, _: u64, _: Reply) {}

    fn is_gone(&self) -> bool {
        assert!(self.0.swap(true, Ordering::Relaxed), "a listener broke");
        false
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_breaks_is_replaced() {
    let bench = Bench::new([(".", "upstream", Scripted::silent())]);
    let broken = Arc::<Broken>::default();
    let pending = Pending::new(&query("a.example", "A"), &local());
    bench.resolver.respond_later(pending, Arc::clone(&broken) as _, 0);
    // Lets the watcher begin to wait.
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_secs(1)).await;
    until(|| broken.0.load(Ordering::Relaxed)).await;
    let reply = tokio::time::timeout(Duration::from_secs(60), bench.ask("b.example", "A")).await;
    assert_eq!(reply.unwrap().rcode, Rcode::SERVFAIL);
}

#[tokio::test]
async fn a_source_that_panics_costs_one_question() {
    let source = Scripted::new(|ask| match ask.question.name.to_string().as_str() {
        "bad.example.com." => panic!("a source broke"),
        _ => address(ask, 60, 7),
    });
    let bench = Bench::new([(".", "upstream", source)]);
    assert_eq!(refused(&bench.ask("bad.example.com", "A").await), (Rcode::SERVFAIL, Ede::OTHER));
    assert_eq!(bench.ask("good.example.com", "A").await.rcode, Rcode::NOERROR);
}

/// Notes that there was a reply.
#[derive(Default)]
struct Told(AtomicBool);

impl Outlet for Told {
    fn deliver(&self, _: u64, reply: Reply) {
        assert!(reply.write(&mut Vec::new()));
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn an_equal_question_answered_since_the_look_up_asks_nobody_again() {
    let source = Scripted::new(|ask| address(ask, 60, 7));
    let bench = Bench::new([(".", "upstream", Arc::clone(&source))]);
    let (packet, origin) = (query("example.com", "A"), local());
    let looked_up = bench.resolver.respond_now(&packet, &origin, &mut Vec::new());
    let Now::Later(unanswered) = looked_up else { panic!("nothing is in the cache") };
    let pending = unanswered.keep();
    bench.ask("example.com", "A").await;
    let told = Arc::<Told>::default();
    bench.resolver.respond_later(pending, Arc::clone(&told) as _, 0);
    until(|| told.0.load(Ordering::Relaxed)).await;
    assert_eq!(source.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn over_their_bounds_questions_fail_at_once() {
    let bench = Bench::new([
        ("dead.example", "peer", Scripted::silent()),
        ("dumb.example", "peer", Scripted::silent()),
        ("live.example", "peer", Scripted::new(|ask| address(ask, 60, 7))),
    ]);
    let dead = Arc::clone(bench.resolver.road.active.load().find(b"\x04dead\x07example\x00").unwrap());
    dead.zone.waiting.store(MAX_WAITING_PER_ZONE, Ordering::Relaxed);
    assert_eq!(refused(&bench.ask("a.dead.example", "A").await), (Rcode::SERVFAIL, Ede::OTHER));
    // The place that was not had is not held.
    assert_eq!(dead.zone.waiting.load(Ordering::Relaxed), MAX_WAITING_PER_ZONE);
    // A flood for one zone is that zone's trouble.
    assert_eq!(bench.ask("a.live.example", "A").await.rcode, Rcode::NOERROR);
    dead.zone.waiting.store(0, Ordering::Relaxed);

    let resolver = Arc::clone(&bench.resolver);
    // Two such zones, since the clients of one are too few for it.
    let flood: Vec<_> = (0..MAX_EXCHANGES)
        .map(|i| {
            let resolver = Arc::clone(&resolver);
            let zone = if i % 2 == 0 { "dead" } else { "dumb" };
            let packet = query(&format!("n{i}.{zone}.example"), "A");
            let client = origin_from(&format!("10.0.{}.{}", i / 256, i % 256), Transport::Udp);
            tokio::spawn(async move { resolver.respond(&packet, &client).await })
        })
        .collect();
    until(|| bench.in_flight() == MAX_EXCHANGES).await;
    assert_eq!(refused(&bench.ask("more.live.example", "A").await), (Rcode::SERVFAIL, Ede::OTHER));
    // What is cached answers all the same.
    assert_eq!(bench.now("a.live.example", "A").0, Said::Reply);
    bench.counts(&[(r#"strait_refused_total{reason="overloaded"}"#, 2)]);
    for client in flood {
        let reply = Message::parse(&client.await.unwrap().unwrap()).unwrap();
        assert_eq!(refused(&reply), (Rcode::SERVFAIL, Ede::NO_REACHABLE_AUTHORITY));
    }
    assert_eq!(dead.zone.waiting.load(Ordering::Relaxed), 0);
}

/// One pod asks for names that hang, as many as it can; the others still get their questions through.
#[tokio::test]
async fn one_client_does_not_take_the_places_of_the_others() {
    /// Far fewer than exchanges and waiting clients have.
    const CAPACITY: usize = 64;
    let bench = Bench::new([(".", "upstream", Scripted::silent_beyond(CAPACITY))]);
    let send = |from: &str, name: String| {
        let (resolver, client) = (Arc::clone(&bench.resolver), origin_from(from, Transport::Udp));
        tokio::spawn(async move { resolver.respond(&query(&name, "A"), &client).await })
    };
    let mut flood: Vec<_> = (0..CAPACITY / 2).map(|i| send("10.0.0.1", format!("n{i}.example"))).collect();
    until(|| bench.in_flight() == CAPACITY / 2).await;
    let over = Message::parse(&send("10.0.0.1", "more.example".into()).await.unwrap().unwrap()).unwrap();
    let text = "too many questions of this client are waiting for answers".to_owned();
    assert_eq!((over.rcode, told(&over)), (Rcode::SERVFAIL, vec![(Ede::OTHER, text)]));
    bench.counts(&[(r#"strait_refused_total{reason="client_share"}"#, 1)]);
    flood.extend((0..CAPACITY / 4).map(|i| send("10.0.0.2", format!("m{i}.example"))));
    until(|| bench.in_flight() == CAPACITY / 2 + CAPACITY / 4).await;
    flood.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn local_and_cached_names_answer_with_every_source_dead() {
    let bench = Bench::new([
        (".", "upstream", Scripted::silent()),
        ("example.com", "static", Scripted::local(|ask| address(ask, 60, 7))),
    ]);
    let stuck = tokio::spawn({
        let resolver = Arc::clone(&bench.resolver);
        async move { resolver.respond(&query("example.net", "A"), &local()).await }
    });
    until(|| bench.in_flight() == 1).await;
    assert_eq!(bench.now("web.example.com", "A").0, Said::Reply);
    stuck.abort();
}
