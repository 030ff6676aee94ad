//! Scripted servers for the tests of this crate.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub(crate) mod cluster;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use strait_resolve::Ask;
use strait_wire::{Class, ClusterPath, Flags, Message, Name, Question, Rcode, Rdata, Record, RecordType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::{UpstreamServer, UpstreamServers, UpstreamSettings};

/// A client configuration for tests that never use it.
pub(crate) fn no_tls() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

/// An upstream group for everything.
pub(crate) fn upstream_settings(servers: Vec<UpstreamServer>) -> UpstreamSettings {
    UpstreamSettings {
        name: ".".to_owned(),
        zone: Name::root(),
        servers: UpstreamServers::List(servers),
        exclude: Vec::new(),
        ca: None,
        min_try_budget: Duration::from_millis(100),
        max_try_budget: Duration::from_millis(700),
        deadline: Duration::from_secs(3),
        max_outstanding: 100,
    }
}

/// Asks until `condition` holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let patience = Duration::from_secs(20);
    let held = tokio::time::timeout(patience, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(held.await.is_ok(), "not within {patience:?}: {what}");
}

pub(crate) fn ask(name: &str) -> Ask {
    let question = Question { name: name.parse().unwrap(), rtype: RecordType::A, class: Class::IN };
    Ask { question, dnssec_ok: false, checking_disabled: false, path: ClusterPath::default() }
}

/// The response to `query` with one address.
pub(crate) fn answer(query: &[u8], address: [u8; 4]) -> Message {
    let query = Message::parse(query).unwrap();
    let mut message = Message::response(query.questions[0].clone(), Rcode::NOERROR);
    message.id = query.id;
    message.answers = vec![a_record(query.questions[0].name.clone(), address)];
    message
}

pub(crate) fn a_record(name: Name, address: [u8; 4]) -> Record {
    Record { name, rtype: RecordType::A, class: Class::IN, ttl: 60, rdata: Rdata::opaque(address.to_vec()) }
}

/// The response to `query` with an rcode only.
pub(crate) fn failure(query: &[u8], rcode: Rcode) -> Message {
    let query = Message::parse(query).unwrap();
    let mut message = Message::response(query.questions[0].clone(), rcode);
    message.id = query.id;
    message
}

pub(crate) fn wire(message: &Message) -> Vec<u8> {
    message.to_wire().unwrap()
}

/// `message` with TC set and no records.
pub(crate) fn truncated(query: &[u8]) -> Vec<u8> {
    let mut message = failure(query, Rcode::NOERROR);
    message.flags = message.flags.with(Flags::TC, true);
    wire(&message)
}

/// The address in the first record of an answer.
pub(crate) fn address_in(answer: &strait_wire::Answer) -> [u8; 4] {
    answer.to_message().unwrap().answers[0].rdata.as_bytes().try_into().unwrap()
}

/// A UDP server that gives each question to `script`, which sends the datagrams it returns with pauses before each.
pub(crate) async fn udp_server<S>(script: S) -> SocketAddr
where
    S: FnMut(&[u8], SocketAddr) -> Vec<(Duration, Vec<u8>)> + Send + 'static,
{
    serve_udp(UdpSocket::bind("127.0.0.1:0").await.unwrap(), script)
}

pub(crate) fn serve_udp<S>(socket: UdpSocket, mut script: S) -> SocketAddr
where
    S: FnMut(&[u8], SocketAddr) -> Vec<(Duration, Vec<u8>)> + Send + 'static,
{
    let address = socket.local_addr().unwrap();
    let socket = Arc::new(socket);
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            let replies = script(&buffer[..len], from);
            let socket = Arc::clone(&socket);
            tokio::spawn(async move {
                for (pause, reply) in replies {
                    tokio::time::sleep(pause).await;
                    let _ = socket.send_to(&reply, from).await;
                }
            });
        }
    });
    address
}

/// UDP and TCP on the same port.
pub(crate) async fn udp_and_tcp() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

/// As the pause before an answer: cut the connection instead.
pub(crate) const CUT: Duration = Duration::MAX;

/// A TCP server that answers each question with what `script` makes of it, after the pause it names.
pub(crate) fn serve_tcp<S>(listener: TcpListener, script: S) -> tokio::task::JoinHandle<()>
where
    S: Fn(&[u8]) -> Option<(Duration, Vec<u8>)> + Send + Sync + Clone + 'static,
{
    tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve_stream(stream, script.clone()));
        }
    })
}

/// Serves one connection; it is cut when this future is dropped.
pub(crate) async fn serve_stream<T, S>(stream: T, script: S)
where
    T: AsyncRead + AsyncWrite + Send + 'static,
    S: Fn(&[u8]) -> Option<(Duration, Vec<u8>)>,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (send, mut receive) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
    let write = async move {
        while let Some(message) = receive.recv().await {
            let mut frame = (message.len() as u16).to_be_bytes().to_vec();
            frame.extend_from_slice(&message);
            if writer.write_all(&frame).await.is_err() || writer.flush().await.is_err() {
                break;
            }
        }
    };
    let read = async move {
        while let Ok(len) = reader.read_u16().await {
            let mut query = vec![0; usize::from(len)];
            if reader.read_exact(&mut query).await.is_err() {
                break;
            }
            if let Some((pause, reply)) = script(&query) {
                let send = send.clone();
                match pause {
                    CUT => break,
                    Duration::ZERO => drop(send.send(reply)),
                    pause => drop(tokio::spawn(async move {
                        tokio::time::sleep(pause).await;
                        let _ = send.send(reply);
                    })),
                }
            }
        }
    };
    tokio::join!(read, write);
}
