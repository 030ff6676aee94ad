//! Socket addresses in the form the kernel reads and writes (`struct sockaddr_in`, `struct sockaddr_in6`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// An address in the kernel's form; empty: none.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct RawAddress {
    bytes: [u8; Self::CAPACITY],
    pub(crate) len: u32,
}

const V4_LEN: usize = size_of::<libc::sockaddr_in>();
const V6_LEN: usize = size_of::<libc::sockaddr_in6>();

// Family, port, then the address (IPv4), or flow, address and scope (IPv6); the unit test of each compares with
// what the system says.
const PORT_AT: usize = 2;
const V4_AT: usize = 4;
const FLOW_AT: usize = 4;
const V6_AT: usize = 8;
const SCOPE_AT: usize = 24;

impl RawAddress {
    /// Octets of the longest form.
    pub(crate) const CAPACITY: usize = V6_LEN;
    pub(crate) const NONE: Self = Self { bytes: [0; Self::CAPACITY], len: 0 };

    pub(crate) fn new(address: SocketAddr) -> Self {
        let mut raw = Self::NONE;
        let (family, len) = match address {
            SocketAddr::V4(v4) => {
                raw.bytes[V4_AT..V4_AT + 4].copy_from_slice(&v4.ip().octets());
                (libc::AF_INET, V4_LEN)
            }
            SocketAddr::V6(v6) => {
                raw.bytes[FLOW_AT..FLOW_AT + 4].copy_from_slice(&v6.flowinfo().to_ne_bytes());
                raw.bytes[V6_AT..V6_AT + 16].copy_from_slice(&v6.ip().octets());
                raw.bytes[SCOPE_AT..SCOPE_AT + 4].copy_from_slice(&v6.scope_id().to_ne_bytes());
                (libc::AF_INET6, V6_LEN)
            }
        };
        raw.bytes[..PORT_AT].copy_from_slice(&(family as libc::sa_family_t).to_ne_bytes());
        raw.bytes[PORT_AT..PORT_AT + 2].copy_from_slice(&address.port().to_be_bytes());
        raw.len = len as u32;
        raw
    }

    /// None: not an address of the Internet, or none at all.
    pub(crate) fn get(&self) -> Option<SocketAddr> {
        let family = i32::from(libc::sa_family_t::from_ne_bytes([self.bytes[0], self.bytes[1]]));
        let port = u16::from_be_bytes([self.bytes[PORT_AT], self.bytes[PORT_AT + 1]]);
        match (family, self.len as usize) {
            (libc::AF_INET, V4_LEN) => {
                let octets: [u8; 4] = *self.bytes[V4_AT..].first_chunk()?;
                Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(octets)), port))
            }
            (libc::AF_INET6, V6_LEN) => {
                let flow = u32::from_ne_bytes(*self.bytes[FLOW_AT..].first_chunk()?);
                let octets: [u8; 16] = *self.bytes[V6_AT..].first_chunk()?;
                let scope = u32::from_ne_bytes(*self.bytes[SCOPE_AT..].first_chunk()?);
                Some(SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(octets), port, flow, scope)))
            }
            _ => None,
        }
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
        // The last has a scope: two link-local addresses that differ only in it are different machines.
        for text in ["192.0.2.7:53", "0.0.0.0:0", "[2001:db8::1]:65535", "[::]:0", "[fe80::1%7]:53"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(RawAddress::new(address).get(), Some(address));
        }
    }

    #[test]
    fn what_is_no_address_of_the_internet_is_none() {
        assert_eq!(RawAddress::NONE.get(), None);
        let mut short = RawAddress::new("192.0.2.7:53".parse().unwrap());
        short.len -= 1;
        assert_eq!(short.get(), None);
    }

    #[test]
    fn the_form_is_the_systems_own() {
        for text in ["192.0.2.7:53", "[2001:db8::1%3]:853"] {
            let address: SocketAddr = text.parse().unwrap();
            let theirs = socket2::SockAddr::from(address);
            let ours = RawAddress::new(address);
            assert_eq!(ours.len, theirs.len());
            assert_eq!(ours.get(), theirs.as_socket());
        }
    }
}
