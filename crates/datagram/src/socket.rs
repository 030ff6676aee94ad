//! Opening sockets, alone or several on one address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::system;

/// What a socket is opened with.
#[derive(Debug, Clone, Copy, Default)]
pub struct SocketOptions {
    /// Octets of received datagrams the system is to hold; none: its default. It gives what `net.core.rmem_max`
    /// allows, and more only with the capability CAP_NET_ADMIN; [`UdpSocket::receive_buffer`] tells what it gave.
    pub receive_buffer: Option<usize>,
    /// The longest that a waiting receive waits.
    pub receive_timeout: Option<Duration>,
    /// The longest that a waiting send waits for room in the send buffer.
    pub send_timeout: Option<Duration>,
}

/// Who may listen on an address together with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody: an address that somebody listens on is an error, and whoever comes later gets one.
    Alone,
    /// Other programs of the same user that share it as well (`SO_REUSEPORT`): who takes over from us, or we from them.
    WithSuccessor,
}

/// Whether to wait when there is nothing to receive, or no room to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Wait, at most for the time the socket was opened with.
    Yes,
    /// Come back at once.
    No,
}

/// A UDP socket. Bound to a wildcard address it knows for each datagram the address it was sent to.
#[derive(Debug)]
pub struct UdpSocket {
    socket: Socket,
    address: SocketAddr,
    sharing: Sharing,
}

impl UdpSocket {
    /// Opens a socket on `address`; IPv6 alone on IPv6 addresses.
    pub fn open(address: SocketAddr, options: &SocketOptions) -> io::Result<Self> {
        Self::open_with(address, options, Sharing::Alone, |_| Ok(()))
    }

    /// Opens `count` sockets, at least one, on one address; the system spreads clients over them (`SO_REUSEPORT`).
    /// Port 0: all on the same free port.
    ///
    /// [`Sharing::Alone`] fails when another socket is bound there already, whether it shares its port or not: the first
    /// socket is bound as one that does not, and lets its siblings in afterwards. [`Sharing::WithSuccessor`] fails only
    /// when somebody is there who does not share, or another user.
    pub fn open_group(
        address: SocketAddr,
        count: usize,
        sharing: Sharing,
        options: &SocketOptions,
    ) -> io::Result<Vec<Self>> {
        let shared = |socket: &Socket| socket.set_reuse_port(true);
        let first = match sharing {
            Sharing::Alone => Self::open(address, options)?,
            Sharing::WithSuccessor => Self::open_with(address, options, sharing, shared)?,
        };
        let address = first.address;
        let mut group = vec![first];
        if count > 1 {
            shared(&group[0].socket)?;
            for _ in 1..count {
                group.push(Self::open_with(address, options, sharing, shared)?);
            }
        }
        Ok(group)
    }

    fn open_with(
        address: SocketAddr,
        options: &SocketOptions,
        sharing: Sharing,
        prepare: impl Fn(&Socket) -> io::Result<()>,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if let Some(octets) = options.receive_buffer {
            system::set_receive_buffer(socket.as_fd(), octets)?;
        }
        socket.set_read_timeout(options.receive_timeout)?;
        socket.set_write_timeout(options.send_timeout)?;
        if address.ip().is_unspecified() {
            system::tell_local_addresses(socket.as_fd(), address.is_ipv6())?;
        }
        prepare(&socket)?;
        socket.bind(&address.into())?;
        let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { socket, address, sharing })
    }

    /// Leaves what comes from now on to those who share the address; what has come before can still be received, and
    /// replies can be sent. Does nothing to a socket that shares with nobody.
    pub fn leave(&self) -> io::Result<()> {
        if self.sharing == Sharing::Alone {
            return Ok(());
        }
        // To itself: Linux gives a connected socket only what comes from its peer, and passes it over when it picks one
        // of those that share a port.
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        self.connect(SocketAddr::new(ip, self.address.port()))
    }

    /// Sends to `server` from now on, and receives from there only.
    pub fn connect(&self, server: SocketAddr) -> io::Result<()> {
        self.socket.connect(&server.into())
    }

    /// The address bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Octets of received datagrams the system holds at most, its own bookkeeping included (about twice what was
    /// asked for).
    pub fn receive_buffer(&self) -> io::Result<usize> {
        self.socket.recv_buffer_size()
    }

    /// Datagrams that the system has dropped so far for want of room in the receive buffer.
    pub fn dropped(&self) -> io::Result<u32> {
        system::dropped(self.fd())
    }

    /// Ends the waiting of a receive for good, now or when it begins: from now on it takes what is there, and without
    /// anything there returns at once. Sending goes on.
    pub fn wake(&self) {
        // ENOTCONN, since there is no connection; the receiver is woken all the same.
        let _ = self.socket.shutdown(Shutdown::Read);
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
impl From<Socket> for UdpSocket {
    fn from(socket: Socket) -> Self {
        Self { socket, address: ([0, 0, 0, 0], 0).into(), sharing: Sharing::Alone }
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd()
    }
}
