//! Zones by RFC and section, broken data with its exact message, and nothing that panics.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use strait_wire::{AnswerKind, Class, ClusterPath, Ede, Message, Question, Rcode};

use super::*;

mod broken;
mod hosts;
mod ready;
mod rfc;
mod template;

fn question(name: &str, rtype: &str) -> Ask {
    let question = Question {
        name: name.parse::<Name>().unwrap().to_lowercase(),
        rtype: record_type(rtype).unwrap(),
        class: Class::IN,
    };
    Ask { question, dnssec_ok: false, checking_disabled: false, path: ClusterPath::default() }
}

fn ask(source: &dyn Source, name: &str, rtype: &str) -> Answer {
    source.answer_now(&question(name, rtype)).expect("zones answer at once")
}

/// What a zone says, in one line: the rcode, and every record but the SOA.
fn say(source: &dyn Source, name: &str, rtype: &str) -> String {
    render(&ask(source, name, rtype).to_message().unwrap())
}

fn render(message: &Message) -> String {
    let mut text = message.rcode.to_string();
    for record in message.answers.iter().chain(&message.additionals) {
        text.push_str(&format!(" | {} {} {}", record.name, record.rtype, data(record)));
    }
    if message.authorities.iter().any(|record| record.rtype == RecordType::SOA) {
        text.push_str(" | SOA");
    }
    text
}

fn data(record: &Record) -> String {
    let bytes = record.rdata.as_bytes();
    match record.rtype {
        RecordType::A => std::net::Ipv4Addr::from(*bytes.first_chunk::<4>().unwrap()).to_string(),
        RecordType::AAAA => std::net::Ipv6Addr::from(*bytes.first_chunk::<16>().unwrap()).to_string(),
        RecordType::TXT => bytes.escape_ascii().to_string(),
        _ => match record.rdata.names().next() {
            Some(name) => name.to_string(),
            None => bytes.iter().map(|octet| format!("{octet:02x}")).collect(),
        },
    }
}

fn builder(apex: &str) -> ZoneBuilder {
    ZoneBuilder::new(apex.parse().unwrap(), 300)
}

/// A zone of the lines of a zone file.
fn zone(apex: &str, text: &str) -> Zone {
    try_zone(apex, text).unwrap()
}

fn try_zone(apex: &str, text: &str) -> Result<Zone, ZoneError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zone");
    std::fs::write(&path, text).unwrap();
    let mut builder = builder(apex);
    builder.zone_file(&path)?;
    builder.build()
}

proptest! {
    /// Whatever stands in a zone file: an error or a zone, never a panic; and a zone answers.
    #[test]
    fn any_zone_file_is_a_zone_or_an_error(text in "([a-z@*$.;()\"\\\\ \t\n0-9#]|IN|SOA|TXT|CAA|NAPTR|HTTPS|SSHFP|TLSA|CERT|\\$ORIGIN|\\$TTL|\\$INCLUDE){0,60}") {
        if let Ok(zone) = try_zone("example.com", &text) {
            ask(&zone, "a.b.example.com", "ANY");
        }
    }

    /// Whatever a record's data says, of whatever type.
    #[test]
    fn any_value_is_data_or_an_error(rtype in 0u16..300, value in "[ -~]{0,40}") {
        let mut builder = builder("example.com");
        let _ = builder.record("a", RecordType(rtype), None, &value);
        let _ = builder.template("(a+)(?<n>.*)", RecordType(rtype), None, &value);
        ask(&builder.build().unwrap(), "aaa.example.com", "ANY");
    }

    /// Text goes in and comes out as the same octets (RFC 1035 5.1).
    #[test]
    fn escaped_text_keeps_its_octets(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let escaped: String = octets.iter().map(|octet| format!("\\{octet:03}")).collect();
        let mut builder = builder("example.com");
        builder.record("a", RecordType::TXT, None, &format!("\"{escaped}\"")).unwrap();
        let message = ask(&builder.build().unwrap(), "a.example.com", "TXT").to_message().unwrap();
        prop_assert_eq!(&message.answers[0].rdata.as_bytes()[1..], octets.as_slice());
    }
}
