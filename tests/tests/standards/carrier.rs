//! How packets get to a server and back: one way of asking for every transport.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};

use rustls::{ClientConnection, StreamOwned};
use strait_tests::client::{Stream, tcp, tls, udp};
use strait_tests::{GrpcClient, TlsIdentity};
use strait_wire::Message;

/// A transport of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
    Dot,
    /// `strait.v1.Dns/Exchange`.
    GrpcStream,
    /// `coredns.dns.DnsService/Query`.
    GrpcUnary,
}

impl Transport {
    pub(crate) fn is_udp(self) -> bool {
        self == Self::Udp
    }

    pub(crate) fn is_grpc(self) -> bool {
        matches!(self, Self::GrpcStream | Self::GrpcUnary)
    }

    pub(crate) fn is_encrypted(self) -> bool {
        self == Self::Dot || self.is_grpc()
    }
}

/// An open way to a server.
pub(crate) enum Carrier {
    Udp(UdpSocket),
    Tcp(Stream<TcpStream>),
    Dot(Box<Stream<StreamOwned<ClientConnection, TcpStream>>>),
    GrpcStream(GrpcClient),
    GrpcUnary(GrpcClient),
}

impl Carrier {
    pub(crate) fn open(transport: Transport, server: SocketAddr, identity: &TlsIdentity) -> Self {
        match transport {
            Transport::Udp => Self::Udp(udp(server).unwrap()),
            Transport::Tcp => Self::Tcp(tcp(server).unwrap()),
            Transport::Dot => Self::Dot(Box::new(tls(server, Some(identity), &["dot"]).unwrap())),
            Transport::GrpcStream => Self::GrpcStream(GrpcClient::connect(server, Some(identity)).unwrap()),
            Transport::GrpcUnary => Self::GrpcUnary(GrpcClient::connect(server, Some(identity)).unwrap()),
        }
    }

    /// Sends the packets one behind the other and returns the first `replies` that come, in the order they come.
    #[track_caller]
    pub(crate) fn exchange(&mut self, packets: &[Vec<u8>], replies: usize) -> Vec<Vec<u8>> {
        match self {
            Self::Udp(socket) => {
                for packet in packets {
                    socket.send(packet).unwrap();
                }
                (0..replies).map(|_| datagram(socket)).collect()
            }
            Self::Tcp(stream) => framed(&mut stream.0, packets, replies),
            Self::Dot(stream) => framed(&mut stream.0, packets, replies),
            Self::GrpcStream(client) => {
                client.exchange(packets, replies).unwrap().into_iter().map(|(_, wire)| wire).collect()
            }
            // An error in place of an answer is how this transport keeps silent.
            Self::GrpcUnary(client) => {
                packets.iter().filter_map(|packet| client.query(packet).ok()).take(replies).collect()
            }
        }
    }

    /// Whether a stream ends without a reply to the packet.
    pub(crate) fn is_closed_by(&mut self, packet: &[u8]) -> bool {
        let framed = [&(packet.len() as u16).to_be_bytes()[..], packet].concat();
        let end = |stream: &mut dyn ReadWrite| {
            stream.write_all(&framed).and_then(|()| stream.flush()).unwrap();
            // A reset in place of an end is as good; waiting in vain is not.
            match stream.read(&mut [0]) {
                Ok(length) => length == 0,
                Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            }
        };
        match self {
            Self::Tcp(stream) => end(&mut stream.0),
            Self::Dot(stream) => end(&mut stream.0),
            _ => panic!("only streams can be closed"),
        }
    }

    /// Sends one packet and decodes the one reply.
    #[track_caller]
    pub(crate) fn ask(&mut self, packet: &[u8]) -> Message {
        let replies = self.exchange(&[packet.to_vec()], 1);
        Message::parse(replies.first().expect("a reply")).unwrap()
    }
}

trait ReadWrite: Read + Write {}
impl<S: Read + Write> ReadWrite for S {}

#[track_caller]
fn datagram(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer).expect("a reply");
    buffer.truncate(length);
    buffer
}

#[track_caller]
fn framed(stream: &mut impl ReadWrite, packets: &[Vec<u8>], replies: usize) -> Vec<Vec<u8>> {
    let bytes: Vec<u8> =
        packets.iter().flat_map(|packet| [&(packet.len() as u16).to_be_bytes()[..], packet].concat()).collect();
    stream.write_all(&bytes).unwrap();
    stream.flush().unwrap();
    let reply = |_| {
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("a reply");
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply).expect("a whole reply");
        reply
    };
    (0..replies).map(reply).collect()
}
