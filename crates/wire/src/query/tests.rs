#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::testing::{edns_with, name, query};
use crate::{Edns, EdnsOption, Message};

/// A query for `example.com A IN` with these flags and counts, and `rest` after the question.
fn packet(flags: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let [qdcount, ancount, nscount, arcount] = counts;
    Header { id: 4711, flags: Flags(flags), qdcount, ancount, nscount, arcount }.write(&mut bytes);
    bytes.extend_from_slice(b"\x07example\x03com\0\0\x01\0\x01");
    bytes.extend_from_slice(rest);
    bytes
}

/// An OPT record of `version` with these octets for options.
fn opt(version: u8, options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 41, 0x04, 0xd0, 0, version, 0x80, 0];
    bytes.extend_from_slice(&(options.len() as u16).to_be_bytes());
    bytes.extend_from_slice(options);
    bytes
}

/// What is refused, and the reply to it, decoded.
fn refused(bytes: &[u8]) -> (Refusal, Option<Message>) {
    let refusal = QueryView::parse(bytes).map(|_| ()).unwrap_err();
    let mut reply = Vec::new();
    refusal.write_reply(bytes, &mut reply);
    (refusal, (!reply.is_empty()).then(|| Message::parse(&reply).unwrap()))
}

#[test]
fn rfc5452_silence_for_responses_and_fragments() {
    let question = packet(Flags::RD, [1, 0, 0, 0], b"");
    for len in 0..Header::LEN {
        assert_eq!(refused(&question[..len]), (Refusal::Ignore, None), "{len} octets");
    }
    // A response would be answered with a response, and that again, without end.
    assert_eq!(refused(&packet(Flags::QR, [1, 0, 0, 0], b"")), (Refusal::Ignore, None));
    assert_eq!(refused(&packet(Flags::QR | 0x7800, [9, 9, 9, 9], b"")), (Refusal::Ignore, None));
}

#[test]
fn rfc8906_3_1_4_other_opcodes_are_not_implemented() {
    for opcode in 1..16 {
        let flags = opcode << 11 | Flags::RD;
        let (refusal, reply) = refused(&packet(flags, [1, 0, 0, 0], b""));
        let reply = reply.unwrap();
        assert_eq!((refusal, reply.rcode, reply.id), (Refusal::Opcode, Rcode::NOTIMP, 4711));
        // The opcode and RD are copied (RFC 1035 4.1.1).
        assert_eq!(reply.flags, Flags(Flags::QR | flags));
        // Whatever the rest looks like.
        assert_eq!(refused(&packet(flags, [7, 7, 7, 7], b"x")).0, Refusal::Opcode);
    }
}

#[test]
fn rfc9619_qdcount_is_one() {
    // Neither the count nor what is there may differ.
    for (qdcount, rest) in [(0, &b""[..]), (2, b""), (65_535, b""), (2, b"\x03two\0\0\x01\0\x01")] {
        let (refusal, reply) = refused(&packet(0, [qdcount, 0, 0, 0], rest));
        let reply = reply.unwrap();
        assert_eq!((refusal, reply.rcode), (Refusal::Malformed, Rcode::FORMERR), "QDCOUNT {qdcount}");
        assert_eq!(reply.questions, []);
    }
}

#[test]
fn rfc1035_4_1_malformed_queries_are_format_errors() {
    let plain = packet(0, [1, 0, 0, 0], b"");
    let long_label = [&plain[..Header::LEN], &[64], &[b'a'; 64], b"\0\0\x01\0\x01"].concat();
    let long_name = [&plain[..Header::LEN], &[1; 256], b"\0\0\x01\0\x01"].concat();
    let pointer = [&plain[..Header::LEN], b"\xc0\x0c\0\x01\0\x01"].concat();
    let large = [&b"\0\xff\x78\0\x01\0\0\0\0\x80\0"[..], &[0; 0x8000]].concat();
    let cases: &[(&str, Vec<u8>)] = &[
        ("no question at all", plain[..Header::LEN].to_vec()),
        ("cut in the name", plain[..Header::LEN + 4].to_vec()),
        ("cut in the class", plain[..plain.len() - 1].to_vec()),
        ("a label of 64 octets", long_label),
        ("a name of 257 octets", long_name),
        ("a compressed name in the question", pointer),
        ("an octet too many", packet(0, [1, 0, 0, 0], b"\0")),
        ("a record that is counted but missing", packet(0, [1, 0, 0, 1], b"")),
        ("a record that is cut", packet(0, [1, 0, 0, 1], b"\0\0\x01\0\x01\0\0\0\0\0\x04\x01")),
        ("a record with a reserved label type", packet(0, [1, 0, 0, 1], b"\x80\0\0\x01\0\x01\0\0\0\0\0\0")),
        ("more than 65,535 octets", packet(0, [1, 0, 0, 3], &[large.repeat(2), opt(0, b"")].concat())),
        ("truncated on the way to us", packet(Flags::TC, [1, 0, 0, 0], b"")),
    ];
    for (what, bytes) in cases {
        let (refusal, reply) = refused(bytes);
        assert_eq!((refusal, reply.unwrap().rcode), (Refusal::Malformed, Rcode::FORMERR), "{what}");
    }
}

#[test]
fn rfc6891_6_1_1_one_opt_at_the_root_of_the_additional_section() {
    let one = opt(0, b"");
    assert!(QueryView::parse(&packet(0, [1, 0, 0, 1], &one)).unwrap().dnssec_ok());
    // It may stand behind other records.
    let other = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04";
    assert!(QueryView::parse(&packet(0, [1, 1, 0, 1], &[other, &one[..]].concat())).unwrap().dnssec_ok());
    let not_root = [b"\x01a", &one[..]].concat();
    let cases: &[(&str, [u16; 4], &[u8])] = &[
        ("two of them", [1, 0, 0, 2], &[one.as_slice(), &one].concat()),
        ("in the answer section", [1, 1, 0, 0], &one),
        ("in the authority section", [1, 0, 1, 0], &one),
        ("not at the root", [1, 0, 0, 1], &not_root),
        ("an option over its end", [1, 0, 0, 1], &opt(0, b"\0\x0a\0\x09x")),
        ("half an option", [1, 0, 0, 1], &opt(0, b"\0\x0a\0")),
    ];
    for (what, counts, rest) in cases {
        assert_eq!(refused(&packet(0, *counts, rest)).0, Refusal::Malformed, "{what}");
    }
}

#[test]
fn edns_options_are_bounded() {
    let option = b"\xff\0\0\x01x";
    assert!(QueryView::parse(&packet(0, [1, 0, 0, 1], &opt(0, &option.repeat(32)))).is_ok());
    assert_eq!(refused(&packet(0, [1, 0, 0, 1], &opt(0, &option.repeat(33)))).0, Refusal::Malformed);
    assert_eq!(refused(&packet(0, [1, 0, 0, 1], &opt(0, &option.repeat(5_000)))).0, Refusal::Malformed);
}

#[test]
fn rfc6891_6_1_2_unknown_options_are_ignored() {
    let bytes = query("example.com", Some(edns_with(&[65_001, option::CLIENT_SUBNET, option::COOKIE])));
    let view = QueryView::parse(&bytes).unwrap();
    assert_eq!(view.option(65_001), Some(&[][..]));
    assert_eq!(view.option(65_002), None);
}

#[test]
fn rfc6891_6_1_3_badvers_for_other_versions() {
    // BADVERS comes before the class and the type are looked at: the client tries again with version 0.
    let mut bytes = packet(0, [1, 0, 0, 1], &opt(1, b""));
    bytes[Header::LEN + 16] = 3;
    let (refusal, reply) = refused(&bytes);
    let reply = reply.unwrap();
    assert_eq!((refusal, reply.rcode), (Refusal::EdnsVersion, Rcode::BADVERS));
    let edns = reply.edns.unwrap();
    assert_eq!((edns.version, edns.udp_payload, edns.rcode_high), (0, UDP_PAYLOAD, 1));
}

#[test]
fn rfc6891_6_2_3_payloads_under_512_count_as_512() {
    for (told, meant) in [(0, 512), (511, 512), (512, 512), (1400, 1400), (65_535, 65_535)] {
        let bytes = query("example.com", Some(Edns { udp_payload: told, ..Edns::default() }));
        assert_eq!(QueryView::parse(&bytes).unwrap().edns().unwrap().udp_payload, meant);
    }
}

#[test]
fn rfc6895_3_1_classes_and_meta_types() {
    // Type, class, and why it is refused.
    let cases = [
        (RecordType::A, Class::IN, None),
        // Answered minimally elsewhere (RFC 8482).
        (RecordType::ANY, Class::IN, None),
        (RecordType(65_400), Class::IN, None),
        (RecordType::AXFR, Class::IN, Some((Refusal::Type, Rcode::NOTIMP))),
        (RecordType::IXFR, Class::IN, Some((Refusal::Type, Rcode::NOTIMP))),
        (RecordType::TSIG, Class::IN, Some((Refusal::Type, Rcode::NOTIMP))),
        (RecordType::OPT, Class::IN, Some((Refusal::Type, Rcode::NOTIMP))),
        (RecordType(128), Class::IN, Some((Refusal::Type, Rcode::NOTIMP))),
        (RecordType::TXT, Class::CH, Some((Refusal::Class, Rcode::REFUSED))),
        (RecordType::A, Class::ANY, Some((Refusal::Class, Rcode::REFUSED))),
        (RecordType::A, Class::NONE, Some((Refusal::Class, Rcode::REFUSED))),
    ];
    for (rtype, class, expected) in cases {
        let mut message = Message::query(1, name("example.com"), rtype);
        message.questions[0].class = class;
        let bytes = message.to_wire().unwrap();
        match expected {
            None => assert!(QueryView::parse(&bytes).is_ok(), "{rtype} {class}"),
            Some((refusal, rcode)) => {
                let (found, reply) = refused(&bytes);
                let reply = reply.unwrap();
                assert_eq!((found, reply.rcode, &reply.questions), (refusal, rcode, &message.questions));
                // RFC 6891 6.1.1: a query with OPT gets OPT.
                assert!(reply.edns.is_some(), "{rtype} {class}");
            }
        }
    }
}

#[test]
fn rfc6891_6_1_1_refusals_have_opt_only_when_asked() {
    for edns in [None, Some(Edns { dnssec_ok: true, ..Edns::default() })] {
        let mut message = Message::query(1, name("example.com"), RecordType::AXFR);
        message.edns = edns.clone();
        let reply = refused(&message.to_wire().unwrap()).1.unwrap();
        // RFC 8914 2: why.
        assert_eq!(reply.edns.as_ref().map(|e| e.ede().unwrap().code), edns.as_ref().map(|_| Ede::NOT_SUPPORTED));
        // RFC 3225 3: DO is copied.
        assert_eq!(reply.edns.map(|e| e.dnssec_ok), edns.map(|e| e.dnssec_ok));
    }
}

#[test]
fn rfc8914_3_error_replies_carry_the_reason_and_fit() {
    let ede = Ede::new(Ede::PROHIBITED, "ü".repeat(500));
    let longest = format!("{}.", ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join("."));
    let bytes = query(&longest, Some(Edns::default()));
    let mut reply = Vec::new();
    QueryView::parse(&bytes).unwrap().write_error(Rcode::REFUSED, Some(&ede), &mut reply);
    assert!(reply.len() <= 512);
    let message = Message::parse(&reply).unwrap();
    assert_eq!((message.id, message.rcode), (4711, Rcode::REFUSED));
    let told = message.edns.unwrap().ede().unwrap();
    assert_eq!((told.code, told.text.chars().all(|c| c == 'ü')), (Ede::PROHIBITED, true));

    // Without EDNS there is no place for the reason, nor for an rcode over 15.
    let bytes = query("example.com", None);
    let mut reply = Vec::new();
    QueryView::parse(&bytes).unwrap().write_error(Rcode::BADCOOKIE, Some(&ede), &mut reply);
    let message = Message::parse(&reply).unwrap();
    assert_eq!((message.rcode, message.edns), (Rcode::SERVFAIL, None));
}

#[test]
fn an_unreadable_cluster_path_is_an_error_not_an_empty_path() {
    let with_path = |data: &[u8]| {
        let options = vec![EdnsOption { code: option::CLUSTER_PATH, data: data.to_vec() }];
        query("example.com", Some(Edns { options, ..Edns::default() }))
    };
    let path = |bytes: &[u8]| QueryView::parse(bytes).unwrap().cluster_path();
    assert_eq!(path(&query("example.com", None)), Ok(ClusterPath::default()));
    assert!(path(&with_path(b"a.example,b.example")).unwrap().contains("b.example"));
    assert_eq!(path(&with_path(b"a.example,\xff")), Err(Refusal::Malformed));
    assert_eq!(path(&with_path(b"a,b,c,d,e,f,g,h,i")), Err(Refusal::Malformed));
}

#[test]
fn an_owned_query_shows_the_same_view() {
    let bytes = query("ExAmPlE.com", Some(edns_with(&[option::PADDING])));
    let view = QueryView::parse(&bytes).unwrap();
    let owned = Query::new(&view);
    assert_eq!(owned.view().bytes(), view.bytes());
    assert_eq!(owned.view().qname_wire(), b"\x07ExAmPlE\x03com\0");
    assert_eq!(owned.view().option(option::PADDING), Some(&[][..]));
}

proptest! {
    #[test]
    fn any_bytes_are_a_query_or_a_refusal(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        look_at(&bytes);
    }

    /// A well-formed query with some octets changed: nearer to the edges than random bytes.
    #[test]
    fn damaged_queries_are_queries_or_refusals(changes in proptest::collection::vec((0..80_usize, any::<u8>()), 1..6)) {
        let mut bytes = query("www.example.com", Some(edns_with(&[option::PADDING, option::COOKIE])));
        for (at, octet) in changes {
            if let Some(place) = bytes.get_mut(at) {
                *place = octet;
            }
        }
        look_at(&bytes);
    }
}

fn look_at(bytes: &[u8]) {
    let mut reply = Vec::new();
    match QueryView::parse(bytes) {
        Ok(view) => {
            let _ = (view.qname(), view.cluster_path(), view.option(option::PADDING));
            view.write_error(Rcode::SERVFAIL, Some(&Ede::new(0, "x")), &mut reply);
        }
        Err(refusal) => refusal.write_reply(bytes, &mut reply),
    }
    assert!(reply.is_empty() || Message::parse(&reply).is_ok());
}
