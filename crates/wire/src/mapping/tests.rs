#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::testing::{cname, messages, name, names, names_under, question, response, soa, srv};
use crate::{Ede, Edns, Rcode, RecordType};

fn mapping() -> ZoneMapping {
    ZoneMapping::new(name("cluster.local"), name("cluster-b.example.com")).unwrap()
}

#[test]
fn names_are_mapped_at_label_boundaries_only() {
    // At home, and outside.
    let cases = [
        ("cluster.local", "cluster-b.example.com"),
        ("web.shop.svc.cluster.local", "web.shop.svc.cluster-b.example.com"),
        ("WEB.Shop.svc.CLUSTER.local", "WEB.Shop.svc.cluster-b.example.com"),
        ("xcluster.local", "xcluster.local"),
        ("web.xcluster.local", "web.xcluster.local"),
        ("local", "local"),
        ("example.com", "example.com"),
        // The zone in the middle of a name is no suffix.
        ("cluster.local.example.com", "cluster.local.example.com"),
        (r"x\007cluster\005local", r"x\007cluster\005local"),
        (".", "."),
    ];
    for (home, outside) in cases {
        assert_eq!(mapping().name_outward(&name(home)).unwrap().to_string(), name(outside).to_string());
        assert_eq!(mapping().name_inward(&name(outside)).unwrap(), name(home));
    }
}

#[test]
fn names_that_could_not_be_mapped_back_are_errors() {
    let ambiguous = |name: Name, zone: &str| MappingError::Ambiguous { name, zone: zone.parse().unwrap() };
    let outside = name("web.cluster-b.example.com");
    assert_eq!(mapping().name_outward(&outside), Err(ambiguous(outside, "cluster-b.example.com")));
    let home = name("web.cluster.local");
    assert_eq!(mapping().name_inward(&home), Err(ambiguous(home, "cluster.local")));
    let long = name(&format!("{}cluster.local", "a.".repeat(117)));
    assert_eq!(mapping().name_outward(&long), Err(MappingError::TooLong { name: long }));
}

#[test]
fn one_name_that_cannot_be_mapped_fails_the_message() {
    let alias = cname("web.cluster.local", 5, "db.cluster-b.example.com");
    let message = response(question("web.cluster.local", RecordType::A), Rcode::NOERROR, [vec![alias], vec![], vec![]]);
    assert!(matches!(mapping().outward(&message), Err(MappingError::Ambiguous { .. })));
}

#[test]
fn neither_zone_may_lie_within_the_other() {
    for (home, suffix) in [
        ("cluster.local", "cluster.local"),
        ("cluster.local", "b.cluster.local"),
        ("b.cluster.local", "Cluster.Local"),
        ("cluster.local", "."),
        (".", "cluster.local"),
    ] {
        assert!(ZoneMapping::new(name(home), name(suffix)).is_err(), "{home} {suffix}");
    }
}

#[test]
fn the_text_of_an_extended_error_does_not_go_out() {
    let mut message = response(question("web.cluster.local", RecordType::A), Rcode::SERVFAIL, Default::default());
    let ede = Ede::new(Ede::NOT_READY, "web.cluster.local is not known yet");
    message.edns = Some(Edns { options: vec![ede.to_option()], ..Edns::default() });
    let outside = mapping().outward(&message).unwrap();
    assert_eq!(outside.edns.unwrap().ede(), Some(Ede::new(Ede::NOT_READY, "")));
}

#[test]
fn every_section_is_mapped() {
    let home = response(
        question("web.cluster.local", RecordType::SRV),
        Rcode::NOERROR,
        [
            vec![srv("web.cluster.local", 5, "a.cluster.local")],
            vec![soa("cluster.local", 5, 5)],
            vec![cname("a.cluster.local", 5, "b.cluster.local")],
        ],
    );
    let outside = mapping().outward(&home).unwrap();
    let owners: Vec<String> = outside.records().map(|r| r.name.to_string()).collect();
    assert_eq!(owners, ["web.cluster-b.example.com.", "cluster-b.example.com.", "a.cluster-b.example.com."]);
    let targets: Vec<String> = outside.records().flat_map(|r| r.rdata.names()).map(|n| n.to_string()).collect();
    assert_eq!(targets, ["a.cluster-b.example.com.", "ns.example.", "root.example.", "b.cluster-b.example.com."]);
}

/// Names of which some lie at home and none under the suffix.
fn home_names() -> BoxedStrategy<Name> {
    let elsewhere = names().prop_filter("under the suffix", |n| !n.is_within(mapping().suffix()));
    // The names are small enough to fit under either zone.
    prop_oneof![names_under(name("cluster.local")), elsewhere].boxed()
}

fn names_of(message: &Message) -> Vec<Name> {
    let questions = message.questions.iter().map(|q| q.name.clone());
    questions.chain(message.records().flat_map(|r| [r.name.clone()].into_iter().chain(r.rdata.names()))).collect()
}

proptest! {
    #[test]
    fn outward_and_inward_are_inverse(message in messages(home_names())) {
        let outside = mapping().outward(&message).unwrap();
        prop_assert_eq!(mapping().inward(&outside).unwrap(), message);
    }

    #[test]
    fn no_home_name_goes_out(message in messages(home_names())) {
        let outside = mapping().outward(&message).unwrap();
        for (at_home, outside) in names_of(&message).iter().zip(names_of(&outside)) {
            prop_assert!(!outside.is_within(mapping().home()), "{}", outside);
            prop_assert_eq!(at_home.is_within(mapping().home()), outside.is_within(mapping().suffix()));
        }
    }

    #[test]
    fn no_home_name_goes_out_on_the_wire(message in messages(home_names())) {
        let wire = mapping().outward(&message).unwrap().to_wire().unwrap();
        let decoded = Message::parse(&wire).unwrap();
        prop_assert!(names_of(&decoded).iter().all(|n| !n.is_within(mapping().home())));
    }

    #[test]
    fn everything_but_the_names_is_kept(message in messages(home_names())) {
        let outside = mapping().outward(&message).unwrap();
        prop_assert_eq!(&outside.edns, &message.edns);
        for (a, b) in message.records().zip(outside.records()) {
            prop_assert_eq!((a.rtype, a.class, a.ttl), (b.rtype, b.class, b.ttl));
            let without_names = |r: &Record| r.rdata.map_names(|_| Ok::<_, MappingError>(Name::root())).unwrap();
            prop_assert_eq!(without_names(a), without_names(b));
        }
    }
}
