//! Hands the peers to the node-agents of this cluster: the gateway's side of `strait.v1.Distribution`.
//!
//! An agent gets the set in force at once and each later one; of several changes that come while
//! it is slow, only the newest. Other clusters, and agents that speak for another node, get nothing.

use std::sync::Arc;
use std::time::Duration;

use strait_identity::{Identity, Role, SpiffeId, TrustDomain};
use strait_proto::v1;
use strait_proto::v1::distribution_server::{Distribution, DistributionServer};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, info, warn};

use crate::agents::{AgentBook, SeatGuard};
use crate::peers::{MAX_BUNDLE_LEN, MAX_PEERS, PeerSet};
use crate::zones::MAX_ZONES_SIZE;

/// From the call to the first report.
const FIRST_REPORT_WITHIN: Duration = Duration::from_secs(5);

/// An agent that has not reported for this long is gone: it reports every
/// [`REPORT_INTERVAL`](crate::agent::REPORT_INTERVAL).
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// The largest message that a gateway sends and an agent takes: every peer with the largest bundle, and as much again for
/// the rest of it; and the zones.
pub(crate) const MAX_SNAPSHOT_LEN: usize = 2 * MAX_PEERS * MAX_BUNDLE_LEN + MAX_ZONES_SIZE;

/// The service. It finds an `Arc<Identity>` in each request's extensions, put there by the listener.
#[derive(Clone)]
pub struct DistributionService {
    trust_domain: TrustDomain,
    snapshots: watch::Receiver<Arc<PeerSet>>,
    agents: Arc<AgentBook>,
    stop: CancellationToken,
}

impl DistributionService {
    /// Tells the agents of `trust_domain`, this cluster's own, of the newest of `snapshots` until `stop`, and keeps
    /// `agents`.
    pub fn new(
        trust_domain: TrustDomain,
        snapshots: watch::Receiver<Arc<PeerSet>>,
        agents: Arc<AgentBook>,
        stop: CancellationToken,
    ) -> Self {
        Self { trust_domain, snapshots, agents, stop }
    }

    /// The service for a gRPC server.
    pub fn into_server(self) -> DistributionServer<Self> {
        DistributionServer::new(self).max_encoding_message_size(MAX_SNAPSHOT_LEN)
    }

    /// The agent that the identity is of; only those of this cluster may subscribe.
    fn agent(&self, identity: Option<&Arc<Identity>>) -> Result<SpiffeId, Status> {
        let own = &self.trust_domain;
        let identity = identity.ok_or_else(|| Status::unauthenticated("no client certificate"))?;
        match &identity.id.role {
            Role::NodeAgent(_) if identity.id.trust_domain == *own => Ok(identity.id.clone()),
            _ => Err(Status::permission_denied(format!(
                "{} may not subscribe: only spiffe://{own}/node-agent/<node> may",
                identity.id
            ))),
        }
    }
}

#[tonic::async_trait]
impl Distribution for DistributionService {
    type WatchStream = ReceiverStream<Result<v1::Snapshot, Status>>;

    async fn watch(&self, request: Request<Streaming<v1::AgentReport>>) -> Result<Response<Self::WatchStream>, Status> {
        let identity = request.extensions().get::<Arc<Identity>>().cloned();
        let client = request.remote_addr();
        let refuse = |status: Status| {
            self.agents.count_refused();
            debug!(?client, reason = status.message(), "subscription refused");
            status
        };
        let agent = self.agent(identity.as_ref()).map_err(refuse)?;
        let mut reports = request.into_inner();
        let first = first_report(&mut reports, &agent).await.map_err(refuse)?;
        let node = first.node.as_str().into();
        let seat = self.agents.enter(&node, agent);
        let seat =
            seat.ok_or_else(|| refuse(Status::resource_exhausted("this gateway has all the node-agents it can hold")))?;
        seat.note(&first);
        info!(%node, applied = first.applied_generation, "node-agent subscribed");

        let (snapshots, stream) = mpsc::channel(1);
        let peers = self.snapshots.clone();
        let subscription = Subscription { seat, reports, peers, snapshots, stop: self.stop.clone() };
        tokio::spawn(subscription.run());
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// Waits for the report that opens a subscription, and holds it against the certificate.
async fn first_report(reports: &mut Streaming<v1::AgentReport>, agent: &SpiffeId) -> Result<v1::AgentReport, Status> {
    let report = timeout(FIRST_REPORT_WITHIN, reports.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no report within 5 s of the call"))??
        .ok_or_else(|| Status::invalid_argument("the stream ended before the first report"))?;
    match agent.role.is_agent_of(&report.node) {
        true => Ok(report),
        false => Err(Status::permission_denied(format!(
            "the certificate is {agent}, the report of node {:?}: `node` in the agent's configuration must match its certificate",
            report.node
        ))),
    }
}

/// One agent's subscription at work.
struct Subscription {
    seat: SeatGuard,
    reports: Streaming<v1::AgentReport>,
    peers: watch::Receiver<Arc<PeerSet>>,
    snapshots: mpsc::Sender<Result<v1::Snapshot, Status>>,
    stop: CancellationToken,
}

impl Subscription {
    async fn run(mut self) {
        let cause = self.follow().await;
        info!(node = %self.seat.node(), cause, "node-agent gone");
    }

    /// Sends and receives until the subscription ends; says why it did.
    async fn follow(&mut self) -> String {
        let mut unsent = true;
        let mut silent_at = Instant::now() + SILENCE_LIMIT;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return "this gateway is stopping".to_owned(),
                () = self.seat.superseded() => return "the node has subscribed again".to_owned(),
                () = sleep_until(silent_at) => return "no sign of life".to_owned(),
                room = self.snapshots.reserve(), if unsent => {
                    let Ok(room) = room else { return "the connection is closed".to_owned() };
                    let newest = Arc::clone(&self.peers.borrow_and_update());
                    self.seat.want(newest.generation());
                    room.send(Ok(newest.as_ref().into()));
                    unsent = false;
                }
                changed = self.peers.changed(), if !unsent => match changed {
                    Ok(()) => {
                        self.seat.want(self.peers.borrow().generation());
                        unsent = true;
                    }
                    Err(_) => return "this gateway is stopping".to_owned(),
                },
                report = self.reports.message() => match report {
                    Ok(Some(report)) => {
                        silent_at = Instant::now() + SILENCE_LIMIT;
                        self.heard(&report);
                    }
                    Ok(None) => return "it closed the stream".to_owned(),
                    Err(status) => return format!("the stream broke: {}", status.message()),
                },
            }
        }
    }

    fn heard(&self, report: &v1::AgentReport) {
        self.seat.note(report);
        let (node, applied) = (self.seat.node(), report.applied_generation);
        match report.error.as_str() {
            "" => debug!(%node, applied, "node-agent reports"),
            error => warn!(%node, applied, error = %error.escape_debug(), "node-agent cannot apply the newest peers"),
        }
    }
}
