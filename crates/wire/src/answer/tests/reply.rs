use proptest::prelude::*;

use super::*;
use crate::testing::{edns_with, messages, names, query, record};
use crate::{Flags, MAX_MESSAGE_LEN, QueryView, UDP_PAYLOAD, option};

/// The reply to the query in `bytes`, in wire format.
fn reply_bytes(
    answer: &Answer,
    bytes: &[u8],
    limits: impl Fn(&QueryView<'_>) -> ReplyLimits,
    ede: Option<&Ede>,
) -> Vec<u8> {
    let view = QueryView::parse(bytes).unwrap();
    // Behind a frame's length octets, say: the reply is appended.
    let mut out = b"before".to_vec();
    answer.write_reply(&view, 0, limits(&view), ede, &mut out);
    assert_eq!(&out[..6], b"before");
    out.split_off(6)
}

fn reply(answer: &Answer, bytes: &[u8], limits: impl Fn(&QueryView<'_>) -> ReplyLimits) -> Message {
    Message::parse(&reply_bytes(answer, bytes, limits, None)).unwrap()
}

fn stream(_: &QueryView<'_>) -> ReplyLimits {
    ReplyLimits::stream()
}

fn positive() -> Answer {
    Answer::new(&response(asked(), NOERROR, [vec![a("www.example", 60)], vec![], vec![]])).unwrap()
}

/// An answer of so many records of 16 octets, in answer and additional section.
fn many(answers: usize, additionals: usize) -> Answer {
    Answer::new(&response(
        asked(),
        NOERROR,
        [vec![a("www.example", 60); answers], vec![], vec![a("www.example", 60); additionals]],
    ))
    .unwrap()
}

#[test]
fn rfc4343_case_kept() {
    let bytes = query("wWw.ExAmPlE", None);
    let message = reply_bytes(&positive(), &bytes, stream, None);
    assert_eq!(message[Header::LEN..Header::LEN + 13], *b"\x03wWw\x07ExAmPlE\0");
    assert_eq!(message[..2], bytes[..2]);
}

#[test]
fn an_answer_is_never_given_to_another_question() {
    for owner in ["ww.example", "www.example.com", "wwx.example"] {
        let message = reply(&positive(), &query(owner, None), stream);
        assert_eq!((message.rcode, message.records().count()), (Rcode::SERVFAIL, 0));
        assert_eq!(message.questions[0].name, name(owner));
    }
}

#[test]
fn rfc1035_4_1_1_flags() {
    let answer = |flags: u16| {
        Answer::new(&Message { flags: Flags(Flags::QR | flags), ..positive().to_message().unwrap() }).unwrap()
    };
    let asking = |flags: u16, edns: Option<Edns>| {
        let message = Message { flags: Flags(flags), edns, ..Message::query(1, name("www.example"), RecordType::A) };
        message.to_wire().unwrap()
    };
    let dnssec_ok = || Some(Edns { dnssec_ok: true, ..Edns::default() });
    const BASE: u16 = Flags::QR | Flags::RA;
    let z = 0x40;
    // The answer's flags, the query's, with DO or not, and the reply's.
    let cases = [
        (0, 0, None, BASE),
        (0, Flags::RD, None, BASE | Flags::RD),
        // RFC 4035 3.2.2: CD is copied.
        (0, Flags::CD, None, BASE | Flags::CD),
        (Flags::AA, 0, None, BASE | Flags::AA),
        // What another client's query said has no part in this reply; Z is zero.
        (Flags::RD | Flags::CD | z, z, None, BASE),
        // RFC 6840 5.7, 5.8: AD for who understands it.
        (Flags::AD, 0, None, BASE),
        (Flags::AD, Flags::AD, None, BASE | Flags::AD),
        (Flags::AD, 0, dnssec_ok(), BASE | Flags::AD),
        (0, Flags::AD, dnssec_ok(), BASE),
        // Part of an answer is not made whole by sending it on.
        (Flags::TC, 0, None, BASE | Flags::TC),
    ];
    for (answers, asks, edns, expected) in cases {
        let message = reply(&answer(answers), &asking(asks, edns.clone()), stream);
        assert_eq!(message.flags, Flags(expected), "{answers:x} {asks:x} {edns:?}");
    }
}

#[test]
fn rfc6891_6_1_1_opt_only_when_asked() {
    assert_eq!(reply(&positive(), &query("www.example", None), stream).edns, None);
    let asking = Edns { dnssec_ok: true, udp_payload: 4096, ..edns_with(&[65_001]) };
    let edns = reply(&positive(), &query("www.example", Some(asking)), stream).edns.unwrap();
    // DO is copied (RFC 3225 3), unknown options are not.
    assert_eq!(edns, Edns { dnssec_ok: true, udp_payload: UDP_PAYLOAD, ..Edns::default() });
}

#[test]
fn rfc6891_6_1_3_extended_rcodes() {
    let answer = Answer::failure(asked(), Rcode::BADVERS, None);
    assert_eq!(reply(&answer, &query("www.example", Some(Edns::default())), stream).rcode, Rcode::BADVERS);
    // The low bits alone would say NOERROR.
    assert_eq!(reply(&answer, &query("www.example", None), stream).rcode, Rcode::SERVFAIL);
}

#[test]
fn rfc2181_9_truncation_at_the_size_the_client_takes() {
    let edns = |udp_payload| Some(Edns { udp_payload, ..Edns::default() });
    // What the client says it takes, and the octets it gets at most.
    let cases = [
        // RFC 1035 4.2.1.
        (None, 512),
        // RFC 6891 6.2.3.
        (edns(0), 512),
        (edns(512), 512),
        (edns(513), 513),
        (edns(1_000), 1_000),
        (edns(1_232), 1_232),
        // DNS flag day 2020: no fragments.
        (edns(4_096), 1_232),
        (edns(65_535), 1_232),
    ];
    for (edns, max_len) in cases {
        let bytes = query("www.example", edns.clone());
        // The header and the question take 29 octets, OPT takes 11, each record 16.
        let fitting = (max_len - 29 - edns.as_ref().map_or(0, |_| 11)) / 16;
        let whole = reply_bytes(&many(fitting, 0), &bytes, ReplyLimits::udp, None);
        assert!(whole.len() <= max_len && whole.len() > max_len - 16);
        let whole = Message::parse(&whole).unwrap();
        assert_eq!((whole.answers.len(), whole.flags.has(Flags::TC)), (fitting, false));

        let cut = reply(&many(fitting + 1, 0), &bytes, ReplyLimits::udp);
        assert_eq!((cut.records().count(), cut.flags.has(Flags::TC)), (0, true));
        assert_eq!(cut.edns.is_some(), edns.is_some());

        // Additional records go first, and without TC.
        let without = reply(&many(fitting, 1), &bytes, ReplyLimits::udp);
        assert_eq!((without.answers.len(), without.additionals.len()), (fitting, 0));
        assert!(!without.flags.has(Flags::TC));
    }
}

#[test]
fn rfc1035_4_2_2_streams_carry_no_more_than_65535_octets() {
    let of_len = |len: usize| {
        let data = record("www.example", 60, RecordType::A, Rdata::opaque(vec![0; len - 29 - 12]));
        // Any type does; only the size matters.
        let data = Record { rtype: RecordType(65_400), ..data };
        let alias = Question { rtype: RecordType(65_400), ..asked() };
        Answer::new(&response(alias, NOERROR, [vec![data], vec![], vec![]])).unwrap()
    };
    let asking = |edns| {
        let message = Message::query(1, name("www.example"), RecordType(65_400));
        Message { edns, ..message }.to_wire().unwrap()
    };
    let len = |len, edns| reply_bytes(&of_len(len), &asking(edns), stream, None).len();
    assert_eq!(len(MAX_MESSAGE_LEN, None), MAX_MESSAGE_LEN);
    assert_eq!(len(MAX_MESSAGE_LEN - 11, Some(Edns::default())), MAX_MESSAGE_LEN);
    // No room for OPT: the records go, not OPT.
    let cut = reply(&of_len(MAX_MESSAGE_LEN - 10), &asking(Some(Edns::default())), stream);
    assert_eq!((cut.answers.len(), cut.flags.has(Flags::TC), cut.edns.is_some()), (0, true, true));
    // Options that have no room are left out.
    let asking = asking(Some(edns_with(&[option::PADDING, option::TCP_KEEPALIVE])));
    for room in 11..40 {
        let limits = ReplyLimits { padding: true, keepalive: Some(1), ..ReplyLimits::stream() };
        let bytes = reply_bytes(&of_len(MAX_MESSAGE_LEN - room), &asking, |_| limits, Some(&Ede::new(0, "why")));
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.answers.len(), bytes.len() <= MAX_MESSAGE_LEN), (1, true), "{room}");
    }
}

#[test]
fn rfc8914_3_reasons_are_cut_before_records() {
    let text = "é".repeat(1_000);
    let own = Ede::new(Ede::CACHED_ERROR, text.clone());
    let first = Ede::new(Ede::STALE_ANSWER, text);
    let edes = |message: &Message| {
        let options = &message.edns.as_ref().unwrap().options;
        options.iter().filter(|o| o.code == option::EDE).map(|o| o.data.clone()).collect::<Vec<_>>()
    };
    // With room both are told, the reply's before the answer's, each with as much text as is allowed.
    let bytes = query("www.example", Some(Edns::default()));
    let message = reply_bytes(&positive().with_ede(own.clone()), &bytes, stream, Some(&first));
    let message = Message::parse(&message).unwrap();
    let told = edes(&message);
    assert_eq!(told.iter().map(Vec::len).collect::<Vec<_>>(), [2 + Ede::MAX_TEXT; 2]);
    assert_eq!((told[0][1], told[1][1]), (3, 13));
    assert!(std::str::from_utf8(&told[0][2..]).is_ok());
    // In a small reply the records stay, the text goes.
    let bytes = query("www.example", Some(Edns { udp_payload: 512, ..Edns::default() }));
    let message = reply_bytes(&many(29, 0).with_ede(own.clone()), &bytes, ReplyLimits::udp, Some(&first));
    assert!(message.len() <= 512);
    let message = Message::parse(&message).unwrap();
    assert_eq!((message.answers.len(), message.flags.has(Flags::TC)), (29, false));
    // Eight octets are left: one reason, with two octets of its text.
    assert_eq!(edes(&message), [[0, 3, 0xc3, 0xa9]]);
    // Nobody is told who does not speak EDNS.
    let bytes = query("www.example", None);
    assert_eq!(reply(&positive().with_ede(own), &bytes, stream).edns, None);
}

#[test]
fn rfc8467_4_1_padding_to_blocks_of_468_when_asked() {
    let asking = |padded: bool| query("www.example", Some(edns_with(if padded { &[option::PADDING] } else { &[] })));
    let len = |padded, padding, answers| {
        let limits = ReplyLimits { padding, ..ReplyLimits::stream() };
        reply_bytes(&many(answers, 0), &asking(padded), |_| limits, None).len()
    };
    assert_eq!(len(true, true, 1), 468);
    assert_eq!(len(true, true, 26), 468);
    // 29 + 27 * 16 + 11 are more than fit with the head of the option.
    assert_eq!(len(true, true, 27), 936);
    // Not without TLS, and not for who did not pad (RFC 7830 4).
    assert_eq!(len(true, false, 1), 29 + 16 + 11);
    assert_eq!(len(false, true, 1), 29 + 16 + 11);
    // Padding is zeros, and what is left of the largest message.
    let limits = ReplyLimits { padding: true, max_len: 512, ..ReplyLimits::stream() };
    let bytes = reply_bytes(&many(28, 0), &asking(true), |_| limits, None);
    assert_eq!(bytes.len(), 512);
    let edns = Message::parse(&bytes).unwrap().edns.unwrap();
    assert!(edns.option(option::PADDING).unwrap().iter().all(|octet| *octet == 0));
}

#[test]
fn rfc7828_3_3_2_keepalive_on_streams_when_asked() {
    let timeout = |asked: &[u16], keepalive| {
        let limits = ReplyLimits { keepalive, ..ReplyLimits::stream() };
        let message = reply(&positive(), &query("www.example", Some(edns_with(asked))), |_| limits);
        message.edns.unwrap().option(option::TCP_KEEPALIVE).map(<[u8]>::to_vec)
    };
    assert_eq!(timeout(&[option::TCP_KEEPALIVE], Some(300)), Some(vec![1, 44]));
    assert_eq!(timeout(&[], Some(300)), None);
    assert_eq!(timeout(&[option::TCP_KEEPALIVE], None), None);
    let bytes = query("www.example", Some(edns_with(&[option::TCP_KEEPALIVE])));
    assert_eq!(reply(&positive(), &bytes, ReplyLimits::udp).edns.unwrap().options, []);
}

#[test]
fn ttls_count_down_to_zero() {
    let answers = vec![cname("www.example", 10, "b.example"), a("b.example", 100)];
    let answer = Answer::new(&response(asked(), NOERROR, [answers, vec![], vec![a("c.example", 50)]])).unwrap();
    for (age, left) in [(0, [10, 100, 50]), (10, [0, 90, 40]), (99, [0, 1, 0]), (u32::MAX, [0, 0, 0])] {
        let bytes = query("www.example", None);
        let mut out = Vec::new();
        answer.write_reply(&QueryView::parse(&bytes).unwrap(), age, ReplyLimits::stream(), None, &mut out);
        let ttls: Vec<u32> = Message::parse(&out).unwrap().records().map(|r| r.ttl).collect();
        assert_eq!(ttls, left, "{age} s");
    }
}

proptest! {
    /// A reply can be read, is to the query, and is no longer than the client takes.
    #[test]
    fn replies_are_well_formed(
        message in messages(names()),
        id: u16,
        age: u32,
        payload in proptest::option::of(any::<u16>()),
        wants_padding: bool,
        wants_keepalive: bool,
        stream: bool,
        texts in proptest::collection::vec("\\PC{0,200}", 0..3),
    ) {
        let mut texts = texts.into_iter().map(|text| Ede::new(Ede::OTHER, text));
        let answer = Answer::new(&message).unwrap();
        let answer = match texts.next() {
            Some(ede) => answer.with_ede(ede),
            None => answer,
        };
        let codes: Vec<u16> = [(wants_padding, option::PADDING), (wants_keepalive, option::TCP_KEEPALIVE)]
            .into_iter().filter_map(|(wants, code)| wants.then_some(code)).collect();
        let asked = &message.questions[0];
        // The same name in another case.
        let qname = Name::from_wire(&asked.name.as_wire().to_ascii_uppercase()).unwrap();
        let edns = payload.map(|udp_payload| Edns { udp_payload, ..edns_with(&codes) });
        let bytes = Message { edns, ..Message::query(id, qname.clone(), asked.rtype) }.to_wire().unwrap();
        let view = QueryView::parse(&bytes).unwrap();
        let limits = match stream {
            true => ReplyLimits { padding: true, keepalive: Some(100), ..ReplyLimits::stream() },
            false => ReplyLimits::udp(&view),
        };

        let mut out = Vec::new();
        answer.write_reply(&view, age, limits, texts.next().as_ref(), &mut out);

        prop_assert!(out.len() <= limits.max_len);
        let reply = Message::parse(&out).unwrap();
        prop_assert_eq!(reply.id, id);
        prop_assert_eq!(reply.questions[0].name.as_wire(), qname.as_wire());
        prop_assert_eq!(reply.edns.is_some(), payload.is_some());
        prop_assert_eq!(reply.rcode, message.rcode);
        prop_assert!(reply.flags.has(Flags::QR));
        let expected = answer.to_message().unwrap();
        let aged = |records: &[Record]| -> Vec<Record> {
            records.iter().map(|r| Record { ttl: r.ttl.saturating_sub(age), ..r.clone() }).collect()
        };
        if reply.records().count() > 0 {
            prop_assert_eq!(&reply.answers, &aged(&expected.answers));
            prop_assert_eq!(&reply.authorities, &aged(&expected.authorities));
            prop_assert!(reply.additionals.is_empty() || reply.additionals == aged(&expected.additionals));
        } else {
            prop_assert!(reply.flags.has(Flags::TC) || expected.answers.len() + expected.authorities.len() == 0);
        }
        if stream {
            prop_assert_eq!(reply.records().count(), expected.records().count());
            prop_assert!(!wants_padding || payload.is_none() || out.len() % 468 == 0);
        }
    }
}
