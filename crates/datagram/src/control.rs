//! Control messages, the kernel's notes on a datagram: the address it was sent to (`IP_PKTINFO`, `IPV6_PKTINFO`),
//! and going out, the address it is to leave from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Room for the one message asked for.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Control {
    bytes: [u8; Self::CAPACITY],
    pub(crate) len: usize,
}

/// `struct cmsghdr`: the length with the head, level, type; the data begins at the next multiple of a word.
const HEAD: usize = size_of::<libc::cmsghdr>().next_multiple_of(size_of::<usize>());
const LEVEL_AT: usize = size_of::<usize>();
const TYPE_AT: usize = LEVEL_AT + 4;

/// `struct in_pktinfo`: interface, local address, destination of the header.
const V4_LEN: usize = size_of::<libc::in_pktinfo>();
const V4_LOCAL_AT: usize = 4;
/// `struct in6_pktinfo`: address, interface.
const V6_LEN: usize = size_of::<libc::in6_pktinfo>();

impl Control {
    pub(crate) const CAPACITY: usize = HEAD + V6_LEN.next_multiple_of(size_of::<usize>());
    pub(crate) const NONE: Self = Self { bytes: [0; Self::CAPACITY], len: 0 };

    /// Asks for `address` as the source of a datagram.
    pub(crate) fn source(address: IpAddr) -> Self {
        let mut control = Self::NONE;
        let data = &mut control.bytes[HEAD..];
        let (level, kind, len) = match address {
            IpAddr::V4(v4) => {
                data[V4_LOCAL_AT..V4_LOCAL_AT + 4].copy_from_slice(&v4.octets());
                (libc::IPPROTO_IP, libc::IP_PKTINFO, V4_LEN)
            }
            IpAddr::V6(v6) => {
                data[..16].copy_from_slice(&v6.octets());
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, V6_LEN)
            }
        };
        control.bytes[..LEVEL_AT].copy_from_slice(&(HEAD + len).to_ne_bytes());
        control.bytes[LEVEL_AT..TYPE_AT].copy_from_slice(&level.to_ne_bytes());
        control.bytes[TYPE_AT..TYPE_AT + 4].copy_from_slice(&kind.to_ne_bytes());
        control.len = HEAD + len.next_multiple_of(size_of::<usize>());
        control
    }

    /// The address a datagram was sent to, when the kernel said so and one can answer from it.
    pub(crate) fn local(&self) -> Option<IpAddr> {
        let mut rest = self.bytes.get(..self.len)?;
        while rest.len() >= HEAD {
            let len = usize::from_ne_bytes(*rest.first_chunk()?);
            let level = i32::from_ne_bytes(*rest[LEVEL_AT..].first_chunk()?);
            let kind = i32::from_ne_bytes(*rest[TYPE_AT..].first_chunk()?);
            let data = rest.get(HEAD..len)?;
            let address = match (level, kind) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) if data.len() >= V4_LEN => {
                    let octets: [u8; 4] = *data[V4_LOCAL_AT..].first_chunk()?;
                    Some(IpAddr::V4(Ipv4Addr::from(octets)))
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if data.len() >= V6_LEN => {
                    let octets: [u8; 16] = *data.first_chunk()?;
                    Some(IpAddr::V6(Ipv6Addr::from(octets)))
                }
                _ => None,
            };
            if let Some(address) = address {
                // Nothing leaves from a multicast address.
                return Some(address).filter(|a| !a.is_multicast() && !a.is_unspecified());
            }
            rest = rest.get(len.next_multiple_of(size_of::<usize>())..)?;
        }
        None
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.bytes.as_mut_ptr().cast()
    }

    pub(crate) fn as_ptr(&self) -> *const libc::c_void {
        self.bytes.as_ptr().cast()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn addresses_come_back_as_they_were() {
        for text in ["192.0.2.7", "2001:db8::1"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(Control::source(address).local(), Some(address));
        }
    }

    #[test]
    fn nothing_is_answered_from_where_nothing_can_leave() {
        for text in ["224.0.0.251", "ff02::fb", "0.0.0.0", "::"] {
            assert_eq!(Control::source(text.parse().unwrap()).local(), None, "{text}");
        }
    }

    #[test]
    fn damaged_messages_say_nothing() {
        assert_eq!(Control::NONE.local(), None);
        let whole = Control::source("2001:db8::1".parse().unwrap());
        for len in 0..HEAD + V6_LEN {
            assert_eq!(Control { len, ..whole }.local(), None, "cut to {len}");
        }
        // A length of nothing must not go round for ever, one past the end must not be read.
        for claimed in [0, 1, HEAD, usize::MAX] {
            let mut damaged = whole;
            damaged.bytes[..LEVEL_AT].copy_from_slice(&claimed.to_ne_bytes());
            assert_eq!(damaged.local(), None, "claims {claimed}");
        }
        assert_eq!(Control { len: usize::MAX, ..whole }.local(), None);
    }
}
