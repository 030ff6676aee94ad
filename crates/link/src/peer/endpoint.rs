//! One endpoint of a peer: its link, its health, and how it is asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use strait_resolve::Ask;
use strait_wire::{Answer, CheckError, Name, Rcode};
use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use super::health::{Change, Health};
use super::{HealthSettings, Scope};
use crate::exchange::LinkError;
use crate::link::{Asked, Link};
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
    pub(super) fn ask<'a>(&'a self, link: &'a Link, wire: &'a [u8], ask: &'a Ask, scope: Scope<'a>) -> Try<'a> {
        self.metrics.asked();
        let in_flight = InFlight::enter(&self.in_flight);
        Try { endpoint: self, asked: link.send(wire), ask, scope, _in_flight: in_flight }
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

/// One question to one endpoint.
pub(super) struct Try<'a> {
    endpoint: &'a Endpoint,
    asked: Result<Asked<'a>, LinkError>,
    ask: &'a Ask,
    scope: Scope<'a>,
    _in_flight: InFlight<'a>,
}

impl Try<'_> {
    /// Waits for the answer, or until it is late. None: it is late, and may be waited for on.
    pub(super) async fn in_time(&mut self) -> Option<Result<Answer, TryError>> {
        let outcome = match &mut self.asked {
            Ok(asked) => asked.in_time().await?,
            Err(error) => Err(error.clone()),
        };
        Some(self.endpoint.judge_answer(outcome, self.ask, self.scope))
    }

    /// Waits for the answer.
    pub(super) async fn answer(self) -> Result<Answer, TryError> {
        let outcome = match self.asked {
            Ok(asked) => asked.answer().await,
            Err(error) => Err(error),
        };
        self.endpoint.judge_answer(outcome, self.ask, self.scope)
    }
}

impl Endpoint {
    fn judge_answer(
        &self,
        outcome: Result<(Bytes, Duration), LinkError>,
        ask: &Ask,
        scope: Scope<'_>,
    ) -> Result<Answer, TryError> {
        let answer = check(outcome, ask, scope).and_then(|(answer, dropped, took)| {
            if dropped > 0 {
                self.metrics.dropped.inc_by(dropped as u64);
            }
            self.metrics.answered(took);
            self.health().answered(took);
            match answer.rcode() {
                Rcode::SERVFAIL => Err((TryError::BadAnswer(said(&answer)), Reason::Servfail)),
                _ => Ok(answer),
            }
        });
        answer.map_err(|(error, reason)| {
            self.metrics.failed(reason);
            error
        })
    }
}

/// What a link brought, as an answer: how many records of it were dropped, and how long it took.
fn check(
    outcome: Result<(Bytes, Duration), LinkError>,
    ask: &Ask,
    scope: Scope<'_>,
) -> Result<(Answer, usize, Duration), (TryError, Reason)> {
    let (response, took) = outcome.map_err(|error| match error {
        LinkError::Lost(cause) => (TryError::Lost(cause.to_string()), Reason::Connection),
        LinkError::Failed(cause) => (TryError::BadAnswer(cause.to_string()), Reason::BadAnswer),
        LinkError::Full => (TryError::Full, Reason::Full),
    })?;
    let bad = |text: String| (TryError::BadAnswer(text), Reason::BadAnswer);
    let (answer, dropped) = believed(&response, ask, scope).map_err(|error| bad(error.to_string()))?;
    match answer.is_truncated() {
        true => Err(bad("truncated although not over UDP".to_owned())),
        false => Ok((answer, dropped, took)),
    }
}

/// What of a response is believed, and how many records are not.
fn believed(response: &[u8], ask: &Ask, scope: Scope<'_>) -> Result<(Answer, usize), CheckError> {
    let question = &ask.question;
    match scope {
        Scope::Zone(zone) => Answer::check(response, question, zone),
        Scope::Address { names } => {
            let (answer, beside) = Answer::check(response, question, &question.name)?;
            let (answer, elsewhere) = answer.keep_targets(|name| name.is_within(names))?;
            Ok((answer, beside + elsewhere))
        }
    }
}

/// A health question and its answer, checked, with the time it took.
pub(super) async fn examine(
    link: &Link,
    wire: &[u8],
    probe: &Ask,
    zone: &Name,
) -> Result<(Answer, Duration), TryError> {
    let outcome = match link.send(wire) {
        Ok(asked) => asked.answer().await,
        Err(error) => Err(error),
    };
    let (answer, _, took) = check(outcome, probe, Scope::Zone(zone)).map_err(|(error, _)| error)?;
    Ok((answer, took))
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
