//! A connection to one upstream that is kept while it is used: TCP for what UDP cannot bring, or DNS over TLS.
//!
//! Made by the first question and shared by all; made again, with back-off, when it is lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use rustls::ClientConfig;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::backoff::Backoff;
use crate::dial;
use crate::exchange::LinkError;
use crate::metrics::ServerMetrics;
use crate::stream::StreamLink;

/// A connection has to stand within this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A TCP connection that nobody uses is closed after this time (RFC 7766 6.2.3 asks clients for few and short ones).
const TCP_IDLE: Duration = Duration::from_secs(10);

/// How to reach the server.
pub(super) enum Transport {
    Tcp,
    Tls { config: Arc<ClientConfig>, server_name: String },
}

/// The connection, when there is one, and how to make it.
pub(super) struct WarmLink {
    address: SocketAddr,
    transport: Transport,
    metrics: Arc<ServerMetrics>,
    current: ArcSwapOption<StreamLink>,
    dialer: Mutex<Dialer>,
}

/// Held by whoever connects.
struct Dialer {
    backoff: Backoff,
    /// The last failure, in force until then.
    refused: Option<(Instant, LinkError)>,
    connected_before: bool,
}

impl WarmLink {
    pub(super) fn new(address: SocketAddr, transport: Transport, metrics: Arc<ServerMetrics>) -> Arc<Self> {
        let dialer = Mutex::new(Dialer { backoff: Backoff::default(), refused: None, connected_before: false });
        Arc::new(Self { address, transport, metrics, current: ArcSwapOption::empty(), dialer })
    }

    /// Asks within the caller's time. A connection that was lost under the question is made anew once: servers may
    /// close an idle one at any time (RFC 7766 6.2.4).
    pub(super) async fn ask(self: &Arc<Self>, question: &[u8]) -> Result<Bytes, LinkError> {
        let link = self.link().await?;
        let suspect = Suspect { warm: self, answered: link.exchange.answered(), link: &link };
        let answer = link.ask(question).await;
        std::mem::forget(suspect);
        match answer {
            Err(LinkError::Lost(_)) => self.link().await?.ask(question).await,
            answer => answer,
        }
    }

    /// The connection, made when need be. Making it goes on when the caller gives up.
    pub(super) async fn link(self: &Arc<Self>) -> Result<Arc<StreamLink>, LinkError> {
        if let Some(link) = self.alive() {
            return Ok(link);
        }
        let warm = Arc::clone(self);
        tokio::spawn(async move { warm.connect().await })
            .await
            .unwrap_or_else(|_| Err(LinkError::Lost("connecting was given up".into())))
    }

    fn alive(&self) -> Option<Arc<StreamLink>> {
        self.current.load_full().filter(|link| link.exchange.cause().is_none())
    }

    async fn connect(&self) -> Result<Arc<StreamLink>, LinkError> {
        let mut dialer = self.dialer.lock().await;
        if let Some(link) = self.alive() {
            return Ok(link);
        }
        if let Some((_, error)) = dialer.refused.as_ref().filter(|(until, _)| Instant::now() < *until) {
            return Err(error.clone());
        }
        let connected = timeout(CONNECT_TIMEOUT, self.dial()).await;
        match connected.unwrap_or_else(|_| Err("no connection within 2 s".to_owned())) {
            Ok(link) => {
                if std::mem::replace(&mut dialer.connected_before, true) {
                    self.metrics.reconnects.inc();
                }
                *dialer = Dialer { backoff: Backoff::default(), refused: None, connected_before: true };
                let link = Arc::new(link);
                self.current.store(Some(Arc::clone(&link)));
                Ok(link)
            }
            Err(cause) => {
                let error = LinkError::Lost(cause.into());
                dialer.refused = Some((Instant::now() + dialer.backoff.next(), error.clone()));
                Err(error)
            }
        }
    }

    async fn dial(&self) -> Result<StreamLink, String> {
        let tcp = dial::tcp(&[self.address]).await.map_err(|error| dial::explain(&error))?;
        let unmatched = self.metrics.unmatched.clone();
        match &self.transport {
            Transport::Tcp => Ok(StreamLink::start(tcp, Some(TCP_IDLE), unmatched)),
            Transport::Tls { config, server_name } => {
                let tls = dial::tls(tcp, config, server_name).await.map_err(|error| dial::explain(&error))?;
                Ok(StreamLink::start(tls, None, unmatched))
            }
        }
    }
}

/// Dropped when the asker ran out of time. A connection that brought nothing at all in the meantime may be dead
/// without having said so: the next question takes a new one.
struct Suspect<'a> {
    warm: &'a WarmLink,
    link: &'a Arc<StreamLink>,
    answered: u64,
}

impl Drop for Suspect<'_> {
    fn drop(&mut self) {
        if self.link.exchange.answered() == self.answered {
            self.warm.current.rcu(|current| current.clone().filter(|current| !Arc::ptr_eq(current, self.link)));
        }
    }
}
