//! Size: what fits into a datagram, what is cut, and how streams carry the rest.

use std::time::Duration;

use strait_tests::client::{receive, tcp, udp};
use strait_tests::{Reply, ScriptedServer, ask, ask_tcp, ask_udp, query};
use strait_wire::{Edns, Flags, Message, Rcode, UDP_PAYLOAD};

use crate::bench::{Agent, Bench, on_every_road};
use crate::carrier::Transport;

fn offering(query: Message, udp_payload: u16) -> Message {
    Message { edns: Some(Edns { udp_payload, ..Edns::default() }), ..query }
}

/// What a client without EDNS, or with that payload, gets of `name`: the length, and whether it is whole.
#[track_caller]
fn got(road: &crate::bench::Road, name: &str, udp_payload: Option<u16>) -> (usize, bool) {
    let query = road.query(name, "TXT");
    let query = match udp_payload {
        None => Message { edns: None, ..query },
        Some(payload) => offering(query, payload),
    };
    let replies = road.open().exchange(&[query.to_wire().unwrap()], 1);
    let reply = Message::parse(&replies[0]).unwrap();
    let cut = reply.flags.has(Flags::TC);
    assert_eq!(reply.answers.is_empty(), cut, "RFC 2181 9: TC and nothing of the RRset, or all of it");
    (replies[0].len(), !cut)
}

#[test]
fn rfc1035_4_2_1_without_edns_a_datagram_has_at_most_512_octets() {
    on_every_road(|road| {
        let (length, whole) = got(road, "medium", None);
        assert_eq!(whole, !road.transport.is_udp());
        assert!(whole || length <= 512, "{length}");
    });
}

#[test]
fn rfc6891_6_2_3_a_payload_below_512_counts_as_512() {
    on_every_road(|road| {
        for payload in [0, 1, 511] {
            // Below 512 octets and yet more than was offered: whole.
            let reply = road.ask(&offering(road.query("one", "A"), payload));
            assert_eq!((reply.rcode, reply.answers.len()), (Rcode::NOERROR, 1));
            let (length, whole) = got(road, "medium", Some(payload));
            assert_eq!(whole, !road.transport.is_udp());
            assert!(whole || length <= 512, "{length}");
        }
    });
}

#[test]
fn rfc9715_3_1_no_datagram_is_longer_than_1232_octets_whatever_is_offered() {
    on_every_road(|road| {
        assert_eq!(road.ask(&road.query("one", "A")).edns.unwrap().udp_payload, UDP_PAYLOAD);
        for payload in [1232, 4096, 65_535] {
            assert!(got(road, "medium", Some(payload)).1);
            let (length, whole) = got(road, "large", Some(payload));
            assert_eq!(whole, !road.transport.is_udp());
            assert!(whole || length <= usize::from(UDP_PAYLOAD), "{length}");
        }
    });
}

#[test]
fn rfc7766_5_a_retry_over_tcp_gets_the_whole_answer() {
    let bench = Bench::shared();
    for road in bench.roads().into_iter().filter(|road| road.transport == Transport::Udp) {
        let question = road.query("large", "TXT");
        let cut = road.ask(&question);
        assert!(cut.flags.has(Flags::TC) && cut.answers.is_empty(), "{}", road.what);
        let whole = ask_tcp(bench.a.dns, &question).unwrap();
        assert!(!whole.flags.has(Flags::TC), "{}", road.what);
        assert_eq!(whole.answers[0].rdata.as_bytes().len(), 50 * 33, "{}", road.what);
    }
}

#[test]
fn rfc7766_5_an_upstreams_truncated_answer_is_asked_for_again_over_tcp() {
    let upstream = ScriptedServer::start(|received| match received.tcp {
        false => vec![Reply::truncated(received)],
        true => vec![Reply::address(received, "192.0.2.5")],
    });
    let agent = Agent::with_upstream(&upstream, "");
    assert_eq!(ask(agent.dns, "cut.example", "A").answers.len(), 1);
    assert_eq!(upstream.received().iter().map(|r| r.tcp).collect::<Vec<_>>(), [false, true]);
}

/// An upstream that answers `slow` names late and others at once.
fn slow_and_fast() -> ScriptedServer {
    ScriptedServer::start(|received| {
        let reply = Reply::address(received, "192.0.2.6");
        match received.question().name.to_string().to_lowercase().starts_with("slow") {
            true => vec![reply.after(Duration::from_millis(300))],
            false => vec![reply],
        }
    })
}

#[test]
fn rfc7766_6_2_1_1_pipelined_answers_come_out_of_order() {
    let upstream = slow_and_fast();
    let agent = Agent::with_upstream(&upstream, "");
    let mut stream = tcp(agent.dns).unwrap();
    let question = |id, name| Message { id, ..query(name, "A") };
    let (slow, fast, again) = (question(1, "slow.example"), question(2, "fast.example"), question(3, "slow.example"));
    // In one segment; the third is equal to the first and shares its exchange.
    stream.send(&[&slow, &fast, &again]).unwrap();
    let mut order: Vec<u16> = (0..3).map(|_| stream.receive().unwrap().id).collect();
    assert_eq!(order.remove(0), 2, "the fast one does not wait");
    order.sort_unstable();
    assert_eq!(order, [1, 3]);
    assert_eq!(upstream.count("slow.example"), 1);
    // The connection serves on.
    assert_eq!(stream.ask(&question(4, "after.example")).unwrap().id, 4);
}

#[test]
fn rfc7766_6_2_1_1_pipelined_answers_come_out_of_order_from_a_gateway() {
    let bench = Bench::shared();
    for road in bench.roads().into_iter().filter(|road| !road.transport.is_udp()) {
        let packets: Vec<Vec<u8>> =
            (0..50).map(|id| Message { id, ..road.query("one", "A") }.to_wire().unwrap()).collect();
        let replies = road.open().exchange(&packets, packets.len());
        let mut ids: Vec<u16> = replies.iter().map(|reply| Message::parse(reply).unwrap().id).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..50).collect::<Vec<_>>(), "{}", road.what);
    }
}

#[test]
fn rfc7766_8_a_message_may_come_in_pieces() {
    use std::io::Write;
    let bench = Bench::shared();
    let mut stream = tcp(bench.a.dns).unwrap();
    let question = query("one.static.example", "A");
    let wire = question.to_wire().unwrap();
    let framed = [&(wire.len() as u16).to_be_bytes()[..], &wire].concat();
    for octet in framed {
        stream.0.write_all(&[octet]).unwrap();
        stream.0.flush().unwrap();
    }
    assert_eq!(stream.receive().unwrap().answers.len(), 1);
}

#[test]
fn a_datagram_from_elsewhere_does_not_disturb_who_waits() {
    let upstream = slow_and_fast();
    let agent = Agent::with_upstream(&upstream, "");
    let (one, other) = (udp(agent.dns).unwrap(), udp(agent.dns).unwrap());
    one.send(&Message { id: 1, ..query("slow.example", "A") }.to_wire().unwrap()).unwrap();
    other.send(&Message { id: 2, ..query("fast.example", "A") }.to_wire().unwrap()).unwrap();
    assert_eq!(receive(&other).unwrap().id, 2);
    assert_eq!(receive(&one).unwrap().id, 1);
    assert_eq!(ask_udp(agent.dns, &query("slow.example", "A")).unwrap().answers.len(), 1);
}
