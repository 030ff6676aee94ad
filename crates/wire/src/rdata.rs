//! Record data with its names found: decompressed on the way in, compressed only where allowed.

mod layout;

use std::convert::Infallible;

use self::layout::{Field, are_service_parameters, fixed_tail, layout, may_compress};
use crate::message::{Reader, WireError};
use crate::{Name, RecordType};

/// The data of one record, uncompressed, and where the names in it lie.
///
/// Equality ignores the case of names, and of nothing else (RFC 4343 3).
#[derive(Debug, Clone)]
pub struct Rdata {
    bytes: Vec<u8>,
    names: Vec<(u16, u16)>,
}

impl Rdata {
    /// Data without names, or of a type whose names we do not know (RFC 3597: opaque).
    pub fn opaque(bytes: Vec<u8>) -> Self {
        Self { bytes, names: Vec::new() }
    }

    /// The data of a record that is one name: CNAME, NS, PTR, DNAME.
    pub fn name(name: &Name) -> Self {
        Self { bytes: name.as_wire().to_vec(), names: vec![(0, name.as_wire().len() as u16)] }
    }

    /// The data of an SRV record (RFC 2782).
    pub fn srv(priority: u16, weight: u16, port: u16, target: &Name) -> Self {
        let head = [priority.to_be_bytes(), weight.to_be_bytes(), port.to_be_bytes()].concat();
        let names = vec![(6, target.as_wire().len() as u16)];
        Self { bytes: [&head, target.as_wire()].concat(), names }
    }

    /// The data of an SOA record (RFC 1035 3.3.13); `timers`: serial, refresh, retry, expire, minimum.
    pub fn soa(mname: &Name, rname: &Name, timers: [u32; 5]) -> Self {
        let (m, r) = (mname.as_wire(), rname.as_wire());
        let mut bytes = [m, r].concat();
        for timer in timers {
            bytes.extend_from_slice(&timer.to_be_bytes());
        }
        Self { bytes, names: vec![(0, m.len() as u16), (m.len() as u16, r.len() as u16)] }
    }

    /// The data of a record of `rtype` that `bytes` hold uncompressed.
    pub fn parse(rtype: RecordType, bytes: &[u8]) -> Result<Self, WireError> {
        let data = Self::read(&mut Reader::new(bytes), rtype, bytes.len())?;
        // Other octets came out of a compression pointer, which has no message to point into.
        if data.bytes == bytes { Ok(data) } else { Err(WireError::BadPointer) }
    }

    /// Reads `len` octets of data at the reader's place, following pointers into the message.
    pub(crate) fn read(reader: &mut Reader<'_>, rtype: RecordType, len: usize) -> Result<Self, WireError> {
        let end = reader.position() + len;
        let mut data = Self { bytes: Vec::with_capacity(len), names: Vec::new() };
        for field in layout(rtype) {
            match *field {
                Field::Octets(count) => data.bytes.extend_from_slice(reader.take(count)?),
                Field::Text => {
                    let text = usize::from(reader.peek()?);
                    data.bytes.extend_from_slice(reader.take(1 + text)?);
                }
                Field::Name => data.read_name(reader)?,
                Field::NameIf { at, mask, is } => {
                    if data.bytes.get(at).is_some_and(|octet| octet & mask == is) {
                        data.read_name(reader)?;
                    }
                }
                Field::HostIdentity => {
                    let head = reader.take(4)?;
                    let lengths = usize::from(head[0]) + usize::from(u16::from_be_bytes([head[2], head[3]]));
                    data.bytes.extend_from_slice(head);
                    data.bytes.extend_from_slice(reader.take(lengths)?);
                }
                Field::Names => {
                    while reader.position() < end {
                        data.read_name(reader)?;
                    }
                }
            }
        }
        let tail = end.checked_sub(reader.position()).ok_or(WireError::BadRdata)?;
        if fixed_tail(rtype).is_some_and(|fixed| fixed != tail) {
            return Err(WireError::BadRdata);
        }
        let tail = reader.take(tail)?;
        if matches!(rtype, RecordType::SVCB | RecordType::HTTPS) && !are_service_parameters(tail) {
            return Err(WireError::BadRdata);
        }
        data.bytes.extend_from_slice(tail);
        Ok(data)
    }

    fn read_name(&mut self, reader: &mut Reader<'_>) -> Result<(), WireError> {
        let name = reader.name()?;
        self.names.push((self.bytes.len() as u16, name.as_wire().len() as u16));
        self.bytes.extend_from_slice(name.as_wire());
        Ok(())
    }

    /// The octets, uncompressed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The names in the data, in order.
    pub fn names(&self) -> impl Iterator<Item = Name> {
        self.names.iter().map(|&(at, len)| {
            // Built from names only.
            Name::from_wire(&self.bytes[usize::from(at)..usize::from(at + len)]).unwrap_or_else(|_| Name::root())
        })
    }

    /// The same data with every name put through `map`.
    pub fn map_names<E>(&self, mut map: impl FnMut(&Name) -> Result<Name, E>) -> Result<Self, E> {
        let mut mapped =
            Self { bytes: Vec::with_capacity(self.bytes.len()), names: Vec::with_capacity(self.names.len()) };
        let mut copied = 0;
        for (&(at, len), name) in self.names.iter().zip(self.names()) {
            let at = usize::from(at);
            mapped.bytes.extend_from_slice(&self.bytes[copied..at]);
            let name = map(&name)?;
            mapped.names.push((mapped.bytes.len() as u16, name.as_wire().len() as u16));
            mapped.bytes.extend_from_slice(name.as_wire());
            copied = at + usize::from(len);
        }
        mapped.bytes.extend_from_slice(&self.bytes[copied..]);
        Ok(mapped)
    }

    /// Whether the labels of `zone` stand anywhere but within a known name: in data of a type that is not known, in
    /// a key, in text. With or without the root's octet after them, in any case.
    pub(crate) fn hides(&self, zone: &Name) -> bool {
        // The length octets of labels are no letters, so the whole can be compared without regard to case.
        let labels = &zone.as_wire()[..zone.as_wire().len() - 1];
        let is_within_a_name = |at: usize| {
            let within =
                |&(start, len): &(u16, u16)| usize::from(start) <= at && at + labels.len() <= usize::from(start + len);
            self.names.iter().any(within)
        };
        let mut windows = self.bytes.windows(labels.len()).enumerate();
        windows.any(|(at, octets)| octets.eq_ignore_ascii_case(labels) && !is_within_a_name(at))
    }

    /// The parts of the data as they are sent: octets, and names with whether they may be compressed.
    pub(crate) fn parts(&self, rtype: RecordType) -> impl Iterator<Item = RdataPart<'_>> {
        let mut parts = Vec::with_capacity(self.names.len() * 2 + 1);
        let mut at = 0;
        if may_compress(rtype) {
            for &(start, len) in &self.names {
                let (start, end) = (usize::from(start), usize::from(start + len));
                parts.push(RdataPart::Octets(&self.bytes[at..start]));
                parts.push(RdataPart::Name(&self.bytes[start..end]));
                at = end;
            }
        }
        parts.push(RdataPart::Octets(&self.bytes[at..]));
        parts.into_iter()
    }
}

impl PartialEq for Rdata {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names && self.names().eq(other.names()) && {
            let rest = |data: &Self| data.map_names(|_| Ok::<_, Infallible>(Name::root())).map(|rest| rest.bytes);
            rest(self) == rest(other)
        }
    }
}

impl Eq for Rdata {}

/// A piece of record data.
pub(crate) enum RdataPart<'a> {
    Octets(&'a [u8]),
    Name(&'a [u8]),
}

#[cfg(test)]
mod tests;
