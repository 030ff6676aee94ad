//! Where the names lie in the data of each type that is known to hold some.
//!
//! Data of any other type is opaque (RFC 3597 3).

use crate::RecordType;

/// A part of record data, as far as names are concerned.
#[derive(Clone, Copy)]
pub(super) enum Field {
    /// So many octets.
    Octets(usize),
    /// A character string with its length octet.
    Text,
    /// A domain name.
    Name,
    /// A domain name when the octet `at` says so, else nothing.
    NameIf { at: usize, mask: u8, is: u8 },
    /// The lengths, the host identity tag and the public key of a HIP record.
    HostIdentity,
    /// Domain names up to the end.
    Names,
}

use Field::{HostIdentity, Name as N, NameIf, Names, Octets as O, Text as T};

/// The fields up to the last name; what follows is opaque.
pub(super) const fn layout(rtype: RecordType) -> &'static [Field] {
    match rtype {
        RecordType::NS
        | RecordType::MD
        | RecordType::MF
        | RecordType::CNAME
        | RecordType::MB
        | RecordType::MG
        | RecordType::MR
        | RecordType::PTR
        | RecordType::DNAME
        | RecordType::NXT
        | RecordType::NSEC => &[N],
        RecordType::SOA | RecordType::MINFO | RecordType::RP | RecordType::TALINK => &[N, N],
        RecordType::MX | RecordType::AFSDB | RecordType::RT | RecordType::KX | RecordType::LP => &[O(2), N],
        RecordType::SVCB | RecordType::HTTPS => &[O(2), N],
        RecordType::PX => &[O(2), N, N],
        // RFC 9859 2: type, scheme, port.
        RecordType::DSYNC => &[O(5), N],
        RecordType::SRV => &[O(6), N],
        RecordType::NAPTR => &[O(4), T, T, T, N],
        RecordType::SIG | RecordType::RRSIG => &[O(18), N],
        // RFC 4025 2.1: precedence, gateway type, algorithm; the gateway of type 3 is a name.
        RecordType::IPSECKEY => &[O(3), NameIf { at: 1, mask: 0xff, is: 3 }],
        // RFC 8777 4.2: precedence, a bit and the relay's type, of which 3 is a name.
        RecordType::AMTRELAY => &[O(2), NameIf { at: 1, mask: 0x7f, is: 3 }],
        // RFC 8005 5: rendezvous servers at the end.
        RecordType::HIP => &[HostIdentity, Names],
        _ => &[],
    }
}

/// Whether names in the data of that type may be compressed when sent (RFC 3597 4: the types of RFC 1035).
pub(super) const fn may_compress(rtype: RecordType) -> bool {
    matches!(
        rtype,
        RecordType::NS
            | RecordType::MD
            | RecordType::MF
            | RecordType::CNAME
            | RecordType::SOA
            | RecordType::MB
            | RecordType::MG
            | RecordType::MR
            | RecordType::PTR
            | RecordType::MINFO
            | RecordType::MX
    )
}

/// What must follow the last name for types whose length is fixed; none where anything may.
pub(super) const fn fixed_tail(rtype: RecordType) -> Option<usize> {
    match rtype {
        RecordType::A => Some(4),
        RecordType::AAAA => Some(16),
        RecordType::SOA => Some(20),
        _ if may_compress(rtype) => Some(0),
        RecordType::SRV
        | RecordType::DNAME
        | RecordType::NAPTR
        | RecordType::KX
        | RecordType::LP
        | RecordType::RP
        | RecordType::RT
        | RecordType::PX
        | RecordType::TALINK
        | RecordType::DSYNC
        | RecordType::HIP
        | RecordType::AFSDB => Some(0),
        _ => None,
    }
}

/// Whether the octets are service parameters: whole, and in strictly ascending order (RFC 9460 2.2).
pub(super) fn are_service_parameters(mut octets: &[u8]) -> bool {
    let mut last = None;
    while let Some((&[k0, k1, l0, l1], rest)) = octets.split_first_chunk() {
        let key = u16::from_be_bytes([k0, k1]);
        let Some(rest) = rest.get(usize::from(u16::from_be_bytes([l0, l1]))..) else { return false };
        if last.is_some_and(|last| key <= last) {
            return false;
        }
        (octets, last) = (rest, Some(key));
    }
    octets.is_empty()
}
