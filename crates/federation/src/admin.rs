//! What `gatewayctl` asks of a running gateway: the service `strait.v1.Admin`.
//!
//! Changes go to [`Federation`]; what is known of links comes from the gateway program through
//! [`AdminBackend`]. Every refusal is one sentence that the operator reads as it is.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use strait_link::PeerStatus;
use strait_proto::v1;
use strait_proto::v1::admin_server::{Admin, AdminServer};
use strait_resolve::BoxFuture;
use tonic::{Request, Response, Status};

use crate::addresses::{AddressReport, Addresses};
use crate::agents::AgentBook;
use crate::convert::{PeerError, without_final_dot};
use crate::gateway::{ChangeError, Federation, seconds};
use crate::inbound::InboundBook;
use crate::peers::{Generation, PeerRecord};
use crate::rules::{Conflict, OnExisting};
use crate::store::StoreError;

/// A question that is not answered within this is given up.
const QUERY_DEADLINE: Duration = Duration::from_secs(5);

/// A change that takes longer goes on, but whoever asked for it is told so: gatewayctl waits for ten seconds.
const CHANGE_PATIENCE: Duration = Duration::from_secs(9);

/// What came of a question.
#[derive(Debug, Clone)]
pub struct QueryOutcome {
    /// The answer, wire format.
    pub wire: Bytes,
    /// What answered, in words: `peer cluster-b tls://10.0.0.5:853`.
    pub answered_by: String,
}

/// Why a question got no answer at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryFailure {
    /// The bytes are not a question.
    #[error("not a DNS question: {0}")]
    BadQuestion(String),
    /// There is no such peer, or we do not ask it.
    #[error("there is no peer {0:?} that this gateway asks; see gatewayctl peer list")]
    UnknownPeer(String),
    /// It failed.
    #[error("{0}")]
    Failed(String),
}

/// What the gateway program knows beyond its peers.
pub trait AdminBackend: Send + Sync + 'static {
    /// The links to a peer; none when there are none.
    fn outbound(&self, peer: &str) -> Option<PeerStatus>;

    /// Asks a question: of `peer` over its links, or, with none, of this gateway as a peer would.
    fn query<'a>(&'a self, wire: Bytes, peer: Option<&'a str>) -> BoxFuture<'a, Result<QueryOutcome, QueryFailure>>;
}

/// What the admin service is made of.
#[derive(Clone)]
pub struct AdminSettings {
    /// The gateway's version.
    pub version: String,
    /// What people call this cluster.
    pub cluster: String,
    /// The peers.
    pub federation: Federation,
    /// Who asks us.
    pub inbound: Arc<InboundBook>,
    /// The node-agents.
    pub agents: Arc<AgentBook>,
    /// Whose addresses are.
    pub addresses: Addresses,
    /// The rest.
    pub backend: Arc<dyn AdminBackend>,
}

/// The service. Whoever reaches its socket may do everything.
#[derive(Clone)]
pub struct AdminService {
    settings: AdminSettings,
}

impl AdminService {
    /// A service of these parts.
    pub fn new(settings: AdminSettings) -> Self {
        Self { settings }
    }

    /// The service for a gRPC server.
    pub fn into_server(self) -> AdminServer<Self> {
        AdminServer::new(self)
    }

    fn status_of(&self, peer: &PeerRecord) -> v1::PeerStatus {
        let outbound = peer.directions.outbound();
        let links = outbound.then(|| self.settings.backend.outbound(peer.name.as_str())).flatten();
        v1::PeerStatus {
            peer: Some(peer.into()),
            outbound: Some(outbound_status(outbound, links)),
            inbound: Some(self.inbound_status(peer)),
            addresses: Some(address_status(self.settings.addresses.report(peer.name.as_str()))),
        }
    }

    fn inbound_status(&self, peer: &PeerRecord) -> v1::InboundStatus {
        let report = match peer.directions.inbound() {
            true => self.settings.inbound.report(peer.name.as_str()).unwrap_or_default(),
            false => return v1::InboundStatus { state: "none".to_owned(), ..Default::default() },
        };
        let state = if report.connections > 0 { "up" } else { "idle" };
        let (last_error, last_error_at) = report.last_error.unwrap_or_default();
        v1::InboundStatus {
            state: state.to_owned(),
            connections: report.connections,
            queries: report.queries,
            refused: report.refused,
            last_error,
            last_error_at,
            last_query_at: report.last_query_at.unwrap_or(0),
        }
    }
}

fn address_status(report: Option<AddressReport>) -> v1::AddressStatus {
    let Some(report) = report else { return v1::AddressStatus::default() };
    let overlap = |(range, with)| v1::AddressOverlap { range, with };
    let refused = |(range, reason)| v1::RefusedRange { range, reason };
    v1::AddressStatus {
        ranges: report.accepted,
        overlaps: report.overlaps.into_iter().map(overlap).collect(),
        refused: report.refused.into_iter().map(refused).collect(),
        known: true,
    }
}

fn outbound_status(delegated: bool, links: Option<PeerStatus>) -> v1::OutboundStatus {
    let Some(links) = links else {
        // Delegated a moment ago, and not yet dialled.
        let state = if delegated { "connecting" } else { "none" };
        return v1::OutboundStatus { state: state.to_owned(), endpoints: Vec::new() };
    };
    let endpoints = links.endpoints.into_iter().map(|endpoint| {
        let (last_error, last_error_at) =
            endpoint.last_error.map_or((String::new(), 0), |(text, at)| (text, seconds(at)));
        v1::EndpointStatus {
            url: endpoint.url.to_string(),
            state: endpoint.state.to_string(),
            latency_us: endpoint.latency.map_or(0, micros),
            last_error,
            last_error_at,
            since: seconds(endpoint.since),
        }
    });
    v1::OutboundStatus { state: links.state.to_string(), endpoints: endpoints.collect() }
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn add_peer(&self, request: Request<v1::AddPeerRequest>) -> Result<Response<v1::AddPeerResponse>, Status> {
        let request = request.into_inner();
        let existing = if request.replace { OnExisting::Replace } else { OnExisting::Refuse };
        let record = PeerRecord::from_request(request.peer)?;
        let generation = outcome_of(self.settings.federation.add(record, existing)).await?;
        Ok(Response::new(v1::AddPeerResponse { generation: generation.0 }))
    }

    async fn remove_peer(
        &self,
        request: Request<v1::RemovePeerRequest>,
    ) -> Result<Response<v1::RemovePeerResponse>, Status> {
        let name = request.into_inner().name;
        let generation = outcome_of(self.settings.federation.remove(&name)).await?;
        Ok(Response::new(v1::RemovePeerResponse { generation: generation.0 }))
    }

    async fn list_peers(&self, _: Request<v1::ListPeersRequest>) -> Result<Response<v1::ListPeersResponse>, Status> {
        let set = self.settings.federation.current();
        let peers = set.iter().map(|peer| self.status_of(peer)).collect();
        Ok(Response::new(v1::ListPeersResponse { peers, generation: set.generation().0 }))
    }

    async fn get_peer(&self, request: Request<v1::GetPeerRequest>) -> Result<Response<v1::GetPeerResponse>, Status> {
        let name = request.into_inner().name;
        let set = self.settings.federation.current();
        match set.get(&name) {
            Some(peer) => Ok(Response::new(v1::GetPeerResponse { peer: Some(self.status_of(peer)) })),
            None => Err(ChangeError::unknown(name, &set).into()),
        }
    }

    async fn status(&self, _: Request<v1::StatusRequest>) -> Result<Response<v1::StatusResponse>, Status> {
        let AdminSettings { version, cluster, federation, agents, .. } = &self.settings;
        let agents = agents.list().into_iter().map(|(node, agent)| v1::AgentStatus {
            node: node.to_string(),
            identity: agent.identity.to_string(),
            applied_generation: agent.applied.0,
            error: agent.error,
            connected_at: agent.connected_at,
        });
        Ok(Response::new(v1::StatusResponse {
            version: version.clone(),
            cluster: cluster.clone(),
            suffix: without_final_dot(&federation.home().suffix),
            trust_domain: federation.home().trust_domain.to_string(),
            generation: federation.current().generation().0,
            agents: agents.collect(),
        }))
    }

    async fn query(&self, request: Request<v1::QueryRequest>) -> Result<Response<v1::QueryResponse>, Status> {
        let request = request.into_inner();
        let peer = Some(request.peer.as_str()).filter(|peer| !peer.is_empty());
        let begun = Instant::now();
        let asked = tokio::time::timeout(QUERY_DEADLINE, self.settings.backend.query(request.wire, peer)).await;
        let outcome = asked.map_err(|_| Status::deadline_exceeded("no answer within 5 s"))??;
        Ok(Response::new(v1::QueryResponse {
            wire: outcome.wire,
            answered_by: outcome.answered_by,
            elapsed_us: micros(begun.elapsed()),
        }))
    }
}

async fn outcome_of(change: impl Future<Output = Result<Generation, ChangeError>>) -> Result<Generation, Status> {
    let outcome = tokio::time::timeout(CHANGE_PATIENCE, change).await;
    let late = |_| {
        let why = "another change is under way, or what keeps the peers is slow";
        Status::deadline_exceeded(format!(
            "the change is not in force after {CHANGE_PATIENCE:?}, and may still come: {why}; look at the peers (gatewayctl peer list) before you try again"
        ))
    };
    Ok(outcome.map_err(late)??)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl From<PeerError> for Status {
    fn from(error: PeerError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}

impl From<ChangeError> for Status {
    fn from(error: ChangeError) -> Self {
        let text = error.to_string();
        match error {
            ChangeError::Conflict(Conflict::Exists(_)) => Self::already_exists(text),
            ChangeError::Conflict(Conflict::Full) => Self::resource_exhausted(text),
            ChangeError::Conflict(_) => Self::invalid_argument(text),
            ChangeError::Unknown { .. } => Self::not_found(text),
            ChangeError::Store(StoreError::Conflict) => Self::aborted(text),
            ChangeError::Store(StoreError::NotInForce { .. }) => Self::failed_precondition(text),
            ChangeError::Store(StoreError::Unsettled(_)) => Self::unknown(text),
            ChangeError::Store(StoreError::Unavailable(_)) => Self::unavailable(text),
            ChangeError::Store(_) => Self::internal(text),
            ChangeError::Stopping => Self::unavailable(text),
        }
    }
}

impl From<QueryFailure> for Status {
    fn from(failure: QueryFailure) -> Self {
        let text = failure.to_string();
        match failure {
            QueryFailure::BadQuestion(_) => Self::invalid_argument(text),
            QueryFailure::UnknownPeer(_) => Self::not_found(text),
            QueryFailure::Failed(_) => Self::unavailable(text),
        }
    }
}

#[cfg(test)]
mod tests;
