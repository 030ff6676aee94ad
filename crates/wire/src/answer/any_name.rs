//! Answers that are the same for many names: what a wildcard says, or that there is nothing.

use std::net::IpAddr;

use super::{Answer, AnswerKind, Names, ttl_offsets, with_places};
use crate::{Class, Flags, Header, MAX_MESSAGE_LEN, Message, Name, Question, Rcode, RecordType, WireError};

/// A pointer to the name of the question (RFC 1035 4.1.4).
const TO_QUESTION: [u8; 2] = [0xc0, Header::LEN as u8];

impl Answer {
    /// The answer that `message` gives, for any other name in place of the one it asks for, and any type: wherever
    /// that name owns a record, the name asked for will. All other names stay.
    ///
    /// Nothing in it depends on where the records come to lie, so that no other name is compressed.
    pub fn for_any_name(message: &Message) -> Result<Self, WireError> {
        let model = Self::new(message)?;
        let settled = model.to_message()?;
        let asked = settled.questions.first().map(|question| question.name.clone()).ok_or(WireError::Truncated)?;
        let nobody = Question { name: Name::root(), rtype: RecordType(0), class: Class::IN };
        let (mut bytes, question_len) = (model.octets[..Header::LEN].to_vec(), nobody.name.as_wire().len() + 4);
        bytes.extend_from_slice(nobody.name.as_wire());
        bytes.extend_from_slice(&nobody.rtype.0.to_be_bytes());
        bytes.extend_from_slice(&nobody.class.0.to_be_bytes());
        for record in settled.records() {
            bytes.extend_from_slice(if record.name == asked { &TO_QUESTION } else { record.name.as_wire() });
            bytes.extend_from_slice(&record.rtype.0.to_be_bytes());
            bytes.extend_from_slice(&record.class.0.to_be_bytes());
            bytes.extend_from_slice(&record.ttl.to_be_bytes());
            let data = record.rdata.as_bytes();
            bytes.extend_from_slice(&u16::try_from(data.len()).map_err(|_| WireError::TooLong)?.to_be_bytes());
            bytes.extend_from_slice(data);
        }
        if bytes.len() + Name::MAX_LEN > MAX_MESSAGE_LEN {
            return Err(WireError::TooLong);
        }
        let records_at = Header::LEN + question_len;
        let before = settled.answers.len() + settled.authorities.len();
        let (mut ttls, additional_at) = ttl_offsets(&bytes, records_at, before)?;
        ttls.extend(ttl_offsets(&bytes, additional_at, settled.additionals.len())?.0);
        Ok(Self {
            message_len: bytes.len() as u16,
            octets: with_places(bytes, ttls.into_iter()),
            additional_at: additional_at as u16,
            question_len: question_len as u16,
            for_any_name: true,
            ..model
        })
    }

    /// The authoritative answer, for any name, that these are its addresses of that type; those of another family are
    /// left out. As [`Answer::for_any_name`] would make it, without a message to be made of and taken apart.
    pub fn addresses_of_any_name(rtype: RecordType, addresses: &[IpAddr], ttl: u32) -> Result<Self, WireError> {
        // The head, the shortest question, and the most that a record takes.
        let mut bytes = Vec::with_capacity(Header::LEN + 5 + addresses.len() * 28);
        let flags = Flags(Flags::QR).with(Flags::AA, true);
        Header { id: 0, flags, qdcount: 1, ancount: 0, nscount: 0, arcount: 0 }.write(&mut bytes);
        let nobody = [Name::root().as_wire(), &[0, 0], &Class::IN.0.to_be_bytes()].concat();
        bytes.extend_from_slice(&nobody);
        let mut ttls = Vec::with_capacity(addresses.len());
        for address in addresses {
            let (v4, v6);
            let data: &[u8] = match (address, rtype) {
                (IpAddr::V4(address), RecordType::A) => {
                    v4 = address.octets();
                    &v4
                }
                (IpAddr::V6(address), RecordType::AAAA) => {
                    v6 = address.octets();
                    &v6
                }
                _ => continue,
            };
            bytes.extend_from_slice(&TO_QUESTION);
            bytes.extend_from_slice(&rtype.0.to_be_bytes());
            bytes.extend_from_slice(&Class::IN.0.to_be_bytes());
            // What is too long fits no `u16` here, and is refused below.
            ttls.push(bytes.len() as u16);
            bytes.extend_from_slice(&ttl.to_be_bytes());
            bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
            bytes.extend_from_slice(data);
        }
        if bytes.len() + Name::MAX_LEN > MAX_MESSAGE_LEN {
            return Err(WireError::TooLong);
        }
        let (message_len, ancount) = (bytes.len() as u16, ttls.len() as u16);
        bytes[6..8].copy_from_slice(&ancount.to_be_bytes());
        Ok(Self {
            octets: with_places(bytes, ttls.into_iter()),
            message_len,
            additional_at: message_len,
            question_len: nobody.len() as u16,
            rcode: Rcode::NOERROR,
            kind: if ancount == 0 { AnswerKind::NoData } else { AnswerKind::Positive },
            tells_of_others: false,
            for_any_name: true,
            names: Names::OnlyAddresses,
            ttl: if ancount == 0 { 0 } else { ttl },
            besides: None,
        })
    }

    /// Whether it may be told to any question although names are called otherwise where it was made: it is for any name,
    /// and holds addresses of that name and nothing else.
    pub fn names_no_other(&self) -> bool {
        self.for_any_name && self.names == Names::OnlyAddresses
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::query;
    use crate::{QueryView, Rcode, Rdata, Record, ReplyLimits};

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn record(owner: &str, rtype: RecordType, rdata: Rdata) -> Record {
        Record { name: name(owner), rtype, class: Class::IN, ttl: 300, rdata }
    }

    /// What the wildcard `*.apps.example` says, with a name in the data and an address beside it.
    fn wildcard() -> Message {
        let question = Question { name: name("*.apps.example"), rtype: RecordType::MX, class: Class::IN };
        let exchange = Rdata::parse(RecordType::MX, b"\x00\x0a\x04mail\x07example\x00").unwrap();
        let mut message = Message::response(question, Rcode::NOERROR);
        message.answers.push(record("*.apps.example", RecordType::MX, exchange));
        message.additionals.push(record("mail.example", RecordType::A, Rdata::opaque(vec![192, 0, 2, 1])));
        message
    }

    fn reply(answer: &Answer, asked: &[u8], age: u32, max_len: usize) -> Message {
        let (view, mut out) = (QueryView::parse(asked).unwrap(), b"before".to_vec());
        answer.write_reply(&view, age, ReplyLimits { max_len, ..ReplyLimits::stream() }, None, &mut out);
        assert!(out.len() - 6 <= max_len);
        Message::parse(&out[6..]).unwrap()
    }

    #[test]
    fn every_name_gets_the_answer_under_its_own() {
        let answer = Answer::for_any_name(&wildcard()).unwrap();
        let longest = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(46), "apps.example".into()].join(".");
        for asked in [".", "Web.apps.example", "a.b.apps.example", &longest] {
            let message = reply(&answer, &query(asked, None), 100, MAX_MESSAGE_LEN);
            assert_eq!(message.questions[0].name, name(asked));
            assert_eq!(message.answers[0].name.as_wire(), name(asked).as_wire(), "RFC 4343: the case asked in");
            let target = message.answers[0].rdata.names().next();
            assert_eq!(
                (target, message.additionals[0].name.clone()),
                (Some(name("mail.example")), name("mail.example"))
            );
            assert!(message.records().all(|record| record.ttl == 200), "{message:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_whatever_the_length_of_the_name() {
        let answer = Answer::for_any_name(&wildcard()).unwrap();
        let long = ["a".repeat(60), "b".repeat(60), "apps.example".into()].join(".");
        let whole = Header::LEN + name(&long).as_wire().len() + 4 + 28 + 28;
        for (room, answers, additionals) in [(whole, 1, 1), (whole - 1, 1, 0), (whole - 29, 0, 0)] {
            let message = reply(&answer, &query(&long, None), 0, room);
            assert_eq!((message.answers.len(), message.additionals.len()), (answers, additionals), "{room}");
            assert_eq!(message.flags.has(crate::Flags::TC), answers == 0);
        }
    }

    #[test]
    fn only_addresses_of_the_name_itself_name_no_other() {
        let address = |owner| record(owner, RecordType::A, Rdata::opaque(vec![192, 0, 2, 1]));
        let mut message = wildcard();
        assert!(!Answer::for_any_name(&message).unwrap().names_no_other(), "a name in the data, an address beside");
        message.questions[0].rtype = RecordType::A;
        message.additionals.clear();
        message.answers = vec![address("*.apps.example")];
        assert!(Answer::for_any_name(&message).unwrap().names_no_other());
        assert!(!Answer::new(&message).unwrap().names_no_other(), "that of one name has the name in its question");
        message.authorities = vec![address("example")];
        assert!(!Answer::for_any_name(&message).unwrap().names_no_other());
    }

    #[test]
    fn it_says_what_its_model_says() {
        let (model, answer) = (Answer::new(&wildcard()).unwrap(), Answer::for_any_name(&wildcard()).unwrap());
        assert_eq!((answer.kind(), answer.rcode(), answer.ttl()), (model.kind(), model.rcode(), model.ttl()));
        assert_eq!(answer.is_authoritative(), model.is_authoritative());
    }

    #[test]
    fn addresses_are_told_as_a_message_of_them_would_be() {
        let all: Vec<IpAddr> =
            ["192.0.2.1", "2001:db8::1", "192.0.2.2"].iter().map(|text| text.parse().unwrap()).collect();
        let asked = name("*.apps.example");
        for (rtype, addresses) in
            [(RecordType::A, &all[..]), (RecordType::AAAA, &all[..]), (RecordType::A, &all[1..2]), (RecordType::A, &[])]
        {
            let question = Question { name: asked.clone(), rtype, class: Class::IN };
            let mut message = Message::response(question, Rcode::NOERROR);
            message.flags = message.flags.with(crate::Flags::AA, true);
            for address in addresses {
                let data = match address {
                    IpAddr::V4(address) if rtype == RecordType::A => address.octets().to_vec(),
                    IpAddr::V6(address) if rtype == RecordType::AAAA => address.octets().to_vec(),
                    _ => continue,
                };
                message.answers.push(record("*.apps.example", rtype, Rdata::opaque(data)));
            }
            let [model, answer] = [
                Answer::for_any_name(&message).unwrap(),
                Answer::addresses_of_any_name(rtype, addresses, 300).unwrap(),
            ]
            .map(|answer| format!("{answer:?}"));
            assert_eq!(answer, model, "{rtype} {addresses:?}");
        }
        let many = |count: u32| (0..count).map(|n| IpAddr::V6(u128::from(n).into())).collect::<Vec<_>>();
        let answer = |count| Answer::addresses_of_any_name(RecordType::AAAA, &many(count), 300);
        assert_eq!(answer(2_330).unwrap().to_message().unwrap().answers.len(), 2_330);
        assert!(answer(2_331).is_err() && answer(100_000).is_err(), "no room for the longest name");
    }

    #[test]
    fn there_is_room_for_the_longest_name() {
        let mut message = wildcard();
        message.additionals.clear();
        let text = Rdata::opaque(vec![0; 65_000]);
        message.answers[0] = record("*.apps.example", RecordType::TXT, text);
        assert!(Answer::for_any_name(&message).is_ok());
        message.answers[0] = record("*.apps.example", RecordType::TXT, Rdata::opaque(vec![0; 65_400]));
        assert!(Answer::new(&message).is_ok() && Answer::for_any_name(&message).is_err());
    }
}
