//! DNS clients over UDP, TCP and TLS: bytes in, bytes out, nothing repaired on the way.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use strait_wire::{Message, Name, Record, RecordType};

use crate::patience;

/// A query with EDNS and recursion desired.
pub fn query(name: &str, rtype: &str) -> Message {
    let name: Name = name.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
    let rtype: RecordType = rtype.parse().unwrap_or_else(|_| panic!("{rtype} is no type"));
    // Identifiers need not be unguessable here, only different.
    let id = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |t| t.subsec_nanos() >> 8);
    Message::query(id as u16, name, rtype)
}

/// Asks over UDP and fails when no answer comes.
#[track_caller]
pub fn ask(server: SocketAddr, name: &str, rtype: &str) -> Message {
    ask_udp(server, &query(name, rtype)).unwrap_or_else(|error| panic!("{name} {rtype} from {server}: {error}"))
}

/// Asks over UDP.
pub fn ask_udp(server: SocketAddr, query: &Message) -> io::Result<Message> {
    let socket = udp(server)?;
    socket.send(&query.to_wire().unwrap())?;
    receive(&socket)
}

/// Asks over a TCP connection of its own.
pub fn ask_tcp(server: SocketAddr, query: &Message) -> io::Result<Message> {
    tcp(server)?.ask(query)
}

/// A UDP socket that talks to `server` only.
pub fn udp(server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" })?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(patience()))?;
    Ok(socket)
}

/// The next datagram, decoded.
pub fn receive(socket: &UdpSocket) -> io::Result<Message> {
    let mut buffer = [0; 65_535];
    let length = socket.recv(&mut buffer)?;
    parse(&buffer[..length])
}

/// A connection that carries messages with two octets of length (RFC 1035 4.2.2).
pub struct Stream<S>(pub S);

impl<S: Read + Write> Stream<S> {
    /// Sends messages in one piece.
    pub fn send(&mut self, messages: &[&Message]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for message in messages {
            let wire = message.to_wire().unwrap();
            bytes.extend_from_slice(&(wire.len() as u16).to_be_bytes());
            bytes.extend_from_slice(&wire);
        }
        self.0.write_all(&bytes)?;
        self.0.flush()
    }

    /// The next message.
    pub fn receive(&mut self) -> io::Result<Message> {
        let mut length = [0; 2];
        self.0.read_exact(&mut length)?;
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        self.0.read_exact(&mut bytes)?;
        parse(&bytes)
    }

    /// Sends one and receives one.
    pub fn ask(&mut self, query: &Message) -> io::Result<Message> {
        self.send(&[query])?;
        self.receive()
    }
}

/// A TCP connection.
pub fn tcp(server: SocketAddr) -> io::Result<Stream<TcpStream>> {
    let stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(patience()))?;
    stream.set_nodelay(true)?;
    Ok(Stream(stream))
}

/// A certificate chain and its key, PEM, to show to a server.
#[derive(Clone)]
pub struct TlsIdentity {
    /// Leaf first.
    pub certificate: String,
    /// PKCS #8.
    pub key: String,
}

/// A TLS connection that believes any server; what is tested is whom the server believes.
///
/// In TLS 1.3 a server refuses a client's certificate after the client is done: expect the error
/// from the first answer.
pub fn tls(
    server: SocketAddr,
    identity: Option<&TlsIdentity>,
    alpn: &[&str],
) -> io::Result<Stream<StreamOwned<ClientConnection, TcpStream>>> {
    let config = Arc::new(tls_config(identity, alpn));
    let name = ServerName::IpAddress(server.ip().into());
    let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    Ok(Stream(StreamOwned::new(connection, tcp(server)?.0)))
}

/// The TLS configuration of [`tls`].
pub fn tls_config(identity: Option<&TlsIdentity>, alpn: &[&str]) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(provider)));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).collect();
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain.unwrap(), key).unwrap()
        }
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}

/// Believes any certificate, but not a forged signature.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The answer section, a line per record: `a.example. A 192.0.2.1`, without TTL, in order.
pub fn lines(message: &Message) -> Vec<String> {
    message.answers.iter().map(line).collect()
}

/// Owner, type and data of a record.
pub fn line(record: &Record) -> String {
    let bytes = record.rdata.as_bytes();
    let data = match (record.rtype, bytes.len()) {
        (RecordType::A, 4) => std::net::Ipv4Addr::from(*bytes.first_chunk::<4>().unwrap()).to_string(),
        (RecordType::AAAA, 16) => std::net::Ipv6Addr::from(*bytes.first_chunk::<16>().unwrap()).to_string(),
        (RecordType::SRV, 7..) => {
            let number = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            let target = record.rdata.names().next().unwrap();
            format!("{} {} {} {target}", number(0), number(2), number(4))
        }
        (RecordType::TXT, _) => bytes.escape_ascii().to_string(),
        _ => match record.rdata.names().next() {
            Some(name) => name.to_string(),
            None => bytes.iter().map(|octet| format!("{octet:02x}")).collect(),
        },
    };
    format!("{} {} {data}", record.name, record.rtype)
}

fn parse(bytes: &[u8]) -> io::Result<Message> {
    Message::parse(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
