#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::{cname, messages, name, names, names_under, question, record, response, soa, srv};
use crate::{Ede, Edns, Rcode, Rdata, RecordType};

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
fn wire_names_are_mapped_inward_as_names_are() {
    let long = format!("{}cluster-b.example.com", "a.".repeat(116));
    let cases = [
        ("cluster-b.example.com", Some("cluster.local")),
        ("web.shop.svc.cluster-b.example.com", Some("web.shop.svc.cluster.local")),
        ("xcluster-b.example.com", None),
        (r"x\009cluster-b.example.com", None),
        ("example.com", None),
        (".", None),
        (&long, Some(&long.replace("cluster-b.example.com", "cluster.local"))),
    ];
    for (outside, home) in cases {
        let mut buffer = [0; Name::MAX_LEN];
        let inward = mapping().wire_inward(name(outside).as_wire(), &mut buffer).map(<[u8]>::to_vec);
        assert_eq!(inward, home.map(|home| name(home).as_wire().to_vec()), "{outside}");
    }
    // Longer at home than a name may be.
    let mapping = ZoneMapping::new(name("a.very.long.name.at.home"), name("b")).unwrap();
    let long = name(&format!("{}b", "a.".repeat(120)));
    assert_eq!(mapping.wire_inward(long.as_wire(), &mut [0; Name::MAX_LEN]), None);
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

#[test]
fn the_home_zone_in_data_that_is_not_understood_is_an_error() {
    let wire = |text: &str| name(text).as_wire().to_vec();
    let without_root = wire("web.cluster.local")[..18].to_vec();
    let string = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    // A type, its data, and whether the message goes out.
    let cases = [
        ("a type of the future", RecordType(65_280), [vec![0, 10], wire("web.cluster.local")].concat(), false),
        ("in another case", RecordType(65_280), wire("WEB.Cluster.LOCAL"), false),
        ("without the root", RecordType(65_280), without_root, false),
        ("the zone itself, and more", RecordType(65_280), [wire("cluster.local"), vec![1, 2, 3]].concat(), false),
        ("behind a name that is known", RecordType::NSEC, [wire("a.test"), wire("cluster.local")].concat(), false),
        ("a name that is known", RecordType::LP, [vec![0, 10], wire("web.cluster.local")].concat(), true),
        ("labels amid a known name", RecordType::CNAME, wire("cluster.local.example.com"), true),
        ("another zone", RecordType(65_280), wire("xcluster.local"), true),
        ("text is data", RecordType::TXT, string("web.shop.svc.cluster.local"), true),
    ];
    for (what, rtype, data, goes_out) in cases {
        let hidden = record("web.cluster.local", 5, rtype, Rdata::parse(rtype, &data).unwrap());
        let asked = question("web.cluster.local", rtype);
        for section in 0..3 {
            let mut sections: [Vec<Record>; 3] = Default::default();
            sections[section] = vec![hidden.clone()];
            let outside = mapping().outward(&response(asked.clone(), Rcode::NOERROR, sections));
            let error = MappingError::Hidden { name: name("web.cluster.local"), rtype, zone: name("cluster.local") };
            assert_eq!(outside.err(), (!goes_out).then_some(error), "{what}");
        }
    }
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

    /// Whatever the type is, known or not, and wherever in its data the name stands.
    #[test]
    fn no_home_name_goes_out_in_any_data(
        rtype in any::<u16>().prop_filter("no record", |rtype| !RecordType(*rtype).is_meta()),
        (before, after) in (vec(0..40_u8, 0..8), vec(any::<u8>(), 0..4)),
        (inner, upper) in (names_under(name("cluster.local")), any::<bool>()),
    ) {
        let wire = if upper { inner.as_wire().to_ascii_uppercase() } else { inner.as_wire().to_vec() };
        let rtype = RecordType(rtype);
        let Ok(rdata) = Rdata::parse(rtype, &[before, wire, after].concat()) else { return Ok(()) };
        let answers = vec![record("web.cluster.local", 5, rtype, rdata)];
        let message = response(question("web.cluster.local", rtype), Rcode::NOERROR, [answers, vec![], vec![]]);
        if let Ok(outside) = mapping().outward(&message) {
            let home = mapping().home().as_wire().to_vec();
            let is_home = |octets: &[u8]| octets.eq_ignore_ascii_case(&home);
            prop_assert!(!outside.answers[0].rdata.as_bytes().windows(home.len()).any(is_home));
        }
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
