//! Whole messages, decoded: for mapping, checking and building. Not used for cached answers.

use std::collections::HashMap;

use crate::edns::rcode_high;
use crate::rdata::RdataPart;
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
    /// The flags; the rcode is in [`Message::rcode`].
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
        let header = Header::parse(bytes).ok_or(WireError::Truncated)?;
        let mut reader = Reader { bytes, at: Header::LEN };
        let mut questions = Vec::with_capacity(1);
        for _ in 0..header.qdcount {
            questions.push(reader.question()?);
        }
        let (answers, none) = reader.records(header.ancount)?;
        let (authorities, none_either) = reader.records(header.nscount)?;
        let (additionals, edns) = reader.records(header.arcount)?;
        if none.or(none_either).is_some() {
            return Err(WireError::BadOpt);
        }
        if reader.at != bytes.len() {
            return Err(WireError::TrailingBytes);
        }
        let high = edns.as_ref().map_or(0, |e| u16::from(e.rcode_high));
        let rcode = Rcode(high << 4 | header.flags.rcode().0);
        Ok(Self { id: header.id, flags: header.flags, rcode, questions, answers, authorities, additionals, edns })
    }

    /// The message in wire format, names compressed (RFC 1035 4.1.4).
    pub fn to_wire(&self) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer { out: Vec::with_capacity(512), seen: HashMap::new() };
        let count = |records: &[Record]| u16::try_from(records.len()).map_err(|_| WireError::TooLong);
        Header {
            id: self.id,
            flags: self.flags.with_rcode(self.rcode),
            qdcount: self.questions.len() as u16,
            ancount: count(&self.answers)?,
            nscount: count(&self.authorities)?,
            arcount: count(&self.additionals)? + u16::from(self.edns.is_some()),
        }
        .write(&mut writer.out);
        for question in &self.questions {
            writer.name(question.name.as_wire());
            writer.word(question.rtype.0);
            writer.word(question.class.0);
        }
        for record in self.answers.iter().chain(&self.authorities).chain(&self.additionals) {
            writer.record(record)?;
        }
        if let Some(edns) = &self.edns {
            Edns { rcode_high: rcode_high(self.rcode), ..edns.clone() }.write(&mut writer.out);
        }
        match writer.out.len() {
            0..=MAX_MESSAGE_LEN => Ok(writer.out),
            _ => Err(WireError::TooLong),
        }
    }

    /// Every record: answers, authorities, additionals.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.answers.iter().chain(&self.authorities).chain(&self.additionals)
    }
}

/// Reads fields of a message in order.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..count)).ok_or(WireError::Truncated)?;
        self.at += count;
        Ok(taken)
    }

    pub(crate) fn peek(&self) -> Result<u8, WireError> {
        self.bytes.get(self.at).copied().ok_or(WireError::Truncated)
    }

    fn word(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into().map_err(|_| WireError::Truncated)?))
    }

    fn long(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into().map_err(|_| WireError::Truncated)?))
    }

    /// Reads a name, following pointers. Each must point before the place it is read from, and
    /// before every one followed so far, so the walk ends (RFC 1035 4.1.4).
    pub(crate) fn name(&mut self) -> Result<Name, WireError> {
        let mut wire = [0; Name::MAX_LEN];
        let mut len = 0;
        let mut at = self.at;
        let mut lowest = self.at;
        let mut after = None;
        loop {
            let octet = *self.bytes.get(at).ok_or(WireError::Truncated)?;
            match octet {
                0..=63 => {
                    let label = self.bytes.get(at..at + 1 + usize::from(octet)).ok_or(WireError::Truncated)?;
                    let end = len + label.len();
                    wire.get_mut(len..end).ok_or(NameError::NameTooLong)?.copy_from_slice(label);
                    (len, at) = (end, at + label.len());
                    if octet == 0 {
                        break;
                    }
                }
                0xc0.. => {
                    let low = *self.bytes.get(at + 1).ok_or(WireError::Truncated)?;
                    after = after.or(Some(at + 2));
                    at = usize::from(u16::from_be_bytes([octet & 0x3f, low]));
                    if at >= lowest {
                        return Err(WireError::BadPointer);
                    }
                    lowest = at;
                }
                _ => return Err(NameError::LabelTooLong.into()),
            }
        }
        self.at = after.unwrap_or(at);
        Ok(Name::from_wire(&wire[..len])?)
    }

    fn question(&mut self) -> Result<Question, WireError> {
        Ok(Question { name: self.name()?, rtype: RecordType(self.word()?), class: Class(self.word()?) })
    }

    /// Reads a section; the OPT record is set apart.
    fn records(&mut self, count: u16) -> Result<(Vec<Record>, Option<Edns>), WireError> {
        let mut records = Vec::with_capacity(usize::from(count).min(64));
        let mut edns = None;
        for _ in 0..count {
            let name = self.name()?;
            let (rtype, class) = (RecordType(self.word()?), Class(self.word()?));
            let (ttl, len) = (self.long()?, usize::from(self.word()?));
            if rtype == RecordType::OPT {
                if edns.is_some() || !name.is_root() {
                    return Err(WireError::BadOpt);
                }
                edns = Some(Edns::from_record(class.0, ttl, self.take(len)?)?);
                continue;
            }
            let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl };
            records.push(Record { name, rtype, class, ttl, rdata: Rdata::read(self, rtype, len)? });
        }
        Ok((records, edns))
    }
}

/// The most name endings remembered for compression: a bound on work and memory per message.
const MAX_COMPRESSION_ENTRIES: usize = 1024;

/// Writes fields of a message in order, compressing names against those written before.
struct Writer {
    out: Vec<u8>,
    /// Where each name ending was written, by its lower-cased octets.
    seen: HashMap<Box<[u8]>, u16>,
}

impl Writer {
    fn word(&mut self, word: u16) {
        self.out.extend_from_slice(&word.to_be_bytes());
    }

    fn name(&mut self, wire: &[u8]) {
        let lower = wire.to_ascii_lowercase();
        let mut at = 0;
        while wire[at] != 0 {
            if let Some(&target) = self.seen.get(&lower[at..]) {
                return self.word(0xc000 | target);
            }
            if self.out.len() < 0x4000 && self.seen.len() < MAX_COMPRESSION_ENTRIES {
                self.seen.insert(lower[at..].into(), self.out.len() as u16);
            }
            let next = at + 1 + usize::from(wire[at]);
            self.out.extend_from_slice(&wire[at..next]);
            at = next;
        }
        self.out.push(0);
    }

    fn record(&mut self, record: &Record) -> Result<(), WireError> {
        if self.out.len() > MAX_MESSAGE_LEN {
            return Err(WireError::TooLong);
        }
        self.name(record.name.as_wire());
        self.word(record.rtype.0);
        self.word(record.class.0);
        self.out.extend_from_slice(&record.ttl.to_be_bytes());
        let start = self.out.len() + 2;
        self.word(0);
        for part in record.rdata.parts(record.rtype) {
            match part {
                RdataPart::Octets(octets) => self.out.extend_from_slice(octets),
                RdataPart::Name(name) => self.name(name),
            }
        }
        let len = u16::try_from(self.out.len() - start).map_err(|_| WireError::TooLong)?;
        self.out[start - 2..start].copy_from_slice(&len.to_be_bytes());
        Ok(())
    }
}
