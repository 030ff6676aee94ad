//! Answers: case, minimal ANY, denials, wildcards, types nobody knows.

use strait_tests::lines;
use strait_wire::{Message, Name, Rcode, RecordType};

use crate::bench::{Road, on_every_road};

#[track_caller]
fn outcome(road: &Road, name: &str, rtype: &str) -> (Rcode, usize) {
    let reply = road.ask(&road.query(name, rtype));
    (reply.rcode, reply.answers.len())
}

#[test]
fn rfc4343_3_case_is_kept_and_does_not_matter() {
    on_every_road(|road| {
        for name in ["one", "ONE", "oNe", "mixed.case", "MIXED.CASE"] {
            let query = road.query(name, "A");
            let reply = road.ask(&query);
            assert_eq!(reply.answers.len(), 1, "{name}");
            let (asked, echoed) = (&query.questions[0].name, &reply.questions[0].name);
            assert_eq!(asked.as_wire(), echoed.as_wire(), "the question comes back in its own case");
        }
        // Another case of the same question, answered from a cache if there is one.
        let upper = road.query("ONE", "A");
        assert_eq!(road.ask(&upper).questions[0].name.to_string(), upper.questions[0].name.to_string());
    });
}

#[test]
fn rfc8482_4_2_any_is_minimal() {
    on_every_road(|road| {
        for name in ["one", "large", "stop.wild", "_http._tcp"] {
            let reply = road.ask(&road.query(name, "ANY"));
            let types: Vec<RecordType> = reply.answers.iter().map(|record| record.rtype).collect();
            assert_eq!((reply.rcode, types), (Rcode::NOERROR, vec![RecordType::HINFO]), "{name}");
            assert!(reply.answers[0].rdata.as_bytes().starts_with(b"\x07RFC8482"));
        }
    });
}

#[test]
fn rfc2308_2_nxdomain_and_nodata_carry_the_soa_of_the_zone() {
    on_every_road(|road| {
        let apex: Name = road.apex.parse().unwrap();
        for (name, rtype, rcode) in [
            ("none", "A", Rcode::NXDOMAIN),
            ("below.one", "A", Rcode::NXDOMAIN),
            ("one", "AAAA", Rcode::NOERROR),
            ("one", "TYPE65401", Rcode::NOERROR),
            // RFC 8020 2: a name above one that exists does exist.
            ("empty", "A", Rcode::NOERROR),
        ] {
            let reply = road.ask(&road.query(name, rtype));
            assert_eq!((reply.rcode, reply.answers.len()), (rcode, 0), "{name} {rtype}");
            let [soa] = &reply.authorities[..] else { panic!("{name} {rtype}: {:?}", reply.authorities) };
            assert_eq!((soa.rtype, &soa.name), (RecordType::SOA, &apex), "{name} {rtype}");
            assert!(soa.ttl <= 30, "{name} {rtype}: 5: no more than the minimum");
        }
    });
}

#[test]
fn rfc3597_3_types_nobody_knows_are_opaque() {
    on_every_road(|road| {
        if road.is_ours {
            let reply = road.ask(&road.query("opaque", "TYPE65400"));
            assert_eq!(reply.answers[0].rdata.as_bytes(), [0xc0, 0, 2, 1], "c0 is no compression pointer here");
            assert_eq!(outcome(road, "opaque", "TYPE65402"), (Rcode::NOERROR, 0));
        }
        assert_eq!(outcome(road, "one", "TYPE1000"), (Rcode::NOERROR, 0));
    });
}

#[test]
fn rfc4592_2_wildcards() {
    on_every_road(|road| {
        // 2.2.1: any depth; the owner is the name asked for.
        for name in ["a.wild", "a.b.c.wild", "A.Wild"] {
            let reply = road.ask(&road.query(name, "A"));
            assert_eq!(reply.answers.len(), 1, "{name}");
            assert_eq!(lines(&reply)[0].to_lowercase(), format!("{}.{}. a 192.0.2.3", name.to_lowercase(), road.apex));
        }
        // The wildcard itself may be asked for.
        assert_eq!(outcome(road, "*.wild", "A"), (Rcode::NOERROR, 1));
        if !road.is_ours {
            return;
        }
        // Not with that type, and not above it.
        assert_eq!(outcome(road, "a.wild", "AAAA"), (Rcode::NOERROR, 0));
        assert_eq!(outcome(road, "wild", "A"), (Rcode::NOERROR, 0));
        // 2.2.2: not where a name exists, not below one that exists.
        assert_eq!(outcome(road, "stop.wild", "A"), (Rcode::NOERROR, 0));
        assert_eq!(outcome(road, "below.stop.wild", "A"), (Rcode::NXDOMAIN, 0));
    });
}

#[test]
fn rfc1034_3_6_2_aliases_inside_a_zone_are_followed() {
    on_every_road(|road| {
        let apex = road.apex;
        let expected = [format!("alias.{apex}. CNAME one.{apex}."), format!("one.{apex}. A 192.0.2.1")];
        assert_eq!(lines(&road.ask(&road.query("alias", "A"))), expected);
        assert_eq!(lines(&road.ask(&road.query("alias", "CNAME"))), expected[..1]);
        // RFC 2308 2.2: NODATA at the end of the chain.
        let reply = road.ask(&road.query("alias", "AAAA"));
        assert_eq!((reply.rcode, lines(&reply)), (Rcode::NOERROR, expected[..1].to_vec()));
        assert_eq!(reply.authorities[0].rtype, RecordType::SOA);
    });
}

#[test]
fn rfc2782_service_records_name_their_target_in_the_zone_asked() {
    on_every_road(|road| {
        let reply = road.ask(&road.query("_http._tcp", "SRV"));
        let apex = road.apex;
        assert_eq!(lines(&reply), [format!("_http._tcp.{apex}. SRV 10 20 8080 one.{apex}.")]);
    });
}

#[test]
fn rfc2181_5_2_the_records_of_a_set_have_one_ttl() {
    on_every_road(|road| {
        let reply = road.ask(&road.query("one", "A"));
        assert!(reply.answers.iter().all(|record| record.ttl == reply.answers[0].ttl && record.ttl <= 30));
    });
}

/// Nothing that was asked without EDNS, or with another case, id or flag, leaks into another's answer.
#[test]
fn rfc1035_7_3_answers_do_not_mix() {
    on_every_road(|road| {
        let first = Message { id: 1, ..road.query("one", "A") };
        let second = Message { id: 2, edns: None, ..road.query("ONE", "A") };
        for query in [&first, &second, &first, &second] {
            let reply = road.ask(query);
            assert_eq!((reply.id, reply.edns.is_some()), (query.id, query.edns.is_some()));
            assert_eq!(reply.questions[0].name.as_wire(), query.questions[0].name.as_wire());
        }
    });
}
