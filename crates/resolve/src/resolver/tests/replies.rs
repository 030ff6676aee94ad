//! Replies by transport, and what is written down about them.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::sync::{Arc, Mutex};

use strait_wire::{Answer, EdnsOption, Flags, Message, Rcode, option};

use crate::resolver::kit::{Bench, Said, local, table};
use crate::testing::{Scripted, a_record, address, answer, gateway_identity, name, origin_from, until};
use crate::{Origin, QueryLog, QueryLogFilter, Transport};

/// Forty addresses: more than 512 octets, less than 1232.
fn many() -> Arc<Scripted> {
    Scripted::local(|ask| {
        let records = (0..40).map(|last| a_record(&ask.question.name, 60, last)).collect();
        Ok(answer(ask, Rcode::NOERROR, records, vec![]))
    })
}

fn query_with(options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut message = Message::query(5, name("example.com"), "A".parse().unwrap());
    let options = options.iter().map(|(code, data)| EdnsOption { code: *code, data: data.to_vec() });
    message.edns.get_or_insert_default().options.extend(options);
    message.to_wire().unwrap()
}

#[test]
fn rfc1035_4_2_1_udp_without_edns_takes_512_octets() {
    let bench = Bench::new([("example.com", "static", many())]);
    let mut message = Message::query(5, name("example.com"), "A".parse().unwrap());
    message.edns = None;
    let packet = message.to_wire().unwrap();
    let over_udp = bench.send_now(&packet, &local()).1.unwrap();
    assert!(over_udp.flags.has(Flags::TC) && over_udp.answers.is_empty());
    let over_tcp = bench.send_now(&packet, &origin_from("127.0.0.1", Transport::Tcp)).1.unwrap();
    assert!(!over_tcp.flags.has(Flags::TC) && over_tcp.answers.len() == 40);
    // RFC 6891 6.2.5: with EDNS as much as is offered.
    assert_eq!(bench.now("example.com", "A").1.unwrap().answers.len(), 40);
}

#[test]
fn rfc7828_3_3_2_the_idle_timeout_is_told_on_streams_only() {
    let bench = Bench::new([("example.com", "static", many())]);
    let packet = query_with(&[(option::TCP_KEEPALIVE, b"")]);
    for (transport, told) in [(Transport::Udp, None), (Transport::Tcp, Some(300_u16)), (Transport::Dot, Some(300))] {
        let origin = Origin { keepalive: Some(300), ..origin_from("127.0.0.1", transport) };
        let edns = bench.send_now(&packet, &origin).1.unwrap().edns.unwrap();
        let timeout = edns.option(option::TCP_KEEPALIVE).map(|data| u16::from_be_bytes(data.try_into().unwrap()));
        assert_eq!(timeout, told, "{transport}");
    }
}

#[test]
fn rfc8467_4_1_replies_are_padded_inside_tls_only() {
    let bench = Bench::new([("example.com", "static", many())]);
    let packet = query_with(&[(option::PADDING, &[0; 20])]);
    for transport in Transport::ALL {
        let (origin, mut reply) = (origin_from("127.0.0.1", transport), Vec::new());
        let now = crate::Respond::respond_now(&*bench.resolver, &packet, &origin, &mut reply);
        assert!(matches!(now, crate::Now::Reply));
        let inside_tls = matches!(transport, Transport::Dot | Transport::Grpc);
        assert_eq!(reply.len() % 468 == 0, inside_tls, "{transport}");
    }
}

#[tokio::test]
async fn a_truncated_answer_is_not_kept() {
    let source = Scripted::new(|ask| {
        let mut message =
            answer(ask, Rcode::NOERROR, vec![a_record(&ask.question.name, 60, 1)], vec![]).to_message().unwrap();
        message.flags = message.flags.with(Flags::TC, true);
        Ok(Answer::new(&message).unwrap())
    });
    let bench = Bench::new([(".", "upstream", Arc::clone(&source))]);
    for calls in 1..=2 {
        bench.ask("example.com", "A").await;
        assert_eq!(source.calls(), calls);
    }
}

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_query_log_tells_each_question_with_its_way() {
    let paper = Paper::default();
    let log = QueryLog::new(QueryLogFilter::All, true, Box::new(paper.clone()));
    let routes = table([("cluster-b.example.com", "peer", Scripted::new(|ask| address(ask, 60, 7)))]);
    let bench = Bench::with(routes, |settings| settings.query_log = log.clone());
    let identity = Some(gateway_identity());
    let over_dot = Origin { identity, ..origin_from("10.0.0.1", Transport::Dot) };
    bench.ask("web.cluster-b.example.com", "A").await;
    let packet = crate::testing::query("web.cluster-b.example.com", "A");
    assert_eq!(bench.send_now(&packet, &over_dot).0, Said::Reply);
    bench.ask("elsewhere.example", "A").await;
    let written = || String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    // The log has a thread of its own.
    until(|| written().lines().count() == 3).await;
    drop((bench, log));
    let text = written();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [
        ("udp", None, "NOERROR", "cluster-b.example.com.", "peer", false),
        ("dot", Some("spiffe://cluster-a.example.com/gateway"), "NOERROR", "cluster-b.example.com.", "peer", true),
        ("udp", None, "REFUSED", "none", "none", false),
    ];
    assert_eq!(lines.len(), expected.len(), "{text}");
    for (line, (transport, identity, rcode, zone, source, cached)) in lines.iter().zip(expected) {
        let told = serde_json::json!([transport, identity, rcode, zone, source, cached]);
        let keys = ["transport", "identity", "rcode", "zone", "source", "cached"];
        assert_eq!(serde_json::json!(keys.map(|key| line[key].clone())), told);
    }
}
