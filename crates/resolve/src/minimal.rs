//! The minimal answer to ANY (RFC 8482 4.2): one HINFO record that says where to read on.

use strait_wire::{Answer, AnswerKind, Class, Flags, Message, Question, Rcode, Rdata, Record, RecordType};

/// How long it may be cached, in seconds: it never changes.
const TTL: u32 = 3_600;

/// CPU "RFC8482", no OS.
const HINFO: &[u8] = b"\x07RFC8482\x00";

/// The answer to `question`; `at_once` is what the source had to say, of which counts that there is nothing to be had.
pub(crate) fn answer(question: Question, at_once: Option<Answer>) -> Answer {
    let authoritative = match at_once {
        Some(answer) if matches!(answer.kind(), AnswerKind::NxDomain | AnswerKind::Failure) => return answer,
        Some(answer) => answer.is_authoritative(),
        None => false,
    };
    let record = Record {
        name: question.name.clone(),
        rtype: RecordType::HINFO,
        class: Class::IN,
        ttl: TTL,
        rdata: Rdata::opaque(HINFO.to_vec()),
    };
    let mut message = Message::response(question.clone(), Rcode::NOERROR);
    message.flags = message.flags.with(Flags::AA, authoritative);
    message.answers.push(record);
    // One question and one short record always fit.
    Answer::new(&message).unwrap_or_else(|_| Answer::failure(question, Rcode::SERVFAIL, None))
}
