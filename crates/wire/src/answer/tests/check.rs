use std::ops::Not;

use proptest::prelude::*;

use super::*;
use crate::testing::{dname, messages, names_under, record, rrsig};
use crate::{Flags, Opcode};

/// What of a response to `www.example A` is kept, and how much is dropped, for a server of `zone`.
fn check(message: &Message, zone: &str) -> Result<(Message, usize), CheckError> {
    let question = &message.questions[0];
    Answer::check(&message.to_wire().unwrap(), question, &name(zone))
        .map(|(answer, dropped)| (answer.to_message().unwrap(), dropped))
}

#[test]
fn rfc1035_4_1_1_aa_is_not_passed_on() {
    let good = response(asked(), NOERROR, [vec![a("www.example", 60)], vec![], vec![]]);
    let (kept, _) = check(&Message { flags: good.flags.with(Flags::AA, true), ..good }, ".").unwrap();
    assert!(!kept.flags.has(Flags::AA));
}

#[test]
fn rfc5452_9_1_only_a_response_to_the_question_counts() {
    let good = response(asked(), NOERROR, [vec![a("www.example", 60)], vec![], vec![]]);
    let error = |message: &Message| Answer::check(&message.to_wire().unwrap(), &asked(), &Name::root()).err();
    assert_eq!(error(&good), None);
    // RFC 4343: the name in another case is the same question; the case on the wire is compared by who sent it.
    assert_eq!(error(&Message { questions: vec![question("WWW.example", RecordType::A)], ..good.clone() }), None);

    let other = [
        vec![],
        vec![question("ww.example", RecordType::A)],
        vec![question("www.example", RecordType::AAAA)],
        vec![Question { class: Class::CH, ..asked() }],
        vec![asked(), asked()],
    ];
    for questions in other {
        assert_eq!(error(&Message { questions, ..good.clone() }), Some(CheckError::OtherQuestion));
    }
    for flags in [Flags(0), Flags(Flags::QR | u16::from(Opcode::NOTIFY.0) << 11)] {
        assert_eq!(error(&Message { flags, ..good.clone() }), Some(CheckError::NotAResponse));
    }
    assert!(matches!(Answer::check(b"x", &asked(), &Name::root()), Err(CheckError::Malformed(_))));
}

#[test]
fn records_that_lead_where_nothing_is_believed_are_dropped() {
    // What is said, and how many records are kept and dropped; none: nothing is left.
    type Case = (Vec<Record>, Option<(usize, usize)>);
    let to = |target: &str| srv("www.example", 60, target);
    let cases: Vec<Case> = vec![
        (vec![to("a.example")], Some((1, 0))),
        (vec![to("a.example"), to("a.bank")], Some((1, 1))),
        (vec![to("a.bank")], None),
        // Names nobody, and so leads nowhere.
        (vec![a("www.example", 60)], Some((1, 0))),
        // Wherever an alias leads.
        (vec![cname("www.example", 60, "a.example")], None),
        (vec![], Some((0, 0))),
    ];
    for (answers, expected) in cases {
        let answer = Answer::new(&response(asked(), NOERROR, [answers.clone(), vec![], vec![]])).unwrap();
        let kept = answer.keep_targets(|target| target.is_within(&name("example")));
        let kept = kept.ok().map(|(answer, dropped)| (answer.to_message().unwrap().answers.len(), dropped));
        assert_eq!(kept, expected, "{answers:?}");
    }
}

#[test]
fn what_does_not_belong_to_the_answer_is_dropped() {
    let good = || a("www.example", 60);
    let alias = || cname("www.example", 60, "a.example");
    let text = |owner: &str| record(owner, 60, RecordType::TXT, Rdata::opaque(b"\x01x".to_vec()));
    // The answer section as sent, and how many records at its beginning are kept.
    let cases: Vec<(&str, Vec<Record>, usize)> = vec![
        ("another name", vec![good(), a("bank.example", 60)], 1),
        ("another type at the name", vec![good(), text("www.example")], 1),
        ("another class", vec![good(), Record { class: Class::CH, ..good() }], 1),
        ("signatures of the records", vec![good(), rrsig("www.example", 60, RecordType::A)], 2),
        ("signatures of others", vec![good(), rrsig("www.example", 60, RecordType::TXT)], 1),
        ("a chain, with signatures", vec![alias(), rrsig("www.example", 60, RecordType::CNAME), a("a.example", 60)], 3),
        // RFC 2181 10.1: a name has one alias.
        ("a second alias", vec![alias(), a("a.example", 60), cname("www.example", 60, "evil.example")], 2),
        ("an alias besides records", vec![good(), cname("www.example", 60, "evil.example")], 1),
        ("an alias of another name", vec![good(), cname("bank.example", 60, "evil.example")], 1),
        ("records of the alias, which has other types", vec![alias(), a("a.example", 60), text("www.example")], 2),
    ];
    for (what, answers, kept) in cases {
        let message = response(asked(), NOERROR, [answers.clone(), vec![], vec![]]);
        let (checked, dropped) = check(&message, ".").unwrap();
        assert_eq!(checked.answers, answers[..kept], "{what}");
        assert_eq!(dropped, answers.len() - kept, "{what}");
    }
}

#[test]
fn rfc6672_a_dname_counts_only_where_it_explains_an_alias() {
    let answers = |target: &str, substitution: &str| {
        vec![dname("dir.example", 60, substitution), cname("www.dir.example", 60, target), a(target, 60)]
    };
    let kept = |answers: Vec<Record>| {
        let message = response(question("www.dir.example", RecordType::A), NOERROR, [answers, vec![], vec![]]);
        check(&message, "example").unwrap().0.answers.len()
    };
    assert_eq!(kept(answers("www.new.example", "new.example")), 3);
    // The alias does not follow from it: injected.
    assert_eq!(kept(answers("www.new.example", "evil.test")), 2);
    assert_eq!(kept(vec![dname("example", 60, "evil.test"), a("www.dir.example", 60)]), 1);
}

#[test]
fn nothing_outside_the_zone_is_kept() {
    let chain =
        vec![cname("www.b.example", 60, "x.b.example"), cname("x.b.example", 60, "bank.test"), a("bank.test", 60)];
    let asked = question("www.b.example", RecordType::A);
    let message = response(asked.clone(), NOERROR, [chain.clone(), vec![], vec![]]);
    let (answer, dropped) = Answer::check(&message.to_wire().unwrap(), &asked, &name("b.example")).unwrap();
    assert_eq!(answer.to_message().unwrap().answers, chain[..2]);
    // The target is asked for anew, of whose zone it is.
    assert_eq!((dropped, answer.dangling_alias()), (1, Some(&name("bank.test"))));

    // That the target does not exist is not for this server to say.
    let message = response(asked.clone(), Rcode::NXDOMAIN, [chain[..2].to_vec(), vec![soa("test", 60, 60)], vec![]]);
    let (answer, _) = Answer::check(&message.to_wire().unwrap(), &asked, &name("b.example")).unwrap();
    assert_eq!((answer.rcode(), answer.dangling_alias()), (NOERROR, Some(&name("bank.test"))));
    assert_eq!(answer.to_message().unwrap().authorities, []);

    // A look-alike of the zone is not the zone.
    let message =
        response(question("www.xb.example", RecordType::A), NOERROR, [vec![a("www.xb.example", 60)], vec![], vec![]]);
    assert_eq!(check(&message, "b.example"), Err(CheckError::NoAnswer));
    // Nor may it deny names outside.
    let message = response(question("www.xb.example", RecordType::A), Rcode::NXDOMAIN, Default::default());
    assert_eq!(check(&message, "b.example"), Err(CheckError::NoAnswer));
}

#[test]
fn rfc2308_2_1_the_soa_is_of_the_zone_at_the_end_of_the_chain() {
    let alias = cname("www.example", 60, "a.test");
    // The owners of SOA records, and those kept.
    let cases =
        [("test", true), ("a.test", true), (".", true), ("b.test", false), ("example", false), ("xa.test", false)];
    for (owner, kept) in cases {
        let message = response(asked(), Rcode::NXDOMAIN, [vec![alias.clone()], vec![soa(owner, 60, 60)], vec![]]);
        let (checked, _) = check(&message, ".").unwrap();
        assert_eq!(checked.authorities.is_empty().not(), kept, "{owner}");
    }
    // Beside records it denies nothing.
    let message = response(asked(), NOERROR, [vec![a("www.example", 60)], vec![soa("example", 60, 60)], vec![]]);
    assert_eq!(check(&message, ".").unwrap().0.authorities, []);
}

/// A part of a zone is asked here (`svc.cluster.local` of `cluster.local`); its denials can be kept for as long as the
/// zone says.
#[test]
fn rfc2308_5_a_denial_may_come_from_a_zone_above_the_one_asked() {
    let asked = question("no.svc.example", RecordType::A);
    let found = vec![a("no.svc.example", 60)];
    let elsewhere = vec![cname("no.svc.example", 60, "x.example")];
    // Rcode, answers, owner of the SOA, and whether it is kept.
    let cases = [
        ("the name does not exist", Rcode::NXDOMAIN, vec![], "example", true),
        ("it has no such records", NOERROR, vec![], "example", true),
        ("the zone asked", Rcode::NXDOMAIN, vec![], "svc.example", true),
        ("no denial", NOERROR, found, "example", false),
        ("what is denied lies outside the zone asked", Rcode::NXDOMAIN, elsewhere, "example", false),
        ("a zone beside it", Rcode::NXDOMAIN, vec![], "test", false),
        ("a zone below it, of another name", Rcode::NXDOMAIN, vec![], "b.svc.example", false),
    ];
    for (what, rcode, answers, owner, kept) in cases {
        let authorities = vec![soa(owner, 60, 30), rrsig(owner, 60, RecordType::SOA), ns(owner, 60, "ns.example")];
        let message = response(asked.clone(), rcode, [answers, authorities.clone(), vec![]]);
        let (answer, _) = Answer::check(&message.to_wire().unwrap(), &asked, &name("svc.example")).unwrap();
        let owners: Vec<Name> = answer.to_message().unwrap().authorities.into_iter().map(|r| r.name).collect();
        assert_eq!(owners, vec![name(owner); if kept { 2 } else { 0 }], "{what}");
        assert_eq!(answer.kind() != AnswerKind::Positive && answer.ttl() == 30, kept, "{what}");
    }
}

#[test]
fn rfc4035_3_1_3_denials_keep_their_proofs() {
    let nsec = |owner: &str| {
        let rdata = [name("z.example").as_wire(), b"\0\x01\x40"].concat();
        record(owner, 60, RecordType::NSEC, Rdata::parse(RecordType::NSEC, &rdata).unwrap())
    };
    let authorities = vec![
        soa("example", 60, 60),
        rrsig("example", 60, RecordType::SOA),
        nsec("w.example"),
        rrsig("w.example", 60, RecordType::NSEC),
        rrsig("example", 60, RecordType::NS),
        nsec("w.test"),
    ];
    let message = response(asked(), Rcode::NXDOMAIN, [vec![], authorities.clone(), vec![]]);
    let (checked, dropped) = check(&message, "example").unwrap();
    assert_eq!((checked.authorities.as_slice(), dropped), (&authorities[..4], 2));
}

#[test]
fn rfc2308_2_2_referrals_are_no_denials() {
    let referral = || vec![ns("example", 60, "ns.example")];
    // The sections, and whether that is an answer.
    let cases: Vec<(&str, Sections, bool)> = vec![
        ("to the servers of the name", [vec![], referral(), vec![a("ns.example", 60)]], false),
        ("upward", [vec![], vec![ns(".", 60, "a.root-servers.net")], vec![]], false),
        ("only records of other names", [vec![a("b.example", 60)], vec![], vec![]], false),
        // NODATA types 1, 2 and 3 of RFC 2308 2.2.
        ("a denial, with servers", [vec![], [referral(), vec![soa("example", 60, 60)]].concat(), vec![]], true),
        ("a denial", [vec![], vec![soa("example", 60, 60)], vec![]], true),
        ("nothing", [vec![], vec![], vec![]], true),
        ("records, with servers", [vec![a("www.example", 60)], referral(), vec![]], true),
    ];
    for (what, sections, is_answer) in cases {
        let mut message = response(asked(), NOERROR, sections);
        assert_eq!(check(&message, ".").is_ok(), is_answer, "{what}");
        // A truncated one is asked for again; that is for the asker to do.
        message.flags = Flags(Flags::QR | Flags::TC);
        assert!(check(&message, ".").is_ok(), "{what}, truncated");
    }
}

#[test]
fn addresses_of_targets_are_kept_within_the_zone() {
    let asked = question("_http._tcp.example", RecordType::SRV);
    let answers = vec![srv("_http._tcp.example", 60, "web.example"), srv("_http._tcp.example", 60, "web.test")];
    let additionals =
        vec![a("web.example", 60), a("web.test", 60), a("bank.example", 60), srv("web.example", 60, "x.example")];
    let (checked, dropped) =
        check(&response(asked, NOERROR, [answers.clone(), vec![], additionals]), "example").unwrap();
    assert_eq!((checked.answers, checked.additionals, dropped), (answers, vec![a("web.example", 60)], 3));
}

#[test]
fn errors_have_no_records() {
    let sections = [vec![a("www.example", 60)], vec![soa("example", 60, 60)], vec![a("b.example", 60)]];
    for rcode in [Rcode::SERVFAIL, Rcode::REFUSED, Rcode::NOTIMP, Rcode::YXDOMAIN] {
        let (checked, dropped) = check(&response(asked(), rcode, sections.clone()), ".").unwrap();
        assert_eq!((checked.records().count(), dropped, checked.rcode), (0, 3, rcode));
    }
}

#[test]
fn loops_and_long_chains_end() {
    let owner = |i: usize| format!("n{i}.example");
    let chain_of = |aliases: usize, then: usize| -> Vec<Record> {
        (0..aliases).map(|i| cname(&owner(i), 60, &owner(if i + 1 == aliases { then } else { i + 1 }))).collect()
    };
    let checked = |answers: Vec<Record>| {
        let question = question(&owner(0), RecordType::A);
        let message = response(question.clone(), NOERROR, [answers, vec![], vec![]]);
        Answer::check(&message.to_wire().unwrap(), &question, &Name::root()).unwrap().0
    };
    // Loops of one, two and three.
    for aliases in 1..=3 {
        let answer = checked(chain_of(aliases, 0));
        assert_eq!(answer.to_message().unwrap().answers.len(), aliases);
        // Not a denial: that there is nothing at the end of a loop is not known.
        assert_eq!((answer.kind(), answer.dangling_alias().is_some()), (AnswerKind::Positive, true), "{aliases}");
    }
    let with_address = |aliases| [chain_of(aliases, aliases), vec![a(&owner(aliases), 60)]].concat();
    assert_eq!(checked(with_address(11)).to_message().unwrap().answers.len(), 12);
    // One too many: the chain ends before the address.
    let answer = checked(with_address(12));
    assert_eq!(answer.to_message().unwrap().answers.len(), 12);
    assert!(answer.dangling_alias().is_some());
}

#[test]
fn full_messages_are_checked() {
    // Thousands of targets and thousands of addresses.
    let asked = question("s.example", RecordType::SRV);
    let owner = |i: usize| format!("{i}.example");
    let answers: Vec<Record> = (0..1_200).map(|i| srv("s.example", 60, &owner(i))).collect();
    let additionals: Vec<Record> = (0..1_200).map(|i| a(&owner(i), 60)).collect();
    let message = response(asked, NOERROR, [answers, vec![], additionals]);
    assert_eq!(check(&message, "example").unwrap().1, 0);
}

proptest! {
    #[test]
    fn nothing_that_is_kept_lies_outside_the_zone(message in messages(names_under(name("a.b"))), zone in names_under(name("b"))) {
        let wire = message.to_wire().unwrap();
        if let Ok((answer, dropped)) = Answer::check(&wire, &message.questions[0], &zone) {
            let kept = answer.to_message().unwrap();
            // The SOA of a denial may be of a zone above.
            let is_above = |r: &Record| zone.is_within(&r.name) && kept.authorities.contains(r);
            prop_assert!(kept.records().all(|r| r.name.is_within(&zone) || is_above(r)));
            prop_assert!(kept.records().all(|r| r.rtype != RecordType::NS || message.questions[0].rtype == RecordType::ANY));
            prop_assert_eq!(kept.records().count() + dropped, message.records().count());
        }
    }

    #[test]
    fn any_bytes_are_checked(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Answer::check(&bytes, &asked(), &Name::root());
    }

    /// What is checked once stays as it is.
    #[test]
    fn checking_twice_drops_nothing_more(message in messages(names_under(name("b")))) {
        let question = &message.questions[0];
        let zone = name("b");
        if let Ok((answer, _)) = Answer::check(&message.to_wire().unwrap(), question, &zone) {
            let once = answer.to_message().unwrap();
            if let Ok((again, dropped)) = Answer::check(&once.to_wire().unwrap(), question, &zone) {
                prop_assert_eq!((again.to_message().unwrap(), dropped), (once, 0));
            }
        }
    }
}
