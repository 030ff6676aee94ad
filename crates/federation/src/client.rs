//! A gRPC connection to a gateway of our own cluster, over our own TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use strait_link::EndpointUrl;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

/// From the first packet to a finished handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that answers no HTTP/2 ping for this long is dead; pings go out as often.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Connects; the handshake is finished, and the gateway verified, when this returns.
pub(crate) async fn connect(url: &EndpointUrl, tls: Arc<ClientConfig>) -> Result<Channel, tonic::transport::Error> {
    let target = url.clone();
    let connector = tower::service_fn(move |_: http::Uri| {
        let (target, tls) = (target.clone(), TlsConnector::from(Arc::clone(&tls)));
        async move {
            let tcp = TcpStream::connect((target.host.as_str(), target.port)).await?;
            tcp.set_nodelay(true)?;
            let name = ServerName::try_from(target.host).map_err(io::Error::other)?;
            Ok::<_, io::Error>(TokioIo::new(tls.connect(name, tcp).await?))
        }
    });
    // The connector knows where to go; the URI only fills the :authority of requests.
    Endpoint::from_static("http://gateway.strait")
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .connect_with_connector(connector)
        .await
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // tonic and hyper repeat their causes in their own text.
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
