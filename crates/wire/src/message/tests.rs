#![allow(clippy::unwrap_used)]

use hickory_proto::op::Message as Hickory;
use proptest::prelude::*;

use super::*;
use crate::testing::{a, cname, edns_with, messages, name, names, question, record, response, rrsig, soa, srv};

/// A response with one answer record, written by hand: its owner at 12 + 17, its data as given.
fn with_record(rtype: u16, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Header { id: 1, flags: Flags(Flags::QR), qdcount: 1, ancount: 1, nscount: 0, arcount: 0 }.write(&mut bytes);
    bytes.extend_from_slice(b"\x07example\x03com\0\0\x01\0\x01\xc0\x0c");
    bytes.extend_from_slice(&rtype.to_be_bytes());
    bytes.extend_from_slice(b"\0\x01");
    bytes.extend_from_slice(&ttl.to_be_bytes());
    bytes.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
    bytes.extend_from_slice(rdata);
    bytes
}

#[test]
fn rfc1035_4_1_4_compressed_names_are_followed() {
    let message = Message::parse(&with_record(5, 60, b"\x03www\xc0\x0c")).unwrap();
    assert_eq!(message.answers, [cname("example.com", 60, "www.example.com")]);
    // The owner ends where its pointer ends: what follows is read from there.
    assert_eq!(message.questions[0].name, name("example.com"));
}

#[test]
fn rfc1035_4_1_4_pointer_loops_end() {
    // The data of the record begins at octet 41.
    let cases: &[(&str, &[u8], WireError)] = &[
        ("to itself", b"\xc0\x29", WireError::BadPointer),
        ("to its own first label", b"\x01a\xc0\x29", WireError::BadPointer),
        ("to each other", b"\xc0\x2b\xc0\x29", WireError::BadPointer),
        ("beyond the end", b"\xff\xff", WireError::BadPointer),
        ("cut in half", b"\xc0", WireError::Truncated),
    ];
    for (what, rdata, error) in cases {
        assert_eq!(Message::parse(&with_record(5, 60, rdata)), Err(*error), "{what}");
    }
    // Forward, to a name that is sound: from the first name of an SOA to the second.
    let forward = [&b"\xc0\x2b\x01a\0"[..], &[0; 20]].concat();
    assert_eq!(Message::parse(&with_record(6, 60, &forward)), Err(WireError::BadPointer));
}

#[test]
fn rfc1035_4_1_4_chains_of_pointers_are_bounded() {
    // An opaque record full of pointers, each to the one before, the first to the question; then an alias
    // to the last of them.
    let chain_of = |pointers: u16| {
        let data_at = 41;
        let chain: Vec<u8> = (0..pointers)
            .flat_map(|i| (0xc000 | if i == 0 { 12 } else { data_at + 2 * (i - 1) }).to_be_bytes())
            .collect();
        let mut bytes = with_record(65_400, 0, &chain);
        bytes[7] = 2;
        bytes.extend_from_slice(b"\xc0\x0c\0\x05\0\x01\0\0\0\0\0\x02");
        bytes.extend_from_slice(&(0xc000 | (data_at + 2 * (pointers - 1))).to_be_bytes());
        bytes
    };
    assert_eq!(Message::parse(&chain_of(125)).unwrap().answers[1].rdata, Rdata::name(&name("example.com")));
    assert_eq!(Message::parse(&chain_of(126)), Err(WireError::BadPointer));
    assert_eq!(Message::parse(&chain_of(8_000)), Err(WireError::BadPointer));
}

#[test]
fn rfc1035_4_1_4_label_types_and_lengths() {
    assert_eq!(Message::parse(&with_record(5, 0, b"\x40a\0")), Err(NameError::LabelTooLong.into()));
    assert_eq!(Message::parse(&with_record(5, 0, b"\x80a\0")), Err(NameError::LabelTooLong.into()));
    // 127 labels are as many as fit; a pointer to more makes the name too long.
    let longest = [&[1, b'a'].repeat(121)[..], b"\xc0\x0c"].concat();
    assert!(Message::parse(&with_record(5, 0, &longest)).is_ok());
    let over = [&[1, b'a'].repeat(122)[..], b"\xc0\x0c"].concat();
    assert_eq!(Message::parse(&with_record(5, 0, &over)), Err(NameError::NameTooLong.into()));
}

#[test]
fn rfc2181_8_ttl_high_bit() {
    for (sent, read) in [(0, 0), (60, 60), (0x7fff_ffff, 0x7fff_ffff), (0x8000_0000, 0), (u32::MAX, 0)] {
        assert_eq!(Message::parse(&with_record(1, sent, &[192, 0, 2, 1])).unwrap().answers[0].ttl, read);
    }
}

#[test]
fn rdata_must_fit_its_type_and_length() {
    let cases: &[(&str, RecordType, &[u8])] = &[
        ("A of 3 octets", RecordType::A, &[1, 2, 3]),
        ("A of 5 octets", RecordType::A, &[1, 2, 3, 4, 5]),
        ("AAAA of 4 octets", RecordType::AAAA, &[1, 2, 3, 4]),
        ("CNAME without a name", RecordType::CNAME, b""),
        ("CNAME with an octet too many", RecordType::CNAME, b"\0\0"),
        ("a name that ends beyond the data", RecordType::MX, b"\0\x05\x03www"),
        ("SRV without a target", RecordType::SRV, &[0; 6]),
        ("SOA without its timers", RecordType::SOA, b"\0\0\0\0\0\0"),
        ("NAPTR with a text over its end", RecordType::NAPTR, b"\0\0\0\0\x09x"),
        ("SVCB with a parameter over its end", RecordType::SVCB, b"\0\x01\0\0\x01\0\x09x"),
        ("RRSIG that is too short", RecordType::RRSIG, &[0; 17]),
    ];
    for (what, rtype, rdata) in cases {
        assert!(Message::parse(&with_record(rtype.0, 0, rdata)).is_err(), "{what}");
        assert!(Rdata::parse(*rtype, rdata).is_err(), "{what}");
    }
}

#[test]
fn rfc9460_2_2_service_parameters_ascend() {
    for (parameters, sound) in [
        (&b""[..], true),
        (b"\0\x01\0\0", true),
        (b"\0\x01\0\0\0\x02\0\x01x", true),
        (b"\0\x02\0\0\0\x01\0\0", false),
        (b"\0\x01\0\0\0\x01\0\0", false),
        (b"\0\x01\0", false),
    ] {
        for rtype in [RecordType::SVCB, RecordType::HTTPS] {
            let rdata = [b"\0\x01\0", parameters].concat();
            assert_eq!(Rdata::parse(rtype, &rdata).is_ok(), sound, "{parameters:?}");
        }
    }
}

#[test]
fn rfc3597_4_unknown_types_stay_opaque() {
    // What looks like a compression pointer is data.
    let message = Message::parse(&with_record(65_400, 60, b"\xc0\x0c\x03www\xff")).unwrap();
    assert_eq!(message.answers[0].rdata, Rdata::opaque(b"\xc0\x0c\x03www\xff".to_vec()));
    assert_eq!(Message::parse(&message.to_wire().unwrap()).unwrap(), message);
    assert_eq!(message.answers[0].rdata.names().count(), 0);
}

#[test]
fn rfc3597_4_only_types_of_rfc1035_are_compressed() {
    let contains = |wire: &[u8], part: &[u8]| wire.windows(part.len()).filter(|w| *w == part).count();
    let with = |record: Record| {
        let message =
            response(question("www.example.com", RecordType::A), Rcode::NOERROR, [vec![record], vec![], vec![]]);
        contains(&message.to_wire().unwrap(), b"\x07example\x03com\0")
    };
    // The name in the question, and once more where it must not be compressed.
    assert_eq!(with(cname("www.example.com", 0, "a.example.com")), 1);
    assert_eq!(with(srv("www.example.com", 0, "a.example.com")), 2);
    assert_eq!(with(crate::testing::dname("www.example.com", 0, "a.example.com")), 2);
}

#[test]
fn rfc3597_5_text_form_holds_no_compression() {
    assert_eq!(Rdata::parse(RecordType::SOA, &[&b"\x01a\0\xc0\0"[..], &[0; 20]].concat()), Err(WireError::BadPointer));
}

#[test]
fn rfc6891_6_1_1_one_opt_in_the_additional_section() {
    let opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
    let plain = Message { edns: None, ..Message::query(1, name("a"), RecordType::A) }.to_wire().unwrap();
    let with_counts = |counts: [u8; 3], records: usize| {
        let mut bytes = [plain.as_slice(), &opt.repeat(records)].concat();
        (bytes[7], bytes[9], bytes[11]) = (counts[0], counts[1], counts[2]);
        Message::parse(&bytes)
    };
    assert!(with_counts([0, 0, 1], 1).unwrap().edns.is_some());
    assert_eq!(with_counts([0, 0, 2], 2), Err(WireError::BadOpt));
    assert_eq!(with_counts([1, 0, 0], 1), Err(WireError::BadOpt));
    assert_eq!(with_counts([0, 1, 1], 2), Err(WireError::BadOpt));
    // At the root.
    let mut bytes = [&plain[..], b"\x01a", opt].concat();
    bytes[11] = 1;
    assert_eq!(Message::parse(&bytes), Err(WireError::BadOpt));
}

#[test]
fn rfc6891_6_1_3_rcodes_over_15_need_opt() {
    let badvers = Message { rcode: Rcode::BADVERS, ..Message::query(1, name("a"), RecordType::A) };
    assert_eq!(Message::parse(&badvers.to_wire().unwrap()).unwrap().rcode, Rcode::BADVERS);
    // NOERROR, what the low bits say, would be a lie.
    let without = Message { edns: None, ..badvers };
    assert_eq!(Message::parse(&without.to_wire().unwrap()).unwrap().rcode, Rcode::SERVFAIL);
}

#[test]
fn edns_options_are_bounded() {
    let with =
        |count| Message { edns: Some(edns_with(&vec![65_001; count])), ..Message::query(1, name("a"), RecordType::A) };
    assert!(Message::parse(&with(32).to_wire().unwrap()).is_ok());
    assert_eq!(Message::parse(&with(33).to_wire().unwrap()), Err(WireError::BadOption));
}

#[test]
fn messages_end_with_their_last_record() {
    let mut bytes = with_record(1, 0, &[192, 0, 2, 1]);
    for len in 0..bytes.len() {
        assert!(Message::parse(&bytes[..len]).is_err(), "{len} octets");
    }
    bytes.push(0);
    assert_eq!(Message::parse(&bytes), Err(WireError::TrailingBytes));
    assert_eq!(Message::parse(&[0; 65_536]), Err(WireError::TooLong));
}

#[test]
fn rfc1035_4_2_2_no_message_over_65535_octets() {
    let big = |len| record("example.com", 0, RecordType(65_400), Rdata::opaque(vec![0; len]));
    let message = |records: Vec<Record>| {
        response(question("example.com", RecordType::A), Rcode::NOERROR, [records, vec![], vec![]])
    };
    // The header, the question and the head of the record take 41 octets.
    assert_eq!(message(vec![big(65_535 - 41)]).to_wire().unwrap().len(), 65_535);
    assert_eq!(message(vec![big(65_535 - 40)]).to_wire(), Err(WireError::TooLong));
    assert_eq!(message(vec![big(70_000)]).to_wire(), Err(WireError::TooLong));
    // Counts are sixteen bits wide.
    assert_eq!(message(vec![a("example.com", 0); 65_536]).to_wire(), Err(WireError::TooLong));
    let mut additionals = message(vec![]);
    additionals.additionals = vec![a("example.com", 0); 65_535];
    additionals.edns = Some(Edns::default());
    assert_eq!(additionals.to_wire(), Err(WireError::TooLong));
}

#[test]
fn large_messages_of_long_names_round_trip() {
    // As many different labels as fit: the most work for compression.
    let owner = |i: u32| {
        Name::from_labels(
            (0..50).map(|j| (i * 50 + j).to_be_bytes()).collect::<Vec<_>>().iter().map(<[_; 4]>::as_slice),
        )
        .unwrap()
    };
    let mut message = response(question("example.com", RecordType::A), Rcode::NOERROR, Default::default());
    message.answers = (0..240).map(|i| Record { name: owner(i), ..a(".", 60) }).collect();
    let wire = message.to_wire().unwrap();
    assert!(wire.len() > 60_000);
    assert_eq!(Message::parse(&wire).unwrap(), message);
}

#[test]
fn rfc1035_4_1_4_pointers_reach_16383() {
    let filler = record("example.com", 0, RecordType(65_400), Rdata::opaque(vec![0; 0x4000]));
    let answers = vec![filler, a("far.test", 60), a("far.test", 60), a("example.com", 60)];
    let message = response(question("example.com", RecordType::A), Rcode::NOERROR, [answers, vec![], vec![]]);
    assert_eq!(Message::parse(&message.to_wire().unwrap()).unwrap(), message);
}

#[test]
fn the_work_of_compression_is_bounded() {
    // Names of 80 labels and 241 octets: the thirteenth finds no room in the table.
    let long = |i: u8| {
        let labels: Vec<[u8; 2]> = (0..80).map(|j| [i, j]).collect();
        Record { name: Name::from_labels(labels.iter().map(<[u8; 2]>::as_slice)).unwrap(), ..a(".", 60) }
    };
    let len_of_another = |i: u8| {
        let mut message = response(question(".", RecordType::A), Rcode::NOERROR, Default::default());
        message.answers = (0..14).map(long).collect();
        let before = message.to_wire().unwrap().len();
        message.answers.push(long(i));
        message.to_wire().unwrap().len() - before - 14
    };
    assert_eq!((len_of_another(0), len_of_another(11), len_of_another(13)), (2, 2, 241));
}

/// Whether both decoders read the record with the same strictness.
fn is_plain(record: &Record) -> bool {
    !record.rdata.as_bytes().is_empty()
        && matches!(
            record.rtype,
            RecordType::A
                | RecordType::AAAA
                | RecordType::NS
                | RecordType::CNAME
                | RecordType::PTR
                | RecordType::SOA
                | RecordType::MX
                | RecordType::SRV
                | RecordType::TXT
                | RecordType(65_400)
        )
}

fn plain_messages() -> impl Strategy<Value = Message> {
    messages(names()).prop_map(|mut message| {
        for section in [&mut message.answers, &mut message.authorities, &mut message.additionals] {
            section.retain(is_plain);
        }
        message
    })
}

proptest! {
    #[test]
    fn wire_round_trip(message in messages(names())) {
        let wire = message.to_wire().unwrap();
        prop_assert_eq!(Message::parse(&wire).unwrap(), message);
    }

    #[test]
    fn rfc4343_4_1_case_is_kept_in_what_is_not_compressed(name in names()) {
        let message = Message::query(1, name.clone(), RecordType::A);
        let decoded = Message::parse(&message.to_wire().unwrap()).unwrap();
        prop_assert_eq!(decoded.questions[0].name.as_wire(), name.as_wire());
    }

    /// hickory-proto reads what we write as we do, and we read what it writes of that.
    #[test]
    fn a_second_decoder_agrees(message in plain_messages()) {
        let wire = message.to_wire().unwrap();
        let theirs = Hickory::from_vec(&wire).unwrap();
        prop_assert_eq!(theirs.metadata.id, message.id);
        prop_assert_eq!(u16::from(theirs.metadata.response_code), message.rcode.0);
        let sections = [
            (&theirs.answers, &message.answers),
            (&theirs.authorities, &message.authorities),
            (&theirs.additionals, &message.additionals),
        ];
        for (theirs, ours) in sections {
            prop_assert_eq!(theirs.len(), ours.len());
            for (theirs, ours) in theirs.iter().zip(ours) {
                prop_assert_eq!(theirs.ttl, ours.ttl);
                prop_assert_eq!(u16::from(theirs.record_type()), ours.rtype.0);
                let name = Name::from_labels(theirs.name.iter()).unwrap();
                prop_assert_eq!(&name, &ours.name);
            }
        }
        let again = Message::parse(&theirs.to_vec().unwrap()).unwrap();
        prop_assert_eq!(again.answers, message.answers);
        prop_assert_eq!(again.authorities, message.authorities);
        prop_assert_eq!(again.additionals, message.additionals);
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Message::parse(&bytes);
    }

    /// Whole messages with some octets changed; what can be read can be written and read again.
    #[test]
    fn damaged_messages_are_messages_or_errors(
        message in messages(names()),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut wire = message.to_wire().unwrap();
        for (at, octet) in changes {
            let at = at.index(wire.len());
            wire[at] = octet;
        }
        if let Ok(read) = Message::parse(&wire)
            && let Ok(wire) = read.to_wire()
        {
            prop_assert_eq!(Message::parse(&wire).unwrap().records().count(), read.records().count());
        }
    }
}

#[test]
fn signatures_and_denials_are_read() {
    let message = response(
        question("a.example", RecordType::A),
        Rcode::NXDOMAIN,
        [vec![], vec![soa("example", 60, 30), rrsig("example", 60, RecordType::SOA)], vec![]],
    );
    assert_eq!(Message::parse(&message.to_wire().unwrap()).unwrap(), message);
}
