//! Accepting connections, and the plain TCP listener.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use strait_resolve::{Origin, Respond, Transport};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::common::Common;
use crate::gate::{Full, Gate, Pass};
use crate::metrics::{Closed, Refused};
use crate::questions::Questions;
use crate::{ServeMetrics, StreamLimits, stream};

/// How long no connection is accepted after the system had none to give, as without file descriptors.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Waits for the next connection; none once `stop` is given.
pub(crate) async fn next_connection(
    listener: &TcpListener,
    transport: Transport,
    metrics: &ServeMetrics,
    common: &Common,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                // Answers are written in batches already; waiting for more would only delay them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%client, %error, "TCP_NODELAY cannot be set");
                }
                return Some((stream, client));
            }
            Err(error) => {
                metrics.transport(transport).refused(Refused::System);
                tracing::debug!(%error, "no connection accepted");
                common.relieve(&error);
                if !concerns_one_connection(&error) {
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    }
}

/// Whether an error of accept is about the connection it would have given (accept(2)).
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

impl From<Full> for Refused {
    fn from(full: Full) -> Self {
        match full {
            Full::Total => Self::Connections,
            Full::Client => Self::Client,
        }
    }
}

/// A connection in the books from its opening to its end.
pub(crate) struct Open {
    transport: Transport,
    metrics: Arc<ServeMetrics>,
    closed: Closed,
    _pass: Pass,
}

impl Open {
    pub(crate) fn new(transport: Transport, metrics: &Arc<ServeMetrics>, pass: Pass) -> Self {
        let of_transport = metrics.transport(transport);
        of_transport.open.inc();
        of_transport.opened.inc();
        Self { transport, metrics: Arc::clone(metrics), closed: Closed::Client, _pass: pass }
    }

    /// Why it ends, if not because the client closed it.
    pub(crate) fn set_reason(&mut self, closed: Closed) {
        self.closed = closed;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let metrics = self.metrics.transport(self.transport);
        metrics.open.dec();
        metrics.closed(self.closed);
    }
}

/// Serves plain TCP (RFC 7766, RFC 9210) on one address until `stop`, then finishes what is in work.
pub(crate) async fn serve_tcp(
    listener: TcpListener,
    respond: Arc<dyn Respond>,
    limits: StreamLimits,
    metrics: Arc<ServeMetrics>,
    common: Arc<Common>,
    stop: CancellationToken,
) {
    let gate = Gate::new(limits.max_connections);
    let limits = Arc::new(limits);
    let connections = TaskTracker::new();
    while let Some((stream, client)) = next_connection(&listener, Transport::Tcp, &metrics, &common, &stop).await {
        let pass = match gate.enter(client.ip()) {
            Ok(pass) => pass,
            Err(full) => {
                metrics.transport(Transport::Tcp).refused(full.into());
                continue;
            }
        };
        let mut open = Open::new(Transport::Tcp, &metrics, pass);
        let origin = Origin { keepalive: Some(limits.keepalive()), ..Origin::new(client, Transport::Tcp) };
        let questions = Questions::new(Arc::clone(&respond), origin, limits.max_in_flight);
        let limits = Arc::clone(&limits);
        let share = common.share();
        let stop = stop.clone();
        connections.spawn(async move {
            open.set_reason(stream::serve(stream, questions, share, &limits, &stop).await);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}
