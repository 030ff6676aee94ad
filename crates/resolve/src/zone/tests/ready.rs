//! What lies ready says what a look-up says.

use strait_wire::{QueryView, ReplyLimits};

use super::*;

fn zone() -> Zone {
    let mut builder = builder("example.com");
    for (owner, rtype, value) in [
        ("@", "NS", "ns"),
        ("web", "A", "192.0.2.1"),
        ("web", "TXT", "text"),
        ("alias", "CNAME", "web"),
        ("a.deep", "A", "192.0.2.2"),
        ("*.apps", "A", "192.0.2.3"),
        ("*.apps", "MX", "10 web"),
        ("x.apps", "TXT", "here"),
        ("*.aliases", "CNAME", "web"),
        ("_dns._udp", "SRV", "0 0 53 web"),
    ] {
        builder.record(owner, record_type(rtype).unwrap(), None, value).unwrap();
    }
    for (pattern, rtype, value) in [
        ("node-[0-9]+", "A", "10.0.0.1"),
        ("node-7", "A", "10.0.0.7"),
        ("node-[0-9]+", "SRV", "0 0 53 web"),
        ("made-(?<n>[0-9]+)", "A", "10.0.1.{{ n }}"),
        ("other-.*", "CNAME", "web"),
    ] {
        builder.template(pattern, record_type(rtype).unwrap(), Some(30), value).unwrap();
    }
    builder.build().unwrap()
}

/// The reply as it goes out, and whether the answer lay ready.
fn told(zone: &Zone, name: &str, rtype: &str) -> (Message, bool) {
    let ask = question(name, rtype);
    let query = Message::query(1, name.parse().unwrap(), ask.question.rtype).to_wire().unwrap();
    let view = QueryView::parse(&query).unwrap();
    let write = |answer: &Answer| {
        let mut out = Vec::new();
        answer.write_reply(&view, 0, ReplyLimits::stream(), None, &mut out);
        Message::parse(&out).unwrap()
    };
    let made = write(&zone.answer_now(&ask).unwrap());
    let ready = zone.ready(ask.question.name.as_wire(), ask.question.rtype).map(write);
    if let Some(ready) = &ready {
        assert_eq!(*ready, made, "{name} {rtype}");
    }
    (made, ready.is_some())
}

#[test]
fn what_lies_ready_is_what_a_look_up_finds() {
    let zone = zone();
    let cases = [
        // Exact names.
        ("Web.example.com", "A", true),
        ("example.com", "NS", true),
        ("_dns._udp.example.com", "SRV", true),
        ("alias.example.com", "CNAME", true),
        // An alias leads on, and ANY is a matter of its own.
        ("alias.example.com", "A", false),
        ("web.example.com", "ANY", false),
        // Nothing of that type: at a name, at an empty non-terminal, at the apex.
        ("web.example.com", "AAAA", true),
        ("deep.example.com", "A", true),
        ("example.com", "A", true),
        // No such name: below nothing, below a name, deep below, an empty non-terminal that has no wildcard.
        ("no.example.com", "A", true),
        ("no.web.example.com", "A", true),
        ("a.b.c.d.example.com", "A", true),
        ("no.deep.example.com", "A", true),
        // Wildcards, with what lies beside, and blocked by a name that is there (RFC 4592 2.2.2, 4.2).
        ("Some.apps.example.com", "A", true),
        ("a.b.apps.example.com", "MX", true),
        ("some.apps.example.com", "AAAA", true),
        ("*.apps.example.com", "A", true),
        ("x.apps.example.com", "A", true),
        ("y.x.apps.example.com", "A", true),
        ("some.aliases.example.com", "CNAME", true),
        ("some.aliases.example.com", "A", false),
        // Templates: the first that matches counts, other types, captures, aliases.
        ("node-7.example.com", "A", true),
        ("NODE-8.example.com", "SRV", true),
        ("node-8.example.com", "AAAA", true),
        ("made-9.example.com", "A", false),
        ("other-1.example.com", "A", false),
        // An octet that patterns see escaped.
        (r"nod\001e.example.com", "A", false),
        ("*.example.com", "A", false),
    ];
    for (name, rtype, ready) in cases {
        // The first look-up of an exact name makes its answer.
        told(&zone, name, rtype);
        assert_eq!(told(&zone, name, rtype).1, ready, "{name} {rtype}");
    }
}

#[test]
fn nothing_lies_ready_outside_the_zone() {
    let zone = zone();
    for name in [".", "com", "example.net", "xexample.com"] {
        let name = name.parse::<Name>().unwrap();
        assert!(zone.ready(name.as_wire(), RecordType::A).is_none(), "{name}");
    }
}

#[test]
fn below_a_cut_nothing_lies_ready() {
    let mut builder = builder("example.com");
    for (owner, rtype, value) in
        [("sub", "NS", "ns.sub"), ("ns.sub", "A", "192.0.2.1"), ("web", "A", "192.0.2.2"), ("*", "A", "192.0.2.3")]
    {
        builder.record(owner, record_type(rtype).unwrap(), None, value).unwrap();
    }
    let zone = builder.build().unwrap();
    for name in ["ns.sub.example.com", "sub.example.com", "no.sub.example.com", "any.example.com", "no.web.example.com"]
    {
        for rtype in ["A", "AAAA"] {
            told(&zone, name, rtype);
            assert!(!told(&zone, name, rtype).1, "{name} {rtype}");
        }
    }
    told(&zone, "web.example.com", "A");
    assert!(told(&zone, "web.example.com", "A").1);
}

proptest! {
    /// Whatever is asked, what lies ready is what a look-up finds.
    #[test]
    fn ready_answers_agree_with_look_ups(
        labels in proptest::collection::vec(
            prop_oneof!["web", "apps", "x", "deep", "a", "node-7", "made-1", "other-", "aliases", "\\*", "[a-z]{1,3}"], 0..4),
        rtype in prop_oneof![Just("A"), Just("AAAA"), Just("MX"), Just("SRV"), Just("CNAME"), Just("TXT"), Just("NS")],
    ) {
        let name = labels.into_iter().chain(["example.com".to_owned()]).collect::<Vec<_>>().join(".");
        let zone = zone();
        told(&zone, &name, rtype);
        told(&zone, &name, rtype);
    }
}
