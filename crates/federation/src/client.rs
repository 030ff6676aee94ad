//! A gRPC connection to a gateway, of our own cluster or of a peer, over our own TLS.

mod retry;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use strait_link::{EndpointUrl, connect_tls, explain};
use tonic::transport::{Channel, Endpoint};

pub(crate) use retry::{Ended, Stream, keep_trying};

/// From the first packet to a finished handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that answers no HTTP/2 ping for this long is dead; pings go out as often.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Connects; the handshake is finished, and the gateway verified, when this returns.
pub(crate) async fn connect(
    url: &EndpointUrl,
    tls: Arc<ClientConfig>,
    attempt: usize,
) -> Result<Channel, tonic::transport::Error> {
    let target = url.clone();
    let connector = tower::service_fn(move |_: http::Uri| {
        let (target, tls) = (target.clone(), Arc::clone(&tls));
        async move {
            // What tonic would say of it is «transport error»; the words of `explain` survive it.
            let stream =
                connect_tls(&target, &tls, attempt).await.map_err(|error| io::Error::other(explain(&error)))?;
            Ok::<_, io::Error>(TokioIo::new(stream))
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
