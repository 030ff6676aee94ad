//! Tells the gateways of peers which addresses are this cluster's: our side of `strait.v1.Peering`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strait_identity::{Identity, Role, TrustDomain};
use strait_proto::v1;
use strait_proto::v1::peering_server::{Peering, PeeringServer};
use strait_resolve::IpNet;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tracing::debug;

use crate::convert::texts;
use crate::gateway::Federation;

/// Streams to the gateways of one peer at a time; each of its gateways has one.
pub(super) const MAX_STREAMS: usize = 64;

/// The service. It finds an `Arc<Identity>` in each request's extensions, put there by the listener.
#[derive(Clone)]
pub struct PeeringService {
    federation: Federation,
    own: v1::Addresses,
    streams: Arc<Mutex<HashMap<TrustDomain, usize>>>,
    stop: CancellationToken,
}

impl PeeringService {
    /// Tells the peers of `federation` that may ask us of the addresses `own`, and that we are called `cluster_id`, until
    /// `stop`.
    pub fn new(federation: Federation, own: &[IpNet], cluster_id: Option<String>, stop: CancellationToken) -> Self {
        let own = v1::Addresses { ranges: texts(own), cluster_id: cluster_id.unwrap_or_default() };
        Self { federation, own, streams: Arc::default(), stop }
    }

    /// The service for a gRPC server.
    pub fn into_server(self) -> PeeringServer<Self> {
        PeeringServer::new(self)
    }

    /// The peer whose gateway this is; nobody else is told.
    fn peer_of(&self, identity: Option<&Arc<Identity>>) -> Result<TrustDomain, Status> {
        let identity = identity.ok_or_else(|| Status::unauthenticated("no client certificate"))?;
        let trust_domain = &identity.id.trust_domain;
        let set = self.federation.current();
        let is_peer = set.inbound().any(|peer| peer.trust_bundle.trust_domain() == trust_domain);
        match identity.id.role {
            Role::Gateway if is_peer => Ok(trust_domain.clone()),
            _ => Err(Status::permission_denied(format!(
                "{} may not be told: only gateways of clusters that may ask here are",
                identity.id
            ))),
        }
    }
}

#[tonic::async_trait]
impl Peering for PeeringService {
    type WatchAddressesStream = ReceiverStream<Result<v1::Addresses, Status>>;

    async fn watch_addresses(
        &self,
        request: Request<v1::WatchAddressesRequest>,
    ) -> Result<Response<Self::WatchAddressesStream>, Status> {
        let peer = self.peer_of(request.extensions().get::<Arc<Identity>>()).inspect_err(|status| {
            debug!(client = ?request.remote_addr(), reason = status.message(), "addresses not told");
        })?;
        let seat = Seat::take(&self.streams, peer)
            .ok_or_else(|| Status::resource_exhausted("the gateways of this peer have all the streams they may"))?;
        let (sender, stream) = mpsc::channel(1);
        // The channel is new and has room.
        let _ = sender.try_send(Ok(self.own.clone()));
        let stop = self.stop.clone();
        // Our addresses change with a restart; until then the stream stands, so that its end says when to ask again.
        tokio::spawn(async move {
            let _seat = seat;
            tokio::select! {
                () = stop.cancelled() => {}
                () = sender.closed() => {}
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// One of a peer's streams; given back when dropped.
struct Seat {
    streams: Arc<Mutex<HashMap<TrustDomain, usize>>>,
    peer: TrustDomain,
}

impl Seat {
    fn take(streams: &Arc<Mutex<HashMap<TrustDomain, usize>>>, peer: TrustDomain) -> Option<Self> {
        let mut taken = lock(streams);
        let count = taken.entry(peer.clone()).or_default();
        if *count >= MAX_STREAMS {
            return None;
        }
        *count += 1;
        Some(Self { streams: Arc::clone(streams), peer })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.streams);
        if let Some(count) = taken.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}

fn lock(streams: &Mutex<HashMap<TrustDomain, usize>>) -> MutexGuard<'_, HashMap<TrustDomain, usize>> {
    streams.lock().unwrap_or_else(PoisonError::into_inner)
}
