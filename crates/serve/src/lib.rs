//! Listeners and their limits: UDP, TCP, DNS over TLS, gRPC. Every transport ends in the same
//! [`strait_resolve::Respond`]; nothing here knows zones or sources.
//!
//! ```text
//! DnsListeners ──► udp ─────────────────────────────┐
//!             └──► accept ──► tcp ──► stream ───────┼──► Respond
//! PeerListeners ─► accept ──► handshake ─► stream ──┤
//!                                      └─► grpc ────┘
//! ```

mod accept;
mod bind;
mod common;
mod dns;
mod gate;
mod grpc;
mod handshake;
mod handshakes;
mod limits;
mod metrics;
mod peers;
mod questions;
mod rejections;
mod stream;
mod tenure;
mod udp;

#[cfg(test)]
mod testkit;

pub use bind::BindError;
pub use dns::DnsListeners;
pub use grpc::MAX_BATCH_LEN;
pub use limits::StreamLimits;
pub use metrics::ServeMetrics;
pub use peers::{ConnectionObserver, PeerListenerSettings, PeerListeners};
pub use strait_datagram::Sharing;
