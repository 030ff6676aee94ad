//! What the tests of this crate share: short ways to write names, records and messages, and
//! strategies that make arbitrary ones.
#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;

use crate::{Class, Edns, EdnsOption, Flags, Message, Name, Question, Rcode, Rdata, Record, RecordType};

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn question(text: &str, rtype: RecordType) -> Question {
    Question { name: name(text), rtype, class: Class::IN }
}

pub(crate) fn record(owner: &str, ttl: u32, rtype: RecordType, rdata: Rdata) -> Record {
    Record { name: name(owner), rtype, class: Class::IN, ttl, rdata }
}

pub(crate) fn a(owner: &str, ttl: u32) -> Record {
    record(owner, ttl, RecordType::A, Rdata::opaque(vec![192, 0, 2, 1]))
}

pub(crate) fn cname(owner: &str, ttl: u32, target: &str) -> Record {
    record(owner, ttl, RecordType::CNAME, Rdata::name(&name(target)))
}

pub(crate) fn dname(owner: &str, ttl: u32, target: &str) -> Record {
    record(owner, ttl, RecordType::DNAME, Rdata::name(&name(target)))
}

pub(crate) fn ns(owner: &str, ttl: u32, target: &str) -> Record {
    record(owner, ttl, RecordType::NS, Rdata::name(&name(target)))
}

pub(crate) fn srv(owner: &str, ttl: u32, target: &str) -> Record {
    record(owner, ttl, RecordType::SRV, Rdata::srv(0, 0, 443, &name(target)))
}

pub(crate) fn soa(owner: &str, ttl: u32, minimum: u32) -> Record {
    let rdata = Rdata::soa(&name("ns.example"), &name("root.example"), [1, 2, 3, 4, minimum]);
    record(owner, ttl, RecordType::SOA, rdata)
}

pub(crate) fn rrsig(owner: &str, ttl: u32, covered: RecordType) -> Record {
    let rdata = [&covered.0.to_be_bytes()[..], &[0; 16], name("example").as_wire(), b"signature"].concat();
    record(owner, ttl, RecordType::RRSIG, Rdata::parse(RecordType::RRSIG, &rdata).unwrap())
}

/// Answers, authorities, additionals.
pub(crate) type Sections = [Vec<Record>; 3];

/// A response to `question`.
pub(crate) fn response(question: Question, rcode: Rcode, sections: Sections) -> Message {
    let [answers, authorities, additionals] = sections;
    Message { answers, authorities, additionals, ..Message::response(question, rcode) }
}

/// The bytes of a query for A records of `owner`.
pub(crate) fn query(owner: &str, edns: Option<Edns>) -> Vec<u8> {
    Message { edns, ..Message::query(4711, name(owner), RecordType::A) }.to_wire().unwrap()
}

/// An OPT record with empty options of these numbers.
pub(crate) fn edns_with(codes: &[u16]) -> Edns {
    let options = codes.iter().map(|&code| EdnsOption { code, data: Vec::new() }).collect();
    Edns { options, ..Edns::default() }
}

fn labels() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "[a-cA-C]{1,2}".prop_map(String::into_bytes),
        // Such that suffixes, and what only looks like them, come up.
        1 => Just(b"cluster".to_vec()),
        1 => Just(b"xcluster".to_vec()),
        1 => Just(b"local".to_vec()),
        1 => vec(any::<u8>(), 1..=20),
    ]
}

/// Any name, the root too; few distinct labels, so that messages have something to compress.
pub(crate) fn names() -> BoxedStrategy<Name> {
    names_under(Name::root())
}

/// Any name at or below `zone`.
pub(crate) fn names_under(zone: Name) -> BoxedStrategy<Name> {
    let below = move |labels: Vec<Vec<u8>>| {
        let all = labels.iter().map(Vec::as_slice).chain(zone.labels());
        Name::from_labels(all).unwrap()
    };
    vec(labels(), 0..6).prop_map(below).boxed()
}

/// Types with names in their data, by the octets before the names, the number of names and the octets after.
const NAMED: &[(RecordType, usize, usize, usize)] = &[
    (RecordType::NS, 0, 1, 0),
    (RecordType::CNAME, 0, 1, 0),
    (RecordType::PTR, 0, 1, 0),
    (RecordType::DNAME, 0, 1, 0),
    (RecordType::SOA, 0, 2, 20),
    (RecordType::MINFO, 0, 2, 0),
    (RecordType::RP, 0, 2, 0),
    (RecordType::MX, 2, 1, 0),
    (RecordType::AFSDB, 2, 1, 0),
    (RecordType::KX, 2, 1, 0),
    (RecordType::PX, 2, 2, 0),
    (RecordType::LP, 2, 1, 0),
    (RecordType::TALINK, 0, 2, 0),
    (RecordType::DSYNC, 5, 1, 0),
    (RecordType::SRV, 6, 1, 0),
    (RecordType::RRSIG, 18, 1, 64),
    (RecordType::NSEC, 0, 1, 8),
];

/// Record data of many types, whose names are `names`.
pub(crate) fn rdata(names: BoxedStrategy<Name>) -> impl Strategy<Value = (RecordType, Rdata)> {
    let named = (proptest::sample::select(NAMED), vec(any::<u8>(), 82), vec(names.clone(), 2)).prop_map(
        |((rtype, before, count, after), octets, names)| {
            let names: Vec<u8> = names[..count].iter().flat_map(|n| n.as_wire().to_vec()).collect();
            (rtype, [&octets[..before], &names, &octets[before..before + after]].concat())
        },
    );
    let naptr = (vec(any::<u8>(), 4), "[a-z]{0,9}", names.clone()).prop_map(|(head, text, target)| {
        let text = [&[text.len() as u8], text.as_bytes()].concat();
        (RecordType::NAPTR, [&head, &text, &b"\0"[..], &text, target.as_wire()].concat())
    });
    let svcb = (any::<u16>(), names, vec(any::<u8>(), 0..9)).prop_map(|(priority, target, value)| {
        let parameters = [&[0, 1, 0, value.len() as u8], value.as_slice(), &[0xff, 0, 0, 0]].concat();
        (RecordType::SVCB, [&priority.to_be_bytes(), target.as_wire(), &parameters].concat())
    });
    let opaque = prop_oneof![
        vec(any::<u8>(), 4).prop_map(|octets| (RecordType::A, octets)),
        vec(any::<u8>(), 16).prop_map(|octets| (RecordType::AAAA, octets)),
        vec(any::<u8>(), 1..30).prop_map(|text| (RecordType::TXT, [&[text.len() as u8], text.as_slice()].concat())),
        vec(any::<u8>(), 0..40).prop_map(|octets| (RecordType(65_400), octets)),
    ];
    prop_oneof![4 => named, 1 => naptr, 1 => svcb, 2 => opaque]
        .prop_map(|(rtype, octets)| (rtype, Rdata::parse(rtype, &octets).unwrap()))
}

/// Records whose owners and whose data's names are `names`.
pub(crate) fn records(names: BoxedStrategy<Name>) -> impl Strategy<Value = Record> {
    (names.clone(), 0..=i32::MAX as u32, rdata(names)).prop_map(|(name, ttl, (rtype, rdata))| Record {
        name,
        rtype,
        class: Class::IN,
        ttl,
        rdata,
    })
}

/// Whole messages with one question, all names being `names`.
pub(crate) fn messages(names: BoxedStrategy<Name>) -> impl Strategy<Value = Message> {
    let section = || vec(records(names.clone()), 0..5);
    let options = vec((100..200_u16, vec(any::<u8>(), 0..9)), 0..4)
        .prop_map(|options| options.into_iter().map(|(code, data)| EdnsOption { code, data }).collect());
    let edns = (any::<u16>(), any::<bool>(), options).prop_map(|(udp_payload, dnssec_ok, options)| Edns {
        udp_payload,
        dnssec_ok,
        options,
        ..Edns::default()
    });
    let flags = (any::<u16>()).prop_map(|bits| Flags(bits & 0x07f0 | Flags::QR));
    let asked = proptest::sample::select(&[RecordType::A, RecordType::CNAME, RecordType::ANY, RecordType::SRV][..]);
    let head = (any::<u16>(), flags, prop_oneof![Just(0), Just(3), 0..16_u16], names.clone(), asked);
    (head, section(), section(), section(), proptest::option::of(edns)).prop_map(
        |((id, flags, rcode, name, rtype), answers, authorities, additionals, edns)| Message {
            id,
            flags,
            rcode: Rcode(rcode),
            questions: vec![Question { name, rtype, class: Class::IN }],
            answers,
            authorities,
            additionals,
            edns,
        },
    )
}
