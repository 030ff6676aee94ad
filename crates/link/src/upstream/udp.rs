//! One question over UDP.
//!
//! A fresh connected socket each time, so the kernel draws the source port and drops what comes from elsewhere; a
//! random id; random case in the name (RFC 5452 9.2). What does not fit all of these is not the answer: it is
//! passed over, and waiting goes on. What fits them all and cannot be used is told apart: the server is alive.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use strait_resolve::Ask;
use strait_wire::{Answer, CheckError, Flags, Header, Name, Opcode};
use tokio::net::UdpSocket;

use crate::metrics::Ignored;
use crate::question::{Padding, encode, randomize_case};

/// More than any server should send to who offers 1232 octets.
const RECEIVE_BUFFER: usize = 4096;

/// A question that has been sent.
pub(super) struct UdpQuestion<'a> {
    socket: UdpSocket,
    id: u16,
    /// The question section as it was sent.
    question: Vec<u8>,
    ask: &'a Ask,
    zone: &'a Name,
    buffer: Vec<u8>,
}

/// Why a question could not be sent.
pub(super) enum SendError {
    /// We have no socket for it: too many open files, no free port. Not the server's fault.
    NoSocket(io::Error),
    /// The system says that the server cannot be reached.
    NotSent(io::Error),
}

/// What a datagram was.
pub(super) enum Heard {
    /// The answer, and how many of its records were dropped.
    Answer(Answer, usize),
    /// The answer is too long for UDP.
    Truncated,
    /// A response to the very question, but not one that can be used.
    Bad(CheckError),
    /// Not the answer.
    Ignored(Ignored),
}

impl<'a> UdpQuestion<'a> {
    /// Sends the question to `server`, which may answer for `zone`.
    pub(super) async fn send(server: SocketAddr, ask: &'a Ask, zone: &'a Name) -> Result<Self, SendError> {
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await.map_err(SendError::NoSocket)?;
        socket.connect(server).await.map_err(SendError::NotSent)?;
        let id = rand::random();
        let wire = encode(id, ask, &randomize_case(&ask.question.name), &ask.path, Padding::Off);
        socket.send(&wire).await.map_err(SendError::NotSent)?;
        let end = Header::LEN + ask.question.name.as_wire().len() + 4;
        let question = wire[Header::LEN..end].to_vec();
        Ok(Self { socket, id, question, ask, zone, buffer: Vec::with_capacity(RECEIVE_BUFFER) })
    }

    /// Waits for the next datagram and judges it.
    pub(super) async fn hear(&mut self) -> io::Result<Heard> {
        self.buffer.clear();
        self.socket.recv_buf(&mut self.buffer).await?;
        Ok(self.judge().unwrap_or_else(Heard::Ignored))
    }

    fn judge(&self) -> Result<Heard, Ignored> {
        let header = Header::parse(&self.buffer).ok_or(Ignored::Malformed)?;
        if header.id != self.id {
            return Err(Ignored::Id);
        }
        if !header.flags.has(Flags::QR) || header.flags.opcode() != Opcode::QUERY {
            return Err(Ignored::NotAResponse);
        }
        let question = self.buffer[Header::LEN..].get(..self.question.len()).ok_or(Ignored::Malformed)?;
        if header.qdcount != 1 || !question.eq_ignore_ascii_case(&self.question) {
            return Err(Ignored::Question);
        }
        if question != self.question {
            return Err(Ignored::Case);
        }
        if header.flags.has(Flags::TC) {
            return Ok(Heard::Truncated);
        }
        Ok(match Answer::check(&self.buffer, &self.ask.question, self.zone) {
            Ok((answer, dropped)) => Heard::Answer(answer, dropped),
            Err(error) => Heard::Bad(error),
        })
    }
}
