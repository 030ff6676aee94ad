//! Opening sockets, alone or several on one address.

use std::io;
use std::net::{Shutdown, SocketAddr};
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
}

impl UdpSocket {
    /// Opens a socket on `address`; IPv6 alone on IPv6 addresses.
    pub fn open(address: SocketAddr, options: &SocketOptions) -> io::Result<Self> {
        Self::open_with(address, options, |_| Ok(()))
    }

    /// Opens `count` sockets, at least one, on one address; the system spreads clients over them (`SO_REUSEPORT`).
    /// Port 0: all on the same free port.
    ///
    /// Fails when another socket is bound there already, whether it shares its port or not: the first socket is bound
    /// as one that does not, and lets its siblings in afterwards.
    pub fn open_group(address: SocketAddr, count: usize, options: &SocketOptions) -> io::Result<Vec<Self>> {
        let first = Self::open(address, options)?;
        let address = first.address;
        let mut group = vec![first];
        if count > 1 {
            group[0].socket.set_reuse_port(true)?;
            for _ in 1..count {
                group.push(Self::open_with(address, options, |socket| socket.set_reuse_port(true))?);
            }
        }
        Ok(group)
    }

    fn open_with(
        address: SocketAddr,
        options: &SocketOptions,
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
        Ok(Self { socket, address })
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
        Self { socket, address: ([0, 0, 0, 0], 0).into() }
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd()
    }
}
