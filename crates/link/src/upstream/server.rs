//! One upstream server: how it is asked, and whether it is believed to be alive.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{Fuse, FusedFuture, FutureExt};
use rustls::ClientConfig;
use strait_resolve::Ask;
use strait_wire::{Answer, CheckError};
use tracing::{info, warn};

use super::address::UpstreamServer;
use super::udp::{Heard, SendError, UdpQuestion};
use super::warm::{Transport, WarmLink};
use crate::dial::explain;
use crate::exchange::LinkError;
use crate::metrics::{Ignored, Kind, LinkMetrics, Reason, ServerMetrics};
use crate::question::{Padding, encode};
use crate::{State, UpstreamSettings};

/// Failures in a row after which a server is put behind the others.
const FALL: u32 = 3;
/// Datagrams in one wait that are not the answer before the same question goes over TCP as well, where nobody
/// can forge from outside.
const MAX_FORGED: u32 = 3;
/// How long a good answer is still awaited after a bad one that fits the question (TuDoor, CVE-2023-28452). Short: most
/// likely the bad one is the server's own, and will be so again.
const BAD_ANSWER_PATIENCE: Duration = Duration::from_millis(200);

/// Why one server gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TryError {
    #[error("timed out")]
    Timeout,
    #[error("{0}")]
    Connection(String),
    #[error("{0}")]
    BadAnswer(String),
    #[error("there is no room for the question here: {0}")]
    Full(String),
}

impl TryError {
    /// Whether the server answered, with something that cannot be used.
    pub(super) fn is_bad_answer(&self) -> bool {
        matches!(self, Self::BadAnswer(_))
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Timeout => Reason::Timeout,
            Self::Connection(_) => Reason::Connection,
            Self::BadAnswer(_) => Reason::BadAnswer,
            Self::Full(_) => Reason::Full,
        }
    }
}

impl From<CheckError> for TryError {
    fn from(error: CheckError) -> Self {
        Self::BadAnswer(error.to_string())
    }
}

impl From<LinkError> for TryError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Full => Self::Full(error.to_string()),
            LinkError::Lost(cause) | LinkError::Failed(cause) => Self::Connection(cause.to_string()),
        }
    }
}

impl From<io::Error> for TryError {
    fn from(error: io::Error) -> Self {
        Self::Connection(explain(&error))
    }
}

impl From<SendError> for TryError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::NoSocket(error) => Self::Full(error.to_string()),
            SendError::NotSent(error) => error.into(),
        }
    }
}

/// One upstream server of a group.
pub(super) struct Server {
    pub(super) address: UpstreamServer,
    settings: Arc<UpstreamSettings>,
    link: Arc<WarmLink>,
    pub(super) metrics: Arc<ServerMetrics>,
    failures: AtomicU32,
    dead: AtomicBool,
}

impl Server {
    pub(super) fn new(
        address: UpstreamServer,
        settings: &Arc<UpstreamSettings>,
        tls: &Arc<ClientConfig>,
        metrics: &Arc<LinkMetrics>,
    ) -> Arc<Self> {
        let metrics = metrics.server(Kind::Upstream, &settings.name, &address);
        metrics.state(State::Up);
        let transport = match &address {
            UpstreamServer::Plain(_) => Transport::Tcp,
            UpstreamServer::Tls { server_name, .. } => {
                Transport::Tls { config: Arc::clone(tls), server_name: server_name.clone() }
            }
        };
        let link = WarmLink::new(address.address(), transport, Arc::clone(&metrics));
        if let UpstreamServer::Tls { .. } = &address {
            // The first question shall not wait for a handshake.
            tokio::spawn({
                let link = Arc::clone(&link);
                async move { link.link().await.map(drop) }
            });
        }
        Arc::new(Self {
            address,
            settings: Arc::clone(settings),
            link,
            metrics,
            failures: AtomicU32::new(0),
            dead: AtomicBool::new(false),
        })
    }

    /// Whether it has failed too often in a row, and not answered since.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Asks once, within the budget of a try or the time that is left, whichever is less.
    pub(super) async fn ask(&self, ask: &Ask, left: Duration) -> Result<Answer, TryError> {
        self.metrics.asked();
        let start = Instant::now();
        let end = tokio::time::Instant::now() + self.settings.try_budget.min(left);
        let exchange = async {
            match &self.address {
                UpstreamServer::Plain(_) => self.ask_udp(ask, end).await,
                UpstreamServer::Tls { .. } => self.ask_link(ask, Padding::On).await,
            }
        };
        let answer = tokio::time::timeout_at(end, exchange).await.unwrap_or(Err(TryError::Timeout));
        match &answer {
            Ok(_) => {
                self.metrics.answered(start.elapsed());
                self.alive();
            }
            Err(error) => {
                self.metrics.failed(error.reason());
                // What ran out was the question's time, not the server's: no verdict.
                let cut_short = *error == TryError::Timeout && left < self.settings.try_budget;
                if !cut_short {
                    self.failed(error);
                }
            }
        }
        answer
    }

    /// Asks over UDP, and over TCP as well once UDP turns out not to be enough. The caller waits until `end`.
    async fn ask_udp(&self, ask: &Ask, end: tokio::time::Instant) -> Result<Answer, TryError> {
        let mut udp = UdpQuestion::send(self.address.address(), ask, &self.settings.zone).await?;
        let mut tcp = std::pin::pin!(Fuse::terminated());
        let mut patience = std::pin::pin!(tokio::time::sleep_until(end));
        let (mut forged, mut over_tcp, mut bad) = (0, false, None);
        loop {
            tokio::select! {
                heard = udp.hear() => match heard {
                    Ok(Heard::Answer(answer, dropped)) => {
                        self.metrics.dropped.inc_by(dropped as u64);
                        return Ok(answer);
                    }
                    Ok(Heard::Truncated) => {
                        self.metrics.over_tcp();
                        return self.ask_link(ask, Padding::Off).await;
                    }
                    Ok(Heard::Bad(error)) => {
                        self.metrics.ignored(match error {
                            CheckError::Malformed(_) => Ignored::Malformed,
                            _ => Ignored::NoAnswer,
                        });
                        if bad.is_none() {
                            patience.as_mut().reset(end.min(tokio::time::Instant::now() + BAD_ANSWER_PATIENCE));
                        }
                        bad = Some(error);
                    }
                    Ok(Heard::Ignored(reason)) => {
                        self.metrics.ignored(reason);
                        forged += 1;
                        // Right id and port but another case: a server that does not keep it, most likely.
                        // TCP settles it either way.
                        if !over_tcp && (forged >= MAX_FORGED || reason == Ignored::Case) {
                            over_tcp = true;
                            self.metrics.over_tcp();
                            tcp.set(self.ask_link(ask, Padding::Off).fuse());
                        }
                    }
                    Err(error) if tcp.is_terminated() => return Err(error.into()),
                    // The answer may still come over TCP.
                    Err(_) => return (&mut tcp).await,
                },
                // A failure over TCP leaves the wait for UDP as it was.
                Ok(answer) = &mut tcp => return Ok(answer),
                () = &mut patience => return Err(bad.map_or(TryError::Timeout, TryError::from)),
            }
        }
    }

    async fn ask_link(&self, ask: &Ask, padding: Padding) -> Result<Answer, TryError> {
        let wire = encode(0, ask, &ask.question.name, &ask.path, padding);
        let response = self.link.ask(&wire).await?;
        let (answer, dropped) = Answer::check(&response, &ask.question, &self.settings.zone)?;
        self.metrics.dropped.inc_by(dropped as u64);
        match answer.is_truncated() {
            true => Err(TryError::BadAnswer("truncated although not over UDP".to_owned())),
            false => Ok(answer),
        }
    }

    fn alive(&self) {
        self.failures.store(0, Ordering::Relaxed);
        if self.dead.swap(false, Ordering::Relaxed) {
            self.metrics.state(State::Up);
            info!(zone = self.settings.name, upstream = %self.address, "upstream answers again");
        }
    }

    fn failed(&self, error: &TryError) {
        match error {
            // Our own limit says nothing about the server.
            TryError::Full(_) => return,
            // The server is there. What it says about a name may be up to whoever owns the name, and must not decide
            // whether others are asked here.
            TryError::BadAnswer(_) => return self.alive(),
            TryError::Timeout | TryError::Connection(_) => {}
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures >= FALL && !self.dead.swap(true, Ordering::Relaxed) {
            self.metrics.state(State::Down);
            warn!(zone = self.settings.name, upstream = %self.address, cause = %error,
                "upstream does not answer; it is asked last until it does");
        }
    }
}
