//! Making connections: host names, TCP, TLS.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use rustls::{AlertDescription, ClientConfig};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::EndpointUrl;

/// The addresses tried for one host name.
const MAX_ADDRESSES: usize = 8;

/// Connects to an endpoint and finishes the TLS handshake. The caller bounds the time. `attempt` chooses the
/// address tried first, so that a silent one does not hide the others for ever.
pub async fn connect_tls(
    url: &EndpointUrl,
    config: &Arc<ClientConfig>,
    attempt: usize,
) -> io::Result<TlsStream<TcpStream>> {
    let mut addresses = resolve(&url.host, url.port).await?;
    let first = attempt % addresses.len().max(1);
    addresses.rotate_left(first);
    tls(tcp(&addresses).await?, config, &url.host).await
}

/// The addresses of a host: itself, what the hosts file says, or else what the resolvers of this machine say.
async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let unresolved = |error: &dyn Error| {
        io::Error::new(io::ErrorKind::NotFound, format!("the host name {host} cannot be resolved: {}", chain(error)))
    };
    let name = Name::from_ascii(format!("{host}.")).map_err(|error| unresolved(&error))?;
    // Both are read anew each time, since the machine's configuration may have changed. A machine need not have a hosts file.
    let mut found = Hosts::from_system().map(|hosts| in_hosts(&hosts, &name)).unwrap_or_default();
    if found.is_empty() {
        let resolver =
            TokioResolver::builder_tokio().and_then(|builder| builder.build()).map_err(|error| unresolved(&error))?;
        found = resolver.lookup_ip(name).await.map_err(|error| unresolved(&error))?.iter().collect();
    }
    Ok(found.into_iter().take(MAX_ADDRESSES).map(|ip| SocketAddr::new(ip, port)).collect())
}

/// What a hosts file says of a name. It is all that counts, as for the system's own resolver: a name with an address of
/// one family is not asked elsewhere for the other.
fn in_hosts(hosts: &Hosts, name: &Name) -> Vec<IpAddr> {
    let of_type = |rtype| hosts.lookup_static_host(&Query::query(name.clone(), rtype));
    let lookups = [RecordType::A, RecordType::AAAA].into_iter().filter_map(of_type);
    lookups
        .flat_map(|lookup| lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect::<Vec<_>>())
        .collect()
}

/// Connects to the first address that takes the connection.
pub(crate) async fn tcp(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Makes TLS of a connection.
pub(crate) async fn tls(
    stream: TcpStream,
    config: &Arc<ClientConfig>,
    server_name: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(server_name.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await
}

/// What went wrong, in words for people.
pub fn explain(error: &io::Error) -> String {
    if let Some(rejection) = strait_identity::rejection_of(error) {
        return format!("TLS handshake failed: {rejection}");
    }
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (tls, error.kind()) {
        // With TLS 1.3 a server refuses our certificate after our side of the handshake is done.
        (Some(rustls::Error::AlertReceived(alert)), _) if is_about_certificates(*alert) => {
            format!("it refused our certificate (TLS alert {alert:?}); does it know our CA?")
        }
        (Some(rustls::Error::AlertReceived(alert)), _) => format!("it refused the TLS connection (alert {alert:?})"),
        (_, io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        (_, io::ErrorKind::ConnectionReset) => "the connection was reset".to_owned(),
        (_, io::ErrorKind::UnexpectedEof) => "the other end closed the connection".to_owned(),
        _ => chain(error),
    }
}

fn is_about_certificates(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    matches!(
        alert,
        A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
            | A::CertificateRequired
    )
}

/// An error with its sources, each said once.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_hosts_file_that_knows_a_name_needs_no_resolver() {
        let mut hosts = Hosts::default();
        hosts
            .read_hosts_conf("127.0.0.1 four.example both.example\n::1 six.example BOTH.example\n".as_bytes())
            .unwrap();
        let (four, six): (IpAddr, IpAddr) = ("127.0.0.1".parse().unwrap(), "::1".parse().unwrap());
        for (name, expected) in [
            ("four.example.", &[four][..]),
            ("six.example.", &[six]),
            ("Both.Example.", &[four, six]),
            ("none.example.", &[]),
        ] {
            assert_eq!(in_hosts(&hosts, &Name::from_ascii(name).unwrap()), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_none_is_said() {
        let error = resolve(&"a".repeat(64), 853).await.unwrap_err().to_string();
        assert!(error.contains("cannot be resolved"), "{error}");
    }
}
