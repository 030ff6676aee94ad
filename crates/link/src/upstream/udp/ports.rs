//! Source ports and the sockets on them.
//!
//! Ports are drawn here, from everything above the privileged ones, since the kernel's own range holds less than half
//! as many (RFC 5452 9.2, RFC 6056 3.2). Left out is what is likely to be wanted by others on a node: what the operator
//! has reserved, node ports, and the ports of daemons that may start while we hold theirs.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use socket2::{Domain, Protocol, Socket, Type};

/// All that a process without privileges may bind.
const PORTS: RangeInclusive<u16> = 1024..=65535;
/// Draws before the choice is left to the kernel: with most ports taken, or a policy against binding them.
const DRAWS: usize = 8;
/// Where the operator reserves ports for others.
const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";
/// UDP ports of what runs on nodes: a socket of ours on one of them could keep it from starting.
const OTHERS: [RangeInclusive<u16>; 20] = [
    1194..=1194,   // OpenVPN
    1701..=1701,   // L2TP
    1812..=1813,   // RADIUS
    2049..=2049,   // NFS
    3478..=3479,   // STUN
    3784..=3785,   // BFD
    4500..=4500,   // IPsec
    4784..=4784,   // BFD
    4789..=4791,   // VXLAN, RoCE
    5060..=5061,   // SIP
    5353..=5355,   // multicast DNS, LLMNR
    6081..=6081,   // Geneve
    6783..=6784,   // Weave
    8125..=8125,   // StatsD
    8285..=8285,   // flannel
    8472..=8472,   // VXLAN of Linux
    11211..=11211, // memcached
    30000..=32767, // node ports
    51820..=51821, // WireGuard
    65535..=65535, // taken for "any" by some packet filters
];

/// Descriptors of this process that sockets for upstreams may take: this part of the limit of open files.
const DESCRIPTORS_SHARE: usize = 4;

/// The ports that are not drawn.
#[derive(Debug, Clone)]
pub(in crate::upstream) struct Ports {
    avoided: Vec<RangeInclusive<u16>>,
}

impl Ports {
    /// All but `own` (our listeners), what the operator has reserved, and what others on a node use.
    pub(in crate::upstream) fn new(own: impl IntoIterator<Item = u16>) -> Self {
        let reserved = std::fs::read_to_string(RESERVED).unwrap_or_default();
        let own = own.into_iter().map(|port| port..=port);
        Self { avoided: OTHERS.into_iter().chain(own).chain(parse(&reserved)).collect() }
    }

    fn draw(&self) -> u16 {
        loop {
            let port = rand::random_range(PORTS);
            if !self.avoided.iter().any(|range| range.contains(&port)) {
                return port;
            }
        }
    }

    /// A socket on a random port that hears `server` only.
    pub(super) fn open(&self, server: SocketAddr) -> Result<BoundedSocket, OpenError> {
        let held = Held::take().ok_or_else(|| OpenError::NoRoom(too_many()))?;
        let kind = Type::DGRAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(server), kind, Some(Protocol::UDP)).map_err(OpenError::NoRoom)?;
        let drawn = (0..DRAWS).any(|_| socket.bind(&any(server, self.draw()).into()).is_ok());
        if !drawn {
            socket.bind(&any(server, 0).into()).map_err(OpenError::NoRoom)?;
        }
        socket.connect(&server.into()).map_err(OpenError::NotReachable)?;
        Ok(BoundedSocket { udp: socket.into(), _held: held })
    }
}

/// `1024,2000-2010` as the kernel writes it; what cannot be read is left out.
fn parse(text: &str) -> impl Iterator<Item = RangeInclusive<u16>> {
    text.trim().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    })
}

fn any(server: SocketAddr, port: u16) -> SocketAddr {
    match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, port).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, port).into(),
    }
}

fn too_many() -> io::Error {
    io::Error::other("upstreams have their part of the open files already; raise the limit of open files")
}

/// Why a question cannot be asked over UDP.
#[derive(Debug)]
pub(in crate::upstream) enum OpenError {
    /// It is up to us: too many open files, no free port, a full send buffer. Not the server's fault.
    NoRoom(io::Error),
    /// The system says that the server cannot be reached.
    NotReachable(io::Error),
}

impl OpenError {
    /// Of what the system says when a question is sent, or afterwards. A full buffer is our limit, and so is what no
    /// system has said but we ourselves.
    pub(in crate::upstream) fn of_sending(error: io::Error) -> Self {
        let is_ours = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::OutOfMemory | ErrorKind::Other)
            || error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error());
        if is_ours { Self::NoRoom(error) } else { Self::NotReachable(error) }
    }
}

/// A socket that counts among those of this process.
pub(super) struct BoundedSocket {
    pub(super) udp: UdpSocket,
    _held: Held,
}

#[cfg(test)]
thread_local! {
    /// Whether the send buffers of all sockets are full, for who runs on this thread.
    pub(in crate::upstream) static BUFFERS_ARE_FULL: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

impl BoundedSocket {
    /// Sends a question, now or not at all.
    pub(super) fn send(&self, wire: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if BUFFERS_ARE_FULL.get() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.udp.send(wire).map(drop)
    }
}

/// Sockets to upstreams that are open now.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// One descriptor of the part that upstreams may take.
struct Held;

impl Held {
    fn take() -> Option<Self> {
        static MOST: OnceLock<usize> = OnceLock::new();
        let most = *MOST.get_or_init(|| {
            let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
            usize::try_from(limit).unwrap_or(usize::MAX) / DESCRIPTORS_SHARE
        });
        let taken = OPEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < most).then_some(open + 1));
        taken.is_ok().then_some(Self)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_are_read_as_the_kernel_writes_them() {
        let cases: [(&str, &[RangeInclusive<u16>]); 4] = [
            ("\n", &[]),
            ("8080\n", &[8080..=8080]),
            ("8080,9000-9010,30000-32767\n", &[8080..=8080, 9000..=9010, 30000..=32767]),
            // Not of this form: left out.
            ("x,70000,1-2-3,53", &[53..=53]),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn ports_of_others_are_never_drawn() {
        let ports = Ports::new([5300, 40_000]);
        let drawn: Vec<u16> = (0..1_000_000).map(|_| ports.draw()).collect();
        for avoided in [5300..=5300, 40_000..=40_000, 8472..=8472, 30_000..=32_767, 0..=1023] {
            assert!(!drawn.iter().any(|port| avoided.contains(port)), "{avoided:?}");
        }
        // All others are: of 60,000 ports a million draws miss none but for bad luck beyond all reason.
        let distinct: std::collections::HashSet<u16> = drawn.into_iter().collect();
        let all = PORTS.filter(|port| !ports.avoided.iter().any(|range| range.contains(port))).count();
        assert!(distinct.len() > all - 10, "{} of {all}", distinct.len());
    }

    #[test]
    fn a_full_buffer_is_our_limit() {
        // What the system says, and whether it is up to us.
        let cases = [
            (io::Error::from_raw_os_error(Errno::AGAIN.raw_os_error()), true),
            (io::Error::from_raw_os_error(Errno::NOBUFS.raw_os_error()), true),
            (io::Error::from_raw_os_error(Errno::NOMEM.raw_os_error()), true),
            (io::Error::other("said here"), true),
            (io::Error::from_raw_os_error(Errno::CONNREFUSED.raw_os_error()), false),
            (io::Error::from_raw_os_error(Errno::NETUNREACH.raw_os_error()), false),
            (io::Error::from_raw_os_error(Errno::PERM.raw_os_error()), false),
        ];
        for (error, ours) in cases {
            let text = error.to_string();
            assert_eq!(matches!(OpenError::of_sending(error), OpenError::NoRoom(_)), ours, "{text}");
        }
    }

    /// A port that is taken is no error: another is drawn.
    #[test]
    fn a_taken_port_is_passed_over() {
        let server: SocketAddr = "127.0.0.1:53".parse().unwrap();
        let taken = UdpSocket::bind("0.0.0.0:0").unwrap();
        let only = taken.local_addr().unwrap().port();
        let ports = Ports { avoided: vec![0..=only - 1, only + 1..=65535] };
        let socket = ports.open(server).unwrap();
        assert_ne!(socket.udp.local_addr().unwrap().port(), only);
        assert_eq!(socket.udp.peer_addr().unwrap(), server);
    }
}
