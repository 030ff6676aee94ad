//! The bytes of a question that goes out.
//!
//! Recursion desired; EDNS with our payload size; DO and CD as the client has them; AD, since answers are
//! kept for clients that ask for it (RFC 6840 5.7); no client subnet, ever (RFC 7871 11.1).

use strait_resolve::Ask;
use strait_wire::{Class, ClusterPath, Edns, Flags, Header, Name, Question, RecordType, option};

/// The block that questions inside TLS are padded to (RFC 8467 4.1).
const QUERY_BLOCK: usize = 128;
/// An option without data.
const OPTION_LEN: usize = 4;

/// Whether a question is padded; only what is encrypted gains by it (RFC 7830 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    Off,
    On,
}

/// The question in wire format, with `name` as the name asked for.
pub(crate) fn encode(id: u16, ask: &Ask, name: &Name, path: &ClusterPath, padding: Padding) -> Vec<u8> {
    // Mostly that is enough, and the only allocation.
    let mut out = Vec::with_capacity(2 * QUERY_BLOCK);
    let flags = Flags(Flags::RD | Flags::AD).with(Flags::CD, ask.checking_disabled);
    Header { id, flags, qdcount: 1, ancount: 0, nscount: 0, arcount: 1 }.write(&mut out);
    out.extend_from_slice(name.as_wire());
    out.extend_from_slice(&ask.question.rtype.0.to_be_bytes());
    out.extend_from_slice(&ask.question.class.0.to_be_bytes());
    Edns { dnssec_ok: ask.dnssec_ok, ..Edns::default() }.write(&mut out);
    let options = out.len();
    if !path.is_empty() {
        write_option(&mut out, option::CLUSTER_PATH, |data| path.write(data));
    }
    if padding == Padding::On {
        let padded = (out.len() + OPTION_LEN).next_multiple_of(QUERY_BLOCK);
        write_option(&mut out, option::PADDING, |data| data.resize(padded, 0));
    }
    set_length(&mut out, options);
    out
}

/// Appends an option whose data `write` appends.
fn write_option(out: &mut Vec<u8>, code: u16, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    let data = out.len();
    write(out);
    set_length(out, data);
}

/// Sets the two-octet length before the data that begin at `data`; a path and padding are at most some 1,200 octets.
fn set_length(out: &mut [u8], data: usize) {
    let len = (out.len() - data) as u16;
    out[data - 2..data].copy_from_slice(&len.to_be_bytes());
}

/// Draws the case of each letter of a name in wire format anew: what a forger has to guess besides port and identifier.
pub(crate) fn randomize_case(name: &mut [u8]) {
    // A name takes 255 octets at most (RFC 1035 2.3.4).
    let mut bits = [0; 32];
    let needed = name.len().div_ceil(u8::BITS as usize).min(bits.len());
    rand::fill(&mut bits[..needed]);
    for (at, octet) in name.iter_mut().enumerate().take(u8::BITS as usize * bits.len()) {
        // Length octets are at most 63 and so never ASCII letters.
        if octet.is_ascii_alphabetic() && bits[at / 8] >> (at % 8) & 1 == 1 {
            *octet ^= 0x20;
        }
    }
}

/// The question that shows whether a server answers for `zone`: its SOA, or for the root its NS.
pub(crate) fn probe(zone: &Name, path: ClusterPath) -> Ask {
    let rtype = if zone.is_root() { RecordType::NS } else { RecordType::SOA };
    let question = Question { name: zone.clone(), rtype, class: Class::IN };
    Ask { question, dnssec_ok: false, checking_disabled: false, path }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use strait_wire::{EdnsOption, Message, UDP_PAYLOAD};

    use super::*;

    fn ask(name: &str) -> Ask {
        let question = Question { name: name.parse().unwrap(), rtype: RecordType::A, class: Class::IN };
        Ask { question, dnssec_ok: true, checking_disabled: true, path: ClusterPath::default() }
    }

    #[test]
    fn a_question_carries_what_matters_and_no_more() {
        let ask = ask("www.example.com");
        let path = ClusterPath::default().passing("a.example").unwrap();
        let message = Message::parse(&encode(7, &ask, &ask.question.name, &path, Padding::Off)).unwrap();
        assert_eq!(message.id, 7);
        assert_eq!(message.flags, Flags(Flags::RD | Flags::AD | Flags::CD));
        assert_eq!(message.questions, vec![ask.question.clone()]);
        let edns = message.edns.unwrap();
        assert_eq!((edns.udp_payload, edns.version, edns.dnssec_ok), (UDP_PAYLOAD, 0, true));
        assert_eq!(edns.options, vec![EdnsOption { code: option::CLUSTER_PATH, data: b"a.example".to_vec() }]);
        // Nothing passed: no option at all.
        let plain = encode(7, &ask, &ask.question.name, &ClusterPath::default(), Padding::Off);
        assert_eq!(Message::parse(&plain).unwrap().edns.unwrap().options, vec![]);
    }

    /// RFC 8467 4.1: questions are padded to the next multiple of 128 octets.
    #[test]
    fn rfc8467_4_1_questions_are_padded() {
        for len in 1..=60 {
            let ask = ask(&format!("{}.example.com", "x".repeat(len)));
            let path = ClusterPath::default().passing("a.example").unwrap();
            let wire = encode(0, &ask, &ask.question.name, &path, Padding::On);
            assert_eq!(wire.len() % QUERY_BLOCK, 0, "{len}");
            assert!(Message::parse(&wire).unwrap().edns.unwrap().option(option::PADDING).is_some());
        }
    }

    #[test]
    fn case_is_drawn_anew_each_time() {
        let name: Name = "abcdefghijklmnopqrstuvwxyz-0123.example.com".parse().unwrap();
        let draw = || {
            let mut wire = name.as_wire().to_vec();
            randomize_case(&mut wire);
            wire
        };
        let drawn: std::collections::HashSet<Vec<u8>> = (0..100).map(|_| draw()).collect();
        assert_eq!(drawn.len(), 100);
        assert!(drawn.iter().all(|wire| wire.eq_ignore_ascii_case(name.as_wire())));
    }
}
