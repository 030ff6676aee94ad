//! Whole messages, decoded: for mapping, checking and building. Not used for cached answers.

mod reader;
mod writer;

pub(crate) use self::reader::Reader;
use self::writer::Writer;
use crate::edns::rcode_high;
use crate::{Class, Edns, Flags, Header, MAX_MESSAGE_LEN, Name, NameError, Rcode, Rdata, RecordType};

/// Why bytes are not a DNS message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The message ends inside a field.
    #[error("the message ends too early")]
    Truncated,
    /// A name breaks RFC 1035.
    #[error("bad name: {0}")]
    Name(#[from] NameError),
    /// A compression pointer does not point strictly backwards.
    #[error("a compression pointer does not point backwards")]
    BadPointer,
    /// Record data does not fit its type or its length.
    #[error("record data does not fit its type")]
    BadRdata,
    /// An EDNS option runs over its record, or there are too many.
    #[error("bad EDNS options")]
    BadOption,
    /// There is more than one OPT record, or one outside the additional section.
    #[error("misplaced OPT record")]
    BadOpt,
    /// Octets follow the last record.
    #[error("octets after the last record")]
    TrailingBytes,
    /// The message would be longer than 65,535 octets.
    #[error("the message would be longer than 65,535 octets")]
    TooLong,
}

/// The question of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name asked for.
    pub name: Name,
    /// The type asked for.
    pub rtype: RecordType,
    /// The class asked in.
    pub class: Class,
}

/// A resource record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The owner name.
    pub name: Name,
    /// The type.
    pub rtype: RecordType,
    /// The class.
    pub class: Class,
    /// Seconds it may be cached; at most 2^31 - 1, a larger one is read as 0 (RFC 2181 8).
    pub ttl: u32,
    /// The data.
    pub rdata: Rdata,
}

/// A decoded message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The identifier.
    pub id: u16,
    /// The flags; the rcode is in [`Message::rcode`] only.
    pub flags: Flags,
    /// The rcode with its EDNS bits.
    pub rcode: Rcode,
    /// The questions: one, but for some errors.
    pub questions: Vec<Question>,
    /// The answer section.
    pub answers: Vec<Record>,
    /// The authority section.
    pub authorities: Vec<Record>,
    /// The additional section without the OPT record.
    pub additionals: Vec<Record>,
    /// The OPT record.
    pub edns: Option<Edns>,
}

impl Message {
    /// A query for `name`, recursion desired, with EDNS.
    pub fn query(id: u16, name: Name, rtype: RecordType) -> Self {
        Self {
            id,
            flags: Flags(Flags::RD),
            rcode: Rcode::NOERROR,
            questions: vec![Question { name, rtype, class: Class::IN }],
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            edns: Some(Edns::default()),
        }
    }

    /// An empty response to a question.
    pub fn response(question: Question, rcode: Rcode) -> Self {
        Self {
            flags: Flags(Flags::QR),
            rcode,
            questions: vec![question],
            edns: None,
            ..Self::query(0, Name::root(), RecordType::A)
        }
    }

    /// Reads a message; all of `bytes` must belong to it.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > MAX_MESSAGE_LEN {
            return Err(WireError::TooLong);
        }
        let header = Header::parse(bytes).ok_or(WireError::Truncated)?;
        let mut reader = Reader::new(bytes);
        reader.take(Header::LEN)?;
        let questions = (0..header.qdcount).map(|_| reader.question()).collect::<Result<_, _>>()?;
        let (answers, misplaced) = reader.records(header.ancount)?;
        let (authorities, misplaced_too) = reader.records(header.nscount)?;
        let (additionals, edns) = reader.records(header.arcount)?;
        if misplaced.or(misplaced_too).is_some() {
            return Err(WireError::BadOpt);
        }
        if reader.position() != bytes.len() {
            return Err(WireError::TrailingBytes);
        }
        let high = edns.as_ref().map_or(0, |e| u16::from(e.rcode_high));
        let rcode = Rcode(high << 4 | header.flags.rcode().0);
        let flags = header.flags.with_rcode(Rcode::NOERROR);
        Ok(Self { id: header.id, flags, rcode, questions, answers, authorities, additionals, edns })
    }

    /// The message in wire format, names compressed (RFC 1035 4.1.4).
    ///
    /// Without an OPT record an rcode over 15 becomes SERVFAIL: it has no other place to be.
    pub fn to_wire(&self) -> Result<Vec<u8>, WireError> {
        let count = |len: usize| u16::try_from(len).map_err(|_| WireError::TooLong);
        let mut writer = Writer::new(&Header {
            id: self.id,
            flags: self.flags.with_rcode(if self.edns.is_some() { self.rcode } else { self.rcode.without_edns() }),
            qdcount: count(self.questions.len())?,
            ancount: count(self.answers.len())?,
            nscount: count(self.authorities.len())?,
            arcount: count(self.additionals.len() + usize::from(self.edns.is_some()))?,
        });
        for question in &self.questions {
            writer.question(question)?;
        }
        for record in self.records() {
            writer.record(record)?;
        }
        if let Some(edns) = &self.edns {
            writer.opt(&Edns { rcode_high: rcode_high(self.rcode), ..edns.clone() });
        }
        writer.finish()
    }

    /// Every record: answers, authorities, additionals.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.answers.iter().chain(&self.authorities).chain(&self.additionals)
    }
}

#[cfg(test)]
mod tests;
