//! What the cache tells when a source is late or dead, and what it keeps when it is full.

use strait_tests::upstream::{Received, address_record};
use strait_tests::{Reply, ScriptedServer, ask, lines, until};
use strait_wire::{Ede, Message, Rcode};

use crate::bench::Agent;

fn edes(message: &Message) -> Vec<u16> {
    message.edns.iter().filter_map(|edns| edns.ede()).map(|ede| ede.code).collect()
}

/// An address that lives for a second.
fn short_lived(address: &'static str) -> impl Fn(&Received) -> Vec<Reply> {
    move |received| {
        let name = received.question().name.clone();
        vec![Reply::answer(received, vec![address_record(name, address, 1)])]
    }
}

/// Asks until the answer is one past its time, and returns that.
#[track_caller]
fn wait_stale(agent: &Agent, name: &str, code: u16) -> Message {
    let mut told = ask(agent.dns, name, "A");
    until("the answer to be told past its time", || {
        told = ask(agent.dns, name, "A");
        edes(&told).contains(&code)
    });
    told
}

#[test]
fn rfc8767_5_a_dead_upstream_leaves_its_answers_to_be_told_past_their_time() {
    let upstream = ScriptedServer::start(short_lived("192.0.2.1"));
    let agent = Agent::with_upstream(&upstream, "cache: { staleAfter: 200ms }");
    assert!(edes(&ask(agent.dns, "known.example", "A")).is_empty());
    upstream.set(|_| Vec::new());
    let stale = wait_stale(&agent, "known.example", Ede::STALE_ANSWER);
    assert_eq!(lines(&stale), ["known.example. A 192.0.2.1"]);
    // RFC 8767 4.
    assert!((1..=30).contains(&stale.answers[0].ttl), "{stale:?}");
    assert_eq!(stale.rcode, Rcode::NOERROR);
    // What was never known cannot be told.
    assert_eq!(ask(agent.dns, "unknown.example", "A").rcode, Rcode::SERVFAIL);
}

#[test]
fn rfc8767_5_an_upstream_that_comes_and_goes_is_heard_whenever_it_is_there() {
    let upstream = ScriptedServer::start(short_lived("192.0.2.1"));
    let agent = Agent::with_upstream(&upstream, "cache: { staleAfter: 0s, staleRecheck: 1s }");
    ask(agent.dns, "flaps.example", "A");
    for (before, after) in [("192.0.2.1", "192.0.2.2"), ("192.0.2.2", "192.0.2.3")] {
        // A failure does not take the answer's place.
        upstream.set(|received| vec![Reply::rcode(received, Rcode::SERVFAIL)]);
        let stale = wait_stale(&agent, "flaps.example", Ede::STALE_ANSWER);
        assert_eq!(lines(&stale), [format!("flaps.example. A {before}")]);
        upstream.set(short_lived(after));
        let fresh = [format!("flaps.example. A {after}")];
        until("the new answer to be told", || {
            let told = ask(agent.dns, "flaps.example", "A");
            lines(&told) == fresh && edes(&told).is_empty()
        });
    }
}

#[test]
fn rfc8914_4_20_a_denial_past_its_time_says_so() {
    let upstream = ScriptedServer::start(|received| vec![Reply::negative(received, Rcode::NXDOMAIN, "example", 1)]);
    let agent = Agent::with_upstream(&upstream, "cache: { staleAfter: 200ms }");
    assert_eq!(ask(agent.dns, "absent.example", "A").rcode, Rcode::NXDOMAIN);
    upstream.set(|_| Vec::new());
    assert_eq!(wait_stale(&agent, "absent.example", Ede::STALE_NXDOMAIN).rcode, Rcode::NXDOMAIN);
}

#[test]
fn without_stale_for_a_dead_upstream_is_a_failure() {
    let upstream = ScriptedServer::start(short_lived("192.0.2.1"));
    let agent = Agent::with_upstream(&upstream, "cache: { staleFor: 0s }");
    ask(agent.dns, "known.example", "A");
    upstream.set(|_| Vec::new());
    until("the answer to run out", || ask(agent.dns, "known.example", "A").rcode == Rcode::SERVFAIL);
}

#[test]
fn names_in_use_are_asked_for_before_they_expire_and_others_are_not() {
    let upstream = ScriptedServer::start(|received| {
        let name = received.question().name.clone();
        vec![Reply::answer(received, vec![address_record(name, "192.0.2.1", 5)])]
    });
    let agent = Agent::with_upstream(&upstream, "");
    ask(agent.dns, "once.example", "A");
    until("the name in use to be asked for again", || {
        ask(agent.dns, "often.example", "A");
        agent.program.metric("strait_cache_prefetches_total") >= 1.0
    });
    until("the question to reach the upstream", || upstream.count("often.example") >= 2);
    assert_eq!(upstream.count("once.example"), 1);
}

#[test]
fn a_flood_of_random_names_in_one_zone_leaves_the_answers_of_others() {
    const QUIET: usize = 100;
    const FLOOD: usize = 4_000;
    let upstream = ScriptedServer::with_address("192.0.2.1");
    let flooded =
        ScriptedServer::start(|received| vec![Reply::negative(received, Rcode::NXDOMAIN, "flooded.test", 300)]);
    let forward = format!("forward: [{{ zone: flooded.test, servers: [\"{}\"] }}]", flooded.address());
    // Room for some 900 answers.
    let agent = Agent::with_upstream(&upstream, &format!("{forward}\ncache: {{ size: 512KiB }}"));
    let quiet = |i: usize| format!("quiet{i}.example");
    for i in 0..QUIET {
        ask(agent.dns, &quiet(i), "A");
    }
    for i in 0..FLOOD {
        ask(agent.dns, &format!("x{i}.flooded.test"), "A");
    }
    for i in 0..QUIET {
        ask(agent.dns, &quiet(i), "A");
        assert_eq!(upstream.count(&quiet(i)), 1, "{} was put out", quiet(i));
    }
    assert!(agent.program.metric("strait_cache_bytes") <= f64::from(512 << 10));
    assert!(agent.program.metric("strait_cache_evictions_total") > 0.0);
}
