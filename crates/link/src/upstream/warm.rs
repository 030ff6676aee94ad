//! A connection to one upstream that is kept while it is used: TCP for what UDP cannot bring, or DNS over TLS.
//!
//! Shared by all questions; made by the first one, and again, with back-off, when it is lost. A TLS connection is made
//! before anybody asks, made again at once when it is lost while in use, and replaced after a while.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use rustls::ClientConfig;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::backoff::{Backoff, jitter};
use crate::dial;
use crate::exchange::LinkError;
use crate::metrics::ServerMetrics;
use crate::stream::StreamLink;

/// A connection has to stand within this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// After a connection could not be made, while no question asks for it.
const RETRY: Duration = Duration::from_secs(10);

/// How long a connection lives. All of these get jitter, so that many connections do not end at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// One that nobody uses is closed after this time (RFC 7766 6.2.3).
    pub(super) idle: Duration,
    /// For one that is kept.
    pub(super) kept: Option<Kept>,
}

/// How a connection is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    /// It is made again at once when somebody has asked within this time.
    pub(super) used_within: Duration,
    /// It is replaced after this time, so that load moves on, and what the certificate says is looked at again.
    pub(super) lifetime: Duration,
}

impl Limits {
    /// TCP is for what UDP cannot bring: few and short connections.
    pub(super) const TCP: Self = Self { idle: Duration::from_secs(10), kept: None };
    /// RFC 7858 3.4: the cost of the handshake is spread over many questions.
    pub(super) const TLS: Self = Self {
        idle: Duration::from_secs(60),
        kept: Some(Kept { used_within: Duration::from_secs(30), lifetime: Duration::from_secs(3600) }),
    };
}

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
    limits: Limits,
    current: ArcSwapOption<StreamLink>,
    dialer: Mutex<Dialer>,
    born: Instant,
    /// When somebody asked last, in milliseconds since `born`; 0 before.
    asked: AtomicU64,
    /// A connection was made.
    made: Arc<Notify>,
    /// Ends the keeper.
    _stop: DropGuard,
}

/// Held by whoever connects.
struct Dialer {
    backoff: Backoff,
    /// The last failure, in force until then.
    refused: Option<(Instant, LinkError)>,
    connected_before: bool,
}

impl WarmLink {
    /// Must be called within a tokio runtime.
    pub(super) fn new(
        address: SocketAddr,
        transport: Transport,
        limits: Limits,
        metrics: Arc<ServerMetrics>,
    ) -> Arc<Self> {
        let stop = CancellationToken::new();
        let warm = Arc::new(Self {
            address,
            transport,
            metrics,
            limits,
            current: ArcSwapOption::empty(),
            dialer: Mutex::new(Dialer { backoff: Backoff::default(), refused: None, connected_before: false }),
            born: Instant::now(),
            asked: AtomicU64::new(0),
            made: Arc::default(),
            _stop: stop.clone().drop_guard(),
        });
        if let Some(kept) = limits.kept {
            let made = Arc::clone(&warm.made);
            tokio::spawn(stop.run_until_cancelled_owned(keep(Arc::downgrade(&warm), kept, made)));
        }
        warm
    }

    /// Asks within the caller's time. A connection that was lost under the question is made anew once: servers may
    /// close an idle one at any time (RFC 7766 6.2.4). One that has brought nothing until `overdue` gets no further
    /// questions; this one is still listened to.
    pub(super) async fn ask(
        self: &Arc<Self>,
        question: &[u8],
        overdue: std::time::Instant,
    ) -> Result<Bytes, LinkError> {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.asked.store(now.max(1), Ordering::Relaxed);
        let link = self.link().await?;
        let suspect = Suspect { warm: self, answered: link.exchange.answered(), link: &link };
        let answer = suspect.watch(overdue, link.ask(question)).await;
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

    fn was_asked_within(&self, time: Duration) -> bool {
        match self.asked.load(Ordering::Relaxed) {
            0 => false,
            asked => self.born.elapsed() <= Duration::from_millis(asked) + time,
        }
    }

    async fn connect(&self) -> Result<Arc<StreamLink>, LinkError> {
        let mut dialer = self.dialer.lock().await;
        if let Some(link) = self.alive() {
            return Ok(link);
        }
        if let Some((_, error)) = dialer.refused.as_ref().filter(|(until, _)| Instant::now() < *until) {
            return Err(error.clone());
        }
        self.make(&mut dialer).await
    }

    /// Takes a new connection in place of the one there is. Questions on that one are still answered there.
    async fn replace(&self) -> Result<Arc<StreamLink>, LinkError> {
        let mut dialer = self.dialer.lock().await;
        self.make(&mut dialer).await
    }

    async fn make(&self, dialer: &mut Dialer) -> Result<Arc<StreamLink>, LinkError> {
        let connected = timeout(CONNECT_TIMEOUT, self.dial()).await;
        match connected.unwrap_or_else(|_| Err("no connection within 2 s".to_owned())) {
            Ok(link) => {
                if std::mem::replace(&mut dialer.connected_before, true) {
                    self.metrics.reconnects.inc();
                }
                *dialer = Dialer { backoff: Backoff::default(), refused: None, connected_before: true };
                let link = Arc::new(link);
                self.current.store(Some(Arc::clone(&link)));
                self.made.notify_one();
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
        let idle = Some(jitter(self.limits.idle));
        match &self.transport {
            Transport::Tcp => Ok(StreamLink::start(tcp, idle, unmatched)),
            Transport::Tls { config, server_name } => {
                let tls = dial::tls(tcp, config, server_name).await.map_err(|error| dial::explain(&error))?;
                Ok(StreamLink::start(tls, idle, unmatched))
            }
        }
    }
}

/// Makes the connection before anybody asks, again when it is lost while in use, and anew when it is old.
async fn keep(warm: Weak<WarmLink>, kept: Kept, made: Arc<Notify>) {
    while let Some(strong) = warm.upgrade() {
        let Ok(link) = strong.link().await else {
            drop(strong);
            tokio::time::sleep(jitter(RETRY)).await;
            continue;
        };
        drop(strong);
        let lost = tokio::time::timeout(jitter(kept.lifetime), link.exchange.lost()).await.is_ok();
        drop(link);
        let Some(strong) = warm.upgrade() else { return };
        if !lost {
            // When there can be no new one, the old one is as good as ever.
            let _ = strong.replace().await;
            continue;
        }
        let in_use = strong.was_asked_within(kept.used_within);
        drop(strong);
        // Otherwise the next question makes one.
        while !in_use && warm.upgrade().is_some_and(|warm| warm.alive().is_none()) {
            made.notified().await;
        }
    }
}

/// Looked at when a question is overdue, and when the asker leaves. A connection that brought nothing at all in the meantime
/// may be dead without having said so: the next question takes a new one.
struct Suspect<'a> {
    warm: &'a WarmLink,
    link: &'a Arc<StreamLink>,
    answered: u64,
}

impl Suspect<'_> {
    /// Awaits an answer, and looks when it is overdue. Who asks polls at that time anyway: no timer is needed here.
    async fn watch<T>(&self, overdue: std::time::Instant, answer: impl Future<Output = T>) -> T {
        let mut answer = pin!(answer);
        let mut looked = false;
        poll_fn(|cx| {
            let answer = answer.as_mut().poll(cx);
            if answer.is_pending() && !looked && std::time::Instant::now() >= overdue {
                looked = true;
                self.look();
            }
            answer
        })
        .await
    }

    fn look(&self) {
        if self.link.exchange.answered() == self.answered {
            self.warm.current.rcu(|current| current.clone().filter(|current| !Arc::ptr_eq(current, self.link)));
        }
    }
}

impl Drop for Suspect<'_> {
    fn drop(&mut self) {
        self.look();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
