//! As much of rtnetlink(7) as it takes to make a dummy link with addresses: one request, one acknowledgement.

use std::io::{self, Read};
use std::net::IpAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// `AF_NETLINK` and `NETLINK_ROUTE`.
const NETLINK: i32 = 16;
const ROUTE: i32 = 0;

/// Types of messages.
const ERROR: u16 = 2;
const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;

/// Flags of messages: a request, acknowledged; made, and not there before.
const REQUEST: u16 = 0x1 | 0x4;
const CREATE: u16 = 0x400;
const EXCLUSIVELY: u16 = 0x200;

/// Attributes of a link: its name, what kind it is of, and that kind.
const LINK_NAME: u16 = 3;
const LINK_INFO: u16 = 18;
const INFO_KIND: u16 = 1;

/// Attributes of an address: the address (of the other end of a link between two), ours, and flags.
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
const FLAGS: u16 = 8;
/// It is there at once: nobody else of this link could have it (`IFA_F_NODAD`).
const NO_DETECTION: u32 = 0x2;
/// Not beyond this host (`RT_SCOPE_HOST`); IPv6 knows such addresses by themselves.
const OF_THIS_HOST: u8 = 254;

/// `IFF_UP` and `IFF_LOOPBACK`.
const UP: u32 = 0x1;
const LOOPBACK: u32 = 0x8;
/// Of the type of an attribute; the rest are flags (`NLA_TYPE_MASK`).
const TYPE: u16 = 0x3fff;

/// `ENODEV`: no such link; `EADDRNOTAVAIL`: the link has no such address.
const NO_DEVICE: i32 = 19;
const NO_ADDRESS: i32 = 99;

const HEADER: usize = 16;
/// The kernel answers at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// A link's description takes some two thousand octets.
const MAX_ANSWER: usize = 64 << 10;

/// The number of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link(u32);

/// What a link is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// One that leads nowhere, and can be made and removed at will.
    Dummy,
    /// The host's own, which is always there.
    Loopback,
    /// Anything else, by the kernel's word for it; a network card has none.
    Other(String),
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dummy => f.write_str("a dummy link"),
            Self::Loopback => f.write_str("the loopback link"),
            Self::Other(kind) if kind.is_empty() => f.write_str("a network device"),
            Self::Other(kind) => write!(f, "a link of kind {kind}"),
        }
    }
}

/// A conversation with the kernel about links and addresses.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::from(NETLINK), Type::DGRAM, Some(Protocol::from(ROUTE)))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The link of that name and what it is, if there is one.
    pub(super) fn link(&mut self, name: &str) -> io::Result<Option<(Link, Kind)>> {
        let body = [link_message(Link(0), 0, 0), attribute(LINK_NAME, &zero_ended(name))].concat();
        match self.ask(GET_LINK, 0, &body) {
            Ok(told) => told.as_deref().and_then(link_told).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into()),
            Err(error) if error.raw_os_error() == Some(NO_DEVICE) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a dummy link: one that leads nowhere.
    pub(super) fn make_dummy(&mut self, name: &str) -> io::Result<(Link, Kind)> {
        let info = attribute(LINK_INFO, &attribute(INFO_KIND, b"dummy"));
        let body = [link_message(Link(0), 0, 0), attribute(LINK_NAME, &zero_ended(name)), info].concat();
        match self.ask(NEW_LINK, CREATE | EXCLUSIVELY, &body) {
            Ok(_) => {}
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        self.link(name)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Brings a link up.
    pub(super) fn bring_up(&mut self, link: Link) -> io::Result<()> {
        self.ask(NEW_LINK, 0, &link_message(link, UP, UP)).map(drop)
    }

    /// Removes a link.
    pub(super) fn remove(&mut self, link: Link) -> io::Result<()> {
        self.ask(DELETE_LINK, 0, &link_message(link, 0, 0)).map(drop)
    }

    /// Gives an address to a link, unless it has it.
    pub(super) fn add_address(&mut self, link: Link, address: IpAddr) -> io::Result<()> {
        match self.ask(NEW_ADDRESS, CREATE | EXCLUSIVELY, &address_message(link, address)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Takes an address away that stands alone on a link, as `add_address` gives it; whether it was there.
    pub(super) fn remove_address(&mut self, link: Link, address: IpAddr) -> io::Result<bool> {
        match self.ask(DELETE_ADDRESS, 0, &address_message(link, address)) {
            Ok(_) => Ok(true),
            Err(error) if error.raw_os_error() == Some(NO_ADDRESS) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// One request, and what comes before its acknowledgement, without its header.
    fn ask(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.sequence += 1;
        self.socket.send(&message(kind, REQUEST | flags, self.sequence, body))?;
        let (mut told, mut buffer) = (None, vec![0; MAX_ANSWER]);
        loop {
            let length = self.socket.read(&mut buffer)?;
            for Message { kind, sequence, body } in messages(&buffer[..length]) {
                match kind {
                    _ if sequence != self.sequence => {}
                    ERROR => return acknowledged(body).map(|()| told),
                    _ => told = Some(body.to_vec()),
                }
            }
        }
    }
}

/// A message as it came.
struct Message<'a> {
    kind: u16,
    sequence: u32,
    body: &'a [u8],
}

/// The messages of an answer; what is cut off is left out.
fn messages(mut octets: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        // struct nlmsghdr: length, type, flags, sequence, port.
        let length = usize::try_from(u32::from_ne_bytes(octets.get(..4)?.try_into().ok()?)).ok()?;
        let kind = u16::from_ne_bytes(octets.get(4..6)?.try_into().ok()?);
        let sequence = u32::from_ne_bytes(octets.get(8..12)?.try_into().ok()?);
        let body = octets.get(HEADER..length)?;
        octets = octets.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, sequence, body })
    })
}

/// What an acknowledgement says: zero, or the number of an error, negative (struct nlmsgerr).
fn acknowledged(body: &[u8]) -> io::Result<()> {
    let octets: Option<[u8; 4]> = body.get(..4).and_then(|octets| octets.try_into().ok());
    match octets.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(error.saturating_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// A message: its header, and its body.
fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    // Our port; the kernel knows it.
    message.extend([0; 4]);
    message.extend(body);
    message
}

/// struct ifinfomsg: of which link, and which of its flags are to be what.
fn link_message(Link(number): Link, flags: u32, mask: u32) -> Vec<u8> {
    let mut message = vec![0; 4];
    message.extend(number.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(mask.to_ne_bytes());
    message
}

/// A link as it is told: struct ifinfomsg (family, padding, device type, number, flags, mask), and attributes.
fn link_told(body: &[u8]) -> Option<(Link, Kind)> {
    let word = |at: usize| Some(u32::from_ne_bytes(body.get(at..at + 4)?.try_into().ok()?));
    let (number, flags) = (Link(word(4)?), word(8)?);
    let info = value(body.get(16..)?, LINK_INFO).unwrap_or_default();
    let kind = String::from_utf8_lossy(value(info, INFO_KIND).unwrap_or_default());
    let kind = match kind.trim_end_matches('\0') {
        "dummy" => Kind::Dummy,
        _ if flags & LOOPBACK != 0 => Kind::Loopback,
        other => Kind::Other(other.to_owned()),
    };
    Some((number, kind))
}

/// The value of the first attribute of that type.
fn value(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(attributes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(attributes.get(2..4)?.try_into().ok()?) & TYPE;
        let value = attributes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

/// struct ifaddrmsg and its attributes: an address of this host alone.
fn address_message(Link(number): Link, address: IpAddr) -> Vec<u8> {
    let (family, length, scope, octets) = match address {
        IpAddr::V4(ip) => (2, 32, OF_THIS_HOST, ip.octets().to_vec()),
        // The whole world, as far as IPv6 is asked: what is of this host only it says of ::1 alone.
        IpAddr::V6(ip) => (10, 128, 0, ip.octets().to_vec()),
    };
    let mut message = vec![family, length, 0, scope];
    message.extend(number.to_ne_bytes());
    message.extend(attribute(LOCAL, &octets));
    message.extend(attribute(ADDRESS, &octets));
    message.extend(attribute(FLAGS, &NO_DETECTION.to_ne_bytes()));
    message
}

/// struct rtattr: length, type, value, up to a multiple of four octets.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 4 + value.len();
    let mut attribute = Vec::with_capacity(length.next_multiple_of(4));
    attribute.extend(u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
    attribute.extend(kind.to_ne_bytes());
    attribute.extend(value);
    attribute.resize(length.next_multiple_of(4), 0);
    attribute
}

fn zero_ended(name: &str) -> Vec<u8> {
    [name.as_bytes(), b"\0"].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_loopback_link_is_found_and_another_is_not() {
        let mut netlink = Netlink::open().unwrap();
        // Number 1 in every network namespace.
        let loopback = Some((Link(1), Kind::Loopback));
        assert_eq!(netlink.link("lo").unwrap(), loopback);
        assert_eq!(netlink.link("none-such").unwrap(), None);
        // The next answer is that of the next question.
        assert_eq!(netlink.link("lo").unwrap(), loopback);
    }

    #[test]
    fn what_a_link_is_is_read_from_what_is_told() {
        let name = attribute(LINK_NAME, b"x\0");
        // With the flag of attributes that hold others (NLA_F_NESTED), as some kernels set it, and without.
        let info = |kind: &[u8], nested| attribute(LINK_INFO | nested, &attribute(INFO_KIND, kind));
        // (its flags, its attributes, what it is)
        for (flags, attributes, kind) in [
            (0, [name.clone(), info(b"dummy", 0)].concat(), Kind::Dummy),
            (UP, [info(b"dummy\0", 0x8000), name.clone()].concat(), Kind::Dummy),
            (LOOPBACK, name.clone(), Kind::Loopback),
            (UP, [name.clone(), info(b"bridge", 0)].concat(), Kind::Other("bridge".to_owned())),
            (UP, name, Kind::Other(String::new())),
        ] {
            let told = [link_message(Link(7), flags, 0), attributes].concat();
            assert_eq!(link_told(&told), Some((Link(7), kind)));
            // Cut off within the header it is none.
            assert!((0..16).all(|cut| link_told(&told[..cut]).is_none()));
        }
    }

    #[test]
    fn attributes_end_at_a_multiple_of_four() {
        assert_eq!(attribute(3, b"lo\0"), [7, 0, 3, 0, b'l', b'o', 0, 0]);
        assert_eq!(attribute(1, &[127, 0, 0, 1]), [8, 0, 1, 0, 127, 0, 0, 1]);
    }

    #[test]
    fn what_is_cut_off_is_no_message() {
        let whole = message(NEW_LINK, 0, 7, b"abcd");
        let two = [whole.clone(), message(ERROR, 0, 8, &[0; 4])].concat();
        let sequences = |octets: &[u8]| messages(octets).map(|message| message.sequence).collect::<Vec<_>>();
        assert_eq!(sequences(&two), [7, 8]);
        for cut in 0..whole.len() {
            assert_eq!(sequences(&whole[..cut]), [0_u32; 0], "{cut}");
        }
        acknowledged(&[0; 4]).unwrap();
        assert_eq!(acknowledged(&(-1_i32).to_ne_bytes()).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(acknowledged(&[]).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
