//! Exchanges with the outside: ordinary upstreams, and links to the gateways of peers.
//!
//! Both are [`strait_resolve::Source`]s. A stream link (TCP, DNS over TLS, gRPC) is one long-lived
//! connection, pipelined, answered out of order, written in batches. Who may be trusted is
//! `strait-identity`'s to say; which names go where is the route table's.

mod backoff;
mod brief;
mod dial;
mod endpoint;
mod exchange;
mod grpc;
mod link;
mod links;
mod metrics;
mod outstanding;
mod peer;
mod question;
mod status;
mod stream;
#[cfg(test)]
mod testing;
mod upstream;

pub use dial::{chain, connect_tls, explain};
pub use endpoint::{EndpointUrl, EndpointUrlError, Scheme};
pub use links::{LinkDefaults, LinkTarget, MAX_ENDPOINTS, MAX_PEERS, PeerLinks};
pub use metrics::LinkMetrics;
pub use peer::{HealthSettings, Peer, PeerSettings};
pub use status::{EndpointStatus, PeerStatus, State};
pub use upstream::{UpstreamGroup, UpstreamServer, UpstreamServerError, UpstreamServers, UpstreamSettings};
