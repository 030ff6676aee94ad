//! Tests of answers; what of a response is believed, and how replies look, each in a file of its own.
#![allow(clippy::unwrap_used)]

mod check;
mod reply;

use super::*;
use crate::testing::{Sections, a, cname, name, ns, question, response, rrsig, soa, srv};
use crate::{Class, Rdata, Record};

const NOERROR: Rcode = Rcode::NOERROR;

fn asked() -> Question {
    question("www.example", RecordType::A)
}

#[test]
fn an_answer_knows_whether_it_names_others() {
    let alias = || cname("www.example", 60, "a.example");
    let text =
        Record { rtype: RecordType::TXT, rdata: Rdata::opaque(b"\x09a.example".to_vec()), ..a("www.example", 60) };
    // The sections, and whether whoever is not to see other names needs a look at it.
    let cases: Vec<(&str, Sections, bool)> = vec![
        ("addresses", [vec![a("www.example", 60)], vec![], vec![]], false),
        ("nothing", [vec![], vec![], vec![]], false),
        ("data without names", [vec![text], vec![], vec![]], false),
        ("a denial", [vec![], vec![soa("example", 60, 60)], vec![]], false),
        ("an alias", [vec![alias()], vec![], vec![]], true),
        ("an alias and its end", [vec![alias(), a("a.example", 60)], vec![], vec![]], true),
        ("an alias and a denial", [vec![alias()], vec![soa("example", 60, 60)], vec![]], true),
        ("a target", [vec![srv("www.example", 60, "a.example")], vec![], vec![]], true),
        ("an address beside", [vec![a("www.example", 60)], vec![], vec![a("a.example", 60)]], true),
        ("name servers", [vec![a("www.example", 60)], vec![ns("www.example", 60, "ns.example")], vec![]], true),
    ];
    for (what, sections, names_others) in cases {
        let message = response(asked(), NOERROR, sections);
        let answer = Answer::new(&message).unwrap();
        assert_eq!(answer.names_others(), names_others, "{what}");
        // However it came about, and whatever becomes of it.
        let (ede, clamped) = (Ede::new(Ede::OTHER, ""), answer.clamp_ttls(1, 2));
        assert_eq!(answer.with_ede(ede).names_others(), names_others, "{what}");
        assert_eq!(clamped.names_others(), names_others, "{what}");
        assert_eq!(Answer::for_any_name(&message).unwrap().names_others(), names_others, "{what}");
    }
    assert!(!Answer::failure(asked(), NOERROR, None).names_others());
}

#[test]
fn rfc2308_2_kinds_of_answers() {
    use AnswerKind::{Failure, NoData, NxDomain, Positive};
    let alias = || cname("www.example", 60, "a.example");
    // The sections, the rcode, what that says, and the alias that is left to follow.
    let cases: Vec<(&str, Rcode, Sections, AnswerKind, Option<&str>)> = vec![
        ("records", NOERROR, [vec![a("www.example", 60)], vec![], vec![]], Positive, None),
        ("an alias and records", NOERROR, [vec![alias(), a("a.example", 60)], vec![], vec![]], Positive, None),
        ("only an alias", NOERROR, [vec![alias()], vec![], vec![]], Positive, Some("a.example")),
        // RFC 2308 2.2: the denial is of the name at the end of the chain.
        ("an alias and a denial", NOERROR, [vec![alias()], vec![soa("example", 60, 60)], vec![]], NoData, None),
        ("a denial", NOERROR, [vec![], vec![soa("example", 60, 60)], vec![]], NoData, None),
        ("nothing", NOERROR, [vec![], vec![], vec![]], NoData, None),
        ("records of another name", NOERROR, [vec![a("b.example", 60)], vec![], vec![]], NoData, None),
        ("no such name", Rcode::NXDOMAIN, [vec![], vec![soa("example", 60, 60)], vec![]], NxDomain, None),
        (
            "an alias to no such name",
            Rcode::NXDOMAIN,
            [vec![alias()], vec![soa("example", 60, 60)], vec![]],
            NxDomain,
            None,
        ),
        ("a failure", Rcode::SERVFAIL, [vec![], vec![], vec![]], Failure, None),
        ("an extended failure", Rcode::BADVERS, [vec![], vec![], vec![]], Failure, None),
    ];
    for (what, rcode, sections, kind, alias) in cases {
        let answer = Answer::new(&response(asked(), rcode, sections)).unwrap();
        assert_eq!((answer.kind(), answer.rcode()), (kind, rcode), "{what}");
        assert_eq!(answer.dangling_alias().cloned(), alias.map(name), "{what}");
    }
}

#[test]
fn rfc2181_5_2_the_records_of_a_set_get_its_lowest_ttl() {
    let sections = [
        // Two sets at the same name and in two cases, signatures of either, and another name.
        vec![a("www.example", 900), a("WWW.example", 100), rrsig("www.example", 900, RecordType::A)],
        vec![ns("example", 50, "a.example"), ns("example", 60, "b.example")],
        vec![a("a.example", 70), a("b.example", 80), srv("a.example", 90, "a.example")],
    ];
    let message = Answer::new(&response(asked(), NOERROR, sections)).unwrap().to_message().unwrap();
    let ttls: Vec<u32> = message.records().map(|record| record.ttl).collect();
    assert_eq!(ttls, [100, 100, 900, 50, 50, 70, 80, 90]);
}

#[test]
fn rfc2308_5_negative_ttl_is_the_lesser() {
    let alias = |ttl| cname("www.example", ttl, "a.example");
    let cases: Vec<(&str, Rcode, Sections, u32)> = vec![
        ("the minimum", Rcode::NXDOMAIN, [vec![], vec![soa("example", 300, 60)], vec![]], 60),
        ("the SOA's own TTL", Rcode::NXDOMAIN, [vec![], vec![soa("example", 30, 60)], vec![]], 30),
        ("NODATA likewise", NOERROR, [vec![], vec![soa("example", 300, 60)], vec![]], 60),
        // The alias before a denial bounds it too.
        ("a short alias", Rcode::NXDOMAIN, [vec![alias(5)], vec![soa("example", 300, 60)], vec![]], 5),
        ("a long alias", Rcode::NXDOMAIN, [vec![alias(500)], vec![soa("example", 300, 60)], vec![]], 60),
        // "Negative responses without SOA records SHOULD NOT be cached."
        ("no SOA", Rcode::NXDOMAIN, [vec![], vec![], vec![]], 0),
        ("an alias, no SOA", Rcode::NXDOMAIN, [vec![alias(500)], vec![], vec![]], 0),
        ("a failure", Rcode::SERVFAIL, [vec![alias(500)], vec![soa("example", 300, 60)], vec![]], 0),
        ("the least of all records", NOERROR, [vec![a("www.example", 60)], vec![], vec![a("b.example", 20)]], 20),
    ];
    for (what, rcode, sections, ttl) in cases {
        let answer = Answer::new(&response(asked(), rcode, sections)).unwrap();
        assert_eq!(answer.ttl(), ttl, "{what}");
        // Who caches our answer must not keep it for longer than we do.
        let told = answer.to_message().unwrap().authorities.iter().map(|r| r.ttl).min();
        assert!(answer.kind() == AnswerKind::Failure || told.is_none_or(|told| told <= 60), "{what}");
    }
}

#[test]
fn clamped_ttls_are_seen_by_clients_and_leave_failures_alone() {
    let answer = Answer::new(&response(
        asked(),
        NOERROR,
        [vec![cname("www.example", 5, "a.example"), a("a.example", 9_000)], vec![], vec![]],
    ));
    let clamped = answer.unwrap().clamp_ttls(60, 3_600);
    let ttls: Vec<u32> = clamped.to_message().unwrap().records().map(|r| r.ttl).collect();
    assert_eq!((clamped.ttl(), ttls), (60, vec![60, 3_600]));
    for rcode in [Rcode::NXDOMAIN, Rcode::NOERROR, Rcode::SERVFAIL] {
        assert_eq!(Answer::failure(asked(), rcode, None).clamp_ttls(60, 3_600).ttl(), 0);
    }
}

#[test]
fn answers_decode_to_what_they_were_made_from() {
    let mut message = response(asked(), Rcode::BADCOOKIE, Default::default());
    message.edns = Some(Edns { options: vec![Ede::new(Ede::BLOCKED, "why").to_option()], ..Edns::default() });
    let answer = Answer::new(&message).unwrap();
    assert_eq!(answer.ede(), Some(&Ede::new(Ede::BLOCKED, "why")));
    let again = Answer::new(&answer.to_message().unwrap()).unwrap();
    assert_eq!((again.rcode(), again.kind(), again.ede()), (Rcode::BADCOOKIE, AnswerKind::Failure, answer.ede()));
}

#[test]
fn an_answer_has_one_question() {
    let mut message = response(asked(), NOERROR, [vec![a("www.example", 60)], vec![], vec![]]);
    message.questions.push(question("second.example", RecordType::A));
    let answer = Answer::new(&message).unwrap();
    assert_eq!(answer.to_message().unwrap().questions, [asked()]);
    assert_eq!(answer.ttl(), 60);
    message.questions.clear();
    assert!(Answer::new(&message).is_err());
}

#[test]
fn failures_say_what_their_rcode_says() {
    for (rcode, kind) in [
        (Rcode::NOERROR, AnswerKind::NoData),
        (Rcode::NXDOMAIN, AnswerKind::NxDomain),
        (Rcode::SERVFAIL, AnswerKind::Failure),
        (Rcode::BADVERS, AnswerKind::Failure),
    ] {
        assert_eq!(Answer::failure(asked(), rcode, None).kind(), kind);
    }
}
