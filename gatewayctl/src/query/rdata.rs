//! Record data in presentation format (RFC 1035 5.1). Names keep the case they came in, which is why the types that
//! carry names are written here; the rest is hickory's, and what that does not know is written as RFC 3597 5 says.

use std::net::{Ipv4Addr, Ipv6Addr};

use strait_wire::{Class, Flags, Message, Name, Question, Rcode, Record, RecordType};

use crate::output::printable;

/// Types whose data is character strings and nothing else: HINFO, TXT, X25, ISDN, GPOS, NINFO, SPF, RESINFO, WALLET.
const STRINGS: [RecordType; 9] = [
    RecordType(13),
    RecordType::TXT,
    RecordType(19),
    RecordType(20),
    RecordType(27),
    RecordType(56),
    RecordType(99),
    RecordType(261),
    RecordType(262),
];

/// The data of a record.
pub(super) fn text(record: &Record) -> String {
    let bytes = record.rdata.as_bytes();
    let written = match record.rtype {
        RecordType::A => <[u8; 4]>::try_from(bytes).ok().map(|octets| Ipv4Addr::from(octets).to_string()),
        RecordType::AAAA => <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).to_string()),
        RecordType::CNAME | RecordType::NS | RecordType::PTR | RecordType::DNAME => {
            record.rdata.names().next().map(|name| name.to_string())
        }
        RecordType::MX => numbers_and_name(record, 1),
        RecordType::SRV => numbers_and_name(record, 3),
        RecordType::SOA => soa(record),
        rtype if STRINGS.contains(&rtype) => character_strings(bytes),
        _ => by_hickory(record),
    };
    written.unwrap_or_else(|| generic(bytes))
}

/// So many 16-bit numbers, then a name.
fn numbers_and_name(record: &Record, count: usize) -> Option<String> {
    let (numbers, _) = record.rdata.as_bytes().split_at_checked(2 * count)?;
    let numbers: String = numbers.chunks_exact(2).map(|n| format!("{} ", u16::from_be_bytes([n[0], n[1]]))).collect();
    Some(format!("{numbers}{}", record.rdata.names().next()?))
}

/// Two names, then five 32-bit numbers.
fn soa(record: &Record) -> Option<String> {
    let names: Vec<Name> = record.rdata.names().collect();
    let [mname, rname] = names.as_slice() else { return None };
    let timers = record.rdata.as_bytes().last_chunk::<20>()?;
    let timers: String =
        timers.chunks_exact(4).map(|n| format!(" {}", u32::from_be_bytes([n[0], n[1], n[2], n[3]]))).collect();
    Some(format!("{mname} {rname}{timers}"))
}

/// Quoted strings, each after its length.
fn character_strings(mut bytes: &[u8]) -> Option<String> {
    let mut strings = Vec::new();
    while let Some((len, rest)) = bytes.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(*len))?;
        strings.push(format!("\"{}\"", string.iter().map(|octet| quoted(*octet)).collect::<String>()));
        bytes = rest;
    }
    Some(strings.join(" "))
}

fn quoted(octet: u8) -> String {
    match octet {
        b'"' | b'\\' => format!("\\{}", char::from(octet)),
        0x20..=0x7e => char::from(octet).to_string(),
        _ => format!("\\{octet:03}"),
    }
}

/// Lets hickory write the data; none when it cannot read it either.
fn by_hickory(record: &Record) -> Option<String> {
    let question = Question { name: record.name.clone(), rtype: record.rtype, class: Class::IN };
    let mut message = Message::response(question, Rcode::NOERROR);
    message.flags = Flags(Flags::QR);
    message.answers.push(record.clone());
    let read = hickory_proto::op::Message::from_vec(&message.to_wire().ok()?).ok()?;
    let data = &read.answers.first()?.data;
    match data {
        hickory_proto::rr::RData::Unknown { .. } => None,
        data => Some(printable(&data.to_string())),
    }
}

/// Data of no known form (RFC 3597 5).
fn generic(bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("\\# {} {hex}", bytes.len()).trim_end().to_owned()
}
