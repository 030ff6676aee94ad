//! Writing the fields of a message, names compressed.

use std::collections::HashMap;

use super::{Question, Record};
use crate::rdata::RdataPart;
use crate::{Edns, Header, MAX_MESSAGE_LEN, WireError};

/// The most name endings remembered for compression: a bound on work and memory per message.
const MAX_COMPRESSION_ENTRIES: usize = 1024;

/// Writes fields of a message in order, compressing names against those written before.
pub(super) struct Writer {
    out: Vec<u8>,
    /// Where each name ending was written, by its lower-cased octets.
    seen: HashMap<Box<[u8]>, u16>,
}

impl Writer {
    /// A message that begins with `header`.
    pub(super) fn new(header: &Header) -> Self {
        let mut out = Vec::with_capacity(512);
        header.write(&mut out);
        Self { out, seen: HashMap::new() }
    }

    /// The finished message.
    pub(super) fn finish(self) -> Result<Vec<u8>, WireError> {
        match self.out.len() {
            0..=MAX_MESSAGE_LEN => Ok(self.out),
            _ => Err(WireError::TooLong),
        }
    }

    /// Appends a question.
    pub(super) fn question(&mut self, question: &Question) -> Result<(), WireError> {
        self.check_len()?;
        self.name(question.name.as_wire());
        self.word(question.rtype.0);
        self.word(question.class.0);
        Ok(())
    }

    /// Appends the OPT record.
    pub(super) fn opt(&mut self, edns: &Edns) {
        edns.write(&mut self.out);
    }

    /// Ends the work early on a message that is too long already.
    fn check_len(&self) -> Result<(), WireError> {
        if self.out.len() > MAX_MESSAGE_LEN { Err(WireError::TooLong) } else { Ok(()) }
    }

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

    /// Appends a record.
    pub(super) fn record(&mut self, record: &Record) -> Result<(), WireError> {
        self.check_len()?;
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
