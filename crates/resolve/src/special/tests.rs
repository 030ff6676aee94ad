#![allow(clippy::unwrap_used)]

use strait_wire::AnswerKind;

use super::*;
use crate::RouteTable;
use crate::testing::{ask, name};

fn answer(configured: &[&str], asked: &str, rtype: &str) -> Option<Answer> {
    let configured: Vec<Name> = configured.iter().map(|zone| name(zone)).collect();
    let (table, surplus) = RouteTable::new(special_routes(&configured));
    assert!(surplus.is_empty(), "{surplus:?}");
    let route = table.find(&name(asked))?;
    assert_eq!((route.kind, route.cached), ("special", false));
    Some(route.source.answer_now(&ask(asked, rtype)).unwrap())
}

#[test]
fn rfc6761_6_3_localhost_is_loopback_at_and_below() {
    for asked in ["localhost", "LOCALHOST", "app.localhost"] {
        let v4 = answer(&[], asked, "A").unwrap().to_message().unwrap();
        assert_eq!(v4.answers[0].rdata.as_bytes(), [127, 0, 0, 1], "{asked}");
        let v6 = answer(&[], asked, "AAAA").unwrap().to_message().unwrap();
        assert_eq!(v6.answers[0].rdata.as_bytes(), std::net::Ipv6Addr::LOCALHOST.octets(), "{asked}");
        assert_eq!(answer(&[], asked, "MX").unwrap().kind(), AnswerKind::NoData, "{asked}");
    }
}

#[test]
fn special_names_do_not_exist() {
    let names = [
        "a.invalid",             // RFC 6761 6.4
        "www.test",              // RFC 6761 6.2
        "site.onion",            // RFC 7686 2
        "x.alt",                 // RFC 9476 3
        "printer.home.arpa",     // RFC 8375 4
        "printer.local",         // RFC 6762 22.1
        "4.3.2.10.in-addr.arpa", // RFC 6303 4.1 (RFC 1918)
        "1.0.16.172.in-addr.arpa",
        "1.0.31.172.in-addr.arpa",
        "1.1.168.192.in-addr.arpa",
        "1.0.64.100.in-addr.arpa", // RFC 7793
        "1.0.127.100.in-addr.arpa",
        "1.0.254.169.in-addr.arpa", // RFC 6303 4.2
        "5.2.0.192.in-addr.arpa",
        "1.d.f.ip6.arpa",             // RFC 6303 4.4
        "1.8.e.f.ip6.arpa",           // RFC 6303 4.5
        "1.8.b.d.0.1.0.0.2.ip6.arpa", // RFC 6303 4.6
    ];
    for asked in names {
        let answer = answer(&[], asked, "PTR").unwrap();
        assert_eq!(answer.kind(), AnswerKind::NxDomain, "{asked}");
        assert!(answer.is_authoritative(), "{asked}");
        // RFC 2308 5: with an SOA, so that clients may cache it.
        assert_eq!(answer.ttl(), TTL, "{asked}");
    }
}

#[test]
fn ordinary_names_have_no_special_route() {
    let names =
        ["example.com", "32.172.in-addr.arpa", "15.172.in-addr.arpa", "8.8.8.8.in-addr.arpa", "internal", "arpa", "."];
    for asked in names {
        assert!(answer(&[], asked, "A").is_none(), "{asked}");
    }
}

#[test]
fn rfc6303_3_an_apex_has_an_soa_and_itself_as_server() {
    let soa = answer(&[], "10.in-addr.arpa", "SOA").unwrap();
    assert_eq!(soa.kind(), AnswerKind::Positive);
    let ns = answer(&[], "10.in-addr.arpa", "NS").unwrap().to_message().unwrap();
    assert_eq!(ns.answers[0].rdata.names().next(), Some(name("10.in-addr.arpa")));
    assert_eq!(answer(&[], "10.in-addr.arpa", "PTR").unwrap().kind(), AnswerKind::NoData);
}

#[test]
fn loopback_addresses_point_to_localhost() {
    let v6 = format!("1.{}ip6.arpa", "0.".repeat(31));
    for asked in ["1.0.0.127.in-addr.arpa", &v6] {
        let message = answer(&[], asked, "PTR").unwrap().to_message().unwrap();
        assert_eq!(message.answers[0].rdata.names().next(), Some(name("localhost")), "{asked}");
    }
    assert_eq!(answer(&[], "2.0.0.127.in-addr.arpa", "PTR").unwrap().kind(), AnswerKind::NxDomain);
}

#[test]
fn a_configured_zone_wins() {
    // The very zone, and one above it.
    assert!(answer(&["168.192.in-addr.arpa"], "1.168.192.in-addr.arpa", "PTR").is_none());
    assert!(answer(&["in-addr.arpa"], "1.10.in-addr.arpa", "PTR").is_none());
    // Upstreams for everything are no such zone, nor is one below.
    assert!(answer(&["."], "1.10.in-addr.arpa", "PTR").is_some());
    assert!(answer(&["cluster.local"], "printer.local", "A").is_some());
}

#[test]
fn no_suffix_takes_a_special_zone_with_it() {
    // A suffix, and for whose sake it cannot be a cluster's.
    let cases = [
        ("home.arpa", Some("home.arpa")),
        ("localhost", Some("localhost")),
        ("local", Some("local")),
        ("onion", Some("onion")),
        ("INVALID", Some("invalid")),
        ("test", Some("test")),
        ("alt", Some("alt")),
        ("arpa", Some("home.arpa")),
        // Reverse zones: one that is answered here, one above such, and any other.
        ("10.in-addr.arpa", Some("in-addr.arpa")),
        ("ip6.arpa", Some("ip6.arpa")),
        ("8.8.8.in-addr.arpa", Some("in-addr.arpa")),
        // Kubernetes' own, whatever the home zone is called.
        ("cluster.local", Some("cluster.local")),
        ("b.cluster.local", Some("cluster.local")),
        ("b.clusterset.local", Some("clusterset.local")),
        // Names of a site, below zones that are for sites to use.
        ("b.home.arpa", None),
        ("b.test", None),
        ("b.local", None),
        ("cluster-b.example.com", None),
    ];
    for (suffix, reserved) in cases {
        assert_eq!(reserved_zone(&name(suffix)), reserved.map(name), "{suffix}");
    }
}
