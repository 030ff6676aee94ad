//! One endpoint of a peer: its link, its health, and how it is asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use strait_resolve::Ask;
use strait_wire::{Answer, Name, Rcode};
use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use super::HealthSettings;
use super::health::{Change, Health};
use crate::exchange::LinkError;
use crate::link::Link;
use crate::metrics::{Reason, ServerMetrics};
use crate::{EndpointStatus, EndpointUrl, State};

/// Why one endpoint gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TryError {
    /// The connection was lost under the question; another may take it at once.
    #[error("{0}")]
    Lost(String),
    /// It said so, or said something that cannot be used.
    #[error("{0}")]
    BadAnswer(String),
    #[error("too many questions in flight")]
    Full,
    #[error("no answer in time")]
    Late,
}

/// One endpoint.
pub(super) struct Endpoint {
    pub(super) url: EndpointUrl,
    peer: String,
    pub(super) metrics: Arc<ServerMetrics>,
    health: Mutex<Health>,
    link: ArcSwapOption<Link>,
    in_flight: AtomicUsize,
    /// A health question is wanted now.
    pub(super) check: Notify,
    /// Ticks when a link or a state changes.
    changes: watch::Sender<()>,
}

impl Endpoint {
    pub(super) fn new(
        url: EndpointUrl,
        peer: &str,
        health: &HealthSettings,
        metrics: Arc<ServerMetrics>,
        changes: watch::Sender<()>,
    ) -> Arc<Self> {
        metrics.state(State::Connecting);
        Arc::new(Self {
            url,
            peer: peer.to_owned(),
            metrics,
            health: Mutex::new(Health::new(health, SystemTime::now())),
            link: ArcSwapOption::empty(),
            in_flight: AtomicUsize::new(0),
            check: Notify::new(),
            changes,
        })
    }

    pub(super) fn status(&self) -> EndpointStatus {
        let health = self.health();
        EndpointStatus {
            url: self.url.clone(),
            state: health.state,
            since: health.since,
            latency: health.latency,
            last_error: health.last_error.clone(),
        }
    }

    pub(super) fn state(&self) -> State {
        self.health().state
    }

    /// The link, while there is one.
    pub(super) fn link(&self) -> Option<Arc<Link>> {
        self.link.load_full().filter(|link| !link.is_lost())
    }

    pub(super) fn set_link(&self, link: Option<Arc<Link>>) {
        self.link.store(link);
        self.changes.send_replace(());
    }

    /// What one more question would cost here: the smoothed time of an answer, for each in flight.
    pub(super) fn cost(&self) -> Duration {
        let latency = self.health().latency.unwrap_or_default();
        let waiting = self.in_flight.load(Ordering::Relaxed);
        latency.saturating_mul(u32::try_from(waiting).unwrap_or(u32::MAX).saturating_add(1))
    }

    /// Asks once. The caller bounds the time.
    pub(super) async fn ask(&self, link: &Link, wire: &[u8], ask: &Ask, zone: &Name) -> Result<Answer, TryError> {
        self.metrics.asked();
        let _in_flight = InFlight::enter(&self.in_flight);
        let start = Instant::now();
        let answer = exchange(link, wire, ask, zone).await;
        match answer {
            Ok((answer, dropped)) => {
                self.metrics.dropped.inc_by(dropped as u64);
                self.metrics.answered(start.elapsed());
                self.health().answered(start.elapsed());
                match answer.rcode() {
                    Rcode::SERVFAIL => {
                        self.metrics.failed(Reason::Servfail);
                        Err(TryError::BadAnswer(said(&answer)))
                    }
                    _ => Ok(answer),
                }
            }
            Err(error) => {
                self.metrics.failed(match &error {
                    TryError::Lost(_) => Reason::Connection,
                    TryError::BadAnswer(_) => Reason::BadAnswer,
                    TryError::Full => Reason::Full,
                    TryError::Late => Reason::Timeout,
                });
                Err(error)
            }
        }
    }

    /// A health question, or making the connection, went well or failed.
    pub(super) fn judge(&self, outcome: Result<Duration, &str>) {
        let now = SystemTime::now();
        let change = match outcome {
            Ok(took) => self.health().healthy(took, now),
            Err(cause) => self.health().unhealthy(cause, now),
        };
        self.tell(change);
    }

    /// A question got no answer here in time, or later than elsewhere.
    pub(super) fn late(&self, waited: Duration, cause: &str) {
        self.metrics.failed(Reason::Timeout);
        let change = self.health().late(waited, cause, SystemTime::now());
        if change.is_some() {
            self.check.notify_one();
        }
        self.tell(change);
    }

    fn tell(&self, change: Option<Change>) {
        let Some(Change { from, to, cause }) = change else { return };
        self.metrics.state(to);
        self.changes.send_replace(());
        match to {
            State::Up => info!(peer = self.peer, endpoint = %self.url, %from, %to, cause, "endpoint changed state"),
            _ => warn!(peer = self.peer, endpoint = %self.url, %from, %to, cause, "endpoint changed state"),
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One question and its answer, checked.
pub(super) async fn exchange(link: &Link, wire: &[u8], ask: &Ask, zone: &Name) -> Result<(Answer, usize), TryError> {
    let response = link.ask(wire).await.map_err(|error| match error {
        LinkError::Lost(cause) => TryError::Lost(cause.to_string()),
        LinkError::Failed(cause) => TryError::BadAnswer(cause.to_string()),
        LinkError::Full => TryError::Full,
    })?;
    let (answer, dropped) =
        Answer::check(&response, &ask.question, zone).map_err(|error| TryError::BadAnswer(error.to_string()))?;
    match answer.is_truncated() {
        true => Err(TryError::BadAnswer("truncated although not over UDP".to_owned())),
        false => Ok((answer, dropped)),
    }
}

/// The rcode of an answer and the extended error with it.
pub(super) fn said(answer: &Answer) -> String {
    match answer.ede() {
        Some(ede) if !ede.text.is_empty() => format!("answered {}: {}", answer.rcode(), ede.text),
        Some(ede) => format!("answered {} with extended error {}", answer.rcode(), ede.code),
        None => format!("answered {}", answer.rcode()),
    }
}

/// Counts a question in flight.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
