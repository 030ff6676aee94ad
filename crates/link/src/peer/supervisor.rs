//! Keeps one endpoint's link: connects, asks health questions from the start, and connects again when it is lost.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use strait_resolve::Ask;
use strait_wire::{Answer, ClusterPath, Rcode, RecordType};
use tokio::time::{Instant, timeout};

use super::PeerSettings;
use super::endpoint::{Endpoint, TryError, examine, said};
use crate::State;
use crate::backoff::{Backoff, jitter};
use crate::link::Link;
use crate::question::{Padding, encode, probe};

/// Name, TCP, TLS and gRPC together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two health questions to an endpoint that is not up.
const ANXIOUS_INTERVAL: Duration = Duration::from_secs(1);

/// Supervises one endpoint.
pub(super) struct Supervisor {
    endpoint: Arc<Endpoint>,
    settings: Arc<PeerSettings>,
    tls: Arc<ClientConfig>,
    /// The health question, and its bytes.
    probe: Ask,
    wire: Vec<u8>,
    attempts: usize,
    connected_before: bool,
    backoff: Backoff,
}

/// Why a health question failed.
enum Sick {
    /// The connection is lost.
    Lost(String),
    /// Nothing came in time.
    Silent(String),
    /// Something came, but it does not show that the endpoint answers for the suffix.
    Unfit(String),
}

impl Supervisor {
    pub(super) fn new(endpoint: Arc<Endpoint>, settings: Arc<PeerSettings>, tls: Arc<ClientConfig>) -> Self {
        let path = settings.path_after(&ClusterPath::default()).unwrap_or_default().into_owned();
        let probe = probe(&settings.suffix, path);
        let wire = encode(0, &probe, &probe.question.name, &probe.path, Padding::On);
        Self { endpoint, settings, tls, probe, wire, attempts: 0, connected_before: false, backoff: Backoff::default() }
    }

    /// Works for ever.
    pub(super) async fn run(mut self) {
        loop {
            let cause = match self.connect().await {
                Ok(link) => {
                    let cause = self.watch(link).await;
                    self.endpoint.set_link(None);
                    cause
                }
                Err(cause) => cause,
            };
            self.endpoint.judge(Err(&cause));
            tokio::time::sleep(self.backoff.next()).await;
        }
    }

    async fn connect(&mut self) -> Result<Arc<Link>, String> {
        let endpoint = &self.endpoint;
        let unmatched = endpoint.metrics.unmatched.clone();
        let connect = Link::connect(&endpoint.url, &self.tls, self.attempts, self.settings.try_budget, unmatched);
        self.attempts += 1;
        let connected = timeout(CONNECT_TIMEOUT, connect).await;
        let link = connected.unwrap_or_else(|_| Err("no connection within 1 s".to_owned()))?;
        if std::mem::replace(&mut self.connected_before, true) {
            endpoint.metrics.reconnects.inc();
        }
        Ok(Arc::new(link))
    }

    /// Asks health questions over the link, and replaces it when it has come of age, until it is lost or given up;
    /// says why.
    async fn watch(&mut self, mut link: Arc<Link>) -> String {
        self.endpoint.set_link(Some(Arc::clone(&link)));
        let mut ends = Instant::now() + jitter(self.settings.max_age);
        loop {
            match self.examine(&link).await {
                Ok(took) => {
                    self.backoff.reset();
                    self.endpoint.judge(Ok(took));
                }
                Err(Sick::Lost(cause)) => return cause,
                Err(Sick::Unfit(cause)) => self.endpoint.judge(Err(&cause)),
                // A connection that has gone silent is made anew once it counts as down.
                Err(Sick::Silent(cause)) if self.endpoint.state() != State::Up => return cause,
                Err(Sick::Silent(cause)) => self.endpoint.judge(Err(&cause)),
            }
            tokio::select! {
                cause = link.lost() => return cause,
                () = tokio::time::sleep(jitter(self.pause())) => {}
                () = self.endpoint.check.notified() => {}
                () = tokio::time::sleep_until(ends) => {
                    ends = Instant::now() + jitter(self.settings.max_age);
                    if let Some(next) = self.renew().await {
                        // Questions under way hold the old one, which closes after the last of them.
                        link = next;
                        self.endpoint.set_link(Some(Arc::clone(&link)));
                    }
                }
            }
        }
    }

    /// A new connection that answers for the suffix; without any, the old one goes on.
    async fn renew(&mut self) -> Option<Arc<Link>> {
        let link = self.connect().await.ok()?;
        self.examine(&link).await.ok()?;
        Some(link)
    }

    fn pause(&self) -> Duration {
        match self.endpoint.state() {
            State::Up => self.settings.health.interval,
            _ => self.settings.health.interval.min(ANXIOUS_INTERVAL),
        }
    }

    /// Asks about the suffix itself, over the link that real questions take.
    async fn examine(&self, link: &Link) -> Result<Duration, Sick> {
        let patience = self.settings.health.timeout;
        match timeout(patience, examine(link, &self.wire, &self.probe, &self.settings.suffix)).await {
            Err(_) => Err(Sick::Silent(format!("no answer to the health question within {patience:?}"))),
            Ok(Err(TryError::Lost(cause))) => Err(Sick::Lost(cause)),
            Ok(Err(error)) => Err(Sick::Unfit(format!("health question: {error}"))),
            Ok(Ok((answer, took))) => self.is_fit(&answer).map(|()| took).map_err(Sick::Unfit),
        }
    }

    /// The answer must show authority for the suffix: NOERROR and an SOA.
    fn is_fit(&self, answer: &Answer) -> Result<(), String> {
        if answer.rcode() != Rcode::NOERROR {
            return Err(format!("health question: {}", said(answer)));
        }
        let message = answer.to_message().map_err(|error| format!("health question: {error}"))?;
        let soa = message.answers.iter().chain(&message.authorities).any(|record| record.rtype == RecordType::SOA);
        match soa {
            true => Ok(()),
            false => Err(format!("health question: the answer has no SOA of {}", self.settings.suffix)),
        }
    }
}
