//! What gets no answer from a source, and what it is told.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use strait_wire::{Answer, Ede, Message, Rcode};

use crate::resolver::kit::{Bench, Said, local, query_with_path, refused, table, told};
use crate::testing::{Scripted, address, alias, origin_from, query};
use crate::{Transit, Transport};

/// Any source that is asked shows that the refusal is gone.
fn must_not_be_asked() -> Arc<Scripted> {
    Scripted::new(|ask| address(ask, 60, 9))
}

#[tokio::test]
async fn malformed_messages_are_refused_on_every_transport_alike() {
    let bench = Bench::new([(".", "upstream", must_not_be_asked())]);
    let with = |change: fn(&mut Vec<u8>)| {
        let mut packet = query("example.com", "A");
        change(&mut packet);
        packet
    };
    let cases: [(&str, Vec<u8>, Option<Rcode>); 6] = [
        // Not even a header, or a response: silence.
        ("short", vec![0; 11], None),
        ("response", with(|p| p[2] |= 0x80), None),
        // RFC 9619: one question.
        ("two questions", with(|p| p[5] = 2), Some(Rcode::FORMERR)),
        // RFC 1996 and others.
        ("notify", with(|p| p[2] |= 4 << 3), Some(Rcode::NOTIMP)),
        // RFC 6891 6.1.3.
        (
            "EDNS version 1",
            with(|p| {
                let at = p.len() - 5;
                p[at] = 1;
            }),
            Some(Rcode::BADVERS),
        ),
        // The path must not be lost, since then a loop would not be seen.
        ("bad path", query_with_path("example.com", "A", "no spaces please"), Some(Rcode::FORMERR)),
    ];
    for (what, packet, rcode) in cases {
        for transport in Transport::ALL {
            let (now, reply) = bench.send_now(&packet, &origin_from("127.0.0.1", transport));
            assert_eq!(now == Said::Reply, rcode.is_some(), "{what}");
            assert_eq!(reply.map(|r| r.rcode), rcode, "{what}");
        }
    }
    bench.counts(&[
        (r#"strait_refused_total{reason="malformed"}"#, 8),
        (r#"strait_refused_total{reason="ignored"}"#, 8),
    ]);
}

#[tokio::test]
async fn admission_comes_before_the_cache() {
    let bench = Bench::new([(".", "upstream", must_not_be_asked())]);
    bench.ask("example.com", "A").await;
    assert_eq!(bench.now("example.com", "A").0, Said::Reply);
    // A stranger gets nothing over UDP, cached or not, well-formed or not.
    let stranger = origin_from("203.0.113.5", Transport::Udp);
    for packet in [query("example.com", "A"), query("other.example.com", "A"), vec![0; 12]] {
        assert_eq!(bench.send_now(&packet, &stranger).0, Said::Nothing);
    }
    assert!(bench.resolver.road.settings.admit.tells_refusals(&local()));
    // On a stream, a refusal that says why.
    let reply = bench.send_now(&query("example.com", "A"), &origin_from("203.0.113.5", Transport::Tcp)).1.unwrap();
    assert_eq!(refused(&reply), (Rcode::REFUSED, Ede::PROHIBITED));
    bench.counts(&[(r#"strait_refused_total{reason="not_allowed"}"#, 3)]);
}

#[tokio::test]
async fn a_name_without_a_zone_is_refused() {
    let bench = Bench::new([("example.com", "static", must_not_be_asked())]);
    let reply = bench.now("example.net", "A").1.unwrap();
    assert_eq!(reply.rcode, Rcode::REFUSED);
    let why = "no zone here holds this name and no upstreams are configured".to_owned();
    assert_eq!(told(&reply), [(Ede::NOT_AUTHORITATIVE, why)]);
    bench.counts(&[(r#"strait_responses_total{rcode="REFUSED",zone="none"}"#, 1)]);
}

#[tokio::test]
async fn rfc1035_4_1_1_without_rd_only_what_is_known_is_told() {
    let without_rd = |name: &str| {
        let mut packet = query(name, "A");
        packet[2] &= !1;
        packet
    };
    let near = Scripted::local(|ask| alias(ask, 60, "www.example.net"));
    let bench = Bench::new([
        (".", "upstream", Scripted::new(|ask| address(ask, 60, 1))),
        ("example.com", "static", near),
        ("cluster-b.example.com", "peer", Scripted::new(|ask| address(ask, 60, 2))),
        ("cluster-a.example.com", "home", Scripted::new(|ask| address(ask, 60, 3))),
    ]);
    let reply = bench.send(&without_rd("www.example.net")).await.unwrap();
    assert_eq!(refused(&reply), (Rcode::REFUSED, Ede::NOT_AUTHORITATIVE));
    // A local alias is told, but not followed.
    let reply = bench.send(&without_rd("web.example.com")).await.unwrap();
    assert_eq!((reply.rcode, reply.answers.len()), (Rcode::NOERROR, 1));
    // Peers and the home zone answer from their own knowledge.
    for name in ["web.cluster-a.example.com", "web.cluster-b.example.com"] {
        assert_eq!(bench.send(&without_rd(name)).await.unwrap().rcode, Rcode::NOERROR, "{name}");
    }
    // What the cache holds is known.
    bench.ask("www.example.net", "A").await;
    assert_eq!(bench.send(&without_rd("www.example.net")).await.unwrap().rcode, Rcode::NOERROR);
}

#[tokio::test]
async fn a_question_from_another_cluster_is_not_sent_on_to_a_peer() {
    let peer = Scripted::new(|ask| address(ask, 60, 2));
    let passed = query_with_path("web.cluster-b.example.com", "A", "cluster-c.example.com,cluster-d.example.com");
    let bench = Bench::new([("cluster-b.example.com", "peer", Arc::clone(&peer))]);
    let reply = bench.send(&passed).await.unwrap();
    assert_eq!(refused(&reply), (Rcode::REFUSED, Ede::PROHIBITED));
    // The path is named.
    assert!(told(&reply)[0].1.contains("cluster-c.example.com > cluster-d.example.com"), "{:?}", told(&reply));
    assert_eq!(peer.calls(), 0);
    // Nobody else suffers, and the cache does not let it through either.
    assert_eq!(bench.ask("web.cluster-b.example.com", "A").await.rcode, Rcode::NOERROR);
    assert_eq!(bench.now("web.cluster-b.example.com", "A").0, Said::Reply);
    assert_eq!(refused(&bench.send(&passed).await.unwrap()), (Rcode::REFUSED, Ede::PROHIBITED));
    bench.counts(&[(r#"strait_refused_total{reason="loop"}"#, 2)]);
}

#[tokio::test]
async fn a_question_from_another_cluster_gets_what_is_no_peers() {
    let bench = Bench::new([("cluster-a.example.com", "home", Scripted::new(|ask| address(ask, 60, 3)))]);
    let passed = query_with_path("web.cluster-a.example.com", "A", "cluster-c.example.com");
    for _ in 0..2 {
        assert_eq!(bench.send(&passed).await.unwrap().rcode, Rcode::NOERROR);
    }
    // The second came from the cache.
    bench.counts(&[(r#"strait_cache_hits_total{kind="positive",zone="cluster-a.example.com."}"#, 1)]);
}

#[tokio::test]
async fn an_alias_does_not_lead_a_question_on_to_a_peer() {
    let peer = Scripted::new(|ask| address(ask, 60, 2));
    let near = Scripted::local(|ask| alias(ask, 60, "web.cluster-b.example.com"));
    let bench = Bench::new([("example.com", "static", near), ("cluster-b.example.com", "peer", Arc::clone(&peer))]);
    let passed = query_with_path("web.example.com", "A", "cluster-c.example.com");
    assert_eq!(bench.ask("web.example.com", "A").await.answers.len(), 2);
    // Now both the whole and the part at the peer are cached; neither is told.
    assert_eq!(refused(&bench.send(&passed).await.unwrap()), (Rcode::REFUSED, Ede::PROHIBITED));
    assert_eq!(peer.calls(), 1);
    // The refusal is this question's alone.
    assert_eq!(bench.ask("web.example.com", "A").await.rcode, Rcode::NOERROR);
}

#[tokio::test]
async fn with_transit_the_path_travels_on() {
    let peer = Scripted::new(|ask| address(ask, 60, 2));
    let routes = table([("cluster-b.example.com", "peer", Arc::clone(&peer))]);
    let bench = Bench::with(routes, |settings| settings.transit = Transit::Allowed);
    let passed = query_with_path("web.cluster-b.example.com", "A", "cluster-c.example.com");
    assert_eq!(bench.send(&passed).await.unwrap().rcode, Rcode::NOERROR);
    assert!(peer.asked.lock().unwrap()[0].path.contains("cluster-c.example.com"));
}

#[tokio::test]
async fn what_a_peer_refuses_for_the_path_is_told_to_nobody_else() {
    let peer = Scripted::new(|ask| match ask.path.is_empty() {
        true => address(ask, 60, 2),
        false => Ok(Answer::failure(ask.question.clone(), Rcode::REFUSED, None)),
    });
    let bench = Bench::with(table([("cluster-b.example.com", "peer", peer)]), |s| s.transit = Transit::Allowed);
    let passed = query_with_path("web.cluster-b.example.com", "A", "cluster-c.example.com");
    assert_eq!(bench.send(&passed).await.unwrap().rcode, Rcode::REFUSED);
    assert_eq!(bench.ask("web.cluster-b.example.com", "A").await.rcode, Rcode::NOERROR);
}

#[tokio::test]
async fn rfc6891_6_1_1_without_edns_there_is_no_opt_in_a_refusal() {
    let bench = Bench::new([("example.com", "static", must_not_be_asked())]);
    let mut message = Message::parse(&query("example.net", "A")).unwrap();
    message.edns = None;
    let reply = bench.send(&message.to_wire().unwrap()).await.unwrap();
    assert_eq!((reply.rcode, reply.edns), (Rcode::REFUSED, None));
}
