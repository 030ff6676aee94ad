//! Endpoint URLs: `tls://host:853`, `grpc://host:8443`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// How an endpoint is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// DNS over TLS; default port 853.
    Tls,
    /// gRPC: the stream of `strait.v1.Dns`, or, when the server does not know it, the unary call of CoreDNS; default port 8443.
    Grpc,
}

impl Scheme {
    /// The word before `://`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Grpc => "grpc",
        }
    }

    /// The port meant when none is written.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Tls => 853,
            Self::Grpc => 8443,
        }
    }
}

/// One address of a peer's gateways.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointUrl {
    /// The protocol.
    pub scheme: Scheme,
    /// A host name in lower case or an address (IPv6 without brackets).
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Why text is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an endpoint: {why}; write tls://host:853 or grpc://host:8443")]
pub struct EndpointUrlError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl FromStr for EndpointUrl {
    type Err = EndpointUrlError;

    fn from_str(text: &str) -> Result<Self, EndpointUrlError> {
        parse(text).map_err(|why| EndpointUrlError { text: text.to_owned(), why })
    }
}

impl fmt::Display for EndpointUrl {
    /// Always with the port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme.as_str();
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

fn parse(text: &str) -> Result<EndpointUrl, &'static str> {
    let (scheme, authority) = text.split_once("://").ok_or("it has no scheme")?;
    let scheme = match scheme {
        "tls" => Scheme::Tls,
        "grpc" => Scheme::Grpc,
        _ => return Err("its scheme is neither tls nor grpc"),
    };
    if authority.contains(['/', '?', '#', '@']) {
        return Err("there may be nothing but a host and a port after ://");
    }
    let (host, port) = host_and_port(authority)?;
    Ok(EndpointUrl { scheme, host: host.to_ascii_lowercase(), port: port.unwrap_or(scheme.default_port()) })
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`; the host is checked.
pub(crate) fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("the bracket before its IPv6 address is not closed")?;
        host.parse::<Ipv6Addr>().map_err(|_| "what is in brackets is not an IPv6 address")?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(self::port(port)?))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err("after the closing bracket only a colon and a port may stand"),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => return Err("an IPv6 address must stand in brackets"),
        Some((host, port)) => (host, Some(self::port(port)?)),
        None => (authority, None),
    };
    match is_host(host) {
        true => Ok((host, port)),
        false if host.is_empty() => Err("it has no host"),
        false => Err("its host is neither a host name nor an address"),
    }
}

fn port(text: &str) -> Result<u16, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|&port| digits && port > 0).ok_or("its port is not a number from 1 to 65535")
}

/// An address, or a host name (RFC 1123 2.1; underscores are let pass, since they occur).
pub(crate) fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A name whose last label is a number would be taken for an address (RFC 1123 2.1).
    let numeric = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    match host.parse::<IpAddr>() {
        Ok(_) => true,
        Err(_) => host.len() <= 253 && !numeric && host.split('.').all(label),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_and_written_back() {
        // text, host, port, written form
        let cases = [
            ("tls://gw.example.com", "gw.example.com", 853, "tls://gw.example.com:853"),
            ("tls://gw.example.com:8853", "gw.example.com", 8853, "tls://gw.example.com:8853"),
            ("grpc://gw", "gw", 8443, "grpc://gw:8443"),
            // Host names compare without regard to case.
            ("tls://GW.Example.com", "gw.example.com", 853, "tls://gw.example.com:853"),
            ("tls://192.0.2.1", "192.0.2.1", 853, "tls://192.0.2.1:853"),
            ("grpc://[2001:db8::1]", "2001:db8::1", 8443, "grpc://[2001:db8::1]:8443"),
            ("tls://[2001:db8::1]:1853", "2001:db8::1", 1853, "tls://[2001:db8::1]:1853"),
        ];
        for (text, host, port, written) in cases {
            let url: EndpointUrl = text.parse().unwrap();
            assert_eq!((url.host.as_str(), url.port), (host, port), "{text}");
            assert_eq!(url.to_string(), written);
            assert_eq!(written.parse::<EndpointUrl>().unwrap(), url);
        }
    }

    #[test]
    fn what_is_wrong_with_an_endpoint_is_said() {
        let cases = [
            ("", "it has no scheme"),
            ("gw.example.com:853", "it has no scheme"),
            ("https://gw.example.com", "its scheme is neither tls nor grpc"),
            ("tls://", "it has no host"),
            ("tls://:853", "it has no host"),
            ("tls://gw:", "its port is not a number from 1 to 65535"),
            ("tls://gw:0", "its port is not a number from 1 to 65535"),
            ("tls://gw:65536", "its port is not a number from 1 to 65535"),
            ("tls://gw:+53", "its port is not a number from 1 to 65535"),
            ("tls://2001:db8::1", "an IPv6 address must stand in brackets"),
            ("tls://[2001:db8::1", "the bracket before its IPv6 address is not closed"),
            ("tls://[192.0.2.1]", "what is in brackets is not an IPv6 address"),
            ("tls://[::1]853", "after the closing bracket only a colon and a port may stand"),
            ("tls://gw/path", "there may be nothing but a host and a port after ://"),
            ("tls://user@gw", "there may be nothing but a host and a port after ://"),
            ("tls://gw..example", "its host is neither a host name nor an address"),
            ("tls://-gw", "its host is neither a host name nor an address"),
            ("tls://g w", "its host is neither a host name nor an address"),
            ("tls://192.0.2.300", "its host is neither a host name nor an address"),
        ];
        for (text, why) in cases {
            let error = text.parse::<EndpointUrl>().unwrap_err();
            assert_eq!(error.why, why, "{text}");
            assert_eq!(
                error.to_string(),
                format!("{text:?} is not an endpoint: {why}; write tls://host:853 or grpc://host:8443")
            );
        }
    }
}
