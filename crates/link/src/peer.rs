//! A peer as a source: its endpoints, their health, and the choice between them.

use std::sync::Arc;
use std::time::Duration;

use strait_identity::{Credentials, TrustBundle, TrustDomain};
use strait_resolve::{Ask, BoxFuture, Source, SourceError};
use strait_wire::{Answer, Name};

use crate::{EndpointUrl, LinkMetrics, PeerStatus};

/// How health is judged.
#[derive(Debug, Clone)]
pub struct HealthSettings {
    /// Between two health questions to an endpoint that is up (with jitter).
    pub interval: Duration,
    /// A health question is failed after this long.
    pub timeout: Duration,
    /// Answers in a row that make an endpoint up.
    pub rise: u32,
    /// Failures in a row that make it down.
    pub fall: u32,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self { interval: Duration::from_secs(5), timeout: Duration::from_secs(1), rise: 1, fall: 2 }
    }
}

/// What a peer is made of.
#[derive(Debug, Clone)]
pub struct PeerSettings {
    /// Its name, for logs and metrics.
    pub name: String,
    /// The zone it answers.
    pub suffix: Name,
    /// Its endpoints, in order of preference.
    pub endpoints: Vec<EndpointUrl>,
    /// Who its gateways are: the trust domain and its CAs.
    pub trust_bundle: TrustBundle,
    /// Our own trust domain, appended to the cluster path of each question.
    pub own_cluster: TrustDomain,
    /// Health.
    pub health: HealthSettings,
    /// One endpoint's budget for a question before another is asked as well.
    pub try_budget: Duration,
    /// The budget of a question as a whole.
    pub deadline: Duration,
    /// Questions outstanding at most.
    pub max_outstanding: usize,
}

/// Links to a peer's gateways. Works from [`Peer::start`] on until dropped.
pub struct Peer {
    _settings: PeerSettings,
}

impl Peer {
    /// Starts connecting and asking health questions at once.
    pub fn start(settings: PeerSettings, credentials: Credentials, metrics: Arc<LinkMetrics>) -> Arc<Self> {
        let _ = (credentials, metrics);
        Arc::new(Self { _settings: settings })
    }

    /// What is known now.
    pub fn status(&self) -> PeerStatus {
        unimplemented!()
    }
}

impl Source for Peer {
    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        let _ = ask;
        unimplemented!()
    }
}
