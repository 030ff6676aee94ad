//! A node-agent's side of the distribution: subscribes at a gateway of its own cluster, keeps the
//! last peers on disk, and starts from there with everything else down.
//!
//! What the connected gateway says counts, even when its generation is lower than the one on disk:
//! a gateway restored from a copy begins again below it.

mod session;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::Registry;
use strait_identity::{Alpn, Credentials, PeerExpectation, Role, TrustBundle, TrustStore, client_config};
use strait_link::{EndpointUrl, Scheme};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use crate::client::{self, Ended, keep_trying};
use crate::metrics::SubscriptionMetrics;
use crate::peers::{Generation, PeerSet};
use crate::store::{FileStore, StoreError};

/// Between two reports to the gateway when nothing changes: a sign of life.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_secs(15);

/// The longest wait between two tries; the first is a tenth of it.
const MAX_BACK_OFF: Duration = Duration::from_secs(1);

/// The file in the state folder.
const FILE_NAME: &str = "agent-peers.json";

/// What a subscription needs.
#[derive(Debug, Clone)]
pub struct SubscriptionSettings {
    /// The gateways of this cluster, `grpc://` only, tried in turn.
    pub endpoints: Vec<EndpointUrl>,
    /// The agent's own certificate.
    pub credentials: Credentials,
    /// This cluster's own CAs.
    pub trust_bundle: TrustBundle,
    /// The node, as in the certificate.
    pub node: String,
    /// The folder for the last peers.
    pub state: PathBuf,
    /// Whether another agent of the node may keep them there as well, which this one takes over from or gives way to.
    pub has_successor: bool,
    /// Where its metrics go.
    pub registry: Registry,
}

/// Why a subscription cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// An endpoint is of another protocol.
    #[error("gateway endpoint {0}: node-agents subscribe over gRPC; write grpc://{host}:8443", host = .0.host)]
    Scheme(EndpointUrl),
    /// There is no endpoint.
    #[error("no gateway endpoint is given; write at least one, grpc://host:8443")]
    NoEndpoint,
    /// The certificate is not an agent's.
    #[error(
        "the certificate is of {0}, and only a node-agent's may subscribe; issue one with gatewayctl pki issue node-agent"
    )]
    Role(String),
    /// The certificate is another node's.
    #[error(
        "the certificate is of node {certificate:?}, but this is node {node:?}; set `node`, or issue a certificate for this node"
    )]
    Node {
        /// The certificate's.
        certificate: String,
        /// Ours.
        node: String,
    },
    /// The folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry has such metrics already.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// What is known of the subscription now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubscriptionStatus {
    /// The gateway connected to.
    pub gateway: Option<EndpointUrl>,
    /// The last failure; empty when there was none.
    pub last_error: String,
}

/// What the program has done with the peers it was given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Applied {
    pub(crate) generation: Generation,
    pub(crate) error: String,
}

/// A standing subscription. It works until dropped.
pub struct AgentSubscription {
    peers: watch::Receiver<Option<Arc<PeerSet>>>,
    applied: watch::Sender<Applied>,
    shown: Arc<Shown>,
    _stop: DropGuard,
}

/// What is told of a subscription.
struct Shown {
    status: Mutex<SubscriptionStatus>,
    metrics: SubscriptionMetrics,
}

impl Shown {
    fn set(&self, status: SubscriptionStatus) {
        self.metrics.subscribed(status.gateway.as_ref());
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

impl AgentSubscription {
    /// Reads the peers kept on disk, and begins to connect. Must be called inside a Tokio runtime.
    pub fn start(settings: SubscriptionSettings) -> Result<Self, SubscriptionError> {
        check(&settings)?;
        let metrics = SubscriptionMetrics::new(&settings.registry)?;
        let file = settings.state.join(FILE_NAME);
        let store = if settings.has_successor { FileStore::open_in_turns(file)? } else { FileStore::open(file)? };
        let kept = load(&store)?;
        let (peers_in, peers) = watch::channel(kept.map(Arc::new));
        let (applied, applied_out) = watch::channel(Applied::default());
        let stop = CancellationToken::new();
        let shown = Arc::new(Shown { status: Mutex::default(), metrics });
        let worker = Subscriber {
            settings,
            store: Arc::new(store),
            peers: peers_in,
            applied: applied_out,
            shown: Arc::clone(&shown),
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(worker.run()));
        Ok(Self { peers, applied, shown, _stop: stop.drop_guard() })
    }

    /// The peers now and after every change; none before the first were ever known.
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<PeerSet>>> {
        self.peers.clone()
    }

    /// Says that what the gateway told is in force here, or what of it could not be; the gateway is told.
    pub fn applied(&self, set: &PeerSet, outcome: Result<(), String>) {
        let generation = set.generation();
        self.shown.metrics.zones(set.zones());
        if outcome.is_ok() {
            self.shown.metrics.applied(generation);
        }
        self.applied.send_modify(|applied| match outcome {
            Ok(()) => *applied = Applied { generation, error: String::new() },
            Err(error) => applied.error = format!("generation {generation}: {error}"),
        });
    }

    /// What is known of the connection to the gateway.
    pub fn status(&self) -> SubscriptionStatus {
        self.shown.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn check(settings: &SubscriptionSettings) -> Result<(), SubscriptionError> {
    if settings.endpoints.is_empty() {
        return Err(SubscriptionError::NoEndpoint);
    }
    if let Some(other) = settings.endpoints.iter().find(|url| url.scheme != Scheme::Grpc) {
        return Err(SubscriptionError::Scheme(other.clone()));
    }
    let id = settings.credentials.id();
    match &id.role {
        role if role.is_agent_of(&settings.node) => Ok(()),
        Role::NodeAgent(node) => {
            Err(SubscriptionError::Node { certificate: node.to_string(), node: settings.node.clone() })
        }
        Role::Gateway => Err(SubscriptionError::Role(id.to_string())),
    }
}

/// The peers kept on disk. A damaged file is set aside and said: the gateway has the truth.
fn load(store: &FileStore) -> Result<Option<PeerSet>, StoreError> {
    match store.read() {
        Ok(set) => {
            if let Some(set) = &set {
                info!(generation = %set.generation(), peers = set.len(), zones = set.zones().len(), "peers loaded from disk");
            }
            Ok(set)
        }
        Err(StoreError::Damaged { path, source }) => {
            let aside = store.set_aside()?;
            warn!(file = %path.display(), line = source.line, column = source.column, error = source.what,
                kept_as = %aside.display(), "the peers on disk are damaged; waiting for the gateway's");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Connects, follows, and connects again.
struct Subscriber {
    settings: SubscriptionSettings,
    store: Arc<FileStore>,
    peers: watch::Sender<Option<Arc<PeerSet>>>,
    applied: watch::Receiver<Applied>,
    shown: Arc<Shown>,
}

impl Subscriber {
    async fn run(mut self) {
        let endpoints = self.settings.endpoints.clone();
        keep_trying(&endpoints, MAX_BACK_OFF, &mut self).await;
    }

    /// A configuration with the certificate in force now.
    fn tls(&self) -> Arc<rustls::ClientConfig> {
        let own = self.settings.trust_bundle.clone();
        let expected = PeerExpectation { trust_domain: own.trust_domain().clone(), role: Role::Gateway };
        client_config(&self.settings.credentials, Arc::new(TrustStore::new([own])), expected, Alpn::H2)
    }
}

impl client::Stream for Subscriber {
    async fn attempt(&mut self, url: &EndpointUrl, failures: u32) -> Ended {
        let channel = match client::connect(url, self.tls(), failures as usize).await {
            Ok(channel) => channel,
            Err(error) => return Ended::Before(strait_link::chain(&error)),
        };
        session::follow(self, url, channel).await
    }

    /// The log has one line for a series of failures.
    fn failed(&self, url: &EndpointUrl, error: &str, failures: u32) {
        if failures == 0 {
            warn!(gateway = %url, error, "not connected to this cluster's gateway; the last peers stay in force");
        }
        self.shown.set(SubscriptionStatus { gateway: None, last_error: format!("{url}: {error}") });
    }
}

#[cfg(test)]
mod tests;
