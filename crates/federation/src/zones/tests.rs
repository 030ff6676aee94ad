//! What zones say when they are good, what is told of them when they are not, and what fits.
#![allow(clippy::unwrap_used)]

use prost::Message as _;
use strait_proto::v1;
use strait_resolve::{Ask, Source};
use strait_wire::{Class, ClusterPath, Question};

use super::*;
use crate::judge::Judgement;
use crate::testkit::{home, peer};

fn record(name: &str, rtype: &str, values: &[&str]) -> RecordDocument {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    RecordDocument { name: name.to_owned(), rtype: rtype.to_owned(), ttl: None, values }
}

fn template(pattern: &str, rtype: &str, answer: &str) -> TemplateDocument {
    TemplateDocument { pattern: pattern.to_owned(), rtype: rtype.to_owned(), ttl: None, answer: answer.to_owned() }
}

/// A zone of that name with one record.
fn document(name: &str, apex: &str) -> ZoneDocument {
    let records = vec![record("www", "A", &["192.0.2.1"])];
    ZoneDocument { name: name.to_owned(), apex: apex.to_owned(), ttl: DEFAULT_TTL, records, ..ZoneDocument::default() }
}

fn judged(documents: &[ZoneDocument]) -> Judgement {
    let peers = [(&peer("cluster-b")).into()];
    crate::judge(&peers, &home()).with_zones(documents, &home(), &ZoneSet::default())
}

fn names(judgement: &Judgement) -> Vec<&str> {
    judgement.set.zones().iter().map(|zone| zone.document().name.as_str()).collect()
}

/// The addresses that the zone has for a name.
fn addresses(zone: &SharedZone, name: &str) -> Vec<String> {
    let question = Question { name: name.parse().unwrap(), rtype: strait_wire::RecordType::A, class: Class::IN };
    let ask = Ask { question, dnssec_ok: false, checking_disabled: false, path: ClusterPath::default() };
    let message = zone.zone().unwrap().answer_now(&ask).unwrap().to_message().unwrap();
    let octets =
        |record: &strait_wire::Record| record.rdata.as_bytes().iter().map(ToString::to_string).collect::<Vec<_>>();
    message.answers.iter().map(|record| octets(record).join(".")).collect()
}

#[test]
fn records_wildcards_templates_and_text_answer() {
    let zone = SharedZone::new(ZoneDocument {
        records: vec![record("www", "A", &["192.0.2.1", "192.0.2.2"]), record("*.apps", "A", &["192.0.2.3"])],
        templates: vec![template("node-(?<n>[0-9]+)", "A", "10.0.0.{{ n }}")],
        text: "$TTL 60\nmail 30 IN A 192.0.2.4\n".to_owned(),
        ..document("corp", "corp.example.com")
    });
    // (name, addresses)
    let cases: [(&str, &[&str]); 5] = [
        ("www.corp.example.com", &["192.0.2.1", "192.0.2.2"]),
        ("a.apps.corp.example.com", &["192.0.2.3"]),
        ("node-7.corp.example.com", &["10.0.0.7"]),
        ("mail.corp.example.com", &["192.0.2.4"]),
        ("none.corp.example.com", &[]),
    ];
    for (name, expected) in cases {
        assert_eq!(addresses(&zone, name), expected, "{name}");
    }
    assert_eq!(zone.zone().unwrap().record_count(), 5, "four and the SOA");
}

#[test]
fn a_bad_one_is_refused_with_its_field_and_the_others_are_in_force() {
    let with = |records: Vec<RecordDocument>| ZoneDocument { records, ..document("bad", "bad.example.com") };
    let templates = |templates| ZoneDocument { templates, ..document("bad", "bad.example.com") };
    let text = |text: &str| ZoneDocument { text: text.to_owned(), ..document("bad", "bad.example.com") };
    let many: Vec<String> =
        (0..MAX_ZONE_RECORDS).map(|n| format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255)).collect();
    let many = many.chunks(4_000).enumerate().map(|(n, values)| {
        let values = values.to_vec();
        RecordDocument { name: format!("n{n}"), rtype: "A".to_owned(), ttl: None, values }
    });
    // (the zone beside two others, reason, parts of the message)
    let cases: Vec<(ZoneDocument, &str, &[&str])> = vec![
        (document("bad", "a..b"), "BadName", &["spec.name: \"a..b\" is not a DNS name"]),
        (document("bad", ""), "BadName", &["spec.name: "]),
        (document("bad", "."), "BadName", &["spec.name: \".\" is the whole of DNS"]),
        (document("bad", "*.example.com"), "BadName", &["is a wildcard", "write the wildcard as a record"]),
        (document("bad", "CORP.example.com."), "NameTaken", &["is that of zone corp, which is older"]),
        (document("bad", "cluster-b.example.com"), "NameTaken", &["the suffix of peer cluster-b"]),
        (document("bad", "Cluster.local"), "NameNotAllowed", &["the zone of this cluster's own DNS"]),
        (document("bad", "cluster-a.example.com"), "NameNotAllowed", &["this cluster's own suffix"]),
        (document("bad", "clusterset.local"), "NameNotAllowed", &["lies in clusterset.local"]),
        (document("bad", "svc.clusterset.local"), "NameNotAllowed", &["lies in clusterset.local"]),
        (
            with(vec![record("@", "A", &["192.0.2.1"]), record("x", "A", &["192.0.2.300"])]),
            "BadRecord",
            &["spec.records[1] (x A): ", "192.0.2.300"],
        ),
        (
            with(vec![record("x", "MX", &["10"])]),
            "BadRecord",
            &["spec.records[0] (x MX): in \"10\", column 3: MX data needs a name here"],
        ),
        (with(vec![record("x", "WHAT", &["1"])]), "BadRecord", &["\"WHAT\" is not a record type"]),
        (with(vec![record("x", "ANY", &["1"])]), "BadRecord", &["spec.records[0] (x ANY): "]),
        (with(vec![record("x", "A", &[])]), "BadRecord", &["there is no data"]),
        (with(vec![record("x.other.", "A", &["192.0.2.1"])]), "BadRecord", &["not within the zone bad.example.com."]),
        (
            with(vec![record("x", "CNAME", &["y"]), record("x", "A", &["192.0.2.1"])]),
            "BadRecord",
            &["spec.records[1]", "CNAME"],
        ),
        (with(many.collect()), "BadZone", &["more than 10000 records"]),
        (templates(vec![template("(", "A", "192.0.2.1")]), "BadTemplate", &["spec.templates[0] (( A): ", "pattern"]),
        (templates(vec![template("a", "MX", "10 a")]), "BadTemplate", &["cannot make MX records"]),
        (templates(vec![template("a", "A", "{{ n }}")]), "BadTemplate", &["spec.templates[0]"]),
        (
            templates(vec![template("a", "A", "192.0.2.1"); MAX_TEMPLATES + 1]),
            "TooManyTemplates",
            &["257 templates in all zones, more than 256"],
        ),
        (text("a A x\n"), "BadText", &["spec.text: line 1, column 5: \"x\" is not an IPv4 address"]),
        (text("\n$INCLUDE /etc/passwd\n"), "BadText", &["spec.text: line 2, column 1: $INCLUDE is not read here"]),
        (text(&"; \n".repeat(MAX_ZONES_SIZE / 3)), "TooLarge", &["octets, more than 1048576"]),
    ];
    for (bad, reason, parts) in cases {
        let judgement = judged(&[document("corp", "corp.example.com"), bad, document("lab", "lab.example.com")]);
        assert_eq!(names(&judgement), ["corp", "lab"]);
        let refusal = &judgement.refused_zones["bad"];
        assert_eq!(refusal.reason, reason, "{refusal:?}");
        assert!(parts.iter().all(|part| refusal.message.contains(part)), "{refusal:?}");
        assert_eq!(judgement.set.len(), 1, "the peer is in force");
    }
}

/// As in a node-agent's configuration: the longest name answers, so zones within zones and within peers' suffixes are in
/// order, and special names may be taken.
#[test]
fn zones_may_lie_within_others() {
    let apexes = [
        "example.com",
        "corp.example.com",
        "x.cluster-b.example.com",
        "x.cluster.local",
        "local",
        "168.192.in-addr.arpa",
        "internal",
    ];
    let documents: Vec<ZoneDocument> =
        apexes.iter().enumerate().map(|(n, apex)| document(&format!("z{n}"), apex)).collect();
    let judgement = judged(&documents);
    assert_eq!(
        (judgement.set.zones().len(), judgement.refused_zones.len()),
        (apexes.len(), 0),
        "{:?}",
        judgement.refused_zones
    );
}

#[test]
fn of_two_zones_of_one_name_the_first_is_in_force() {
    let (a, b) = (document("a", "corp.example.com"), document("b", "corp.example.com"));
    assert_eq!(names(&judged(&[a.clone(), b.clone()])), ["a"]);
    assert_eq!(names(&judged(&[b, a])), ["b"]);
}

#[test]
fn there_is_room_for_so_many_zones() {
    let zone = |n: usize| document(&format!("z{n:03}"), &format!("z{n}.example.com"));
    let documents: Vec<ZoneDocument> = (0..=MAX_ZONES).map(zone).collect();
    let judgement = judged(&documents);
    assert_eq!(judgement.set.zones().len(), MAX_ZONES);
    assert_eq!(judgement.refused_zones["z256"].reason, "TooManyZones");
    let message = v1::Snapshot::from(&judgement.set);
    assert_eq!(crate::PeerSet::from_snapshot(message.clone(), &ZoneSet::default()).unwrap(), judgement.set);
    let more =
        v1::Snapshot { zones: [message.zones, vec![documents[MAX_ZONES].clone().into_message()]].concat(), ..message };
    let error = crate::PeerSet::from_snapshot(more, &ZoneSet::default()).unwrap_err();
    assert_eq!(error.to_string(), "zones: more than 256 zones");
}

impl ZoneDocument {
    fn into_message(self) -> v1::Zone {
        (&SharedZone::new(self)).into()
    }
}

/// What is told of the size of zones holds for the messages that carry them.
#[test]
fn no_message_is_larger_than_the_zone_counts() {
    let mut all = ZoneDocument {
        records: vec![RecordDocument { ttl: Some(u32::MAX), ..record("", "", &[]) }],
        templates: vec![TemplateDocument { ttl: Some(u32::MAX), ..template("", "", "") }],
        ttl: u32::MAX,
        ..ZoneDocument::default()
    };
    let long = "x".repeat(MAX_ZONES_SIZE);
    // One after the other as large as may be.
    for (name, value, text) in [("", "", ""), (&*long, "", ""), ("", &*long, ""), ("", "", &*long)] {
        all.records[0].name = name.to_owned();
        all.records[0].values = vec![value.to_owned(), String::new()];
        all.text = text.to_owned();
        let framed = v1::Snapshot { zones: vec![all.clone().into_message()], ..v1::Snapshot::default() }.encoded_len();
        assert!(framed <= all.size(), "{framed} octets of a zone that counts {}", all.size());
    }
}

#[test]
fn the_generation_is_that_of_the_content_of_zones_too() {
    let (a, b) = (document("a", "a.example.com"), document("b", "b.example.com"));
    let generation = |documents: &[ZoneDocument]| judged(documents).set.generation();
    let both = generation(&[a.clone(), b.clone()]);
    assert_eq!(both, generation(&[b.clone(), a.clone()]), "in any order");
    let without = crate::judge(&[(&peer("cluster-b")).into()], &home()).set.generation();
    assert_eq!(generation(&[]), without, "without zones it is that of the peers");
    let others = [
        ZoneDocument { ttl: 5, ..a.clone() },
        ZoneDocument { apex: "x.example.com".to_owned(), ..a.clone() },
        ZoneDocument { name: "x".to_owned(), ..a.clone() },
        ZoneDocument { records: vec![], ..a.clone() },
        ZoneDocument { templates: vec![template("a", "A", "192.0.2.1")], ..a.clone() },
        ZoneDocument { text: "b A 192.0.2.1".to_owned(), ..a.clone() },
    ];
    let mut all: Vec<_> = others.into_iter().map(|other| generation(&[other])).collect();
    all.extend([both, without, generation(&[a]), generation(&[b])]);
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count, "each content has one of its own");
}

#[test]
fn what_is_known_is_not_built_again() {
    let (a, b) = (document("a", "a.example.com"), document("b", "b.example.com"));
    let first = judged(&[a.clone(), b.clone()]);
    let known = first.set.zones();
    let changed = ZoneDocument { ttl: 5, ..b };
    let is_same = |set: &ZoneSet, name: &str| Arc::ptr_eq(set.get(name).unwrap(), known.get(name).unwrap());
    let again = crate::judge(&[], &home()).with_zones(&[a, changed], &home(), known);
    assert!(is_same(again.set.zones(), "a") && !is_same(again.set.zones(), "b"));
    let message = v1::Snapshot::from(&again.set);
    let received = crate::PeerSet::from_snapshot(message, known).unwrap();
    assert!(is_same(received.zones(), "a") && !is_same(received.zones(), "b"));
}

/// Judged elsewhere, perhaps by a newer program: what this one cannot build is told, and takes nothing with it.
#[test]
fn a_zone_that_cannot_be_built_leaves_the_others_alone() {
    let odd = ZoneDocument { records: vec![record("x", "NEWTYPE", &["1"])], ..document("odd", "odd.example.com") };
    let set = ZoneSet::read([document("corp", "corp.example.com"), odd], &ZoneSet::default()).unwrap();
    assert_eq!(addresses(set.get("corp").unwrap(), "www.corp.example.com"), ["192.0.2.1"]);
    let trouble = set.trouble().unwrap();
    assert!(trouble.starts_with("zone odd does not answer here: spec.records[0] (x NEWTYPE): "), "{trouble}");
    assert_eq!(ZoneSet::read([document("corp", "corp.example.com")], &set).unwrap().trouble(), None);
    let twice = [document("corp", "a.example.com"), document("corp", "b.example.com")];
    assert_eq!(ZoneSet::read(twice, &set).unwrap_err().to_string(), "zone corp is there twice");
}
