//! gRPC for peers: `strait.v1.Dns/Exchange`, `coredns.dns.DnsService/Query` and the services of
//! others, over connections that have been verified already.

mod connection;
mod delivery;
mod exchange;
mod query;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use strait_identity::Identity;
use strait_proto::coredns::dns_service_server::DnsServiceServer;
use strait_proto::v1::dns_server::DnsServer;
use strait_resolve::{Origin, Respond, Transport};
use strait_wire::MAX_MESSAGE_LEN;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::{InterceptorLayer, Routes};
use tonic::transport::Server;
use tonic::{Extensions, Request, Status};

use crate::StreamLimits;
use crate::common::Common;
pub(crate) use connection::PeerStream;
use delivery::{Deliveries, DeliveryLayer};

/// The longest `strait.v1.Batch` that is taken, in octets; a longer one ends its stream.
pub const MAX_BATCH_LEN: usize = 256 << 10;

/// A `DnsPacket` is one DNS message and its protobuf tag and length.
const MAX_PACKET_LEN: usize = MAX_MESSAGE_LEN + 16;

/// The most messages in one batch; one with more ends its stream. Our own batches have at most 32 KiB of questions, of
/// which the shortest has 17 octets.
pub(crate) const MAX_BATCH_MESSAGES: usize = 2048;

/// Streams of one connection at a time, of which each unary call takes one.
const MAX_STREAMS: u32 = 256;

/// `Exchange` streams of one connection at a time. A link needs one.
pub(crate) const MAX_EXCHANGE_STREAMS: usize = 8;

/// Octets of unary answers of one connection that wait for the client; over it a call ends with RESOURCE_EXHAUSTED.
pub(crate) const MAX_UNARY_OCTETS: usize = 1 << 20;

/// Octets of one connection under way to us and not yet taken.
const CONNECTION_WINDOW: u32 = 512 << 10;

/// The largest header list, in octets: gRPC needs some hundred.
const MAX_HEADER_LIST: u32 = 8 << 10;

/// Streams the client may reset before we have looked at them (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;

/// Streams the client may make us reset (CVE-2025-8671).
const MAX_LOCAL_RESETS: usize = 64;

/// Between pings, and how long a ping may go unanswered: so a peer that vanished is noticed.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// What every request of a connection finds in its extensions.
#[derive(Clone)]
pub(crate) struct Peer {
    client: SocketAddr,
    identity: Arc<Identity>,
    /// Room for questions in work, shared by all streams of the connection.
    room: Arc<Semaphore>,
    /// Places for streams of batches.
    streams: Arc<Semaphore>,
    /// Room for octets of unary answers that the client has not taken.
    answers: Arc<Semaphore>,
    deliveries: Arc<Deliveries>,
}

impl Peer {
    pub(crate) fn new(client: SocketAddr, identity: Arc<Identity>, max_in_flight: usize) -> Self {
        Self {
            client,
            identity,
            room: Arc::new(Semaphore::new(max_in_flight)),
            streams: Arc::new(Semaphore::new(MAX_EXCHANGE_STREAMS)),
            answers: Arc::new(Semaphore::new(MAX_UNARY_OCTETS)),
            deliveries: Arc::default(),
        }
    }
}

/// Serves verified HTTP/2 connections.
#[derive(Clone)]
pub(crate) struct GrpcServer {
    pub(crate) respond: Arc<dyn Respond>,
    pub(crate) limits: StreamLimits,
    pub(crate) common: Arc<Common>,
    pub(crate) stop: CancellationToken,
}

impl GrpcServer {
    /// Serves until `stop` is given and all connections are gone.
    pub(crate) async fn serve(self, incoming: mpsc::Receiver<PeerStream>, services: Routes) {
        let streams = u32::try_from(self.limits.max_in_flight).map_or(MAX_STREAMS, |max| max.min(MAX_STREAMS));
        let stop = self.stop.clone();
        let incoming = ReceiverStream::new(incoming).map(Ok::<_, Infallible>);
        let dns = DnsServer::new(self.clone()).max_decoding_message_size(MAX_BATCH_LEN);
        let coredns = DnsServiceServer::new(self).max_decoding_message_size(MAX_PACKET_LEN);
        let served = Server::builder()
            .max_concurrent_streams(streams)
            .initial_stream_window_size(MAX_BATCH_LEN as u32)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_max_header_list_size(MAX_HEADER_LIST)
            .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
            .http2_max_local_error_reset_streams(Some(MAX_LOCAL_RESETS))
            .http2_keepalive_interval(Some(PING_INTERVAL))
            .http2_keepalive_timeout(Some(PING_TIMEOUT))
            .layer(DeliveryLayer)
            .layer(InterceptorLayer::new(identify))
            .add_routes(services.add_service(dns).add_service(coredns))
            .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "the gRPC server ended; gRPC connections are no longer served");
        }
    }

    fn origin(&self, peer: &Peer) -> Origin {
        // No keepalive: RFC 7828 is about DNS over TCP; HTTP/2 connections have pings instead.
        Origin { identity: Some(Arc::clone(&peer.identity)), ..Origin::new(peer.client, Transport::Grpc) }
    }
}

/// The one door of every service: no request goes on without the identity of its connection.
pub(crate) fn identify(mut request: Request<()>) -> Result<Request<()>, Status> {
    let identity = Arc::clone(&peer(request.extensions())?.identity);
    request.extensions_mut().insert(identity);
    Ok(request)
}

fn peer(extensions: &Extensions) -> Result<&Peer, Status> {
    extensions.get().ok_or_else(|| Status::unauthenticated("this connection has no verified identity"))
}
