//! The twelve octets at the start of every message (RFC 1035 4.1.1).

use crate::{Opcode, Rcode};

/// The decoded header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Pairs a response with its query.
    pub id: u16,
    /// The flag bits, the opcode and the low bits of the rcode.
    pub flags: Flags,
    /// Questions.
    pub qdcount: u16,
    /// Answer records.
    pub ancount: u16,
    /// Authority records.
    pub nscount: u16,
    /// Additional records.
    pub arcount: u16,
}

impl Header {
    /// Its length, in octets.
    pub const LEN: usize = 12;

    /// The header at the start of `bytes`; none when there are fewer than twelve octets.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let at = |i: usize| Some(u16::from_be_bytes([*bytes.get(i)?, *bytes.get(i + 1)?]));
        Some(Self {
            id: at(0)?,
            flags: Flags(at(2)?),
            qdcount: at(4)?,
            ancount: at(6)?,
            nscount: at(8)?,
            arcount: at(10)?,
        })
    }

    /// Appends the twelve octets.
    pub fn write(&self, out: &mut Vec<u8>) {
        for field in [self.id, self.flags.0, self.qdcount, self.ancount, self.nscount, self.arcount] {
            out.extend_from_slice(&field.to_be_bytes());
        }
    }
}

/// The second pair of octets of a header: QR, opcode, AA, TC, RD, RA, Z, AD, CD, rcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// Set in responses.
    pub const QR: u16 = 0x8000;
    /// Authoritative answer.
    pub const AA: u16 = 0x0400;
    /// Truncated.
    pub const TC: u16 = 0x0200;
    /// Recursion desired.
    pub const RD: u16 = 0x0100;
    /// Recursion available.
    pub const RA: u16 = 0x0080;
    /// Authentic data (RFC 4035).
    pub const AD: u16 = 0x0020;
    /// Checking disabled (RFC 4035).
    pub const CD: u16 = 0x0010;

    /// Whether every bit of `mask` is set.
    pub const fn has(self, mask: u16) -> bool {
        self.0 & mask == mask
    }

    /// These flags with the bits of `mask` set or cleared.
    #[must_use]
    pub const fn with(self, mask: u16, set: bool) -> Self {
        Self(if set { self.0 | mask } else { self.0 & !mask })
    }

    /// The opcode.
    pub const fn opcode(self) -> Opcode {
        Opcode(((self.0 >> 11) & 0xf) as u8)
    }

    /// The low four bits of the rcode.
    pub const fn rcode(self) -> Rcode {
        Rcode(self.0 & 0xf)
    }

    /// These flags with the low four bits of `rcode`.
    #[must_use]
    pub const fn with_rcode(self, rcode: Rcode) -> Self {
        Self((self.0 & !0xf) | (rcode.0 & 0xf))
    }
}
