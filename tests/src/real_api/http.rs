//! As much of HTTP/1.1 over TLS as an administrator of the real API server needs.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;

use rustls::{ClientConnection, StreamOwned};
use serde_json::Value;

use crate::client::tls;

type Connection = BufReader<StreamOwned<ClientConnection, TcpStream>>;

/// A client with a token, that keeps one connection.
pub(super) struct Client {
    address: SocketAddr,
    token: &'static str,
    idle: Mutex<Option<Connection>>,
}

impl Client {
    pub(super) fn new(address: SocketAddr, token: &'static str) -> Self {
        Self { address, token, idle: Mutex::default() }
    }

    /// Status and body of a reply.
    pub(super) fn send(&self, method: &str, path: &str, body: &Value) -> io::Result<(u16, Value)> {
        let kept = self.idle.lock().unwrap().take();
        if let Some(mut connection) = kept
            && let Ok(reply) = self.exchange(&mut connection, method, path, body)
        {
            self.keep(connection);
            return Ok(reply);
        }
        // There was none, or the server had closed it.
        let mut connection = BufReader::new(tls(self.address, None, &["http/1.1"])?.0);
        let reply = self.exchange(&mut connection, method, path, body)?;
        self.keep(connection);
        Ok(reply)
    }

    fn keep(&self, connection: Connection) {
        *self.idle.lock().unwrap() = Some(connection);
    }

    fn exchange(
        &self,
        connection: &mut Connection,
        method: &str,
        path: &str,
        body: &Value,
    ) -> io::Result<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\naccept: application/json\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.address,
            self.token,
            body.len()
        );
        connection.get_mut().write_all(format!("{head}{body}").as_bytes())?;
        connection.get_mut().flush()?;
        let status = line(connection)?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| odd(&status))?;
        let (mut length, mut is_chunked) = (0, false);
        loop {
            let header = line(connection)?.to_ascii_lowercase();
            match header.split_once(':') {
                None => break,
                Some(("content-length", value)) => length = value.trim().parse().map_err(|_| odd(&header))?,
                Some(("transfer-encoding", value)) => is_chunked = value.trim() == "chunked",
                Some(_) => {}
            }
        }
        let octets = if is_chunked { chunks(connection)? } else { exactly(connection, length)? };
        // Health pages are text.
        let body = serde_json::from_slice(&octets);
        Ok((status, body.unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&octets).into_owned()))))
    }
}

fn line(connection: &mut Connection) -> io::Result<String> {
    let mut line = String::new();
    match connection.read_line(&mut line)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim_end().to_owned()),
    }
}

fn exactly(connection: &mut Connection, length: usize) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; length];
    connection.read_exact(&mut octets)?;
    Ok(octets)
}

fn chunks(connection: &mut Connection) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    loop {
        let length = line(connection)?;
        let length = usize::from_str_radix(&length, 16).map_err(|_| odd(&length))?;
        octets.extend(exactly(connection, length)?);
        exactly(connection, 2)?;
        if length == 0 {
            return Ok(octets);
        }
    }
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
