//! Reading the fields of a message.

use super::{Question, Record, WireError};
use crate::{Class, Edns, Name, NameError, Rdata, RecordType};

/// The most compression pointers followed in one name: as many as it can have labels, but one. A
/// chain of pointers to pointers would otherwise cost thousands of steps for each of thousands of names.
const MAX_POINTERS: usize = 126;

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
        let (mut len, mut at) = (0, self.at);
        let (mut lowest, mut pointers) = (self.at, 0);
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
                    pointers += 1;
                    if at >= lowest || pointers > MAX_POINTERS {
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

    pub(super) fn question(&mut self) -> Result<Question, WireError> {
        Ok(Question { name: self.name()?, rtype: RecordType(self.word()?), class: Class(self.word()?) })
    }

    /// Reads a section; the OPT record is set apart.
    pub(super) fn records(&mut self, count: u16) -> Result<(Vec<Record>, Option<Edns>), WireError> {
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
