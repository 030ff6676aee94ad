//! Upstream servers as they are written: `192.0.2.1`, `[2001:db8::1]:53`, `tls://192.0.2.1:853#dns.example.net`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::endpoint::{host_and_port, is_host};

const DNS_PORT: u16 = 53;
const TLS_PORT: u16 = 853;

/// One upstream server: `192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:53`, `tls://192.0.2.1#dns.example.net`, `tls://192.0.2.1:8853#dns.example.net`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UpstreamServer {
    /// UDP, and TCP when truncated; default port 53.
    Plain(SocketAddr),
    /// DNS over TLS with the name to verify; default port 853.
    Tls {
        /// The address.
        address: SocketAddr,
        /// The name its certificate must bear.
        server_name: String,
    },
}

/// Why text is not an upstream server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not an upstream: {why}; write 192.0.2.1, 192.0.2.1:53, [2001:db8::1]:53 or tls://192.0.2.1:853#name-to-verify"
)]
pub struct UpstreamServerError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl UpstreamServer {
    /// The address questions go to.
    pub const fn address(&self) -> SocketAddr {
        match self {
            Self::Plain(address) | Self::Tls { address, .. } => *address,
        }
    }
}

impl FromStr for UpstreamServer {
    type Err = UpstreamServerError;

    fn from_str(text: &str) -> Result<Self, UpstreamServerError> {
        parse(text).map_err(|why| UpstreamServerError { text: text.to_owned(), why })
    }
}

impl fmt::Display for UpstreamServer {
    /// Always with the port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(address) => write!(f, "{address}"),
            Self::Tls { address, server_name } => write!(f, "tls://{address}#{server_name}"),
        }
    }
}

fn parse(text: &str) -> Result<UpstreamServer, &'static str> {
    match text.split_once("://") {
        None if text.contains('#') => Err("a name to verify belongs to tls:// only"),
        None => Ok(UpstreamServer::Plain(address(text, DNS_PORT)?)),
        Some(("tls", rest)) => {
            let (at, name) = rest.split_once('#').ok_or("the name to verify is missing after #")?;
            let address = address(at, TLS_PORT)?;
            match is_host(name) {
                true => Ok(UpstreamServer::Tls { address, server_name: name.to_ascii_lowercase() }),
                false => Err("the name to verify is neither a host name nor an address"),
            }
        }
        Some(_) => Err("its scheme is not tls"),
    }
}

fn address(text: &str, default_port: u16) -> Result<SocketAddr, &'static str> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, default_port));
    }
    let (host, port) = host_and_port(text)?;
    // A name would have to be resolved by the very servers that this list names.
    let ip = host
        .parse::<IpAddr>()
        .map_err(|_| "it is not an address; names cannot be resolved before there is an upstream")?;
    Ok(SocketAddr::new(ip, port.unwrap_or(default_port)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_are_read_and_written_back() {
        let cases = [
            ("192.0.2.1", "192.0.2.1:53"),
            ("192.0.2.1:5353", "192.0.2.1:5353"),
            // An IPv6 address without a port needs no brackets.
            ("2001:db8::1", "[2001:db8::1]:53"),
            ("[2001:db8::1]", "[2001:db8::1]:53"),
            ("[2001:db8::1]:5353", "[2001:db8::1]:5353"),
            ("tls://192.0.2.1#dns.example.net", "tls://192.0.2.1:853#dns.example.net"),
            ("tls://192.0.2.1:8853#DNS.example.net", "tls://192.0.2.1:8853#dns.example.net"),
            ("tls://[2001:db8::1]#192.0.2.7", "tls://[2001:db8::1]:853#192.0.2.7"),
        ];
        for (text, written) in cases {
            let server: UpstreamServer = text.parse().unwrap();
            assert_eq!(server.to_string(), written, "{text}");
            assert_eq!(written.parse::<UpstreamServer>().unwrap(), server);
        }
    }

    #[test]
    fn what_is_wrong_with_an_upstream_is_said() {
        let cases = [
            ("", "it has no host"),
            ("dns.example.net", "it is not an address; names cannot be resolved before there is an upstream"),
            ("192.0.2.1:0", "its port is not a number from 1 to 65535"),
            ("192.0.2.1:dns", "its port is not a number from 1 to 65535"),
            ("192.0.2.1#dns.example.net", "a name to verify belongs to tls:// only"),
            ("tls://192.0.2.1", "the name to verify is missing after #"),
            ("tls://192.0.2.1#", "the name to verify is neither a host name nor an address"),
            (
                "tls://dns.example.net#dns.example.net",
                "it is not an address; names cannot be resolved before there is an upstream",
            ),
            // A foreign scheme is named before anything after it.
            ("https://192.0.2.1#x", "its scheme is not tls"),
            ("udp://192.0.2.1", "its scheme is not tls"),
            ("2001:db8::g", "an IPv6 address must stand in brackets"),
        ];
        for (text, why) in cases {
            let error = text.parse::<UpstreamServer>().unwrap_err();
            assert_eq!(error.why, why, "{text}");
            assert!(error.to_string().starts_with(&format!("{text:?} is not an upstream: {why}; write 192.0.2.1")));
        }
    }
}
