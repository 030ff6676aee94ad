//! Keeps one endpoint's link: connects, asks health questions from the start, and connects again when it is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use strait_resolve::Ask;
use strait_wire::{Answer, ClusterPath, Rcode, RecordType};
use tokio::time::timeout;

use super::PeerSettings;
use super::endpoint::{Endpoint, TryError, exchange, said};
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
        let path = ClusterPath::default().passing(settings.own_cluster.as_str()).unwrap_or_default();
        let probe = probe(&settings.suffix, path);
        let wire = encode(0, &probe, &probe.question.name, &probe.path, Padding::On);
        Self { endpoint, settings, tls, probe, wire }
    }

    /// Works for ever.
    pub(super) async fn run(self) {
        let mut backoff = Backoff::default();
        let mut connected_before = false;
        for attempt in 0.. {
            let connect =
                Link::connect(&self.endpoint.url, &self.tls, attempt, self.endpoint.metrics.unmatched.clone());
            let connected = timeout(CONNECT_TIMEOUT, connect).await;
            let cause = match connected.unwrap_or_else(|_| Err("no connection within 1 s".to_owned())) {
                Ok(link) => {
                    if std::mem::replace(&mut connected_before, true) {
                        self.endpoint.metrics.reconnects.inc();
                    }
                    let cause = self.watch(Arc::new(link), &mut backoff).await;
                    self.endpoint.set_link(None);
                    cause
                }
                Err(cause) => cause,
            };
            self.endpoint.judge(Err(&cause));
            tokio::time::sleep(backoff.next()).await;
        }
    }

    /// Asks health questions over the link until it is lost or given up; says why.
    async fn watch(&self, link: Arc<Link>, backoff: &mut Backoff) -> String {
        self.endpoint.set_link(Some(Arc::clone(&link)));
        loop {
            let start = Instant::now();
            match self.examine(&link).await {
                Ok(()) => {
                    backoff.reset();
                    self.endpoint.judge(Ok(start.elapsed()));
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
            }
        }
    }

    fn pause(&self) -> Duration {
        match self.endpoint.state() {
            State::Up => self.settings.health.interval,
            _ => self.settings.health.interval.min(ANXIOUS_INTERVAL),
        }
    }

    /// Asks about the suffix itself, over the link that real questions take.
    async fn examine(&self, link: &Link) -> Result<(), Sick> {
        let patience = self.settings.health.timeout;
        match timeout(patience, exchange(link, &self.wire, &self.probe, &self.settings.suffix)).await {
            Err(_) => Err(Sick::Silent(format!("no answer to the health question within {patience:?}"))),
            Ok(Err(TryError::Lost(cause))) => Err(Sick::Lost(cause)),
            Ok(Err(error)) => Err(Sick::Unfit(format!("health question: {error}"))),
            Ok(Ok((answer, _))) => self.is_fit(&answer).map_err(Sick::Unfit),
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
