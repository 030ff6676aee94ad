//! Opens the sockets that listeners serve.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use strait_datagram::{Sharing, SocketOptions, UdpSocket};
use tokio::net::TcpListener;

/// How the socket of a UDP worker is opened.
const UDP: SocketOptions = SocketOptions {
    // Room for a burst of some ten thousand questions while the worker is kept from the processor.
    receive_buffer: Some(4 << 20),
    receive_timeout: None,
    // An interface that takes nothing for so long is broken; its clients must not hold up the others.
    send_timeout: Some(Duration::from_millis(100)),
};

/// Connections the system completes before they are accepted.
const TCP_BACKLOG: i32 = 1024;

/// Free ports tried until one is free for UDP and TCP alike.
const PORT_TRIES: usize = 32;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({transport}): {source}{hint}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// udp, tcp, ...
    pub transport: &'static str,
    /// What the system says.
    pub source: io::Error,
    /// What to do about it, beginning with "; ", or empty.
    pub hint: &'static str,
}

impl BindError {
    pub(crate) fn new(address: SocketAddr, transport: &'static str, source: io::Error) -> Self {
        let hint = match source.kind() {
            io::ErrorKind::PermissionDenied => {
                "; a port below 1024 needs root or the capability CAP_NET_BIND_SERVICE: grant it, or set a higher port in `listen`"
            }
            io::ErrorKind::AddrInUse => {
                "; another program listens there (`ss -lntup` names it): stop it, or set another address or port in `listen`"
            }
            io::ErrorKind::AddrNotAvailable => {
                "; no interface of this machine has that address: bring the interface up first, or correct `listen`"
            }
            _ => "",
        };
        Self { address, transport, source, hint }
    }
}

/// A UDP socket for each worker and a TCP socket on one address; with port 0 all on the same free port.
///
/// With [`Sharing::Alone`] no other process shares the port in silence: see [`UdpSocket::open_group`].
pub(crate) fn udp_and_tcp(
    address: SocketAddr,
    workers: usize,
    sharing: Sharing,
) -> Result<(Vec<UdpSocket>, TcpListener), BindError> {
    let mut tries = if address.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let open = UdpSocket::open_group(address, workers, sharing, &UDP);
        let udp = open.map_err(|error| BindError::new(address, "udp", error))?;
        let port = udp.first().map_or(0, |socket| socket.local_addr().port());
        match tcp(SocketAddr::new(address.ip(), port), "tcp", sharing) {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if tries == 0 || error.source.kind() != io::ErrorKind::AddrInUse => return Err(error),
            Err(_) => {}
        }
    }
}

/// A listening TCP socket. SO_REUSEADDR: a restart need not wait for old connections to time out.
pub(crate) fn tcp(address: SocketAddr, transport: &'static str, sharing: Sharing) -> Result<TcpListener, BindError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        if sharing == Sharing::WithSuccessor {
            socket.set_reuse_port(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(TCP_BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(|error| BindError::new(address, transport, error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn port_0_is_the_same_port_for_every_worker_and_for_tcp() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (udp, tcp) = udp_and_tcp(address.parse().unwrap(), 3, Sharing::Alone).unwrap();
            let bound = tcp.local_addr().unwrap();
            assert_ne!(bound.port(), 0);
            assert_eq!(udp.iter().map(UdpSocket::local_addr).collect::<Vec<_>>(), [bound; 3]);
        }
    }

    #[tokio::test]
    async fn ipv4_and_ipv6_share_a_port() {
        let (udp, _tcp) = udp_and_tcp("0.0.0.0:0".parse().unwrap(), 1, Sharing::Alone).unwrap();
        let port = udp[0].local_addr().port();
        assert!(udp_and_tcp(SocketAddr::new("::".parse().unwrap(), port), 1, Sharing::Alone).is_ok());
    }

    #[tokio::test]
    async fn a_taken_address_is_an_error_that_says_what_to_do() {
        // Taken by one worker, or by several, which share their port among themselves only.
        for workers in [1, 2] {
            let (udp, _tcp) = udp_and_tcp("127.0.0.1:0".parse().unwrap(), workers, Sharing::Alone).unwrap();
            let taken = udp[0].local_addr();
            let error = udp_and_tcp(taken, 2, Sharing::Alone).unwrap_err();
            assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
            assert_eq!(
                error.to_string(),
                format!(
                    "cannot listen on {taken} (udp): Address already in use (os error 98); another program listens \
                     there (`ss -lntup` names it): stop it, or set another address or port in `listen`",
                )
            );
        }
    }

    #[tokio::test]
    async fn who_shares_an_address_lets_in_who_shares_it_too_and_nobody_else() {
        for workers in [1, 2] {
            let (udp, _tcp) = udp_and_tcp("127.0.0.1:0".parse().unwrap(), workers, Sharing::WithSuccessor).unwrap();
            let shared = udp[0].local_addr();
            let (successor, tcp) = udp_and_tcp(shared, workers, Sharing::WithSuccessor).unwrap();
            assert_eq!((successor[0].local_addr(), tcp.local_addr().unwrap()), (shared, shared));
            let error = udp_and_tcp(shared, workers, Sharing::Alone).unwrap_err();
            assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_an_error_that_says_what_to_do() {
        // 192.0.2.0/24 is for documentation (RFC 5737).
        let error = udp_and_tcp("192.0.2.1:0".parse().unwrap(), 2, Sharing::Alone).unwrap_err();
        assert!(error.to_string().contains("no interface of this machine has that address"), "{error}");
    }

    #[test]
    fn a_forbidden_port_names_the_capability() {
        let error = BindError::new("127.0.0.1:53".parse().unwrap(), "udp", io::ErrorKind::PermissionDenied.into());
        assert!(error.to_string().contains("CAP_NET_BIND_SERVICE"), "{error}");
    }
}
