//! The kit itself: what the other tests rely on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use strait_tests::client::{line, tcp, tls, udp};
use strait_tests::upstream::response;
use strait_tests::{
    Authority, Leaf, OrdinaryServer, Relay, Reply, ScriptedServer, Weather, ask, ask_tcp, ask_udp, free_address, lines,
    query,
};
use strait_wire::{Message, Rcode};

#[test]
fn a_scripted_server_answers_over_udp_and_tcp_and_counts() {
    let server = ScriptedServer::with_address("192.0.2.1");
    assert_eq!(lines(&ask(server.address(), "a.example", "A")), ["a.example. A 192.0.2.1"]);
    assert_eq!(ask_tcp(server.address(), &query("A.example", "A")).unwrap().answers.len(), 1);
    assert_eq!(server.count("a.example"), 2);
    assert!(server.received()[1].tcp);
    server.set(|received| vec![Reply::truncated(received)]);
    assert!(ask(server.address(), "b.example", "A").answers.is_empty());
    server.set(|received| vec![Reply::negative(received, Rcode::NXDOMAIN, "example", 60)]);
    assert_eq!(ask(server.address(), "b.example", "A").rcode, Rcode::NXDOMAIN);
}

#[test]
fn a_scripted_server_lies_and_waits() {
    let server = ScriptedServer::start(|received| {
        let good = Reply::address(received, "192.0.2.1");
        vec![good.clone().with_wrong_id(), good.clone().with_wrong_question(), good.after(Duration::from_millis(20))]
    });
    let socket = udp(server.address()).unwrap();
    let query = query("a.example", "A");
    socket.send(&query.to_wire().unwrap()).unwrap();
    let next = || strait_tests::client::receive(&socket).unwrap();
    assert_ne!(next().id, query.id);
    assert_ne!(next().questions, query.questions);
    assert_eq!(next().questions, query.questions);
}

#[test]
fn a_port_is_free_again_when_its_server_is_gone() {
    let address = free_address();
    for answer in ["192.0.2.1", "192.0.2.2"] {
        let server = ScriptedServer::start_at(address, move |received| vec![Reply::address(received, answer)]);
        assert_eq!(lines(&ask(server.address(), "a", "A")), [format!("a. A {answer}")]);
    }
}

#[test]
fn an_ordinary_server_serves_zone_data() {
    let zone = "@ 60 IN SOA ns h 1 2 3 4 5\n@ 60 IN NS ns\nns 60 IN A 192.0.2.1\n_x._tcp 60 IN SRV 1 2 3 ns\n";
    let server = OrdinaryServer::start(&[("cluster.local.", zone)]);
    let answer = ask_udp(server.address(), &query("_x._tcp.cluster.local", "SRV")).unwrap();
    assert_eq!(line(&answer.answers[0]), "_x._tcp.cluster.local. SRV 1 2 3 ns.cluster.local.");
    assert_eq!(ask(server.address(), "none.cluster.local", "A").rcode, Rcode::NXDOMAIN);
}

#[test]
fn a_relay_makes_weather() {
    let server = ScriptedServer::with_address("192.0.2.1");
    let relay = Relay::start(server.address());
    let mut connection = tcp(relay.address()).unwrap();
    assert!(connection.ask(&query("a", "A")).is_ok());
    relay.set(Weather::Slow(Duration::from_millis(5)));
    assert!(connection.ask(&query("a", "A")).is_ok());
    relay.set(Weather::BlackHole);
    connection.0.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(connection.ask(&query("a", "A")).is_err());
    relay.set(Weather::Cut);
    assert!(ask_tcp(relay.address(), &query("a", "A")).is_err());
    assert_eq!(relay.accepted(), 2);
}

#[test]
fn certificates_are_as_wrong_as_asked_for() {
    let authority = Authority::new("cluster-a.example.com");
    let identity = authority.issue(&Leaf::of("spiffe://cluster-b.example.com/gateway").expired());
    let (_, pem) = x509_parser::pem::parse_x509_pem(identity.certificate.as_bytes()).unwrap();
    let certificate = pem.parse_x509().unwrap();
    assert!(!certificate.validity().is_valid());
    let san = certificate.subject_alternative_name().unwrap().unwrap();
    assert!(format!("{san:?}").contains("spiffe://cluster-b.example.com/gateway"));
    // A server that speaks no TLS: an error, no hang.
    let server = ScriptedServer::silent();
    let mut connection = tls(server.address(), Some(&identity), &["dot"]).unwrap();
    connection.0.sock.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(connection.ask(&query("a", "A")).is_err());
}

#[test]
fn responses_carry_opt_only_when_the_question_does() {
    let server = ScriptedServer::start(|received| vec![Reply::message(&response(received, Rcode::REFUSED))]);
    let with = query("a", "A");
    let without = Message { edns: None, ..with.clone() };
    assert!(ask_udp(server.address(), &with).unwrap().edns.is_some());
    assert!(ask_udp(server.address(), &without).unwrap().edns.is_none());
}
