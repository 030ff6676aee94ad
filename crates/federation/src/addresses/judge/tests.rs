#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use strait_wire::Name;

use super::*;
use crate::Generation;
use crate::testkit::peer;

/// A judgement over this cluster's ranges and those of peers, which are of these names: `b`, or `b=10.96.0.0/16` for one
/// whose addresses are those by the operator's word.
fn judged(own: &[&str], peers: &[(&str, &[&str])]) -> Judgement {
    let read = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>();
    let (mut records, mut advertised) = (Vec::new(), BTreeMap::new());
    for (who, ranges) in peers {
        let (name, assigned) = who.split_once('=').unwrap_or((who, ""));
        let addresses = read(&assigned.split_terminator(',').collect::<Vec<_>>());
        let record = PeerRecord { addresses, ..peer(name) };
        advertised.insert(record.name.clone(), read(ranges).into());
        records.push(record);
    }
    judge(&read(own), &PeerSet::new(Generation(1), records).unwrap(), &advertised)
}

/// Who is asked of an address: `own`, a peer's name, `!` before those who dispute it, `-` when it is nobody's.
fn asked(judgement: &Judgement, address: &str) -> String {
    let mut name: Vec<&str> = address.split('.').collect();
    name.reverse();
    let name: Name = format!("{}.in-addr.arpa", name.join(".")).parse().unwrap();
    asked_of(judgement, &name)
}

fn asked_of(judgement: &Judgement, name: &Name) -> String {
    let zones = judgement.map.zones();
    let longest = zones.iter().filter(|zone| name.is_within(&zone.zone)).max_by_key(|zone| zone.zone.label_count());
    match longest.map(|zone| &zone.owners) {
        None => "-".to_owned(),
        Some(Owners::Own) => "own".to_owned(),
        Some(Owners::Peer(name)) => name.to_string(),
        Some(Owners::Disputed(names)) => {
            format!("!{}", names.iter().map(PeerName::as_str).collect::<Vec<_>>().join(" "))
        }
    }
}

#[test]
fn an_address_is_asked_of_its_owner_alone() {
    type Peers<'a> = &'a [(&'a str, &'a [&'a str])];
    // (own, peers, [(address, who is asked)])
    type Case<'a> = (&'a [&'a str], Peers<'a>, &'a [(&'a str, &'a str)]);
    let cases: [Case<'_>; 11] = [
        (&[], &[("b", &["10.96.0.0/16"])], &[("10.96.0.1", "b"), ("10.97.0.1", "-")]),
        // A range that ends between labels takes no more than it holds.
        (&[], &[("b", &["10.96.0.0/12"])], &[("10.96.0.1", "b"), ("10.111.255.255", "b"), ("10.112.0.0", "-")]),
        (&[], &[("b", &["10.96.0.128/26"])], &[("10.96.0.128", "b"), ("10.96.0.191", "b"), ("10.96.0.192", "-")]),
        // Our own stay ours, whichever range is the larger.
        (&["10.96.0.0/16"], &[("b", &["10.0.0.0/8"])], &[("10.96.0.1", "own"), ("10.97.0.1", "b")]),
        (&["10.96.0.0/12"], &[("b", &["10.97.0.0/16"])], &[("10.97.0.1", "own")]),
        (&["10.96.0.0/12"], &[("b", &["10.96.0.0/12"])], &[("10.97.0.1", "own")]),
        (&["10.96.0.0/13"], &[("b", &["10.96.0.0/12"])], &[("10.96.0.1", "own"), ("10.104.0.1", "b")]),
        // What two claim is nobody's; the rest of the larger range is its owner's.
        (&[], &[("b", &["10.0.0.0/8"]), ("c", &["10.96.0.0/12"])], &[("10.96.0.1", "!b c"), ("10.1.0.1", "b")]),
        (
            &[],
            &[("b", &["10.244.0.0/16"]), ("c", &["10.244.0.0/16"]), ("d", &["10.244.7.0/24"])],
            &[("10.244.0.1", "!b c"), ("10.244.7.1", "!b c d")],
        ),
        // The operator's word counts more than what others say, but not more than what is our own.
        (
            &[],
            &[("b", &["10.0.0.0/8"]), ("c=10.96.0.0/12", &["10.96.0.0/12"])],
            &[("10.96.0.1", "c"), ("10.1.0.1", "b")],
        ),
        (
            &["10.96.7.0/24"],
            &[("b=10.96.0.0/12", &["10.96.0.0/12"]), ("c", &["10.96.8.0/24"])],
            &[("10.96.7.1", "own"), ("10.96.8.1", "b")],
        ),
    ];
    for (own, peers, expected) in cases {
        let judgement = judged(own, peers);
        for (address, who) in expected {
            assert_eq!(asked(&judgement, address), *who, "{own:?} {peers:?} {address}");
        }
    }
}

#[test]
fn addresses_of_ipv6_are_told_by_their_digits() {
    let judgement = judged(&["fd00:a::/108"], &[("b", &["fd00:b::/110"]), ("c", &["fd00::/48"])]);
    // (address as its reverse name begins, who is asked)
    let digits = |address: &str| {
        let address: std::net::Ipv6Addr = address.parse().unwrap();
        let nibbles: Vec<String> = format!("{:032x}", address.to_bits()).chars().rev().map(String::from).collect();
        format!("{}.ip6.arpa", nibbles.join(".")).parse::<Name>().unwrap()
    };
    for (address, who) in
        [("fd00:a::1", "own"), ("fd00:b::3:ffff", "b"), ("fd00:b::4:0", "-"), ("fd00::1", "c"), ("fd00:0:1::1", "-")]
    {
        assert_eq!(asked_of(&judgement, &digits(address)), who, "{address}");
    }
}

#[test]
fn what_several_claim_is_told_of_each() {
    let judgement = judged(&["10.244.0.0/16"], &[("b", &["10.0.0.0/8"]), ("c", &["10.244.0.0/16", "10.96.0.0/12"])]);
    let told = |peer: &str| {
        let overlaps = &judgement.peers.get(peer).unwrap().overlaps;
        let words = |overlap: &Overlap| {
            let with: Vec<String> = overlap.with.iter().map(ToString::to_string).collect();
            format!("{} {}", overlap.range, with.join(", "))
        };
        overlaps.iter().map(words).collect::<Vec<_>>()
    };
    assert_eq!(told("b"), ["10.96.0.0/12 peer c", "10.244.0.0/16 this cluster, peer c"]);
    assert_eq!(told("c"), ["10.96.0.0/12 peer b", "10.244.0.0/16 peer b, this cluster"]);
}

#[test]
fn a_peer_captures_no_addresses_of_the_world() {
    // (the operator's word, what is advertised, what a refusal says; none: it is believed)
    let cases = [
        ("b", "10.0.0.0/8", None),
        ("b", "100.64.0.0/10", None),
        ("b", "fd00:b::/48", None),
        ("b", "0.0.0.0/0", Some("more than a cluster has")),
        ("b", "::/0", Some("more than a cluster has")),
        ("b", "fd00::/8", Some("more than a cluster has")),
        ("b", "8.8.8.0/24", Some("not private addresses")),
        ("b", "127.0.0.0/8", Some("not private addresses")),
        ("b", "169.254.0.0/16", Some("not private addresses")),
        ("b=8.8.8.0/24", "8.8.8.0/24", None),
        ("b=8.8.8.0/24", "8.8.8.0/25", None),
        ("b=8.8.8.0/24", "8.8.0.0/16", Some("not among the addresses")),
        ("b=8.8.8.0/24", "10.96.0.0/16", Some("not among the addresses")),
        ("b=0.0.0.0/0", "0.0.0.0/0", Some("more than a cluster has")),
    ];
    for (peer, range, refusal) in cases {
        let judgement = judged(&[], &[(peer, &[range])]);
        let judged = judgement.peers.get("b").unwrap();
        let why = judged.refused.first().map(|(_, why)| why.to_string());
        match refusal {
            None => assert_eq!((why, judgement.map.is_empty()), (None, false), "{peer} {range}"),
            Some(words) => {
                assert!(why.as_ref().is_some_and(|why| why.contains(words)), "{peer} {range}: {why:?}");
                assert!(judgement.map.is_empty(), "{peer} {range}");
            }
        }
    }
}

#[test]
fn what_needs_too_many_zones_is_refused_and_the_rest_stays() {
    // 128 zones each: eight fit.
    let ranges: Vec<String> = (0..9).map(|octet| format!("10.{octet}.0.0/17")).collect();
    let ranges: Vec<&str> = ranges.iter().map(String::as_str).collect();
    let judgement = judged(&[], &[("b", &ranges)]);
    assert_eq!(judgement.map.zones().len(), MAX_REVERSE_ZONES);
    assert_eq!(judgement.peers.get("b").unwrap().refused.len(), 1);
}

#[test]
fn what_one_peer_tells_twice_is_no_overlap() {
    let judgement = judged(&[], &[("b", &["10.0.0.0/8", "10.96.0.0/12", "10.0.0.0/8"])]);
    assert_eq!(judgement.map.iter().count(), 1);
    assert!(judgement.peers.get("b").unwrap().overlaps.is_empty());
}

#[test]
fn a_peer_that_is_not_asked_has_no_addresses() {
    let record = PeerRecord { directions: crate::Directions::InboundOnly, ..peer("b") };
    let advertised = BTreeMap::from([(record.name.clone(), Arc::from(["10.96.0.0/16".parse().unwrap()]))]);
    let judgement = judge(&[], &PeerSet::new(Generation(1), [record]).unwrap(), &advertised);
    assert!(judgement.map.is_empty() && judgement.peers.is_empty());
}

proptest! {
    /// Whatever is claimed: who is asked of an address claims it, and nobody else does with as good a right.
    #[test]
    fn whoever_is_asked_is_the_only_one_with_the_best_right(
        own in proptest::collection::vec((0u32..64, 26u8..=32), 0..3),
        b in proptest::collection::vec((0u32..64, 26u8..=32), 0..4),
        c in proptest::collection::vec((0u32..64, 26u8..=32), 0..4),
        d in proptest::collection::vec((0u32..64, 26u8..=32), 0..4),
    ) {
        let text = |(last, prefix): &(u32, u8)| format!("10.0.0.{last}/{prefix}").parse::<IpNet>().unwrap().canonical().to_string();
        let texts = |ranges: &[(u32, u8)]| ranges.iter().map(text).collect::<Vec<_>>();
        let (own, b, c, d) = (texts(&own), texts(&b), texts(&c), texts(&d));
        let [own, b, c, d] = [&own, &b, &c, &d].map(|texts| texts.iter().map(String::as_str).collect::<Vec<_>>());
        // The operator says that everything d advertises is its.
        let judgement = judged(&own, &[("b", &b), ("c", &c), ("d=10.0.0.0/24", &d)]);
        let claims = |ranges: &[&str], address: std::net::IpAddr| {
            ranges.iter().any(|range| range.parse::<IpNet>().unwrap().contains(address))
        };
        for last in 0..64u8 {
            let address = std::net::IpAddr::from([10, 0, 0, last]);
            let expected = match (
                claims(&own, address),
                claims(&d, address),
                claims(&b, address),
                claims(&c, address),
            ) {
                (true, ..) => "own",
                (_, true, ..) => "d",
                (_, _, true, true) => "!b c",
                (_, _, true, _) => "b",
                (_, _, _, true) => "c",
                _ => "-",
            };
            prop_assert_eq!(asked(&judgement, &address.to_string()), expected, "{}", address);
        }
    }
}
