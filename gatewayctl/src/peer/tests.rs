#![allow(clippy::unwrap_used)]

use std::time::Duration;

use strait_identity::CertificateAuthority;

use super::*;

const NOW: i64 = 1_700_000_100;

fn endpoint(url: &str, state: &str, latency_us: u64, error: &str) -> v1::EndpointStatus {
    let last_error_at = if error.is_empty() { 0 } else { NOW - 30 };
    let (url, state, last_error) = (url.to_owned(), state.to_owned(), error.to_owned());
    v1::EndpointStatus { url, state, latency_us, last_error, last_error_at, since: NOW - 3_600 * 3 }
}

fn peer(name: &str) -> v1::Peer {
    v1::Peer {
        name: name.to_owned(),
        suffix: format!("{name}.example.com"),
        trust_domain: format!("{name}.example.com"),
        changed_at: 1_700_000_000,
        ..Default::default()
    }
}

fn both_ways() -> v1::PeerStatus {
    let endpoints = vec![
        endpoint("tls://192.0.2.1:853", "up", 1_240, ""),
        endpoint("grpc://192.0.2.2:8443", "down", 0, "connection refused\u{1b}[2J"),
    ];
    v1::PeerStatus {
        peer: Some(peer("cluster-b")),
        outbound: Some(v1::OutboundStatus { state: "degraded".to_owned(), endpoints }),
        inbound: Some(v1::InboundStatus {
            state: "up".to_owned(),
            connections: 2,
            queries: 1_500,
            refused: 1,
            last_error: "example.org.: peer cluster-b may ask only names under cluster-a.example.com".to_owned(),
            last_error_at: NOW - 40,
            last_query_at: NOW - 5,
        }),
        addresses: Some(v1::AddressStatus {
            ranges: vec!["10.96.0.0/12".to_owned(), "10.244.0.0/16".to_owned()],
            overlaps: vec![v1::AddressOverlap {
                range: "10.244.0.0/16".to_owned(),
                with: vec!["this cluster".to_owned(), "peer cluster-c".to_owned()],
            }],
            refused: vec![v1::RefusedRange { range: "8.8.8.0/24".to_owned(), reason: "no\u{1b}[2J".to_owned() }],
            known: true,
        }),
    }
}

/// Only asked by them; and stored a moment ago, so not dialled yet.
fn one_way(name: &str, outbound: &str, inbound: &str) -> v1::PeerStatus {
    let endpoints = vec![v1::Endpoint { url: "tls://192.0.2.9:853".to_owned() }];
    v1::PeerStatus {
        peer: Some(v1::Peer { endpoints: if outbound == "none" { vec![] } else { endpoints }, ..peer(name) }),
        outbound: Some(v1::OutboundStatus { state: outbound.to_owned(), endpoints: vec![] }),
        inbound: Some(v1::InboundStatus { state: inbound.to_owned(), ..Default::default() }),
        ..Default::default()
    }
}

fn listed(peers: Vec<v1::PeerStatus>) -> PeersView {
    v1::ListPeersResponse { peers, generation: 3 }.into()
}

#[test]
fn the_list_shows_each_direction_and_the_newest_trouble() {
    let peers = listed(vec![both_ways(), one_way("c", "connecting", "none"), one_way("d", "none", "idle")]);
    let expected = "\
NAME       SUFFIX                 OUTBOUND    INBOUND  SEES  ADDRESSES                 ENDPOINTS  LATENCY  LAST ERROR
cluster-b  cluster-b.example.com  degraded    up       *     2 (1 overlap, 1 refused)  1/2        1.24 ms  to grpc://192.0.2.2:8443: connection refused\\u{1b}[2J (30s ago)
c          c.example.com          connecting  none     -     -                         0/1        -        -
d          d.example.com          none        idle     *     -                         -          -        -
";
    assert_eq!(show::list(&peers, NOW), expected);
}

#[test]
fn trouble_of_the_inbound_side_is_marked_and_cut_to_fit() {
    let mut status = both_ways();
    status.outbound = None;
    status.inbound.as_mut().unwrap().last_error_at = NOW - 20;
    let list = show::list(&listed(vec![status]), NOW);
    let expected = "from it: example.org.: peer cluster-b may ask only names under cluster-… (20s ago)\n";
    assert!(list.ends_with(expected), "{list}");
}

/// Of a healthy peer an error is listed for a minute; an endpoint that is down keeps its own.
#[test]
fn what_is_over_is_not_listed_for_ever() {
    let listed_at = |state: &str, age: i64| {
        let failed = v1::EndpointStatus {
            last_error_at: NOW - age,
            ..endpoint("tls://192.0.2.1:853", state, 1_240, "connection refused")
        };
        let outbound = v1::OutboundStatus { state: state.to_owned(), endpoints: vec![failed] };
        let inbound = v1::InboundStatus {
            state: "up".to_owned(),
            last_error: "no".to_owned(),
            last_error_at: NOW - 61,
            ..Default::default()
        };
        let status = v1::PeerStatus {
            peer: Some(peer("cluster-b")),
            outbound: Some(outbound),
            inbound: Some(inbound),
            ..Default::default()
        };
        show::list(&listed(vec![status]), NOW).contains("connection refused")
    };
    for (state, age, expected) in [("up", 60, true), ("up", 61, false), ("down", 4_000, true), ("degraded", 61, true)] {
        assert_eq!(listed_at(state, age), expected, "{state} {age}");
    }
    let mut old = both_ways();
    old.outbound = None;
    old.inbound.as_mut().unwrap().last_error_at = NOW - 61;
    assert!(show::list(&listed(vec![old]), NOW).ends_with("-\n"));
}

#[test]
fn an_empty_list_says_how_to_begin() {
    let expected = "no peers; add one with: gatewayctl peer add NAME --suffix SUFFIX --endpoint URL --ca FILE";
    assert_eq!(show::list(&listed(vec![]), NOW), expected);
}

#[test]
fn one_peer_is_shown_whole() {
    let expected = "\
name          cluster-b
suffix        cluster-b.example.com
trust domain  cluster-b.example.com
changed       2023-11-14T22:13:20Z

outbound (we ask them): degraded
  ENDPOINT               STATE  SINCE   LATENCY  LAST ERROR
  tls://192.0.2.1:853    up     3h ago  1.24 ms  -
  grpc://192.0.2.2:8443  down   3h ago  -        connection refused\\u{1b}[2J (30s ago)
  addresses    10.96.0.0/12, 10.244.0.0/16
  overlap      10.244.0.0/16 with this cluster, peer cluster-c
  refused      8.8.8.0/24: no\\u{1b}[2J

inbound (they ask us): up
  sees         every namespace but kube-system
  connections  2
  queries      1500, the last 5s ago
  refused      1
  last error   example.org.: peer cluster-b may ask only names under cluster-a.example.com (40s ago)
";
    assert_eq!(show::one(&PeerView::from(both_ways()), NOW), expected);
}

#[test]
fn a_direction_that_does_not_stand_has_nothing_to_show() {
    let shown = show::one(&PeerView::from(one_way("d", "none", "idle")), NOW);
    let expected = "\noutbound (we ask them): none\n\ninbound (they ask us): idle\n  sees         every namespace but kube-system\n  connections  0\n  queries      0\n  refused      0\n  last error   -\n";
    assert!(shown.ends_with(expected), "{shown}");
    let shown = show::one(&PeerView::from(one_way("c", "connecting", "none")), NOW);
    assert!(shown.ends_with("\ninbound (they ask us): none\n"), "{shown}");
}

#[test]
fn what_a_peer_may_see_is_shown_in_short_and_in_words() {
    // (allowed, denied, in the list, in words)
    let cases: [(&[&str], &[&str], &str, &str); 6] = [
        (&[], &[], "*", "every namespace but kube-system"),
        (&["*", "kube-system"], &[], "*,kube-system", "every namespace"),
        (&["shop", "web"], &[], "shop,web", "the namespaces shop, web"),
        (&[], &["shop"], "*,!shop", "every namespace but kube-system; not shop"),
        (&["a\u{1b}[2J"], &[], "a\\u{1b}[2J", "the namespaces a\\u{1b}[2J"),
        (&["a-long-one", "another-long-one", "one-too-many"], &[], "a-long-one,another-long-one,one…", "one-too-many"),
    ];
    for (allow, deny, short, words) in cases {
        let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        let told = v1::Peer { allow_namespaces: texts(allow), deny_namespaces: texts(deny), ..peer("cluster-b") };
        let status = v1::PeerStatus { peer: Some(told), ..both_ways() };
        let shown = show::one(&PeerView::from(status.clone()), NOW);
        assert!(shown.lines().any(|line| line.contains("sees  ") && line.ends_with(words)), "{shown}");
        let list = show::list(&listed(vec![status]), NOW);
        assert_eq!(list.lines().nth(1).unwrap().split("up       ").nth(1).unwrap().split("  ").next(), Some(short));
    }
}

#[test]
fn the_authorities_of_a_peer_can_be_compared() {
    let authority =
        CertificateAuthority::create(&"cluster-b.example.com".parse().unwrap(), Duration::from_secs(86_400)).unwrap();
    let bundle = authority.certificate_pem().to_owned();
    let status = v1::PeerStatus { peer: Some(v1::Peer { trust_bundle: bundle, ..peer("cluster-b") }), ..both_ways() };
    let view = PeerView::from(status);
    let [authority] = view.authorities.as_slice() else { panic!("one authority") };
    // 32 octets in hexadecimal, with colons between.
    assert_eq!(authority.fingerprint.len(), 32 * 3 - 1);
    assert!(authority.not_after.is_some());
    let shown = show::one(&view, NOW);
    assert!(shown.contains(&format!("\n              SHA-256 {}\n", authority.fingerprint)), "{shown}");
}

#[test]
fn json_carries_everything_with_moments_instead_of_ages() {
    let view = PeerView::from(both_ways());
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!(json["changedAt"], "2023-11-14T22:13:20Z");
    assert_eq!(json["outbound"]["endpoints"][0]["latencyUs"], 1_240);
    assert_eq!(json["outbound"]["endpoints"][1]["lastError"]["text"], "connection refused\\u{1b}[2J");
    assert_eq!(json["outbound"]["endpoints"][1]["lastError"]["at"], "2023-11-14T22:14:30Z");
    assert_eq!(json["namespaces"], serde_json::json!({ "allow": ["*"], "deny": [] }));
    assert_eq!(json["inbound"]["queries"], 1_500);
    assert_eq!(json["inbound"]["lastQueryAt"], "2023-11-14T22:14:55Z");
}
