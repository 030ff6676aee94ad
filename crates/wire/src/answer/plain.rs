//! The ordinary answer: addresses of the name asked for, and nothing besides. It is read, and put under another name,
//! without being taken apart.

use std::ops::Range;

use super::{Answer, Names, with_places};
use crate::edns;
use crate::{AnswerKind, Class, Flags, Header, Opcode, Question, Rcode, RecordType, option};

/// Before the data of a record: a pointer to the name of the question (RFC 1035 4.1.4), type, class, TTL, length.
const HEAD: usize = 12;
const TO_QUESTION: [u8; 2] = [0xc0, Header::LEN as u8];
/// Where in it the TTL lies.
const TTL: Range<usize> = 6..10;

/// An OPT record without options.
const OPT_LEN: usize = 11;

/// More records than this are no ordinary answer.
const MAX_RECORDS: u16 = 32;

/// The length of the addresses of a type; none for any other type.
fn address_len(rtype: RecordType) -> Option<usize> {
    match rtype {
        RecordType::A => Some(4),
        RecordType::AAAA => Some(16),
        _ => None,
    }
}

/// What each record begins with, before its TTL.
fn beginning(rtype: RecordType) -> [u8; 6] {
    let ([a, b], [c, d]) = (rtype.0.to_be_bytes(), Class::IN.0.to_be_bytes());
    let [e, f] = TO_QUESTION;
    [e, f, a, b, c, d]
}

impl Answer {
    /// The answer in a response that is an ordinary one to `question`; none when it must be looked at more closely.
    pub(super) fn read_plain(response: &[u8], question: &Question) -> Option<Self> {
        let header = Header::parse(response)?;
        let is_plain = header.flags.has(Flags::QR)
            && !header.flags.has(Flags::TC)
            && header.flags.opcode() == Opcode::QUERY
            && header.flags.rcode() == Rcode::NOERROR
            && (header.qdcount, header.nscount) == (1, 0)
            && (1..=MAX_RECORDS).contains(&header.ancount)
            && question.class == Class::IN;
        let len = HEAD + address_len(question.rtype).filter(|_| is_plain)?;
        let name = question.name.as_wire();
        let records_at = Header::LEN + name.len() + 4;
        let (told, typed) = response.get(Header::LEN..records_at)?.split_at(name.len());
        let beginning = beginning(question.rtype);
        if !told.eq_ignore_ascii_case(name) || typed != &beginning[2..] {
            return None;
        }
        let count = usize::from(header.ancount);
        let end = records_at + count * len;
        let records = response.get(records_at..end)?;
        if !ends_with_plain_opt(&response[end..], header.arcount) {
            return None;
        }
        let ttl = least_ttl(records, len, &beginning)?;
        let mut octets = Vec::with_capacity(end + 2 * count);
        // AA speaks of the server that responded (RFC 1035 4.1.1).
        let flags = header.flags.with(Flags::AA, false);
        Header { id: 0, flags, qdcount: 1, ancount: header.ancount, nscount: 0, arcount: 0 }.write(&mut octets);
        octets.extend_from_slice(name);
        octets.extend_from_slice(typed);
        for record in records.chunks_exact(len) {
            octets.extend_from_slice(&beginning);
            octets.extend_from_slice(&ttl.to_be_bytes());
            octets.extend_from_slice(&record[TTL.end..]);
        }
        Some(Self {
            octets: with_places(octets, ttl_places(records_at, count, len)),
            message_len: end as u16,
            additional_at: end as u16,
            question_len: (records_at - Header::LEN) as u16,
            rcode: Rcode::NOERROR,
            kind: AnswerKind::Positive,
            for_any_name: false,
            names: Names::OnlyAddresses,
            tells_of_others: false,
            ttl,
            besides: None,
        })
    }

    /// The same answer to `question`, another name's of the same type, told by the authority for that name; when it is
    /// an ordinary one.
    pub fn renamed(&self, question: &Question) -> Option<Self> {
        let len = HEAD + address_len(question.rtype)?;
        let records_at = Header::LEN + usize::from(self.question_len);
        let (message_len, name) = (usize::from(self.message_len), question.name.as_wire());
        let beginning = beginning(question.rtype);
        let records = &self.octets[records_at..message_len];
        let is_plain = self.kind == AnswerKind::Positive
            && !self.for_any_name
            && self.besides.is_none()
            && self.additional_at == self.message_len
            && self.octets[records_at - 4..records_at] == beginning[2..]
            && records.len().is_multiple_of(len)
            && records.chunks_exact(len).all(|record| record.starts_with(&beginning));
        if !is_plain {
            return None;
        }
        let mut octets = Vec::with_capacity(self.octets.len() + name.len());
        octets.extend_from_slice(&self.octets[..2]);
        octets.extend_from_slice(&self.flags().with(Flags::AA, true).0.to_be_bytes());
        octets.extend_from_slice(&self.octets[4..Header::LEN]);
        octets.extend_from_slice(name);
        octets.extend_from_slice(&self.octets[records_at - 4..message_len]);
        let (renamed_len, renamed_at) = (octets.len(), Header::LEN + name.len() + 4);
        Some(Self {
            octets: with_places(octets, ttl_places(renamed_at, records.len() / len, len)),
            message_len: renamed_len as u16,
            additional_at: renamed_len as u16,
            question_len: (renamed_at - Header::LEN) as u16,
            ..self.clone()
        })
    }
}

/// Where the TTLs of so many records of one length lie, the first of which begins at `records_at`.
fn ttl_places(records_at: usize, count: usize, len: usize) -> impl ExactSizeIterator<Item = u16> {
    (0..count).map(move |record| (records_at + record * len + TTL.start) as u16)
}

/// The least TTL of the records, which all have one length; none when one of them is not what is expected, or there twice.
fn least_ttl(records: &[u8], len: usize, beginning: &[u8]) -> Option<u32> {
    let mut least = u32::MAX;
    for (at, record) in records.chunks_exact(len).enumerate() {
        let data_len = u16::from_be_bytes([record[HEAD - 2], record[HEAD - 1]]);
        let twice = records.chunks_exact(len).take(at).any(|other| other[HEAD..] == record[HEAD..]);
        if !record.starts_with(beginning) || usize::from(data_len) != len - HEAD || twice {
            return None;
        }
        let ttl = record[TTL].first_chunk().map(|ttl| u32::from_be_bytes(*ttl))?;
        // With its first bit set it counts as zero (RFC 2181 8).
        least = least.min(i32::try_from(ttl).map_or(0, |_| ttl));
    }
    Some(least)
}

/// Whether nothing but an OPT record follows that says nothing about the answer, or nothing.
fn ends_with_plain_opt(rest: &[u8], count: u16) -> bool {
    let (Some(opt), 1) = (rest.first_chunk::<OPT_LEN>(), count) else { return rest.is_empty() && count == 0 };
    let [root, type_high, type_low, _, _, rcode_high, version, _, _, len_high, len_low] = *opt;
    let options = &rest[OPT_LEN..];
    root == 0
        && RecordType(u16::from_be_bytes([type_high, type_low])) == RecordType::OPT
        && (rcode_high, version) == (0, 0)
        && usize::from(u16::from_be_bytes([len_high, len_low])) == options.len()
        && edns::options(options).all(|read| read.is_ok_and(|(code, _)| code != option::EDE))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::testing::{a, cname, messages, name, names_under, question, response};
    use crate::{Edns, EdnsOption, Message, Name, Rdata, Record};

    fn asked() -> Question {
        question("www.example", RecordType::A)
    }

    fn octets(message: &Message) -> Vec<u8> {
        message.to_wire().unwrap()
    }

    /// An ordinary response, changed.
    fn ordinary(change: impl FnOnce(&mut Message)) -> Message {
        let mut message = response(asked(), Rcode::NOERROR, [vec![a("www.example", 60)], vec![], vec![]]);
        let second = Record { rdata: Rdata::opaque(vec![192, 0, 2, 9]), ttl: 30, ..a("www.example", 60) };
        message.answers.push(second);
        message.edns = Some(Edns::default());
        change(&mut message);
        message
    }

    /// Read at once, and by taking it apart.
    fn both(octets: &[u8], question: &Question) -> (Option<String>, Option<String>) {
        let text = |answer: Answer| format!("{answer:?}");
        let closely = Answer::check_closely(octets, question, &Name::root()).ok().filter(|(_, dropped)| *dropped == 0);
        (Answer::read_plain(octets, question).map(text), closely.map(|(answer, _)| text(answer)))
    }

    #[test]
    fn it_is_read_as_if_taken_apart() {
        let addresses = |octets: usize| Rdata::opaque(vec![7; octets]);
        let v6 = |message: &mut Message| {
            message.questions = vec![question("www.example", RecordType::AAAA)];
            message.answers = vec![Record { rtype: RecordType::AAAA, rdata: addresses(16), ..a("www.example", 5) }];
        };
        let padding = |message: &mut Message| {
            message.edns.as_mut().unwrap().options.push(EdnsOption { code: option::PADDING, data: vec![0; 40] });
        };
        let flags = |message: &mut Message| {
            message.flags = message.flags.with(Flags::AA, true).with(Flags::AD, true).with(Flags::CD, true);
        };
        let cases: [(&str, Message); 7] = [
            ("two addresses", ordinary(|_| {})),
            ("without EDNS", ordinary(|message| message.edns = None)),
            ("IPv6", ordinary(v6)),
            ("padding", ordinary(padding)),
            ("flags", ordinary(flags)),
            ("another case", ordinary(|message| message.questions[0].name = name("WWW.Example"))),
            ("a TTL that counts as zero", ordinary(|message| message.answers[0].ttl = 0)),
        ];
        for (what, message) in cases {
            let asked = Question { name: message.questions[0].name.to_lowercase(), ..message.questions[0].clone() };
            let (plain, closely) = both(&octets(&message), &asked);
            assert!(plain.is_some(), "{what}");
            assert_eq!(plain, closely, "{what}");
        }
    }

    #[test]
    fn whatever_is_out_of_the_ordinary_is_looked_at_closely() {
        let ede = |message: &mut Message| {
            message.edns.as_mut().unwrap().options.push(EdnsOption { code: option::EDE, data: vec![0, 3] });
        };
        let cases: [(&str, Message); 12] = [
            ("an alias", ordinary(|m| m.answers.insert(0, cname("www.example", 9, "b.example")))),
            ("another owner", ordinary(|m| m.answers[1].name = name("b.example"))),
            ("another class", ordinary(|m| m.answers[1].class = Class::CH)),
            ("an address too long", ordinary(|m| m.answers[1].rdata = Rdata::opaque(vec![1; 5]))),
            ("the same twice", ordinary(|m| m.answers[1] = m.answers[0].clone())),
            ("an authority", ordinary(|m| m.authorities.push(a("ns.example", 60)))),
            ("an additional record", ordinary(|m| m.additionals.push(a("www.example", 60)))),
            ("an extended error", ordinary(ede)),
            ("another rcode", ordinary(|m| m.rcode = Rcode::SERVFAIL)),
            ("an rcode of EDNS", ordinary(|m| m.rcode = Rcode(16))),
            ("truncation", ordinary(|m| m.flags = m.flags.with(Flags::TC, true))),
            ("nothing", ordinary(|m| m.answers.clear())),
        ];
        for (what, message) in cases {
            assert!(Answer::read_plain(&octets(&message), &asked()).is_none(), "{what}");
        }
        let whole = octets(&ordinary(|_| {}));
        for len in 0..whole.len() {
            assert!(Answer::read_plain(&whole[..len], &asked()).is_none(), "cut at {len}");
        }
        assert!(Answer::read_plain(&[&whole[..], &[0]].concat(), &asked()).is_none(), "octets after the end");
        let other = question("ww.example", RecordType::A);
        assert!(Answer::read_plain(&whole, &other).is_none(), "another question");
    }

    proptest! {
        #[test]
        fn both_ways_of_reading_agree(message in messages(names_under(name("example")))) {
            let Some(question) = message.questions.first() else { return Ok(()) };
            let (plain, closely) = both(&octets(&message), question);
            prop_assert!(plain.is_none() || plain == closely);
        }

        #[test]
        fn both_ways_of_reading_agree_on_damaged_octets(at in 0_usize..80, octet in any::<u8>()) {
            let mut damaged = octets(&ordinary(|_| {}));
            let at = at % damaged.len();
            damaged[at] = octet;
            let (plain, closely) = both(&damaged, &asked());
            prop_assert!(plain.is_none() || plain == closely, "{at}");
        }
    }

    #[test]
    fn another_name_gets_the_same_answer() {
        let (answer, _) = Answer::check(&octets(&ordinary(|_| {})), &asked(), &Name::root()).unwrap();
        let long = question("web.shop.svc.cluster-b.example.com", RecordType::A);
        let renamed = answer.renamed(&long).unwrap();
        let mut expected = answer.to_message().unwrap();
        expected.questions = vec![long.clone()];
        expected.answers.iter_mut().for_each(|record| record.name = long.name.clone());
        expected.flags = expected.flags.with(Flags::AA, true);
        assert_eq!(format!("{renamed:?}"), format!("{:?}", Answer::new(&expected).unwrap()));
        // There and back.
        assert_eq!(
            renamed.renamed(&asked()).unwrap().to_message().unwrap().answers,
            answer.to_message().unwrap().answers
        );
        assert!(answer.renamed(&question("www.example", RecordType::AAAA)).is_none(), "another type");
    }

    #[test]
    fn no_other_answer_is_renamed() {
        let alias = response(asked(), Rcode::NOERROR, [vec![cname("www.example", 9, "b.example")], vec![], vec![]]);
        let beside = ordinary(|m| m.additionals.push(a("b.example", 60)));
        let failed = ordinary(|m| m.rcode = Rcode::SERVFAIL);
        for message in [alias, beside, failed] {
            assert!(Answer::new(&message).unwrap().renamed(&question("x.example", RecordType::A)).is_none());
        }
    }
}
