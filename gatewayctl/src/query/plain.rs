//! A question over plain DNS: UDP, and TCP when the answer is truncated.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use strait_wire::{Flags, MAX_MESSAGE_LEN, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// A node-agent's own deadline is 3 s; a moment more, so that its SERVFAIL is seen.
const TRY_TIMEOUT: Duration = Duration::from_millis(3500);

/// A datagram may be lost once.
const TRIES: usize = 2;

/// Asks; says which transport the answer came over.
pub(super) async fn ask(server: SocketAddr, question: &Message) -> anyhow::Result<(Message, &'static str)> {
    let wire = question.to_wire()?;
    let answer = over_udp(server, &wire, question).await?;
    match answer.flags.has(Flags::TC) {
        false => Ok((answer, "udp")),
        true => {
            let answer = timeout(TRY_TIMEOUT, over_tcp(server, &wire)).await;
            let answer = answer.map_err(|_| anyhow!("{server} does not answer over TCP within 3.5 s"))?;
            let answer = answer.with_context(|| format!("{server} over TCP"))?;
            Ok((read(&answer, question)?, "tcp"))
        }
    }
}

/// Reads an answer, and holds it against its question.
pub(super) fn read(wire: &[u8], question: &Message) -> anyhow::Result<Message> {
    let answer = Message::parse(wire).context("the answer is not a DNS message")?;
    // Errors that come before the question is read may leave it out.
    let matches = answer.questions.is_empty() || answer.questions == question.questions;
    match answer.flags.has(Flags::QR) && answer.id == question.id && matches {
        true => Ok(answer),
        false => bail!("the answer is to another question"),
    }
}

async fn over_udp(server: SocketAddr, wire: &[u8], question: &Message) -> anyhow::Result<Message> {
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await.map_err(|error| explain(server, &error))?;
    for _ in 0..TRIES {
        socket.send(wire).await.map_err(|error| explain(server, &error))?;
        if let Ok(answer) = timeout(TRY_TIMEOUT, receive(&socket, question)).await {
            return answer.map_err(|error| explain(server, &error));
        }
    }
    bail!("{server} does not answer; is a node-agent listening there, and may this address ask it (`allow`)?")
}

/// The first datagram that answers the question; others are somebody else's.
async fn receive(socket: &UdpSocket, question: &Message) -> io::Result<Message> {
    let mut buffer = vec![0; MAX_MESSAGE_LEN];
    loop {
        let len = socket.recv(&mut buffer).await?;
        if let Ok(answer) = read(&buffer[..len], question) {
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, wire: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let len = u16::try_from(wire.len()).map_err(io::Error::other)?;
    stream.write_all(&[&len.to_be_bytes(), wire].concat()).await?;
    let len = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(len)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

fn explain(server: SocketAddr, error: &io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            anyhow!(
                "nothing listens on {server}; is the node-agent running, and is this its `listen` address (--server)?"
            )
        }
        _ => anyhow!("cannot ask {server}: {error}"),
    }
}
