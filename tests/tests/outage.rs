//! All upstreams and peers dead: what is known still answers, the rest fails in bounded time.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::print_stdout, reason = "figures for whoever reads the output of the tests")]

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use strait_tests::client::{ask_udp, query};
use strait_tests::{
    ClusterPlan, Folder, Home, Program, Relay, ScriptedServer, Weather, ask, free_address, lines, until,
};
use strait_wire::{Ede, Rcode};

/// The bound that the configuration sets with `deadline`, and what a loaded machine may add.
const BOUND: Duration = Duration::from_secs(3);
const SLACK: Duration = Duration::from_secs(7);

#[test]
fn static_and_cached_names_answer_and_others_fail_in_bounded_time() {
    let upstream = ScriptedServer::with_address("192.0.2.80");
    let mut b = ClusterPlan::new("cluster-b", Home::Zones(&["*.any.svc A 10.2.0.9"])).start();
    let relay = Relay::start(b.gateway().seat.tls);
    let a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"]))
        .agent(&format!("upstreams: {{ servers: [\"{}\"] }}", upstream.address()))
        .agent("zones: [{ name: static.example, records: [{ name: api, type: A, value: 192.0.2.1 }] }]")
        .start();
    b.add_peer(&a, &a.endpoints("tls"));
    a.add_peer(&b, &[format!("tls://{}", relay.address())]);
    // Cached: one name of each road.
    assert_eq!(a.resolve("cached.upstream.example"), ["cached.upstream.example. A 192.0.2.80"]);
    // Until the agent has learnt of its peer, the name is the upstream's like any other.
    let cached = "cached.any.svc.cluster-b.example.com";
    until("the name to come from its cluster", || a.resolve(cached) == [format!("{cached}. A 10.2.0.9")]);

    // Upstreams fall silent; the peer's link stays open but nothing comes through.
    upstream.set(|_| Vec::new());
    relay.set(Weather::BlackHole);
    known_names_answer(&a);
    // Both are asked at once while nobody knows yet that they are dead, and again when it is known.
    for round in 0..2 {
        for name in [format!("n{round}.upstream.example"), format!("n{round}.any.svc.cluster-b.example.com")] {
            fails_in_time(&a, &name);
        }
    }
    known_names_answer(&a);

    // The gateway is gone altogether.
    relay.set(Weather::Cut);
    b.gateways[0].kill();
    a.wait_outbound("cluster-b", "down");
    fails_in_time(&a, "gone.any.svc.cluster-b.example.com");
    known_names_answer(&a);
}

#[test]
fn names_of_peers_that_are_not_known_yet_are_neither_denied_nor_told_to_others() {
    let upstream = ScriptedServer::with_address("192.0.2.80");
    let mut a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"]))
        .agent(&format!("upstreams: {{ servers: [\"{}\"] }}", upstream.address()))
        .agent_expects_peers_in("example.com")
        .start();
    let b = ClusterPlan::new("cluster-b", Home::Zones(&["web.shop.svc A 10.2.0.1"])).start();
    b.add_peer(&a, &a.endpoints("tls"));
    a.add_peer(&b, &b.endpoints("tls"));
    let (web, other) = ("web.shop.svc.cluster-b.example.com", "www.example.com");
    let answer = [format!("{web}. A 10.2.0.1")];
    until("the name to come from its cluster", || a.resolve(web) == answer);
    // Once they are known, everything else in that zone is the upstreams'.
    assert_eq!(a.resolve(other), ["www.example.com. A 192.0.2.80"]);
    a.wait_kept("cluster-b");

    // A node that starts for the first time, without a gateway.
    a.gateways[0].kill();
    std::fs::remove_file(a.folder.path("agent-peers.json")).unwrap();
    a.restart_agent();
    assert_eq!(a.resolve("elsewhere.example.org"), ["elsewhere.example.org. A 192.0.2.80"]);
    for name in ["db.shop.svc.cluster-b.example.com", "example.com", "new.example.com"] {
        let reply = a.ask(name, "A");
        let ede = reply.edns.as_ref().and_then(|edns| edns.ede()).map(|ede| ede.code);
        assert_eq!((reply.rcode, ede), (Rcode::SERVFAIL, Some(Ede::NOT_READY)), "{name}");
        assert_eq!(upstream.count(name), 0, "{name} was asked of the upstream");
    }
    a.gateways[0].revive();
    until("the peer's name to come from its cluster", || lines(&a.ask(web, "A")) == answer);
}

#[track_caller]
fn known_names_answer(a: &strait_tests::Cluster) {
    assert_eq!(lines(&a.ask("api.static.example", "A")), ["api.static.example. A 192.0.2.1"]);
    assert_eq!(lines(&a.ask("cached.upstream.example", "A")), ["cached.upstream.example. A 192.0.2.80"]);
    let mapped = "cached.any.svc.cluster-b.example.com";
    assert_eq!(lines(&a.ask(mapped, "A")), [format!("{mapped}. A 10.2.0.9")]);
}

#[track_caller]
fn fails_in_time(a: &strait_tests::Cluster, name: &str) {
    let asked = Instant::now();
    let failed = ask_udp(a.dns, &query(name, "A")).unwrap_or_else(|error| panic!("{name} hangs: {error}"));
    assert_eq!(failed.rcode, Rcode::SERVFAIL, "{name}");
    let ede = failed.edns.and_then(|edns| edns.ede()).unwrap_or_else(|| panic!("{name}: no extended error"));
    assert!([Ede::NO_REACHABLE_AUTHORITY, Ede::NETWORK_ERROR].contains(&ede.code), "{name}: {ede:?}");
    // Not a measurement: a bound, so that a hang is told from an answer.
    assert!(asked.elapsed() < BOUND + SLACK, "{name} took {:?}", asked.elapsed());
}

/// 100,000 questions from 1,000 sockets while the one upstream is dead.
#[test]
fn a_flood_with_a_dead_upstream_leaves_memory_under_its_bound() {
    /// Octets of resident memory that the flood may add: the waiting questions that the bounds allow, and
    /// the cache of failures.
    const BOUND: u64 = 128 << 20;
    const SOCKETS: usize = 1_000;
    const QUESTIONS: usize = 100;

    let upstream = ScriptedServer::silent();
    let (dns, admin) = (free_address(), free_address());
    let folder = Folder::new();
    let config = folder.write(
        "agent.yaml",
        format!(
            "listen: [\"{dns}\"]\nadmin: \"{admin}\"\nupstreams: {{ servers: [\"{}\"] }}\nlameduck: 0s\n\
             zones: [{{ name: static.example, records: [{{ name: api, type: A, value: 192.0.2.1 }}] }}]\n",
            upstream.address()
        ),
    );
    let agent = Program::daemon("node-agent", &config, admin);
    ask(dns, "api.static.example", "A");
    let before = agent.memory();
    let sockets: Vec<UdpSocket> = (0..SOCKETS).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let mut most = before;
    for number in 0..QUESTIONS {
        for (at, socket) in sockets.iter().enumerate() {
            let question = query(&format!("n{number}-{at}.flood.example"), "A").to_wire().unwrap();
            socket.send_to(&question, dns).unwrap();
        }
        most = most.max(agent.memory());
        if number % 10 == 0 {
            // The flood does not reach names that need no upstream.
            assert_eq!(lines(&ask(dns, "api.static.example", "A")).len(), 1);
        }
    }
    until("the waiting questions to be given up", || {
        most = most.max(agent.memory());
        agent.metric("strait_upstream_outstanding") == 0.0
    });
    println!("memory: {} KiB before, {} KiB at most", before >> 10, most >> 10);
    assert!(most - before < BOUND, "the flood added {} MiB", (most - before) >> 20);
    assert_eq!(lines(&ask(dns, "api.static.example", "A")).len(), 1);
}
