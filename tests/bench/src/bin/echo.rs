//! The physical limit of answering over UDP: receives a batch, turns each question into an answer where it lies, sends
//! the batch. No look-up, no checks; what a server costs above this is its own.
#![allow(clippy::print_stderr, reason = "a command-line program")]

use std::net::SocketAddr;
use std::process::ExitCode;

use strait_datagram::{Inbound, Outbound, SocketOptions, UdpSocket, Wait};

/// A record for the name that was asked for: pointer, A, IN, 300 s, 192.0.2.1.
const RECORD: [u8; 16] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0x2c, 0, 4, 192, 0, 2, 1];

fn main() -> ExitCode {
    let Some(address) = std::env::args().nth(1).and_then(|text| text.parse().ok()) else {
        eprintln!("usage: echo ADDRESS:PORT");
        return ExitCode::from(2);
    };
    match echo(address) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("{address}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn echo(address: SocketAddr) -> std::io::Result<std::convert::Infallible> {
    let options = SocketOptions { receive_buffer: Some(4 << 20), ..SocketOptions::default() };
    let socket = UdpSocket::open(address, &options)?;
    let (mut inbound, mut outbound) = (Inbound::new(), Outbound::new());
    loop {
        inbound.receive(&socket, Wait::Yes)?;
        for datagram in inbound.iter() {
            outbound.push_with(datagram.client, datagram.local, |reply| answer(datagram.bytes, reply));
        }
        outbound.send(&socket, Wait::Yes);
    }
}

/// Appends the question with QR set, and [`RECORD`] behind it; false for what is no question.
fn answer(question: &[u8], reply: &mut Vec<u8>) -> bool {
    let start = reply.len();
    reply.extend_from_slice(question);
    reply.extend_from_slice(&RECORD);
    let Some(header) = reply[start..].first_chunk_mut::<12>() else { return false };
    header[2] |= 0x80;
    header[7] = 1;
    question.len() > 12
}
