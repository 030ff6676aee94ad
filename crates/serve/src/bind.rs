//! Opens the sockets that listeners serve.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

/// Asked of the system for each UDP socket; it gives what `net.core.rmem_max` allows. Room for a
/// burst of some ten thousand questions while the loop is elsewhere.
const UDP_RECEIVE_BUFFER: usize = 4 << 20;

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
    fn new(address: SocketAddr, transport: &'static str, source: io::Error) -> Self {
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

/// UDP and TCP sockets on one address; with port 0 on the same free port.
pub(crate) fn udp_and_tcp(address: SocketAddr) -> Result<(UdpSocket, TcpListener), BindError> {
    let mut tries = if address.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let udp = udp(address)?;
        let port = udp.local_addr().map_err(|e| BindError::new(address, "udp", e))?.port();
        match tcp(SocketAddr::new(address.ip(), port), "tcp") {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if tries == 0 || error.source.kind() != io::ErrorKind::AddrInUse => return Err(error),
            Err(_) => {}
        }
    }
}

// No SO_REUSEADDR: on UDP it would let two programs share the port in silence.
fn udp(address: SocketAddr) -> Result<UdpSocket, BindError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Best effort: a smaller buffer only drops earlier under a burst.
        if let Err(error) = socket.set_recv_buffer_size(UDP_RECEIVE_BUFFER) {
            tracing::debug!(%address, %error, "the receive buffer keeps its default size");
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        UdpSocket::from_std(socket.into())
    };
    open().map_err(|error| BindError::new(address, "udp", error))
}

/// A listening TCP socket. SO_REUSEADDR: a restart need not wait for old connections to time out.
pub(crate) fn tcp(address: SocketAddr, transport: &'static str) -> Result<TcpListener, BindError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
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
    async fn port_0_is_the_same_port_for_udp_and_tcp() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (udp, tcp) = udp_and_tcp(address.parse().unwrap()).unwrap();
            assert_eq!(udp.local_addr().unwrap(), tcp.local_addr().unwrap());
            assert_ne!(udp.local_addr().unwrap().port(), 0);
        }
    }

    #[tokio::test]
    async fn ipv4_and_ipv6_share_a_port() {
        let (udp, _tcp) = udp_and_tcp("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = udp.local_addr().unwrap().port();
        assert!(udp_and_tcp(SocketAddr::new("::".parse().unwrap(), port)).is_ok());
    }

    #[tokio::test]
    async fn a_taken_address_is_an_error_that_says_what_to_do() {
        let (udp, _tcp) = udp_and_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = udp_and_tcp(udp.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(
            error.to_string(),
            format!(
                "cannot listen on {} (udp): Address already in use (os error 98); another program listens there \
                 (`ss -lntup` names it): stop it, or set another address or port in `listen`",
                udp.local_addr().unwrap()
            )
        );
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_an_error_that_says_what_to_do() {
        // 192.0.2.0/24 is for documentation (RFC 5737).
        let error = udp_and_tcp("192.0.2.1:0".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("no interface of this machine has that address"), "{error}");
    }

    #[test]
    fn a_forbidden_port_names_the_capability() {
        let error = BindError::new("127.0.0.1:53".parse().unwrap(), "udp", io::ErrorKind::PermissionDenied.into());
        assert!(error.to_string().contains("CAP_NET_BIND_SERVICE"), "{error}");
    }
}
